//! What is forwarded, octet for octet.

use std::thread;
use std::time::Duration;

use crate::frame::{channel_data, Checksum, Frame};
use crate::rig::{
    address, arriving, channel, ip, leaving, Rig, Verdict, EVERY, NEIGHBOUR_MAC, NUMBER,
};

/// Odd and even, none, what fills the shortest frame, and what nearly fills the smaller link.
const LENGTHS: [usize; 9] = [0, 1, 2, 3, 17, 18, 160, 1199, 1200];

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + 3) as u8 | 0x80).collect()
}

fn verdict(is_far: bool) -> Verdict {
    if is_far {
        Verdict::Redirect
    } else {
        Verdict::Back
    }
}

#[test]
fn a_clients_payload_goes_to_the_peer_without_its_header() {
    for mut rig in Rig::each() {
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
                        rig.sent(&expected),
                        "{families:?} {is_far} {length}"
                    );
                    assert_eq!((out.verdict, out.tallied), (verdict(is_far), "forwarded"));
                }
                rig.offload.remove(&flow);
            }
        }
    }
}

#[test]
fn a_peers_payload_goes_to_the_client_with_a_header() {
    for mut rig in Rig::each() {
        for families in EVERY {
            let flow = channel(families, false);
            assert!(rig.offload.insert(&flow));
            for length in LENGTHS {
                let out = rig.run(&arriving(flow.peer, flow.relayed, payload(length)).octets());
                let body = channel_data(NUMBER, &payload(length), &[]);
                let expected = leaving(false, flow.server, flow.client, body, &out.frame);
                assert_eq!(out.frame, rig.sent(&expected), "{families:?} {length}");
                assert_eq!((out.verdict, out.tallied), (Verdict::Back, "forwarded"));
            }
            rig.offload.remove(&flow);
        }
    }
}

/// RFC 8656 §12.5: padding is not needed over UDP, and may be there.
#[test]
fn padding_is_cut_off_whatever_is_in_it() {
    for mut rig in Rig::each() {
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
                    let expected =
                        leaving(false, flow.relayed, flow.peer, payload(length), &out.frame);
                    let what = format!("{families:?} {length} {padding:?}");
                    assert_eq!(out.frame.len(), rig.sent(&expected).len(), "{what}");
                    // What fills up a short frame may be anything.
                    let expected = expected.bare_octets();
                    assert_eq!(out.frame[..expected.len()], expected, "{what}");
                }
            }
            rig.offload.remove(&flow);
        }
    }
}

#[test]
fn what_fills_up_a_frame_that_arrives_is_not_the_payload() {
    for mut rig in Rig::each() {
        let flow = channel(EVERY[0], false);
        assert!(rig.offload.insert(&flow));
        let mut frame = arriving(flow.peer, flow.relayed, payload(160)).octets();
        frame.extend([0xAA; 9]);
        let out = rig.run(&frame);
        let body = channel_data(NUMBER, &payload(160), &[]);
        let expected = leaving(false, flow.server, flow.client, body, &out.frame);
        assert_eq!(out.frame, rig.sent(&expected));
    }
}

/// A peer's payload is anything, ChannelData of somebody's channel among it.
#[test]
fn a_peers_payload_may_look_like_channel_data() {
    for mut rig in Rig::each() {
        let flow = channel(EVERY[0], false);
        assert!(rig.offload.insert(&flow));
        let inner = channel_data(NUMBER, &payload(16), &[0, 0]);
        let out = rig.run(&arriving(flow.peer, flow.relayed, inner.clone()).octets());
        let body = channel_data(NUMBER, &inner, &[]);
        let expected = leaving(false, flow.server, flow.client, body, &out.frame);
        assert_eq!(out.frame, rig.sent(&expected));
    }
}

/// RFC 768: 0 is no checksum; RFC 8200 §8.1 forbids it over IPv6.
#[test]
fn a_packet_without_a_checksum_stays_without() {
    for mut rig in Rig::each() {
        let flow = channel(EVERY[0], false);
        assert!(rig.offload.insert(&flow));
        let mut frame = arriving(flow.peer, flow.relayed, payload(33));
        frame.checksum = Checksum::Absent;
        let out = rig.run(&frame.octets());
        let body = channel_data(NUMBER, &payload(33), &[]);
        let mut expected = leaving(false, flow.server, flow.client, body, &out.frame);
        expected.checksum = Checksum::Absent;
        assert_eq!(out.frame, rig.sent(&expected));
    }
}

