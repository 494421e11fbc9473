//! Reading a Send indication (RFC 8656 §11.2): to whom, and what.

use std::net::SocketAddr;
use std::ops::Range;

use crate::stun::{self, Attributes};
use crate::Reason;

/// What a Send indication asks for. Nothing about it has been permitted yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SendIndication {
    pub(crate) peer: SocketAddr,
    pub(crate) payload: Range<usize>,
    pub(crate) dont_fragment: bool,
}

/// Reads a whole message whose header has been read. The first XOR-PEER-ADDRESS and the first
/// DATA count; what follows MESSAGE-INTEGRITY is ignored (RFC 8489 §14.5). FINGERPRINT is not
/// verified: that would cost more than all the rest.
pub(crate) fn read_untrusted(packet: &[u8]) -> Result<SendIndication, Reason> {
    let (mut peer, mut payload, mut dont_fragment, mut sealed) = (None, None, false, false);
    let mut attributes = Attributes::of(packet);
    while let Some(attribute) = attributes.next_untrusted() {
        let (kind, value) = attribute?;
        match kind {
            // RFC 8489 §14.5 lets this one count even there, and it is not understood here.
            stun::MESSAGE_INTEGRITY_SHA256 => return Err(Reason::UnknownAttribute),
            _ if sealed => {}
            stun::DATA => payload = payload.or(Some(value)),
            stun::XOR_PEER_ADDRESS => peer = peer.or(Some(value)),
            stun::DONT_FRAGMENT => dont_fragment = true,
            stun::MESSAGE_INTEGRITY => sealed = true,
            _ if stun::is_unknown_required(kind, stun::SEND) => {
                return Err(Reason::UnknownAttribute)
            }
            _ => {}
        }
    }
    let (Some(peer), Some(payload)) = (peer, payload) else {
        return Err(Reason::MissingAttribute);
    };
    let peer = stun::peer_untrusted(&packet[peer], packet)?;
    Ok(SendIndication {
        peer,
        payload,
        dont_fragment,
    })
}
