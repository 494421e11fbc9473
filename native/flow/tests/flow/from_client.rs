//! What becomes of a packet from a client, one row for each rule.

use ferryman_flow::{Applied, Change, FiveTuple, FromClient, Reason};

use crate::world::*;

#[test]
fn a_packet_is_neither_stun_nor_channel_data() {
    let binding = stun(0x0001, &[]);
    let rows: [(&str, Vec<u8>, Reason); 9] = [
        ("no bytes", vec![], Reason::NotTurn),
        (
            "RFC 8656 §12.5: first byte 0x80",
            altered(binding.clone(), 0, 0x80),
            Reason::NotTurn,
        ),
        (
            "RFC 8656 §12.5: first byte 0xFF",
            altered(binding.clone(), 0, 0xFF),
            Reason::NotTurn,
        ),
        (
            "RFC 8489 §5: 20 bytes of header",
            binding[..19].to_vec(),
            Reason::Malformed,
        ),
        (
            "RFC 8489 §5: cookie, first byte",
            altered(binding.clone(), 4, 0),
            Reason::NotTurn,
        ),
        (
            "RFC 8489 §5: cookie, last byte",
            altered(binding.clone(), 7, 0),
            Reason::NotTurn,
        ),
        (
            "RFC 8489 §5: length says more",
            altered(binding.clone(), 3, 4),
            Reason::Malformed,
        ),
        (
            "RFC 8489 §5: length says less",
            altered(stun(1, &[(0x8022, b"ship")]), 3, 4),
            Reason::Malformed,
        ),
        (
            "RFC 8489 §5: length is a multiple of 4",
            [altered(binding, 3, 2), vec![0, 0]].concat(),
            Reason::Malformed,
        ),
    ];
    for (row, packet, reason) in rows {
        assert_eq!(permitted().says(&packet), dropped(reason), "{row}");
    }
}

#[test]
fn class_and_method_say_who_decides() {
    let rows = [
        ("Binding request", 0x0001, FromClient::Answer),
        ("Allocate request", 0x0003, FromClient::Ask),
        ("Refresh request", 0x0004, FromClient::Ask),
        (
            "Send is no request, but that is the engine's to say",
            0x0006,
            FromClient::Ask,
        ),
        ("CreatePermission request", 0x0008, FromClient::Ask),
        ("ChannelBind request", 0x0009, FromClient::Ask),
        (
            "method 0x3FF: bits on both sides of the class",
            0x0EEF,
            FromClient::Ask,
        ),
        ("method 0xFFF", 0x3EEF, FromClient::Ask),
        ("method 0x081 is not Binding", 0x0201, FromClient::Ask),
        ("Binding indication", 0x0011, dropped(Reason::Unexpected)),
        ("Binding success", 0x0101, dropped(Reason::Unexpected)),
        ("Binding error", 0x0111, dropped(Reason::Unexpected)),
        (
            "Data indication, which servers send",
            0x0017,
            dropped(Reason::Unexpected),
        ),
        ("Send success", 0x0106, dropped(Reason::Unexpected)),
        ("Allocate error", 0x0113, dropped(Reason::Unexpected)),
    ];
    for (row, kind, verdict) in rows {
        assert_eq!(permitted().says(&stun(kind, &[])), verdict, "{row}");
    }
}

#[test]
fn a_request_needs_no_allocation_and_has_at_most_4096_bytes() {
    let longest = stun(0x0003, &[(0x8022, &[0; 4072])]);
    assert_eq!(longest.len(), 4096);
    let longer = stun(0x0003, &[(0x8022, &[0; 4076])]);
    let binding = stun(0x0001, &[(0x8022, &[0; 4076])]);
    let mut table = ferryman_flow::Table::new();
    assert_eq!(table.from_client(&alice(), &longest, NOW), FromClient::Ask);
    assert_eq!(
        table.from_client(&alice(), &longer, NOW),
        dropped(Reason::TooLong)
    );
    assert_eq!(
        table.from_client(&alice(), &binding, NOW),
        dropped(Reason::TooLong)
    );
}

#[test]
fn channel_data_goes_to_the_peer_of_its_number() {
    let rows: [(&str, Vec<u8>, usize); 5] = [
        (
            "RFC 8656 §12.6: unpadded over UDP",
            channel_data(0x4000, b"hello"),
            9,
        ),
        (
            "RFC 8656 §12.4: a length of zero",
            channel_data(0x4000, b""),
            4,
        ),
        (
            "one byte of padding",
            [channel_data(0x4000, b"abc"), vec![9]].concat(),
            7,
        ),
        (
            "three bytes of padding",
            [channel_data(0x4000, b"a"), vec![9; 3]].concat(),
            5,
        ),
        (
            "more padding than needed, up to 3",
            [channel_data(0x4000, b""), vec![9; 3]].concat(),
            4,
        ),
    ];
    for (row, packet, end) in rows {
        let mut world = permitted();
        let verdict = world.to_peer(PEER, 4..end);
        assert_eq!(world.says(&packet), verdict, "{row}");
    }
}

