//! Addresses as Python passes them (IP bytes, port) to `std::net` and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ferryman_flow::{Discovery, Family, FiveTuple, Transport};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Transport number, client IP and port, server IP and port, socket.
pub(crate) type RawFiveTuple<'py> = (u16, Bound<'py, PyBytes>, u16, Bound<'py, PyBytes>, u16, u64);

/// An IP from its 4 or 16 bytes; ValueError for any other number of them.
pub(crate) fn ip_of(octets: &[u8]) -> PyResult<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => Ok(IpAddr::V6(Ipv6Addr::from(octets))),
        Err(_) => Err(PyValueError::new_err("an IP has 4 or 16 bytes")),
    }
}

/// A transport address from IP bytes and a port.
pub(crate) fn address_of(octets: &[u8], port: u16) -> PyResult<SocketAddr> {
    Ok(SocketAddr::new(ip_of(octets)?, port))
}

/// Primary and alternate IP, each as it is bound and as it is advertised; the two ports.
pub(crate) type RawDiscovery<'py> = (
    (Bound<'py, PyBytes>, Bound<'py, PyBytes>),
    (Bound<'py, PyBytes>, Bound<'py, PyBytes>),
    (u16, u16),
);

/// The addresses of NAT behaviour discovery from Python; ValueError for IPs of two families.
pub(crate) fn discovery_of(raw: &RawDiscovery<'_>) -> PyResult<Discovery> {
    let (bound, advertised, ports) = raw;
    let pair = |(one, other): &(Bound<'_, PyBytes>, Bound<'_, PyBytes>)| {
        Ok::<_, PyErr>([ip_of(one.as_bytes())?, ip_of(other.as_bytes())?])
    };
    let (bound, advertised) = (pair(bound)?, pair(advertised)?);
    let mut all = bound.iter().chain(&advertised);
    if !all.all(|ip| ip.is_ipv4() == bound[0].is_ipv4()) {
        return Err(PyValueError::new_err("expected IPs of one family"));
    }
    let ports = [ports.0, ports.1];
    Ok(Discovery {
        bound,
        advertised,
        ports,
    })
}

/// The 4 or 16 bytes of an IP.
pub(crate) fn ip_bytes(py: Python<'_>, ip: IpAddr) -> Bound<'_, PyBytes> {
    match ip {
        IpAddr::V4(ip) => PyBytes::new(py, &ip.octets()),
        IpAddr::V6(ip) => PyBytes::new(py, &ip.octets()),
    }
}

/// A family as STUN numbers it (RFC 8489 §14.1); ValueError for any other number.
pub(crate) fn family_of(number: u8) -> PyResult<Family> {
    match number {
        1 => Ok(Family::V4),
        2 => Ok(Family::V6),
        _ => Err(PyValueError::new_err("a family is 1 (IPv4) or 2 (IPv6)")),
    }
}

/// The number of a family.
pub(crate) fn raw_family(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

/// A 5-tuple from Python; ValueError for an unknown transport.
pub(crate) fn five_tuple_of(raw: &RawFiveTuple<'_>) -> PyResult<FiveTuple> {
    let (protocol, client_ip, client_port, server_ip, server_port, socket) = raw;
    let transport =
        Transport::of(*protocol).ok_or_else(|| PyValueError::new_err("no such transport"))?;
    Ok(FiveTuple {
        transport,
        client: address_of(client_ip.as_bytes(), *client_port)?,
        server: address_of(server_ip.as_bytes(), *server_port)?,
        socket: *socket,
    })
}

/// A 5-tuple for Python.
pub(crate) fn raw_five_tuple<'py>(py: Python<'py>, five_tuple: &FiveTuple) -> RawFiveTuple<'py> {
    let (client, server) = (five_tuple.client, five_tuple.server);
    (
        five_tuple.transport.number(),
        ip_bytes(py, client.ip()),
        client.port(),
        ip_bytes(py, server.ip()),
        server.port(),
        five_tuple.socket,
    )
}
