//! Two relayed addresses in one allocation (RFC 8656 §6, §7.2, §8): each has its own end and its
//! own permissions, and one can go without the other.

use ferryman_flow::{Applied, Change, Family, Framing, FromClient, FromPeer, Reason, Transport};

use crate::world::{
    address, bob, channel_data, client, dropped, send, World, ALICE, BOB, CAROL, LATER, NOW, PEER,
};

const PEER_V6: &str = "[2001:db8::7]:7000";
const V6: &str = "[2001:db8::5]:50001";

/// Alice relays from both families, and has a permission and a channel for a peer of each.
fn dual() -> World {
    let mut world = World::new();
    assert_eq!(world.table.apply(added(V6)), Applied::Added(world.alice));
    world.permit(ALICE, "198.51.100.7", false);
    world.permit(ALICE, "2001:db8::7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    world.bind(ALICE, 0x4001, PEER_V6, false);
    world
}

fn added(relayed: &str) -> Change {
    Change::AddRelayed {
        allocation: ALICE,
        bound: address(relayed),
        advertised: address(relayed),
        expires_at: LATER,
    }
}

fn close(world: &mut World, family: Family) -> Applied {
    let allocation = ALICE;
    world
        .table
        .apply(Change::CloseRelayed { allocation, family })
}

fn end(world: &mut World, family: Family, expires_at: u64) {
    let change = Change::ExtendRelayed {
        allocation: ALICE,
        family,
        expires_at,
    };
    assert_eq!(world.table.apply(change), Applied::Done);
}

#[test]
fn a_client_reaches_peers_of_both_families_and_hears_them() {
    let mut world = dual();
    for (peer, number) in [(PEER, 0x4000), (PEER_V6, 0x4001)] {
        let start = send(peer, b"").len();
        let verdict = world.to_peer(peer, start..start + 5);
        assert_eq!(world.says(&send(peer, b"hello")), verdict);
        let verdict = world.to_peer(peer, 4..9);
        assert_eq!(world.says(&channel_data(number, b"hello")), verdict);
        let framing = Framing::Channel(number);
        assert_eq!(world.hears(peer), FromPeer::ToClient { framing });
    }
}

#[test]
fn a_second_address_of_the_same_family_is_ignored() {
    let mut world = dual();
    for relayed in [V6, "[2001:db8::5]:50009", "10.0.0.5:50009"] {
        assert_eq!(world.table.apply(added(relayed)), Applied::Unknown);
    }
}

#[test]
fn permissions_of_a_family_that_is_not_there_are_not_kept_for_later() {
    let mut world = World::new();
    world.permit(ALICE, "2001:db8::7", false);
    world.bind(ALICE, 0x4001, PEER_V6, false);
    assert_eq!(world.table.apply(added(V6)), Applied::Added(world.alice));
    let reason = Reason::NoPermission;
    assert_eq!(world.says(&send(PEER_V6, b"hello")), dropped(reason));
    let reason = Reason::NoChannel;
    assert_eq!(world.says(&channel_data(0x4001, b"hello")), dropped(reason));
}

#[test]
fn closing_one_family_takes_its_permissions_and_channels_and_no_others() {
    let mut world = dual();
    assert_eq!(close(&mut world, Family::V6), Applied::Removed(world.alice));
    let verdict = dropped(Reason::WrongFamily);
    assert_eq!(world.says(&send(PEER_V6, b"hello")), verdict);
    let verdict = dropped(Reason::NoChannel);
    assert_eq!(world.says(&channel_data(0x4001, b"hello")), verdict);
    assert_eq!(world.hears(PEER_V6), FromPeer::Drop(Reason::NoPermission));
    let verdict = world.to_peer(PEER, 4..9);
    assert_eq!(world.says(&channel_data(0x4000, b"hello")), verdict);
    assert_eq!(close(&mut world, Family::V6), Applied::Unknown);
    // A new one begins with nothing.
    assert_eq!(world.table.apply(added(V6)), Applied::Added(world.alice));
    let verdict = dropped(Reason::NoPermission);
    assert_eq!(world.says(&send(PEER_V6, b"hello")), verdict);
}

#[test]
fn each_family_ends_when_its_own_time_is_over() {
    let mut world = dual();
    end(&mut world, Family::V4, NOW);
    for packet in [send(PEER, b"hello"), channel_data(0x4000, b"hello")] {
        assert_eq!(world.says(&packet), dropped(Reason::NoAllocation));
    }
    assert_eq!(world.hears(PEER), FromPeer::Drop(Reason::NoAllocation));
    let verdict = world.to_peer(PEER_V6, 4..9);
    assert_eq!(world.says(&channel_data(0x4001, b"hello")), verdict);
    end(&mut world, Family::V4, NOW + 1);
    let verdict = world.to_peer(PEER, 4..9);
    assert_eq!(world.says(&channel_data(0x4000, b"hello")), verdict);
}

#[test]
fn a_packet_is_handed_over_from_the_address_of_the_peers_family() {
    let mut world = dual();
    let second = Change::AddRelayed {
        allocation: BOB,
        bound: address("[2001:db8::5]:50002"),
        advertised: address("[2001:db8::5]:50002"),
        expires_at: LATER,
    };
    assert_eq!(world.table.apply(second), Applied::Added(world.bob));
    for own in ["203.0.113.1", "2001:db8::5"] {
        world.permit(ALICE, own, true);
        world.permit(BOB, own, true);
    }
    let rows = [
        ("203.0.113.1:50001", "203.0.113.1:50002"),
        (V6, "[2001:db8::5]:50002"),
    ];
    for (to, from) in rows {
        let start = send(to, b"").len();
        let verdict = FromClient::HandOver {
            to: world.alice,
            source: address(from),
            framing: Framing::Data,
            payload: start..start + 5,
        };
        let said = world.table.from_client(&bob(), &send(to, b"hello"), NOW);
        assert_eq!(said, verdict);
    }
    // The old name leads nowhere, not even once there is a new address.
    assert_eq!(close(&mut world, Family::V6), Applied::Removed(world.alice));
    for _ in 0..2 {
        let said = world.table.from_client(&bob(), &send(V6, b"hello"), NOW);
        assert_eq!(said, dropped(Reason::OwnAddress));
        world.table.apply(added("[2001:db8::5]:50009"));
        world.permit(ALICE, "2001:db8::5", true);
    }
}

#[test]
fn closing_the_allocation_closes_both() {
    let mut world = dual();
    let (alice, allocation) = (world.alice, ALICE);
    world.table.apply(Change::Close { allocation });
    for peer in [PEER, PEER_V6] {
        let verdict = world.table.from_peer(alice, address(peer), 5, NOW);
        assert_eq!(verdict, FromPeer::Drop(Reason::NoAllocation));
    }
    // Their addresses are nobody's: a packet to one would leave.
    world.permit(CAROL, "2001:db8::5", false);
    let carol = client(Transport::Udp, 3);
    let said = world.table.from_client(&carol, &send(V6, b"hello"), NOW);
    assert!(matches!(said, FromClient::ToPeer { .. }), "{said:?}");
}
