//! Channels that something ahead of the table may forward by itself (RFC 8656 §12): which they are,
//! until when, and what was carried there.
//!
//! The table is the one writer: what it hands out it takes back before it forgets it. Does not
//! know how packets are forwarded ahead of it.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

use hashbrown::{HashMap, HashSet};

use crate::{Slot, Usage};

/// How many channels of one allocation are handed out: no client takes all the room there is, nor
/// has a change to its allocation cost more than so many.
pub const CHANNELS_OF_ALLOCATION: usize = 64;

/// A channel of a UDP client without a limit on its bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelFlow {
    /// Where the client's packets come from.
    pub client: SocketAddr,
    /// Where they were sent to.
    pub server: SocketAddr,
    /// The channel number.
    pub number: u16,
    /// The address of the relay socket.
    pub relayed: SocketAddr,
    /// Who is bound to the channel.
    pub peer: SocketAddr,
    /// The instant from which the client's packets are not to be passed on, ns.
    pub sent_until: u64,
    /// The instant from which the peer's packets are not to be passed on, ns.
    pub received_until: u64,
}

impl ChannelFlow {
    /// Whether it is the same flow, whatever its ends.
    pub fn is(&self, other: &Self) -> bool {
        let ends = |flow: &Self| {
            (
                flow.client,
                flow.server,
                flow.number,
                flow.relayed,
                flow.peer,
            )
        };
        ends(self) == ends(other)
    }
}

/// Whatever forwards channels ahead of the table. A packet that it does not forward comes to the
/// table, and none may go both ways.
pub trait Offload: Debug + Send + Sync {
    /// Takes a flow that it does not have; false when it cannot.
    fn insert(&mut self, flow: &ChannelFlow) -> bool;
    /// Moves the ends of a flow that it has; false when it cannot, and then it is given back.
    fn extend(&mut self, flow: &ChannelFlow) -> bool;
    /// Gives a flow back; returns what it carried (`dropped_packets` is 0).
    fn remove(&mut self, flow: &ChannelFlow) -> Usage;
    /// What a flow that it has carried so far.
    fn carried(&self, flow: &ChannelFlow) -> Usage;
}

/// What has been handed out, by allocation.
#[derive(Debug)]
pub(crate) struct Offloading {
    offload: Box<dyn Offload>,
    handed_out: HashMap<Slot, Vec<ChannelFlow>>,
    /// IPs of relayed addresses: packets to them are handed over inside.
    inside: HashSet<IpAddr>,
}

impl Offloading {
    pub(crate) fn new(offload: Box<dyn Offload>) -> Self {
        Self {
            offload,
            handed_out: HashMap::new(),
            inside: HashSet::new(),
        }
    }

    /// Whether packets to this IP may leave without the table looking at them.
    pub(crate) fn is_outside(&self, ip: IpAddr) -> bool {
        !self.inside.contains(&ip)
    }

    /// Nothing goes out to this IP any more that was to be handed over inside. Returns what was
    /// carried, by slot.
    pub(crate) fn keep_inside(&mut self, ip: IpAddr) -> Vec<(Slot, Usage)> {
        if !self.inside.insert(ip) {
            return Vec::new();
        }
        let slots: Vec<_> = self.handed_out.keys().copied().collect();
        let to_ip = |flow: &ChannelFlow| flow.peer.ip() == ip;
        slots
            .into_iter()
            .map(|slot| (slot, self.take_back(slot, to_ip)))
            .collect()
    }

    /// Takes back the flows of an allocation that match; returns what they carried.
    pub(crate) fn take_back(&mut self, slot: Slot, wants: impl Fn(&ChannelFlow) -> bool) -> Usage {
        let mut carried = Usage::default();
        let Some(flows) = self.handed_out.get_mut(&slot) else {
            return carried;
        };
        let offload = &mut self.offload;
        flows.retain(|flow| {
            let wanted = wants(flow);
            if wanted {
                carried += offload.remove(flow);
            }
            !wanted
        });
        if flows.is_empty() {
            self.handed_out.remove(&slot);
        }
        carried
    }

    /// Hands out what is not out yet, and moves the ends of what is. Returns what those carried
    /// whose ends could not be moved.
    pub(crate) fn hand_out(&mut self, slot: Slot, wanted: &[ChannelFlow]) -> Usage {
        let mut carried = Usage::default();
        if wanted.is_empty() {
            return carried;
        }
        let offload = &mut self.offload;
        let flows = self.handed_out.entry(slot).or_default();
        for flow in wanted {
            match flows.iter().position(|out| out.is(flow)) {
                Some(at) if flows[at] == *flow => {}
                Some(at) if offload.extend(flow) => flows[at] = *flow,
                Some(at) => carried += offload.remove(&flows.swap_remove(at)),
                None if offload.insert(flow) => flows.push(*flow),
                None => {}
            }
        }
        if flows.is_empty() {
            self.handed_out.remove(&slot);
        }
        carried
    }

    /// What the flows carried that an allocation has out.
    pub(crate) fn carried(&self, slot: Slot) -> Usage {
        let mut carried = Usage::default();
        for flow in self.handed_out.get(&slot).into_iter().flatten() {
            carried += self.offload.carried(flow);
        }
        carried
    }
}
