//! Channels that are forwarded ahead of the table (`Offload`): which, until when, and what of it
//! comes back. In place of the kernel there is a list.

use std::sync::{Arc, Mutex, MutexGuard};

use ferryman_flow::{
    Applied, Change, ChannelFlow, Family, FiveTuple, Framing, FromClient, FromPeer, Offload, Table,
    Transport, Usage, CHANNELS_OF_ALLOCATION,
};

use crate::world::*;

const SECOND: u64 = 1_000_000_000;

/// The flows that are out, with what each carried; and whether it takes any.
#[derive(Debug, Default)]
struct List {
    flows: Vec<(ChannelFlow, Usage)>,
    is_full: bool,
    is_stuck: bool,
}

#[derive(Clone, Debug, Default)]
struct Ahead(Arc<Mutex<List>>);

impl Ahead {
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap()
    }

    fn flows(&self) -> Vec<ChannelFlow> {
        self.list().flows.iter().map(|(flow, _)| *flow).collect()
    }

    fn numbers(&self) -> Vec<u16> {
        let mut numbers: Vec<_> = self.flows().iter().map(|flow| flow.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// As if packets had been forwarded.
    fn carry(&self, number: u16, sent: u64, received: u64) {
        for (flow, usage) in &mut self.list().flows {
            if flow.number == number {
                *usage += used(sent, received);
            }
        }
    }
}

impl Offload for Ahead {
    fn insert(&mut self, flow: &ChannelFlow) -> bool {
        let mut list = self.list();
        assert!(!list.flows.iter().any(|(out, _)| out.is(flow)), "{flow:?}");
        let clashes = |out: &ChannelFlow| {
            (out.client, out.server, out.number) == (flow.client, flow.server, flow.number)
                || (out.relayed, out.peer) == (flow.relayed, flow.peer)
        };
        let clash = list.flows.iter().find(|(out, _)| clashes(out));
        assert!(clash.is_none(), "{flow:?} {clash:?}");
        if !list.is_full {
            list.flows.push((*flow, Usage::default()));
        }
        !list.is_full
    }

    fn extend(&mut self, flow: &ChannelFlow) -> bool {
        let mut list = self.list();
        if list.is_stuck {
            return false;
        }
        let out = list.flows.iter_mut().find(|(out, _)| out.is(flow));
        out.expect("it is out").0 = *flow;
        true
    }

    fn remove(&mut self, flow: &ChannelFlow) -> Usage {
        let mut list = self.list();
        let at = list.flows.iter().position(|(out, _)| out.is(flow));
        list.flows.swap_remove(at.expect("it is out")).1
    }

    fn carried(&self, flow: &ChannelFlow) -> Usage {
        let list = self.list();
        let out = list.flows.iter().find(|(out, _)| out.is(flow));
        out.expect("it is out").1
    }
}

fn used(sent: u64, received: u64) -> Usage {
    Usage {
        sent_packets: sent,
        sent_bytes: sent * 100,
        received_packets: received,
        received_bytes: received * 10,
        dropped_packets: 0,
    }
}

/// Alice with a permission for the peer and channel 0x4000, handed out.
fn offloaded() -> (World, Ahead) {
    let ahead = Ahead::default();
    let mut world = World::new();
    world.table.offload_to(Box::new(ahead.clone()));
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    (world, ahead)
}

fn bind(world: &mut World, number: u16, peer: &str, expires_at: u64) {
    let change = Change::BindChannel {
        allocation: ALICE,
        number,
        peer: address(peer),
        relayed_only: false,
        expires_at,
    };
    assert_eq!(world.table.apply(change), Applied::Done);
}

#[test]
fn a_channel_is_handed_out_when_it_is_bound() {
    let (_, ahead) = offloaded();
    let expected = ChannelFlow {
        client: alice().client,
        server: alice().server,
        number: 0x4000,
        relayed: address("10.0.0.5:50001"),
        peer: address(PEER),
        sent_until: LATER,
        received_until: LATER,
    };
    assert_eq!(ahead.flows(), [expected]);
}

#[test]
fn it_ends_with_whatever_ends_first() {
    let (mut world, ahead) = offloaded();
    let ends = || {
        let flow = ahead.flows()[0];
        (LATER - flow.sent_until, LATER - flow.received_until)
    };
    bind(&mut world, 0x4000, PEER, LATER - 1);
    assert_eq!(ends(), (1, 1), "the channel");
    let permit = |expires_at| Change::Permit {
        allocation: ALICE,
        peer_ip: ip("198.51.100.7"),
        relayed_only: false,
        expires_at,
    };
    world.table.apply(permit(LATER - 2));
    assert_eq!(ends(), (1, 2), "the permission, for the peer alone");
    let (allocation, expires_at) = (ALICE, LATER - 3);
    world.table.apply(Change::Extend {
        allocation,
        expires_at,
    });
    assert_eq!(ends(), (3, 3), "the allocation");
    world.table.apply(Change::ExtendRelayed {
        allocation,
        family: Family::V4,
        expires_at: LATER + 4,
    });
    world.table.apply(permit(LATER + 5));
    assert_eq!(ends(), (1, 1), "the channel again");
}

#[test]
fn without_a_permission_the_peer_is_not_heard() {
    let (mut world, ahead) = offloaded();
    bind(&mut world, 0x4001, "198.51.100.8:1", LATER);
    let flow = ahead.flows()[1];
    assert_eq!((flow.sent_until, flow.received_until), (LATER, 0));
}

#[test]
fn what_needs_more_than_to_be_passed_on_is_not_handed_out() {
    let (mut world, ahead) = offloaded();
    world.bind(BOB, 0x4000, PEER, false);
    world.bind(ALICE, 0x4001, "198.51.100.9:1", true);
    world.bind(ALICE, 0x4002, "203.0.113.1:50002", false);
    world.bind(ALICE, 0x4003, "[2001:db8:9::1]:1", false);
    bind(&mut world, 0x4004, "198.51.100.9:2", NOW);
    world.says(b"");
    bind(&mut world, 0x4005, "198.51.100.9:2", NOW);
    assert_eq!(ahead.numbers(), [0x4000, 0x4002]);

    let (bound, advertised) = (address("10.0.0.5:50009"), address("203.0.113.1:50009"));
    open(
        &mut world.table,
        9,
        client(Transport::Udp, 9),
        bound,
        advertised,
    );
    assert_eq!(
        ahead.numbers(),
        [0x4000],
        "what is handed over inside comes back"
    );
    world.bind(ALICE, 0x4002, "203.0.113.1:50002", false);
    assert_eq!(ahead.numbers(), [0x4000], "and is not handed out again");

    let bound = address("10.0.0.5:50010");
    open_within(
        &mut world.table,
        10,
        client(Transport::Udp, 10),
        bound,
        bound,
        1000,
    );
    world.bind(10, 0x4000, "198.51.100.9:1", false);
    assert_eq!(
        ahead.numbers(),
        [0x4000],
        "nor what may carry so much and no more"
    );
}

#[test]
fn a_channel_bound_anew_is_another() {
    let (mut world, ahead) = offloaded();
    bind(&mut world, 0x4000, "198.51.100.7:1", LATER);
    assert_eq!(ahead.flows()[0].peer, address("198.51.100.7:1"));
    bind(&mut world, 0x4001, "198.51.100.7:1", LATER);
    assert_eq!(ahead.numbers(), [0x4001]);
    bind(&mut world, 0x4002, "198.51.100.7:2", LATER);
    bind(&mut world, 0x4001, "198.51.100.7:2", LATER);
    assert_eq!(ahead.numbers(), [0x4001]);
}

#[test]
fn what_was_carried_ahead_is_counted() {
    let (mut world, ahead) = offloaded();
    bind(&mut world, 0x4001, "198.51.100.7:1", LATER);
    ahead.carry(0x4000, 3, 2);
    ahead.carry(0x4001, 1, 0);
    assert_eq!(world.table.usage(world.alice), Some(used(4, 2)));
    bind(&mut world, 0x4001, "198.51.100.7:2", LATER);
    assert_eq!(
        world.table.usage(world.alice),
        Some(used(4, 2)),
        "and not twice"
    );
    ahead.carry(0x4001, 0, 5);
    let Applied::Closed { usage, .. } = world.table.apply(Change::Close { allocation: ALICE })
    else {
        panic!("closed");
    };
    assert_eq!(usage, used(4, 7));
    assert_eq!(ahead.flows(), []);
}

#[test]
fn a_relayed_address_takes_its_channels_along() {
    let (mut world, ahead) = offloaded();
    let bound = address("[2001:db8::1]:50001");
    world.table.apply(Change::AddRelayed {
        allocation: ALICE,
        bound,
        advertised: bound,
        expires_at: LATER,
    });
    bind(&mut world, 0x4006, "[2001:db8:9::1]:1", LATER);
    assert_eq!(ahead.numbers(), [0x4000, 0x4006]);
    ahead.carry(0x4000, 1, 1);
    let (allocation, family) = (ALICE, Family::V4);
    world
        .table
        .apply(Change::CloseRelayed { allocation, family });
    assert_eq!(ahead.numbers(), [0x4006]);
    assert_eq!(world.table.usage(world.alice), Some(used(1, 1)));
}

#[test]
fn a_client_that_moves_is_followed_by_the_table_alone() {
    let (mut world, ahead) = offloaded();
    let elsewhere = client(Transport::Udp, 77);
    let (allocation, five_tuple) = (ALICE, elsewhere);
    let until = NOW + 30 * SECOND;
    let begin = Change::Move {
        allocation,
        five_tuple,
        until,
    };
    world.table.apply(begin);
    assert_eq!(ahead.flows(), [], "on its way");
    bind(&mut world, 0x4001, "198.51.100.7:1", LATER);
    assert_eq!(ahead.flows(), [], "still");
    let packet = channel_data(0x4000, b"new");
    world.table.from_client(&elsewhere, &packet, NOW);
    assert_eq!(ahead.numbers(), [0x4000, 0x4001], "it has come");
    assert!(ahead
        .flows()
        .iter()
        .all(|flow| flow.client == elsewhere.client));

    let five_tuple = alice();
    world.table.apply(Change::Move {
        allocation,
        five_tuple,
        until,
    });
    world.table.apply(Change::Leave {
        allocation,
        five_tuple,
    });
    assert_eq!(ahead.numbers(), [0x4000, 0x4001], "it has stayed");
    assert!(ahead
        .flows()
        .iter()
        .all(|flow| flow.client == elsewhere.client));

    let five_tuple = client(Transport::Tcp, 5);
    world.table.apply(Change::Move {
        allocation,
        five_tuple,
        until,
    });
    world.table.from_client(&five_tuple, &packet, NOW);
    assert_eq!(ahead.flows(), [], "it speaks TCP now");
}

#[test]
fn one_allocation_hands_out_so_many_and_no_more() {
    let (mut world, ahead) = offloaded();
    for at in 1..100 {
        bind(
            &mut world,
            0x4000 + at,
            &format!("198.51.100.7:{at}"),
            LATER,
        );
    }
    assert_eq!(ahead.flows().len(), CHANNELS_OF_ALLOCATION);
    world.bind(CAROL, 0x4000, "[2001:db8:9::1]:1", false);
    assert_eq!(ahead.flows().len(), CHANNELS_OF_ALLOCATION + 1);
}

#[test]
fn what_finds_no_room_is_tried_again_with_the_next_change() {
    let (mut world, ahead) = offloaded();
    ahead.list().is_full = true;
    bind(&mut world, 0x4001, "198.51.100.7:1", LATER);
    assert_eq!(ahead.numbers(), [0x4000]);
    ahead.list().is_full = false;
    world.permit(ALICE, "198.51.100.7", false);
    assert_eq!(ahead.numbers(), [0x4000, 0x4001]);
}

#[test]
fn what_cannot_be_moved_comes_back() {
    let (mut world, ahead) = offloaded();
    ahead.carry(0x4000, 2, 0);
    ahead.list().is_stuck = true;
    bind(&mut world, 0x4000, PEER, LATER - 1);
    assert_eq!(ahead.flows(), []);
    assert_eq!(world.table.usage(world.alice), Some(used(2, 0)));
}

/// SplitMix64, so that a run can be repeated.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ mixed >> 31) % below
}

