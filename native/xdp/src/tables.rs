//! Rows of the kernel program's tables, laid out as in `program/tables.h`.

use std::net::{IpAddr, SocketAddr};

use aya::Pod;
use ferryman_flow::ChannelFlow;

const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;

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
    row: u32,
}

// SAFETY: integers and arrays of them without padding.
unsafe impl Pod for Flow {}

/// What went through a flow on one processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

// SAFETY: integers without padding.
unsafe impl Pod for Count {}

/// The rows of a channel from the client to the peer.
pub(crate) fn to_peer(channel: &ChannelFlow, row: u32) -> (Key, Flow) {
    let came = (channel.client, channel.server);
    let leaves = (channel.relayed, channel.peer);
    (
        key(came, channel.number),
        flow(came, leaves, channel.number, 0, channel.sent_until, row),
    )
}

/// The rows of a channel from the peer to the client.
pub(crate) fn to_client(channel: &ChannelFlow, row: u32) -> (Key, Flow) {
    let came = (channel.peer, channel.relayed);
    let leaves = (channel.server, channel.client);
    let number = channel.number;
    (
        key(came, 0),
        flow(came, leaves, 0, number, channel.received_until, row),
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
    row: u32,
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
        row,
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
    let octets = ip(address);
    let words = octets.chunks_exact(2).map(|pair| word([pair[0], pair[1]]));
    words.sum::<u32>() + word(address.port().to_be_bytes())
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
