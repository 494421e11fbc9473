//! Clients behind front ends that speak the PROXY protocol.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Instant;

use ferryman_flow::Transport;
use ferryman_udp::{Choices, Event, Fronts, Settings};
use rig::tls::{first, machine, shake_hands, VERSIONS};
use rig::*;

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.5 49152 443\r\n";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A port for the front end at 127.0.0.2, on 127.0.0.1.
fn listen(rig: &Rig) -> SocketAddr {
    let fronts = Fronts(vec![(ip("127.0.0.2"), ip("127.0.0.2"))]);
    let port = rig
        .datapath
        .listen_fronts(address(LOCALHOST, 0), fronts, true);
    address(LOCALHOST, port.unwrap())
}

fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let source = address(from, 0);
    let domain = socket2::Domain::for_address(source);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Whether the other side has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => {
            assert_eq!(
                error.kind(),
                ErrorKind::ConnectionReset,
                "neither closed nor served"
            );
            true
        }
    }
}

fn announced(rig: &Rig, front: &mut TcpStream, header: &[u8]) -> (SocketAddr, SocketAddr) {
    front
        .write_all(&[header, &request(ALLOCATE)].concat())
        .unwrap();
    let five_tuple = rig.asked();
    (five_tuple.client, five_tuple.server)
}

#[test]
fn a_client_has_the_address_that_its_front_end_says() {
    let rig = Rig::new();
    let place = listen(&rig);
    let mut front = connect(place, "127.0.0.2");
    let client = announced(&rig, &mut front, HEADER);
    assert_eq!(
        client,
        (address("192.0.2.7", 49152), address("127.0.0.5", 443))
    );
    // XOR-MAPPED-ADDRESS as well: 192.0.2.7 under the cookie.
    let mut front = connect(place, "127.0.0.2");
    front
        .write_all(&[HEADER, &request(BINDING)].concat())
        .unwrap();
    let mut answer = [0; 32];
    front.read_exact(&mut answer).unwrap();
    assert_eq!(answer[28..], [192 ^ 0x21, 0x12, 2 ^ 0xA4, 7 ^ 0x42]);
}

#[test]
fn a_header_may_come_octet_by_octet_and_takes_nothing_of_what_follows() {
    let rig = Rig::new();
    let mut front = connect(listen(&rig), "127.0.0.2");
    for octet in HEADER {
        front.write_all(&[*octet]).unwrap();
        rig.is_alive();
    }
    for octet in request(ALLOCATE) {
        front.write_all(&[octet]).unwrap();
    }
    assert_eq!(rig.asked().client, address("192.0.2.7", 49152));
}

#[test]
fn a_front_end_may_speak_for_itself() {
    let rig = Rig::new();
    let mut front = connect(listen(&rig), "127.0.0.2");
    let itself = local_of(&front);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let place = front.peer_addr().unwrap();
    assert_eq!(announced(&rig, &mut front, local), (itself, place));
}

fn local_of(stream: &TcpStream) -> SocketAddr {
    stream.local_addr().unwrap()
}

#[test]
fn nobody_else_is_believed() {
    let rig = Rig::new();
    let place = listen(&rig);
    let mut stranger = connect(place, "127.0.0.3");
    let _ = stranger.write_all(HEADER);
    assert!(is_closed(&mut stranger));
    let Event::Notice { text } = rig.event() else {
        panic!("the operator hears of it");
    };
    assert!(
        text.contains("tcp-proxy-from") && text.contains("127.0.0.3"),
        "{text}"
    );
    assert_eq!(rig.counter("connections_refused"), 1);
    // The machine itself is.
    let mut front = connect(place, LOCALHOST);
    let (client, _) = announced(&rig, &mut front, HEADER);
    assert_eq!(client, address("192.0.2.7", 49152));
}

