//! What is counted for whom.

use ferryman_flow::{Applied, Change, Usage};

use crate::world::*;

fn closed(world: &mut World, allocation: u64) -> Usage {
    match world.table.apply(Change::Close { allocation }) {
        Applied::Closed { usage, .. } => usage,
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn payload_is_counted_in_both_directions_without_framing() {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    world.says(&send(PEER, b"hello"));
    world.says(&channel_data(0x4000, b"sea"));
    world.says(&channel_data(0x4000, b""));
    world.hears(PEER);
    world.hears("198.51.100.7:1");
    let usage = Usage {
        sent_packets: 3,
        sent_bytes: 8,
        received_packets: 2,
        received_bytes: 10,
        dropped_packets: 0,
    };
    assert_eq!(world.table.usage(world.alice), Some(usage));
    assert_eq!(closed(&mut world, ALICE), usage);
}

#[test]
fn every_drop_of_a_known_client_is_counted() {
    let mut world = World::new();
    let drops = [
        vec![],
        vec![0xFF],
        vec![0; 20],
        stun(0x0011, &[]),
        channel_data(0x4000, b""),
        channel_data(0x4000, b"")[..3].to_vec(),
        send(PEER, b"a"),
        stun(SEND, &[]),
    ];
    for packet in &drops {
        world.says(packet);
    }
    world.hears(PEER);
    let expected = Usage {
        dropped_packets: drops.len() as u64 + 1,
        ..Usage::default()
    };
    assert_eq!(closed(&mut world, ALICE), expected);
}

#[test]
fn drops_are_counted_after_the_end_too() {
    let mut world = World::new();
    world.table.apply(Change::Extend {
        allocation: ALICE,
        expires_at: NOW,
    });
    world.says(&send(PEER, b"a"));
    world.hears(PEER);
    assert_eq!(closed(&mut world, ALICE).dropped_packets, 2);
}

#[test]
fn requests_are_not_counted() {
    let mut world = World::new();
    world.says(&stun(0x0001, &[]));
    world.says(&stun(0x0003, &[]));
    assert_eq!(closed(&mut world, ALICE), Usage::default());
}

#[test]
fn a_packet_handed_over_is_sent_by_one_and_received_by_the_other() {
    let mut world = World::new();
    world.permit(ALICE, OWN, true);
    world.permit(BOB, OWN, true);
    world.says(&send("203.0.113.1:50002", b"hello"));
    let sent = Usage {
        sent_packets: 1,
        sent_bytes: 5,
        ..Usage::default()
    };
    let received = Usage {
        received_packets: 1,
        received_bytes: 5,
        ..Usage::default()
    };
    assert_eq!(closed(&mut world, ALICE), sent);
    assert_eq!(closed(&mut world, BOB), received);
}

#[test]
fn a_packet_that_the_target_does_not_permit_is_the_senders_drop() {
    let mut world = World::new();
    world.permit(ALICE, OWN, true);
    world.says(&send("203.0.113.1:50002", b"hello"));
    world.says(&send("203.0.113.1:22", b"hello"));
    let dropped = Usage {
        dropped_packets: 2,
        ..Usage::default()
    };
    assert_eq!(closed(&mut world, ALICE), dropped);
    assert_eq!(closed(&mut world, BOB), Usage::default());
}

#[test]
fn a_new_allocation_starts_from_zero() {
    let mut world = World::new();
    world.says(&[]);
    closed(&mut world, ALICE);
    let (bound, advertised) = (address("10.0.0.5:50001"), address("203.0.113.1:50001"));
    let slot = open(&mut world.table, 4, alice(), bound, advertised);
    assert_eq!(world.table.usage(slot), Some(Usage::default()));
}
