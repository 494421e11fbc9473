//! What an operator wants to see of packets that need no decision: Binding requests that are
//! answered, and packets that are dropped because they are none of ours. So many of each in a second
//! are told, the rest are counted: strangers can send any number.

use ferryman_flow::{FiveTuple, Reason};

use crate::clock::SECOND;
use crate::counters::Counter;
use crate::crew::Shared;
use crate::datapath::Choices;
use crate::forwarder::Forwarder;
use crate::queue::Event;

/// So many of each kind are told in a second, by each worker.
const TOLD: u32 = 50;
/// So much of a packet is shown, in bytes: a STUN header.
const SHOWN: usize = 20;

/// One kind of sighting.
#[derive(Default)]
struct Kind {
    is_wanted: bool,
    second: u64,
    told: u32,
}

impl Kind {
    /// Whether one more is told, of those that are wanted.
    fn is_due(&mut self, now: u64) -> bool {
        if self.second != now / SECOND {
            (self.second, self.told) = (now / SECOND, 0);
        }
        self.told += 1;
        self.told <= TOLD
    }
}

/// What is wanted, and how much of it has been told.
#[derive(Default)]
pub(crate) struct Sightings {
    bindings: Kind,
    drops: Kind,
}

impl Sightings {
    pub(crate) fn of(choices: &Choices) -> Self {
        let mut sightings = Self::default();
        sightings.want(choices);
        sightings
    }

    pub(crate) fn want(&mut self, choices: &Choices) {
        self.bindings.is_wanted = choices.log_binding;
        self.drops.is_wanted = choices.log_invalid;
    }

    /// A Binding request is answered.
    pub(crate) fn binding(&mut self, five_tuple: &FiveTuple, now: u64, shared: &Shared) {
        if !self.bindings.is_wanted {
            return;
        }
        if self.bindings.is_due(now) {
            shared.queue.push(Event::Answered {
                five_tuple: *five_tuple,
            });
        } else {
            shared.counters.add(Counter::UntoldBindings, 1);
        }
    }

    /// A client's packet is dropped.
    fn dropped(
        &mut self,
        five_tuple: &FiveTuple,
        reason: Reason,
        packet: &[u8],
        now: u64,
        shared: &Shared,
    ) {
        if !self.drops.is_wanted || !is_invalid(reason) {
            return;
        }
        if self.drops.is_due(now) {
            shared.queue.push(Event::Dropped {
                five_tuple: *five_tuple,
                reason,
                length: packet.len(),
                beginning: packet[..packet.len().min(SHOWN)].to_vec(),
            });
        } else {
            shared.counters.add(Counter::UntoldDrops, 1);
        }
    }
}

impl Forwarder {
    /// Drops a packet of a client's.
    pub(crate) fn drop(&mut self, five_tuple: &FiveTuple, reason: Reason, packet: &[u8]) {
        self.shared.counters.drop_for(reason);
        self.sightings
            .dropped(five_tuple, reason, packet, self.now, &self.shared);
    }
}

/// Whether a packet is dropped for what it is, and not for what there is no place for.
fn is_invalid(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotTurn | Reason::Malformed | Reason::TooLong | Reason::Unexpected
    )
}
