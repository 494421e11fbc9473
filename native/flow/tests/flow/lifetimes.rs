//! Everything dies at its exact nanosecond, and what is dead may be forgotten but never counts.

use ferryman_flow::{Change, Framing, FromClient, FromPeer, Reason};

use crate::world::*;

const END: u64 = NOW + 1_000;

fn world() -> World {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    world
}

#[test]
fn an_allocation_is_dead_from_its_last_nanosecond_on() {
    let mut world = world();
    world.table.apply(Change::Extend {
        allocation: ALICE,
        expires_at: END,
    });
    for packet in [send(PEER, b"a"), channel_data(0x4000, b"a")] {
        let lives = world.table.from_client(&alice(), &packet, END - 1);
        assert!(
            matches!(lives, FromClient::ToPeer { .. }),
            "RFC 8656 §8: {lives:?}"
        );
        let dead = world.table.from_client(&alice(), &packet, END);
        assert_eq!(dead, dropped(Reason::NoAllocation), "RFC 8656 §8");
    }
    let lives = world
        .table
        .from_peer(world.alice, address(PEER), 1, END - 1);
    assert!(matches!(lives, FromPeer::ToClient { .. }));
    let dead = world.table.from_peer(world.alice, address(PEER), 1, END);
    assert_eq!(dead, FromPeer::Drop(Reason::NoAllocation));
}

#[test]
fn requests_outlive_the_allocation() {
    let mut world = world();
    world.table.apply(Change::Extend {
        allocation: ALICE,
        expires_at: END,
    });
    let verdict = world.table.from_client(&alice(), &stun(0x0004, &[]), END);
    assert_eq!(verdict, FromClient::Ask);
}

#[test]
fn a_permission_is_dead_from_its_last_nanosecond_on() {
    let mut world = world();
    let (allocation, peer_ip, relayed_only) = (ALICE, ip("198.51.100.7"), false);
    let permit = Change::Permit {
        allocation,
        peer_ip,
        relayed_only,
        expires_at: END,
    };
    world.table.apply(permit);
    let lives = world
        .table
        .from_client(&alice(), &send(PEER, b"a"), END - 1);
    assert!(matches!(lives, FromClient::ToPeer { .. }), "RFC 8656 §9");
    let dead = world.table.from_client(&alice(), &send(PEER, b"a"), END);
    assert_eq!(dead, dropped(Reason::NoPermission), "RFC 8656 §9");
    let lives = world
        .table
        .from_peer(world.alice, address(PEER), 1, END - 1);
    assert!(matches!(lives, FromPeer::ToClient { .. }), "RFC 8656 §11.3");
    let dead = world.table.from_peer(world.alice, address(PEER), 1, END);
    assert_eq!(dead, FromPeer::Drop(Reason::NoPermission), "RFC 8656 §11.3");
    world.table.apply(Change::Permit {
        allocation,
        peer_ip,
        relayed_only,
        expires_at: END + 1,
    });
    let again = world.table.from_client(&alice(), &send(PEER, b"a"), END);
    assert!(
        matches!(again, FromClient::ToPeer { .. }),
        "RFC 8656 §10.2: refreshed"
    );
}

#[test]
fn a_channel_is_dead_from_its_last_nanosecond_on() {
    let mut world = world();
    let (allocation, number, peer, relayed_only) = (ALICE, 0x4000, address(PEER), false);
    let expires_at = END;
    let bind = Change::BindChannel {
        allocation,
        number,
        peer,
        relayed_only,
        expires_at,
    };
    world.table.apply(bind);
    let lives = world
        .table
        .from_client(&alice(), &channel_data(0x4000, b"a"), END - 1);
    assert!(matches!(lives, FromClient::ToPeer { .. }), "RFC 8656 §12");
    let dead = world
        .table
        .from_client(&alice(), &channel_data(0x4000, b"a"), END);
    assert_eq!(dead, dropped(Reason::NoChannel), "RFC 8656 §12");
    let lives = world.table.from_peer(world.alice, peer, 1, END - 1);
    assert_eq!(
        lives,
        FromPeer::ToClient {
            framing: Framing::Channel(0x4000)
        }
    );
    let dead = world.table.from_peer(world.alice, peer, 1, END);
    assert_eq!(
        dead,
        FromPeer::ToClient {
            framing: Framing::Data
        },
        "RFC 8656 §12.7"
    );
}

