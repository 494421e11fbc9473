//! What an allocation may carry (`max-bps`): packets beyond it are dropped.

use ferryman_flow::{FromClient, FromPeer, Reason, Slot};

use crate::world::*;

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
    let nearly_half = channel_data(0x4000, &[0; RATE as usize / 2 - 4]);
    for _ in 0..2 {
        assert!(matches!(
            world.says(&nearly_half),
            FromClient::ToPeer { .. }
        ));
    }
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
    let half = channel_data(0x4000, &[0; RATE as usize / 2]);
    for _ in 0..2 {
        let heard = world
            .table
            .from_peer(slot, address(PEER), half.len() - 4, NOW);
        assert!(matches!(heard, FromPeer::ToClient { .. }));
        assert!(matches!(world.says(&half), FromClient::ToPeer { .. }));
    }
    assert_eq!(
        world.says(&channel_data(0x4000, b"more")),
        dropped(Reason::OverBandwidth)
    );
    let more = world.table.from_peer(slot, address(PEER), 1, NOW);
    assert_eq!(more, FromPeer::Drop(Reason::OverBandwidth));
}
