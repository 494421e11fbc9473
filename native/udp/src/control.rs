//! Control messages beside a datagram: the local address it came to or leaves from (`pktinfo`)
//! and where a train of datagrams is to be cut (`UDP_GRO`, `UDP_SEGMENT`).
//!
//! Written and read as bytes in Linux's layout: a length of pointer size, level, type, the
//! value, padding to pointer size.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::fixed::Plain;

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;
/// Both messages, IPv6: 16 + 24 (20, padded) and 16 + 8 bytes; the rest is reserve.
const SPACE: usize = 96;

/// Room for the control messages of one datagram.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    octets: [u8; SPACE],
}

// SAFETY: bytes.
unsafe impl Plain for Control {}

/// What came beside a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    /// The local address that answers it, and whether it was sent to that very address (and not
    /// to a broadcast or multicast address).
    pub(crate) local: Option<(IpAddr, bool)>,
    /// The length of each datagram of a train, the last one excepted.
    pub(crate) segment: Option<usize>,
}

impl Control {
    pub(crate) const LENGTH: usize = SPACE;

    /// Reads the first `length` bytes.
    pub(crate) fn decode(&self, length: usize) -> Beside {
        let mut beside = Beside::default();
        let mut rest = &self.octets[..length.min(SPACE)];
        while let Some((level, kind, value, after)) = split(rest) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => beside.local = pktinfo_v4(value),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => beside.local = pktinfo_v6(value),
                (libc::SOL_UDP, libc::UDP_GRO) => beside.segment = segment(value),
                _ => {}
            }
            rest = after;
        }
        beside
    }

    /// Writes what a datagram needs; returns the length to pass to the kernel, 0 for nothing.
    pub(crate) fn encode(&mut self, source: Option<IpAddr>, segment: Option<u16>) -> usize {
        let mut length = 0;
        match source {
            // The interface (4 bytes) stays 0: the route decides. The source is `ipi_spec_dst`,
            // which lies in the middle of a `struct in_pktinfo`.
            Some(IpAddr::V4(ip)) => {
                let mut value = [0; 12];
                value[4..8].copy_from_slice(&ip.octets());
                length += self.put(length, libc::IPPROTO_IP, libc::IP_PKTINFO, &value);
            }
            Some(IpAddr::V6(ip)) => {
                let mut value = [0; 20];
                value[..16].copy_from_slice(&ip.octets());
                length += self.put(length, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &value);
            }
            None => {}
        }
        if let Some(segment) = segment {
            let value = segment.to_ne_bytes();
            length += self.put(length, libc::SOL_UDP, libc::UDP_SEGMENT, &value);
        }
        length
    }

    fn put(&mut self, at: usize, level: i32, kind: i32, value: &[u8]) -> usize {
        let end = HEADER + value.len();
        let octets = &mut self.octets[at..at + padded(end)];
        octets[..WORD].copy_from_slice(&end.to_ne_bytes());
        octets[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        octets[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        octets[HEADER..end].copy_from_slice(value);
        octets[end..].fill(0);
        padded(end)
    }
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(WORD)
}

/// The first control message: level, type, value, and what follows it.
pub(crate) fn split(octets: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let end = usize::from_ne_bytes(*octets.first_chunk()?);
    let level = i32::from_ne_bytes(*octets.get(WORD..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*octets.get(WORD + 4..)?.first_chunk()?);
    let value = octets.get(HEADER..end)?;
    let after = octets.get(padded(end)..).unwrap_or_default();
    Some((level, kind, value, after))
}

fn pktinfo_v4(value: &[u8]) -> Option<(IpAddr, bool)> {
    let local: [u8; 4] = *value.get(4..)?.first_chunk()?;
    let destination: [u8; 4] = *value.get(8..)?.first_chunk()?;
    Some((Ipv4Addr::from(local).into(), local == destination))
}

fn pktinfo_v6(value: &[u8]) -> Option<(IpAddr, bool)> {
    let destination = Ipv6Addr::from(*value.first_chunk::<16>()?);
    Some((destination.into(), !destination.is_multicast()))
}

fn segment(value: &[u8]) -> Option<usize> {
    let length = i32::from_ne_bytes(*value.first_chunk()?);
    usize::try_from(length).ok().filter(|length| *length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Control = Control { octets: [0; SPACE] };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn ipv4_pktinfo_has_the_layout_of_struct_in_pktinfo() {
        let mut control = EMPTY;
        assert_eq!(
            control.encode(Some(ip("192.0.2.7")), None),
            padded(HEADER + 12)
        );
        // Sent back by the kernel, the header destination is filled in.
        control.octets[HEADER + 8..HEADER + 12].copy_from_slice(&[192, 0, 2, 7]);
        let beside = control.decode(padded(HEADER + 12));
        assert_eq!(beside.local, Some((ip("192.0.2.7"), true)));
        control.octets[HEADER + 11] = 255;
        assert_eq!(
            control.decode(padded(HEADER + 12)).local,
            Some((ip("192.0.2.7"), false))
        );
    }

    #[test]
    fn ipv6_multicast_is_not_the_address_that_answers() {
        let mut control = EMPTY;
        let length = control.encode(Some(ip("ff02::1")), None);
        assert_eq!(control.decode(length).local, Some((ip("ff02::1"), false)));
    }

    #[test]
    fn both_messages_fit_and_are_found() {
        let mut control = EMPTY;
        let length = control.encode(Some(ip("2001:db8::1")), Some(1200));
        assert_eq!(length, padded(HEADER + 20) + padded(HEADER + 2));
        // UDP_GRO, as received, is an int where UDP_SEGMENT, as sent, is a u16.
        let at = padded(HEADER + 20);
        control.put(at, libc::SOL_UDP, libc::UDP_GRO, &1200i32.to_ne_bytes());
        let beside = control.decode(at + padded(HEADER + 4));
        assert_eq!(beside.local, Some((ip("2001:db8::1"), true)));
        assert_eq!(beside.segment, Some(1200));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let mut control = EMPTY;
        for lie in [0usize, 1, HEADER - 1, SPACE + 1, usize::MAX - 3] {
            control.octets[..WORD].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(control.decode(SPACE), Beside::default());
        }
    }
}
