//! How many connections and DTLS associations may be open, with an allocation or without, counted
//! together: to whoever runs the server they are the same.

use crate::datapath::Choices;

/// How many may be open; 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) of_source: usize,
    pub(crate) in_all: usize,
}

impl From<&Choices> for Limits {
    fn from(choices: &Choices) -> Self {
        Self {
            of_source: choices.source_connections,
            in_all: choices.total_connections,
        }
    }
}

impl Limits {
    /// Without a limit for each source.
    pub(crate) fn of_all(self) -> Self {
        Self {
            of_source: 0,
            ..self
        }
    }

    /// Why there is no room for one more, where so many are open of its source and in all.
    pub(crate) fn full(self, of_source: usize, in_all: usize) -> Option<Full> {
        if self.in_all > 0 && in_all >= self.in_all {
            return Some(Full::All);
        }
        let crowded = self.of_source > 0 && of_source >= self.of_source;
        crowded.then_some(Full::Source)
    }
}

/// Why a client is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Its source has as many as it may.
    Source,
    /// There are as many as there may be.
    All,
}
