//! What a worker has to tell: requests for the engine, ends of allocations and connections.
//!
//! Each worker has its own queue, so that they do not wait for each other; one bell rings for all.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferryman_flow::{Family, FiveTuple, Reason, Source, Usage};

use crate::bell::Bell;
use crate::lanes::Lanes;

/// The part of the queue that requests from streams may fill: one of so many.
const STREAM_SHARE: usize = 8;
/// The part that DTLS clients without an allocation may fill.
const ASSOCIATION_SHARE: usize = 4;
/// The part that the datagrams of one source may fill.
const SOURCE_SHARE: usize = 16;
/// The part of what is taken at a time that strangers have for certain.
const STRANGERS_TURN: usize = 4;

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
    /// A Binding request was answered, and the operator wants to know.
    Answered {
        /// Whose.
        five_tuple: FiveTuple,
    },
    /// A client's packet was dropped, and the operator wants to know.
    Dropped {
        /// Whose.
        five_tuple: FiveTuple,
        /// Why.
        reason: Reason,
        /// How long it was, in bytes.
        length: usize,
        /// Its first bytes.
        beginning: Vec<u8>,
    },
    /// Something that the operator should know.
    Notice {
        /// One line.
        text: String,
    },
}

/// Who asks, as far as it matters for the room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A connection: it can wait.
    Stream,
    /// A client over datagrams whose 5-tuple leads to an allocation.
    Client(Source),
    /// A DTLS client without an allocation; it shares its queue with the news of its end.
    Association(Source),
    /// Anyone else: over UDP a source costs nothing to make up.
    Stranger(Source),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    Taken,
    /// One of somebody else's was dropped for it.
    InPlaceOfAnother,
    NoRoom,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// Requests of strangers over UDP: however many there are, they are in nobody's way.
    strangers: Lanes,
    /// Of the requests over datagrams, how many each source has.
    of_source: HashMap<Source, usize>,
    /// The worker holds something back until there is room.
    room_wanted: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.strangers.is_empty()
    }

    /// Takes up to `limit` events. Clients come first; a part is for strangers all the same.
    fn take(&mut self, limit: usize) -> Vec<Event> {
        let unused = limit.saturating_sub(self.events.len());
        let of_strangers = unused.max(limit / STRANGERS_TURN).min(self.strangers.len());
        let of_clients = (limit - of_strangers).min(self.events.len());
        let mut taken: Vec<_> = self.events.drain(..of_clients).collect();
        taken.extend((0..of_strangers).filter_map(|_| self.strangers.next()));
        for event in &taken {
            self.discount(event);
        }
        taken
    }

    /// Counts one more request of a source, unless it has its share.
    fn count(&mut self, source: Source, share: usize) -> bool {
        let count = self.of_source.entry(source).or_default();
        if *count >= share {
            return false;
        }
        *count += 1;
        true
    }

    fn discount(&mut self, event: &Event) {
        let Event::Request { five_tuple, .. } = event else {
            return;
        };
        if five_tuple.transport.is_stream() {
            return;
        }
        let source = Source::of(five_tuple.client.ip());
        if let Some(count) = self.of_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&source);
            }
        }
    }
}

/// Events on their way out; requests are limited in number, the ends of what was let in are not.
///
/// A flood of requests fills its own part and no more: strangers over UDP have a line of their own,
/// and no source has more than a sixteenth of either.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    limit: usize,
    bell: Arc<Bell>,
}

impl Queue {
    /// `bell` is the same for all queues.
    pub(crate) fn new(limit: usize, bell: Arc<Bell>) -> Self {
        Self {
            waiting: Mutex::default(),
            limit,
            bell,
        }
    }

    /// Appends an event that must not be lost.
    pub(crate) fn push(&self, event: Event) {
        let mut waiting = self.lock();
        self.ring_for(&waiting);
        waiting.events.push_back(event);
    }

