//! A relay socket's error queue: ICMP errors about datagrams that left through it
//! (`IP_RECVERR`, `IPV6_RECVERR`), each with the address that the datagram was sent to.
//!
//! Does not know who is told.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ferryman_flow::Icmp;

use crate::address::{plain, RawAddress, ADDRESS_LENGTH};
use crate::control::split;

/// `SO_EE_ORIGIN_*`: who says so. The kernel itself does when a datagram that must not be taken
/// apart is longer than the first link takes.
const ORIGIN_LOCAL: u8 = 1;
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// Room for the control messages of one entry.
const CONTROL: usize = 256;

/// The length of `struct sock_extended_err`; the address of whoever said so follows it.
const EXTENDED_ERROR: usize = 16;

/// An error about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Where the datagram was sent to.
    pub(crate) peer: SocketAddr,
    pub(crate) icmp: Icmp,
    /// It was this machine that did not take the datagram, and no other.
    pub(crate) is_local: bool,
}

/// Takes the next entry of the queue: `None` when it is empty, `Some(None)` for one that is no
/// ICMP error.
pub(crate) fn next(socket: BorrowedFd<'_>) -> Option<Option<Trouble>> {
    let mut name = RawAddress::of(SocketAddr::from(([0, 0, 0, 0], 0))).0;
    let mut control = [0u8; CONTROL];
    let mut octet = 0u8;
    let mut iovec = libc::iovec {
        iov_base: (&raw mut octet).cast(),
        iov_len: 1,
    };
    // SAFETY: all bytes zero is a `msghdr`: null pointers and integers.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = ADDRESS_LENGTH;
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = CONTROL as _;
    // SAFETY: the header leads to a name, an iovec with one byte and a control buffer, all of which
    // are as long as it says and outlive the call; nothing else refers to them meanwhile.
    let length = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut header,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if length < 0 {
        return interrupted().then_some(None);
    }
    #[allow(clippy::unnecessary_cast)] // not every C library has a usize there
    let filled = header.msg_controllen as usize;
    let error = extended_error(&control[..filled.min(CONTROL)]);
    Some(name.decode().map(plain).zip(error).and_then(trouble_of))
}

fn interrupted() -> bool {
    io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
}

/// The value of the control message that tells the error.
fn extended_error(mut octets: &[u8]) -> Option<&[u8]> {
    while let Some((level, kind, value, after)) = split(octets) {
        if matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            return value.get(..EXTENDED_ERROR);
        }
        octets = after;
    }
    None
}

/// `ee_errno` (4 bytes), `ee_origin`, `ee_type`, `ee_code`, a pad, `ee_info` (4 bytes).
fn trouble_of((peer, value): (SocketAddr, &[u8])) -> Option<Trouble> {
    let word = |at: usize| Some(u32::from_ne_bytes(*value.get(at..)?.first_chunk()?));
    let (errno, mtu) = (word(0)?, word(8)?);
    let (origin, kind, code) = (*value.get(4)?, *value.get(5)?, *value.get(6)?);
    let (kind, code) = match origin {
        ORIGIN_ICMP | ORIGIN_ICMP6 => (kind, code),
        ORIGIN_LOCAL if errno == libc::EMSGSIZE as u32 => too_big(peer),
        _ => return None,
    };
    Some(Trouble {
        peer,
        icmp: Icmp { kind, code, mtu },
        is_local: origin == ORIGIN_LOCAL,
    })
}

/// What a router would have said: "fragmentation needed and DF set", "packet too big".
fn too_big(peer: SocketAddr) -> (u8, u8) {
    if peer.is_ipv4() {
        (3, 4)
    } else {
        (2, 0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn error(errno: i32, origin: u8, kind: u8, code: u8) -> [u8; EXTENDED_ERROR] {
        let mut value = [0; EXTENDED_ERROR];
        value[..4].copy_from_slice(&errno.to_ne_bytes());
        value[4..7].copy_from_slice(&[origin, kind, code]);
        value[8..12].copy_from_slice(&1280u32.to_ne_bytes());
        value
    }

    #[test]
    fn an_extended_error_is_read_as_the_kernel_lays_it_out() {
        let (v4, v6) = (
            SocketAddr::from(([192, 0, 2, 1], 9)),
            SocketAddr::from(([0x2001, 0xDB8, 0, 0, 0, 0, 0, 1], 9)),
        );
        let rows = [
            (v4, error(libc::EMSGSIZE, ORIGIN_ICMP, 3, 4), Some((3, 4))),
            (v4, error(libc::EMSGSIZE, ORIGIN_LOCAL, 0, 0), Some((3, 4))),
            (v6, error(libc::EMSGSIZE, ORIGIN_LOCAL, 0, 0), Some((2, 0))),
            (v6, error(libc::EACCES, ORIGIN_ICMP6, 1, 1), Some((1, 1))),
            (v4, error(libc::EPERM, ORIGIN_LOCAL, 0, 0), None),
            (v4, error(0, 4, 0, 0), None),
        ];
        for (peer, value, told) in rows {
            let mtu = 1280;
            let expected = told.map(|(kind, code)| Trouble {
                peer,
                icmp: Icmp { kind, code, mtu },
                is_local: value[4] == ORIGIN_LOCAL,
            });
            assert_eq!(trouble_of((peer, &value)), expected);
            assert_eq!(trouble_of((peer, &value[..11])), None);
        }
    }

    #[test]
    fn an_empty_queue_has_no_entry() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        assert!(next(socket.as_fd()).is_none());
    }
}
