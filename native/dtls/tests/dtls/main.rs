//! A client and a server of this crate, in one thread and without a network.

mod cookies;
mod foreign;
mod handshakes;
mod pair;
mod thirteen;
