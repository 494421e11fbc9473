//! A UDP socket that clients send to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ferryman_flow::{FiveTuple, Transport};
use socket2::Socket;

use crate::options::{listener_socket, tell_local_address, Outfit};

/// A UDP socket that clients send to.
pub(crate) struct Listener {
    socket: Arc<Socket>,
    /// Its number in 5-tuples.
    pub(crate) number: u64,
    address: SocketAddr,
    /// It is given up: it serves the clients that it has, and nobody else.
    pub(crate) is_retired: bool,
}

impl Listener {
    /// Binds; port 0 takes any.
    pub(crate) fn bind(address: SocketAddr, number: u64, outfit: &Outfit) -> io::Result<Self> {
        let socket = listener_socket(address, outfit)?;
        if address.ip().is_unspecified() {
            tell_local_address(&socket, address)?;
        }
        socket.bind(&address.into())?;
        let port = bound_port(&socket)?;
        Ok(Self {
            socket: Arc::new(socket),
            number,
            address: SocketAddr::new(address.ip(), port),
            is_retired: false,
        })
    }

    /// The same socket once more, for everybody.
    pub(crate) fn of(socket: Arc<Socket>, number: u64, address: SocketAddr) -> Self {
        Self {
            socket,
            number,
            address,
            is_retired: false,
        }
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether it is bound to this address and no other.
    pub(crate) fn is_bound_to(&self, address: SocketAddr) -> bool {
        self.address == address
    }

    /// The 5-tuple of a datagram from `client`; `None` when the socket is bound to all addresses
    /// and the kernel did not tell which one was meant.
    pub(crate) fn five_tuple(
        &self,
        client: SocketAddr,
        local: Option<IpAddr>,
    ) -> Option<FiveTuple> {
        let server = if self.is_wildcard() {
            SocketAddr::new(local?, self.address.port())
        } else {
            self.address
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

    fn is_wildcard(&self) -> bool {
        self.address.ip().is_unspecified()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The port a socket is bound to.
pub(crate) fn bound_port(socket: &Socket) -> io::Result<u16> {
    let address = socket.local_addr()?.as_socket();
    Ok(address.map_or(0, |address| address.port()))
}
