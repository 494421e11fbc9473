//! The `Datapath` class: the worker threads, their sockets, and what goes to and from it.

use std::collections::HashMap;
use std::time::Duration;

use ferryman_udp::{
    Certificate, Choices, Credentials, Datapath as Native, Event, Fronts, Mode, Outfit, Settings,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::address::{
    address_of, discovery_of, family_of, ip_bytes, ip_of, raw_family, raw_five_tuple, RawDiscovery,
};
use crate::command::command_of;
use crate::gate::{gate_of, RawGate};
use crate::os_error::os_error;
use crate::served::served_of;

/// The native datapath; see the stub for what each method promises.
#[pyclass(frozen, module = "ferryman.datapath._native")]
pub(crate) struct Datapath {
    native: Native,
}

#[pymethods]
impl Datapath {
    #[new]
    #[pyo3(signature = (*, fingerprint, mapped_address=false, workers=1, queue_limit=4096, pending_connections=4096, connection_timeout=60.0, source_connections=0, total_connections=0, software=false, binding="everyone", buffer=0, listening_device="", relay_device="", respond_http_unsupported=false, acme_redirect="", log_binding=false, log_invalid=false, rfc3489=false))]
    #[allow(clippy::too_many_arguments)] // Python names them
    fn new(
        fingerprint: bool,
        mapped_address: bool,
        workers: usize,
        queue_limit: usize,
        pending_connections: usize,
        connection_timeout: f64,
        source_connections: usize,
        total_connections: usize,
        software: bool,
        binding: &str,
        buffer: usize,
        listening_device: &str,
        relay_device: &str,
        respond_http_unsupported: bool,
        acme_redirect: &str,
        log_binding: bool,
        log_invalid: bool,
        rfc3489: bool,
    ) -> PyResult<Self> {
        let connection_timeout = Duration::try_from_secs_f64(connection_timeout)
            .map_err(|error| PyValueError::new_err(format!("connection_timeout: {error}")))?;
        let settings = Settings {
            workers,
            choices: Choices {
                fingerprint,
                mapped_address,
                software,
                served: served_of(binding)?,
                source_connections,
                total_connections,
                respond_http_unsupported,
                acme_redirect: acme_redirect.to_owned(),
                log_binding,
                log_invalid,
                rfc3489,
            },
            queue_limit,
            pending_connections,
            connection_timeout,
            listening: outfit(buffer, listening_device),
            relaying: outfit(buffer, relay_device),
        };
        Ok(Self {
            native: Native::new(&settings).map_err(os_error)?,
        })
    }

    fn listen_udp(&self, ip: &[u8], port: u16) -> PyResult<u16> {
        self.native
            .listen_udp(address_of(ip, port)?)
            .map_err(os_error)
    }

    fn listen_tcp(&self, ip: &[u8], port: u16) -> PyResult<u16> {
        self.native
            .listen_tcp(address_of(ip, port)?)
            .map_err(os_error)
    }

    fn offer_discovery(&self, addresses: RawDiscovery<'_>) -> PyResult<()> {
        self.native.offer_discovery(discovery_of(&addresses)?);
        Ok(())
    }

    fn withdraw_discovery(&self, family: u8) -> PyResult<()> {
        self.native.withdraw_discovery(family_of(family)?);
        Ok(())
    }

    fn guard(&self, settings: Option<RawGate>) -> PyResult<()> {
        self.native.guard(settings.map(gate_of).transpose()?);
        Ok(())
    }

    fn listen_tls(&self, ip: &[u8], port: u16) -> PyResult<u16> {
        self.native
            .listen_tls(address_of(ip, port)?)
            .map_err(os_error)
    }

    #[pyo3(signature = (ip, port, *, fronts, plain))]
    fn listen_fronts(
        &self,
        ip: &[u8],
        port: u16,
        fronts: Vec<(Vec<u8>, Vec<u8>)>,
        plain: bool,
    ) -> PyResult<u16> {
        let fronts = fronts
            .iter()
            .map(|(first, last)| Ok((ip_of(first)?, ip_of(last)?)));
        let fronts = Fronts(fronts.collect::<PyResult<_>>()?);
        self.native
            .listen_fronts(address_of(ip, port)?, fronts, plain)
            .map_err(os_error)
    }

    fn retire_udp(&self, ip: &[u8], port: u16) -> PyResult<()> {
        self.native.retire_udp(address_of(ip, port)?);
        Ok(())
    }

    fn retire_tcp(&self, ip: &[u8], port: u16) -> PyResult<()> {
        self.native.retire_tcp(address_of(ip, port)?);
        Ok(())
    }

    #[pyo3(signature = (*, fingerprint, mapped_address, source_connections, total_connections, software=false, binding="everyone", respond_http_unsupported=false, acme_redirect="", log_binding=false, log_invalid=false, rfc3489=false))]
    #[allow(clippy::too_many_arguments)] // Python names them
    fn choose(
        &self,
        fingerprint: bool,
        mapped_address: bool,
        source_connections: usize,
        total_connections: usize,
        software: bool,
        binding: &str,
        respond_http_unsupported: bool,
        acme_redirect: &str,
        log_binding: bool,
        log_invalid: bool,
        rfc3489: bool,
    ) -> PyResult<()> {
        self.native.choose(Choices {
            fingerprint,
            mapped_address,
            software,
            served: served_of(binding)?,
            source_connections,
            total_connections,
            respond_http_unsupported,
            acme_redirect: acme_redirect.to_owned(),
            log_binding,
            log_invalid,
            rfc3489,
        });
        Ok(())
    }

    fn stop_tls(&self) {
        self.native.stop_tls();
    }

    fn stop_dtls(&self) {
        self.native.stop_dtls();
    }

    #[pyo3(signature = (chain, key, *, cipher_suites, groups, tls12, client_roots))]
    fn use_certificate(
        &self,
        chain: Vec<Vec<u8>>,
        key: Vec<u8>,
        cipher_suites: Vec<u16>,
        groups: Vec<u16>,
        tls12: bool,
        client_roots: Vec<Vec<u8>>,
    ) -> PyResult<()> {
        let certificate = Certificate {
            chain,
            key,
            cipher_suites,
            groups,
            tls12,
            client_roots,
        };
        self.native
            .use_certificate(&certificate)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[pyo3(signature = (chain, key, *, cipher_suites, groups, dtls12, client_roots))]
    fn serve_dtls(
        &self,
        chain: Vec<Vec<u8>>,
        key: Vec<u8>,
        cipher_suites: Vec<u16>,
        groups: Vec<u16>,
        dtls12: bool,
        client_roots: Vec<Vec<u8>>,
    ) -> PyResult<Option<String>> {
        let credentials = Credentials {
            chain: &chain,
            key: &key,
            cipher_suites: &cipher_suites,
            groups: &groups,
            client_roots: &client_roots,
            without_12: !dtls12,
        };
        let served = self.native.serve_dtls(&credentials);
        let lacking = served.map_err(|trouble| PyValueError::new_err(trouble.to_string()))?;
        Ok(lacking.map(|trouble| trouble.to_string()))
    }

    fn offload(
        &self,
        interfaces: Vec<String>,
        modes: Vec<String>,
    ) -> PyResult<(&'static str, String)> {
        let modes: Result<Vec<Mode>, _> = modes.iter().map(|word| word.parse()).collect();
        let modes = modes.map_err(PyValueError::new_err)?;
        let attached = self.native.offload(&interfaces, &modes);
        let attached = attached.map_err(|trouble| PyValueError::new_err(trouble.to_string()))?;
        Ok((attached.mode.name(), attached.instead))
    }

    fn bind_relay(&self, ip: &[u8], port: u16) -> PyResult<()> {
        self.native
            .bind_relay(address_of(ip, port)?)
            .map_err(os_error)
    }

    fn release_relay(&self, ip: &[u8], port: u16) -> PyResult<()> {
        self.native.release_relay(address_of(ip, port)?);
        Ok(())
    }

    fn bind_tcp_relay(&self, ip: &[u8], port: u16) -> PyResult<()> {
        self.native
            .bind_tcp_relay(address_of(ip, port)?)
            .map_err(os_error)
    }

    fn release_tcp_relay(&self, ip: &[u8], port: u16) -> PyResult<()> {
        self.native.release_tcp_relay(address_of(ip, port)?);
        Ok(())
    }

    fn start(&self) -> PyResult<()> {
        self.native.start().map_err(os_error)
    }

    fn fileno(&self) -> i32 {
        self.native.fd()
    }

    #[pyo3(signature = (limit=64))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let events = self.native.drain(limit);
        events
            .into_iter()
            .map(|event| raw_event(py, event))
            .collect()
    }

    fn apply(&self, commands: Vec<Bound<'_, PyTuple>>) -> PyResult<()> {
        let commands: Vec<_> = commands.iter().map(command_of).collect::<PyResult<_>>()?;
        self.native.apply(commands);
        Ok(())
    }

    fn counters(&self) -> HashMap<String, u64> {
        self.native.counters().into_iter().collect()
    }

    fn worker_counters(&self) -> Vec<HashMap<String, u64>> {
        let workers = self.native.worker_counters().into_iter();
        workers.map(|counts| counts.into_iter().collect()).collect()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.native.stop());
    }
}

