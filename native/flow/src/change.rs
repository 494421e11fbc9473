//! The words that change the table, and what came of each. Spoken by the engine, obeyed here.

use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;

use crate::{Family, FiveTuple, Slot};

/// One change to the table. Applied in the order in which the engine made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make `bound` the relayed address of a client; peers know it as `advertised`.
    Open {
        /// The engine's number for the allocation; never used twice.
        allocation: u64,
        /// Whose allocation it is.
        five_tuple: FiveTuple,
        /// The address of the relay socket.
        bound: SocketAddr,
        /// `bound`, or the external address that stands for it.
        advertised: SocketAddr,
        /// The instant from which the allocation is dead, ns.
        expires_at: u64,
        /// Payload bytes per second that may pass in each direction; 0 is no limit.
        bytes_per_second: u64,
    },
    /// Give an allocation a second relayed address, of the other family (RFC 8656 §7.2); ignored
    /// when it has one of that family.
    AddRelayed {
        /// Which one.
        allocation: u64,
        /// The address of the relay socket.
        bound: SocketAddr,
        /// `bound`, or the external address that stands for it.
        advertised: SocketAddr,
        /// The instant from which the relayed address is dead, ns.
        expires_at: u64,
    },
    /// Move the end of one relayed address, either way (RFC 8656 §8.2).
    ExtendRelayed {
        /// Which one.
        allocation: u64,
        /// The relayed address's family.
        family: Family,
        /// The instant from which the relayed address is dead, ns.
        expires_at: u64,
    },
    /// Forget one relayed address with its permissions and channels; the allocation stays.
    CloseRelayed {
        /// Which one.
        allocation: u64,
        /// The relayed address's family.
        family: Family,
    },
    /// Move the end of an allocation, all of its relayed addresses, either way.
    Extend {
        /// Which one.
        allocation: u64,
        /// The instant from which the allocation is dead, ns.
        expires_at: u64,
    },
    /// Open a second path to the client (RFC 8016 §3.2.2). What the client sends is taken from
    /// both; it is sent to over the path it had, until a Send indication or ChannelData comes
    /// over this one: then the path it had is forgotten. Another second path is forgotten at
    /// once. Nothing when the path is the client's already.
    Move {
        /// Whose client moves.
        allocation: u64,
        /// Where it goes.
        five_tuple: FiveTuple,
        /// The instant from which the path is dead unless the client has moved to it, ns.
        until: u64,
    },
    /// Forget one of two paths; the other is the path from now on. Nothing when the allocation
    /// has no such path or no other one.
    Leave {
        /// Whose path it is.
        allocation: u64,
        /// Which one.
        five_tuple: FiveTuple,
    },
    /// Forget an allocation and all its flows.
    Close {
        /// Which one.
        allocation: u64,
    },
    /// Install or refresh a permission (RFC 8656 §9); the same IP overwrites.
    Permit {
        /// Whose permission it is.
        allocation: u64,
        /// The peer's IP; ignored unless of a relayed address's family.
        peer_ip: IpAddr,
        /// The IP is the server's own: only live relayed addresses on it may be reached.
        relayed_only: bool,
        /// The instant from which the permission is dead, ns.
        expires_at: u64,
    },
    /// Bind or refresh a channel (RFC 8656 §12). One number has one peer and the other way
    /// round: what either was bound to before is gone.
    BindChannel {
        /// Whose channel it is.
        allocation: u64,
        /// The channel number.
        number: u16,
        /// The peer; ignored unless of a relayed address's family.
        peer: SocketAddr,
        /// As in `Permit`.
        relayed_only: bool,
        /// The instant from which the binding is dead, ns.
        expires_at: u64,
    },
}

impl Change {
    /// Whose change it is.
    pub fn allocation(&self) -> u64 {
        match *self {
            Self::Open { allocation, .. }
            | Self::AddRelayed { allocation, .. }
            | Self::ExtendRelayed { allocation, .. }
            | Self::CloseRelayed { allocation, .. }
            | Self::Extend { allocation, .. }
            | Self::Move { allocation, .. }
            | Self::Leave { allocation, .. }
            | Self::Close { allocation }
            | Self::Permit { allocation, .. }
            | Self::BindChannel { allocation, .. } => allocation,
        }
    }
}

/// What came of a `Change`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The allocation lives in this slot until `Closed` names it.
    Opened(Slot),
    /// The allocation in this slot relays from one more address.
    Added(Slot),
    /// The allocation in this slot has lost a relayed address.
    Removed(Slot),
    /// The allocation is gone; its slot may be given to another from now on.
    Closed {
        /// Where it lived.
        slot: Slot,
        /// What it carried.
        usage: Usage,
        /// Whose it was.
        five_tuple: FiveTuple,
        /// The second path, of a client that was moving.
        second: Option<FiveTuple>,
    },
    /// The paths of an allocation are others now.
    Rerouted(Rerouted),
    /// Nothing that the caller has to follow.
    Done,
    /// No such allocation or relayed address (or, for `Open` and `AddRelayed`, it is there
    /// already): ignored.
    Unknown,
}

/// An allocation whose paths have changed (RFC 8016).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rerouted {
    /// The engine's number for the allocation.
    pub allocation: u64,
    /// Where it lives.
    pub slot: Slot,
    /// The path on which the client is sent to.
    pub five_tuple: FiveTuple,
    /// The path that was forgotten.
    pub left: Option<FiveTuple>,
}

/// What an allocation carried: payload packets and bytes, from the client and to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packets from the client that were forwarded to a peer.
    pub sent_packets: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Packets from peers that were forwarded to the client.
    pub received_packets: u64,
    /// Their payload bytes.
    pub received_bytes: u64,
    /// Packets from the client or to its relayed address that were dropped. A packet handed
    /// over inside that its target does not permit, or has no bandwidth for, is the sender's drop.
    pub dropped_packets: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.sent_packets += more.sent_packets;
        self.sent_bytes += more.sent_bytes;
        self.received_packets += more.received_packets;
        self.received_bytes += more.received_bytes;
        self.dropped_packets += more.dropped_packets;
    }
}

impl Usage {
    pub(crate) fn count_sent(&mut self, length: usize) {
        self.sent_packets += 1;
        self.sent_bytes += length as u64;
    }

    pub(crate) fn count_received(&mut self, length: usize) {
        self.received_packets += 1;
        self.received_bytes += length as u64;
    }
}
