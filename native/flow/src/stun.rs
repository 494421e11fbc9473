//! The STUN header and attributes (RFC 8489 §5, §14) as far as the packet path reads them: no
//! integrity, no values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use crate::Reason;

pub(crate) const HEADER_LENGTH: usize = 20;
pub(crate) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

pub(crate) const BINDING: u16 = 0x001;
pub(crate) const ALLOCATE: u16 = 0x003;
pub(crate) const REFRESH: u16 = 0x004;
pub(crate) const SEND: u16 = 0x006;
pub(crate) const DATA_METHOD: u16 = 0x007;
pub(crate) const CREATE_PERMISSION: u16 = 0x008;
pub(crate) const CHANNEL_BIND: u16 = 0x009;
pub(crate) const CONNECT: u16 = 0x00A;
pub(crate) const CONNECTION_BIND: u16 = 0x00B;

pub(crate) const MAPPED_ADDRESS: u16 = 0x0001;
pub(crate) const CHANGE_REQUEST: u16 = 0x0003;
pub(crate) const USERNAME: u16 = 0x0006;
pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(crate) const ERROR_CODE: u16 = 0x0009;
pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(crate) const DATA: u16 = 0x0013;
pub(crate) const REALM: u16 = 0x0014;
pub(crate) const NONCE: u16 = 0x0015;
pub(crate) const DONT_FRAGMENT: u16 = 0x001A;
pub(crate) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
pub(crate) const PASSWORD_ALGORITHM: u16 = 0x001D;
pub(crate) const USERHASH: u16 = 0x001E;
pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(crate) const SOFTWARE: u16 = 0x8022;
pub(crate) const PADDING: u16 = 0x0026;
pub(crate) const RESPONSE_PORT: u16 = 0x0027;
pub(crate) const PASSWORD_ALGORITHMS: u16 = 0x8002;
pub(crate) const FINGERPRINT: u16 = 0x8028;
pub(crate) const RESPONSE_ORIGIN: u16 = 0x802B;
pub(crate) const OTHER_ADDRESS: u16 = 0x802C;
pub(crate) const THIRD_PARTY_AUTHORIZATION: u16 = 0x802E;

/// Bytes of a FINGERPRINT attribute.
pub(crate) const FINGERPRINT_LENGTH: usize = 8;
const FINGERPRINT_MASK: u32 = 0x5354_554E;

const FIRST_OPTIONAL: u16 = 0x8000;

/// The comprehension-required attributes that the server understands in any message. Not among
/// them: those of RFC 6062, which are not built, and those of RFC 5780,
/// which only a Binding request to some addresses may carry.
const UNDERSTOOD: [u16; 20] = [
    MAPPED_ADDRESS,
    USERNAME,
    MESSAGE_INTEGRITY,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    0x000C, // CHANNEL-NUMBER
    0x000D, // LIFETIME
    XOR_PEER_ADDRESS,
    DATA,
    REALM,
    NONCE,
    0x0016, // XOR-RELAYED-ADDRESS
    0x0017, // REQUESTED-ADDRESS-FAMILY
    0x0018, // EVEN-PORT
    0x0019, // REQUESTED-TRANSPORT
    DONT_FRAGMENT,
    XOR_MAPPED_ADDRESS,
    0x0022, // RESERVATION-TOKEN
    0x0024, // PRIORITY (RFC 8445 §16.1)
    0x0025, // USE-CANDIDATE (RFC 8445 §16.1)
];

/// Those that are passed over in a Binding request besides: it needs no credentials.
const UNDERSTOOD_IN_BINDING: [u16; 3] = [MESSAGE_INTEGRITY_SHA256, PASSWORD_ALGORITHM, USERHASH];

/// Whether an attribute of this type makes a message of this method unacceptable
/// (RFC 8489 §6.3.1, §6.3.2).
pub(crate) fn is_unknown_required(kind: u16, method: u16) -> bool {
    kind < FIRST_OPTIONAL
        && !UNDERSTOOD.contains(&kind)
        && !(method == BINDING && UNDERSTOOD_IN_BINDING.contains(&kind))
}

/// Message class (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Response,
}

/// What the first two bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) class: Class,
    pub(crate) method: u16,
}

