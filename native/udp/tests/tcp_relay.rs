//! TCP towards peers (RFC 6062), on loopback sockets, for clients over TCP and TLS.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ferryman_flow::{Change, FiveTuple};
use ferryman_udp::{Command, Event, Settings};
use rig::tls::{first, machine, shake_hands, TlsStream, VERSIONS};
use rig::*;
use socket2::SockRef;

const ALLOCATION: u64 = 7;
const CONNECTION: u64 = 1;
const CONNECTION_BIND: u16 = 0x000B;
const REFRESH: u16 = 0x0004;
const NEVER: u64 = u64::MAX;
/// What a record of AES-GCM has besides its octets in TLS 1.2 and 1.3: a nonce or a type, and a tag.
const OVERHEAD: [usize; 2] = [8 + 16, 1 + 16];

/// A client's connection, over TCP or TLS.
enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Line {
    const KINDS: [Option<usize>; 3] = [None, Some(0), Some(1)];

    /// Over TCP, or the TLS version of this number.
    fn connect(rig: &Rig, version: Option<usize>) -> Self {
        match version {
            None => Self::Plain(rig.connect()),
            Some(at) => {
                let stream = shake_hands(machine(VERSIONS[at], &[]), rig.connect());
                Self::Tls(Box::new(stream.unwrap()))
            }
        }
    }

    fn send(&mut self, octets: &[u8]) {
        match self {
            Self::Plain(stream) => stream.write_all(octets).unwrap(),
            Self::Tls(stream) => stream.write_all(octets).unwrap(),
        }
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        match self {
            Self::Plain(stream) => tls::receive_exactly(stream, length),
            Self::Tls(stream) => tls::receive_exactly(stream, length),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// The same in one segment with the word that nothing more comes.
    fn send_last(&mut self, octets: &[u8]) {
        match self {
            Self::Plain(stream) => {
                stream.write_all(octets).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
            Self::Tls(stream) => {
                let mut records = Vec::new();
                stream.conn.writer().write_all(octets).unwrap();
                stream.conn.send_close_notify();
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut records).unwrap();
                }
                stream.sock.write_all(&records).unwrap();
            }
        }
    }

    /// Says that nothing more comes, and goes on listening.
    fn finish(&mut self) {
        match self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock).unwrap();
                stream.sock.shutdown(Shutdown::Write).unwrap();
            }
        }
    }

    /// Whether the server says that nothing more comes.
    fn has_ended(&mut self) -> bool {
        let read = match self {
            Self::Plain(stream) => stream.read(&mut [0]),
            Self::Tls(stream) => stream.read(&mut [0]),
        };
        read.unwrap() == 0
    }
}

impl Read for Line {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(room),
            Self::Tls(stream) => stream.read(room),
        }
    }
}

