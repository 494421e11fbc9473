//! Answers to Binding requests (RFC 8489 §6.3.1), which need no table and no engine.
//!
//! Credentials are not looked at: a Binding request is answered for anyone.

use std::net::SocketAddr;

use crate::stun::{self, Attributes, Class, HEADER_LENGTH};

/// Room for the longest answer, in bytes.
pub const ANSWER_LIMIT: usize = 192;

/// How many unknown attributes an error lists at most.
const LISTED: usize = 64;
const SUCCESS: u16 = stun::BINDING | 0x0100;
const ERROR: u16 = stun::BINDING | 0x0110;
const FINGERPRINT_LENGTH: usize = 8;
const FINGERPRINT_MASK: u32 = 0x5354_554E;

/// Writes the answer to a Binding request into `out` and returns its length; `None`: send nothing
/// (malformed, a wrong FINGERPRINT, no Binding request). FINGERPRINT is added when `fingerprint`
/// or when the request has one. An answer is at most 4 times as long as the request and at most
/// `ANSWER_LIMIT`, which `out` has to hold.
pub fn answer(
    request: &[u8],
    client: SocketAddr,
    fingerprint: bool,
    out: &mut [u8],
) -> Option<usize> {
    let header = stun::header_untrusted(request).ok()?;
    if header.class != Class::Request || header.method != stun::BINDING {
        return None;
    }
    let asked = Asked::read_untrusted(request)?;
    let mut answer = Answer::to(request, out)?;
    if asked.count == 0 {
        answer.success(client);
    } else {
        answer.unknown(&asked.unknown[..asked.count]);
    }
    if fingerprint || asked.fingerprint {
        answer.fingerprint();
    }
    Some(answer.length)
}

/// What an answer depends on.
struct Asked {
    unknown: [u16; LISTED],
    count: usize,
    fingerprint: bool,
}

impl Asked {
    fn read_untrusted(request: &[u8]) -> Option<Self> {
        let mut asked = Self {
            unknown: [0; LISTED],
            count: 0,
            fingerprint: false,
        };
        let mut sealed = false;
        let mut attributes = Attributes::of(request);
        while let Some(attribute) = attributes.next_untrusted() {
            let (kind, value) = attribute.ok()?;
            match kind {
                stun::FINGERPRINT if !is_last_and_right(request, value.start) => return None,
                stun::FINGERPRINT => asked.fingerprint = true,
                // RFC 8489 §14.5: what follows MESSAGE-INTEGRITY is ignored.
                _ if sealed => {}
                stun::MESSAGE_INTEGRITY | stun::MESSAGE_INTEGRITY_SHA256 => sealed = true,
                _ if stun::is_unknown_required(kind, stun::BINDING) => asked.list(kind),
                _ => {}
            }
        }
        Some(asked)
    }

    fn list(&mut self, kind: u16) {
        if self.count < LISTED && !self.unknown[..self.count].contains(&kind) {
            self.unknown[self.count] = kind;
            self.count += 1;
        }
    }
}

/// Whether the FINGERPRINT whose value starts at `at` ends the message and is right
/// (RFC 8489 §14.7).
fn is_last_and_right(request: &[u8], at: usize) -> bool {
    let before = &request[..at - 4];
    request[at - 4..] == fingerprint_of(before)
}

/// The FINGERPRINT attribute for a message of which this is all before it, with the length in the
/// header already counting it.
fn fingerprint_of(before: &[u8]) -> [u8; FINGERPRINT_LENGTH] {
    let [c0, c1, c2, c3] = (crc32fast::hash(before) ^ FINGERPRINT_MASK).to_be_bytes();
    let [t0, t1] = stun::FINGERPRINT.to_be_bytes();
    [t0, t1, 0, 4, c0, c1, c2, c3]
}

/// An answer while it is being written.
struct Answer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Answer<'a> {
    /// Copies cookie and transaction id of the request.
    fn to(request: &[u8], out: &'a mut [u8]) -> Option<Self> {
        let out = out.get_mut(..ANSWER_LIMIT)?;
        out[4..HEADER_LENGTH].copy_from_slice(&request[4..HEADER_LENGTH]);
        let mut answer = Self {
            out,
            length: HEADER_LENGTH,
        };
        answer.measure();
        Some(answer)
    }

    fn success(&mut self, client: SocketAddr) {
        let mut mask = [0; 16];
        mask.copy_from_slice(&self.out[4..HEADER_LENGTH]);
        let mut value = [0; 20];
        let length = stun::write_xor_address(client, &mask, &mut value);
        self.kind(SUCCESS);
        self.attribute(stun::XOR_MAPPED_ADDRESS, &value[..length]);
    }

    /// 420 with an empty reason phrase, so that no answer is a gift to a forged source.
    fn unknown(&mut self, unknown: &[u16]) {
        let mut types = [0; 2 * LISTED];
        for (value, kind) in types.chunks_exact_mut(2).zip(unknown) {
            value.copy_from_slice(&kind.to_be_bytes());
        }
        self.kind(ERROR);
        self.attribute(stun::ERROR_CODE, &[0, 0, 4, 20]);
        self.attribute(stun::UNKNOWN_ATTRIBUTES, &types[..2 * unknown.len()]);
    }

    fn fingerprint(&mut self) {
        let at = self.length;
        self.length += FINGERPRINT_LENGTH;
        self.measure();
        let fingerprint = fingerprint_of(&self.out[..at]);
        self.out[at..self.length].copy_from_slice(&fingerprint);
    }

    fn kind(&mut self, kind: u16) {
        self.out[..2].copy_from_slice(&kind.to_be_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let (at, end) = (self.length + 4, self.length + 4 + value.len());
        self.out[at - 4..at - 2].copy_from_slice(&kind.to_be_bytes());
        self.out[at - 2..at].copy_from_slice(&(value.len() as u16).to_be_bytes());
        self.out[at..end].copy_from_slice(value);
        self.length = end.next_multiple_of(4);
        self.out[end..self.length].fill(0);
        self.measure();
    }

    /// Writes the length into the header.
    fn measure(&mut self) {
        let length = (self.length - HEADER_LENGTH) as u16;
        self.out[2..4].copy_from_slice(&length.to_be_bytes());
    }
}
