//! The two address families, as places for what an allocation may have once of each.

use std::net::IpAddr;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, in the order of their places.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an IP.
    #[inline]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// Its place in a pair: 0 for IPv4, 1 for IPv6.
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}
