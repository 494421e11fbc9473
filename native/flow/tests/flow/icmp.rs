//! ICMP errors about packets to peers (RFC 8656 §11.5, §18.13).

use ferryman_flow::{write_icmp, Change, Icmp, Reason, ICMP_LENGTH};

use crate::world::{address, stun, xored, World, ALICE, CAROL, LATER, NOW, PEER, XOR_PEER_ADDRESS};

const SECOND: u64 = 1_000_000_000;
const PEER_V6: &str = "[2001:db8::7]:7000";

fn icmp(kind: u8, code: u8) -> Icmp {
    let mtu = 1280;
    Icmp { kind, code, mtu }
}

/// Alice is permitted an IPv4 peer, Carol an IPv6 one.
fn permitted() -> World {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    world.permit(CAROL, "2001:db8::7", false);
    world
}

#[test]
fn clients_are_told_of_these_types_and_no_others() {
    for kind in 0..=u8::MAX {
        let mut world = permitted();
        let (alice, carol) = (world.alice, world.carol);
        let told = world
            .table
            .from_network(alice, address(PEER), icmp(kind, 0), NOW);
        assert_eq!(told.is_ok(), matches!(kind, 3 | 11), "ICMPv4 type {kind}");
        let told = world
            .table
            .from_network(carol, address(PEER_V6), icmp(kind, 0), NOW);
        assert_eq!(told.is_ok(), matches!(kind, 1..=3), "ICMPv6 type {kind}");
    }
}

#[test]
fn only_a_permission_for_the_ip_counts_and_it_is_asked_for_no_port() {
    let mut world = permitted();
    let rows = [
        ("198.51.100.7:7000", Ok(())),
        ("198.51.100.7:9", Ok(())),
        ("198.51.100.7:0", Ok(())),
        ("198.51.100.8:7000", Err(Reason::NoPermission)),
        ("[::198.51.100.7]:7000", Err(Reason::NoPermission)),
    ];
    for (peer, expected) in rows {
        let told = world
            .table
            .from_network(world.alice, address(peer), icmp(3, 3), NOW);
        assert_eq!(told, expected, "{peer}");
    }
    let told = world
        .table
        .from_network(world.alice, address(PEER), icmp(3, 3), LATER);
    assert_eq!(told, Err(Reason::NoAllocation));
}

#[test]
fn a_client_is_told_of_ten_errors_in_a_second() {
    let mut world = permitted();
    let told = |world: &mut World, now| {
        let slot = world.alice;
        world
            .table
            .from_network(slot, address(PEER), icmp(3, 3), now)
    };
    for _ in 0..10 {
        assert_eq!(told(&mut world, NOW), Ok(()));
    }
    let late = NOW + SECOND - 1;
    assert_eq!(told(&mut world, late), Err(Reason::TooManyErrors));
    let carol = world.carol;
    let other = world
        .table
        .from_network(carol, address(PEER_V6), icmp(1, 0), late);
    assert_eq!(other, Ok(()), "another allocation has its own ten");
    assert_eq!(told(&mut world, NOW + SECOND), Ok(()));
}

#[test]
fn errors_count_in_no_usage() {
    let mut world = permitted();
    let slot = world.alice;
    for kind in [3, 4] {
        let _ = world
            .table
            .from_network(slot, address(PEER), icmp(kind, 0), NOW);
    }
    let usage = world.table.usage(slot);
    assert_eq!(usage, Some(ferryman_flow::Usage::default()));
}

#[test]
fn an_expired_permission_is_none() {
    let mut world = permitted();
    let change = Change::Permit {
        allocation: ALICE,
        peer_ip: address(PEER).ip(),
        relayed_only: false,
        expires_at: NOW,
    };
    world.table.apply(change);
    let told = world
        .table
        .from_network(world.alice, address(PEER), icmp(3, 3), NOW);
    assert_eq!(told, Err(Reason::NoPermission));
}

#[test]
fn the_indication_lies_as_the_rfc_draws_it() {
    // Type in 7 bits, code in 9; the MTU only where the type tells one.
    let rows: [(&str, u8, u8, [u8; 8]); 5] = [
        (PEER, 3, 3, [0, 0, 0x06, 0x03, 0, 0, 0, 0]),
        (PEER, 3, 4, [0, 0, 0x06, 0x04, 0, 0, 0x05, 0x00]),
        (PEER, 11, 0, [0, 0, 0x16, 0x00, 0, 0, 0, 0]),
        (PEER_V6, 2, 0, [0, 0, 0x04, 0x00, 0, 0, 0x05, 0x00]),
        (PEER_V6, 3, 4, [0, 0, 0x06, 0x04, 0, 0, 0, 0]),
    ];
    for (peer, kind, code, value) in rows {
        let mut out = [0xEE; ICMP_LENGTH];
        let id = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let length = write_icmp(address(peer), icmp(kind, code), id, &mut out);
        let expected = stun(
            0x0017,
            &[(XOR_PEER_ADDRESS, &xored(peer)), (0x8004, &value)],
        );
        assert_eq!(out[..length], expected);
    }
}
