//! Transport addresses as keys: IP and port alone, in a form that is quick to compare and hash.

use std::net::{IpAddr, SocketAddr};

/// An IP and a port, without the flow label and the scope that a `SocketAddr` may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    ip: u128,
    /// The port, and one bit more for IPv6: the two families share the numbers.
    port: u32,
}

impl From<SocketAddr> for Endpoint {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        let family = u32::from(address.is_ipv6()) << 16;
        Self {
            ip: ip_number(address.ip()),
            port: u32::from(address.port()) | family,
        }
    }
}

/// An IP as a number. Two families share the numbers; within one, they differ.
#[inline]
pub(crate) fn ip_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}