    /// Appends a request if there is room; for a stream without, the next `drain` that makes room
    /// tells so.
    pub(crate) fn offer(&self, asker: Asker, event: impl FnOnce() -> Event) -> Offered {
        let mut waiting = self.lock();
        if let Asker::Stranger(source) = asker {
            return self.offer_of_stranger(waiting, source, event);
        }
        let (source, limit) = match asker {
            Asker::Stream => (None, self.stream_limit()),
            Asker::Association(source) => (Some(source), self.limit.div_ceil(ASSOCIATION_SHARE)),
            Asker::Client(source) | Asker::Stranger(source) => (Some(source), self.limit),
        };
        if waiting.events.len() >= limit {
            waiting.room_wanted |= asker == Asker::Stream;
            return Offered::NoRoom;
        }
        if source.is_some_and(|source| !waiting.count(source, self.limit.div_ceil(SOURCE_SHARE))) {
            return Offered::NoRoom;
        }
        self.ring_for(&waiting);
        waiting.events.push_back(event());
        Offered::Taken
    }

    /// Where strangers fill their line, the source that has most of it gives way.
    fn offer_of_stranger(
        &self,
        mut waiting: MutexGuard<'_, Waiting>,
        source: Source,
        event: impl FnOnce() -> Event,
    ) -> Offered {
        let mut offered = Offered::Taken;
        if waiting.strangers.len() >= self.limit {
            let Some(lost) = waiting.strangers.make_room(source) else {
                return Offered::NoRoom;
            };
            waiting.discount(&lost);
            offered = Offered::InPlaceOfAnother;
        }
        if !waiting.count(source, self.limit.div_ceil(SOURCE_SHARE)) {
            return Offered::NoRoom;
        }
        self.ring_for(&waiting);
        waiting.strangers.push(source, event());
        offered
    }

