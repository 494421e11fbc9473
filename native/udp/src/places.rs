//! Where the datapath listens, as its owner knows it: an address that was given up can be taken
//! again while its socket still serves the clients that it has.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::crew::Crew;
use crate::options::Outfit;
use crate::sockets::Sockets;

/// What is listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Datagrams,
    Streams,
}

struct Place {
    address: SocketAddr,
    kind: Kind,
    /// Of datagrams: the serial of the numbers in 5-tuples.
    serial: u64,
    /// The workers' sockets, for as long as one of them keeps its own.
    sockets: Weak<Sockets>,
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

    /// Sockets for datagrams that are bound now, or those that were given up at this address, and
    /// their serial.
    pub(crate) fn datagrams(
        &self,
        address: SocketAddr,
        crew: &Crew,
    ) -> io::Result<(Arc<Sockets>, u64)> {
        self.sockets(address, Kind::Datagrams, || {
            let sockets = Sockets::datagrams(address, crew.count(), &self.outfit)?;
            Ok((sockets, crew.serial()))
        })
    }

    /// The same for streams.
    pub(crate) fn streams(&self, address: SocketAddr, crew: &Crew) -> io::Result<Arc<Sockets>> {
        let bind = || Ok((Sockets::streams(address, crew.count(), &self.outfit)?, 0));
        Ok(self.sockets(address, Kind::Streams, bind)?.0)
    }

    fn sockets(
        &self,
        address: SocketAddr,
        kind: Kind,
        bind: impl FnOnce() -> io::Result<(Sockets, u64)>,
    ) -> io::Result<(Arc<Sockets>, u64)> {
        let mut known = self.lock();
        if let Some(found) = take(&mut known, address, kind) {
            return Ok(found);
        }
        let (sockets, serial) = bind()?;
        let sockets = Arc::new(sockets);
        known.push(Place {
            address: sockets.address(),
            kind,
            serial,
            sockets: Arc::downgrade(&sockets),
            is_left: false,
        });
        Ok((sockets, serial))
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
        known.retain(|place| place.sockets.strong_count() > 0);
        known
    }
}

/// The sockets of an address that was given up, if a worker still has its own, and their serial.
fn take(known: &mut [Place], address: SocketAddr, kind: Kind) -> Option<(Arc<Sockets>, u64)> {
    let place = known
        .iter_mut()
        .find(|place| place.is_left && (place.address, place.kind) == (address, kind))?;
    let sockets = place.sockets.upgrade()?;
    place.is_left = false;
    Some((sockets, place.serial))
}
