//! Packets from one allocation's client to another one's relayed address.

use ferryman_flow::{Change, Framing, FromClient, Reason};

use crate::world::*;

const BOB_OUTSIDE: &str = "203.0.113.1:50002";
const BOB_INSIDE: &str = "10.0.0.5:50002";
const ALICE_OUTSIDE: &str = "203.0.113.1:50001";
const ALICE_INSIDE: &str = "10.0.0.5:50001";

/// Alice and Bob have permitted the server's own address to each other.
fn world() -> World {
    let mut world = World::new();
    for allocation in [ALICE, BOB] {
        world.permit(allocation, OWN, true);
    }
    world.permit(ALICE, INSIDE, true);
    world
}

fn handed_to_bob(world: &World, framing: Framing, payload: std::ops::Range<usize>) -> FromClient {
    FromClient::HandOver {
        to: world.bob,
        source: address(ALICE_OUTSIDE),
        framing,
        payload,
    }
}

#[test]
fn a_relayed_address_is_reached_by_both_its_names() {
    for peer in [BOB_OUTSIDE, BOB_INSIDE] {
        let mut world = world();
        let verdict = handed_to_bob(&world, Framing::Data, 36..37);
        assert_eq!(world.says(&send(peer, b"a")), verdict, "Send to {peer}");
        world.bind(ALICE, 0x4000, peer, true);
        let verdict = handed_to_bob(&world, Framing::Data, 4..5);
        assert_eq!(
            world.says(&channel_data(0x4000, b"a")),
            verdict,
            "ChannelData to {peer}"
        );
    }
}

#[test]
fn the_target_sees_the_advertised_address_of_the_sender() {
    let mut world = world();
    world.bind(BOB, 0x4abc, ALICE_INSIDE, true);
    let verdict = handed_to_bob(&world, Framing::Data, 36..37);
    assert_eq!(
        world.says(&send(BOB_OUTSIDE, b"a")),
        verdict,
        "a channel for the other name"
    );
    world.bind(BOB, 0x4abc, ALICE_OUTSIDE, true);
    let verdict = handed_to_bob(&world, Framing::Channel(0x4abc), 36..37);
    assert_eq!(world.says(&send(BOB_OUTSIDE, b"a")), verdict);
}

#[test]
fn the_target_needs_a_permission_for_the_advertised_address() {
    let mut world = World::new();
    world.permit(ALICE, OWN, true);
    world.permit(BOB, INSIDE, true);
    world.bind(BOB, 0x4abc, ALICE_OUTSIDE, true);
    assert_eq!(
        world.says(&send(BOB_OUTSIDE, b"a")),
        dropped(Reason::NoPermission)
    );
    world.permit(BOB, OWN, true);
    assert!(matches!(
        world.says(&send(BOB_OUTSIDE, b"a")),
        FromClient::HandOver { .. }
    ));
}

#[test]
fn the_sender_needs_a_permission_too() {
    let mut world = World::new();
    world.permit(BOB, OWN, true);
    assert_eq!(
        world.says(&send(BOB_OUTSIDE, b"a")),
        dropped(Reason::NoPermission)
    );
}

#[test]
fn nothing_else_on_an_own_address_is_reached() {
    let mut world = world();
    for peer in ["203.0.113.1:22", "203.0.113.1:50003", "10.0.0.5:3478"] {
        assert_eq!(
            world.says(&send(peer, b"a")),
            dropped(Reason::OwnAddress),
            "{peer}"
        );
        world.bind(ALICE, 0x4000, peer, true);
        let verdict = world.says(&channel_data(0x4000, b"a"));
        assert_eq!(verdict, dropped(Reason::OwnAddress), "{peer}");
    }
}

#[test]
fn a_relayed_address_is_handed_over_even_where_the_permission_is_not_for_own_addresses() {
    let mut world = world();
    world.permit(ALICE, OWN, false);
    let verdict = handed_to_bob(&world, Framing::Data, 36..37);
    assert_eq!(world.says(&send(BOB_OUTSIDE, b"a")), verdict);
    let elsewhere = "203.0.113.1:22";
    let verdict = world.to_peer(elsewhere, 36..37);
    assert_eq!(world.says(&send(elsewhere, b"a")), verdict);
}

#[test]
fn a_dead_target_is_no_relayed_address() {
    for relayed_only in [true, false] {
        let mut world = world();
        world.permit(ALICE, OWN, relayed_only);
        world.table.apply(Change::Extend {
            allocation: BOB,
            expires_at: NOW,
        });
        let verdict = match relayed_only {
            true => dropped(Reason::OwnAddress),
            false => world.to_peer(BOB_OUTSIDE, 36..37),
        };
        assert_eq!(world.says(&send(BOB_OUTSIDE, b"a")), verdict, "dead");
        world.table.apply(Change::Extend {
            allocation: BOB,
            expires_at: NOW + 1,
        });
        let handed = handed_to_bob(&world, Framing::Data, 36..37);
        assert_eq!(
            world.says(&send(BOB_OUTSIDE, b"a")),
            handed,
            "one nanosecond to live"
        );
        world.table.apply(Change::Close { allocation: BOB });
        assert_eq!(world.says(&send(BOB_OUTSIDE, b"a")), verdict, "closed");
    }
}

#[test]
fn a_client_reaches_its_own_relayed_address() {
    let mut world = world();
    let source = address(ALICE_OUTSIDE);
    let (to, framing, payload) = (world.alice, Framing::Data, 36..37);
    let verdict = FromClient::HandOver {
        to,
        source,
        framing,
        payload,
    };
    assert_eq!(world.says(&send(ALICE_OUTSIDE, b"a")), verdict);
}

#[test]
fn what_the_targets_framing_cannot_carry_is_dropped() {
    let mut world = world();
    world.bind(ALICE, 0x4000, BOB_OUTSIDE, true);
    let longest = channel_data(0x4000, &vec![0; 65_535]);
    assert_eq!(world.says(&longest), dropped(Reason::TooLong));
    world.bind(BOB, 0x4000, ALICE_OUTSIDE, true);
    let verdict = handed_to_bob(&world, Framing::Channel(0x4000), 4..65_539);
    assert_eq!(world.says(&longest), verdict);
}
