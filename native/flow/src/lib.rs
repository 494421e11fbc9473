//! Flow tables and packet decisions of a TURN relay (RFC 8656), without sockets and without a
//! clock of its own: `Change`s and packets in, verdicts out.
//!
//! Does not know: sockets, threads, keys, quotas, Python. `now` and every `expires_at` are
//! CLOCK_MONOTONIC in nanoseconds and `now` must not run backwards; a flow with
//! `expires_at <= now` is dead, deleted or not.
//!
//! Addresses are compared by IP and port alone. A `SocketAddrV6` that goes into a `Change` or a
//! `FiveTuple` carries flow label 0, and scope 0 unless the caller always sets the same one.

pub mod binding;
pub mod gate;
pub mod http;
pub mod proxy;
pub mod stream;

mod allocation;
mod bandwidth;
mod change;
mod channel;
mod discovery;
mod endpoint;
mod family;
mod five_tuple;
mod header;
mod icmp;
mod offload;
mod offloaded;
mod owners;
mod paths;
mod permission;
mod reason;
mod relayed;
mod response;
mod send;
mod slots;
mod source;
mod stun;
mod sweep;
mod table;
mod tcp;
mod verdict;

pub use bandwidth::Direction;
pub use change::{Applied, Change, Rerouted, Usage};
pub use discovery::Discovery;
pub use family::Family;
pub use five_tuple::{FiveTuple, Transport};
pub use header::{write_header, TransactionIds, HEADROOM, TAILROOM};
pub use icmp::{write_icmp, Icmp, ICMP_LENGTH};
pub use offload::{ChannelFlow, Offload, CHANNELS_OF_ALLOCATION};
pub use owners::RelayOwners;
pub use reason::Reason;
pub use slots::Slot;
pub use source::Source;
pub use table::Table;
pub use tcp::{TcpAllocation, TcpAllocations, TcpRelayed};
pub use verdict::{Framing, FromClient, FromPeer};

/// The longest request that is passed to the engine, in bytes; a longer one is dropped.
pub const REQUEST_LIMIT: usize = 4096;
