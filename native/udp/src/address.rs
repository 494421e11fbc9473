//! Socket addresses as the kernel writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::fixed::Plain;

/// An IPv4 or IPv6 socket address in the kernel's form.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

// SAFETY: integers and arrays of them.
unsafe impl Plain for RawAddress {}

/// The space that the kernel may write an address to.
pub(crate) const ADDRESS_LENGTH: libc::socklen_t = size_of::<RawAddress>() as libc::socklen_t;

impl RawAddress {
    /// No address of any kind; every byte of it is initialized, and stays so.
    fn zeroed() -> Self {
        let unspecified = libc::in6_addr { s6_addr: [0; 16] };
        let v6 = libc::sockaddr_in6 {
            sin6_family: 0,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: unspecified,
            sin6_scope_id: 0,
        };
        Self { v6 }
    }

    /// The kernel's form of an address, and its length.
    pub(crate) fn of(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut raw = Self::zeroed();
        match address {
            SocketAddr::V4(address) => {
                raw.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(address.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                (raw, size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(address) => {
                raw.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr {
                        s6_addr: address.ip().octets(),
                    },
                    sin6_scope_id: 0,
                };
                (raw, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
            }
        }
    }

    /// The address, without flow label and scope; `None` for what is neither IPv4 nor IPv6.
    pub(crate) fn decode(&self) -> Option<SocketAddr> {
        // SAFETY: every byte of the union is initialized (it is made zeroed, also by `of`), and the
        // family lies at the beginning of each of its forms.
        match i32::from(unsafe { self.family }) {
            libc::AF_INET => {
                // SAFETY: as above; any bytes make a `sockaddr_in`.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 => {
                // SAFETY: as above; any bytes make a `sockaddr_in6`.
                let v6 = unsafe { self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Some(SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port)))
            }
            _ => None,
        }
    }
}

/// The same address without flow label and scope, as tables compare it.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// Whether an IP means nothing without the interface that it belongs to.
pub(crate) fn needs_scope(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_kernels_form() {
        for text in ["192.0.2.1:3478", "[2001:db8::1]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(RawAddress::of(address).0.decode(), Some(address));
        }
    }

    #[test]
    fn another_family_is_no_address() {
        let mut raw = RawAddress::of(SocketAddr::from(([0; 16], 0))).0;
        raw.family = libc::AF_UNIX as libc::sa_family_t;
        assert_eq!(raw.decode(), None);
    }

    #[test]
    fn no_byte_behind_an_ipv4_address_is_left_to_chance() {
        #[inline(never)]
        fn use_the_stack(octet: u8) {
            let used = std::hint::black_box([octet; 4096]);
            assert_eq!(used[4095], octet);
        }
        let of =
            std::hint::black_box(RawAddress::of as fn(SocketAddr) -> (RawAddress, libc::socklen_t));
        let address = SocketAddr::from(([192, 0, 2, 1], 3478));
        for octet in [0x55, 0xAA] {
            use_the_stack(octet);
            let (raw, _) = of(address);
            // SAFETY: every byte is initialized, and any bytes make a `sockaddr_in6`.
            let v6 = unsafe { raw.v6 };
            assert_eq!(v6.sin6_addr.s6_addr[8..], [0; 8]);
            assert_eq!(v6.sin6_scope_id, 0);
        }
    }
}
