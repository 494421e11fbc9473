//! What the worker has to tell: requests for the engine, ends of allocations and connections.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferryman_flow::{Family, FiveTuple, Usage};

use crate::bell::Bell;

/// The part of the queue that requests from streams may fill: one of so many.
const STREAM_SHARE: usize = 8;

/// News from the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request that needs a decision.
    Request {
        /// Who asks.
        five_tuple: FiveTuple,
        /// One STUN message, at most `ferryman_flow::REQUEST_LIMIT` bytes.
        message: Vec<u8>,
    },
    /// An allocation was closed and its relay socket with it.
    Closed {
        /// Which one.
        allocation: u64,
        /// What it carried.
        usage: Usage,
    },
    /// One relayed address of an allocation was closed, and its relay socket with it.
    RelayedClosed {
        /// Which allocation.
        allocation: u64,
        /// The relayed address's family.
        family: Family,
    },
    /// A connection or association ended that had asked something.
    Disconnected {
        /// Which one.
        five_tuple: FiveTuple,
    },
    /// A client that was moving has moved (RFC 8016 §3.2.2).
    Moved {
        /// Whose client.
        allocation: u64,
        /// Where to.
        five_tuple: FiveTuple,
    },
    /// An attempt to connect to a peer is over.
    Connected {
        /// Which one.
        connection: u64,
        /// Whether the peer has answered.
        succeeded: bool,
    },
    /// A permitted peer has connected to a relayed address.
    Arrived {
        /// Whose relayed address it is.
        allocation: u64,
        /// Who it is; a relayed address of this server by its advertised name.
        peer: SocketAddr,
        /// The number of the connection.
        connection: u64,
    },
    /// A peer's connection has ended, and the client's that it was joined with.
    Ended {
        /// Which one.
        connection: u64,
        /// Bytes that went to the peer.
        sent_bytes: u64,
        /// Bytes that came from the peer.
        received_bytes: u64,
    },
    /// Something that the operator should know.
    Notice {
        /// One line.
        text: String,
    },
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// The worker holds something back until there is room.
    room_wanted: bool,
}

/// Events on their way out; requests are limited in number, the ends of what was let in are not.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    limit: usize,
    /// Streams can wait, datagrams cannot: requests from streams leave most of the room to others.
    stream_limit: usize,
    pub(crate) bell: Bell,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> std::io::Result<Self> {
        Ok(Self {
            waiting: Mutex::default(),
            limit,
            stream_limit: limit.div_ceil(STREAM_SHARE),
            bell: Bell::new()?,
        })
    }

    /// Appends an event that must not be lost.
    pub(crate) fn push(&self, event: Event) {
        self.append(self.lock(), event);
    }

    /// Appends an event if there is room; otherwise returns false, and if `wait` (a stream), the
    /// next `drain` that makes room for streams tells so.
    pub(crate) fn offer(&self, wait: bool, event: impl FnOnce() -> Event) -> bool {
        let mut waiting = self.lock();
        let limit = if wait { self.stream_limit } else { self.limit };
        if waiting.events.len() >= limit {
            waiting.room_wanted |= wait;
            return false;
        }
        self.append(waiting, event());
        true
    }

    /// Whether there is room for a stream; if not, the next `drain` that makes some tells.
    pub(crate) fn has_room_or_will_tell(&self) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.events.len() < self.stream_limit;
        waiting.room_wanted |= !has_room;
        has_room
    }

    /// Takes up to `limit` events, and tells whether the worker waited for the room they leave.
    /// The bell stays readable as long as events are left.
    pub(crate) fn drain(&self, limit: usize) -> (Vec<Event>, bool) {
        let mut waiting = self.lock();
        let count = waiting.events.len().min(limit);
        let events: Vec<_> = waiting.events.drain(..count).collect();
        if waiting.events.is_empty() {
            self.bell.clear();
        }
        let has_room = waiting.events.len() < self.stream_limit;
        let wanted = has_room && std::mem::take(&mut waiting.room_wanted);
        (events, wanted)
    }

    fn append(&self, mut waiting: MutexGuard<'_, Waiting>, event: Event) {
        // Rung under the lock: `drain` clears under it, so no ring is lost between the two.
        if waiting.events.is_empty() {
            self.bell.ring();
        }
        waiting.events.push_back(event);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
