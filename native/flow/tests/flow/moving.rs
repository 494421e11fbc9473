//! A client on its way to another 5-tuple (RFC 8016 §3.2.2): two paths, then one.

use ferryman_flow::{
    Applied, Change, FiveTuple, Framing, FromClient, FromPeer, Reason, Rerouted, Table, Transport,
};

use crate::world::*;

const UNTIL: u64 = NOW + 30_000_000_000;

/// Where Alice goes.
fn elsewhere() -> FiveTuple {
    client(Transport::Tcp, 77)
}

fn begin(world: &mut World, five_tuple: FiveTuple) -> Applied {
    world.table.apply(Change::Move {
        allocation: ALICE,
        five_tuple,
        until: UNTIL,
    })
}

fn leave(world: &mut World, five_tuple: FiveTuple) -> Applied {
    world.table.apply(Change::Leave {
        allocation: ALICE,
        five_tuple,
    })
}

/// Alice, permitted and with a channel, on her way.
fn moving() -> World {
    let mut world = permitted();
    let begun = begin(&mut world, elsewhere());
    assert_eq!(begun, rerouted(&world, alice(), None));
    world
}

fn rerouted(world: &World, five_tuple: FiveTuple, left: Option<FiveTuple>) -> Applied {
    Applied::Rerouted(Rerouted {
        allocation: ALICE,
        slot: world.alice,
        five_tuple,
        left,
    })
}

fn has_moved(world: &mut World) -> bool {
    let expected = Rerouted {
        allocation: ALICE,
        slot: world.alice,
        five_tuple: elsewhere(),
        left: Some(alice()),
    };
    match world.table.take_moved() {
        Some(moved) => {
            assert_eq!(moved, expected);
            true
        }
        None => false,
    }
}

fn says_elsewhere(world: &mut World, packet: &[u8], now: u64) -> FromClient {
    world.table.from_client(&elsewhere(), packet, now)
}

#[test]
fn while_she_moves_the_old_path_carries_both_ways() {
    let mut world = moving();
    assert_eq!(
        world.says(&channel_data(0x4000, b"old")),
        world.to_peer(PEER, 4..7)
    );
    let framing = Framing::Channel(0x4000);
    assert_eq!(world.hears(PEER), FromPeer::ToClient { framing });
    assert_eq!(world.table.five_tuple(world.alice), Some(alice()));
    assert!(!has_moved(&mut world));
}

#[test]
fn channel_data_or_a_send_indication_on_the_new_path_moves_her_and_is_forwarded() {
    for packet in [channel_data(0x4000, b"new"), send(PEER, b"new")] {
        let mut world = moving();
        let verdict = says_elsewhere(&mut world, &packet, UNTIL - 1);
        assert!(
            matches!(verdict, FromClient::ToPeer { slot, .. } if slot == world.alice),
            "{verdict:?}"
        );
        assert!(has_moved(&mut world));
        assert!(!has_moved(&mut world), "it is told once");
        assert_eq!(world.table.five_tuple(world.alice), Some(elsewhere()));
        assert_eq!(
            world.says(&channel_data(0x4000, b"old")),
            dropped(Reason::NoAllocation)
        );
        assert_eq!(world.table.slot_of_client(&alice()), None);
    }
}

#[test]
fn what_may_not_go_on_moves_her_all_the_same() {
    for packet in [
        channel_data(0x4FFF, b"unbound"),
        send("198.51.100.99:1", b"unpermitted"),
    ] {
        let mut world = moving();
        let verdict = says_elsewhere(&mut world, &packet, NOW);
        assert!(matches!(verdict, FromClient::Drop(_)), "{verdict:?}");
        assert!(has_moved(&mut world));
    }
}

#[test]
fn requests_and_what_cannot_be_read_do_not_move_her() {
    let lies = altered(channel_data(0x4000, b"lies"), 3, 200);
    let nothing = send_without_data();
    for packet in [
        stun(0x0004, &[]),
        stun(0x0008, &[]),
        stun(0x0001, &[]),
        lies,
        nothing,
        vec![0xFF],
    ] {
        let mut world = moving();
        says_elsewhere(&mut world, &packet, NOW);
        assert!(!has_moved(&mut world), "{packet:?}");
        assert_eq!(world.table.five_tuple(world.alice), Some(alice()));
    }
}

fn send_without_data() -> Vec<u8> {
    stun(SEND, &[(XOR_PEER_ADDRESS, &xored(PEER))])
}

