//! Answers to Binding requests (RFC 8489 §6.3.1) with those of NAT behaviour discovery
//! (RFC 5780 §6.1), which need no table and no engine.
//!
//! Credentials are not looked at: a Binding request that is answered here is answered for anyone. So no answer to a
//! datagram is more than 4 times as long as its request: a forged source address gains little.

mod asked;
mod classic;
mod response;

use std::net::SocketAddr;

use crate::discovery::{Corner, Discovery};
use crate::stun::{self, Class};
use crate::{Family, FiveTuple, Transport};
use asked::Asked;
pub use classic::answer_classic;
use response::BindingResponse;

/// Room for the longest answer, in bytes.
pub const ANSWER_LIMIT: usize = 1664;

/// The longest PADDING of an answer: an Ethernet's MTU, so that it comes in fragments.
const LONGEST_PADDING: usize = 1500;

/// What SOFTWARE holds (RFC 8489 §14.14), here and in the engine.
const SOFTWARE: &[u8] = b"Ferryman";

/// Whose Binding requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Served {
    /// Everybody's, here.
    #[default]
    Everyone,
    /// Those of clients who prove themselves, by the engine.
    Proved,
    /// Nobody's.
    Nobody,
}

/// What an operator chose about the answers.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether every answer carries FINGERPRINT.
    pub fingerprint: bool,
    /// Whether every success carries MAPPED-ADDRESS beside XOR-MAPPED-ADDRESS.
    pub mapped_address: bool,
    /// Whether every success carries SOFTWARE.
    pub software: bool,
    /// Whose requests are answered.
    pub served: Served,
    /// Whether those of RFC 3489 are, over UDP, where everybody's are.
    pub rfc3489: bool,
    /// The addresses of NAT behaviour discovery, one of each family at most.
    pub discovery: Vec<Discovery>,
}

impl Settings {
    /// Where clients can discover; replaces what was said of the same family.
    pub fn offer(&mut self, discovery: Discovery) {
        self.withdraw(Family::of(discovery.bound[0]));
        self.discovery.push(discovery);
    }

    /// Clients can discover on no address of this family any more.
    pub fn withdraw(&mut self, family: Family) {
        self.discovery
            .retain(|known| Family::of(known.bound[0]) != family);
    }

    fn corner(&self, server: SocketAddr) -> Option<(&Discovery, Corner)> {
        let mut known = self.discovery.iter();
        known.find_map(|discovery| Some((discovery, discovery.corner(server)?)))
    }
}

/// An answer that has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How long it is, in bytes.
    pub length: usize,
    /// The server's (bound) address that it leaves from.
    pub from: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
}

/// Writes the answer to a Binding request into `out`; `None`: send nothing (malformed, a wrong
/// FINGERPRINT, no Binding request). FINGERPRINT is added when the settings or the request have
/// it. `out` has to hold `ANSWER_LIMIT`.
pub fn answer(
    request: &[u8],
    five_tuple: &FiveTuple,
    settings: &Settings,
    out: &mut [u8],
) -> Option<Answer> {
    let header = stun::header_untrusted(request).ok()?;
    if header.class != Class::Request || header.method != stun::BINDING {
        return None;
    }
    let corner = settings.corner(five_tuple.server);
    // A stream is bound to its two ends: what asks for another way back is not understood there.
    let is_datagram = five_tuple.transport == Transport::Udp;
    let asked = Asked::read_untrusted(request, corner.is_some() && is_datagram)?;
    let limit = if is_datagram {
        4 * request.len()
    } else {
        ANSWER_LIMIT
    };
    let fingerprint = settings.fingerprint || asked.fingerprint;
    let mut response = BindingResponse::to(request, limit, fingerprint, out)?;
    let (mut from, mut to) = (five_tuple.server, five_tuple.client);
    if !asked.unknown().is_empty() {
        response.unknown(asked.unknown());
    } else if asked.is_bad {
        response.bad();
    } else {
        response.success(five_tuple.client);
        if let Some((discovery, corner)) = corner {
            let origin = corner.changed(asked.change_ip, asked.change_port);
            let other = corner.changed(true, true);
            response.optional(stun::OTHER_ADDRESS, discovery.advertised(other));
            response.padding(asked.padding);
            response.optional(stun::RESPONSE_ORIGIN, discovery.advertised(origin));
            from = discovery.bound(origin);
        }
        if corner.is_some() || settings.mapped_address {
            response.optional(stun::MAPPED_ADDRESS, five_tuple.client);
        }
        if settings.software {
            response.optional_octets(stun::SOFTWARE, SOFTWARE);
        }
        to.set_port(asked.response_port.unwrap_or(to.port()));
    }
    let length = response.finish();
    Some(Answer { length, from, to })
}
