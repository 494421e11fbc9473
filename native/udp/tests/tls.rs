//! Clients over TLS, on loopback sockets.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use ferryman_flow::Transport;
use ferryman_udp::{Certificate, Event, Settings};
use rig::tls::{first, hello, machine, second, shake_hands, Crumbs, TlsStream, VERSIONS};
use rig::*;
use rustls::{AlertDescription, ProtocolVersion, SupportedProtocolVersion};

const CHANNEL: u16 = 0x4000;
const ANY: &SupportedProtocolVersion = VERSIONS[1];

fn rig() -> Rig {
    rig_of(Settings::default())
}

fn rig_of(settings: Settings) -> Rig {
    certified(Rig::of(settings))
}

fn certified(rig: Rig) -> Rig {
    rig.datapath.use_certificate(&first()).unwrap();
    rig.is_alive(); // it has obeyed
    rig
}

fn connect(rig: &Rig, version: &'static SupportedProtocolVersion) -> TlsStream {
    shake_hands(machine(version, &[]), rig.connect()).unwrap()
}

/// A client with an allocation.
fn client(
    rig: &Rig,
    allocation: u64,
    version: &'static SupportedProtocolVersion,
) -> Client<TlsStream> {
    let mut socket = connect(rig, version);
    socket.write_all(&request(ALLOCATE)).unwrap();
    let five_tuple = rig.asked();
    let relayed = rig.open(allocation, five_tuple);
    rig.reply(five_tuple, b"opened");
    assert_eq!(tls::receive_exactly(&mut socket, 6), b"opened");
    Client {
        socket,
        five_tuple,
        relayed,
    }
}

