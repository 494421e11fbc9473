//! Writing what stands before and after a payload on its way to the client: ChannelData
//! (RFC 8656 §12.4) or a Data indication (RFC 8656 §11.3).

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use crate::stun;
use crate::{Framing, Reason, Transport};

/// Room for the longest header: a Data indication from an IPv6 peer takes 48 bytes.
pub const HEADROOM: usize = 64;
/// Room for the longest padding.
pub const TAILROOM: usize = 4;

/// Message type of a Data indication: method 0x007, class indication.
const DATA_INDICATION: u16 = stun::DATA_METHOD | 0x0010;
/// The longest attributes part of a STUN message: 16 bits, and a multiple of 4.
const LONGEST_ATTRIBUTES: usize = 0xFFFC;
/// Attribute header and XOR-PEER-ADDRESS value without the IP, and the attribute header of DATA.
const WITHOUT_IP: usize = 4 + 4 + 4;

/// Makes transaction ids for Data indications: unlike each other, but no secret, since nobody
/// answers an indication.
#[derive(Clone, Debug)]
pub struct TransactionIds {
    state: u64,
}

impl TransactionIds {
    /// Starts at a random place.
    pub fn new() -> Self {
        Self {
            state: RandomState::new().hash_one("transaction ids"),
        }
    }

    /// The next one.
    pub fn draw(&mut self) -> [u8; 12] {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.step().to_be_bytes());
        id[8..].copy_from_slice(&self.step().to_be_bytes()[..4]);
        id
    }

    /// One step of SplitMix64.
    fn step(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

impl Default for TransactionIds {
    fn default() -> Self {
        Self::new()
    }
}

/// `TooLong` for a payload whose length the framing's 16 bits cannot tell.
pub(crate) fn fits(framing: Framing, peer: SocketAddr, length: usize) -> Result<(), Reason> {
    let fits = match framing {
        Framing::Channel(_) => length <= usize::from(u16::MAX),
        Framing::Data => attributes_length(peer, length) <= LONGEST_ATTRIBUTES,
    };
    if fits {
        Ok(())
    } else {
        Err(Reason::TooLong)
    }
}

fn attributes_length(peer: SocketAddr, length: usize) -> usize {
    let ip = if peer.is_ipv4() { 4 } else { 16 };
    WITHOUT_IP + ip + length.next_multiple_of(4)
}

/// Writes the header at the end of `headroom` (its last byte lies before the payload's first) and
/// zeros into the beginning of `tailroom`; returns how many bytes of each belong to the message.
///
/// `peer` and `transaction_id` are for Data indications only. ChannelData is padded over TCP and
/// TLS, not over UDP and DTLS (RFC 8656 §12.5), DATA always. `headroom` has at least `HEADROOM` bytes and
/// `tailroom` at least `TAILROOM`; `length` is one that the table let through.
pub fn write_header(
    framing: Framing,
    transport: Transport,
    peer: SocketAddr,
    length: usize,
    transaction_id: [u8; 12],
    headroom: &mut [u8],
    tailroom: &mut [u8],
) -> (usize, usize) {
    let padded = framing == Framing::Data || transport.is_stream();
    let padding = if padded {
        length.next_multiple_of(4) - length
    } else {
        0
    };
    tailroom[..padding].fill(0);
    let header = match framing {
        Framing::Channel(number) => write_channel_data(number, length, headroom),
        Framing::Data => write_indication(peer, length, transaction_id, headroom),
    };
    (header, padding)
}

fn write_channel_data(number: u16, length: usize, headroom: &mut [u8]) -> usize {
    let start = headroom.len() - 4;
    headroom[start..start + 2].copy_from_slice(&number.to_be_bytes());
    headroom[start + 2..].copy_from_slice(&low16(length));
    4
}

fn write_indication(
    peer: SocketAddr,
    length: usize,
    transaction_id: [u8; 12],
    headroom: &mut [u8],
) -> usize {
    let mut header = [0; HEADROOM];
    let end = write_prefix(peer, transaction_id, &mut header);
    header[2..4].copy_from_slice(&low16(attributes_length(peer, length)));
    header[end..end + 2].copy_from_slice(&stun::DATA.to_be_bytes());
    header[end + 2..end + 4].copy_from_slice(&low16(length));
    let start = headroom.len() - (end + 4);
    headroom[start..].copy_from_slice(&header[..end + 4]);
    end + 4
}

/// The header of a Data indication, but for its length, and XOR-PEER-ADDRESS; returns where the next
/// attribute begins.
pub(crate) fn write_prefix(peer: SocketAddr, transaction_id: [u8; 12], header: &mut [u8]) -> usize {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&stun::MAGIC_COOKIE);
    mask[4..].copy_from_slice(&transaction_id);
    header[..2].copy_from_slice(&DATA_INDICATION.to_be_bytes());
    header[4..20].copy_from_slice(&mask);
    let value = stun::write_xor_address(peer, &mask, &mut header[24..]);
    header[20..22].copy_from_slice(&stun::XOR_PEER_ADDRESS.to_be_bytes());
    header[22..24].copy_from_slice(&low16(value));
    24 + value
}

/// The length field of a whole message of `length` bytes.
pub(crate) fn write_length(message: &mut [u8], length: usize) {
    message[2..4].copy_from_slice(&low16(length - stun::HEADER_LENGTH));
}

/// The low 16 bits, in network order; the table lets no longer length through.
fn low16(length: usize) -> [u8; 2] {
    (length as u16).to_be_bytes()
}
