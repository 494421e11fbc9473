//! No bytes make the packet path panic, and none get out of it that were not permitted.

use ferryman_flow::stream::{next, Frame};
use ferryman_flow::{binding, FromClient};

use crate::world::*;

/// SplitMix64: the same bytes in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.below(80);
        (0..length).map(|_| self.roll() as u8).collect()
    }

    /// A good packet with some bytes changed, cut off or added.
    fn mutated(&mut self, good: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = good[self.below(good.len())].clone();
        for _ in 0..self.below(4) {
            let at = self.below(packet.len());
            packet[at] = [self.roll() as u8, 0, 0xFF, packet[at] ^ 1][self.below(4)];
        }
        match self.below(8) {
            0 => packet.truncate(self.below(packet.len())),
            1 => packet.extend(self.noise()),
            _ => {}
        }
        packet
    }
}

fn good_packets() -> Vec<Vec<u8>> {
    let peer = xored(PEER);
    vec![
        stun(0x0001, &[]),
        stun(
            0x0001,
            &[(0x0006, b"a:b"), (0x0008, &[0; 20]), (0x8028, &[0; 4])],
        ),
        stun(0x0001, &[(0x7F01, b""), (0x7F02, b"")]),
        stun(0x0003, &[(0x0019, &[17, 0, 0, 0])]),
        send(PEER, b"hello"),
        send("203.0.113.1:50002", b"hello"),
        stun(
            SEND,
            &[
                (DATA, b"x"),
                (XOR_PEER_ADDRESS, &peer),
                (XOR_PEER_ADDRESS, &peer),
            ],
        ),
        channel_data(0x4000, b"hello"),
        channel_data(0x4001, b""),
    ]
}

fn stays_inside(verdict: &FromClient, packet: &[u8]) {
    match verdict {
        FromClient::ToPeer { peer, payload, .. } => {
            assert!(peer.ip() == ip("198.51.100.7") && peer.port() != 0);
            assert!(packet.get(payload.clone()).is_some());
        }
        FromClient::HandOver { payload, .. } => assert!(packet.get(payload.clone()).is_some()),
        _ => {}
    }
}

#[test]
fn a_hundred_thousand_bad_packets_do_no_harm() {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    world.permit(ALICE, OWN, true);
    world.permit(BOB, OWN, true);
    world.bind(ALICE, 0x4000, PEER, false);
    world.bind(ALICE, 0x4001, "203.0.113.1:50002", true);
    let (good, mut dice) = (good_packets(), Dice(8656));
    let (mut forwarded, mut out) = (0, [0; binding::ANSWER_LIMIT]);
    let settings = binding::Settings {
        fingerprint: true,
        mapped_address: true,
        software: true,
        served: binding::Served::Everyone,
        rfc3489: true,
        discovery: vec![discovery()],
    };
    for round in 0..120_000 {
        let packet = if round % 4 == 0 {
            dice.noise()
        } else {
            dice.mutated(&good)
        };
        let verdict = world.says(&packet);
        stays_inside(&verdict, &packet);
        forwarded += usize::from(matches!(verdict, FromClient::ToPeer { .. }));
        if let Some(answer) = binding::answer(&packet, &from(PEER), &settings, &mut out) {
            assert!(answer.length <= 4 * packet.len());
        }
        if let Some(length) = binding::answer_classic(&packet, &from(PEER), &mut out) {
            assert!(length <= 4 * packet.len());
        }
        if let Frame::Complete {
            message, consumed, ..
        } = next(&packet, 1500)
        {
            assert!(message.end <= consumed && consumed <= packet.len());
        }
    }
    assert!(
        forwarded > 1_000,
        "the mutations are so wild that nothing is tested: {forwarded}"
    );
}
