//! What the workers share with each other and with their owner: nothing that a packet has to wait
//! for, but in batches what crosses from one worker to another.
//!
//! A number in a 5-tuple, and of a connection that a peer has begun, tells whose it is.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ferryman_flow::{RelayOwners, TcpRelayed};

use crate::census::Census;
use crate::counters::Counters;
use crate::inbox::{Inbox, Order};
use crate::notices::Notices;
use crate::options::Outfit;
use crate::queue::Queue;
use crate::relay::Parked;
use crate::tcp_relay_socket::ParkedTcp;

/// What all workers and their owner reach.
pub(crate) struct Crew {
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) parked: Parked,
    pub(crate) parked_tcp: ParkedTcp,
    pub(crate) census: Arc<Census>,
    /// Connections of peers that are open in all.
    pub(crate) peers: Arc<AtomicUsize>,
    pub(crate) relay_owners: Arc<RelayOwners>,
    pub(crate) tcp_relayed: Arc<TcpRelayed>,
    notices: Mutex<Notices>,
    serials: AtomicU64,
}

impl Crew {
    /// Of so many workers, one at least; sockets for peers are made in this way.
    pub(crate) fn new(count: usize, relaying: Outfit) -> io::Result<Self> {
        let inboxes = (0..count.max(1)).map(|_| Inbox::new());
        Ok(Self {
            inboxes: inboxes.collect::<io::Result<_>>()?,
            parked: Parked::new(relaying.clone()),
            parked_tcp: ParkedTcp::new(relaying),
            census: Arc::default(),
            peers: Arc::default(),
            relay_owners: Arc::default(),
            tcp_relayed: Arc::default(),
            notices: Mutex::default(),
            serials: AtomicU64::new(1),
        })
    }

    /// How many workers there are.
    pub(crate) fn count(&self) -> usize {
        self.inboxes.len()
    }

    /// A number that stands for one socket of every worker; never given twice.
    pub(crate) fn serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of a worker's socket among those that a serial stands for.
    pub(crate) fn number(&self, serial: u64, worker: usize) -> u64 {
        serial * self.count() as u64 + worker as u64
    }

    /// Whose a number is.
    pub(crate) fn worker_of(&self, number: u64) -> usize {
        (number % self.count() as u64) as usize
    }

    /// Whether two numbers stand for sockets of one address.
    pub(crate) fn are_fellows(&self, one: u64, other: u64) -> bool {
        one / self.count() as u64 == other / self.count() as u64
    }

    /// Tells a worker what to do.
    pub(crate) fn post(&self, worker: usize, order: Order) {
        self.inboxes[worker].post([order]);
    }

    /// Whether this is news for the operator, whichever worker has it.
    pub(crate) fn is_news(&self, what: &'static str, now: u64) -> bool {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.is_due(what, now)
    }
}

/// What one worker and its owner both reach, and what all do.
pub(crate) struct Shared {
    /// Which worker.
    pub(crate) worker: usize,
    pub(crate) queue: Queue,
    pub(crate) counters: Counters,
    pub(crate) crew: Arc<Crew>,
}

impl Shared {
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.crew.inboxes[self.worker]
    }

    /// A number for a connection; never given twice.
    pub(crate) fn number(&self) -> u64 {
        self.crew.number(self.crew.serial(), self.worker)
    }

    /// The worker whose a number is, if it is another one.
    pub(crate) fn other_worker_of(&self, number: u64) -> Option<usize> {
        let worker = self.crew.worker_of(number);
        (worker != self.worker).then_some(worker)
    }
}
