//! What of a request's credentials can be judged without a key (RFC 8489 §9.2.4): which are there.

use crate::stun::{self, Attributes};
use crate::Reason;

/// What a request shows.
#[derive(Default)]
pub(super) struct Shown<'a> {
    /// It claims to be proved, by either kind of integrity.
    pub(super) integrity: bool,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) realm: bool,
    /// USERNAME or USERHASH is there.
    pub(super) user: bool,
    /// PASSWORD-ALGORITHM or PASSWORD-ALGORITHMS is there.
    pub(super) algorithms: bool,
    pub(super) fingerprint: bool,
}

impl<'a> Shown<'a> {
    /// Reads a message whose header has been read. Behind an integrity attribute only the stronger
    /// one counts, and FINGERPRINT (RFC 8489 §14.5, §14.6). `Malformed` when there is to be no
    /// answer.
    pub(super) fn read_untrusted(request: &'a [u8]) -> Result<Self, Reason> {
        let mut shown = Self::default();
        let mut attributes = Attributes::of(request);
        while let Some(attribute) = attributes.next_untrusted() {
            let (kind, value) = attribute?;
            match kind {
                stun::FINGERPRINT if !stun::is_fingerprint_right(request, value.start) => {
                    return Err(Reason::Malformed);
                }
                stun::FINGERPRINT => shown.fingerprint = true,
                stun::MESSAGE_INTEGRITY | stun::MESSAGE_INTEGRITY_SHA256 => shown.integrity = true,
                _ if shown.integrity => {}
                stun::NONCE => shown.nonce = shown.nonce.or(Some(&request[value])),
                stun::REALM => shown.realm = true,
                stun::USERNAME | stun::USERHASH => shown.user = true,
                stun::PASSWORD_ALGORITHM | stun::PASSWORD_ALGORITHMS => shown.algorithms = true,
                _ => {}
            }
        }
        Ok(shown)
    }
}
