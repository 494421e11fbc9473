//! The verdict on each packet (RFC 8656 §11, §12).

use std::net::SocketAddr;
use std::ops::Range;

use super::{Table, Way};
use crate::allocation::Allocation;
use crate::bandwidth::Direction;
use crate::send;
use crate::slots::Slot;
use crate::stun::{self, Class};
use crate::{
    Applied, Family, FiveTuple, FromClient, FromPeer, Icmp, Reason, Rerouted, REQUEST_LIMIT,
};

/// UDP may carry padding behind ChannelData (RFC 8656 §12.5).
const LONGEST_PADDING: usize = 3;

impl Table {
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

    /// Of ChannelData that takes the way of the last one, as in a train: the allocation that it leaves
    /// from, the peer that it goes to, and what goes. `None` for all else. `from_client` would say the
    /// same, and takes longer to say it.
    pub fn again(
        &mut self,
        client: &FiveTuple,
        packet: &[u8],
        now: u64,
    ) -> Option<(Slot, &SocketAddr, Range<usize>)> {
        let (channel, payload) = channel_data_untrusted(packet).ok()?;
        let way = self.last_way.as_ref()?;
        if way.channel != channel || way.now != now || way.client != *client {
            return None;
        }
        let sender = self.slots.get_mut(way.slot)?;
        sender.carries(Direction::ToPeer, payload.len(), now).ok()?;
        sender.count_sent(payload.len());
        Some((way.slot, &way.peer, payload))
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
        if let Some((slot, peer, payload)) = self.again(client, packet, now) {
            let (peer, dont_fragment) = (*peer, false);
            return Ok(FromClient::ToPeer {
                slot,
                peer,
                payload,
                dont_fragment,
            });
        }
        let (number, payload) = channel_data_untrusted(packet)?;
        let (slot, allocation) = self.live(client, now)?;
        let channel = allocation.channel(u16::from_be_bytes(number), now);
        if allocation.paths.is_second(client) {
            self.complete_move(slot);
        }
        let channel = channel?;
        let (peer, only) = (channel.peer, channel.relayed_only);
        let verdict = self.toward(slot, peer, only, false, payload, now)?;
        if matches!(verdict, FromClient::ToPeer { .. }) {
            let client = *client;
            self.last_way = Some(Way {
                channel: number,
                client,
                now,
                slot,
                peer,
            });
        }
        Ok(verdict)
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
        self.last_way = None;
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
        if target.is_none() && elsewhere.is_none() {
            return self.out_of(slot, peer, dont_fragment, payload, now);
        }
        let length = payload.len();
        let sender = self.slots.get_mut(slot).ok_or(Reason::NoAllocation)?;
        sender.carries(Direction::ToPeer, length, now)?;
        let verdict = match (target, elsewhere) {
            (Some(to), _) => self.hand_over(slot, to, family, payload, now)?,
            (None, elsewhere) => FromClient::PassOn {
                worker: elsewhere.ok_or(Reason::OwnAddress)?,
                to: peer,
                source: self.source(slot, family, now)?,
                payload,
            },
        };
        if let Some(sender) = self.slots.get_mut(slot) {
            sender.count_sent(length);
        }
        Ok(verdict)
    }

    /// Out of the relay socket, if the allocation may carry that much.
    #[inline]
    fn out_of(
        &mut self,
        slot: Slot,
        peer: SocketAddr,
        dont_fragment: bool,
        payload: Range<usize>,
        now: u64,
    ) -> Result<FromClient, Reason> {
        let length = payload.len();
        let sender = self.slots.get_mut(slot).ok_or(Reason::NoAllocation)?;
        sender.carries(Direction::ToPeer, length, now)?;
        sender.count_sent(length);
        Ok(FromClient::ToPeer {
            slot,
            peer,
            payload,
            dont_fragment,
        })
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
}

/// The number and the payload of ChannelData (RFC 8656 §12.4).
#[inline]
fn channel_data_untrusted(packet: &[u8]) -> Result<([u8; 2], Range<usize>), Reason> {
    let Some((&[n0, n1, l0, l1], rest)) = packet.split_first_chunk() else {
        return Err(Reason::Malformed);
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if rest.len() < length || rest.len() > length + LONGEST_PADDING {
        return Err(Reason::Malformed);
    }
    Ok(([n0, n1], 4..4 + length))
}
