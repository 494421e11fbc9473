//! Frames as they lie on the wire, made without any of the program's arithmetic.

use std::net::{IpAddr, SocketAddr};

pub(crate) const TTL: u8 = 64;

/// A UDP packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) to_mac: [u8; 6],
    pub(crate) from_mac: [u8; 6],
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) checksum: Checksum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Whole,
    /// 0, as RFC 768 has it.
    Absent,
    /// The pseudo-header's half of it, for a network card to complete.
    Partial,
}

impl Frame {
    /// The octets, filled up to the shortest frame.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut frame = self.bare_octets();
        frame.resize(frame.len().max(60), 0);
        frame
    }

    /// The octets that there is something in.
    pub(crate) fn bare_octets(&self) -> Vec<u8> {
        let mut frame = [self.to_mac, self.from_mac].concat();
        let udp = self.udp();
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut ip = vec![0x45, 0];
                ip.extend((20 + udp.len() as u16).to_be_bytes());
                ip.extend(self.id.to_be_bytes());
                ip.extend([0, 0, self.ttl, 17, 0, 0]);
                ip.extend(from.octets());
                ip.extend(to.octets());
                let checksum = !sum(&ip);
                ip[10..12].copy_from_slice(&checksum.to_be_bytes());
                frame.extend([0x08, 0x00]);
                frame.extend(ip);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
                frame.extend((udp.len() as u16).to_be_bytes());
                frame.extend([17, self.ttl]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            _ => panic!("a packet has one family"),
        }
        frame.extend(udp);
        frame
    }

    fn udp(&self) -> Vec<u8> {
        let mut udp = Vec::new();
        udp.extend(self.from.port().to_be_bytes());
        udp.extend(self.to.port().to_be_bytes());
        udp.extend((8 + self.body.len() as u16).to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.body);
        let mut covered = [octets(self.from.ip()), octets(self.to.ip())].concat();
        covered.extend((udp.len() as u32).to_be_bytes());
        covered.extend([0, 0, 0, 17]);
        let partial = sum(&covered);
        covered.extend(&udp);
        let checksum = match (self.checksum, !sum(&covered)) {
            (Checksum::Absent, _) => 0,
            (Checksum::Partial, _) => partial,
            (Checksum::Whole, 0) => 0xFFFF,
            (Checksum::Whole, checksum) => checksum,
        };
        udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        udp
    }

    /// Where the IP header begins that is not of this family's length: of the UDP header.
    pub(crate) fn udp_at(&self) -> usize {
        if self.from.is_ipv4() {
            34
        } else {
            54
        }
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The sum of RFC 1071, not complemented.
fn sum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// ChannelData (RFC 8656 §12.4).
pub(crate) fn channel_data(number: u16, payload: &[u8], padding: &[u8]) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend((payload.len() as u16).to_be_bytes());
    message.extend(payload);
    message.extend(padding);
    message
}
