//! Why packets are not forwarded in the kernel, in one line.

use std::error::Error;
use std::{fmt, io};

/// Why packets are not forwarded in the kernel.
#[derive(Debug)]
pub struct Trouble {
    text: String,
    forbidden: bool,
}

impl Trouble {
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: text.to_string(),
            forbidden: false,
        }
    }

    /// `what` failed with the innermost cause of `error`; what lies around that tells only who
    /// asked.
    pub(crate) fn new(what: &str, error: impl Error + 'static) -> Self {
        let mut innermost: &(dyn Error + 'static) = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        // The kernel's verifier says EACCES of a program that it does not like.
        let forbidden = innermost
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.raw_os_error() == Some(libc::EPERM));
        Self {
            text: format!("{what}: {innermost}"),
            forbidden,
        }
    }

    /// Whether a process with more capabilities could.
    pub fn is_forbidden(&self) -> bool {
        self.forbidden
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Error for Trouble {}