impl Write for Line {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn rig() -> Rig {
    let rig = Rig::new();
    rig.datapath.use_certificate(&first()).unwrap();
    rig.is_alive();
    rig
}

/// A control connection with a TCP allocation; returns its relayed address.
fn allocate(rig: &Rig, bytes_per_second: u64) -> (TcpStream, SocketAddr) {
    let mut control = rig.connect();
    control.write_all(&request(ALLOCATE)).unwrap();
    let five_tuple = rig.asked();
    let bound = std::iter::repeat_with(|| TcpListener::bind((LOCALHOST, 0)).unwrap())
        .map(|free| free.local_addr().unwrap())
        .find(|bound| rig.datapath.bind_tcp_relay(*bound).is_ok())
        .unwrap();
    rig.datapath.apply([Command::OpenTcp {
        allocation: ALLOCATION,
        five_tuple,
        bound,
        advertised: bound,
        expires_at: NEVER,
        bytes_per_second,
    }]);
    (control, bound)
}

fn connect(rig: &Rig, peer: SocketAddr) -> bool {
    rig.datapath.apply([Command::Connect {
        connection: CONNECTION,
        allocation: ALLOCATION,
        peer,
        relayed_only: false,
    }]);
    match rig.event() {
        Event::Connected {
            connection,
            succeeded,
        } => {
            assert_eq!(connection, CONNECTION);
            succeeded
        }
        other => panic!("{other:?}"),
    }
}

/// Asks for a join; `behind` is sent with the request.
fn ask_to_bind(rig: &Rig, line: &mut Line, behind: &[u8]) -> FiveTuple {
    let asked = request(CONNECTION_BIND);
    line.send(&[&asked, behind].concat());
    rig.asked()
}

fn join(rig: &Rig, five_tuple: FiveTuple) {
    let reply = Command::Reply {
        five_tuple,
        message: b"joined".to_vec(),
    };
    rig.datapath.apply([
        Command::Join {
            connection: CONNECTION,
            five_tuple,
        },
        reply,
    ]);
}

struct Joined {
    rig: Rig,
    _control: TcpStream,
    line: Line,
    peer: TcpStream,
}

fn joined(version: Option<usize>, bytes_per_second: u64) -> Joined {
    let rig = rig();
    let (control, _) = allocate(&rig, bytes_per_second);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    assert!(connect(&rig, listener.local_addr().unwrap()));
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut line = Line::connect(&rig, version);
    let five_tuple = ask_to_bind(&rig, &mut line, b"");
    join(&rig, five_tuple);
    assert_eq!(line.receive(6), b"joined");
    Joined {
        rig,
        _control: control,
        line,
        peer,
    }
}

fn ended(rig: &Rig) -> (u64, u64) {
    match rig.event() {
        Event::Ended {
            connection,
            sent_bytes,
            received_bytes,
        } => {
            assert_eq!(connection, CONNECTION);
            (sent_bytes, received_bytes)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_pass_both_ways_as_they_are() {
    for version in Line::KINDS {
        let mut joined = joined(version, 0);
        for length in [1, 100, 16_385, 300_000] {
            let octets: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
            joined.line.send(&octets);
            assert!(receive_exactly(&mut joined.peer, length) == octets);
            joined.peer.write_all(&octets).unwrap();
            assert!(joined.line.receive(length) == octets);
        }
    }
}

#[test]
fn either_side_may_end_first_and_hear_the_other_out() {
    for version in Line::KINDS {
        let mut joined = joined(version, 0);
        joined.line.send(b"last words");
        joined.line.finish();
        let mut heard = Vec::new();
        joined.peer.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"last words");
        joined.peer.write_all(b"and mine").unwrap();
        joined.peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(joined.line.receive(8), b"and mine");
        assert!(joined.line.has_ended());
        assert_eq!(ended(&joined.rig), (10, 8));
    }
    for version in Line::KINDS {
        let mut joined = joined(version, 0);
        joined.peer.write_all(b"last words").unwrap();
        joined.peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(joined.line.receive(10), b"last words");
        assert!(joined.line.has_ended());
        joined.line.send(b"and mine");
        joined.line.finish();
        let mut heard = Vec::new();
        joined.peer.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"and mine");
        assert_eq!(ended(&joined.rig), (8, 10));
    }
}

#[test]
fn what_stands_behind_the_request_is_data_if_it_is_granted_and_messages_if_not() {
    for version in Line::KINDS {
        let rig = rig();
        let (_control, _) = allocate(&rig, 0);
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        assert!(connect(&rig, listener.local_addr().unwrap()));
        let (mut peer, _) = listener.accept().unwrap();
        let binding = request(BINDING);
        let mut granted = Line::connect(&rig, version);
        let five_tuple = ask_to_bind(&rig, &mut granted, &binding);
        join(&rig, five_tuple);
        assert_eq!(granted.receive(6), b"joined");
        assert_eq!(receive_exactly(&mut peer, 20), binding);

        let mut refused = Line::connect(&rig, version);
        let asked = request(CONNECTION_BIND);
        refused.send(&[&asked[..], &binding].concat());
        let five_tuple = rig.asked();
        // An answer to something else changes nothing.
        rig.reply(five_tuple, &request(0x0113));
        rig.reply(five_tuple, &[&[0x01, 0x1B], &asked[2..]].concat());
        assert_eq!(refused.receive(20)[..2], [0x01, 0x13]);
        assert_eq!(refused.receive(20)[..2], [0x01, 0x1B]);
        assert!(answers(&refused.receive(32), &binding));
    }
}

#[test]
fn what_comes_before_the_answer_to_the_request_is_left_for_it_to_tell() {
    for version in Line::KINDS {
        let rig = rig();
        let (_control, _) = allocate(&rig, 0);
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        assert!(connect(&rig, listener.local_addr().unwrap()));
        let (mut peer, _) = listener.accept().unwrap();
        let binding = request(BINDING);
        let mut line = Line::connect(&rig, version);
        let five_tuple = ask_to_bind(&rig, &mut line, b"");
        line.send(&binding);
        rig.is_alive();
        line.send(b"and what is no message");
        rig.is_alive();
        join(&rig, five_tuple);
        assert_eq!(line.receive(6), b"joined");
        let expected = [&binding[..], b"and what is no message"].concat();
        assert_eq!(receive_exactly(&mut peer, expected.len()), expected);
    }
}

#[test]
fn a_client_may_have_said_all_before_it_is_answered() {
    for version in Line::KINDS {
        let rig = rig();
        let (_control, _) = allocate(&rig, 0);
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        assert!(connect(&rig, listener.local_addr().unwrap()));
        let (mut peer, _) = listener.accept().unwrap();
        let mut line = Line::connect(&rig, version);
        line.send_last(&[&request(CONNECTION_BIND), &b"last words"[..]].concat());
        let five_tuple = rig.asked();
        rig.is_alive();
        join(&rig, five_tuple);
        assert_eq!(line.receive(6), b"joined");
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"last words");
        peer.write_all(b"and mine").unwrap();
        assert_eq!(line.receive(8), b"and mine");
    }
}

/// What stands at a place of a long stream.
fn octets_at(place: usize, length: usize) -> Vec<u8> {
    (place..place + length).map(|n| (n % 253) as u8).collect()
}

/// Writes until nobody takes more; how much that was.
fn fill(sender: &mut impl Write, most: usize) -> usize {
    let mut sent = 0;
    while sent < most {
        match sender.write(&octets_at(sent, 1 << 16)) {
            Ok(count) => sent += count,
            Err(_) => return sent,
        }
    }
    panic!("{sent} bytes are on their way to somebody who does not read");
}

fn makes_wait(
    mut sender: impl Write + Send,
    of_sender: &TcpStream,
    mut reader: impl Read,
    of_reader: &TcpStream,
) {
    // More than kernels hold on the way.
    const MOST: usize = 64 << 20;
    let _ = SockRef::from(of_reader).set_recv_buffer_size(1 << 16);
    let soon = Some(Duration::from_millis(100));
    of_sender.set_write_timeout(soon).unwrap();
    // A client of TLS looks for something to read where it can write nothing.
    of_sender.set_read_timeout(soon).unwrap();
    of_reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = fill(&mut sender, MOST);
    std::thread::scope(|scope| {
        // A part of it may lie in the sender's own TLS.
        scope.spawn(|| while sender.flush().is_err() {});
        for place in (0..sent).step_by(1 << 16) {
            let length = (sent - place).min(1 << 16);
            let mut came = vec![0; length];
            reader.read_exact(&mut came).unwrap();
            assert!(came == octets_at(place, length), "at {place}");
        }
    });
}

#[test]
fn a_slow_reader_makes_the_sender_wait_and_loses_nothing() {
    for version in Line::KINDS {
        let mut joined = joined(version, 0);
        let (peer, client) = (
            joined.peer.try_clone().unwrap(),
            joined.line.socket().try_clone().unwrap(),
        );
        makes_wait(&peer, &peer, &mut joined.line, &client);
        makes_wait(&mut joined.line, &client, &peer, &peer);
    }
}

#[test]
fn a_limit_on_bandwidth_holds_in_both_directions_and_loses_nothing() {
    const RATE: u64 = 1_000_000;
    const LENGTH: usize = 1_400_000; // a second's worth at once, and 0.4 s more
    for version in Line::KINDS {
        let mut joined = joined(version, RATE);
        let started = Instant::now();
        let mut peer = joined.peer.try_clone().unwrap();
        let sender = std::thread::spawn(move || peer.write_all(&[1; LENGTH]).unwrap());
        assert!(joined.line.receive(LENGTH) == [1; LENGTH]);
        sender.join().unwrap();
        let taken = started.elapsed();
        assert!(taken > Duration::from_millis(350), "{version:?} {taken:?}");

        let started = Instant::now();
        let mut peer = joined.peer.try_clone().unwrap();
        let receiver = std::thread::spawn(move || receive_exactly(&mut peer, LENGTH));
        joined.line.send(&[2; LENGTH]);
        assert!(receiver.join().unwrap() == [2; LENGTH]);
        let taken = started.elapsed();
        assert!(taken > Duration::from_millis(350), "{version:?} {taken:?}");
    }
}

#[test]
fn nothing_passes_after_the_allocation_has_expired() {
    let mut joined = joined(None, 0);
    joined.rig.change(Change::Extend {
        allocation: ALLOCATION,
        expires_at: 1,
    });
    joined.line.send(b"too late");
    ended(&joined.rig);
    assert!(is_closed(&mut joined.peer));
}

#[test]
fn a_peer_that_is_gone_before_the_join_leaves_a_closed_connection() {
    let rig = rig();
    let (_control, _) = allocate(&rig, 0);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    assert!(connect(&rig, listener.local_addr().unwrap()));
    let (peer, _) = listener.accept().unwrap();
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    assert_eq!(ended(&rig), (0, 0));
    let mut line = Line::connect(&rig, None);
    let five_tuple = ask_to_bind(&rig, &mut line, b"");
    join(&rig, five_tuple);
    assert_eq!(line.receive(6), b"joined");
    assert!(line.has_ended());
}

#[test]
fn a_closed_peer_connection_tells_nobody() {
    let mut joined = joined(None, 0);
    joined.rig.datapath.apply([Command::CloseConnection {
        connection: CONNECTION,
    }]);
    assert!(joined.line.has_ended());
    assert_eq!(joined.peer.read(&mut [0]).unwrap(), 0);
    joined.rig.is_alive();
    assert!(joined.rig.datapath.drain(9).is_empty());
}

#[test]
fn a_client_that_binds_and_leaves_is_closed_with_its_peer() {
    for version in Line::KINDS {
        let mut joined = joined(version, 0);
        drop(std::mem::replace(
            &mut joined.line,
            Line::Plain(joined.rig.connect()),
        ));
        assert_eq!(joined.peer.read(&mut [0]).unwrap(), 0);
        drop(joined.peer);
        ended(&joined.rig);
    }
}

#[test]
fn a_peers_bytes_are_sealed_as_bytes_whatever_they_look_like() {
    const LENGTH: usize = 64 << 10;
    for version in [0, 1] {
        for looks_like in [vec![0x40, 0, 0, 0], vec![0; 4], request(BINDING)] {
            let mut joined = joined(Some(version), 0);
            let octets: Vec<u8> = looks_like.into_iter().cycle().take(LENGTH).collect();
            joined.peer.write_all(&octets).unwrap();
            let Line::Tls(stream) = &mut joined.line else {
                panic!("TLS was asked for")
            };
            let records = records_of(&mut stream.sock, LENGTH, OVERHEAD[version]);
            assert!(records <= 32, "{records} records");
        }
    }
}

/// How many records hold so many octets, as they come from the network.
fn records_of(network: &mut TcpStream, length: usize, overhead: usize) -> usize {
    let (mut records, mut left) = (0, length);
    while left > 0 {
        let header = receive_exactly(network, 5);
        let sealed = usize::from(u16::from_be_bytes([header[3], header[4]]));
        receive_exactly(network, sealed);
        left -= sealed - overhead;
        records += 1;
    }
    records
}

#[test]
fn peers_that_come_leave_clients_their_room_in_the_queue() {
    let rig = Rig::of(Settings {
        queue_limit: 4,
        ..Settings::default()
    });
    let client = rig.udp_client(1);
    let (_control, bound) = allocate(&rig, 0);
    rig.permit(ALLOCATION, bound);
    let _peers: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(bound).unwrap())
        .collect();
    rig.is_alive();
    rig.is_alive();
    assert!(rig.counter("dropped_peers_too_many") >= 16);
    client.send(&request(REFRESH));
    rig.is_alive();
    assert_eq!(rig.counter("dropped_queue_full"), 0);
    let events = rig.datapath.drain(100);
    let is_request = |event: &&Event| matches!(event, Event::Request { .. });
    assert_eq!(events.iter().filter(is_request).count(), 1);
    assert!(events.len() <= 4, "{events:?}");

    // There is room again.
    let peer = TcpStream::connect(bound).unwrap();
    match rig.event() {
        Event::Arrived { peer: from, .. } => assert_eq!(from, peer.local_addr().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_servers_cannot_share_a_port() {
    let rig = rig();
    let (_control, bound) = allocate(&rig, 0);
    assert!(Rig::new().datapath.bind_tcp_relay(bound).is_err());
    assert!(TcpListener::bind(bound).is_err());
}