fn raw_event(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::Request {
            five_tuple,
            message,
        } => {
            let five_tuple = raw_five_tuple(py, &five_tuple);
            (0, five_tuple, PyBytes::new(py, &message)).into_pyobject(py)
        }
        Event::Closed { allocation, usage } => (
            1,
            allocation,
            usage.sent_packets,
            usage.sent_bytes,
            usage.received_packets,
            usage.received_bytes,
            usage.dropped_packets,
        )
            .into_pyobject(py),
        Event::Disconnected { five_tuple } => {
            (2, raw_five_tuple(py, &five_tuple)).into_pyobject(py)
        }
        Event::RelayedClosed { allocation, family } => {
            (8, allocation, raw_family(family)).into_pyobject(py)
        }
        Event::Moved {
            allocation,
            five_tuple,
        } => (7, allocation, raw_five_tuple(py, &five_tuple)).into_pyobject(py),
        Event::Connected {
            connection,
            succeeded,
        } => (4, connection, succeeded).into_pyobject(py),
        Event::Arrived {
            allocation,
            peer,
            connection,
        } => {
            let ip = ip_bytes(py, peer.ip());
            (5, allocation, ip, peer.port(), connection).into_pyobject(py)
        }
        Event::Ended {
            connection,
            sent_bytes,
            received_bytes,
        } => (6, connection, sent_bytes, received_bytes).into_pyobject(py),
        Event::Notice { text } => (3, text).into_pyobject(py),
        Event::Answered { five_tuple } => (9, raw_five_tuple(py, &five_tuple)).into_pyobject(py),
        Event::Dropped {
            five_tuple,
            reason,
            length,
            beginning,
        } => {
            let five_tuple = raw_five_tuple(py, &five_tuple);
            let beginning = PyBytes::new(py, &beginning);
            (10, five_tuple, reason.name(), length, beginning).into_pyobject(py)
        }
    }
}

fn outfit(buffer: usize, device: &str) -> Outfit {
    Outfit {
        buffer,
        device: device.to_owned(),
    }
}
