//! Several workers, on loopback sockets: the kernel spreads the clients, and whatever leads from one
//! worker to another arrives.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use ferryman_flow::{Change, FiveTuple};
use ferryman_udp::{Choices, Command, Event, Settings};
use rig::*;

const WORKERS: usize = 2;
const CHANNEL: u16 = 0x4000;
const CONNECTION_BIND: u16 = 0x000B;
const NEVER: u64 = u64::MAX;
/// One after the other, so many clients come to one worker alone once in 2^63 times.
const PLENTY: usize = 64;

fn rig() -> Rig {
    of(Choices::default())
}

fn of(choices: Choices) -> Rig {
    let settings = Settings {
        choices,
        workers: WORKERS,
        ..Settings::default()
    };
    Rig::begin(settings, LOCALHOST, LOCALHOST)
}

fn worker_of(five_tuple: FiveTuple) -> usize {
    (five_tuple.socket % WORKERS as u64) as usize
}

/// The first of many that comes to this worker; the other ones stay and are silent.
fn at<T>(worker: usize, mut next: impl FnMut() -> (T, FiveTuple)) -> (T, FiveTuple) {
    for _ in 0..PLENTY {
        let (client, five_tuple) = next();
        if worker_of(five_tuple) == worker {
            return (client, five_tuple);
        }
        std::mem::forget(client);
    }
    panic!("the kernel chooses both");
}

/// A UDP client that has asked for something.
fn udp_asker(rig: &Rig) -> (UdpSocket, FiveTuple) {
    let socket = udp_socket(LOCALHOST);
    socket.connect(rig.udp).unwrap();
    socket.send(&request(ALLOCATE)).unwrap();
    (socket, rig.asked())
}

/// A TCP client that has asked for something.
fn tcp_asker(rig: &Rig) -> (TcpStream, FiveTuple) {
    let mut stream = rig.connect();
    stream.write_all(&request(ALLOCATE)).unwrap();
    (stream, rig.asked())
}

/// A client with an allocation, over UDP, or over TCP.
enum Client {
    Datagrams(UdpSocket),
    Stream(TcpStream),
}

impl Client {
    fn at(rig: &Rig, worker: usize, is_stream: bool) -> (Self, FiveTuple) {
        if is_stream {
            let (stream, five_tuple) = at(worker, || tcp_asker(rig));
            (Self::Stream(stream), five_tuple)
        } else {
            let (socket, five_tuple) = at(worker, || udp_asker(rig));
            (Self::Datagrams(socket), five_tuple)
        }
    }

    fn send(&mut self, channel: u16, payload: &[u8]) {
        match self {
            Self::Datagrams(socket) => {
                socket.send(&channel_data(channel, payload)).unwrap();
            }
            Self::Stream(stream) => stream
                .write_all(&padded_channel_data(channel, payload))
                .unwrap(),
        }
    }

    /// The next message is this one.
    fn hears(&mut self, expected: &[u8]) {
        match self {
            Self::Datagrams(socket) => assert_eq!(receive(socket), expected),
            Self::Stream(stream) => assert_eq!(receive_exactly(stream, expected.len()), expected),
        }
    }

    fn hears_data(&mut self, channel: u16, payload: &[u8]) {
        match self {
            Self::Datagrams(_) => self.hears(&channel_data(channel, payload)),
            Self::Stream(_) => self.hears(&padded_channel_data(channel, payload)),
        }
    }
}

#[test]
fn clients_are_spread_over_all_workers_and_each_has_what_it_asked_for() {
    let rig = rig();
    let mut found = [0; WORKERS];
    for allocation in 1..=PLENTY as u64 {
        let client = rig.udp_client(allocation);
        let peer = udp_socket(LOCALHOST);
        rig.bind_channel(allocation, CHANNEL, local(&peer));
        rig.reply(client.five_tuple, b"bound");
        assert_eq!(client.receive(), b"bound");
        client.send(&channel_data(CHANNEL, b"there"));
        assert_eq!(receive(&peer), b"there");
        peer.send_to(b"back", client.relayed).unwrap();
        assert_eq!(client.receive(), channel_data(CHANNEL, b"back"));
        found[worker_of(client.five_tuple)] += 1;
        let usage = rig.close(allocation);
        assert_eq!((usage.sent_packets, usage.received_packets), (1, 1));
    }
    assert!(found.iter().all(|count| *count > 0), "{found:?}");
    assert_eq!(rig.of_workers("asked"), found);
    assert_eq!(rig.counter("asked"), PLENTY as u64);
    assert_eq!(rig.counter("crossed"), 0);
}

