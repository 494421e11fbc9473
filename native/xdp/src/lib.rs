//! Channels forwarded in the kernel (RFC 8656 §12), by an eBPF program on the network interfaces.
//!
//! `program/` is the program, `object/` what the compiler made of it. Knows nothing of allocations:
//! a flow table hands channels out and takes them back (`ferryman_flow::Offload`).

mod attach;
mod features;
mod maps;
mod mode;
mod places;
mod program;
mod routes;
mod tables;
mod trouble;
mod verdict;

pub use mode::Mode;
pub use program::{Attached, Program};
pub use trouble::Trouble;
