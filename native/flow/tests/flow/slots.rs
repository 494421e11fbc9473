//! Slots, and what stays of an allocation after it is closed: nothing.

use ferryman_flow::{Applied, Change, FromPeer, Reason, Table};

use crate::world::*;

#[test]
fn a_closed_slot_is_empty_until_the_next_allocation_takes_it() {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    let closed = world.table.apply(Change::Close { allocation: ALICE });
    let (slot, five_tuple) = (world.alice, alice());
    assert_eq!(
        closed,
        Applied::Closed {
            slot,
            usage: Default::default(),
            five_tuple,
            second: None
        }
    );
    assert_eq!(world.hears(PEER), FromPeer::Drop(Reason::NoAllocation));
    assert_eq!(world.table.allocation(slot), None);
    assert_eq!(world.table.five_tuple(slot), None);
    assert_eq!(world.table.usage(slot), None);
    assert_eq!(world.table.slot_of(ALICE), None);
    assert_eq!(world.table.slot_of_client(&alice()), None);
    let (bound, advertised) = (address("10.0.0.5:50009"), address("203.0.113.1:50009"));
    let again = open(&mut world.table, 4, alice(), bound, advertised);
    assert_eq!(again, slot, "the slot is used again");
    assert_eq!(
        world.hears(PEER),
        FromPeer::Drop(Reason::NoPermission),
        "no permission is left"
    );
    assert_eq!(
        world.says(&channel_data(0x4000, b"a")),
        dropped(Reason::NoChannel)
    );
}

#[test]
fn slots_are_small_numbers_each_of_one_allocation() {
    let mut table = Table::new();
    let tuple = |n| client(ferryman_flow::Transport::Udp, n);
    let relayed = |n| std::net::SocketAddr::new(ip(OWN), n);
    for n in 1..=100 {
        let slot = open(&mut table, u64::from(n), tuple(n), relayed(n), relayed(n));
        assert_eq!(slot.index(), usize::from(n) - 1);
    }
    for n in [10, 20, 30] {
        table.apply(Change::Close { allocation: n });
    }
    let mut taken: Vec<_> = (101..=104)
        .map(|n| open(&mut table, u64::from(n), tuple(n), relayed(n), relayed(n)).index())
        .collect();
    taken.sort_unstable();
    assert_eq!(taken, [9, 19, 29, 100]);
    assert_eq!(table.len(), 101);
}

#[test]
fn a_number_that_is_open_is_not_opened_again() {
    let mut world = World::new();
    let (five_tuple, expires_at) = (client(ferryman_flow::Transport::Udp, 9), LATER);
    let (bound, advertised) = (address("10.0.0.5:50009"), address("203.0.113.1:50009"));
    let open = Change::Open {
        allocation: ALICE,
        five_tuple,
        bound,
        advertised,
        expires_at,
        bytes_per_second: 0,
    };
    assert_eq!(world.table.apply(open), Applied::Unknown);
    assert_eq!(world.table.slot_of_client(&five_tuple), None);
    assert_eq!(world.table.slot_of_client(&alice()), Some(world.alice));
}

#[test]
fn closing_an_allocation_leaves_the_one_that_took_over_its_client_and_its_addresses() {
    let mut world = World::new();
    let (bound, advertised) = (address("10.0.0.5:50001"), address("203.0.113.1:50001"));
    let heir = open(&mut world.table, 4, alice(), bound, advertised);
    world.permit(4, OWN, true);
    world.permit(BOB, OWN, true);
    world.table.apply(Change::Close { allocation: ALICE });
    assert_eq!(world.table.slot_of_client(&alice()), Some(heir));
    let verdict = world
        .table
        .from_client(&bob(), &send("203.0.113.1:50001", b"a"), NOW);
    let handed = matches!(verdict, ferryman_flow::FromClient::HandOver { to, .. } if to == heir);
    assert!(handed, "{verdict:?}");
}

#[test]
fn the_table_says_who_lives_where() {
    let world = World::new();
    assert_eq!(world.table.slot_of(BOB), Some(world.bob));
    assert_eq!(world.table.slot_of_client(&bob()), Some(world.bob));
    assert_eq!(world.table.allocation(world.bob), Some(BOB));
    assert_eq!(world.table.five_tuple(world.bob), Some(bob()));
    assert_eq!(world.table.len(), 3);
}

#[test]
fn nothing_is_handed_to_whoever_lives_in_the_slot_of_a_closed_allocation() {
    let mut world = World::new();
    world.permit(ALICE, OWN, true);
    world.permit(ALICE, INSIDE, true);
    world.table.apply(Change::Close { allocation: BOB });
    let (bound, advertised) = (address("10.0.0.5:50009"), address("203.0.113.1:50009"));
    let heir = open(&mut world.table, 4, bob(), bound, advertised);
    assert_eq!(heir, world.bob);
    world.permit(4, OWN, true);
    for peer in ["203.0.113.1:50002", "10.0.0.5:50002"] {
        let verdict = world.says(&send(peer, b"a"));
        assert_eq!(verdict, dropped(Reason::OwnAddress), "{peer}");
    }
}
