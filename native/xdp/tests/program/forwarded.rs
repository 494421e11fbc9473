//! What is forwarded, octet for octet.

use std::net::SocketAddr;

use crate::frame::channel_data;
use crate::rig::{address, arriving, channel, leaving, Rig, EVERY, NUMBER, REDIRECT, TX};

/// Odd and even, none, what fills the shortest frame, and what nearly fills the smaller link.
const LENGTHS: [usize; 9] = [0, 1, 2, 3, 17, 18, 160, 1199, 1200];

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + 3) as u8 | 0x80).collect()
}

fn verdict(is_far: bool) -> u32 {
    if is_far {
        REDIRECT
    } else {
        TX
    }
}

#[test]
fn a_clients_payload_goes_to_the_peer_without_its_header() {
    let Some(mut rig) = Rig::new() else { return };
    for families in EVERY {
        for is_far in [false, true] {
            let flow = channel(families, is_far);
            assert!(rig.offload.insert(&flow));
            for length in LENGTHS {
                let body = channel_data(NUMBER, &payload(length), &[]);
                let out = rig.run(&arriving(flow.client, flow.server, body).octets());
                let expected =
                    leaving(is_far, flow.relayed, flow.peer, payload(length), &out.frame);
                assert_eq!(
                    out.frame,
                    expected.octets(),
                    "{families:?} {is_far} {length}"
                );
                assert_eq!((out.verdict, out.tallied), (verdict(is_far), "forwarded"));
            }
            rig.offload.remove(&flow);
        }
    }
}

#[test]
fn a_peers_payload_goes_to_the_client_with_a_header() {
    let Some(mut rig) = Rig::new() else { return };
    for families in EVERY {
        let flow = channel(families, false);
        assert!(rig.offload.insert(&flow));
        for length in LENGTHS {
            let out = rig.run(&arriving(flow.peer, flow.relayed, payload(length)).octets());
            let body = channel_data(NUMBER, &payload(length), &[]);
            let expected = leaving(false, flow.server, flow.client, body, &out.frame);
            assert_eq!(out.frame, expected.octets(), "{families:?} {length}");
            assert_eq!((out.verdict, out.tallied), (TX, "forwarded"));
        }
        rig.offload.remove(&flow);
    }
}

/// RFC 8656 §12.5: padding is not needed over UDP, and may be there.
#[test]
fn padding_is_cut_off_whatever_is_in_it() {
    let Some(mut rig) = Rig::new() else { return };
    for families in EVERY {
        let flow = channel(families, false);
        assert!(rig.offload.insert(&flow));
        for length in LENGTHS {
            for padding in [
                &[0][..],
                &[0, 0],
                &[0, 0, 0],
                &[0xFF],
                &[1, 2],
                &[0xAB, 0xCD, 0xEF],
            ] {
                let body = channel_data(NUMBER, &payload(length), padding);
                let out = rig.run(&arriving(flow.client, flow.server, body).octets());
                let mut expected =
                    leaving(false, flow.relayed, flow.peer, payload(length), &out.frame).octets();
                // What fills up a short frame may be anything.
                let end = expected.len().min(out.frame.len());
                let wire = end - filling(length, flow.peer);
                expected.truncate(wire);
                assert_eq!(out.frame.len(), end, "{families:?} {length} {padding:?}");
                assert_eq!(
                    out.frame[..wire],
                    expected,
                    "{families:?} {length} {padding:?}"
                );
            }
        }
        rig.offload.remove(&flow);
    }
}

/// How many octets fill up the shortest frame.
fn filling(length: usize, to: SocketAddr) -> usize {
    let headers = if to.is_ipv4() { 42 } else { 62 };
    60usize.saturating_sub(headers + length)
}

#[test]
fn what_fills_up_a_frame_that_arrives_is_not_the_payload() {
    let Some(mut rig) = Rig::new() else { return };
    let flow = channel(EVERY[0], false);
    assert!(rig.offload.insert(&flow));
    let mut frame = arriving(flow.peer, flow.relayed, payload(160)).octets();
    frame.extend([0xAA; 9]);
    let out = rig.run(&frame);
    let body = channel_data(NUMBER, &payload(160), &[]);
    let expected = leaving(false, flow.server, flow.client, body, &out.frame);
    assert_eq!(out.frame, expected.octets());
}

/// A peer's payload is anything, ChannelData of somebody's channel among it.
#[test]
fn a_peers_payload_may_look_like_channel_data() {
    let Some(mut rig) = Rig::new() else { return };
    let flow = channel(EVERY[0], false);
    assert!(rig.offload.insert(&flow));
    let inner = channel_data(NUMBER, &payload(16), &[0, 0]);
    let out = rig.run(&arriving(flow.peer, flow.relayed, inner.clone()).octets());
    let body = channel_data(NUMBER, &inner, &[]);
    let expected = leaving(false, flow.server, flow.client, body, &out.frame);
    assert_eq!(out.frame, expected.octets());
}

