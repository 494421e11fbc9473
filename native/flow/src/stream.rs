//! Where messages end in a TCP stream (RFC 8489 §6.2.2, RFC 8656 §12.5). Knows only lengths; what
//! a message says is `Table::from_client`'s to judge.

use std::ops::Range;

use crate::stun::{CONNECTION_BIND, HEADER_LENGTH, MAGIC_COOKIE};

/// What the beginning of a buffer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Complete {
        /// What it is.
        kind: Kind,
        /// The message, without the padding behind ChannelData.
        message: Range<usize>,
        /// How many bytes of the buffer it took, with padding.
        consumed: usize,
    },
    /// The beginning of a message.
    NeedMore,
    /// Nothing that a TURN stream can hold, or a message longer than the limit: nothing after
    /// it can be told apart, so the connection is of no use any more.
    Bad,
}

/// What kind of message a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A STUN message.
    Stun,
    /// A ChannelData message.
    Channel,
}

/// What the beginning of `buffer` holds. `limit` is the longest message taken, in bytes on the
/// wire: header and padding count.
pub fn next(buffer: &[u8], limit: usize) -> Frame {
    let kind = match buffer.first() {
        None => return Frame::NeedMore,
        Some(0x00..=0x3F) => Kind::Stun,
        Some(0x40..=0x7F) => Kind::Channel,
        Some(_) => return Frame::Bad,
    };
    let Some(&[_, _, l0, l1]) = buffer.first_chunk() else {
        return Frame::NeedMore;
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (end, consumed) = match kind {
        Kind::Stun => (HEADER_LENGTH + length, HEADER_LENGTH + length),
        Kind::Channel => (4 + length, 4 + length.next_multiple_of(4)),
    };
    if consumed > limit || kind == Kind::Stun && !may_be_stun(buffer, length) {
        return Frame::Bad;
    }
    if buffer.len() < consumed {
        return Frame::NeedMore;
    }
    Frame::Complete {
        kind,
        message: 0..end,
        consumed,
    }
}

/// The transaction id of a ConnectionBind request (RFC 6062 §5.4): what follows it on its stream
/// may be no message any more.
pub fn connection_bind_untrusted(message: &[u8]) -> Option<[u8; 12]> {
    let is_bind = message.starts_with(&CONNECTION_BIND.to_be_bytes());
    let transaction_id = message.get(8..HEADER_LENGTH)?.try_into().ok()?;
    is_bind.then_some(transaction_id)
}

/// Whether nothing speaks against a STUN message, as far as it has arrived: a wrong cookie ends a
/// connection before it has made the server wait for 64 KiB.
fn may_be_stun(buffer: &[u8], length: usize) -> bool {
    let cookie = &buffer[4..buffer.len().min(8)];
    length % 4 == 0 && MAGIC_COOKIE.starts_with(cookie)
}
