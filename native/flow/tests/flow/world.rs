//! A small world: two clients of one server behind a NAT, and packets between them and a peer.

use std::net::{IpAddr, SocketAddr};

use ferryman_flow::{
    Applied, Change, Discovery, FiveTuple, FromClient, FromPeer, Reason, Slot, Table, Transport,
};

pub(crate) const NOW: u64 = 1_000_000_000_000;
pub(crate) const LATER: u64 = NOW + 600_000_000_000;
pub(crate) const ALICE: u64 = 1;
pub(crate) const BOB: u64 = 2;
pub(crate) const CAROL: u64 = 3;
pub(crate) const PEER: &str = "198.51.100.7:7000";
/// The server's address outside and inside.
pub(crate) const OWN: &str = "203.0.113.1";
pub(crate) const INSIDE: &str = "10.0.0.5";

pub(crate) const SEND: u16 = 0x0016;
pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(crate) const DATA: u16 = 0x0013;

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn client(transport: Transport, port: u16) -> FiveTuple {
    FiveTuple {
        transport,
        client: SocketAddr::new(ip("192.0.2.200"), port),
        server: address("203.0.113.1:3478"),
        socket: 1,
    }
}

/// Discovery on the server's address and one more.
pub(crate) fn discovery() -> Discovery {
    Discovery {
        bound: [ip(OWN), ip("203.0.113.2")],
        advertised: [ip(OWN), ip("203.0.113.2")],
        ports: [3478, 3479],
    }
}

/// A UDP client at this address, of the server's port 3478.
pub(crate) fn from(text: &str) -> FiveTuple {
    let client = address(text);
    let server = if client.is_ipv4() { OWN } else { "2001:db8::1" };
    FiveTuple {
        transport: Transport::Udp,
        client,
        server: SocketAddr::new(ip(server), 3478),
        socket: 1,
    }
}

/// Alice relays over IPv4 and speaks UDP, Bob over IPv4 and TCP, Carol over IPv6 and UDP.
pub(crate) struct World {
    pub(crate) table: Table,
    pub(crate) alice: Slot,
    pub(crate) bob: Slot,
    pub(crate) carol: Slot,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut table = Table::new();
        let inside = |port| SocketAddr::new(ip(INSIDE), port);
        let outside = |port| SocketAddr::new(ip(OWN), port);
        let carol = address("[2001:db8::1]:50003");
        Self {
            alice: open(&mut table, ALICE, alice(), inside(50001), outside(50001)),
            bob: open(&mut table, BOB, bob(), inside(50002), outside(50002)),
            carol: open(&mut table, CAROL, client(Transport::Udp, 3), carol, carol),
            table,
        }
    }

    pub(crate) fn permit(&mut self, allocation: u64, peer_ip: &str, relayed_only: bool) {
        let peer_ip = ip(peer_ip);
        let change = Change::Permit {
            allocation,
            peer_ip,
            relayed_only,
            expires_at: LATER,
        };
        assert_eq!(self.table.apply(change), Applied::Done);
    }

    pub(crate) fn bind(&mut self, allocation: u64, number: u16, peer: &str, relayed_only: bool) {
        let peer = address(peer);
        let change = Change::BindChannel {
            allocation,
            number,
            peer,
            relayed_only,
            expires_at: LATER,
        };
        assert_eq!(self.table.apply(change), Applied::Done);
    }

    /// What becomes of a packet from Alice.
    pub(crate) fn says(&mut self, packet: &[u8]) -> FromClient {
        self.table.from_client(&alice(), packet, NOW)
    }

    /// What becomes of five bytes that come to Alice's relay socket.
    pub(crate) fn hears(&mut self, peer: &str) -> FromPeer {
        self.table.from_peer(self.alice, address(peer), 5, NOW)
    }

    /// The verdict by which a packet from Alice leaves.
    pub(crate) fn to_peer(&self, peer: &str, payload: std::ops::Range<usize>) -> FromClient {
        FromClient::ToPeer {
            slot: self.alice,
            peer: address(peer),
            payload,
            dont_fragment: false,
        }
    }
}

pub(crate) fn alice() -> FiveTuple {
    client(Transport::Udp, 1)
}

pub(crate) fn bob() -> FiveTuple {
    client(Transport::Tcp, 2)
}

pub(crate) fn open(
    table: &mut Table,
    allocation: u64,
    five_tuple: FiveTuple,
    bound: SocketAddr,
    advertised: SocketAddr,
) -> Slot {
    open_within(table, allocation, five_tuple, bound, advertised, 0)
}

/// Opens an allocation that may carry so many bytes per second in each direction.
pub(crate) fn open_within(
    table: &mut Table,
    allocation: u64,
    five_tuple: FiveTuple,
    bound: SocketAddr,
    advertised: SocketAddr,
    bytes_per_second: u64,
) -> Slot {
    let expires_at = LATER;
    let open = Change::Open {
        allocation,
        five_tuple,
        bound,
        advertised,
        expires_at,
        bytes_per_second,
    };
    match table.apply(open) {
        Applied::Opened(slot) => slot,
        other => panic!("not opened: {other:?}"),
    }
}

pub(crate) fn dropped(reason: Reason) -> FromClient {
    FromClient::Drop(reason)
}

/// A STUN message with this type and these attributes, padded with 0xFF.
pub(crate) fn stun(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0xFF);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((body.len() as u16).to_be_bytes());
    message.extend([
        0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
    message.extend(body);
    message
}

/// The value of an XOR'd address in a message made by `stun`.
pub(crate) fn xored(text: &str) -> Vec<u8> {
    let address = address(text);
    let mask = [
        0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let (family, octets) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend((address.port() ^ 0x2112).to_be_bytes());
    value.extend(octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
    value
}

pub(crate) fn send(peer: &str, payload: &[u8]) -> Vec<u8> {
    stun(SEND, &[(XOR_PEER_ADDRESS, &xored(peer)), (DATA, payload)])
}

pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend((payload.len() as u16).to_be_bytes());
    message.extend(payload);
    message
}

/// Alice may send to the peer, and has channel 0x4000 for it.
pub(crate) fn permitted() -> World {
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    world.bind(ALICE, 0x4000, PEER, false);
    world
}

/// A packet with one byte changed.
pub(crate) fn altered(mut packet: Vec<u8>, at: usize, octet: u8) -> Vec<u8> {
    packet[at] = octet;
    packet
}
