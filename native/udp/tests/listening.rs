//! Listeners that are opened and given up while clients are there, and choices made anew.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use ferryman_udp::{Choices, Event, Settings};
use rig::*;

const CHANNEL: u16 = 0x4000;

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it did not come");
        thread::yield_now();
    }
}

/// A round trip over a channel to a peer.
fn call(client: &Client<UdpSocket>, peer: &UdpSocket) {
    client.send(&channel_data(CHANNEL, b"there"));
    let mut buffer = [0; 64];
    let (length, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"there"[..], client.relayed));
    peer.send_to(b"back", client.relayed).unwrap();
    assert_eq!(client.receive(), channel_data(CHANNEL, b"back"));
}

fn calling(rig: &Rig) -> (Client<UdpSocket>, UdpSocket) {
    let peer = udp_socket(LOCALHOST);
    let client = rig.udp_client(1);
    rig.bind_channel(1, CHANNEL, local(&peer));
    call(&client, &peer);
    (client, peer)
}

fn is_free(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_ok()
}

#[test]
fn a_retired_udp_listener_serves_whom_it_has_and_nobody_else() {
    let rig = Rig::new();
    let (client, peer) = calling(&rig);
    rig.datapath.retire_udp(rig.udp);
    udp_socket(LOCALHOST)
        .send_to(&request(BINDING), rig.udp)
        .unwrap();
    until(|| rig.counter("dropped_retired") == 1);
    call(&client, &peer);
    client.send(&request(ALLOCATE));
    assert_eq!(rig.asked(), client.five_tuple, "a refresh, say");
    thread::sleep(Duration::from_millis(1100));
    call(&client, &peer);
    rig.close(1);
    until(|| is_free(rig.udp));
}

#[test]
fn a_retired_udp_listener_without_clients_is_closed() {
    let rig = Rig::new();
    rig.is_alive();
    rig.datapath.retire_udp(rig.udp);
    until(|| is_free(rig.udp));
    rig.datapath.listen_udp(rig.udp).unwrap();
    rig.is_alive();
}

#[test]
fn a_retired_udp_listener_can_be_taken_again_while_a_client_is_there() {
    let rig = Rig::new();
    let (client, peer) = calling(&rig);
    for _ in 0..100 {
        rig.datapath.retire_udp(rig.udp);
        assert_eq!(rig.datapath.listen_udp(rig.udp).unwrap(), rig.udp.port());
    }
    rig.is_alive();
    thread::sleep(Duration::from_millis(1100));
    rig.is_alive();
    call(&client, &peer);
    assert!(
        rig.datapath.listen_udp(rig.udp).is_err(),
        "one that is not given up is taken"
    );
}

fn is_served(stream: &mut TcpStream) -> bool {
    let asked = request(BINDING);
    let mut answer = [0; 32];
    stream.write_all(&asked).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answers(&answer, &asked)
}

#[test]
fn a_retired_tcp_listener_keeps_its_connections_and_takes_no_more() {
    let rig = Rig::new();
    let mut stream = rig.connect();
    assert!(is_served(&mut stream));
    rig.datapath.retire_tcp(rig.tcp);
    until(|| TcpStream::connect(rig.tcp).is_err());
    assert!(is_served(&mut stream));
    rig.datapath.listen_tcp(rig.tcp).unwrap();
    assert!(is_served(&mut rig.connect()));
    assert!(is_served(&mut stream));
}

#[test]
fn a_tcp_listener_becomes_one_for_tls_alone_without_a_gap() {
    let rig = Rig::new();
    for _ in 0..100 {
        rig.datapath.retire_tcp(rig.tcp);
        rig.datapath.listen_tls(rig.tcp).unwrap();
        rig.connect();
        rig.datapath.retire_tcp(rig.tcp);
        rig.datapath.listen_tcp(rig.tcp).unwrap();
        rig.connect();
    }
    // One that a worker takes before it has obeyed is asked for TLS.
    until(|| is_served(&mut rig.connect()));
    rig.datapath.retire_tcp(rig.tcp);
    rig.datapath.listen_tls(rig.tcp).unwrap();
    until(|| !is_served(&mut rig.connect()));
}

#[test]
fn choices_hold_for_what_comes_from_now_on() {
    let rig = Rig::of(Settings::default());
    let (mut first, mut second) = (rig.connect(), rig.connect());
    assert!(is_served(&mut first) && is_served(&mut second));
    rig.datapath.choose(Choices {
        fingerprint: true,
        mapped_address: true,
        source_connections: 1,
        ..Choices::default()
    });
    until(|| !is_served(&mut rig.connect()));
    assert!(matches!(rig.event(), Event::Notice { .. }));
    let asked = request(BINDING);
    first.write_all(&asked).unwrap();
    // XOR-MAPPED-ADDRESS, MAPPED-ADDRESS and FINGERPRINT: 12 + 12 + 8 octets.
    let answer = receive_exactly(&mut first, 20 + 32);
    assert!(answers(&answer, &asked));
    assert_eq!(answer[3], 32);
    rig.datapath.choose(Choices::default());
    until(|| is_served(&mut rig.connect()));
}
