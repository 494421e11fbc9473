//! What the operator should know, without being told it a thousand times.

use std::collections::HashMap;

use crate::clock::SECOND;

/// When the operator was last told what.
#[derive(Default)]
pub(crate) struct Notices {
    told: HashMap<&'static str, u64>,
}

impl Notices {
    const PAUSE: u64 = 60 * SECOND;

    /// Whether this is news; from now on it is not, for a while.
    pub(crate) fn is_due(&mut self, what: &'static str, now: u64) -> bool {
        let due = self
            .told
            .get(what)
            .is_none_or(|told| told + Self::PAUSE <= now);
        if due {
            self.told.insert(what, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_hears_each_thing_once_in_a_while() {
        let mut notices = Notices::default();
        assert!(notices.is_due("one", 5));
        assert!(notices.is_due("other", 5));
        assert!(!notices.is_due("one", 4 + Notices::PAUSE));
        assert!(notices.is_due("one", 5 + Notices::PAUSE));
    }
}
