//! Writes the requests that a TURN client sends and reads the answers (RFC 8489 §5, RFC 8656
//! §18); IPv4 only, trusts no length, and checks no MESSAGE-INTEGRITY of the server's.

use std::net::{Ipv4Addr, SocketAddrV4};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

pub(crate) const BINDING: u16 = 0x0001;
pub(crate) const ALLOCATE: u16 = 0x0003;
pub(crate) const REFRESH: u16 = 0x0004;
pub(crate) const CREATE_PERMISSION: u16 = 0x0008;
pub(crate) const CHANNEL_BIND: u16 = 0x0009;
pub(crate) const SEND_INDICATION: u16 = 0x0016;
pub(crate) const DATA_INDICATION: u16 = 0x0017;
const SUCCESS: u16 = 0x0100;
const CLASS: u16 = 0x0110;

pub(crate) const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
pub(crate) const CHANNEL_NUMBER: u16 = 0x000C;
pub(crate) const LIFETIME: u16 = 0x000D;
pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(crate) const DATA: u16 = 0x0013;
pub(crate) const REALM: u16 = 0x0014;
pub(crate) const NONCE: u16 = 0x0015;
pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;

/// Bytes of a STUN header.
pub(crate) const HEADER: usize = 20;
/// Where the transaction id starts.
pub(crate) const TRANSACTION: usize = 8;
const COOKIE: u32 = 0x2112_A442;

/// A STUN message being written.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Writer(bytes)
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.write_length(0);
        self.0
    }

    /// Adds MESSAGE-INTEGRITY, RFC 8489 §14.5.
    pub(crate) fn signed(mut self, key: &[u8; 16]) -> Vec<u8> {
        self.write_length(24);
        let mut code = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key");
        code.update(&self.0);
        let code = code.finalize().into_bytes();
        self.attribute(MESSAGE_INTEGRITY, &code).finish()
    }

    fn write_length(&mut self, to_come: usize) {
        let length = (self.0.len() - HEADER + to_come) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

/// A STUN message as received.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// `None` when the packet is no STUN message of exactly this length.
    pub(crate) fn read_untrusted(packet: &'a [u8]) -> Option<Self> {
        let header = packet.get(..HEADER)?;
        let length = u16::from_be_bytes([header[2], header[3]]) as usize;
        let whole = header[0] < 0x40 && packet.len() == HEADER + length;
        (whole && header[4..8] == COOKIE.to_be_bytes()).then_some(Reader(packet))
    }

    pub(crate) fn kind(self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    pub(crate) fn transaction(self) -> &'a [u8] {
        &self.0[TRANSACTION..HEADER]
    }

    /// Whether this is a success response to `method`.
    pub(crate) fn grants(self, method: u16) -> bool {
        self.kind() == method | SUCCESS
    }

    /// Whether this is a response, of either class, to `method`.
    pub(crate) fn answers(self, method: u16) -> bool {
        self.kind() & !CLASS == method && self.kind() & SUCCESS != 0
    }

    /// Where the first attribute of this kind has its value.
    pub(crate) fn position(self, kind: u16) -> Option<std::ops::Range<usize>> {
        let mut at = HEADER;
        while let Some(head) = self.0.get(at..at + 4) {
            let length = u16::from_be_bytes([head[2], head[3]]) as usize;
            let value = at + 4..at + 4 + length;
            if head[..2] == kind.to_be_bytes() {
                return (value.end <= self.0.len()).then_some(value);
            }
            at = value.end.next_multiple_of(4);
        }
        None
    }

    pub(crate) fn attribute(self, kind: u16) -> Option<&'a [u8]> {
        self.position(kind).map(|range| &self.0[range])
    }

    /// The code of ERROR-CODE, 0 when there is none.
    pub(crate) fn error_code(self) -> u16 {
        match self.attribute(ERROR_CODE) {
            Some([_, _, class, number, ..]) => u16::from(class & 7) * 100 + u16::from(*number),
            _ => 0,
        }
    }
}

/// The value of an XOR address attribute, RFC 8489 §14.2.
pub(crate) fn xor_address(address: SocketAddrV4) -> [u8; 8] {
    let port = (address.port() ^ (COOKIE >> 16) as u16).to_be_bytes();
    let ip = (u32::from(*address.ip()) ^ COOKIE).to_be_bytes();
    [0, 1, port[0], port[1], ip[0], ip[1], ip[2], ip[3]]
}

/// The IPv4 address in an XOR address attribute.
pub(crate) fn read_xor_address_untrusted(value: &[u8]) -> Option<SocketAddrV4> {
    let &[_, 1, p0, p1, a, b, c, d] = value else {
        return None;
    };
    let port = u16::from_be_bytes([p0, p1]) ^ (COOKIE >> 16) as u16;
    let ip = Ipv4Addr::from(u32::from_be_bytes([a, b, c, d]) ^ COOKIE);
    Some(SocketAddrV4::new(ip, port))
}

/// The long-term key, RFC 8489 §9.2.2.
pub(crate) fn long_term_key(user: &str, realm: &str, password: &str) -> [u8; 16] {
    Md5::digest(format!("{user}:{realm}:{password}")).into()
}
