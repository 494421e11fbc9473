//! Tests of the flow crate, through its public words alone.

#![allow(clippy::unwrap_used)]

mod answers;
mod bandwidth;
mod discovery;
mod dont_fragment;
mod dual;
mod from_client;
mod from_peer;
mod garbage;
mod hand_over;
mod headers;
mod icmp;
mod lifetimes;
mod moving;
mod offload;
mod send_indications;
mod slots;
mod speed;
mod streams;
mod tcp;
mod usage;
mod vectors;
mod world;
