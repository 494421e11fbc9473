//! Where messages end in a stream.

use ferryman_flow::stream::{next, Frame, Kind};

use crate::world::*;

const LIMIT: usize = 65_555;

fn complete(kind: Kind, end: usize, consumed: usize) -> Frame {
    Frame::Complete {
        kind,
        message: 0..end,
        consumed,
    }
}

#[test]
fn a_message_ends_where_its_length_says() {
    let attribute = stun(0x0001, &[(0x8022, b"ship")]);
    let rows: [(&str, Vec<u8>, Frame); 6] = [
        (
            "a header alone",
            stun(0x0001, &[]),
            complete(Kind::Stun, 20, 20),
        ),
        ("RFC 8489 §5", attribute, complete(Kind::Stun, 28, 28)),
        (
            "RFC 8656 §12.5: padding is consumed and not part of the message",
            [channel_data(0x4000, b"hello"), vec![0; 3]].concat(),
            complete(Kind::Channel, 9, 12),
        ),
        (
            "no padding",
            channel_data(0x4000, b"sail"),
            complete(Kind::Channel, 8, 8),
        ),
        (
            "empty",
            channel_data(0x7FFF, b""),
            complete(Kind::Channel, 4, 4),
        ),
        (
            "the longest",
            [channel_data(0x4000, &[0; 65_535]), vec![0]].concat(),
            complete(Kind::Channel, 65_539, 65_540),
        ),
    ];
    for (row, mut stream, frame) in rows {
        for end in 0..stream.len() {
            assert_eq!(
                next(&stream[..end], LIMIT),
                Frame::NeedMore,
                "{row}: {end} bytes"
            );
        }
        assert_eq!(next(&stream, LIMIT), frame, "{row}");
        stream.extend([0xFF; 9]);
        assert_eq!(
            next(&stream, LIMIT),
            frame,
            "{row}: the next message does not matter"
        );
    }
}

#[test]
fn a_stream_that_cannot_be_turn_is_bad_at_once() {
    let rows: [(&str, &[u8]); 8] = [
        ("first byte 0x80", &[0x80]),
        ("first byte 0xFF", &[0xFF]),
        ("HTTP", b"\x00\x00GET / HTTP"),
        ("TLS", &[0x16, 3, 1, 2, 0, 1]),
        ("STUN length is a multiple of 4", &[0, 1, 0, 2]),
        ("STUN length 0xFFFF", &[0, 1, 0xFF, 0xFF]),
        ("the cookie's first byte", &[0, 1, 0, 0, 0x22]),
        (
            "the cookie's last byte",
            &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43],
        ),
    ];
    for (row, stream) in rows {
        assert_eq!(next(stream, LIMIT), Frame::Bad, "{row}");
    }
}

#[test]
fn the_limit_counts_every_byte_on_the_wire() {
    let message = stun(0x0001, &[(0x8022, b"ship")]);
    assert_eq!(next(&message, 28), complete(Kind::Stun, 28, 28));
    assert_eq!(next(&message, 27), Frame::Bad);
    assert_eq!(
        next(&message[..4], 27),
        Frame::Bad,
        "as soon as the length is known"
    );
    let message = [channel_data(0x4000, b"hello"), vec![0; 3]].concat();
    assert_eq!(next(&message, 12), complete(Kind::Channel, 9, 12));
    assert_eq!(next(&message[..4], 11), Frame::Bad);
}
