//! A response to a request while it is being written (RFC 8489 §5, §14): header, attributes,
//! FINGERPRINT. Error responses have no reason phrase: with a forged source every octet of it would
//! be an octet of amplification.

use crate::stun::{self, FINGERPRINT_LENGTH, HEADER_LENGTH};

pub(crate) const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

/// Who makes it sees to it that `out` is long enough.
pub(crate) struct Response<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Response<'a> {
    /// Method, cookie and transaction id of the request; the class comes later.
    pub(crate) fn to(request: &[u8], out: &'a mut [u8]) -> Self {
        out[..2].copy_from_slice(&request[..2]);
        out[4..HEADER_LENGTH].copy_from_slice(&request[4..HEADER_LENGTH]);
        let length = HEADER_LENGTH;
        Self { out, length }
    }

    pub(crate) fn success(&mut self) {
        self.class(SUCCESS);
    }

    /// With ERROR-CODE (RFC 8489 §14.8).
    pub(crate) fn error(&mut self, code: u16) {
        self.class(ERROR);
        let value = [0, 0, (code / 100) as u8, (code % 100) as u8];
        self.attribute(stun::ERROR_CODE, &value);
    }

    fn class(&mut self, class: u16) {
        let kind = u16::from_be_bytes([self.out[0], self.out[1]]) | class;
        self.out[..2].copy_from_slice(&kind.to_be_bytes());
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let (at, end) = (self.length + 4, self.length + 4 + value.len());
        self.out[at - 4..at - 2].copy_from_slice(&kind.to_be_bytes());
        self.out[at - 2..at].copy_from_slice(&(value.len() as u16).to_be_bytes());
        self.out[at..end].copy_from_slice(value);
        self.length = end.next_multiple_of(4);
        self.out[end..self.length].fill(0);
    }

    /// How long it is so far.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The cookie and the transaction id, which addresses are masked with.
    pub(crate) fn mask(&self) -> [u8; 16] {
        std::array::from_fn(|at| self.out[4 + at])
    }

    /// Ends the message, with FINGERPRINT where it is wanted, and tells its length.
    pub(crate) fn finish(mut self, fingerprint: bool) -> usize {
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
