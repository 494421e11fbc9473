//! What becomes of a Send indication (RFC 8656 §11.2), one row for each rule.

use ferryman_flow::Reason;

use crate::world::*;

#[test]
fn a_send_indication_goes_to_its_peer() {
    let (peer, other) = (xored(PEER), xored("198.51.100.8:7000"));
    let rows: [(&str, Vec<u8>, std::ops::Range<usize>); 10] = [
        (
            "RFC 8656 §11.2: peer and payload",
            send(PEER, b"hello"),
            36..41,
        ),
        ("RFC 8656 §11.2: an empty payload", send(PEER, b""), 36..36),
        (
            "the order is free",
            stun(SEND, &[(DATA, b"hello"), (XOR_PEER_ADDRESS, &peer)]),
            24..29,
        ),
        (
            "RFC 8489 §14: the first XOR-PEER-ADDRESS counts",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &peer),
                    (XOR_PEER_ADDRESS, &other),
                    (DATA, b"a"),
                ],
            ),
            48..49,
        ),
        (
            "RFC 8489 §14: the first DATA counts",
            stun(
                SEND,
                &[(XOR_PEER_ADDRESS, &peer), (DATA, b"one"), (DATA, b"three")],
            ),
            36..39,
        ),
        (
            "RFC 8489 §14: an unknown comprehension-optional attribute is ignored",
            stun(
                SEND,
                &[(0xC001, b"?"), (XOR_PEER_ADDRESS, &peer), (DATA, b"a")],
            ),
            44..45,
        ),
        (
            "a known attribute that is not expected is ignored",
            stun(
                SEND,
                &[(0x000D, &[0; 4]), (XOR_PEER_ADDRESS, &peer), (DATA, b"a")],
            ),
            44..45,
        ),
        (
            "FINGERPRINT is not verified",
            stun(
                SEND,
                &[(XOR_PEER_ADDRESS, &peer), (DATA, b"a"), (0x8028, &[0; 4])],
            ),
            36..37,
        ),
        (
            "RFC 8489 §14.5: what follows MESSAGE-INTEGRITY is ignored",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &peer),
                    (DATA, b"a"),
                    (0x0008, &[0; 20]),
                    (0x7F01, b""),
                ],
            ),
            36..37,
        ),
        (
            "RFC 8489 §14.1: the reserved byte of an address is ignored",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &altered(peer.clone(), 0, 9)),
                    (DATA, b"a"),
                ],
            ),
            36..37,
        ),
    ];
    for (row, packet, payload) in rows {
        let mut world = permitted();
        let verdict = world.to_peer(PEER, payload);
        assert_eq!(world.says(&packet), verdict, "{row}");
    }
}

#[test]
fn a_send_indication_is_dropped() {
    let peer = xored(PEER);
    let rows: [(&str, Vec<u8>, Reason); 19] = [
        (
            "RFC 8656 §11.2: no DATA",
            stun(SEND, &[(XOR_PEER_ADDRESS, &peer)]),
            Reason::MissingAttribute,
        ),
        (
            "RFC 8656 §11.2: no peer",
            stun(SEND, &[(DATA, b"a")]),
            Reason::MissingAttribute,
        ),
        (
            "RFC 8489 §14.5: DATA after MESSAGE-INTEGRITY is not there",
            stun(
                SEND,
                &[(XOR_PEER_ADDRESS, &peer), (0x0008, &[0; 20]), (DATA, b"a")],
            ),
            Reason::MissingAttribute,
        ),
        (
            "RFC 8489 §14.5: a peer after MESSAGE-INTEGRITY is not there",
            stun(
                SEND,
                &[(DATA, b"a"), (0x0008, &[0; 20]), (XOR_PEER_ADDRESS, &peer)],
            ),
            Reason::MissingAttribute,
        ),
        (
            "RFC 8489 §6.3.2: an unknown comprehension-required attribute",
            stun(
                SEND,
                &[(XOR_PEER_ADDRESS, &peer), (DATA, b"a"), (0x7F01, b"")],
            ),
            Reason::UnknownAttribute,
        ),
        (
            "MESSAGE-INTEGRITY-SHA256 is not served",
            stun(
                SEND,
                &[(XOR_PEER_ADDRESS, &peer), (DATA, b"a"), (0x001C, &[0; 32])],
            ),
            Reason::UnknownAttribute,
        ),
        (
            "RFC 8489 §14.5: MESSAGE-INTEGRITY-SHA256 counts after MESSAGE-INTEGRITY",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &peer),
                    (DATA, b"a"),
                    (0x0008, &[0; 20]),
                    (0x001C, &[0; 32]),
                ],
            ),
            Reason::UnknownAttribute,
        ),
        (
            "an attribute reaches past the end",
            altered(send(PEER, b"hello"), 35, 9),
            Reason::Malformed,
        ),
        (
            "an address of an unknown family",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &altered(peer.clone(), 1, 3)),
                    (DATA, b"a"),
                ],
            ),
            Reason::Malformed,
        ),
        (
            "an IPv4 address of 16 bytes",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
                    (DATA, b"a"),
                ],
            ),
            Reason::Malformed,
        ),
        (
            "an IPv6 address of 4 bytes",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, &altered(peer.clone(), 1, 2)),
                    (DATA, b"a"),
                ],
            ),
            Reason::Malformed,
        ),
        (
            "an address of 3 bytes",
            stun(SEND, &[(XOR_PEER_ADDRESS, &peer[..3]), (DATA, b"a")]),
            Reason::Malformed,
        ),
        (
            "an address without IP",
            stun(SEND, &[(XOR_PEER_ADDRESS, &peer[..4]), (DATA, b"a")]),
            Reason::Malformed,
        ),
        (
            "the first address is broken, the second is not",
            stun(
                SEND,
                &[
                    (XOR_PEER_ADDRESS, b""),
                    (XOR_PEER_ADDRESS, &peer),
                    (DATA, b"a"),
                ],
            ),
            Reason::Malformed,
        ),
        (
            "RFC 8656 §11.2: no permission for another IP",
            send("198.51.100.8:7000", b"a"),
            Reason::NoPermission,
        ),
        (
            "a peer of the other family",
            send("[2001:db8::7]:7000", b"a"),
            Reason::WrongFamily,
        ),
        (
            "the IPv6 form of a permitted IPv4 peer",
            send("[::ffff:198.51.100.7]:7000", b"a"),
            Reason::WrongFamily,
        ),
        (
            "the IPv6 address whose number is a permitted IPv4 peer's",
            send("[::198.51.100.7]:7000", b"a"),
            Reason::WrongFamily,
        ),
        ("port 0", send("198.51.100.7:0", b"a"), Reason::PortZero),
    ];
    for (row, packet, reason) in rows {
        assert_eq!(permitted().says(&packet), dropped(reason), "{row}");
    }
}

#[test]
fn a_permission_is_for_an_ip_whatever_the_port() {
    let mut world = permitted();
    for port in [1, 6999, 7001, 65535] {
        let peer = format!("198.51.100.7:{port}");
        let verdict = world.to_peer(&peer, 36..37);
        assert_eq!(world.says(&send(&peer, b"a")), verdict, "RFC 8656 §9");
    }
}
