//! ICMP errors about packets that an allocation sent (RFC 8656 §11.5), and the Data indication that
//! tells its client (§18.13).

use std::net::SocketAddr;

use crate::header::{self, write_prefix};
use crate::{Family, Reason};

/// How many errors an allocation's client is told of in a second; more are dropped. They come from
/// the network, whoever may write there.
const A_SECOND: u32 = 10;
const SECOND: u64 = 1_000_000_000;

const ATTRIBUTE: u16 = 0x8004;
const VALUE: usize = 8;

/// An ICMP error: type and code as its family numbers them. `mtu`: what it says of the next link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The MTU of the next hop where type and code tell one; anything elsewhere.
    pub mtu: u32,
}

impl Icmp {
    /// `Unexpected` for types that no client is told of (RFC 8656 §11.5).
    pub(crate) fn check(self, family: Family) -> Result<(), Reason> {
        match (family, self.kind) {
            (Family::V4, 3 | 11) | (Family::V6, 1..=3) => Ok(()),
            _ => Err(Reason::Unexpected),
        }
    }

    /// Reserved, type (7 bits), code (9 bits), error data: as RFC 8656 §18.13 draws it.
    fn value(self, family: Family) -> [u8; VALUE] {
        let tells_mtu = match family {
            Family::V4 => (self.kind, self.code) == (3, 4),
            Family::V6 => self.kind == 2,
        };
        let mut value = [0; VALUE];
        let both = u16::from(self.kind & 0x7F) << 9 | u16::from(self.code);
        value[2..4].copy_from_slice(&both.to_be_bytes());
        if tells_mtu {
            value[4..].copy_from_slice(&self.mtu.to_be_bytes());
        }
        value
    }
}

/// Room for the indication: 20 of header, 24 of an IPv6 peer, 12 of ICMP.
pub const ICMP_LENGTH: usize = 56;

/// Writes the Data indication about a packet to `peer`; returns its length.
pub fn write_icmp(
    peer: SocketAddr,
    icmp: Icmp,
    transaction_id: [u8; 12],
    out: &mut [u8; ICMP_LENGTH],
) -> usize {
    let end = write_prefix(peer, transaction_id, out);
    out[end..end + 2].copy_from_slice(&ATTRIBUTE.to_be_bytes());
    out[end + 2..end + 4].copy_from_slice(&(VALUE as u16).to_be_bytes());
    out[end + 4..end + 4 + VALUE].copy_from_slice(&icmp.value(Family::of(peer.ip())));
    let length = end + 4 + VALUE;
    header::write_length(out, length);
    length
}

/// How many errors were told of lately.
#[derive(Debug, Default)]
pub(crate) struct Told {
    since: u64,
    count: u32,
}

impl Told {
    /// Counts one more, or refuses it.
    pub(crate) fn one_more(&mut self, now: u64) -> Result<(), Reason> {
        if now >= self.since.saturating_add(SECOND) {
            *self = Self {
                since: now,
                count: 0,
            };
        }
        if self.count == A_SECOND {
            return Err(Reason::TooManyErrors);
        }
        self.count += 1;
        Ok(())
    }
}