/// The alert that a handshake ended with.
fn refusal(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[test]
fn packets_pass_both_ways_in_either_version() {
    for version in VERSIONS {
        let rig = rig();
        let mut client = client(&rig, 7, version);
        assert_eq!(client.five_tuple.transport, Transport::Tls);
        let peer = udp_socket(LOCALHOST);
        rig.bind_channel(7, CHANNEL, local(&peer));
        for length in [0, 1, 4, 1_199, 65_507] {
            let payload = vec![7; length];
            client
                .socket
                .write_all(&padded_channel_data(CHANNEL, &payload))
                .unwrap();
            assert!(receive(&peer) == payload, "{length}");
            peer.send_to(&payload, client.relayed).unwrap();
            let expected = padded_channel_data(CHANNEL, &payload);
            let came = tls::receive_exactly(&mut client.socket, expected.len());
            assert!(came == expected, "{length}");
        }
        assert_eq!(client.socket.conn.tls13_tickets_received(), 0);
        assert_eq!(rig.counter("tls_handshakes"), 1);
        assert_eq!(rig.counter("tls_failures"), 0);
    }
}

#[test]
fn tls_and_plain_tcp_share_a_port() {
    let rig = rig();
    let (mut one, mut two) = (client(&rig, 1, ANY), rig.tcp_client(2));
    assert_eq!(two.five_tuple.transport, Transport::Tcp);
    rig.bind_channel(1, CHANNEL, two.relayed);
    rig.bind_channel(2, CHANNEL + 5, one.relayed);
    rig.reply(two.five_tuple, b"ready.");
    assert_eq!(two.receive(6), b"ready.");
    one.socket
        .write_all(&padded_channel_data(CHANNEL, b"hello"))
        .unwrap();
    assert_eq!(two.receive(12), padded_channel_data(CHANNEL + 5, b"hello"));
    two.send(&padded_channel_data(CHANNEL + 5, b"good day"));
    let came = tls::receive_exactly(&mut one.socket, 12);
    assert_eq!(came, padded_channel_data(CHANNEL, b"good day"));
}

#[test]
fn many_handshakes_at_once_all_come_to_their_end() {
    let rig = rig();
    let hello = hello(ANY);
    let mut others: Vec<_> = (0..50).map(|_| rig.connect()).collect();
    for other in &mut others {
        other.write_all(&hello).unwrap();
    }
    let mut client = client(&rig, 7, ANY);
    for other in &mut others {
        assert_eq!(receive_exactly(other, 3), [22, 3, 3]);
    }
    rig.reply(client.five_tuple, b"still there");
    assert_eq!(tls::receive_exactly(&mut client.socket, 11), b"still there");
}

#[test]
fn a_handshake_may_come_in_crumbs() {
    for version in VERSIONS {
        let rig = rig();
        let (mut machine, mut socket) = (machine(version, &[]), Crumbs(rig.connect()));
        while machine.is_handshaking() {
            machine.complete_io(&mut socket).unwrap();
        }
        let asked = request(BINDING);
        machine.writer().write_all(&asked).unwrap();
        let mut stream = rustls::Stream::new(&mut machine, &mut socket);
        stream.flush().unwrap();
        assert!(answers(&tls::receive_exactly(&mut stream, 32), &asked));
    }
}

#[test]
fn many_small_records_and_one_large_one_are_the_same_stream() {
    let rig = rig();
    let mut client = client(&rig, 7, ANY);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    let octets: Vec<u8> = (0..100)
        .flat_map(|n| padded_channel_data(CHANNEL, &[n; 100]))
        .collect();
    for chunk in [1, 3, 103, 5_000, octets.len()] {
        for part in octets.chunks(chunk) {
            client.socket.write_all(part).unwrap();
        }
        for n in 0..100 {
            assert_eq!(receive(&peer), [n; 100], "{chunk}");
        }
    }
}

#[test]
fn each_message_is_a_record_of_its_own() {
    let rig = rig();
    let mut client = client(&rig, 7, ANY);
    let commands = (0..300).map(|_| ferryman_udp::Command::Reply {
        five_tuple: client.five_tuple,
        message: padded_channel_data(CHANNEL, &[1; 96]),
    });
    rig.datapath.apply(commands.collect::<Vec<_>>());
    let mut octets = vec![0; 5];
    let (mut records, mut length) = (0, 0);
    while length < 300 * 100 {
        client.socket.sock.read_exact(&mut octets[..5]).unwrap();
        let record = usize::from(u16::from_be_bytes([octets[3], octets[4]]));
        octets.resize(5 + record, 0);
        client.socket.sock.read_exact(&mut octets[5..]).unwrap();
        records += 1;
        length += record - 17; // TLS 1.3: the type and the tag
    }
    assert_eq!((records, length), (300, 300 * 100));
}

#[test]
fn without_a_certificate_a_hello_closes_the_connection() {
    let rig = Rig::new();
    let mut stream = rig.connect();
    stream.write_all(&hello(ANY)[..1]).unwrap();
    assert!(is_closed(&mut stream));
    rig.is_alive();
}

#[test]
fn on_a_port_for_tls_alone_plain_tcp_is_closed() {
    let rig = rig();
    let port = rig.datapath.listen_tls(address(LOCALHOST, 0)).unwrap();
    let address = address(LOCALHOST, port);
    let mut plain = std::net::TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(&request(BINDING)).unwrap();
    assert!(is_closed(&mut plain));
    let socket = std::net::TcpStream::connect(address).unwrap();
    let mut stream = shake_hands(machine(ANY, &[]), socket).unwrap();
    let asked = request(BINDING);
    stream.write_all(&asked).unwrap();
    assert!(answers(&tls::receive_exactly(&mut stream, 32), &asked));
}

#[test]
fn alpn_is_taken_when_offered_and_refused_when_it_is_for_others() {
    let rig = rig();
    for (offered, chosen) in [
        (&[][..], None),
        (&["stun.turn"], Some("stun.turn")),
        (&["stun.nat-discovery"], Some("stun.nat-discovery")),
        (&["h2", "stun.turn"], Some("stun.turn")),
    ] {
        let stream = shake_hands(machine(ANY, offered), rig.connect()).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), chosen.map(str::as_bytes));
    }
    for version in VERSIONS {
        let refused = shake_hands(machine(version, &["h2", "http/1.1"]), rig.connect());
        let error = refused.err().unwrap();
        assert_eq!(
            refusal(&error),
            Some(AlertDescription::NoApplicationProtocol),
            "{error}"
        );
    }
}