#[test]
fn what_one_allocation_sends_to_one_of_another_worker_stays_inside() {
    for (one_is_stream, other_is_stream) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let rig = rig();
        let (mut one, of_one) = Client::at(&rig, 0, one_is_stream);
        let (mut other, of_other) = Client::at(&rig, 1, other_is_stream);
        let (relayed, other_relayed) = (rig.open(1, of_one), rig.open(2, of_other));
        // The kernel would not carry this: only relayed addresses of this server may be reached.
        for (allocation, peer) in [(1, other_relayed), (2, relayed)] {
            rig.datapath.apply([
                Command::Change(Change::Permit {
                    allocation,
                    peer_ip: peer.ip(),
                    relayed_only: true,
                    expires_at: NEVER,
                }),
                Command::Change(Change::BindChannel {
                    allocation,
                    number: CHANNEL,
                    peer,
                    relayed_only: true,
                    expires_at: NEVER,
                }),
            ]);
        }
        for (client, five_tuple) in [(&mut one, of_one), (&mut other, of_other)] {
            rig.reply(five_tuple, b"opened");
            client.hears(b"opened");
        }
        for round in 0..100u8 {
            one.send(CHANNEL, &[1, round]);
            other.send(CHANNEL, &[2, round]);
            other.hears_data(CHANNEL, &[1, round]);
            one.hears_data(CHANNEL, &[2, round]);
        }
        for allocation in [1, 2] {
            let usage = rig.close(allocation);
            assert_eq!((usage.sent_packets, usage.received_packets), (100, 100));
            assert_eq!((usage.sent_bytes, usage.received_bytes), (200, 200));
        }
        // A worker counts what it has handed over; having closed since, it has counted.
        assert_eq!(rig.of_workers("crossed"), [100, 100]);
    }
}

#[test]
fn a_relayed_address_of_another_worker_is_nobodys_when_it_is_closed() {
    let rig = rig();
    let (mut one, of_one) = Client::at(&rig, 0, false);
    let (_other, of_other) = Client::at(&rig, 1, false);
    let (_, target) = (rig.open(1, of_one), rig.open(2, of_other));
    rig.close(2);
    rig.datapath.apply([Command::Change(Change::BindChannel {
        allocation: 1,
        number: CHANNEL,
        peer: target,
        relayed_only: true,
        expires_at: NEVER,
    })]);
    rig.reply(of_one, b"bound");
    one.hears(b"bound");
    one.send(CHANNEL, b"lost");
    rig.is_alive();
    assert_eq!(rig.counter("dropped_own_address"), 1);
    assert_eq!(rig.counter("crossed"), 0);
}

#[test]
fn a_client_moves_to_a_path_of_another_worker_and_back() {
    for (from_stream, to_stream) in [(false, false), (false, true), (true, false), (true, true)] {
        let rig = rig();
        let (mut old, of_old) = Client::at(&rig, 0, from_stream);
        let (mut new, of_new) = Client::at(&rig, 1, to_stream);
        let peer = udp_socket(LOCALHOST);
        let relayed = rig.open(7, of_old);
        rig.bind_channel(7, CHANNEL, local(&peer));
        rig.reply(of_old, b"bound");
        old.hears(b"bound");
        moves(&rig, &mut new, of_new);
        peer.send_to(b"before", relayed).unwrap();
        old.hears_data(CHANNEL, b"before");
        walks(&rig, &mut new, of_new, &peer, relayed);
        old.send(CHANNEL, b"too late");
        rig.is_alive();
        // And home again.
        moves(&rig, &mut old, of_old);
        walks(&rig, &mut old, of_old, &peer, relayed);
        let usage = rig.close(7);
        let (sent, received) = (usage.sent_packets, usage.received_packets);
        assert_eq!((sent, received), (2 * ROUNDS + 2, 2 * ROUNDS + 1));
        new.send(CHANNEL, b"nobody");
        old.send(CHANNEL, b"nobody");
        rig.is_alive();
    }
}

const ROUNDS: u64 = 50;

/// A second path is opened, and the client hears of it there.
fn moves(rig: &Rig, client: &mut Client, five_tuple: FiveTuple) {
    let change = Change::Move {
        allocation: 7,
        five_tuple,
        until: NEVER,
    };
    rig.datapath.apply([
        Command::Change(change),
        Command::Reply {
            five_tuple,
            message: b"move".to_vec(),
        },
    ]);
    client.hears(b"move");
}