#[test]
fn channel_data_is_dropped() {
    let rows: [(&str, Vec<u8>, Reason); 7] = [
        ("a header cut short", vec![0x40, 0, 0], Reason::Malformed),
        (
            "the length says more",
            vec![0x40, 0, 0, 2, 1],
            Reason::Malformed,
        ),
        (
            "the length 0xFFFF",
            vec![0x40, 0, 0xFF, 0xFF, 1],
            Reason::Malformed,
        ),
        (
            "four bytes too many",
            vec![0x40, 0, 0, 0, 1, 2, 3, 4],
            Reason::Malformed,
        ),
        (
            "RFC 8656 §12.6: a number not bound",
            channel_data(0x4001, b"a"),
            Reason::NoChannel,
        ),
        (
            "the highest number",
            channel_data(0x7FFF, b"a"),
            Reason::NoChannel,
        ),
        (
            "no channel at all",
            channel_data(0x4FFF, b"a"),
            Reason::NoChannel,
        ),
    ];
    for (row, packet, reason) in rows {
        assert_eq!(permitted().says(&packet), dropped(reason), "{row}");
    }
}

#[test]
fn channel_data_needs_no_permission() {
    let mut world = World::new();
    world.bind(ALICE, 0x4000, PEER, false);
    let verdict = world.to_peer(PEER, 4..5);
    assert_eq!(
        world.says(&channel_data(0x4000, b"a")),
        verdict,
        "RFC 8656 §12.6"
    );
}

#[test]
fn every_part_of_the_five_tuple_tells_clients_apart() {
    let mut strangers = [alice(); 6];
    strangers[0].transport = ferryman_flow::Transport::Tcp;
    strangers[5].transport = ferryman_flow::Transport::Dtls;
    strangers[1].client.set_port(9);
    strangers[2].client.set_ip(ip("192.0.2.201"));
    strangers[3].server = address("203.0.113.2:3478");
    strangers[4].socket = 2;
    for stranger in strangers {
        for packet in [channel_data(0x4000, b"a"), send(PEER, b"a")] {
            let verdict = permitted().table.from_client(&stranger, &packet, NOW);
            assert_eq!(verdict, dropped(Reason::NoAllocation), "{stranger:?}");
        }
    }
}

#[test]
fn permissions_and_channels_belong_to_one_allocation() {
    let mut world = permitted();
    let verdict = world.table.from_client(&bob(), &send(PEER, b"a"), NOW);
    assert_eq!(verdict, dropped(Reason::NoPermission));
    let verdict = world
        .table
        .from_client(&bob(), &channel_data(0x4000, b"a"), NOW);
    assert_eq!(verdict, dropped(Reason::NoChannel));
}

#[test]
fn a_packet_like_the_one_before_is_judged_by_whose_it_is_and_when() {
    let mut world = permitted();
    let other = "198.51.100.9:9";
    world.bind(BOB, 0x4000, other, false);
    let packet = channel_data(0x4000, b"a");
    for _ in 0..2 {
        assert_eq!(world.says(&packet), world.to_peer(PEER, 4..5));
        assert_eq!(world.says(&packet), world.to_peer(PEER, 4..5));
        let verdict = world.table.from_client(&bob(), &packet, NOW);
        assert!(matches!(verdict, FromClient::ToPeer { slot, peer, .. }
            if slot == world.bob && peer == address(other)));
    }
    assert_eq!(world.says(&packet), world.to_peer(PEER, 4..5));
    let verdict = world.table.from_client(&alice(), &packet, LATER);
    assert_eq!(verdict, dropped(Reason::NoAllocation));
    world.says(&packet);
    world
        .table
        .apply(ferryman_flow::Change::Close { allocation: ALICE });
    assert_eq!(world.says(&packet), dropped(Reason::NoAllocation));
}

#[test]
fn a_peer_of_another_family_than_the_relayed_address_is_not_installed() {
    let mut world = World::new();
    world.permit(CAROL, "198.51.100.7", false);
    world.bind(CAROL, 0x4000, PEER, false);
    let carol = world.table.five_tuple(world.carol).unwrap();
    let verdict = world
        .table
        .from_client(&carol, &channel_data(0x4000, b"a"), NOW);
    assert_eq!(verdict, dropped(Reason::NoChannel));
    let verdict = world
        .table
        .from_client(&carol, &send("[::c633:6407]:7000", b"a"), NOW);
    assert_eq!(verdict, dropped(Reason::NoPermission));
}

