//! What stands around a payload on its way to the client.

use std::net::SocketAddr;

use ferryman_flow::{write_header, Framing, TransactionIds, Transport, HEADROOM, TAILROOM};

use crate::world::*;

const ID: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// The whole message, written into rooms full of old bytes.
fn framed(framing: Framing, transport: Transport, peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let (mut head, mut tail) = ([0xEE; HEADROOM + 3], [0xEE; TAILROOM]);
    let length = payload.len();
    let (header, padding) =
        write_header(framing, transport, peer, length, ID, &mut head, &mut tail);
    assert!(head[..head.len() - header]
        .iter()
        .all(|octet| *octet == 0xEE));
    [&head[head.len() - header..], payload, &tail[..padding]].concat()
}

#[test]
fn channel_data_is_padded_in_streams_and_not_in_datagrams() {
    let framing = Framing::Channel(0x4abc);
    for (length, padding) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)] {
        let payload = vec![0xAA; length];
        let expected = channel_data(0x4abc, &payload);
        let in_stream = [expected.clone(), vec![0; padding]].concat();
        for (transport, expected) in [
            (Transport::Udp, &expected),
            (Transport::Dtls, &expected),
            (Transport::Tcp, &in_stream),
            (Transport::Tls, &in_stream),
        ] {
            let message = framed(framing, transport, address(PEER), &payload);
            assert_eq!(message, *expected, "RFC 8656 §12.5: {transport:?}");
        }
    }
}

#[test]
fn a_data_indication_names_its_peer_and_pads_with_zeros() {
    for peer in [
        PEER,
        "[2001:db8::7]:7000",
        "255.255.255.255:65535",
        "[::]:0",
    ] {
        for length in [0, 1, 2, 3, 4, 1200] {
            let payload = vec![0xAA; length];
            let attributes = [(XOR_PEER_ADDRESS, &xored(peer)[..]), (DATA, &payload[..])];
            let mut expected = stun(0x0017, &attributes);
            let padding = length.next_multiple_of(4) - length;
            let end = expected.len();
            expected[end - padding..].fill(0);
            for transport in [Transport::Udp, Transport::Tcp] {
                let message = framed(Framing::Data, transport, address(peer), &payload);
                assert_eq!(message, expected, "RFC 8656 §11.3: {peer} {length}");
            }
        }
    }
}

#[test]
fn the_longest_payloads_fit() {
    let rows = [(PEER, 65_516), ("[2001:db8::7]:7000", 65_504)];
    for (peer, length) in rows {
        let message = framed(
            Framing::Data,
            Transport::Udp,
            address(peer),
            &vec![0; length],
        );
        assert_eq!(message[2..4], [0xFF, 0xFC]);
        assert_eq!(message.len(), 20 + 0xFFFC);
    }
    let message = framed(
        Framing::Channel(0x4000),
        Transport::Tcp,
        address(PEER),
        &[0; 65_535],
    );
    assert_eq!((message.len(), &message[2..4]), (65_540, &[0xFF, 0xFF][..]));
}

#[test]
fn transaction_ids_differ() {
    let (mut one, mut other) = (TransactionIds::new(), TransactionIds::new());
    let mut ids: Vec<_> = (0..1_000)
        .flat_map(|_| [one.draw(), other.draw()])
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2_000);
}
