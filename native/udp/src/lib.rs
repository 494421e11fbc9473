//! Sockets, batches and the worker threads of the datapath (RFC 8656): UDP, TCP, TLS and DTLS to
//! clients, UDP and TCP (RFC 6062) to peers.
//!
//! Knows nothing of Python, keys, quotas or policies: `ferryman-flow` judges every packet, and
//! what it does not judge goes to the owner of `Datapath` as an `Event`.

mod acceptor;
mod address;
mod associations;
mod batch_out;
mod bell;
mod carrier;
mod census;
mod certificate;
mod clock;
mod connection;
mod connections;
mod control;
mod counters;
mod crew;
mod crossing;
mod datapath;
mod dtls;
mod effort;
mod error_queue;
mod fixed;
mod forwarder;
mod fronts;
mod http;
mod inbox;
mod join;
mod lanes;
mod limits;
mod listener;
mod listening;
mod mmsg;
mod notices;
mod options;
mod orders;
mod pace;
mod parcels;
mod peer_stream;
mod peer_streams;
mod pending;
mod places;
mod poller;
mod post;
mod queue;
mod relay;
mod router;
mod sightings;
mod signals;
mod slots;
mod sockets;
mod sources;
mod streams;
mod tcp_relay;
mod tcp_relay_socket;
mod tls;
mod worker;

pub use acceptor::Fronts;
pub use certificate::Certificate;
pub use datapath::{Choices, Datapath, Settings};
pub use ferryman_dtls::{Credentials, Trouble};
pub use ferryman_xdp::{Attached, Mode, Trouble as XdpTrouble};
pub use inbox::Command;
pub use options::Outfit;
pub use queue::Event;
