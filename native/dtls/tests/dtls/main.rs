//! A client and a server of this crate, in one thread and without a network.

mod cookies;
mod handshakes;
mod pair;
