//! The 5-tuple that names an allocation (RFC 8656 §3.2).

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use crate::endpoint::ip_number;

/// Transport between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One packet is one message.
    Udp,
    /// A stream of messages, told apart by their lengths.
    Tcp,
    /// The same, encrypted.
    Tls,
    /// One record is one message.
    Dtls,
}

impl Transport {
    /// Whether it carries a stream, in which messages are told apart by their lengths.
    #[inline]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// The number of the IP protocol, and 0x100 where it is encrypted.
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Tls => 0x106,
            Self::Dtls => 0x111,
        }
    }

    /// The transport of a number.
    pub fn of(number: u16) -> Option<Self> {
        let mut all = [Self::Udp, Self::Tcp, Self::Tls, Self::Dtls].into_iter();
        all.find(|transport| transport.number() == number)
    }
}

/// Client and server transport address and the transport between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveTuple {
    /// Transport between client and server.
    pub transport: Transport,
    /// Where the client's packets come from.
    pub client: SocketAddr,
    /// Where the client's packets were sent to.
    pub server: SocketAddr,
    /// The listener (UDP) or the connection (all others); a connection's number is never used
    /// again.
    pub socket: u64,
}

impl FiveTuple {
    /// Whether DONT-FRAGMENT in a Send indication to this peer is heeded. Where one side of a
    /// datagram relay is IPv6 it is ignored (RFC 8656 §13, §14); a stream has no fragments to copy
    /// anything from, and there it always counts (§15).
    pub(crate) fn heeds_dont_fragment(&self, peer: SocketAddr) -> bool {
        self.transport.is_stream() || (self.client.is_ipv4() && peer.is_ipv4())
    }
}

/// By hand, in few words, because every packet from a client is looked up by it.
impl Hash for FiveTuple {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.client.port()) << 16 | u64::from(self.server.port());
        let transport = (self.transport as u64) << 32;
        state.write_u128(ip_number(self.client.ip()));
        state.write_u128(ip_number(self.server.ip()));
        state.write_u128(u128::from(self.socket) << 64 | u128::from(ports | transport));
    }
}
