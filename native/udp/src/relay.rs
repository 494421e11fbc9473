//! Relay sockets: bound ahead of need, then the relayed addresses of allocations (RFC 8656 §7.2).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferryman_flow::Slot;
use socket2::Socket;

use crate::batch_out::Route;
use crate::options::{datagram_socket, RELAY_BUFFER};

/// Relay sockets that are bound and not yet anyone's.
#[derive(Default)]
pub(crate) struct Parked {
    sockets: Mutex<HashMap<(IpAddr, u16), Socket>>,
}

impl Parked {
    /// Binds and keeps a socket.
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        if address.port() == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = datagram_socket(address, RELAY_BUFFER)?;
        socket.bind(&address.into())?;
        self.lock().insert(key(address), socket);
        Ok(())
    }

    /// Gives a socket out, or closes it when the result is dropped.
    pub(crate) fn take(&self, address: SocketAddr) -> Option<Socket> {
        self.lock().remove(&key(address))
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(IpAddr, u16), Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip(), address.port())
}

/// How the client of an allocation is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Through a listener.
    Datagrams(Route),
    /// Through a connection, by its number; it may be gone.
    Stream(u64),
}

/// The relay socket of an allocation.
pub(crate) struct Relay {
    socket: Socket,
    /// Where the allocation lives in the table.
    pub(crate) slot: Slot,
    pub(crate) client: Client,
}

impl Relay {
    pub(crate) fn new(socket: Socket, slot: Slot, client: Client) -> Self {
        Self {
            socket,
            slot,
            client,
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
