//! The system's errors as Python knows them: `OSError` with `errno`, which callers tell apart.

use std::io;

use pyo3::exceptions::PyOSError;
use pyo3::PyErr;

/// `OSError(errno, text)`; PyO3's own conversion keeps the text alone.
pub(crate) fn os_error(error: io::Error) -> PyErr {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            let said = text.split(" (os error").next().unwrap_or(&text);
            PyOSError::new_err((number, said.to_owned()))
        }
        None => PyOSError::new_err(text),
    }
}