/// The client sends over its new path, and is heard and sent to there at once.
fn walks(
    rig: &Rig,
    client: &mut Client,
    five_tuple: FiveTuple,
    peer: &UdpSocket,
    relayed: SocketAddr,
) {
    for round in 0..=ROUNDS {
        client.send(CHANNEL, &round.to_be_bytes());
        assert_eq!(receive(peer), round.to_be_bytes());
        if round == 0 {
            let allocation = 7;
            assert_eq!(
                rig.event(),
                Event::Moved {
                    allocation,
                    five_tuple
                }
            );
        }
        if round < ROUNDS {
            peer.send_to(&round.to_be_bytes(), relayed).unwrap();
            client.hears_data(CHANNEL, &round.to_be_bytes());
        }
    }
}

#[test]
fn a_connection_that_carries_another_workers_allocation_is_not_pending() {
    let rig = Rig::begin(
        Settings {
            workers: WORKERS,
            connection_timeout: std::time::Duration::from_millis(300),
            ..Settings::default()
        },
        LOCALHOST,
        LOCALHOST,
    );
    let (_old, of_old) = Client::at(&rig, 0, false);
    let (mut idle, _) = at(1, || tcp_asker(&rig));
    let (mut new, of_new) = Client::at(&rig, 1, true);
    rig.open(7, of_old);
    moves(&rig, &mut new, of_new);
    assert!(is_closed(&mut idle));
    // It has had as long as the idle one, or longer by little.
    std::thread::sleep(std::time::Duration::from_millis(100));
    rig.reply(of_new, b"still");
    new.hears(b"still");
    rig.change(Change::Leave {
        allocation: 7,
        five_tuple: of_new,
    });
    let Client::Stream(stream) = &mut new else {
        panic!("a stream")
    };
    assert!(is_closed(stream));
}

/// A TCP allocation at a worker; returns its control connection, and its relayed address.
fn allocate_tcp(rig: &Rig, worker: usize, allocation: u64) -> (TcpStream, SocketAddr) {
    let (control, five_tuple) = at(worker, || tcp_asker(rig));
    let bound = std::iter::repeat_with(|| TcpListener::bind((LOCALHOST, 0)).unwrap())
        .map(|free| free.local_addr().unwrap())
        .find(|bound| rig.datapath.bind_tcp_relay(*bound).is_ok())
        .unwrap();
    rig.datapath.apply([Command::OpenTcp {
        allocation,
        five_tuple,
        bound,
        advertised: bound,
        expires_at: NEVER,
        bytes_per_second: 0,
    }]);
    (control, bound)
}

fn connect(rig: &Rig, allocation: u64, connection: u64, peer: SocketAddr) {
    rig.datapath.apply([Command::Connect {
        connection,
        allocation,
        peer,
        relayed_only: false,
    }]);
}

/// A client's connection at this worker that is joined with a peer's, and has `behind` as the first
/// thing that it sends.
fn bind(rig: &Rig, worker: usize, connection: u64, behind: &[u8]) -> TcpStream {
    let (mut line, five_tuple) = at(worker, || {
        let mut line = rig.connect();
        let asked = request(CONNECTION_BIND);
        line.write_all(&[&asked, behind].concat()).unwrap();
        (line, rig.asked())
    });
    rig.datapath.apply([
        Command::Join {
            connection,
            five_tuple,
        },
        Command::Reply {
            five_tuple,
            message: b"joined".to_vec(),
        },
    ]);
    assert_eq!(receive_exactly(&mut line, 6), b"joined");
    line
}

