//! Why packets are not forwarded in the kernel, in one line.

use std::error::Error;
use std::{fmt, io};

/// Why packets are not forwarded in the kernel.
#[derive(Debug)]
pub struct Trouble {
    text: String,
    /// The system's number for it.
    code: Option<i32>,
}

impl Trouble {
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: text.to_string(),
            code: None,
        }
    }

    /// `what` failed with the innermost cause of `error`; what lies around that tells only who
    /// asked.
    pub(crate) fn new(what: &str, error: impl Error + 'static) -> Self {
        let mut innermost: &(dyn Error + 'static) = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let error = innermost.downcast_ref::<io::Error>();
        let code = error.and_then(io::Error::raw_os_error);
        Self {
            text: format!("{what}: {innermost}"),
            code,
        }
    }

    /// Whether a process with more capabilities could. (The kernel's verifier says EACCES of a
    /// program that it does not like.)
    pub fn is_forbidden(&self) -> bool {
        self.code == Some(libc::EPERM)
    }

    /// Whether a program is there already.
    pub(crate) fn is_taken(&self) -> bool {
        self.code == Some(libc::EEXIST) || self.code == Some(libc::EBUSY)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Error for Trouble {}