#[test]
fn what_may_be_agreed_to_can_be_narrowed() {
    const AES256: u16 = 0x1302;
    const P384: u16 = 0x0018;
    let rig = rig();
    let narrow = Certificate {
        cipher_suites: vec![AES256],
        groups: vec![P384],
        tls12: false,
        ..first()
    };
    rig.datapath.use_certificate(&narrow).unwrap();
    rig.is_alive();
    let stream = connect(&rig, ANY);
    assert_eq!(
        stream.conn.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(u16::from(suite), AES256);
    let group = stream.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(u16::from(group), P384);
    let refused = shake_hands(machine(VERSIONS[0], &[]), rig.connect())
        .err()
        .unwrap();
    assert_eq!(refusal(&refused), Some(AlertDescription::ProtocolVersion));
}

#[test]
fn a_client_certificate_is_asked_for_when_there_are_roots_for_it() {
    let rig = rig();
    let strict = Certificate {
        client_roots: first().chain,
        ..first()
    };
    rig.datapath.use_certificate(&strict).unwrap();
    rig.is_alive();
    // Under TLS 1.3 the client hears of it after it thought that all was well.
    let refused = shake_hands(machine(ANY, &[]), rig.connect())
        .and_then(|mut stream| stream.read(&mut [0]).map(drop))
        .err()
        .unwrap();
    assert_eq!(
        refusal(&refused),
        Some(AlertDescription::CertificateRequired)
    );
}

#[test]
fn a_key_of_another_certificate_is_refused_and_changes_nothing() {
    let rig = rig();
    let mixed = Certificate {
        key: second().key,
        ..first()
    };
    let garbage = Certificate {
        chain: vec![b"no certificate".to_vec()],
        ..first()
    };
    let nothing = Certificate {
        cipher_suites: vec![1],
        ..first()
    };
    for bad in [mixed, garbage, nothing] {
        assert!(rig.datapath.use_certificate(&bad).is_err());
        let stream = connect(&rig, ANY);
        let shown = stream.conn.peer_certificates().unwrap();
        assert_eq!(shown[0].as_ref(), first().chain[0]);
    }
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let rig = rig();
    let mut old = client(&rig, 7, ANY);
    let mut halfway = rig.connect();
    halfway.write_all(&hello(ANY)[..9]).unwrap();
    rig.datapath.use_certificate(&second()).unwrap();
    rig.reply(old.five_tuple, b"still there");
    assert_eq!(tls::receive_exactly(&mut old.socket, 11), b"still there");
    let new = connect(&rig, ANY);
    let shown = new.conn.peer_certificates().unwrap();
    assert_eq!(shown[0].as_ref(), second().chain[0]);
    halfway.write_all(&hello(ANY)[9..]).unwrap();
    assert_eq!(receive_exactly(&mut halfway, 3), [22, 3, 3]);
}

#[test]
fn garbage_ends_in_an_alert_and_hurts_nobody() {
    let rig = rig();
    let starts: [&[u8]; 5] = [
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x03\xFF\xFF",
        b"\x16\x16\x16\x16\x16\x16\x16\x16",
        b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xFF\xFF\xFF",
    ];
    for start in starts {
        let mut stream = rig.connect();
        stream.write_all(start).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer[0] == 21,
            "{start:x?}: {answer:x?}"
        );
    }
    until(|| rig.counter("connections") == 0);
    assert_eq!(rig.counter("tls_failures"), 5);
    rig.is_alive();
}