/// Reads the header of a packet that has to be one whole STUN message.
pub(crate) fn header_untrusted(packet: &[u8]) -> Result<Header, Reason> {
    let Some(header) = packet.first_chunk::<HEADER_LENGTH>() else {
        return Err(Reason::Malformed);
    };
    if header[0] > 0x3F || header[4..8] != MAGIC_COOKIE {
        return Err(Reason::NotTurn);
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if length % 4 != 0 || length != packet.len() - HEADER_LENGTH {
        return Err(Reason::Malformed);
    }
    Ok(header_of(u16::from_be_bytes([header[0], header[1]])))
}

/// Tells class and method apart: M11-M7 C1 M6-M4 C0 M3-M0 (RFC 8489 §5, figure 3).
fn header_of(kind: u16) -> Header {
    let class = match kind & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        _ => Class::Response,
    };
    let method = (kind & 0x3E00) >> 2 | (kind & 0x00E0) >> 1 | kind & 0x000F;
    Header { class, method }
}

/// The attributes of a message whose header has been read: type and where the value lies.
pub(crate) struct Attributes<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(packet: &'a [u8]) -> Self {
        Self {
            packet,
            at: HEADER_LENGTH,
        }
    }

    /// The next attribute; `Malformed` when its length leads out of the message.
    #[inline]
    pub(crate) fn next_untrusted(&mut self) -> Option<Result<(u16, Range<usize>), Reason>> {
        let header = self.packet.get(self.at..)?.first_chunk::<4>()?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let value =
            self.at + 4..self.at + 4 + usize::from(u16::from_be_bytes([header[2], header[3]]));
        if value.end > self.packet.len() {
            self.at = self.packet.len();
            return Some(Err(Reason::Malformed));
        }
        self.at = value.end.next_multiple_of(4);
        Some(Ok((kind, value)))
    }
}

/// Reads an XOR-PEER-ADDRESS (RFC 8489 §14.2) of a message with this header.
pub(crate) fn peer_untrusted(value: &[u8], packet: &[u8]) -> Result<SocketAddr, Reason> {
    let (Some(&[_, family, p0, p1]), Some(mask)) = (value.first_chunk(), packet.get(4..20)) else {
        return Err(Reason::Malformed);
    };
    let port = u16::from_be_bytes([p0 ^ mask[0], p1 ^ mask[1]]);
    let ip = match (family, &value[4..]) {
        (1, ip) if ip.len() == 4 => IpAddr::V4(Ipv4Addr::from(masked::<4>(ip, mask))),
        (2, ip) if ip.len() == 16 => IpAddr::V6(Ipv6Addr::from(masked::<16>(ip, mask))),
        _ => return Err(Reason::Malformed),
    };
    Ok(SocketAddr::new(ip, port))
}

/// Writes the value of an XOR'd address into `out` and returns its length, 8 or 20. `mask` is the
/// magic cookie and the transaction id.
pub(crate) fn write_xor_address(address: SocketAddr, mask: &[u8; 16], out: &mut [u8]) -> usize {
    let port = address.port().to_be_bytes();
    out[..4].copy_from_slice(&[0, 0, port[0] ^ mask[0], port[1] ^ mask[1]]);
    match address.ip() {
        IpAddr::V4(ip) => {
            out[1] = 1;
            out[4..8].copy_from_slice(&masked::<4>(&ip.octets(), mask));
            8
        }
        IpAddr::V6(ip) => {
            out[1] = 2;
            out[4..20].copy_from_slice(&masked::<16>(&ip.octets(), mask));
            20
        }
    }
}

/// The FINGERPRINT attribute for a message of which this is all before it, with the length in the
/// header already counting it (RFC 8489 §14.7).
pub(crate) fn fingerprint_of(before: &[u8]) -> [u8; FINGERPRINT_LENGTH] {
    let [c0, c1, c2, c3] = (crc32fast::hash(before) ^ FINGERPRINT_MASK).to_be_bytes();
    let [t0, t1] = FINGERPRINT.to_be_bytes();
    [t0, t1, 0, 4, c0, c1, c2, c3]
}

/// Whether the FINGERPRINT whose value starts at `at` ends the message and is right
/// (RFC 8489 §14.7).
pub(crate) fn is_fingerprint_right(message: &[u8], at: usize) -> bool {
    let before = &message[..at - 4];
    message[at - 4..] == fingerprint_of(before)
}

fn masked<const N: usize>(octets: &[u8], mask: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| octets[i] ^ mask[i])
}
