//! What a verdict costs. Ignored: `cargo test --release -p ferryman-flow -- --ignored --nocapture`.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use ferryman_flow::{Change, FiveTuple, FromClient, Table, Transport};

use crate::world::*;

const ROUNDS: usize = 400_000;

fn full_table(allocations: u16) -> (Table, Vec<FiveTuple>) {
    let mut table = Table::new();
    let mut tuples = Vec::new();
    for n in 0..allocations {
        let tuple = client(Transport::Udp, 1000 + n);
        let relayed = SocketAddr::new(ip(OWN), 10_000 + n);
        let allocation = u64::from(n);
        open(&mut table, allocation, tuple, relayed, relayed);
        let (peer_ip, relayed_only, expires_at) = (ip("198.51.100.7"), false, LATER);
        table.apply(Change::Permit {
            allocation,
            peer_ip,
            relayed_only,
            expires_at,
        });
        let (number, peer) = (0x4000, address(PEER));
        table.apply(Change::BindChannel {
            allocation,
            number,
            peer,
            relayed_only,
            expires_at,
        });
        tuples.push(tuple);
    }
    (table, tuples)
}

/// The best of ten, since the machine has other things to do.
fn nanoseconds(mut round: impl FnMut(usize) -> bool) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        for n in 0..ROUNDS {
            assert!(round(n));
        }
        best = best.min(start.elapsed().as_nanos() as f64 / ROUNDS as f64);
    }
    best
}

#[test]
#[ignore = "a measurement"]
fn nanoseconds_per_packet() {
    let channel = channel_data(0x4000, &[0; 160]);
    let indication = send(PEER, &[0; 160]);
    for allocations in [1_u16, 1_000] {
        let (mut table, tuples) = full_table(allocations);
        // In an order that no cache can guess, without the cost of a division.
        let order: Vec<_> = (0..1 << 16).map(|n| n * 7_919 % tuples.len()).collect();
        let of = |n: usize| &tuples[order[n & 0xFFFF]];
        let mut from_client = |packet: &[u8], n| {
            let verdict = table.from_client(of(n), black_box(packet), NOW);
            matches!(black_box(verdict), FromClient::ToPeer { .. })
        };
        let up = nanoseconds(|n| from_client(&channel, n));
        let send = nanoseconds(|n| from_client(&indication, n));
        let slots: Vec<_> = tuples
            .iter()
            .filter_map(|t| table.slot_of_client(t))
            .collect();
        let down = nanoseconds(|n| {
            let slot = slots[order[n & 0xFFFF]];
            black_box(table.from_peer(slot, black_box(address_of_peer()), 160, NOW));
            true
        });
        println!("{allocations:>5} allocations: ChannelData {up:.1} ns, Send {send:.1} ns, from a peer {down:.1} ns");
    }
}

fn address_of_peer() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 7000))
}