#[test]
fn without_a_header_there_is_no_connection() {
    let rig = Rig::new();
    let place = listen(&rig);
    let mut front = connect(place, "127.0.0.2");
    front.write_all(&request(ALLOCATE)).unwrap();
    assert!(is_closed(&mut front));
    let Event::Notice { text } = rig.event() else {
        panic!("the operator hears of it, and the request is none");
    };
    assert!(text.contains("PROXY header"), "{text}");
}

#[test]
fn a_header_is_no_header_elsewhere() {
    let rig = Rig::new();
    let mut client = rig.connect();
    client.write_all(HEADER).unwrap();
    assert!(is_closed(&mut client));
}

#[test]
fn limits_are_those_of_clients_and_not_of_the_front_end() {
    let rig = Rig::of(Settings {
        choices: Choices {
            source_connections: 1,
            ..Choices::default()
        },
        ..Settings::default()
    });
    let place = listen(&rig);
    let mut fronts: Vec<TcpStream> = (0..4).map(|_| connect(place, "127.0.0.2")).collect();
    for (number, front) in fronts.iter_mut().enumerate() {
        // Two clients, each of whom has come twice.
        let header = format!(
            "PROXY TCP4 192.0.2.{} 127.0.0.5 {number} 443\r\n",
            number / 2
        );
        front.write_all(header.as_bytes()).unwrap();
        front.write_all(&request(BINDING)).unwrap();
        let is_first = number % 2 == 0;
        assert_eq!(is_closed(front), !is_first, "{number}");
    }
    assert_eq!(rig.counter("connections_refused"), 2);
    // Those who leave make room.
    drop(fronts);
    let header = b"PROXY TCP4 192.0.2.0 127.0.0.5 9 443\r\n";
    let start = Instant::now();
    loop {
        let mut front = connect(place, "127.0.0.2");
        front
            .write_all(&[&header[..], &request(BINDING)].concat())
            .unwrap();
        if !is_closed(&mut front) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "there is no room");
    }
}

#[test]
fn who_has_many_connections_behind_a_front_end_pushes_out_nobody_else() {
    let rig = Rig::alone(Settings {
        pending_connections: 3,
        ..Settings::default()
    });
    let place = listen(&rig);
    let ask = |host: u8, port: u16| {
        let mut front = connect(place, "127.0.0.2");
        let header = format!("PROXY TCP4 192.0.2.{host} 127.0.0.5 {port} 443\r\n");
        front.write_all(header.as_bytes()).unwrap();
        is_served(&mut front).then_some(front).expect("an answer")
    };
    let mut lone = ask(1, 1);
    let mut many: Vec<_> = (1..=6).map(|port| ask(2, port)).collect();
    for front in &mut many[..4] {
        assert!(is_closed(front));
    }
    for front in many[4..].iter_mut().chain([&mut lone]) {
        assert!(is_served(front));
    }
    // Nothing is left of who has gone: new ones come and the oldest of the many goes.
    drop(lone);
    let mut newest = ask(3, 1);
    assert!(is_served(&mut newest));
    assert!(is_served(&mut many[5]));
}

fn is_served(stream: &mut TcpStream) -> bool {
    let asked = request(BINDING);
    let mut answer = [0; 32];
    stream.write_all(&asked).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answers(&answer, &asked)
}

#[test]
fn a_client_of_a_link_is_none() {
    let rig = Rig::new();
    let mut front = connect(listen(&rig), "127.0.0.2");
    front
        .write_all(b"PROXY TCP6 fe80::1 2001:db8::2 49152 443\r\n")
        .unwrap();
    assert!(is_closed(&mut front));
}

#[test]
fn tls_lies_behind_the_header() {
    let rig = Rig::new();
    rig.datapath.use_certificate(&first()).unwrap();
    let mut front = connect(listen(&rig), "127.0.0.2");
    front.write_all(HEADER).unwrap();
    let mut client = shake_hands(machine(VERSIONS[1], &[]), front).unwrap();
    client.write_all(&request(ALLOCATE)).unwrap();
    let five_tuple = rig.asked();
    assert_eq!(five_tuple.transport, Transport::Tls);
    assert_eq!(five_tuple.client, address("192.0.2.7", 49152));
}