#[test]
fn a_handed_over_packet_meets_the_targets_own_ends() {
    let source = "203.0.113.1:50001";
    let mut world = World::new();
    world.permit(ALICE, OWN, true);
    let (allocation, relayed_only, expires_at) = (BOB, true, END);
    let peer_ip = ip(OWN);
    world.table.apply(Change::Permit {
        allocation,
        peer_ip,
        relayed_only,
        expires_at,
    });
    let (number, peer, expires_at) = (0x4000, address(source), END - 5);
    world.table.apply(Change::BindChannel {
        allocation,
        number,
        peer,
        relayed_only,
        expires_at,
    });
    let packet = send("203.0.113.1:50002", b"a");
    let framing = |verdict| match verdict {
        FromClient::HandOver { framing, .. } => Some(framing),
        _ => None,
    };
    let mut at = |now| framing(world.table.from_client(&alice(), &packet, now));
    assert_eq!(at(END - 6), Some(Framing::Channel(0x4000)));
    assert_eq!(at(END - 5), Some(Framing::Data));
    assert_eq!(at(END - 1), Some(Framing::Data));
    assert_eq!(at(END), None);
}

#[test]
fn dead_permissions_make_room_and_living_ones_stay() {
    let mut world = World::new();
    let (allocation, relayed_only) = (ALICE, false);
    for n in 0..2_000_u32 {
        let now = NOW + u64::from(n);
        let peer_ip = std::net::Ipv4Addr::from_bits(0xC633_0000 + n).into();
        let expires_at = if n % 100 == 0 { LATER } else { now + 50 };
        world.table.apply(Change::Permit {
            allocation,
            peer_ip,
            relayed_only,
            expires_at,
        });
        world.table.from_client(&alice(), &[], now);
    }
    let now = NOW + 1_999;
    for n in 0..2_000_u32 {
        let peer = std::net::Ipv4Addr::from_bits(0xC633_0000 + n);
        let verdict = world
            .table
            .from_client(&alice(), &send(&format!("{peer}:1"), b""), now);
        let lives = n % 100 == 0 || n + 50 > 1_999;
        assert_eq!(matches!(verdict, FromClient::ToPeer { .. }), lives, "{n}");
    }
}

#[test]
fn dead_channels_make_room_and_living_ones_stay() {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    let (allocation, relayed_only) = (ALICE, false);
    let peer_of = |n: u16| address(&format!("198.51.100.7:{}", n + 1));
    for n in 0..2_000_u16 {
        let now = NOW + u64::from(n);
        let (number, peer) = (0x4000 + n, peer_of(n));
        let expires_at = if n % 100 == 0 { LATER } else { now + 50 };
        let bind = Change::BindChannel {
            allocation,
            number,
            peer,
            relayed_only,
            expires_at,
        };
        world.table.apply(bind);
        world.table.from_client(&alice(), &[], now);
    }
    let now = NOW + 1_999;
    for n in 0..2_000_u16 {
        let lives = n % 100 == 0 || n + 50 > 1_999;
        let up = world
            .table
            .from_client(&alice(), &channel_data(0x4000 + n, b""), now);
        assert_eq!(matches!(up, FromClient::ToPeer { .. }), lives, "{n}");
        let down = world.table.from_peer(world.alice, peer_of(n), 0, now);
        let framing = if lives {
            Framing::Channel(0x4000 + n)
        } else {
            Framing::Data
        };
        assert_eq!(down, FromPeer::ToClient { framing }, "{n}");
    }
}

#[test]
fn what_has_one_nanosecond_to_live_is_not_forgotten() {
    let mut world = World::new();
    let (allocation, relayed_only, expires_at) = (ALICE, false, NOW + 1);
    world.table.from_client(&alice(), &[], NOW);
    let peer_of = |n: u16| address(&format!("198.51.100.{n}:1"));
    for n in 0..200 {
        let (number, peer) = (0x4000 + n, peer_of(n));
        let peer_ip = peer.ip();
        world.table.apply(Change::Permit {
            allocation,
            peer_ip,
            relayed_only,
            expires_at,
        });
        let bind = Change::BindChannel {
            allocation,
            number,
            peer,
            relayed_only,
            expires_at,
        };
        world.table.apply(bind);
    }
    for n in 0..200 {
        let framing = Framing::Channel(0x4000 + n);
        let heard = world.table.from_peer(world.alice, peer_of(n), 1, NOW);
        assert_eq!(heard, FromPeer::ToClient { framing }, "{n}");
    }
}
