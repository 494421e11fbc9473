//! Writing the answer to a Binding request, within the length that it may have.

use std::net::SocketAddr;

use super::asked::LISTED;
use super::{ANSWER_LIMIT, LONGEST_PADDING};
use crate::stun::{self, FINGERPRINT_LENGTH, HEADER_LENGTH};

const SUCCESS: u16 = stun::BINDING | 0x0100;
const ERROR: u16 = stun::BINDING | 0x0110;

/// An answer while it is being written.
pub(super) struct Response<'a> {
    out: &'a mut [u8],
    length: usize,
    /// Up to where optional attributes may reach.
    limit: usize,
    fingerprint: bool,
}

impl<'a> Response<'a> {
    /// Copies cookie and transaction id of the request. The whole message is not to be longer
    /// than `limit`.
    pub(super) fn to(
        request: &[u8],
        limit: usize,
        fingerprint: bool,
        out: &'a mut [u8],
    ) -> Option<Self> {
        let out = out.get_mut(..ANSWER_LIMIT)?;
        out[4..HEADER_LENGTH].copy_from_slice(&request[4..HEADER_LENGTH]);
        let reserved = if fingerprint { FINGERPRINT_LENGTH } else { 0 };
        Some(Self {
            out,
            length: HEADER_LENGTH,
            limit: limit.min(ANSWER_LIMIT) - reserved,
            fingerprint,
        })
    }

    pub(super) fn success(&mut self, client: SocketAddr) {
        let mut mask = [0; 16];
        mask.copy_from_slice(&self.out[4..HEADER_LENGTH]);
        let mut value = [0; 20];
        let length = stun::write_xor_address(client, &mask, &mut value);
        self.kind(SUCCESS);
        self.attribute(stun::XOR_MAPPED_ADDRESS, &value[..length]);
    }

    /// An address (RFC 8489 §14.1), unless it would make the answer too long.
    pub(super) fn optional(&mut self, kind: u16, address: SocketAddr) {
        let mut value = [0; 20];
        // An XOR'd address under no mask is a plain one.
        let length = stun::write_xor_address(address, &[0; 16], &mut value);
        self.optional_octets(kind, &value[..length]);
    }

    /// Octets, a multiple of 4 of them, likewise.
    pub(super) fn optional_octets(&mut self, kind: u16, value: &[u8]) {
        if self.length + 4 + value.len() <= self.limit {
            self.attribute(kind, value);
        }
    }

    /// PADDING as long as the request's, and not longer than `LONGEST_PADDING`: what comes back is
    /// no more than what was sent.
    pub(super) fn padding(&mut self, asked: Option<usize>) {
        if let Some(length) = asked {
            let length = length.next_multiple_of(4).min(LONGEST_PADDING);
            self.attribute(stun::PADDING, &[0; LONGEST_PADDING][..length]);
        }
    }

    /// 420 with an empty reason phrase, so that no answer is a gift to a forged source.
    pub(super) fn unknown(&mut self, unknown: &[u16]) {
        let mut types = [0; 2 * LISTED];
        for (value, kind) in types.chunks_exact_mut(2).zip(unknown) {
            value.copy_from_slice(&kind.to_be_bytes());
        }
        self.kind(ERROR);
        self.attribute(stun::ERROR_CODE, &[0, 0, 4, 20]);
        self.attribute(stun::UNKNOWN_ATTRIBUTES, &types[..2 * unknown.len()]);
    }

    /// 400, likewise.
    pub(super) fn bad(&mut self) {
        self.kind(ERROR);
        self.attribute(stun::ERROR_CODE, &[0, 0, 4, 0]);
    }

    /// Ends the message and tells its length.
    pub(super) fn finish(mut self) -> usize {
        if self.fingerprint {
            let at = self.length;
            self.length += FINGERPRINT_LENGTH;
            self.measure();
            let fingerprint = stun::fingerprint_of(&self.out[..at]);
            self.out[at..self.length].copy_from_slice(&fingerprint);
        }
        self.length
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