#[test]
fn a_connection_is_bound_that_another_worker_has_accepted() {
    let rig = rig();
    let (_control, _) = allocate_tcp(&rig, 0, 1);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    connect(&rig, 1, 1, listener.local_addr().unwrap());
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(b"early").unwrap();
    assert_eq!(
        rig.event(),
        Event::Connected {
            connection: 1,
            succeeded: true
        }
    );
    let mut line = bind(&rig, 1, 1, b"behind");
    assert_eq!(receive_exactly(&mut line, 5), b"early");
    assert_eq!(receive_exactly(&mut peer, 6), b"behind");
    let (much, mut sent) = (vec![7; 4 << 20], line.try_clone().unwrap());
    let sending = std::thread::spawn(move || {
        sent.write_all(&much).unwrap();
        sent.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    sending.join().unwrap();
    assert_eq!(received.len(), 4 << 20);
    drop(peer);
    assert!(is_closed(&mut line));
    let ended = Event::Ended {
        connection: 1,
        sent_bytes: (4 << 20) + 6,
        received_bytes: 5,
    };
    assert_eq!(rig.event(), ended);
}

#[test]
fn a_client_that_binds_too_late_is_closed_whichever_worker_it_speaks_to() {
    for worker in 0..WORKERS {
        let rig = rig();
        let (_control, _) = allocate_tcp(&rig, 0, 1);
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        connect(&rig, 1, 1, listener.local_addr().unwrap());
        rig.event();
        rig.datapath
            .apply([Command::CloseConnection { connection: 1 }]);
        let mut line = bind(&rig, worker, 1, b"");
        assert!(is_closed(&mut line));
    }
}

#[test]
fn a_peer_hears_when_the_client_leaves_before_it_is_joined() {
    let rig = rig();
    let (_control, _) = allocate_tcp(&rig, 0, 1);
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    connect(&rig, 1, 1, listener.local_addr().unwrap());
    let (mut peer, _) = listener.accept().unwrap();
    rig.event();
    let (line, five_tuple) = at(1, || {
        let mut line = rig.connect();
        line.write_all(&request(CONNECTION_BIND)).unwrap();
        (line, rig.asked())
    });
    // Nothing is read from it, so that only a reset is noticed.
    socket2::SockRef::from(&line)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(line);
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    let join = Command::Join {
        connection: 1,
        five_tuple,
    };
    rig.datapath.apply([join]);
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_closed(&mut peer));
    assert!(matches!(rig.event(), Event::Ended { connection: 1, .. }));
}

#[test]
fn tcp_allocations_of_two_workers_reach_each_other() {
    let rig = rig();
    let (_one, relayed) = allocate_tcp(&rig, 0, 1);
    let (_other, target) = allocate_tcp(&rig, 1, 2);
    for (allocation, peer) in [(1, target), (2, relayed)] {
        rig.change(Change::Permit {
            allocation,
            peer_ip: peer.ip(),
            relayed_only: true,
            expires_at: NEVER,
        });
    }
    // A client would wait for the success of CreatePermission, which comes from its own worker.
    rig.is_alive();
    let connect = Command::Connect {
        connection: 1,
        allocation: 1,
        peer: target,
        relayed_only: true,
    };
    rig.datapath.apply([connect]);
    let (mut arrived, mut connected) = (None, false);
    while arrived.is_none() || !connected {
        match rig.event() {
            Event::Connected { succeeded, .. } => connected = succeeded,
            Event::Arrived {
                allocation,
                peer,
                connection,
            } => {
                assert_eq!((allocation, peer), (2, relayed));
                arrived = Some(connection);
            }
            other => panic!("{other:?}"),
        }
    }
    // Each client binds at the worker that has the other one's allocation.
    let mut one = bind(&rig, 1, 1, b"hello");
    let mut other = bind(&rig, 0, arrived.unwrap(), b"");
    assert_eq!(receive_exactly(&mut other, 5), b"hello");
    other.write_all(b"welcome").unwrap();
    assert_eq!(receive_exactly(&mut one, 7), b"welcome");
}

#[test]
fn whether_all_are_well_is_answered_once() {
    let rig = rig();
    for _ in 0..3 {
        assert_eq!(rig.close(0), ferryman_flow::Usage::default());
    }
    rig.is_alive();
    assert!(rig.datapath.drain(64).is_empty());
}

#[test]
fn limits_hold_for_all_workers_together() {
    let rig = of(Choices {
        total_connections: 8,
        ..Choices::default()
    });
    let mut open: Vec<_> = (0..8).map(|_| tcp_asker(&rig)).collect();
    for _ in 0..4 {
        assert!(is_closed(&mut rig.connect()));
    }
    let workers: Vec<_> = open.iter().map(|(_, path)| worker_of(*path)).collect();
    assert_eq!(
        rig.of_workers("connections_accepted").iter().sum::<u64>(),
        8
    );
    for worker in 0..WORKERS {
        let count = workers.iter().filter(|one| **one == worker).count() as u64;
        assert_eq!(rig.of_workers("connections_accepted")[worker], count);
    }
    assert!(matches!(rig.event(), Event::Notice { .. }));
    let (gone, five_tuple) = open.pop().unwrap();
    drop(gone);
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    tcp_asker(&rig);
}

#[test]
fn a_retired_listener_keeps_all_its_sockets_until_no_worker_needs_one() {
    let rig = rig();
    let (mut client, five_tuple) = Client::at(&rig, 0, false);
    let peer = udp_socket(LOCALHOST);
    rig.open(7, five_tuple);
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(five_tuple, b"bound");
    client.hears(b"bound");
    rig.datapath.retire_udp(rig.udp);
    // The other worker lets go of its socket after a second, while this one goes on.
    let until = std::time::Instant::now() + std::time::Duration::from_millis(2_500);
    while std::time::Instant::now() < until {
        client.send(CHANNEL, b"on");
        assert_eq!(receive(&peer), b"on");
    }
    assert!(UdpSocket::bind(rig.udp).is_err());
    assert_eq!(rig.datapath.listen_udp(rig.udp).unwrap(), rig.udp.port());
    rig.is_alive();
    client.send(CHANNEL, b"still");
    assert_eq!(receive(&peer), b"still");
}