/// One of three paths of a client.
fn path(state: &mut u64, allocation: u64) -> FiveTuple {
    let port = 10 * allocation + random(state, 3);
    client(Transport::Udp, port as u16)
}

/// A change of one of two allocations, drawn from few numbers, peers and paths.
fn draw(state: &mut u64) -> Change {
    let allocation = ALICE + random(state, 2) * 2;
    let expires_at = NOW + random(state, 4) * 100 * SECOND;
    let peers = [
        "198.51.100.7",
        "198.51.100.8",
        "2001:db8:9::1",
        "203.0.113.1",
    ];
    let peer_ip = ip(peers[random(state, 4) as usize]);
    let path = path(state, allocation);
    let family = Family::ALL[random(state, 2) as usize];
    let ip_of = |family: Family| ip(["10.0.0.5", "2001:db8::1"][family.index()]);
    let bound = (ip_of(family), 50000 + allocation as u16).into();
    let relayed_only = random(state, 8) == 0;
    match random(state, 18) {
        0 => Change::Open {
            allocation,
            five_tuple: path,
            bound: (ip_of(Family::V4), 50000 + allocation as u16).into(),
            advertised: (ip("198.51.100.8"), 50000 + allocation as u16).into(),
            expires_at,
            bytes_per_second: random(state, 2) * 1000,
        },
        1 => Change::Close { allocation },
        2 => Change::AddRelayed {
            allocation,
            bound,
            advertised: bound,
            expires_at,
        },
        3 => Change::CloseRelayed { allocation, family },
        4 => Change::Extend {
            allocation,
            expires_at,
        },
        5 => Change::ExtendRelayed {
            allocation,
            family,
            expires_at,
        },
        6 => Change::Move {
            allocation,
            five_tuple: path,
            until: expires_at,
        },
        7 => Change::Leave {
            allocation,
            five_tuple: path,
        },
        8 => Change::Permit {
            allocation,
            peer_ip,
            relayed_only,
            expires_at,
        },
        _ => Change::BindChannel {
            allocation,
            number: 0x4000 + random(state, 3) as u16,
            peer: (peer_ip, random(state, 2) as u16 + 1).into(),
            relayed_only,
            expires_at,
        },
    }
}

