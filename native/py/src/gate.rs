//! The gate's settings from Python, and the gate alone for tests that hold it against the engine.

use ferryman_flow::gate::{self, Judged, Nonces, Settings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::address::{five_tuple_of, RawFiveTuple};

/// Realm, cookie and key of the nonces, their lifetime in seconds, the two lists of algorithms,
/// the name in THIRD-PARTY-AUTHORIZATION, FINGERPRINT always, answers a second, how far the nonces'
/// clock is ahead of `now`, ns.
pub(crate) type RawGate = (
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    u64,
    [Vec<u8>; 2],
    Vec<u8>,
    bool,
    u64,
    u64,
);

/// ValueError for a cookie or names of a wrong length.
pub(crate) fn gate_of(raw: RawGate) -> PyResult<Settings> {
    let (realm, cookie, key, lifetime, algorithms, third_party, fingerprint, per_second, ahead) =
        raw;
    let nonces = Nonces::new(&cookie, &key, ahead)
        .ok_or_else(|| PyValueError::new_err("a nonce's cookie has 13 characters"))?;
    let settings = Settings {
        realm,
        nonces,
        lifetime,
        algorithms,
        third_party,
        fingerprint,
        per_second,
    };
    if settings.fit() {
        Ok(settings)
    } else {
        Err(PyValueError::new_err("a realm has at most 763 bytes"))
    }
}

/// The gate with its verdicts as tuples: ("ask",), ("answer", bytes), ("drop", reason).
#[pyclass(module = "ferryman.datapath._native")]
pub(crate) struct Gate {
    gate: gate::Gate,
}

#[pymethods]
impl Gate {
    #[new]
    fn new(settings: RawGate) -> PyResult<Self> {
        let mut gate = gate::Gate::default();
        gate.set(Some(gate_of(settings)?));
        Ok(Self { gate })
    }

    fn judge<'py>(
        &mut self,
        py: Python<'py>,
        five_tuple: RawFiveTuple<'py>,
        packet: &[u8],
        now: u64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut out = [0; gate::ANSWER_LIMIT];
        match self
            .gate
            .judge(packet, &five_tuple_of(&five_tuple)?, now, &mut out)
        {
            Judged::Ask => ("ask",).into_pyobject(py),
            Judged::Answer(length) => {
                ("answer", PyBytes::new(py, &out[..length])).into_pyobject(py)
            }
            Judged::Drop(reason) => ("drop", reason.name()).into_pyobject(py),
        }
    }
}
