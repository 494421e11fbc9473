//! The answer to a Binding request of RFC 3489: 16 octets of transaction id where there is a cookie
//! now, and the client's address without a mask.
//!
//! RESPONSE-ADDRESS and CHANGE-REQUEST ask for an answer from or to somewhere else; who asks for it gets none.

use crate::response::Response;
use crate::stun::{self, HEADER_LENGTH, MAGIC_COOKIE};
use crate::FiveTuple;

const REQUEST: [u8; 2] = [0x00, 0x01];
const RESPONSE_ADDRESS: u16 = 0x0002;
const SOURCE_ADDRESS: u16 = 0x0004;

/// Writes the answer (RFC 3489 §8.1, §11.2) into `out` and returns its length; `None`: this is no such
/// request, or gets no answer. `out` has to hold `ANSWER_LIMIT`.
pub fn answer_classic(packet: &[u8], five_tuple: &FiveTuple, out: &mut [u8]) -> Option<usize> {
    if !is_request(packet) || !is_plain(&packet[HEADER_LENGTH..])? {
        return None;
    }
    let mut response = Response::to(packet, out);
    response.success();
    for (kind, address) in [
        (stun::MAPPED_ADDRESS, five_tuple.client),
        (SOURCE_ADDRESS, five_tuple.server),
    ] {
        let mut value = [0; 20];
        let length = stun::write_xor_address(address, &[0; 16], &mut value);
        response.attribute(kind, &value[..length]);
    }
    Some(response.finish(false))
}

/// Whether a packet is a Binding request without a cookie, from end to end.
fn is_request(packet: &[u8]) -> bool {
    let Some(header) = packet.first_chunk::<HEADER_LENGTH>() else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    header[..2] == REQUEST && header[4..8] != MAGIC_COOKIE && packet.len() == HEADER_LENGTH + length
}

/// Whether the answer goes back the way that the request came; `None` for lengths that lie.
fn is_plain(mut attributes: &[u8]) -> Option<bool> {
    while !attributes.is_empty() {
        let (&[k0, k1, l0, l1], rest) = attributes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(..length)?;
        match u16::from_be_bytes([k0, k1]) {
            RESPONSE_ADDRESS => return Some(false),
            stun::CHANGE_REQUEST if value.iter().any(|octet| *octet != 0) => return Some(false),
            _ => {}
        }
        // RFC 3489 has no padding: every length is a multiple of 4.
        attributes = rest.get(length..)?;
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::ANSWER_LIMIT;
    use crate::Transport;

    const HEADER: [u8; 20] = [
        0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut packet = [&HEADER, attributes].concat();
        packet[3] = attributes.len() as u8;
        packet
    }

    fn answer(packet: &[u8], client: &str, server: &str) -> Option<Vec<u8>> {
        let address = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}"));
        let five_tuple = FiveTuple {
            transport: Transport::Udp,
            client: address(client),
            server: address(server),
            socket: 1,
        };
        let mut out = [0; ANSWER_LIMIT];
        let length = answer_classic(packet, &five_tuple, &mut out)?;
        Some(out[..length].to_vec())
    }

    fn answer_v4(packet: &[u8]) -> Option<Vec<u8>> {
        answer(packet, "192.0.2.1:49152", "198.51.100.2:3478")
    }

    #[test]
    fn the_answer_has_the_clients_address_as_it_is_and_the_servers() {
        let expected = [
            &[0x01, 0x01, 0, 24][..],
            &HEADER[4..],
            &[0, 1, 0, 8, 0, 1, 0xC0, 0, 192, 0, 2, 1],
            &[0, 4, 0, 8, 0, 1, 0x0D, 0x96, 198, 51, 100, 2],
        ]
        .concat();
        assert_eq!(answer_v4(&request(&[])), Some(expected.clone()));
        let nothing_to_change = [0, 3, 0, 4, 0, 0, 0, 0];
        assert_eq!(answer_v4(&request(&nothing_to_change)), Some(expected));
    }

    #[test]
    fn no_answer_is_more_than_four_times_its_request() {
        let longest = answer(&request(&[]), "[2001:db8::1]:1", "[2001:db8::2]:2");
        assert!(longest.is_some_and(|answer| answer.len() <= 4 * HEADER.len()));
    }

    #[test]
    fn nothing_else_is_answered() {
        let mut with_cookie = HEADER;
        with_cookie[4..8].copy_from_slice(&MAGIC_COOKIE);
        let mut indication = HEADER;
        indication[1] = 0x11;
        let mut allocate = HEADER;
        allocate[1] = 3;
        let elsewhere = [0, 2, 0, 8, 0, 1, 0, 1, 192, 0, 2, 9];
        let another = [0, 3, 0, 4, 0, 0, 0, 6];
        for packet in [
            with_cookie.to_vec(),
            indication.to_vec(),
            allocate.to_vec(),
            HEADER[..19].to_vec(),
            [&HEADER[..], &[0; 4]].concat(),
            request(&elsewhere),
            request(&another),
            request(&[0, 3, 0, 9, 0, 0, 0, 0]),
            request(&[0, 3]),
        ] {
            assert_eq!(answer_v4(&packet), None, "{packet:?}");
        }
    }
}
