//! What an allocation may carry (`max-bps`): packets are dropped, streams pause.

use ferryman_flow::{Direction, Reason, Slot, Table};

use crate::world::*;

const SECOND: u64 = 1_000_000_000;
const RATE: u64 = 100_000;

/// Alice again, with a limit.
fn limited() -> (World, Slot) {
    let mut world = World::new();
    world
        .table
        .apply(ferryman_flow::Change::Close { allocation: ALICE });
    let (bound, advertised) = (address("10.0.0.5:50001"), address("203.0.113.1:50001"));
    let slot = open_within(&mut world.table, ALICE, alice(), bound, advertised, RATE);
    world.alice = slot;
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    (world, slot)
}

#[test]
fn channel_data_and_send_indications_are_dropped_alike_when_the_bucket_is_empty() {
    let (mut world, slot) = limited();
    world
        .table
        .spend(slot, Direction::ToPeer, RATE as usize - 8, NOW);
    assert_eq!(
        world.says(&channel_data(0x4000, b"four")),
        world.to_peer(PEER, 4..8)
    );
    let dropped = dropped(Reason::OverBandwidth);
    assert_eq!(world.says(&channel_data(0x4000, b"fiver")), dropped);
    assert_eq!(world.says(&send(PEER, b"fiver")), dropped);
    assert_eq!(
        world.says(&channel_data(0x4000, b"four")),
        world.to_peer(PEER, 4..8)
    );
    assert_eq!(
        world.table.usage(slot).map(|usage| usage.dropped_packets),
        Some(2)
    );
}

#[test]
fn what_is_not_permitted_takes_nothing() {
    let (mut world, slot) = limited();
    world.says(&send("198.51.100.8:1", b"hello"));
    world.says(&channel_data(0x4001, b"hello"));
    world.hears("198.51.100.8:1");
    assert_eq!(world.table.room(slot, Direction::ToPeer, NOW), RATE);
    assert_eq!(world.table.room(slot, Direction::ToClient, NOW), RATE);
}

#[test]
fn a_stream_is_told_how_much_it_may_carry_and_when_to_go_on() {
    let (mut world, slot) = limited();
    let table: &mut Table = &mut world.table;
    table.spend(slot, Direction::ToClient, RATE as usize, NOW);
    assert_eq!(table.room(slot, Direction::ToClient, NOW), 0);
    assert_eq!(table.room(slot, Direction::ToPeer, NOW), RATE);
    let at = table.room_at(slot, Direction::ToClient, 50_000, NOW);
    assert_eq!(at, NOW + SECOND / 2);
    assert_eq!(table.room(slot, Direction::ToClient, at), 50_000);
}

#[test]
fn streams_without_a_limit_and_without_an_allocation() {
    let mut world = World::new();
    assert_eq!(
        world.table.room(world.alice, Direction::ToPeer, NOW),
        u64::MAX
    );
    world
        .table
        .apply(ferryman_flow::Change::Close { allocation: ALICE });
    assert_eq!(world.table.room(world.alice, Direction::ToPeer, NOW), 0);
}
