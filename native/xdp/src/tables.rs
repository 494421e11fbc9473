//! Rows of the kernel program's tables, laid out as in `program/tables.h`.

use std::net::{IpAddr, SocketAddr};

use aya::Pod;
use ferryman_flow::ChannelFlow;

const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;
const PROTOCOL_UDP: u8 = 17;

/// What a packet is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub(crate) struct Key {
    remote_ip: [u8; 16],
    local_ip: [u8; 16],
    remote_port: [u8; 2],
    local_port: [u8; 2],
    channel: [u8; 2],
    family: u16,
}

// SAFETY: integers and arrays of them without padding.
unsafe impl Pod for Key {}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Flow {
    expires_at: u64,
    from_ip: [u8; 16],
    to_ip: [u8; 16],
    from_port: [u8; 2],
    to_port: [u8; 2],
    channel: [u8; 2],
    family: u16,
    sum: u32,
    partial: u32,
    track: u32,
    number: u32,
}

// SAFETY: integers and arrays of them without padding.
unsafe impl Pod for Flow {}

/// What one processor knows of a flow: what it has carried, and where the last packet went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Track {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    known_until: u64,
    number: u32,
    interface: u32,
    longest: u32,
    to: [u8; 6],
    from: [u8; 6],
}

// SAFETY: integers and arrays of them without padding.
unsafe impl Pod for Track {}

/// Where the kernel keeps track of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of what goes to the peer; the next one is of what goes to the client.
    pub(crate) track: u32,
    /// No other channel has been there with this number lately.
    pub(crate) number: u32,
}

/// The rows of a channel from the client to the peer.
pub(crate) fn to_peer(channel: &ChannelFlow, place: Place) -> (Key, Flow) {
    let came = (channel.client, channel.server);
    let leaves = (channel.relayed, channel.peer);
    (
        key(came, channel.number),
        flow(came, leaves, channel.number, 0, channel.sent_until, place),
    )
}

/// The rows of a channel from the peer to the client.
pub(crate) fn to_client(channel: &ChannelFlow, place: Place) -> (Key, Flow) {
    let place = Place {
        track: place.track + 1,
        ..place
    };
    let came = (channel.peer, channel.relayed);
    let leaves = (channel.server, channel.client);
    let number = channel.number;
    (
        key(came, 0),
        flow(came, leaves, 0, number, channel.received_until, place),
    )
}

fn key((remote, local): (SocketAddr, SocketAddr), channel: u16) -> Key {
    Key {
        remote_ip: ip(remote),
        local_ip: ip(local),
        remote_port: remote.port().to_be_bytes(),
        local_port: local.port().to_be_bytes(),
        channel: channel.to_be_bytes(),
        family: family(remote),
    }
}

fn flow(
    came: (SocketAddr, SocketAddr),
    (from, to): (SocketAddr, SocketAddr),
    taken_away: u16,
    put_in_front: u16,
    expires_at: u64,
    place: Place,
) -> Flow {
    let sum = sum_of(from)
        + sum_of(to)
        + word(put_in_front.to_be_bytes())
        + without(sum_of(came.0) + sum_of(came.1) + word(taken_away.to_be_bytes()));
    Flow {
        expires_at,
        from_ip: ip(from),
        to_ip: ip(to),
        from_port: from.port().to_be_bytes(),
        to_port: to.port().to_be_bytes(),
        channel: put_in_front.to_be_bytes(),
        family: family(from),
        sum: fold(sum),
        partial: fold(ip_sum(came.0) + ip_sum(came.1) + word([0, PROTOCOL_UDP])),
        track: place.track,
        number: place.number,
    }
}

fn family(address: SocketAddr) -> u16 {
    if address.is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    }
}

fn ip(address: SocketAddr) -> [u8; 16] {
    let mut octets = [0; 16];
    match address.ip() {
        IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets = ip.octets(),
    }
    octets
}

/// What an address and its port add to a checksum (RFC 1071): words as they lie in memory.
fn sum_of(address: SocketAddr) -> u32 {
    ip_sum(address) + word(address.port().to_be_bytes())
}

fn ip_sum(address: SocketAddr) -> u32 {
    let octets = ip(address);
    let words = octets.chunks_exact(2).map(|pair| word([pair[0], pair[1]]));
    words.sum()
}

fn word(octets: [u8; 2]) -> u32 {
    u32::from(u16::from_ne_bytes(octets))
}

/// What takes `sum` away.
fn without(sum: u32) -> u32 {
    u32::from(u16::MAX) - fold(sum)
}

fn fold(mut sum: u32) -> u32 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum
}
