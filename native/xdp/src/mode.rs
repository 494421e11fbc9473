//! Whose code runs the program on an interface.

use std::str::FromStr;

/// Whose code runs the program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The drivers': fastest. Only where the kernel says that they send what is redirected to them,
    /// for what they do not send is lost.
    Driver,
    /// The network stack's, right behind the drivers (TCX, Linux 6.6), whatever they are.
    Tc,
    /// The network stack's, in place of the drivers': on every interface and kernel, and slower.
    Generic,
}

impl Mode {
    /// In a word, for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Tc => "tc",
            Self::Generic => "generic",
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let modes = [Self::Driver, Self::Tc, Self::Generic].into_iter();
        let mode = modes.into_iter().find(|mode| mode.name() == word);
        mode.ok_or_else(|| format!("no mode of the kernel program: {word}"))
    }
}
