//! All TCP allocations with their sockets, and all connections of their peers.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use ferryman_flow::{Direction, TcpAllocations};

use crate::crew::Shared;
use crate::peer_stream::PeerStream;
use crate::tcp_relay_socket::TcpRelaySocket;

/// Peer connections at a time, and of one allocation; the engine counts to the same.
const LIMIT: usize = 16_384;
const LIMIT_OF_ALLOCATION: usize = 64;
/// Numbers of connections that peers have begun lie from here on; the engine's lie below.
const FIRST_ARRIVAL: u64 = 1 << 32;

/// What the worker holds for TCP allocations.
pub(crate) struct PeerStreams {
    pub(crate) allocations: TcpAllocations,
    pub(crate) sockets: HashMap<u64, TcpRelaySocket>,
    streams: HashMap<u64, PeerStream>,
    /// Allocation and connection, for every stream.
    by_allocation: BTreeSet<(u64, u64)>,
    /// Connections that wait for bandwidth: until when, and number.
    throttled: BTreeSet<(u64, u64)>,
    /// How many connections all workers have.
    open: Arc<AtomicUsize>,
    /// This worker, and how many there are.
    place: (u64, u64),
    arrivals: u64,
    /// Allocations whose sockets rest because the process has no descriptor left.
    pub(crate) resting: Vec<u64>,
    pub(crate) resume_at: Option<u64>,
}

impl PeerStreams {
    /// Those of one worker.
    pub(crate) fn new(shared: &Shared) -> Self {
        let crew = &shared.crew;
        Self {
            allocations: TcpAllocations::among(Arc::clone(&crew.tcp_relayed)),
            sockets: HashMap::new(),
            streams: HashMap::new(),
            by_allocation: BTreeSet::new(),
            throttled: BTreeSet::new(),
            open: Arc::clone(&crew.peers),
            place: (shared.worker as u64, crew.count() as u64),
            arrivals: 0,
            resting: Vec::new(),
            resume_at: None,
        }
    }

    /// A number for a connection that a peer has begun; never given twice.
    pub(crate) fn arrival_number(&mut self) -> u64 {
        self.arrivals += 1;
        let (worker, workers) = self.place;
        FIRST_ARRIVAL.next_multiple_of(workers) + self.arrivals * workers + worker
    }

    pub(crate) fn has_room(&self, allocation: u64) -> bool {
        self.open.load(Ordering::Relaxed) < LIMIT
            && self.of(allocation).count() < LIMIT_OF_ALLOCATION
    }

    /// The connections of an allocation.
    pub(crate) fn of(&self, allocation: u64) -> impl Iterator<Item = u64> + '_ {
        let range = (allocation, 0)..=(allocation, u64::MAX);
        self.by_allocation.range(range).map(|(_, number)| *number)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut PeerStream> {
        self.streams.get_mut(&number)
    }

    /// Adds a connection; one of the same number is closed.
    pub(crate) fn insert(&mut self, number: u64, stream: PeerStream) {
        self.remove(number);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.by_allocation.insert((stream.allocation, number));
        self.streams.insert(number, stream);
    }

    /// How many bytes may be read now to go one way, beyond `held` that are read already; `None`
    /// when that is for later, of which `next_throttled` will tell.
    pub(crate) fn limit(
        &mut self,
        number: u64,
        direction: Direction,
        held: usize,
        now: u64,
    ) -> Option<usize> {
        let peer = self.streams.get_mut(&number)?;
        if peer.waits(direction, now) {
            return None;
        }
        let Some(allocation) = self.allocations.live_mut(peer.allocation, now) else {
            // Reading finds that out.
            return Some(usize::MAX);
        };
        match allocation.room(direction, held as u64, now) {
            Ok(room) => Some(usize::try_from(room).unwrap_or(usize::MAX)),
            Err(at) => {
                peer.opens_at[direction as usize] = at;
                self.throttled.insert((at, number));
                None
            }
        }
    }

    /// When the next connection has waited long enough for bandwidth.
    pub(crate) fn throttled_until(&self) -> Option<u64> {
        self.throttled.first().map(|(at, _)| *at)
    }

    /// A connection that has waited long enough for bandwidth.
    pub(crate) fn next_throttled(&mut self, now: u64) -> Option<u64> {
        let (at, number) = *self.throttled.first()?;
        if at > now {
            return None;
        }
        self.throttled.pop_first();
        Some(number)
    }

    /// Sends a client's bytes to a joined peer and counts them; false when that is over.
    pub(crate) fn pass(&mut self, number: u64, octets: &[u8], now: u64) -> bool {
        let Some(peer) = self.streams.get_mut(&number) else {
            return false;
        };
        match self.allocations.live_mut(peer.allocation, now) {
            Some(allocation) => {
                allocation.count(Direction::ToPeer, octets.len());
                peer.send(octets).is_ok()
            }
            None => false,
        }
    }

    /// Forgets a connection; dropping it closes it.
    pub(crate) fn remove(&mut self, number: u64) -> Option<PeerStream> {
        let stream = self.streams.remove(&number)?;
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.by_allocation.remove(&(stream.allocation, number));
        Some(stream)
    }
}
