//! Reading a ClientHello (RFC 6347 §4.2.1, §4.3.2; RFC 9147 §5.3) and writing the answer of DTLS 1.2
//! that asks for a cookie.
//!
//! Knows no key: what a cookie is made of is the caller's affair.

use std::ops::Range;

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
const RANDOM: usize = 32;
/// The answer's version is DTLS 1.0 whatever will be agreed on (RFC 6347 §4.2.1).
const DTLS_1_0: [u8; 2] = [0xFE, 0xFF];
/// Of an alert (RFC 8446 §6).
const FATAL: u8 = 2;
const ILLEGAL_PARAMETER: u8 = 47;
/// Extensions (RFC 8446 §4.2).
const SUPPORTED_VERSIONS: u16 = 43;
const COOKIE: u16 = 44;
/// The first bits of a record of DTLS 1.3 that is encrypted (RFC 9147 §4).
const UNIFIED: u8 = 0b0010_0000;
const UNIFIED_MASK: u8 = 0b1110_0000;

pub(crate) const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];
pub(crate) const DTLS_1_3: [u8; 2] = [0xFE, 0xFC];

/// A ClientHello that is one datagram's first record and one fragment. Ranges lie in the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// The record's sequence number, which the answer repeats.
    sequence: [u8; 6],
    /// Version, random and session id.
    before: Range<usize>,
    pub(crate) cookie: Range<usize>,
    /// Cipher suites and compression methods.
    after: Range<usize>,
    extensions: Range<usize>,
}

impl ClientHello {
    /// What is the same in the client's first and second hello (RFC 6347 §4.2.1). Extensions are not:
    /// who is asked for a cookie of DTLS 1.2 may offer 1.3 no more.
    pub(crate) fn parameters<'a>(&self, datagram: &'a [u8]) -> [&'a [u8]; 2] {
        [
            &datagram[self.before.clone()],
            &datagram[self.after.clone()],
        ]
    }

    /// Whether a version is among its supported versions, which DTLS 1.3 came with.
    pub(crate) fn offers(&self, datagram: &[u8], version: [u8; 2]) -> bool {
        let versions = self.extension(datagram, SUPPORTED_VERSIONS);
        let versions = versions.and_then(split_u8);
        versions.is_some_and(|(versions, _)| versions.chunks(2).any(|one| one == version))
    }

    /// The cookie of a HelloRetryRequest, if it brings one (RFC 9147 §5.1).
    pub(crate) fn retry_cookie<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        let (cookie, _) = split_u16(self.extension(datagram, COOKIE)?)?;
        Some(cookie)
    }

    fn extension<'a>(&self, datagram: &'a [u8], number: u16) -> Option<&'a [u8]> {
        let (mut rest, _) = split_u16(&datagram[self.extensions.clone()])?;
        loop {
            let (kind, after) = rest.split_first_chunk()?;
            let (body, after) = split_u16(after)?;
            if u16::from_be_bytes(*kind) == number {
                return Some(body);
            }
            rest = after;
        }
    }

    /// Whether it asks for a cookie (first of a handshake) or brings one.
    pub(crate) fn message_sequence(datagram: &[u8]) -> u16 {
        u16::from_be_bytes([datagram[RECORD_HEADER + 4], datagram[RECORD_HEADER + 5]])
    }
}

/// Whether a datagram has a record of a later epoch than the first, which is an encrypted one.
pub fn has_encrypted(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    if rest.first().is_some_and(|first| is_unified(*first)) {
        return true;
    }
    while let (Some(epoch), Some(length)) = (rest.get(3..5), u16_at(rest, 11)) {
        if epoch != [0, 0] || is_unified(rest[0]) {
            return true;
        }
        let end = RECORD_HEADER + usize::from(length);
        rest = rest.get(end..).unwrap_or_default();
    }
    false
}

/// Whether a datagram begins a handshake: its first record is a plaintext ClientHello, whole or
/// not.
pub(crate) fn begins_handshake(datagram: &[u8]) -> bool {
    datagram.first() == Some(&HANDSHAKE)
        && datagram.get(3..5) == Some(&[0, 0])
        && datagram.get(RECORD_HEADER) == Some(&CLIENT_HELLO)
}