/// What was damaged on the way arrives damaged: the receiver's stack drops it, as ours would have.
#[test]
fn a_wrong_checksum_stays_wrong() {
    for mut rig in Rig::each() {
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
}

/// Those that fold to 0 are sent as 0xFFFF (RFC 768).
#[test]
fn every_checksum_is_right() {
    for mut rig in Rig::each() {
        for families in EVERY {
            let flow = channel(families, false);
            assert!(rig.offload.insert(&flow));
            let from_peer =
                |word: u16| arriving(flow.peer, flow.relayed, word.to_be_bytes().into());
            let to_client = |word: u16, like: &[u8]| {
                let body = channel_data(NUMBER, &word.to_be_bytes(), &[]);
                leaving(false, flow.server, flow.client, body, like)
            };
            let zero = word_that_makes(0xFFFF, &to_client(0, &[0; 60]));
            let mut words: Vec<u16> = (0..=0xFFFF).step_by(13).collect();
            words.extend([zero.wrapping_sub(1), zero, zero.wrapping_add(1)]);
            for word in words {
                let out = rig.run_untold(&from_peer(word).octets()).1;
                let expected = to_client(word, &out);
                assert_eq!(out, rig.sent(&expected), "{families:?} {word}");
                if word == zero {
                    let at = expected.udp_at() + 6;
                    assert_eq!(out[at..at + 2], [0xFF, 0xFF], "{families:?}");
                }
            }
            rig.offload.remove(&flow);
        }
    }
}

/// In place of the two octets of payload, which are 0: what gives the frame this checksum.
pub(crate) fn word_that_makes(checksum: u16, frame: &Frame) -> u16 {
    let at = frame.udp_at() + 6;
    let octets = frame.octets();
    let now = u16::from_be_bytes([octets[at], octets[at + 1]]);
    // One's complement, as RFC 1071 counts.
    let (word, borrows) = now.overflowing_sub(checksum);
    word.wrapping_sub(u16::from(borrows))
}

#[test]
fn the_next_hop_gets_it_and_not_the_peer() {
    for mut rig in Rig::each() {
        let mut flow = channel(EVERY[0], false);
        flow.peer = address("192.0.3.9:60001");
        assert!(rig.offload.insert(&flow));
        let body = channel_data(NUMBER, &payload(20), &[]);
        let out = rig.run(&arriving(flow.client, flow.server, body).octets());
        let expected = leaving(false, flow.relayed, flow.peer, payload(20), &out.frame);
        assert_eq!(out.frame, rig.sent(&expected));
    }
}

/// The program asks for its way ten times a second at most.
#[test]
fn a_neighbour_with_another_card_is_followed_soon() {
    for mut rig in Rig::each() {
        let flow = channel(EVERY[0], false);
        assert!(rig.offload.insert(&flow));
        let frame = arriving(flow.peer, flow.relayed, payload(20)).octets();
        assert_eq!(rig.run(&frame).frame[..6], NEIGHBOUR_MAC);
        ip("neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:09 dev near");
        thread::sleep(Duration::from_millis(110));
        assert_eq!(rig.run(&frame).frame[..6], [2, 0, 0, 0, 0, 9]);
        ip("neighbour delete 192.0.2.2 dev near");
        thread::sleep(Duration::from_millis(110));
        assert_eq!(rig.run(&frame).tallied, "no_route");
        ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near");
        assert_eq!(rig.run(&frame).frame[..6], NEIGHBOUR_MAC);
    }
}

/// What was found for one flow is not taken for another's that has its place.
#[test]
fn a_way_is_that_of_its_flow() {
    for mut rig in Rig::each() {
        for at in 0..40_000 {
            let flow = channel(EVERY[at % 2], at % 3 == 0);
            assert!(rig.offload.insert(&flow));
            if at < 8 || at > 32_760 && at < 32_780 {
                let body = channel_data(NUMBER, &payload(20), &[]);
                let out = rig.run(&arriving(flow.client, flow.server, body).octets());
                assert_eq!(out.verdict, verdict(at % 3 == 0));
            }
            rig.offload.remove(&flow);
        }
    }
}

#[test]
fn the_id_of_the_ip_header_is_not_always_the_same() {
    for mut rig in Rig::each() {
        let flow = channel(EVERY[0], false);
        assert!(rig.offload.insert(&flow));
        let frame = arriving(flow.peer, flow.relayed, payload(20)).octets();
        let ids: std::collections::HashSet<_> = (0..8)
            .map(|_| rig.run_untold(&frame).1[18..20].to_vec())
            .collect();
        assert!(ids.len() > 4, "{ids:?}");
    }
}
