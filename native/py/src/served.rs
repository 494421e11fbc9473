//! Whose Binding requests are answered, as Python says it.

use ferryman_flow::binding::Served;
use pyo3::exceptions::PyValueError;
use pyo3::PyResult;

pub(crate) fn served_of(word: &str) -> PyResult<Served> {
    match word {
        "everyone" => Ok(Served::Everyone),
        "proved" => Ok(Served::Proved),
        "nobody" => Ok(Served::Nobody),
        _ => Err(PyValueError::new_err("binding: everyone, proved or nobody")),
    }
}
