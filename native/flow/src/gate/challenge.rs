//! Writing an error response to a stranger: with no reason phrase, for with a forged source every
//! octet of it would be an octet of amplification.

use crate::stun::{self, FINGERPRINT_LENGTH, HEADER_LENGTH};

const ERROR_CLASS: u16 = 0x0110;

/// An error response while it is being written. Who makes it sees to it that `out` is long enough.
pub(super) struct Challenge<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Challenge<'a> {
    /// An error response to a request of a method below 0x010, with ERROR-CODE.
    pub(super) fn to(request: &[u8], code: u16, out: &'a mut [u8]) -> Self {
        let kind = u16::from_be_bytes([request[0], request[1]]) | ERROR_CLASS;
        out[..2].copy_from_slice(&kind.to_be_bytes());
        out[4..HEADER_LENGTH].copy_from_slice(&request[4..HEADER_LENGTH]);
        let length = HEADER_LENGTH;
        let mut challenge = Self { out, length };
        challenge.attribute(
            stun::ERROR_CODE,
            &[0, 0, (code / 100) as u8, (code % 100) as u8],
        );
        challenge
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let (at, end) = (self.length + 4, self.length + 4 + value.len());
        self.out[at - 4..at - 2].copy_from_slice(&kind.to_be_bytes());
        self.out[at - 2..at].copy_from_slice(&(value.len() as u16).to_be_bytes());
        self.out[at..end].copy_from_slice(value);
        self.length = end.next_multiple_of(4);
        self.out[end..self.length].fill(0);
    }

    /// Ends the message, with FINGERPRINT where it is wanted, and tells its length.
    pub(super) fn finish(mut self, fingerprint: bool) -> usize {
        let before = self.length;
        if fingerprint {
            self.length += FINGERPRINT_LENGTH;
        }
        let length = (self.length - HEADER_LENGTH) as u16;
        self.out[2..4].copy_from_slice(&length.to_be_bytes());
        if fingerprint {
            let fingerprint = stun::fingerprint_of(&self.out[..before]);
            self.out[before..self.length].copy_from_slice(&fingerprint);
        }
        self.length
    }
}
