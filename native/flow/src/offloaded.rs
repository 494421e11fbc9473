//! When the table hands channels out to be forwarded ahead of it, and takes them back.
//!
//! A flow is taken back before the table forgets or changes what it stands for, and handed out
//! after the table knows it: nothing is ever forwarded that the table would not.

use std::net::{IpAddr, SocketAddr};

use crate::offload::{Offload, Offloading, CHANNELS_OF_ALLOCATION};
use crate::{Change, ChannelFlow, Slot, Table, Usage};

impl Table {
    /// Hands out channels that are bound from now on.
    pub fn offload_to(&mut self, offload: Box<dyn Offload>) {
        self.offloading = Some(Offloading::new(offload));
    }

    /// What this change will end or move elsewhere.
    pub(crate) fn take_back(&mut self, change: &Change) {
        match *change {
            Change::Open {
                bound, advertised, ..
            }
            | Change::AddRelayed {
                bound, advertised, ..
            } => {
                self.keep_inside(bound.ip());
                self.keep_inside(advertised.ip());
            }
            Change::Close { allocation }
            | Change::CloseRelayed { allocation, .. }
            | Change::Move { allocation, .. }
            | Change::Leave { allocation, .. } => self.take_back_of(allocation, |_| true),
            Change::BindChannel {
                allocation,
                number,
                peer,
                ..
            } => self.take_back_of(allocation, |flow| is_rebound(flow, number, peer)),
            Change::Extend { .. } | Change::ExtendRelayed { .. } | Change::Permit { .. } => {}
        }
    }

    fn take_back_of(&mut self, allocation: u64, wants: impl Fn(&ChannelFlow) -> bool) {
        let slot = self.slot_of(allocation);
        if let (Some(slot), Some(offloading)) = (slot, &mut self.offloading) {
            let carried = offloading.take_back(slot, wants);
            self.count(slot, carried);
        }
    }

    /// Some worker relays from this IP: packets to it are handed over inside.
    pub fn keep_inside(&mut self, ip: IpAddr) {
        let Some(offloading) = &mut self.offloading else {
            return;
        };
        for (slot, carried) in offloading.keep_inside(ip) {
            self.count(slot, carried);
        }
    }

    fn count(&mut self, slot: Slot, carried: Usage) {
        if let Some(allocation) = self.slots.get_mut(slot) {
            allocation.usage += carried;
        }
    }

    /// What this change has made or moved.
    pub(crate) fn hand_out(&mut self, change: &Change) {
        let allocation = match *change {
            Change::CloseRelayed { allocation, .. }
            | Change::Leave { allocation, .. }
            | Change::Extend { allocation, .. }
            | Change::ExtendRelayed { allocation, .. }
            | Change::Permit { allocation, .. }
            | Change::BindChannel { allocation, .. } => allocation,
            Change::Open { .. }
            | Change::AddRelayed { .. }
            | Change::Move { .. }
            | Change::Close { .. } => return,
        };
        if let Some(slot) = self.slot_of(allocation) {
            self.hand_out_of(slot);
        }
    }

    /// Makes what is out the same as what may be.
    pub(crate) fn hand_out_of(&mut self, slot: Slot) {
        let (Some(offloading), Some(allocation)) = (&mut self.offloading, self.slots.get(slot))
        else {
            return;
        };
        let flows = allocation.channel_flows(self.clock);
        let outside = flows.filter(|flow| offloading.is_outside(flow.peer.ip()));
        let wanted: Vec<_> = outside.take(CHANNELS_OF_ALLOCATION).collect();
        let gone = |out: &ChannelFlow| !wanted.iter().any(|flow| flow.is(out));
        let mut carried = offloading.take_back(slot, gone);
        carried += offloading.hand_out(slot, &wanted);
        self.count(slot, carried);
    }

    /// What was carried ahead of the table and is not in the allocation's own count yet.
    pub(crate) fn offloaded(&self, slot: Slot) -> Usage {
        let offloading = self.offloading.as_ref();
        offloading.map_or_else(Usage::default, |offloading| offloading.carried(slot))
    }
}

/// Whether a binding of this number and this peer leaves the flow without one of its ends.
fn is_rebound(flow: &ChannelFlow, number: u16, peer: SocketAddr) -> bool {
    (flow.number == number) != (flow.peer == peer)
}
