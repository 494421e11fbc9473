//! What is to be done with a packet.

use std::net::SocketAddr;
use std::ops::Range;

use crate::{Reason, Slot};

/// What is to be done with a packet that a client sent. Ranges lie in that packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromClient {
    /// A Binding request: `binding::answer` makes the reply.
    Answer,
    /// A request for the engine.
    Ask,
    /// Leave through the relay socket of `slot`.
    ToPeer {
        /// The sender's allocation.
        slot: Slot,
        /// Where to.
        peer: SocketAddr,
        /// What.
        payload: Range<usize>,
        /// Nobody on the way may take it apart.
        dont_fragment: bool,
    },
    /// Go to the client of another allocation (or the same one), without leaving the machine.
    HandOver {
        /// The allocation whose relayed address the packet was sent to.
        to: Slot,
        /// The peer that its client sees: the sender's advertised relayed address.
        source: SocketAddr,
        /// How it goes to that client.
        framing: Framing,
        /// What.
        payload: Range<usize>,
    },
    /// Go to the worker that relays from the address the packet was sent to, and there to that
    /// allocation's client: `Table::from_relay`.
    PassOn {
        /// Which worker.
        worker: u16,
        /// The relayed address.
        to: SocketAddr,
        /// The peer that its client sees: the sender's advertised relayed address.
        source: SocketAddr,
        /// What.
        payload: Range<usize>,
    },
    /// Go as it is to the worker where the client's allocation lives, to be judged there.
    Stray {
        /// Which worker.
        home: u16,
    },
    /// Nothing.
    Drop(Reason),
}

/// What is to be done with a packet that arrived at a relay socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromPeer {
    /// Go to the client of the slot.
    ToClient {
        /// How.
        framing: Framing,
    },
    /// Nothing.
    Drop(Reason),
}

/// What a payload is wrapped in on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A ChannelData message with this number (RFC 8656 §12.7).
    Channel(u16),
    /// A Data indication (RFC 8656 §11.3).
    Data,
}