#[test]
fn the_new_path_is_dead_from_its_last_nanosecond_on() {
    let mut world = moving();
    let verdict = says_elsewhere(&mut world, &channel_data(0x4000, b"late"), UNTIL);
    assert_eq!(verdict, dropped(Reason::NoAllocation));
    assert!(!has_moved(&mut world));
    let verdict = world
        .table
        .from_client(&alice(), &channel_data(0x4000, b"old"), UNTIL);
    assert_eq!(verdict, world.to_peer(PEER, 4..7), "the old one is not");
}

#[test]
fn a_second_move_replaces_the_first() {
    let mut world = moving();
    let third = client(Transport::Udp, 78);
    let begun = begin(&mut world, third);
    assert_eq!(begun, rerouted(&world, alice(), Some(elsewhere())));
    let verdict = says_elsewhere(&mut world, &channel_data(0x4000, b"x"), NOW);
    assert_eq!(verdict, dropped(Reason::NoAllocation));
    world
        .table
        .from_client(&third, &channel_data(0x4000, b"x"), NOW);
    assert_eq!(world.table.five_tuple(world.alice), Some(third));
}

#[test]
fn leaving_the_old_path_puts_her_on_the_new_one_even_after_its_time() {
    let mut world = moving();
    let verdict = says_elsewhere(&mut world, &channel_data(0x4000, b"late"), UNTIL);
    assert_eq!(verdict, dropped(Reason::NoAllocation));
    let left = leave(&mut world, alice());
    assert_eq!(left, rerouted(&world, elsewhere(), Some(alice())));
    let verdict = says_elsewhere(&mut world, &channel_data(0x4000, b"now"), UNTIL);
    assert_eq!(verdict, world.to_peer(PEER, 4..7));
}

#[test]
fn leaving_the_new_path_lets_her_stay() {
    let mut world = moving();
    let left = leave(&mut world, elsewhere());
    assert_eq!(left, rerouted(&world, alice(), Some(elsewhere())));
    assert_eq!(world.table.slot_of_client(&elsewhere()), None);
}

#[test]
fn the_only_path_and_a_strange_one_are_not_left() {
    let mut world = permitted();
    assert_eq!(leave(&mut world, alice()), Applied::Done);
    let mut world = moving();
    assert_eq!(leave(&mut world, bob()), Applied::Done);
    says_elsewhere(&mut world, &channel_data(0x4000, b"x"), NOW);
    assert_eq!(leave(&mut world, elsewhere()), Applied::Done, "too late");
    assert_eq!(world.table.five_tuple(world.alice), Some(elsewhere()));
}

#[test]
fn a_move_to_where_she_is_does_nothing() {
    let mut world = permitted();
    assert_eq!(begin(&mut world, alice()), Applied::Done);
    world.says(&channel_data(0x4000, b"x"));
    assert!(!has_moved(&mut world));
}

#[test]
fn closing_forgets_both_paths_and_tells_of_them() {
    let mut world = moving();
    let closed = world.table.apply(Change::Close { allocation: ALICE });
    let Applied::Closed {
        five_tuple, second, ..
    } = closed
    else {
        panic!("{closed:?}");
    };
    assert_eq!((five_tuple, second), (alice(), Some(elsewhere())));
    for path in [alice(), elsewhere()] {
        assert_eq!(world.table.slot_of_client(&path), None);
    }
}

#[test]
fn whoever_took_over_a_path_keeps_it() {
    let mut world = moving();
    let (bound, advertised) = (address("10.0.0.5:50009"), address("203.0.113.1:50009"));
    let heir = open(&mut world.table, 9, elsewhere(), bound, advertised);
    leave(&mut world, elsewhere());
    assert_eq!(world.table.slot_of_client(&elsewhere()), Some(heir));
    assert!(!has_moved(&mut world));
}

#[test]
fn nobody_moves_an_allocation_that_is_not_there() {
    let mut world = World::new();
    let (allocation, five_tuple) = (99, elsewhere());
    let until = UNTIL;
    let begun = world.table.apply(Change::Move {
        allocation,
        five_tuple,
        until,
    });
    assert_eq!(begun, Applied::Unknown);
    let left = world.table.apply(Change::Leave {
        allocation,
        five_tuple,
    });
    assert_eq!(left, Applied::Unknown);
}

#[test]
fn a_path_that_one_worker_gives_up_stays_where_another_one_has_taken_it() {
    let mut table = Table::new();
    let path = elsewhere();
    table.host(path, 1);
    table.host(path, 2);
    table.unhost(&path, 1);
    let packet = [0x40, 0x00, 0x00, 0x00];
    let judged = table.from_client(&path, &packet, NOW);
    assert_eq!(judged, FromClient::Stray { home: 2 });
    table.unhost(&path, 2);
    assert!(!table.leads_somewhere(&path));
}
