//! The flow table: every allocation with its permissions and channels. `changes` write it, `packets`
//! are judged by it.

mod changes;
mod packets;

use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::offload::Offloading;
use crate::owners::RelayOwners;
use crate::relayed::RelayedAddresses;
use crate::slots::{Slot, Slots};
use crate::{FiveTuple, Rerouted, Usage};

/// Where the last ChannelData led. Those of a train follow each other, and are judged alike by a
/// table that nobody has changed in between.
#[derive(Clone, Copy, Debug)]
struct Way {
    channel: [u8; 2],
    client: FiveTuple,
    now: u64,
    slot: Slot,
    peer: SocketAddr,
}

/// The flow table.
#[derive(Debug, Default)]
pub struct Table {
    pub(crate) slots: Slots,
    pub(crate) by_number: HashMap<u64, Slot>,
    by_client: HashMap<FiveTuple, Slot>,
    relayed: RelayedAddresses,
    /// Paths of clients whose allocations live with other workers, and with whom.
    strays: HashMap<FiveTuple, u16>,
    /// The latest `now` that was seen: what is dead by it may be forgotten.
    pub(crate) clock: u64,
    /// A client that has just moved, until the caller takes notice.
    moved: Option<Rerouted>,
    pub(crate) offloading: Option<Offloading>,
    /// Forgotten with every change.
    last_way: Option<Way>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The empty table of one of several workers, which all have the same `owners`.
    pub fn among(owners: Arc<RelayOwners>, worker: u16) -> Self {
        Self {
            relayed: RelayedAddresses::among(owners, worker),
            ..Self::default()
        }
    }

    /// From now on what comes over this path belongs to an allocation of another worker.
    pub fn host(&mut self, path: FiveTuple, home: u16) {
        self.strays.insert(path, home);
    }

    /// The path does not lead to this worker any more; where it has been given to another one
    /// since, it stays.
    pub fn unhost(&mut self, path: &FiveTuple, home: u16) {
        if self.strays.get(path) == Some(&home) {
            self.strays.remove(path);
        }
    }

    /// The slot of an allocation.
    pub fn slot_of(&self, allocation: u64) -> Option<Slot> {
        self.by_number.get(&allocation).copied()
    }

    /// Every path to a client, also the second ones of clients that move, and those that lead to
    /// other workers.
    pub fn paths(&self) -> impl Iterator<Item = &FiveTuple> {
        self.by_client.keys().chain(self.strays.keys())
    }

    /// The slot of a client's allocation, live or not.
    pub fn slot_of_client(&self, five_tuple: &FiveTuple) -> Option<Slot> {
        self.by_client.get(five_tuple).copied()
    }

    /// The engine's number of the allocation in a slot; `None` for an empty one.
    pub fn allocation(&self, slot: Slot) -> Option<u64> {
        Some(self.slots.get(slot)?.number)
    }

    /// The path to the client of the allocation in a slot; `None` for an empty one.
    pub fn five_tuple(&self, slot: Slot) -> Option<FiveTuple> {
        Some(self.slots.get(slot)?.paths.current())
    }

    /// What the allocation in a slot has carried so far; `None` for an empty one.
    pub fn usage(&self, slot: Slot) -> Option<Usage> {
        let mut usage = self.slots.get(slot)?.usage;
        usage += self.offloaded(slot);
        Some(usage)
    }

    /// How many allocations the table holds, live or not.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether the table holds none.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}