    /// Whether there is room for a stream; if not, the next `drain` that makes some tells.
    pub(crate) fn has_room_or_will_tell(&self) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.events.len() < self.stream_limit();
        waiting.room_wanted |= !has_room;
        has_room
    }

    /// Streams can wait, datagrams cannot: requests from streams leave most of the room to others.
    fn stream_limit(&self) -> usize {
        self.limit.div_ceil(STREAM_SHARE)
    }

    /// Rung under the lock: `drain` clears under it, so no ring is lost between the two.
    fn ring_for(&self, waiting: &Waiting) {
        if waiting.is_empty() {
            self.bell.ring();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes up to `limit` events: of each queue in order, the same number of all of them as far as
/// they have so many. Also tells which workers waited for the room that is left now. The bell stays
/// readable as long as events are left.
/// `first`: which of them comes first this time.
pub(crate) fn drain(queues: &[&Queue], limit: usize, first: usize) -> (Vec<Event>, Vec<usize>) {
    // All at once, so that no ring comes between the last look and the clearing. A worker holds no
    // other lock while it waits for its own.
    let mut all: Vec<_> = queues.iter().map(|queue| queue.lock()).collect();
    let mut events = Vec::new();
    let share = limit.div_ceil(queues.len());
    for part in [share, limit] {
        for at in 0..queues.len() {
            let part = part.min(limit - events.len());
            events.extend(all[(first + at) % queues.len()].take(part));
        }
    }
    if all.iter().all(|waiting| waiting.is_empty()) {
        if let Some(queue) = queues.first() {
            queue.bell.clear();
        }
    }
    let mut wanted = Vec::new();
    for (worker, (queue, waiting)) in queues.iter().zip(&mut all).enumerate() {
        let has_room = waiting.events.len() < queue.stream_limit();
        if has_room && std::mem::take(&mut waiting.room_wanted) {
            wanted.push(worker);
        }
    }
    (events, wanted)
}

#[cfg(test)]
mod tests {
    use ferryman_flow::Transport;

    use super::*;

    fn request(transport: Transport, host: u8, port: u16) -> Event {
        let client = SocketAddr::from(([192, 0, 2, host], port));
        let server = SocketAddr::from(([198, 51, 100, 1], 3478));
        Event::Request {
            five_tuple: FiveTuple {
                transport,
                client,
                server,
                socket: 1,
            },
            message: Vec::new(),
        }
    }

    fn source(host: u8) -> Source {
        Source::of([192, 0, 2, host].into())
    }

    fn offer(queue: &Queue, asker: fn(Source) -> Asker, host: u8) -> bool {
        let request = || request(Transport::Udp, host, 1);
        queue.offer(asker(source(host)), request) != Offered::NoRoom
    }

    fn queue(limit: usize) -> Queue {
        Queue::new(limit, Arc::new(Bell::new().expect("an eventfd")))
    }

    fn drain(queue: &Queue, limit: usize) -> Vec<Event> {
        super::drain(&[queue], limit, 0).0
    }

    #[test]
    fn one_source_fills_a_sixteenth_and_has_it_again_when_it_is_drained() {
        let queue = queue(64);
        for _ in 0..2 {
            let taken = (0..100).filter(|_| offer(&queue, Asker::Stranger, 1));
            assert_eq!(taken.count(), 4);
            assert!(!offer(&queue, Asker::Client, 1));
            assert!(offer(&queue, Asker::Stranger, 2));
            assert_eq!(drain(&queue, 64).len(), 5);
        }
        assert!(queue.lock().of_source.is_empty());
    }

    #[test]
    fn strangers_from_everywhere_leave_clients_and_streams_their_room() {
        let queue = queue(16);
        let taken = (0..=255).filter(|host| offer(&queue, Asker::Stranger, *host));
        assert_eq!(taken.count(), 16);
        assert!(queue.has_room_or_will_tell());
        let streamed = queue.offer(Asker::Stream, || request(Transport::Tcp, 1, 1));
        assert_eq!(streamed, Offered::Taken);
        assert!(offer(&queue, Asker::Client, 17));
    }

    #[test]
    fn a_newcomer_takes_the_place_of_whoever_has_most() {
        let queue = queue(32);
        for host in 0..16 {
            assert!(offer(&queue, Asker::Stranger, host) && offer(&queue, Asker::Stranger, host));
        }
        let newcomer = || request(Transport::Udp, 99, 1);
        let offered = queue.offer(Asker::Stranger(source(99)), newcomer);
        assert_eq!(offered, Offered::InPlaceOfAnother);
        assert!(!offer(&queue, Asker::Stranger, 1));
        let events = drain(&queue, 100);
        assert_eq!(events.len(), 32);
        assert!(events.contains(&newcomer()));
        assert!(queue.lock().of_source.is_empty());
    }

    #[test]
    fn clients_come_first_and_strangers_have_a_quarter() {
        let queue = queue(64);
        for host in 0..32 {
            assert!(offer(&queue, Asker::Stranger, host));
            assert!(offer(&queue, Asker::Client, 100 + host));
        }
        let hosts = |events: Vec<Event>| {
            let clients = events.iter().map(|event| match event {
                Event::Request { five_tuple, .. } => five_tuple.client.ip(),
                other => panic!("{other:?}"),
            });
            clients.collect::<Vec<_>>()
        };
        let eight: Vec<std::net::IpAddr> = [100, 101, 102, 103, 104, 105, 0, 1]
            .map(|host| [192, 0, 2, host].into())
            .to_vec();
        assert_eq!(hosts(drain(&queue, 8)), eight);
        assert_eq!(drain(&queue, 100).len(), 56);
    }

    #[test]
    fn dtls_clients_without_an_allocation_leave_most_of_the_room() {
        let queue = queue(32);
        let taken = (0..=255).filter(|host| offer(&queue, Asker::Association, *host));
        assert_eq!(taken.count(), 8);
        assert!(offer(&queue, Asker::Client, 17));
    }
    #[test]
    fn workers_have_equal_shares_of_what_is_taken_and_what_one_does_not_need_is_the_others() {
        let bell = Arc::new(Bell::new().expect("an eventfd"));
        let queues = [1, 2, 3].map(|_| Queue::new(64, Arc::clone(&bell)));
        let all: Vec<_> = queues.iter().collect();
        for (queue, count) in queues.iter().zip([20, 1, 20]) {
            for _ in 0..count {
                queue.push(Event::Notice {
                    text: String::new(),
                });
            }
        }
        assert_eq!(super::drain(&all, 9, 1).0.len(), 9);
        let left = queues.each_ref().map(|queue| queue.lock().events.len());
        assert_eq!(left, [17, 0, 15]);
        assert_eq!(super::drain(&all, 100, 0).0.len(), 32);
    }
}