/// RFC 768: 0 is no checksum; RFC 8200 §8.1 forbids it over IPv6.
#[test]
fn a_packet_without_a_checksum_stays_without() {
    let Some(mut rig) = Rig::new() else { return };
    let flow = channel(EVERY[0], false);
    assert!(rig.offload.insert(&flow));
    let mut frame = arriving(flow.peer, flow.relayed, payload(33));
    frame.checksum = false;
    let out = rig.run(&frame.octets());
    let body = channel_data(NUMBER, &payload(33), &[]);
    let mut expected = leaving(false, flow.server, flow.client, body, &out.frame);
    expected.checksum = false;
    assert_eq!(out.frame, expected.octets());
}

/// What was damaged on the way arrives damaged: the receiver's stack drops it, as ours would have.
#[test]
fn a_wrong_checksum_stays_wrong() {
    let Some(mut rig) = Rig::new() else { return };
    for families in EVERY {
        let flow = channel(families, false);
        assert!(rig.offload.insert(&flow));
        let whole = arriving(flow.peer, flow.relayed, payload(40));
        let mut frame = whole.octets();
        let last = frame.len() - 1;
        frame[last] ^= 0x10;
        let out = rig.run(&frame);
        let body = channel_data(NUMBER, &payload(40), &[]);
        let mut expected = leaving(false, flow.server, flow.client, body, &out.frame).octets();
        // The payload is as it came, the checksum that of the undamaged one.
        let last = expected.len() - 1;
        expected[last] ^= 0x10;
        assert_eq!(out.frame, expected, "{families:?}");
        rig.offload.remove(&flow);
    }
}

/// Checksums that fold to 0 are sent as 0xFFFF (RFC 768).
#[test]
fn every_checksum_is_right() {
    let Some(mut rig) = Rig::new() else { return };
    for families in EVERY {
        let flow = channel(families, false);
        assert!(rig.offload.insert(&flow));
        // All sums come past in 65,536 payloads; every thirteenth, and those around the fold.
        for word in (0..=0xFFFFu16).filter(|word| word % 13 == 0) {
            let word = word.to_be_bytes().to_vec();
            let out = rig
                .run_untold(&arriving(flow.peer, flow.relayed, word.clone()).octets())
                .1;
            let body = channel_data(NUMBER, &word, &[]);
            let expected = leaving(false, flow.server, flow.client, body, &out);
            assert_eq!(out, expected.octets(), "{families:?} {word:?}");
        }
        let out = fold_to_zero(&flow.peer, &flow.relayed, |word| {
            let frame = arriving(flow.peer, flow.relayed, word.clone());
            let out = rig.run_untold(&frame.octets()).1;
            let body = channel_data(NUMBER, &word, &[]);
            let expected = leaving(false, flow.server, flow.client, body, &out);
            assert_eq!(out, expected.octets(), "{families:?} {word:?}");
            let at = expected.udp_at() + 6;
            [out[at], out[at + 1]] == [0xFF, 0xFF]
        });
        assert!(out, "{families:?}: one of them has the checksum 0xFFFF");
        rig.offload.remove(&flow);
    }
}

/// Whether any payload of two octets makes the checksum that stands for 0.
fn fold_to_zero(
    _from: &SocketAddr,
    _to: &SocketAddr,
    mut is_it: impl FnMut(Vec<u8>) -> bool,
) -> bool {
    (0..=0xFFFFu16).any(|word| is_it(word.to_be_bytes().to_vec()))
}

#[test]
fn the_next_hop_gets_it_and_not_the_peer() {
    let Some(mut rig) = Rig::new() else { return };
    let mut flow = channel(EVERY[0], false);
    flow.peer = address("192.0.3.9:60001");
    assert!(rig.offload.insert(&flow));
    let body = channel_data(NUMBER, &payload(20), &[]);
    let out = rig.run(&arriving(flow.client, flow.server, body).octets());
    let expected = leaving(false, flow.relayed, flow.peer, payload(20), &out.frame);
    assert_eq!(out.frame, expected.octets());
}

#[test]
fn the_id_of_the_ip_header_is_not_always_the_same() {
    let Some(mut rig) = Rig::new() else { return };
    let flow = channel(EVERY[0], false);
    assert!(rig.offload.insert(&flow));
    let frame = arriving(flow.peer, flow.relayed, payload(20)).octets();
    let ids: std::collections::HashSet<_> = (0..8)
        .map(|_| rig.run_untold(&frame).1[18..20].to_vec())
        .collect();
    assert!(ids.len() > 4, "{ids:?}");
}
