//! The flow table: every allocation with its permissions and channels, and the verdict on each
//! packet (RFC 8656 §11, §12).

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::allocation::{Allocation, Relayed};
use crate::bandwidth::Direction;
use crate::channel::Channel;
use crate::offload::Offloading;
use crate::owners::RelayOwners;
use crate::permission::Permission;
use crate::relayed::RelayedAddresses;
use crate::send;
use crate::slots::{Slot, Slots};
use crate::stun::{self, Class};
use crate::{
    Applied, Change, Family, FiveTuple, FromClient, FromPeer, Icmp, Reason, Rerouted, Usage,
    REQUEST_LIMIT,
};

/// UDP may carry padding behind ChannelData (RFC 8656 §12.5).
const LONGEST_PADDING: usize = 3;

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

    /// The path leads nowhere from now on.
    pub fn unhost(&mut self, path: &FiveTuple) {
        self.strays.remove(path);
    }

    /// Obeys one change.
    pub fn apply(&mut self, change: Change) -> Applied {
        if self.offloading.is_none() {
            return self.obey(change);
        }
        self.take_back(&change);
        let applied = self.obey(change);
        self.hand_out(&change);
        applied
    }

    fn obey(&mut self, change: Change) -> Applied {
        match change {
            Change::Open {
                allocation,
                five_tuple,
                bound,
                advertised,
                expires_at,
                bytes_per_second,
            } => self.open(Allocation::new(
                allocation,
                five_tuple,
                Relayed::new(bound, advertised, expires_at),
                bytes_per_second,
            )),
            Change::AddRelayed {
                allocation,
                bound,
                advertised,
                expires_at,
            } => self.add_relayed(allocation, Relayed::new(bound, advertised, expires_at)),
            Change::CloseRelayed { allocation, family } => self.close_relayed(allocation, family),
            Change::Close { allocation } => self.close(allocation),
            Change::Move {
                allocation,
                five_tuple,
                until,
            } => self.open_second_path(allocation, five_tuple, until),
            Change::Leave {
                allocation,
                five_tuple,
            } => self.leave(allocation, five_tuple),
            Change::Extend {
                allocation,
                expires_at,
            } => self.change(allocation, |allocation, _| {
                allocation.extend(None, expires_at)
            }),
            Change::ExtendRelayed {
                allocation,
                family,
                expires_at,
            } => self.change(allocation, |allocation, _| {
                allocation.extend(Some(family), expires_at)
            }),
            Change::Permit {
                allocation,
                peer_ip,
                relayed_only,
                expires_at,
            } => {
                let permission = Permission {
                    relayed_only,
                    expires_at,
                };
                self.change(allocation, |allocation, clock| {
                    allocation.permit(peer_ip, permission, clock);
                })
            }
            Change::BindChannel {
                allocation,
                number,
                peer,
                relayed_only,
                expires_at,
            } => {
                let channel = Channel {
                    number,
                    peer,
                    relayed_only,
                    expires_at,
                };
                self.change(allocation, |allocation, clock| {
                    allocation.bind(channel, clock)
                })
            }
        }
    }

    fn open(&mut self, allocation: Allocation) -> Applied {
        let number = allocation.number;
        if self.by_number.contains_key(&number) {
            return Applied::Unknown;
        }
        let five_tuple = allocation.paths.current();
        let slot = self.slots.insert(allocation);
        self.by_number.insert(number, slot);
        self.by_client.insert(five_tuple, slot);
        for relayed in self.slots.get(slot).iter().flat_map(|it| it.all_relayed()) {
            self.relayed.claim(relayed, slot);
        }
        Applied::Opened(slot)
    }

    fn add_relayed(&mut self, number: u64, relayed: Relayed) -> Applied {
        let family = Family::of(relayed.bound.ip());
        let Some(slot) = self.slot_of(number) else {
            return Applied::Unknown;
        };
        match self.slots.get_mut(slot) {
            Some(allocation) if !allocation.has(family) => {
                self.relayed.claim(&relayed, slot);
                allocation.add(relayed);
                Applied::Added(slot)
            }
            _ => Applied::Unknown,
        }
    }

    fn close_relayed(&mut self, number: u64, family: Family) -> Applied {
        let Some(slot) = self.slot_of(number) else {
            return Applied::Unknown;
        };
        let allocation = self.slots.get_mut(slot);
        match allocation.and_then(|allocation| allocation.remove(family)) {
            Some(relayed) => {
                self.relayed.release(&relayed, slot);
                Applied::Removed(slot)
            }
            None => Applied::Unknown,
        }
    }

    fn close(&mut self, number: u64) -> Applied {
        let Some(slot) = self.by_number.remove(&number) else {
            return Applied::Unknown;
        };
        let Some(allocation) = self.slots.remove(slot) else {
            return Applied::Unknown;
        };
        let (five_tuple, second) = (allocation.paths.current(), allocation.paths.second());
        self.forget_path(Some(five_tuple), slot);
        self.forget_path(second, slot);
        for relayed in allocation.all_relayed() {
            self.relayed.release(relayed, slot);
        }
        Applied::Closed {
            slot,
            usage: allocation.usage,
            five_tuple,
            second,
        }
    }

    fn open_second_path(&mut self, number: u64, five_tuple: FiveTuple, until: u64) -> Applied {
        let Some((slot, allocation)) = self.numbered(number) else {
            return Applied::Unknown;
        };
        if allocation.paths.current() == five_tuple {
            return Applied::Done;
        }
        let left = allocation.paths.open_second(five_tuple, until);
        self.by_client.insert(five_tuple, slot);
        self.rerouted(number, slot, left)
    }

    fn leave(&mut self, number: u64, five_tuple: FiveTuple) -> Applied {
        let Some((slot, allocation)) = self.numbered(number) else {
            return Applied::Unknown;
        };
        if !allocation.paths.leave(&five_tuple) {
            return Applied::Done;
        }
        self.rerouted(number, slot, Some(five_tuple))
    }

    fn rerouted(&mut self, number: u64, slot: Slot, left: Option<FiveTuple>) -> Applied {
        self.forget_path(left, slot);
        match self.slots.get(slot) {
            Some(allocation) => Applied::Rerouted(Rerouted {
                allocation: number,
                slot,
                five_tuple: allocation.paths.current(),
                left,
            }),
            None => Applied::Unknown,
        }
    }

    /// Takes a path away from a slot that still holds it.
    fn forget_path(&mut self, path: Option<FiveTuple>, slot: Slot) {
        if let Some(path) = path.filter(|path| self.by_client.get(path) == Some(&slot)) {
            self.by_client.remove(&path);
        }
    }

    fn numbered(&mut self, number: u64) -> Option<(Slot, &mut Allocation)> {
        let slot = *self.by_number.get(&number)?;
        Some((slot, self.slots.get_mut(slot)?))
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Allocation, u64)) -> Applied {
        let clock = self.clock;
        match self.numbered(number) {
            Some((_, allocation)) => {
                change(allocation, clock);
                Applied::Done
            }
            None => Applied::Unknown,
        }
    }

    /// What is to be done with a packet (over TCP: one frame) that a client sent.
    pub fn from_client(&mut self, five_tuple: &FiveTuple, packet: &[u8], now: u64) -> FromClient {
        self.clock = self.clock.max(now);
        let verdict = match packet.first() {
            Some(0x00..=0x3F) => self.stun(five_tuple, packet, now),
            Some(0x40..=0x7F) => self.channel_data(five_tuple, packet, now),
            _ => Err(Reason::NotTurn),
        };
        verdict.unwrap_or_else(|reason| self.dropped(five_tuple, reason))
    }

    fn dropped(&mut self, five_tuple: &FiveTuple, reason: Reason) -> FromClient {
        match self.by_client.get(five_tuple) {
            Some(slot) => {
                if let Some(allocation) = self.slots.get_mut(*slot) {
                    allocation.usage.dropped_packets += 1;
                }
            }
            None => {
                if let Some(&home) = self.strays.get(five_tuple) {
                    return FromClient::Stray { home };
                }
            }
        }
        FromClient::Drop(reason)
    }

    fn stun(&mut self, client: &FiveTuple, packet: &[u8], now: u64) -> Result<FromClient, Reason> {
        let header = stun::header_untrusted(packet)?;
        match (header.class, header.method) {
            (Class::Request, _) if packet.len() > REQUEST_LIMIT => Err(Reason::TooLong),
            (Class::Request, stun::BINDING) => Ok(FromClient::Answer),
            (Class::Request, _) => Ok(FromClient::Ask),
            (Class::Indication, stun::SEND) => self.send(client, packet, now),
            _ => Err(Reason::Unexpected),
        }
    }

    fn send(&mut self, client: &FiveTuple, packet: &[u8], now: u64) -> Result<FromClient, Reason> {
        let (slot, allocation) = self.live(client, now)?;
        let wanted = send::read_untrusted(packet)?;
        let permission = allocation.permission(wanted.peer, now);
        if allocation.paths.is_second(client) {
            self.complete_move(slot);
        }
        let whole = wanted.dont_fragment && client.heeds_dont_fragment(wanted.peer);
        self.toward(
            slot,
            wanted.peer,
            permission?.relayed_only,
            whole,
            wanted.payload,
            now,
        )
    }

    fn channel_data(
        &mut self,
        client: &FiveTuple,
        packet: &[u8],
        now: u64,
    ) -> Result<FromClient, Reason> {
        let Some((&[n0, n1, l0, l1], rest)) = packet.split_first_chunk() else {
            return Err(Reason::Malformed);
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if rest.len() < length || rest.len() > length + LONGEST_PADDING {
            return Err(Reason::Malformed);
        }
        let (slot, allocation) = self.live(client, now)?;
        let channel = allocation.channel(u16::from_be_bytes([n0, n1]), now);
        if allocation.paths.is_second(client) {
            self.complete_move(slot);
        }
        let channel = channel?;
        let (payload, only) = (4..4 + length, channel.relayed_only);
        self.toward(slot, channel.peer, only, false, payload, now)
    }

    /// Whether a client's 5-tuple leads to an allocation.
    pub fn leads_somewhere(&self, client: &FiveTuple) -> bool {
        self.by_client.contains_key(client) || self.strays.contains_key(client)
    }

    fn live(&self, client: &FiveTuple, now: u64) -> Result<(Slot, &Allocation), Reason> {
        let slot = *self.by_client.get(client).ok_or(Reason::NoAllocation)?;
        match self.slots.get(slot) {
            Some(allocation)
                if allocation.is_live(now) && allocation.paths.is_live(client, now) =>
            {
                Ok((slot, allocation))
            }
            _ => Err(Reason::NoAllocation),
        }
    }

    /// A Send indication or ChannelData came over the path that the client moves to: it has moved
    /// (RFC 8016 §3.2.2), whether or not that packet may go on.
    #[cold]
    fn complete_move(&mut self, slot: Slot) {
        let Some(allocation) = self.slots.get_mut(slot) else {
            return;
        };
        let (number, left) = (allocation.number, allocation.paths.current());
        allocation.paths.leave(&left);
        if let Applied::Rerouted(moved) = self.rerouted(number, slot, Some(left)) {
            self.moved = Some(moved);
        }
        self.hand_out_of(slot);
    }

    /// The client that the last packet from a client has moved to another path.
    pub fn take_moved(&mut self) -> Option<Rerouted> {
        self.moved.take()
    }

    /// Where a permitted packet to `peer` goes: to the live allocation whose relayed address that
    /// is, or out of the relay socket.
    fn toward(
        &mut self,
        slot: Slot,
        peer: SocketAddr,
        relayed_only: bool,
        dont_fragment: bool,
        payload: Range<usize>,
        now: u64,
    ) -> Result<FromClient, Reason> {
        let family = Family::of(peer.ip());
        let target = self.relayed.find(peer);
        let target = target.filter(|to| self.relays(*to, family, now));
        let elsewhere = match target {
            Some(_) => None,
            None => self.relayed.elsewhere(peer),
        };
        if target.is_none() && elsewhere.is_none() && relayed_only {
            return Err(Reason::OwnAddress);
        }
        let length = payload.len();
        let sender = self.slots.get_mut(slot).ok_or(Reason::NoAllocation)?;
        sender.carries(Direction::ToPeer, length, now)?;
        let verdict = match (target, elsewhere) {
            (Some(to), _) => self.hand_over(slot, to, family, payload, now)?,
            (None, Some(worker)) => FromClient::PassOn {
                worker,
                to: peer,
                source: self.source(slot, family, now)?,
                payload,
            },
            (None, None) => FromClient::ToPeer {
                slot,
                peer,
                payload,
                dont_fragment,
            },
        };
        if let Some(sender) = self.slots.get_mut(slot) {
            sender.count_sent(length);
        }
        Ok(verdict)
    }

    /// By what address peers know the allocation in a slot.
    fn source(&self, slot: Slot, family: Family, now: u64) -> Result<SocketAddr, Reason> {
        let sender = self.slots.get(slot).ok_or(Reason::NoAllocation)?;
        let relayed = sender.live_relayed(family, now);
        Ok(relayed.ok_or(Reason::NoAllocation)?.advertised)
    }

    /// As if the packet had come to the relay socket of `to` from the sender's relayed address.
    fn hand_over(
        &mut self,
        from: Slot,
        to: Slot,
        family: Family,
        payload: Range<usize>,
        now: u64,
    ) -> Result<FromClient, Reason> {
        let source = self.source(from, family, now)?;
        let target = self.slots.get_mut(to).ok_or(Reason::NoAllocation)?;
        let framing = target.framing(source, payload.len(), now)?;
        target.carries(Direction::ToClient, payload.len(), now)?;
        target.count_received(payload.len());
        Ok(FromClient::HandOver {
            to,
            source,
            framing,
            payload,
        })
    }

    /// What is to be done with a packet of `length` payload bytes that came from `peer` to the
    /// relay socket of `slot` and of the peer's family.
    pub fn from_peer(&mut self, slot: Slot, peer: SocketAddr, length: usize, now: u64) -> FromPeer {
        self.clock = self.clock.max(now);
        let Some(allocation) = self.slots.get_mut(slot) else {
            return FromPeer::Drop(Reason::NoAllocation);
        };
        let framing = allocation.framing(peer, length, now).and_then(|framing| {
            allocation.carries(Direction::ToClient, length, now)?;
            Ok(framing)
        });
        match framing {
            Ok(framing) => {
                allocation.count_received(length);
                FromPeer::ToClient { framing }
            }
            Err(reason) => {
                allocation.usage.dropped_packets += 1;
                FromPeer::Drop(reason)
            }
        }
    }

    /// What is to be done with a packet that another worker has passed on to this relayed address:
    /// as if it had come to its relay socket. Counted as such: what is dropped here was sent there.
    pub fn from_relay(
        &mut self,
        to: SocketAddr,
        source: SocketAddr,
        length: usize,
        now: u64,
    ) -> (Option<Slot>, FromPeer) {
        match self.relayed.find(to) {
            Some(slot) => (Some(slot), self.from_peer(slot, source, length, now)),
            None => (None, FromPeer::Drop(Reason::NoAllocation)),
        }
    }

    /// Whether the client of `slot` is told of an ICMP error about a packet to `peer`
    /// (RFC 8656 §11.5). It is no packet of the peer's and counts nowhere.
    pub fn from_network(
        &mut self,
        slot: Slot,
        peer: SocketAddr,
        icmp: Icmp,
        now: u64,
    ) -> Result<(), Reason> {
        self.clock = self.clock.max(now);
        icmp.check(Family::of(peer.ip()))?;
        let allocation = self.slots.get_mut(slot).ok_or(Reason::NoAllocation)?;
        allocation.hears_of(peer, now)
    }

    fn relays(&self, slot: Slot, family: Family, now: u64) -> bool {
        self.slots
            .get(slot)
            .is_some_and(|allocation| allocation.live_relayed(family, now).is_some())
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
