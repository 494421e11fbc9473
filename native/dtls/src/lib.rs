//! DTLS without sockets and without threads of its own (RFC 6347, RFC 9147, RFC 7350): datagrams in,
//! datagrams and messages out. DTLS 1.2 is OpenSSL's, DTLS 1.3 is NSS's, as both are installed on the
//! machine; the first ClientHello decides which it is.
//!
//! `Gate` answers the first ClientHello of a stranger and keeps nothing of it; who comes back with
//! its cookie gets an `Association`. Does not know: addresses (they are bytes here), STUN, time
//! beyond the libraries' own retransmission timers.

mod allowance;
mod association;
mod endpoint;
mod gate;
mod hello;
mod loading;
mod mailbox;
mod nss;
mod openssl;

pub use association::{Association, Heard};
pub use endpoint::{Credentials, Endpoint};
pub use gate::{Gate, Knock, Refused};
pub use hello::has_encrypted;
pub use loading::Trouble;

/// No handshake datagram of DTLS 1.2 is longer, so that none is fragmented on its way (in bytes,
/// without IP and UDP headers). NSS begins with 1,472 and learns.
pub const LONGEST_FLIGHT: usize = 1200;
/// The longest message that one record can carry, in bytes (RFC 6347 §4.1.1).
pub const LONGEST_MESSAGE: usize = 1 << 14;

/// Whether a datagram that begins with this byte is a DTLS record (RFC 7983 §7).
pub fn is_record(first: u8) -> bool {
    (20..=63).contains(&first)
}
