//! ICMP errors about what a relay socket sent, on loopback sockets (RFC 8656 §11.5).
#![allow(clippy::unwrap_used)]

mod rig;

use std::net::{SocketAddr, UdpSocket};

use rig::*;

const CHANNEL: u16 = 0x4000;
const ICMP_PORT_UNREACHABLE: [u8; 12] = [0x80, 0x04, 0, 8, 0, 0, 0x06, 0x03, 0, 0, 0, 0];
const ICMPV6_PORT_UNREACHABLE: [u8; 12] = [0x80, 0x04, 0, 8, 0, 0, 0x02, 0x04, 0, 0, 0, 0];

/// An address on which nobody listens.
fn closed(ip: &str) -> SocketAddr {
    local(&udp_socket(ip))
}

/// Waits until what was ordered before is in force.
fn settle(rig: &Rig, client: &Client<UdpSocket>) {
    rig.reply(client.five_tuple, b"settled");
    assert_eq!(client.receive(), b"settled");
}

#[test]
fn a_client_is_told_that_a_port_is_closed() {
    for (ip, icmp) in [
        (LOCALHOST, ICMP_PORT_UNREACHABLE),
        ("::1", ICMPV6_PORT_UNREACHABLE),
    ] {
        let rig = Rig::new();
        let client = rig.udp_client(7);
        rig.add_relayed(7, "::1");
        let peer = closed(ip);
        rig.bind_channel(7, CHANNEL, peer);
        settle(&rig, &client);
        client.send(&channel_data(CHANNEL, b"anyone?"));
        let told = client.receive();
        assert_eq!(told[..2], DATA.to_be_bytes());
        assert_eq!(told[told.len() - 12..], icmp);
        let port = peer.port() ^ 0x2112;
        assert_eq!(told[26..28], port.to_be_bytes());
        assert_eq!(rig.counter("icmp_errors"), 1);
    }
}

#[test]
fn a_tcp_client_is_told_as_well() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    rig.bind_channel(7, CHANNEL, closed(LOCALHOST));
    rig.reply(client.five_tuple, b"settled!");
    client.receive(8);
    client.send(&padded_channel_data(CHANNEL, b"anyone?"));
    let told = client.receive(20 + 12 + 12);
    assert_eq!(told[32..], ICMP_PORT_UNREACHABLE);
}

#[test]
fn a_client_whose_permission_has_ended_is_told_nothing() {
    let rig = Rig::new();
    let client = rig.udp_client(7);
    let peer = closed(LOCALHOST);
    // A channel alone lets packets out (RFC 8656 §12.6).
    rig.change(bind_channel(7, CHANNEL, peer));
    settle(&rig, &client);
    client.send(&channel_data(CHANNEL, b"anyone?"));
    while rig.counter("dropped_no_permission") == 0 {
        std::thread::yield_now();
    }
    settle(&rig, &client);
}

#[test]
fn a_client_hears_of_ten_errors_and_the_rest_is_counted() {
    let rig = Rig::new();
    let client = rig.udp_client(7);
    rig.bind_channel(7, CHANNEL, closed(LOCALHOST));
    settle(&rig, &client);
    for _ in 0..30 {
        client.send(&channel_data(CHANNEL, b"anyone?"));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    while rig.counter("dropped_too_many_errors") == 0 {
        std::thread::yield_now();
    }
    for _ in 0..10 {
        assert_eq!(client.receive()[..2], DATA.to_be_bytes());
    }
}

/// Many packets to a closed port and as many to a peer that listens, one after the other and in
/// bursts, and the peer answers each: not one may be missing.
#[test]
fn errors_cost_no_other_packet() {
    const ROUNDS: u16 = 400;
    for burst in [1, 7, 40] {
        let rig = Rig::new();
        let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
        rig.bind_channel(7, CHANNEL, local(&peer));
        rig.bind_channel(7, CHANNEL + 1, closed(LOCALHOST));
        settle(&rig, &client);
        for start in (0..ROUNDS).step_by(burst) {
            let round = start..ROUNDS.min(start + burst as u16);
            for number in round.clone() {
                client.send(&channel_data(CHANNEL + 1, b"anyone?"));
                client.send(&channel_data(CHANNEL, &number.to_be_bytes()));
            }
            for number in round.clone() {
                assert_eq!(receive(&peer), number.to_be_bytes());
                peer.send_to(&number.to_be_bytes(), client.relayed).unwrap();
                client.send(&channel_data(CHANNEL + 1, b"anyone?"));
            }
            for number in round {
                assert_eq!(next_channel_data(&client), number.to_be_bytes());
            }
        }
        // Nothing was refused; what the closed port did not take has left all the same.
        assert_eq!(rig.counter("dropped_refused"), 0);
        assert!(rig.counter("icmp_errors") > 0);
    }
}

/// The kernel is given 64 messages in a call. An error that the last of them causes waits for the
/// first of the next call, which it is not about.
#[test]
fn an_error_between_two_calls_costs_no_packet() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    let peers = [udp_socket(LOCALHOST), udp_socket(LOCALHOST)];
    for (number, peer) in (CHANNEL..).zip(&peers) {
        rig.bind_channel(7, number, local(peer));
    }
    rig.bind_channel(7, CHANNEL + 2, closed(LOCALHOST));
    rig.reply(client.five_tuple, b"settled!");
    client.receive(8);
    // Turn by turn to the two, so that no two make a train.
    let numbers = (0..63).map(|index| CHANNEL + index % 2);
    let numbers = numbers.chain([CHANNEL + 2, CHANNEL, CHANNEL + 1]);
    let octets: Vec<u8> = numbers
        .flat_map(|number| padded_channel_data(number, b"hello"))
        .collect();
    client.send(&octets);
    for (count, peer) in [33, 32].into_iter().zip(&peers) {
        for _ in 0..count {
            assert_eq!(receive(peer), b"hello");
        }
    }
    assert_eq!(rig.counter("dropped_refused"), 0);
}

/// The payload of the next ChannelData; Data indications between are passed over.
fn next_channel_data(client: &Client<UdpSocket>) -> Vec<u8> {
    loop {
        let message = client.receive();
        if message[0] >= 0x40 {
            return message[4..].to_vec();
        }
    }
}
