//! A UDP socket that clients send to. All workers have one at each address; the kernel chooses by the
//! client's address which of them gets its datagrams (`SO_REUSEPORT`).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ferryman_flow::{FiveTuple, Transport};

use crate::sockets::Sockets;

/// A UDP socket that clients send to.
pub(crate) struct Listener {
    sockets: Arc<Sockets>,
    worker: usize,
    /// Its number in 5-tuples.
    pub(crate) number: u64,
    /// It is given up: it serves the clients that it has, and nobody else.
    pub(crate) is_retired: bool,
}

impl Listener {
    /// A worker's, for everybody.
    pub(crate) fn of(sockets: Arc<Sockets>, worker: usize, number: u64) -> Self {
        Self {
            sockets,
            worker,
            number,
            is_retired: false,
        }
    }

    /// Whether it is bound to this address and no other.
    pub(crate) fn is_bound_to(&self, address: SocketAddr) -> bool {
        self.address() == address
    }

    /// The 5-tuple of a datagram from `client`; `None` when the socket is bound to all addresses
    /// and the kernel did not tell which one was meant.
    pub(crate) fn five_tuple(
        &self,
        client: SocketAddr,
        local: Option<IpAddr>,
    ) -> Option<FiveTuple> {
        let server = if self.is_wildcard() {
            SocketAddr::new(local?, self.address().port())
        } else {
            self.address()
        };
        Some(FiveTuple {
            transport: Transport::Udp,
            client,
            server,
            socket: self.number,
        })
    }

    /// The address to put on datagrams to a client that sends to `server`.
    pub(crate) fn source(&self, server: SocketAddr) -> Option<IpAddr> {
        self.is_wildcard().then_some(server.ip())
    }

    fn address(&self) -> SocketAddr {
        self.sockets.address()
    }

    fn is_wildcard(&self) -> bool {
        self.address().ip().is_unspecified()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sockets.of(self.worker).as_fd()
    }
}