/// What the table says of the client's packets of a flow, and of the peer's.
fn judged(table: &mut Table, flow: &ChannelFlow, now: u64) -> (bool, bool) {
    let path = FiveTuple {
        transport: Transport::Udp,
        client: flow.client,
        server: flow.server,
        socket: 1,
    };
    let sent = table.from_client(&path, &channel_data(flow.number, b"x"), now);
    let sends = matches!(sent, FromClient::ToPeer { peer, .. } if peer == flow.peer);
    let slot = table.slot_of_client(&path).expect("it is a client's");
    let framing = Framing::Channel(flow.number);
    let received = table.from_peer(slot, flow.peer, 1, now);
    (sends, received == FromPeer::ToClient { framing })
}

/// Whatever is done to the table: a flow that is out is one that the table would forward, both
/// ways, until the very nanosecond.
#[test]
fn what_is_out_is_what_the_table_would_forward() {
    let mut seen = 0;
    for seed in 0..400 {
        let mut state = seed;
        // The other table is asked, for to ask is to let time pass.
        let (mut table, mut asked, ahead) = (Table::new(), Table::new(), Ahead::default());
        table.offload_to(Box::new(ahead.clone()));
        for _ in 0..200 {
            let change = draw(&mut state);
            table.apply(change);
            asked.apply(change);
            if random(&mut state, 4) == 0 {
                let path = path(&mut state, ALICE);
                for table in [&mut table, &mut asked] {
                    table.from_client(&path, &channel_data(0x4000, b"x"), NOW);
                }
            }
            for flow in ahead.flows() {
                seen += 1;
                let last = |until: u64| until.saturating_sub(1).max(NOW);
                let (sent, received) = (last(flow.sent_until), last(flow.received_until));
                if flow.sent_until > NOW {
                    assert!(
                        judged(&mut asked, &flow, sent).0,
                        "{seed} {change:?} {flow:?}"
                    );
                }
                if flow.received_until > NOW {
                    assert!(
                        judged(&mut asked, &flow, received).1,
                        "{seed} {change:?} {flow:?}"
                    );
                }
                assert!(!judged(&mut asked, &flow, flow.sent_until.max(NOW)).0);
                assert!(!judged(&mut asked, &flow, flow.received_until.max(NOW)).1);
            }
        }
    }
    assert!(seen > 10_000, "{seen}");
}
