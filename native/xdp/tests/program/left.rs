//! What is left to user space, untouched, and why.

use std::net::SocketAddr;

use ferryman_flow::ChannelFlow;
use ferryman_xdp::Mode;

use crate::forwarded::word_that_makes;
use crate::frame::{channel_data, Checksum, Frame};
use crate::rig::{address, arriving, channel, now, Families, Outcome, Rig, Verdict, EVERY, NUMBER};

fn is_left(rig: &mut Rig, frame: &[u8], why: &str, what: &str) {
    let out = rig.run(frame);
    let expected = (Verdict::Pass, why, frame);
    assert_eq!(
        (out.verdict, out.tallied, &out.frame[..]),
        expected,
        "{what}"
    );
}

fn is_forwarded(outcome: &Outcome) -> bool {
    outcome.tallied == "forwarded"
}

fn up(flow: &ChannelFlow) -> Frame {
    let body = channel_data(NUMBER, &[0x80; 40], &[]);
    arriving(flow.client, flow.server, body)
}

fn down(flow: &ChannelFlow) -> Frame {
    arriving(flow.peer, flow.relayed, vec![0x80; 40])
}

#[test]
fn what_is_not_udp_is_left() {
    for mut rig in Rig::each() {
        let v4 = channel(Families::V4V4, false);
        let v6 = channel(Families::V6V6, false);
        assert!(rig.offload.insert(&v4) && rig.offload.insert(&v6));
        let rows: [(usize, &[u8], &ChannelFlow, &str); 7] = [
            (12, &[0x08, 0x06], &v4, "ARP"),
            (12, &[0x81, 0x00], &v4, "a VLAN"),
            (12, &[0x88, 0xA8], &v4, "a VLAN of a provider"),
            (23, &[6], &v4, "TCP"),
            (20, &[6], &v6, "TCP over IPv6"),
            (20, &[0], &v6, "hop-by-hop options"),
            (20, &[44], &v6, "a fragment over IPv6"),
        ];
        for (at, octets, flow, what) in rows {
            let mut frame = up(flow).octets();
            frame[at..at + octets.len()].copy_from_slice(octets);
            is_left(&mut rig, &frame, "not_udp", what);
        }
    }
}

#[test]
fn what_is_odd_is_left() {
    for mut rig in Rig::each() {
        let v4 = channel(Families::V4V4, false);
        let v6 = channel(Families::V6V6, false);
        assert!(rig.offload.insert(&v4) && rig.offload.insert(&v6));
        let rows: [(usize, &[u8], &ChannelFlow, &str); 13] = [
            (0, &[0xFF; 6], &v4, "a broadcast"),
            (0, &[0x01, 0, 0x5E, 0, 0, 1], &v4, "a multicast"),
            (14, &[0x46], &v4, "options"),
            (14, &[0x65], &v4, "another version"),
            (14, &[0x40], &v6, "another version in IPv6"),
            (20, &[0x20, 0], &v4, "the first fragment"),
            (20, &[0x00, 1], &v4, "another fragment"),
            (24, &[0, 0], &v4, "a wrong checksum of the IP header"),
            (16, &[0, 19], &v4, "an IP packet shorter than its header"),
            (38, &[0, 51], &v4, "a UDP length shorter than the packet"),
            (38, &[0, 53], &v4, "a UDP length longer than the packet"),
            (58, &[0, 7], &v6, "a UDP length shorter than its header"),
            (18, &[0, 200], &v6, "an IP packet longer than the frame"),
        ];
        for (at, octets, flow, what) in rows {
            let mut frame = up(flow).octets();
            frame[at..at + octets.len()].copy_from_slice(octets);
            if at != 24 && at > 13 && flow.client.is_ipv4() && at < 34 {
                mend(&mut frame);
            }
            is_left(&mut rig, &frame, "odd", what);
        }
        let whole = up(&v4).octets();
        // Behind a driver nothing is so short.
        let shortest = if rig.mode == Mode::Tc { 34 } else { 14 };
        let cuts = [14, 20, 33, 34, 41, 60];
        for length in cuts.into_iter().filter(|cut| *cut >= shortest) {
            is_left(
                &mut rig,
                &whole[..length],
                "odd",
                &format!("cut at {length}"),
            );
        }
        let long = arriving(v4.peer, v4.relayed, vec![0; 8993]).octets();
        is_left(&mut rig, &long[..3000], "odd", "longer than any frame");
    }
}