/// Whether an answer is part of a handshake, and no alert.
pub(crate) fn is_handshake(answer: &[u8]) -> bool {
    answer.first() == Some(&HANDSHAKE)
}

/// Reads the ClientHello at the beginning of a datagram; `None` for whatever is no whole one.
pub(crate) fn read_untrusted(datagram: &[u8]) -> Option<ClientHello> {
    if !begins_handshake(datagram) || datagram.get(1) != Some(&0xFE) {
        return None;
    }
    let sequence = *datagram.get(5..)?.first_chunk()?;
    let length = usize::from(u16_at(datagram, 11)?);
    let end = RECORD_HEADER + length;
    let fragment = datagram.get(..end)?;
    let body = u24_at(fragment, RECORD_HEADER + 1)?;
    let whole = u24_at(fragment, RECORD_HEADER + 6)? == 0
        && u24_at(fragment, RECORD_HEADER + 9)? == body
        && length == HANDSHAKE_HEADER + body;
    if !whole {
        return None;
    }
    let start = RECORD_HEADER + HANDSHAKE_HEADER;
    let session = start + 2 + RANDOM;
    let session_end = session + 1 + usize::from(*fragment.get(session)?);
    let cookie = session_end + 1;
    let cookie_end = cookie + usize::from(*fragment.get(session_end)?);
    let (_suites, rest) = split_u16(fragment.get(cookie_end..)?)?;
    let (_compressions, rest) = split_u8(rest)?;
    let extensions = end - rest.len();
    Some(ClientHello {
        sequence,
        before: start..session_end,
        cookie: cookie..cookie_end,
        after: cookie_end..extensions,
        extensions: extensions..end,
    })
}

/// The HelloVerifyRequest that answers a hello: it repeats the record's sequence number, so that
/// nothing need be remembered (RFC 6347 §4.2.1).
pub(crate) fn ask_back(hello: &ClientHello, cookie: &[u8; 32]) -> Vec<u8> {
    let body = 2 + 1 + cookie.len();
    let mut answer = Vec::with_capacity(RECORD_HEADER + HANDSHAKE_HEADER + body);
    answer.push(HANDSHAKE);
    answer.extend_from_slice(&DTLS_1_0);
    answer.extend_from_slice(&[0, 0]);
    answer.extend_from_slice(&hello.sequence);
    answer.extend_from_slice(&((HANDSHAKE_HEADER + body) as u16).to_be_bytes());
    answer.push(HELLO_VERIFY_REQUEST);
    answer.extend_from_slice(&u24(body));
    answer.extend_from_slice(&[0, 0]);
    answer.extend_from_slice(&u24(0));
    answer.extend_from_slice(&u24(body));
    answer.extend_from_slice(&DTLS_1_0);
    answer.push(cookie.len() as u8);
    answer.extend_from_slice(cookie);
    answer
}

/// The alert for a hello whose cookie is not good, after which its client may begin anew (RFC 9147
/// §5.1). It repeats the record's sequence number, as `ask_back` does.
pub(crate) fn refuse(hello: &ClientHello) -> Vec<u8> {
    let mut answer = Vec::with_capacity(RECORD_HEADER + 2);
    answer.push(ALERT);
    answer.extend_from_slice(&DTLS_1_2);
    answer.extend_from_slice(&[0, 0]);
    answer.extend_from_slice(&hello.sequence);
    answer.extend_from_slice(&[0, 2, FATAL, ILLEGAL_PARAMETER]);
    answer
}

fn is_unified(first: u8) -> bool {
    first & UNIFIED_MASK == UNIFIED
}

/// Octets after a length of one octet, and what follows them.
fn split_u8(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = octets.split_first()?;
    rest.split_at_checked(length.into())
}

/// Octets after a length of two octets, and what follows them.
fn split_u16(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(length).into())
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*octets.get(at..)?.first_chunk()?))
}

fn u24_at(octets: &[u8], at: usize) -> Option<usize> {
    let [high, middle, low] = *octets.get(at..)?.first_chunk()?;
    Some(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
}

fn u24(value: usize) -> [u8; 3] {
    [(value >> 16) as u8, (value >> 8) as u8, value as u8]
}
