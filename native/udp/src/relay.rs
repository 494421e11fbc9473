//! Relay sockets: bound ahead of need, then the relayed addresses of allocations (RFC 8656 §7.2).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferryman_flow::{Family, Slot, Transport};
use socket2::Socket;

use crate::batch_out::Route;
use crate::options::{relay_socket, Outfit};
use crate::parcels::Label;

/// Relay sockets that are bound and not yet anyone's.
pub(crate) struct Parked {
    outfit: Outfit,
    sockets: Mutex<HashMap<(IpAddr, u16), Socket>>,
}

impl Parked {
    /// None yet; sockets are made in this way.
    pub(crate) fn new(outfit: Outfit) -> Self {
        Self {
            outfit,
            sockets: Mutex::default(),
        }
    }

    /// Binds and keeps a socket.
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        if address.port() == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = relay_socket(address, &self.outfit)?;
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
    /// Through a DTLS association, by its number; it may be gone.
    Association(u64),
    /// Through a connection or an association of another worker.
    Elsewhere(Elsewhere),
}

/// A connection or an association of another worker; it may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(crate) worker: u16,
    pub(crate) is_stream: bool,
    pub(crate) number: u64,
}

impl Elsewhere {
    /// One that frames messages as its own does.
    pub(crate) fn transport(self) -> Transport {
        if self.is_stream {
            Transport::Tcp
        } else {
            Transport::Dtls
        }
    }

    pub(crate) fn label(self) -> Label {
        Label::ToClient {
            number: self.number,
            is_stream: self.is_stream,
        }
    }
}

/// The relay sockets of an allocation, one of a family at most.
pub(crate) struct Relay {
    sockets: [Option<Socket>; 2],
    /// Where the allocation lives in the table.
    pub(crate) slot: Slot,
    pub(crate) client: Client,
}

impl Relay {
    pub(crate) fn new(slot: Slot, client: Client) -> Self {
        Self {
            sockets: [None, None],
            slot,
            client,
        }
    }

    /// Keeps the socket for a family, or closes the one that is there.
    pub(crate) fn set(&mut self, family: Family, socket: Option<Socket>) {
        self.sockets[family.index()] = socket;
    }

    /// The socket for a family.
    pub(crate) fn socket(&self, family: Family) -> Option<BorrowedFd<'_>> {
        self.sockets[family.index()].as_ref().map(AsFd::as_fd)
    }
}

/// Which relay socket: the slot of its allocation and its family, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RelayPlace(u32);

impl RelayPlace {
    pub(crate) fn new(slot: Slot, family: Family) -> Self {
        Self((slot.index() * 2 + family.index()) as u32)
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The index of the slot.
    pub(crate) fn slot(self) -> usize {
        (self.0 / 2) as usize
    }

    pub(crate) fn family(self) -> Family {
        Family::ALL[(self.0 % 2) as usize]
    }
}
