//! Who a client is when its addresses are counted: an IPv4 address, or an IPv6 network of /64, of
//! which one subscriber has every address (RFC 4291 §2.5.4).

use std::net::IpAddr;

/// Where packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// IPv4, also where IPv6 carries it (RFC 4291 §2.5.5.2).
    Address(u32),
    /// The first 64 bits of an IPv6 address.
    Network(u64),
}

impl Source {
    /// The source that an address belongs to.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Address(ip.to_bits()),
            IpAddr::V6(ip) => Self::Network((ip.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        Source::of(ip.parse().unwrap_or_else(|_| panic!("{ip}")))
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_mapped_address_is_ipv4() {
        assert_eq!(source("2001:db8:1:2::3"), source("2001:db8:1:2:ffff::"));
        assert_ne!(source("2001:db8:1:2::3"), source("2001:db8:1:3::3"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_ne!(source("0.0.0.1"), source("0:0:0:1::"));
    }
}
