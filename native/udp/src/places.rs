//! Where the datapath listens, as its owner knows it: an address that was given up can be taken
//! again while its socket still serves the clients that it has.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::Socket;

use crate::acceptor::Acceptor;
use crate::listener::Listener;
use crate::options::Outfit;

/// What is listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Datagrams,
    Streams,
}

struct Place {
    address: SocketAddr,
    kind: Kind,
    /// Of datagrams: the number in 5-tuples.
    number: u64,
    /// The worker's socket, for as long as it keeps it.
    socket: Weak<Socket>,
    is_left: bool,
}

/// The addresses that are listened at, and those that were.
pub(crate) struct Places {
    outfit: Outfit,
    known: Mutex<Vec<Place>>,
}

impl Places {
    /// No place yet; sockets are made in this way.
    pub(crate) fn new(outfit: Outfit) -> Self {
        Self {
            outfit,
            known: Mutex::default(),
        }
    }

    /// A listener that is bound now, or the one that was given up at this address.
    pub(crate) fn listener(
        &self,
        address: SocketAddr,
        number: impl FnOnce() -> u64,
    ) -> io::Result<Listener> {
        let mut known = self.lock();
        if let Some((socket, number)) = take(&mut known, address, Kind::Datagrams) {
            return Ok(Listener::of(socket, number, address));
        }
        let listener = Listener::bind(address, number(), &self.outfit)?;
        known.push(Place {
            address: listener.address(),
            kind: Kind::Datagrams,
            number: listener.number,
            socket: Arc::downgrade(listener.socket()),
            is_left: false,
        });
        Ok(listener)
    }

    /// The same for streams; `plain` as in `Acceptor`.
    pub(crate) fn acceptor(&self, address: SocketAddr, plain: bool) -> io::Result<Acceptor> {
        let mut known = self.lock();
        if let Some((socket, _)) = take(&mut known, address, Kind::Streams) {
            return Ok(Acceptor::of(socket, address, plain));
        }
        let acceptor = Acceptor::bind(address, plain, &self.outfit)?;
        known.push(Place {
            address: acceptor.address(),
            kind: Kind::Streams,
            number: 0,
            socket: Arc::downgrade(acceptor.socket()),
            is_left: false,
        });
        Ok(acceptor)
    }

    /// An address is given up.
    pub(crate) fn leave(&self, address: SocketAddr, kind: Kind) {
        let mut known = self.lock();
        let found = known
            .iter_mut()
            .find(|place| (place.address, place.kind) == (address, kind));
        if let Some(place) = found {
            place.is_left = true;
        }
    }

    /// What is known, without the sockets that are closed.
    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|place| place.socket.strong_count() > 0);
        known
    }
}

/// The socket of an address that was given up, if the worker has not closed it yet.
fn take(known: &mut [Place], address: SocketAddr, kind: Kind) -> Option<(Arc<Socket>, u64)> {
    let place = known
        .iter_mut()
        .find(|place| place.is_left && (place.address, place.kind) == (address, kind))?;
    let socket = place.socket.upgrade()?;
    place.is_left = false;
    Some((socket, place.number))
}