#[test]
fn a_hello_that_was_tampered_with_hurts_nobody() {
    let rig = rig();
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..400 {
        let mut octets = hello(VERSIONS[round % 2]);
        for _ in 0..1 + random(4) {
            let at = 1 + random(octets.len() - 1);
            octets[at] = random(256) as u8;
        }
        octets.truncate(octets.len() - random(3));
        octets.extend((0..random(50)).map(|_| random(256) as u8));
        let mut stream = rig.connect();
        let _ = stream.write_all(&octets);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    rig.is_alive();
}

#[test]
fn what_is_tampered_with_after_the_handshake_ends_the_connection() {
    for version in VERSIONS {
        let rig = rig();
        let mut client = client(&rig, 7, version);
        let mut records = Vec::new();
        client
            .socket
            .conn
            .writer()
            .write_all(&request(BINDING))
            .unwrap();
        client.socket.conn.write_tls(&mut records).unwrap();
        *records.last_mut().unwrap() ^= 1;
        client.socket.sock.write_all(&records).unwrap();
        assert!(client.socket.read(&mut [0; 32]).is_err());
        assert_eq!(
            rig.event(),
            Event::Disconnected {
                five_tuple: client.five_tuple
            }
        );
        rig.is_alive();
    }
}

#[test]
fn an_end_that_is_announced_ends_the_connection_though_tcp_stands() {
    for version in VERSIONS {
        let rig = rig();
        let mut client = client(&rig, 7, version);
        let peer = udp_socket(LOCALHOST);
        rig.bind_channel(7, CHANNEL, local(&peer));
        client
            .socket
            .conn
            .writer()
            .write_all(&padded_channel_data(CHANNEL, b"last words"))
            .unwrap();
        client.socket.conn.send_close_notify();
        client.socket.flush().unwrap();
        assert_eq!(receive(&peer), b"last words");
        assert_eq!(
            rig.event(),
            Event::Disconnected {
                five_tuple: client.five_tuple
            }
        );
        // It says goodbye as well.
        assert_eq!(client.socket.read(&mut [0; 16]).unwrap(), 0);
    }
}

#[test]
fn a_connection_that_breaks_off_is_reported() {
    let rig = rig();
    let client = client(&rig, 7, ANY);
    drop(client.socket);
    assert_eq!(
        rig.event(),
        Event::Disconnected {
            five_tuple: client.five_tuple
        }
    );
}

#[test]
fn a_handshake_that_is_never_finished_ends_in_time() {
    let connection_timeout = Duration::from_millis(500);
    let rig = rig_of(Settings {
        connection_timeout,
        ..Settings::default()
    });
    let mut owner = client(&rig, 7, ANY);
    let start = Instant::now();
    let (mut begun, mut answered, mut idle) = (rig.connect(), rig.connect(), connect(&rig, ANY));
    begun.write_all(&hello(ANY)[..20]).unwrap();
    answered.write_all(&hello(ANY)).unwrap();
    assert!(is_closed(&mut begun));
    answered.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert!(start.elapsed() >= connection_timeout);
    rig.reply(owner.five_tuple, b"still there");
    assert_eq!(tls::receive_exactly(&mut owner.socket, 11), b"still there");
}

#[test]
fn the_oldest_unfinished_handshake_goes_for_the_newest() {
    let rig = certified(Rig::alone(Settings {
        pending_connections: 2,
        ..Settings::default()
    }));
    let mut streams: Vec<_> = (0..3).map(|_| rig.connect()).collect();
    for stream in &mut streams[1..] {
        stream.write_all(&hello(ANY)[..20]).unwrap();
    }
    assert!(is_closed(&mut streams[0]));
    let _third = connect(&rig, ANY);
    assert!(is_closed(&mut streams[1]));
}

#[test]
fn before_there_is_an_allocation_long_messages_close_the_connection() {
    let rig = rig();
    let mut stream = connect(&rig, ANY);
    stream.write_all(&stun(ALLOCATE, &vec![0; 4096])).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_handshake_message_that_never_ends_closes_the_connection() {
    let rig = rig();
    let mut stream = rig.connect();
    // Three quarters of a hello of 65,531 octets, in records of 16,000 each.
    let octets = [&[1, 0, 0xFF, 0xFB][..], &[0; 47_996]].concat();
    let records: Vec<u8> = octets
        .chunks(16_000)
        .flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect();
    let _ = stream.write_all(&records);
    assert!(is_closed(&mut stream));
    until(|| rig.counter("connections") == 0);
    assert_eq!(rig.counter("tls_failures"), 1);
    rig.is_alive();
}

#[test]
fn a_client_that_never_reads_loses_packets_and_stops_nobody() {
    let rig = rig();
    let (mut stuck, other, peer) = (
        client(&rig, 1, ANY),
        rig.udp_client(2),
        udp_socket(LOCALHOST),
    );
    for allocation in [1, 2] {
        rig.bind_channel(allocation, CHANNEL, local(&peer));
    }
    rig.reply(other.five_tuple, b"bound");
    assert_eq!(other.receive(), b"bound");
    let (mut sent, payload) = (0, [5; 1200]);
    while rig.counter("dropped_backlog") < 5_000 {
        for _ in 0..100 {
            peer.send_to(&payload, stuck.relayed).unwrap();
        }
        sent += 100;
        peer.send_to(b"passing by", other.relayed).unwrap();
        assert_eq!(other.receive(), channel_data(CHANNEL, b"passing by"));
    }
    const END: &[u8] = b"the end.";
    rig.reply(stuck.five_tuple, END);
    let expected = padded_channel_data(CHANNEL, &payload);
    let mut received = 0;
    loop {
        let start = tls::receive_exactly(&mut stuck.socket, END.len());
        if start == END {
            break;
        }
        let rest = tls::receive_exactly(&mut stuck.socket, expected.len() - END.len());
        assert!([start, rest].concat() == expected);
        received += 1;
    }
    assert!(received + 5_000 <= sent, "{received} of {sent}");
}

#[test]
fn a_client_that_asks_and_never_reads_is_cut_off() {
    let rig = rig();
    let mut stream = connect(&rig, ANY);
    let requests: Vec<u8> = (0..500).flat_map(|_| request(BINDING)).collect();
    until(|| match stream.write_all(&requests) {
        Ok(()) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    });
    until(|| rig.counter("connections") == 0);
    rig.is_alive();
}

#[test]
fn a_full_queue_makes_clients_wait_and_loses_nothing() {
    const REQUESTS: usize = 100;
    let rig = rig_of(Settings {
        queue_limit: 4,
        ..Settings::default()
    });
    let mut stream = connect(&rig, ANY);
    let octets: Vec<u8> = (0..REQUESTS).flat_map(|_| request(ALLOCATE)).collect();
    stream.write_all(&octets).unwrap();
    let asked: Vec<u8> = (0..REQUESTS)
        .flat_map(|_| match rig.event() {
            Event::Request { message, .. } => message,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(asked == octets);
}

#[test]
fn what_was_said_before_the_end_is_heard_though_the_queue_was_full() {
    const REQUESTS: usize = 100;
    let rig = rig_of(Settings {
        queue_limit: 4,
        ..Settings::default()
    });
    let mut stream = connect(&rig, ANY);
    let octets: Vec<u8> = (0..REQUESTS).flat_map(|_| request(ALLOCATE)).collect();
    let mut records = Vec::new();
    stream.conn.writer().write_all(&octets).unwrap();
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut records).unwrap();
    }
    stream.sock.write_all(&records).unwrap();
    for number in 0..REQUESTS {
        let event = rig.event();
        assert!(
            matches!(event, Event::Request { .. }),
            "{number}: {event:?}"
        );
    }
    assert!(matches!(rig.event(), Event::Disconnected { .. }));
}

#[test]
fn a_fresh_key_may_be_asked_for_in_the_middle() {
    let rig = rig();
    let mut client = client(&rig, 7, ANY);
    for _ in 0..3 {
        client.socket.conn.refresh_traffic_keys().unwrap();
        let asked = request(BINDING);
        client.socket.write_all(&asked).unwrap();
        assert!(answers(
            &tls::receive_exactly(&mut client.socket, 32),
            &asked
        ));
    }
}

/// Tries again until it is true, which must not take long.
fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it never came true");
        std::thread::yield_now();
    }
}
