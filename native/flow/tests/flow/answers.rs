//! Answers to Binding requests.

use ferryman_flow::binding::{answer, Settings, ANSWER_LIMIT};

use crate::world::*;

const CLIENT: &str = "192.0.2.200:4000";
const CLIENT_V6: &str = "[2001:db8::200]:4000";
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;

fn answered(request: &[u8], client: &str, fingerprint: bool) -> Option<Vec<u8>> {
    let mut out = [0xEE; ANSWER_LIMIT];
    let settings = Settings {
        fingerprint,
        ..Settings::default()
    };
    let client = from(client);
    let written = answer(request, &client, &settings, &mut out)?;
    assert!(
        written.length <= 4 * request.len(),
        "an answer is at most 4 times the request"
    );
    assert_eq!((written.from, written.to), (client.server, client.client));
    Some(out[..written.length].to_vec())
}

/// A message with a right FINGERPRINT, by the bitwise CRC-32 of RFC 8489 §14.7.
fn fingerprinted(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = stun(kind, &[attributes, &[(FINGERPRINT, &[0; 4])]].concat());
    let covered = message.len() - 8;
    let mut crc = u32::MAX;
    for octet in &message[..covered] {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    message[covered + 4..].copy_from_slice(&(!crc ^ 0x5354_554E).to_be_bytes());
    message
}

/// The error answer of RFC 8489 §6.3.1 that lists these types.
fn refused(unknown: &[u16]) -> Vec<u8> {
    let types: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    let mut message = stun(0x0111, &[(0x0009, &[0, 0, 4, 20]), (0x000A, &types)]);
    let padding = types.len().next_multiple_of(4) - types.len();
    let end = message.len();
    message[end - padding..].fill(0);
    message
}

#[test]
fn a_binding_request_learns_the_mapped_address() {
    for client in [CLIENT, CLIENT_V6, "255.255.255.255:65535"] {
        let mapped = xored(client);
        let attributes = [(XOR_MAPPED_ADDRESS, &mapped[..])];
        let request = stun(0x0001, &[]);
        assert_eq!(
            answered(&request, client, false),
            Some(stun(0x0101, &attributes))
        );
        let expected = Some(fingerprinted(0x0101, &attributes));
        assert_eq!(
            answered(&request, client, true),
            expected,
            "asked for by the setting"
        );
        let request = fingerprinted(0x0001, &[]);
        assert_eq!(answered(&request, client, false), expected, "mirrored");
        assert_eq!(answered(&request, client, true), expected, "once");
    }
}

#[test]
fn unknown_required_attributes_are_listed_in_order_each_once() {
    let rows: [(&str, &[u16], &[u16]); 6] = [
        ("one", &[0x7F01], &[0x7F01]),
        ("an even number", &[0x7F01, 0x0002], &[0x7F01, 0x0002]),
        ("twice", &[0x7F01, 0x0002, 0x7F01], &[0x7F01, 0x0002]),
        (
            "optional ones are not listed",
            &[0x8000, 0x7FFF, 0xFFFF],
            &[0x7FFF],
        ),
        (
            "RFC 5780 is not served",
            &[0x0003, 0x0026, 0x0027],
            &[0x0003, 0x0026, 0x0027],
        ),
        ("RFC 6062 is not served", &[0x002A], &[0x002A]),
    ];
    for (row, kinds, unknown) in rows {
        let attributes: Vec<(u16, &[u8])> = kinds.iter().map(|kind| (*kind, &[][..])).collect();
        let request = stun(0x0001, &attributes);
        assert_eq!(
            answered(&request, CLIENT, false),
            Some(refused(unknown)),
            "{row}"
        );
    }
}

#[test]
fn an_answer_lists_at_most_64_types() {
    let kinds: Vec<u16> = (0x7000..0x7100).collect();
    let attributes: Vec<(u16, &[u8])> = kinds.iter().map(|kind| (*kind, &[][..])).collect();
    let request = fingerprinted(0x0001, &attributes);
    let answer = answered(&request, CLIENT, false).unwrap();
    assert_eq!(answer.len(), 20 + 8 + 4 + 128 + 8);
    assert_eq!(answer[32..160], refused(&kinds[..64])[32..160]);
}

#[test]
fn what_follows_message_integrity_is_not_read() {
    for integrity in [(0x0008, &[0; 20][..]), (0x001C, &[0; 32])] {
        let success = Some(stun(0x0101, &[(XOR_MAPPED_ADDRESS, &xored(CLIENT))]));
        let request = stun(0x0001, &[integrity, (0x7F01, b"")]);
        assert_eq!(
            answered(&request, CLIENT, false),
            success,
            "RFC 8489 §14.5, §14.6"
        );
        let request = stun(0x0001, &[(0x7F01, b""), integrity]);
        assert_eq!(answered(&request, CLIENT, false), Some(refused(&[0x7F01])));
    }
}

#[test]
fn a_fingerprint_has_to_be_right_and_last() {
    let right = fingerprinted(0x0001, &[(0x8022, b"ship")]);
    for at in 0..right.len() {
        for bit in 0..8 {
            let mut wrong = right.clone();
            wrong[at] ^= 1 << bit;
            // Some bits hide the attribute; then the answer has none either.
            let unsigned = answered(&wrong, CLIENT, false)
                .is_none_or(|answer| answer[answer.len() - 8..][..2] != [0x80, 0x28]);
            assert!(unsigned, "RFC 8489 §14.7: byte {at} bit {bit}");
        }
    }
    let mut followed = right;
    followed[3] += 4;
    followed.extend([0x80, 0x22, 0, 0]);
    assert_eq!(
        answered(&followed, CLIENT, false),
        None,
        "RFC 8489 §14.7: last"
    );
    for length in [0, 3, 8] {
        let request = stun(0x0001, &[(FINGERPRINT, &vec![0; length])]);
        assert_eq!(answered(&request, CLIENT, false), None, "{length} bytes");
    }
}

#[test]
fn a_wrong_fingerprint_is_not_answered() {
    for octet in 32..36 {
        let mut request = fingerprinted(0x0001, &[(0x8022, b"ship")]);
        request[octet] ^= 1;
        assert_eq!(
            answered(&request, CLIENT, false),
            None,
            "RFC 8489 §14.7: byte {octet}"
        );
    }
}

#[test]
fn nothing_but_a_binding_request_is_answered() {
    for kind in [0x0011, 0x0101, 0x0111, 0x0003, 0x0006, 0x0201] {
        assert_eq!(
            answered(&stun(kind, &[]), CLIENT, true),
            None,
            "{kind:#06x}"
        );
    }
    let request = stun(0x0001, &[(0x8022, b"ship")]);
    for end in 0..request.len() {
        assert_eq!(answered(&request[..end], CLIENT, true), None, "{end} bytes");
    }
}

#[test]
fn room_that_is_too_small_is_left_alone() {
    let request = stun(0x0001, &[]);
    let mut out = [0; ANSWER_LIMIT - 1];
    let settings = Settings::default();
    assert_eq!(answer(&request, &from(CLIENT), &settings, &mut out), None);
}
