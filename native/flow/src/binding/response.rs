//! The answer to a Binding request, within the length that it may have.

use std::net::SocketAddr;

use super::asked::LISTED;
use super::{ANSWER_LIMIT, LONGEST_PADDING};
use crate::response::Response;
use crate::stun::{self, FINGERPRINT_LENGTH};

/// An answer while it is being written.
pub(super) struct BindingResponse<'a> {
    response: Response<'a>,
    /// Up to where optional attributes may reach.
    limit: usize,
    fingerprint: bool,
}

impl<'a> BindingResponse<'a> {
    /// The whole message is not to be longer than `limit`.
    pub(super) fn to(
        request: &[u8],
        limit: usize,
        fingerprint: bool,
        out: &'a mut [u8],
    ) -> Option<Self> {
        let out = out.get_mut(..ANSWER_LIMIT)?;
        let reserved = if fingerprint { FINGERPRINT_LENGTH } else { 0 };
        Some(Self {
            response: Response::to(request, out),
            limit: limit.min(ANSWER_LIMIT) - reserved,
            fingerprint,
        })
    }

    pub(super) fn success(&mut self, client: SocketAddr) {
        let mut value = [0; 20];
        let length = stun::write_xor_address(client, &self.response.mask(), &mut value);
        self.response.success();
        self.response
            .attribute(stun::XOR_MAPPED_ADDRESS, &value[..length]);
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
        if self.response.length() + 4 + value.len() <= self.limit {
            self.response.attribute(kind, value);
        }
    }

    /// PADDING as long as the request's, and not longer than `LONGEST_PADDING`: what comes back is
    /// no more than what was sent.
    pub(super) fn padding(&mut self, asked: Option<usize>) {
        if let Some(length) = asked {
            let length = length.next_multiple_of(4).min(LONGEST_PADDING);
            let value = &[0; LONGEST_PADDING][..length];
            self.response.attribute(stun::PADDING, value);
        }
    }

    /// 420, with the types that are not understood.
    pub(super) fn unknown(&mut self, unknown: &[u16]) {
        let mut types = [0; 2 * LISTED];
        for (value, kind) in types.chunks_exact_mut(2).zip(unknown) {
            value.copy_from_slice(&kind.to_be_bytes());
        }
        self.response.error(420);
        self.response
            .attribute(stun::UNKNOWN_ATTRIBUTES, &types[..2 * unknown.len()]);
    }

    pub(super) fn bad(&mut self) {
        self.response.error(400);
    }

    /// Ends the message and tells its length.
    pub(super) fn finish(self) -> usize {
        self.response.finish(self.fingerprint)
    }
}