#[test]
fn an_ipv6_peer_is_reached_from_an_ipv6_relayed_address() {
    let mut world = World::new();
    world.permit(CAROL, "2001:db8::7", false);
    let carol = world.table.five_tuple(world.carol).unwrap();
    let verdict = world
        .table
        .from_client(&carol, &send("[2001:db8::7]:7000", b"a"), NOW);
    let peer = address("[2001:db8::7]:7000");
    assert_eq!(
        verdict,
        FromClient::ToPeer {
            slot: world.carol,
            peer,
            payload: 48..49,
            dont_fragment: false,
        }
    );
}

#[test]
fn a_later_permission_or_channel_overwrites() {
    let mut world = permitted();
    world.permit(ALICE, "198.51.100.7", true);
    assert_eq!(world.says(&send(PEER, b"a")), dropped(Reason::OwnAddress));
    world.bind(ALICE, 0x4000, PEER, true);
    assert_eq!(
        world.says(&channel_data(0x4000, b"a")),
        dropped(Reason::OwnAddress)
    );
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    assert!(matches!(
        world.says(&send(PEER, b"a")),
        FromClient::ToPeer { .. }
    ));
    assert!(matches!(
        world.says(&channel_data(0x4000, b"a")),
        FromClient::ToPeer { .. }
    ));
}

#[test]
fn a_number_has_one_peer_and_a_peer_one_number() {
    let mut world = permitted();
    let other = "198.51.100.9:9";
    world.bind(ALICE, 0x4000, other, false);
    let verdict = world.to_peer(other, 4..5);
    assert_eq!(
        world.says(&channel_data(0x4000, b"a")),
        verdict,
        "the number has a new peer"
    );
    world.bind(ALICE, 0x4001, other, false);
    assert_eq!(
        world.says(&channel_data(0x4000, b"a")),
        dropped(Reason::NoChannel),
        "the peer has a new number"
    );
    let verdict = world.to_peer(other, 4..5);
    assert_eq!(world.says(&channel_data(0x4001, b"a")), verdict);
}

#[test]
fn changes_to_an_unknown_allocation_change_nothing() {
    let mut table = ferryman_flow::Table::new();
    let (peer_ip, peer) = (ip("198.51.100.7"), address(PEER));
    let (allocation, relayed_only, expires_at, number) = (9, false, LATER, 0x4000);
    for change in [
        Change::Extend {
            allocation,
            expires_at,
        },
        Change::Close { allocation },
        Change::Permit {
            allocation,
            peer_ip,
            relayed_only,
            expires_at,
        },
        Change::BindChannel {
            allocation,
            number,
            peer,
            relayed_only,
            expires_at,
        },
    ] {
        assert_eq!(table.apply(change), Applied::Unknown, "{change:?}");
    }
    assert!(table.is_empty());
}

#[test]
fn a_train_takes_the_way_of_its_first_packet_and_nothing_else_does() {
    let hello = channel_data(0x4000, b"hello");
    let mut world = permitted();
    let again = |world: &mut World, client: &FiveTuple, packet: &[u8], now| {
        let way = world.table.again(client, packet, now);
        way.map(|(slot, peer, payload)| (slot, *peer, payload))
    };
    assert_eq!(again(&mut world, &alice(), &hello, NOW), None, "the first");
    world.says(&hello);
    let same = Some((world.alice, address(PEER), 4..9));
    assert_eq!(again(&mut world, &alice(), &hello, NOW), same);
    assert_eq!(world.says(&hello), world.to_peer(PEER, 4..9));
    let usage = world.table.usage(world.alice).unwrap();
    assert_eq!((usage.sent_packets, usage.sent_bytes), (3, 15));
    let (other, cut) = (channel_data(0x4001, b"hello"), [0x40, 0, 0, 5, 1]);
    let rows: [(&str, FiveTuple, &[u8], u64); 5] = [
        ("another channel", alice(), &other, NOW),
        ("another client", bob(), &hello, NOW),
        ("another instant", alice(), &hello, NOW + 1),
        ("cut short", alice(), &cut, NOW),
        ("STUN", alice(), &send(PEER, b"a"), NOW),
    ];
    for (row, client, packet, now) in rows {
        assert_eq!(again(&mut world, &client, packet, now), None, "{row}");
    }
    assert_eq!(again(&mut world, &alice(), &hello, NOW), same);
    world.permit(ALICE, "198.51.100.9", false);
    assert_eq!(again(&mut world, &alice(), &hello, NOW), None, "changed");
}
