//! What becomes of a packet that comes to a relay socket.

use ferryman_flow::{Framing, FromPeer, Reason};

use crate::world::*;

const DATA_INDICATION: FromPeer = FromPeer::ToClient {
    framing: Framing::Data,
};

fn channel(number: u16) -> FromPeer {
    FromPeer::ToClient {
        framing: Framing::Channel(number),
    }
}

#[test]
fn a_packet_from_a_peer_goes_to_the_client() {
    let rows = [
        (
            "RFC 8656 §11.3: no permission",
            false,
            None,
            FromPeer::Drop(Reason::NoPermission),
        ),
        (
            "RFC 8656 §11.3: a Data indication",
            true,
            None,
            DATA_INDICATION,
        ),
        (
            "RFC 8656 §12.7: a channel",
            true,
            Some(PEER),
            channel(0x4abc),
        ),
        (
            "RFC 8656 §12.7: the channel of another port is not used",
            true,
            Some("198.51.100.7:7001"),
            DATA_INDICATION,
        ),
        (
            "RFC 8656 §12.7: the channel of another IP is not used",
            true,
            Some("198.51.100.8:7000"),
            DATA_INDICATION,
        ),
        (
            "RFC 8656 §9: a channel without a permission",
            false,
            Some(PEER),
            FromPeer::Drop(Reason::NoPermission),
        ),
    ];
    for (row, permitted, bound, verdict) in rows {
        let mut world = World::new();
        if permitted {
            world.permit(ALICE, "198.51.100.7", false);
        }
        if let Some(peer) = bound {
            world.bind(ALICE, 0x4abc, peer, false);
        }
        assert_eq!(world.hears(PEER), verdict, "{row}");
    }
}

#[test]
fn a_permission_for_own_addresses_lets_packets_in() {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", true);
    assert_eq!(world.hears(PEER), DATA_INDICATION);
    world.bind(ALICE, 0x4000, PEER, true);
    assert_eq!(world.hears(PEER), channel(0x4000));
}

#[test]
fn rebinding_a_number_takes_both_directions_along() {
    let mut world = World::new();
    let other = "198.51.100.7:7001";
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    world.bind(ALICE, 0x4000, other, false);
    assert_eq!(world.hears(PEER), DATA_INDICATION);
    assert_eq!(world.hears(other), channel(0x4000));
    world.bind(ALICE, 0x4001, other, false);
    assert_eq!(world.hears(other), channel(0x4001));
}

#[test]
fn the_scope_of_a_peer_does_not_matter() {
    let mut world = World::new();
    world.permit(CAROL, "2001:db8::7", false);
    world.bind(CAROL, 0x4000, "[2001:db8::7]:7", false);
    let peer = std::net::SocketAddrV6::new("2001:db8::7".parse().unwrap(), 7, 5, 3);
    assert_eq!(
        world.table.from_peer(world.carol, peer.into(), 1, NOW),
        channel(0x4000)
    );
}

#[test]
fn a_peer_of_the_other_family_has_no_permission() {
    let mut world = World::new();
    world.permit(CAROL, "::c633:6407", false);
    let verdict = world.table.from_peer(world.carol, address(PEER), 1, NOW);
    assert_eq!(verdict, FromPeer::Drop(Reason::NoPermission));
}

#[test]
fn a_payload_that_its_framing_cannot_carry_is_dropped() {
    let too_long = FromPeer::Drop(Reason::TooLong);
    let rows = [
        (ALICE, PEER, false, 65_516, DATA_INDICATION),
        (ALICE, PEER, false, 65_517, too_long),
        (ALICE, PEER, true, 65_535, channel(0x4000)),
        (ALICE, PEER, true, 65_536, too_long),
        (CAROL, "[2001:db8::7]:7", false, 65_504, DATA_INDICATION),
        (CAROL, "[2001:db8::7]:7", false, 65_505, too_long),
        (CAROL, "[2001:db8::7]:7", true, 65_527, channel(0x4000)),
    ];
    for (allocation, peer, bound, length, verdict) in rows {
        let mut world = World::new();
        world.permit(allocation, &address(peer).ip().to_string(), false);
        if bound {
            world.bind(allocation, 0x4000, peer, false);
        }
        let slot = world.table.slot_of(allocation).unwrap();
        let heard = world.table.from_peer(slot, address(peer), length, NOW);
        assert_eq!(heard, verdict, "{peer} {length} {bound}");
    }
}
