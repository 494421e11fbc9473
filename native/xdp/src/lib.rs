//! Channels forwarded in the kernel (RFC 8656 §12), by an eBPF program on the network interfaces.
//!
//! `program/` is the program, `object/` what the compiler made of it. Knows nothing of allocations:
//! a flow table hands channels out and takes them back (`ferryman_flow::Offload`).

mod features;
mod maps;
mod program;
mod routes;
mod rows;
mod tables;
mod trouble;
mod verdict;

pub use program::{Mode, Program};
pub use trouble::Trouble;