/// DF alone is no fragment.
#[test]
fn a_packet_that_must_not_be_taken_apart_is_forwarded() {
    for mut rig in Rig::each() {
        let flow = channel(Families::V4V4, false);
        assert!(rig.offload.insert(&flow));
        let mut frame = up(&flow).octets();
        frame[20] = 0x40;
        mend(&mut frame);
        assert!(is_forwarded(&rig.run(&frame)));
    }
}

/// Makes the checksum of an IPv4 header right.
fn mend(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let header: Vec<u32> = frame[14..34]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .collect();
    let mut sum: u32 = header.iter().sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    frame[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[test]
fn what_has_no_flow_is_left() {
    for mut rig in Rig::each() {
        let flow = channel(Families::V4V4, false);
        assert!(rig.offload.insert(&flow));
        let message = || channel_data(NUMBER, &[0x80; 40], &[]);
        let with = |body| arriving(flow.client, flow.server, body);
        let from = |from: &str, to: SocketAddr| arriving(address(from), to, message());
        let to = |from: SocketAddr, to: &str| arriving(from, address(to), message());
        let mut long = message();
        long[3] += 1;
        let mut short = message();
        short[3] -= 4;
        let rows = [
            (
                with(channel_data(NUMBER + 1, &[1; 40], &[])),
                "another channel",
            ),
            (
                with(channel_data(0x3FFF, &[1; 40], &[])),
                "no channel number",
            ),
            (with(channel_data(0x8001, &[1; 40], &[])), "nor this"),
            (with(vec![0; 20]), "a STUN request"),
            (with(vec![0x40, 1, 0]), "shorter than a header"),
            (with(vec![]), "nothing"),
            (with(long), "longer than the packet"),
            (with(short), "four octets of padding"),
            (
                from("192.0.2.2:40001", flow.server),
                "another port of the client",
            ),
            (from("192.0.2.3:40000", flow.server), "another client"),
            (
                to(flow.client, "192.0.2.9:3478"),
                "another address of the server",
            ),
            (to(flow.client, "192.0.2.1:3479"), "another listener"),
            (
                from("192.0.2.3:60002", flow.relayed),
                "another port of the peer",
            ),
            (to(flow.peer, "192.0.2.1:50001"), "another relayed address"),
            (
                to(flow.client, "192.0.2.1:50000"),
                "the client to its own relayed address",
            ),
        ];
        for (frame, what) in rows {
            is_left(&mut rig, &frame.octets(), "no_flow", what);
        }
        assert!(is_forwarded(&rig.run(&up(&flow).octets())));
    }
}

#[test]
fn a_flow_is_dead_from_its_end_on() {
    for mut rig in Rig::each() {
        let mut flow = channel(Families::V4V6, false);
        assert!(rig.offload.insert(&flow));
        (flow.sent_until, flow.received_until) = (now(), now() + 60_000_000_000);
        assert!(rig.offload.extend(&flow));
        is_left(&mut rig, &up(&flow).octets(), "expired", "the client's");
        assert!(is_forwarded(&rig.run(&down(&flow).octets())));
        (flow.sent_until, flow.received_until) = (now() + 60_000_000_000, now());
        assert!(rig.offload.extend(&flow));
        is_left(&mut rig, &down(&flow).octets(), "expired", "the peer's");
        assert!(is_forwarded(&rig.run(&up(&flow).octets())));
    }
}

#[test]
fn what_was_given_back_is_left() {
    for mut rig in Rig::each() {
        let flow = channel(Families::V6V4, false);
        assert!(rig.offload.insert(&flow));
        rig.offload.remove(&flow);
        for frame in [up(&flow), down(&flow)] {
            is_left(&mut rig, &frame.octets(), "no_flow", "given back");
        }
    }
}

/// The stack makes one; UDP over IPv6 must have it (RFC 8200 §8.1).
#[test]
fn what_has_no_checksum_and_needs_one_is_left() {
    for mut rig in Rig::each() {
        let flow = channel(Families::V4V6, false);
        assert!(rig.offload.insert(&flow));
        let mut frame = up(&flow);
        frame.checksum = Checksum::Absent;
        is_left(&mut rig, &frame.octets(), "no_checksum", "IPv4 to IPv6");
    }
}

/// Over a virtual link: the sender leaves it to a network card that is not there.
#[test]
fn what_has_half_a_checksum_is_left() {
    for mut rig in Rig::each() {
        for families in EVERY {
            let flow = channel(families, false);
            assert!(rig.offload.insert(&flow));
            for mut frame in [up(&flow), down(&flow)] {
                frame.checksum = Checksum::Partial;
                let what = format!("{families:?}");
                is_left(&mut rig, &frame.octets(), "partial_checksum", &what);
            }
            rig.offload.remove(&flow);
        }
    }
}

/// One whole checksum in 65,535 looks like half of one.
#[test]
fn what_seems_to_have_half_a_checksum_is_left() {
    for mut rig in Rig::each() {
        let flow = channel(Families::V4V4, false);
        assert!(rig.offload.insert(&flow));
        let frame = |word: u16| arriving(flow.peer, flow.relayed, word.to_be_bytes().into());
        let mut partial = frame(0);
        partial.checksum = Checksum::Partial;
        let at = partial.udp_at() + 6;
        let half = u16::from_be_bytes([partial.octets()[at], partial.octets()[at + 1]]);
        let word = word_that_makes(half, &frame(0));
        let whole = frame(word).octets();
        is_left(&mut rig, &whole, "partial_checksum", "a coincidence");
        assert!(is_forwarded(&rig.run(&frame(word ^ 1).octets())));
    }
}

/// Several packets of a peer in one buffer (GRO), which must not become one message.
#[test]
fn a_train_is_left() {
    let Some(mut rig) = Rig::of(Mode::Tc) else {
        return;
    };
    let flow = channel(Families::V4V4, false);
    assert!(rig.offload.insert(&flow));
    rig.gso_size = 20;
    is_left(&mut rig, &down(&flow).octets(), "odd", "two packets");
    rig.gso_size = 0;
    assert!(is_forwarded(&rig.run(&down(&flow).octets())));
}

#[test]
fn what_has_no_way_is_left() {
    for mut rig in Rig::each() {
        for (peer, what) in [
            ("192.0.2.77:1", "nobody has asked for that neighbour yet"),
            ("10.9.9.9:1", "no route"),
            ("192.0.2.1:50001", "an address of this machine"),
            ("127.0.0.1:9", "loopback"),
            ("192.0.2.255:9", "a broadcast"),
            ("224.0.0.5:9", "a group"),
        ] {
            let mut flow = channel(Families::V4V4, false);
            flow.peer = address(peer);
            assert!(rig.offload.insert(&flow), "{what}");
            is_left(&mut rig, &up(&flow).octets(), "no_route", what);
            rig.offload.remove(&flow);
        }
        let mut flow = channel(Families::V6V6, false);
        flow.peer = address("[2001:db8::1]:50001");
        assert!(rig.offload.insert(&flow));
        is_left(
            &mut rig,
            &up(&flow).octets(),
            "no_route",
            "this machine's own IPv6 address",
        );
    }
}

/// The link behind `far` takes 1,300 octets: the stack cuts what is longer.
#[test]
fn what_is_too_big_for_its_link_is_left() {
    for mut rig in Rig::each() {
        for (families, fits) in [(Families::V4V4, 1272), (Families::V4V6, 1252)] {
            let flow = channel(families, true);
            assert!(rig.offload.insert(&flow));
            let sent = |length| {
                let body = channel_data(NUMBER, &vec![0x80; length], &[]);
                arriving(flow.client, flow.server, body).octets()
            };
            assert!(is_forwarded(&rig.run(&sent(fits))));
            is_left(&mut rig, &sent(fits + 1), "no_route", "one octet more");
            rig.offload.remove(&flow);
        }
    }
}

#[test]
fn what_leaves_through_another_interface_is_left() {
    for mut rig in Rig::each() {
        let mut flow = channel(Families::V4V4, false);
        flow.peer = address("203.0.113.4:9");
        assert!(rig.offload.insert(&flow));
        is_left(&mut rig, &up(&flow).octets(), "no_interface", "aside");
    }
}

#[test]
fn addresses_that_need_an_interface_are_not_taken() {
    for mut rig in Rig::each() {
        let mut flow = channel(Families::V6V6, false);
        flow.peer = address("[fe80::1]:9");
        assert!(!rig.offload.insert(&flow));
    }
}
