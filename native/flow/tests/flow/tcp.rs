//! TCP allocations (RFC 6062 §5): where a connection may go, and who may come.

use std::net::SocketAddr;

use ferryman_flow::{Direction, FiveTuple, Reason, TcpAllocation, TcpAllocations, Transport};

const ALICE: u64 = 1;
const BOB: u64 = 2;
const NOW: u64 = 1_000;
const PEER: &str = "198.51.100.7:80";
const OWN_SERVICE: &str = "203.0.113.1:22";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn allocation(port: u16) -> TcpAllocation {
    let five_tuple = FiveTuple {
        transport: Transport::Tcp,
        client: at("192.0.2.200:4000"),
        server: at("203.0.113.1:3478"),
        socket: port.into(),
    };
    let bound = SocketAddr::new(at("10.0.0.5:0").ip(), port);
    let advertised = SocketAddr::new(at("203.0.113.1:0").ip(), port);
    TcpAllocation::new(five_tuple, bound, advertised, NOW + 10, 0)
}

/// Alice relays on port 50001, Bob on 50002, behind a NAT; both until `NOW + 10`.
fn world() -> TcpAllocations {
    let mut world = TcpAllocations::default();
    assert!(world.open(ALICE, allocation(50_001)));
    assert!(world.open(BOB, allocation(50_002)));
    world
}

#[test]
fn a_connection_to_a_peer_goes_to_the_peer() {
    let to = world().destination(ALICE, at(PEER), false, NOW);
    assert_eq!(to, Ok(at(PEER)));
}

#[test]
fn a_connection_to_a_relayed_address_goes_to_its_socket() {
    for name in ["203.0.113.1:50002", "10.0.0.5:50002"] {
        for relayed_only in [true, false] {
            let to = world().destination(ALICE, at(name), relayed_only, NOW);
            assert_eq!(to, Ok(at("10.0.0.5:50002")));
        }
    }
}

#[test]
fn nothing_else_of_the_servers_own_is_reached() {
    let mut world = world();
    let own = world.destination(ALICE, at(OWN_SERVICE), true, NOW);
    assert_eq!(own, Err(Reason::OwnAddress));
    for name in ["203.0.113.1:50001", "10.0.0.5:50001"] {
        let itself = world.destination(ALICE, at(name), false, NOW);
        assert_eq!(itself, Err(Reason::OwnAddress));
    }
    assert!(world.close(BOB).is_some());
    let gone = world.destination(ALICE, at("203.0.113.1:50002"), true, NOW);
    assert_eq!(gone, Err(Reason::OwnAddress));
}

#[test]
fn a_dead_allocation_connects_nowhere_and_is_not_connected_to() {
    let mut world = world();
    world.extend(BOB, NOW);
    let from = world.destination(BOB, at(PEER), false, NOW);
    assert_eq!(from, Err(Reason::NoAllocation));
    let to = world.destination(ALICE, at("203.0.113.1:50002"), true, NOW);
    assert_eq!(to, Err(Reason::OwnAddress));
    assert!(world.live_mut(BOB, NOW).is_none());
    assert!(world.live_mut(BOB, NOW - 1).is_some());
}

#[test]
fn a_peer_comes_in_by_permission_only_and_while_it_stands() {
    let mut world = world();
    let arrive = |world: &TcpAllocations, now| world.arrival(ALICE, at(PEER), now);
    assert_eq!(arrive(&world, NOW), Err(Reason::NoPermission));
    world.permit(ALICE, at(PEER).ip(), false, NOW + 5, NOW);
    assert_eq!(arrive(&world, NOW + 4), Ok(at(PEER)));
    assert_eq!(arrive(&world, NOW + 5), Err(Reason::NoPermission));
    assert_eq!(world.arrival(BOB, at(PEER), NOW), Err(Reason::NoPermission));
    world.permit(ALICE, at(PEER).ip(), false, NOW + 20, NOW);
    assert_eq!(arrive(&world, NOW + 10), Err(Reason::NoAllocation));
}

#[test]
fn another_client_of_ours_comes_by_its_advertised_name() {
    let mut world = world();
    world.permit(BOB, at("203.0.113.1:0").ip(), true, NOW + 5, NOW);
    let peer = world.arrival(BOB, at("10.0.0.5:50001"), NOW);
    assert_eq!(peer, Ok(at("203.0.113.1:50001")));
}

#[test]
fn a_permission_for_relayed_addresses_admits_no_other_program_here() {
    let mut world = world();
    world.permit(BOB, at(OWN_SERVICE).ip(), true, NOW + 5, NOW);
    let other = world.arrival(BOB, at("203.0.113.1:40000"), NOW);
    assert_eq!(other, Err(Reason::OwnAddress));
}

#[test]
fn the_other_family_is_neither_reached_nor_admitted() {
    let mut world = world();
    let peer = at("[2001:db8::7]:80");
    world.permit(ALICE, peer.ip(), false, NOW + 5, NOW);
    assert_eq!(
        world.destination(ALICE, peer, false, NOW),
        Err(Reason::WrongFamily)
    );
    assert_eq!(world.arrival(ALICE, peer, NOW), Err(Reason::NoPermission));
}

#[test]
fn a_number_is_taken_once_and_what_was_carried_is_told_at_the_end() {
    let mut world = world();
    assert!(!world.open(ALICE, allocation(50_009)));
    if let Some(alice) = world.live_mut(ALICE, NOW) {
        alice.count(Direction::ToPeer, 3);
        alice.count(Direction::ToClient, 4);
        alice.count(Direction::ToClient, 5);
    }
    let usage = world.close(ALICE).map(|allocation| allocation.usage);
    let usage = usage.unwrap_or_default();
    assert_eq!((usage.sent_packets, usage.sent_bytes), (1, 3));
    assert_eq!((usage.received_packets, usage.received_bytes), (2, 9));
    assert!(world.close(ALICE).is_none());
    assert!(!world.contains(ALICE));
    assert!(world.contains(BOB));
}

#[test]
fn what_is_used_up_opens_again_by_portions() {
    const T: u64 = 1_000_000_000;
    let mut world = TcpAllocations::default();
    let limited = TcpAllocation::new(
        allocation(50_001).five_tuple,
        at("10.0.0.5:50001"),
        at("203.0.113.1:50001"),
        u64::MAX,
        100_000,
    );
    assert!(world.open(ALICE, limited));
    let Some(alice) = world.live_mut(ALICE, T) else {
        panic!("it lives");
    };
    assert_eq!(alice.room(Direction::ToPeer, 30_000, T), Ok(70_000));
    alice.count(Direction::ToPeer, 100_000);
    let opens_at = T + 40_960_000; // 4,096 bytes at 100,000 a second
    assert_eq!(alice.room(Direction::ToPeer, 0, T), Err(opens_at));
    assert_eq!(alice.room(Direction::ToPeer, 0, opens_at), Ok(4_096));
    assert_eq!(alice.room(Direction::ToClient, 0, T), Ok(100_000));
}
