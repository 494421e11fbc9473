//! The four transport addresses of NAT behaviour discovery (RFC 5780 §6): two IPs with two ports
//! each.
//!
//! Knows which of them is the alternate of which, not what is bound there.

use std::net::{IpAddr, SocketAddr};

/// Two IPs of one family and two ports; clients are served on all four combinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The IPs that sockets are bound to.
    pub bound: [IpAddr; 2],
    /// The same two, as clients know them.
    pub advertised: [IpAddr; 2],
    /// The ports.
    pub ports: [u16; 2],
}

/// One of the four addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corner {
    ip: usize,
    port: usize,
}

impl Discovery {
    /// Which of the four a (bound) address is.
    pub(crate) fn corner(&self, bound: SocketAddr) -> Option<Corner> {
        Some(Corner {
            ip: self.bound.iter().position(|ip| *ip == bound.ip())?,
            port: self.ports.iter().position(|port| *port == bound.port())?,
        })
    }

    pub(crate) fn bound(&self, corner: Corner) -> SocketAddr {
        SocketAddr::new(self.bound[corner.ip], self.ports[corner.port])
    }

    pub(crate) fn advertised(&self, corner: Corner) -> SocketAddr {
        SocketAddr::new(self.advertised[corner.ip], self.ports[corner.port])
    }
}

impl Corner {
    /// The address with the other IP, the other port, or both (RFC 5780 §6.1, table 1).
    pub(crate) fn changed(self, ip: bool, port: bool) -> Self {
        Self {
            ip: self.ip ^ usize::from(ip),
            port: self.port ^ usize::from(port),
        }
    }
}
