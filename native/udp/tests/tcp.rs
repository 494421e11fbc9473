//! Clients over TCP, on loopback sockets.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ferryman_udp::{Choices, Command, Event, Settings};
use rig::*;

const CHANNEL: u16 = 0x4000;

#[test]
fn a_message_may_come_one_byte_at_a_time() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    let asked = request(BINDING);
    let octets = [padded_channel_data(CHANNEL, b"hello"), asked.clone()].concat();
    octets.iter().for_each(|octet| client.send(&[*octet]));
    assert_eq!(receive(&peer), b"hello");
    assert!(answers(&client.receive(32), &asked));
}

#[test]
fn ten_messages_may_come_in_one_segment() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    let mut octets = Vec::new();
    for index in 0..5u8 {
        octets.extend(padded_channel_data(
            CHANNEL,
            &vec![index; usize::from(index)],
        ));
        octets.extend(send_indication(local(&peer), &[index, index]));
    }
    client.send(&octets);
    for index in 0..5u8 {
        assert_eq!(receive(&peer), vec![index; usize::from(index)]);
        assert_eq!(receive(&peer), [index, index]);
    }
}

#[test]
fn what_comes_back_is_padded() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    let stranger = udp_socket(LOCALHOST);
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(5), b"bound");
    for payload in [&b"one"[..], b"four", b"", b"seven b"] {
        peer.send_to(payload, client.relayed).unwrap();
        let expected = padded_channel_data(CHANNEL, payload);
        assert_eq!(client.receive(expected.len()), expected);
        stranger.send_to(payload, client.relayed).unwrap();
        let expected = data_indication(local(&stranger), payload);
        assert_eq!(without_id(&client.receive(expected.len() + 12)), expected);
    }
}

#[test]
fn the_longest_messages_pass_when_there_is_an_allocation() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    let payload = vec![9; 65_507];
    client.send(&padded_channel_data(CHANNEL, &payload));
    assert!(receive(&peer) == payload);
    peer.send_to(&payload, client.relayed).unwrap();
    let expected = padded_channel_data(CHANNEL, &payload);
    assert!(client.receive(expected.len()) == expected);
}

#[test]
fn the_longest_message_that_a_length_can_tell_may_come_in_pieces() {
    let rig = Rig::new();
    let mut client = rig.tcp_client(7);
    let message = padded_channel_data(CHANNEL, &[1; 65_535]);
    let (beginning, end) = message.split_at(65_538);
    client.send(beginning);
    // By its second answer the worker has read all that was there before.
    rig.is_alive();
    rig.is_alive();
    let asked = request(BINDING);
    client.send(&[end, &asked].concat());
    assert!(answers(&client.receive(32), &asked));
}

#[test]
fn clients_over_tcp_and_udp_reach_each_other_inside() {
    let rig = Rig::new();
    let (mut one, two) = (rig.tcp_client(1), rig.udp_client(2));
    rig.bind_channel(1, CHANNEL, two.relayed);
    rig.bind_channel(2, CHANNEL + 5, one.relayed);
    rig.reply(two.five_tuple, b"ready");
    assert_eq!(two.receive(), b"ready");
    one.send(&padded_channel_data(CHANNEL, b"hello"));
    assert_eq!(two.receive(), channel_data(CHANNEL + 5, b"hello"));
    two.send(&channel_data(CHANNEL + 5, b"hello yourself"));
    assert_eq!(
        one.receive(20),
        padded_channel_data(CHANNEL, b"hello yourself")
    );
}

#[test]
fn bytes_that_no_turn_stream_can_hold_close_the_connection() {
    let starts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x00\x00\x00",
        b"\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x00\x01\x00\x02\x21\x12\xA4\x42",
        b"\xFF",
    ];
    let rig = Rig::new();
    for start in starts {
        let mut stream = rig.connect();
        stream.write_all(start).unwrap();
        assert!(is_closed(&mut stream), "{start:x?}");
    }
    rig.is_alive();
}

#[test]
fn before_there_is_an_allocation_long_messages_close_the_connection() {
    let rig = Rig::new();
    for start in [&[0x40, 0x00, 0x10, 0x01][..], &[0x00, 0x03, 0x10, 0x00]] {
        let mut stream = rig.connect();
        stream.write_all(start).unwrap();
        assert!(is_closed(&mut stream));
    }
    let mut stream = rig.connect();
    let longest = stun(ALLOCATE, &vec![0; 4096 - 20]);
    stream.write_all(&longest).unwrap();
    assert!(matches!(rig.event(), Event::Request { message, .. } if message == longest));
}

#[test]
fn the_end_of_a_connection_that_asked_is_reported() {
    let rig = Rig::new();
    let mut stream = rig.connect();
    stream.write_all(&request(ALLOCATE)).unwrap();
    let five_tuple = rig.asked();
    drop(stream);
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    // A reply for it is nothing to anyone.
    rig.reply(five_tuple, b"late");
    rig.is_alive();
}

#[test]
fn the_end_of_a_connection_that_asked_nothing_is_not() {
    let rig = Rig::new();
    let mut stream = rig.connect();
    let asked = request(BINDING);
    stream.write_all(&asked).unwrap();
    assert!(answers(&receive_exactly(&mut stream, 32), &asked));
    drop(stream);
    until(|| rig.counter("connections") == 0);
    assert!(rig.datapath.drain(64).is_empty());
}

#[test]
fn a_connections_number_is_never_used_again() {
    let rig = Rig::new();
    let numbers: Vec<u64> = (0..5)
        .map(|_| {
            let mut stream = rig.connect();
            stream.write_all(&request(ALLOCATE)).unwrap();
            let number = rig.asked().socket;
            drop(stream);
            assert!(matches!(rig.event(), Event::Disconnected { .. }));
            number
        })
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

#[test]
fn the_oldest_connection_without_an_allocation_goes_for_the_newest() {
    let rig = Rig::alone(Settings {
        pending_connections: 2,
        ..Settings::default()
    });
    let mut owner = rig.tcp_client(7);
    let mut streams: Vec<_> = (0..4).map(|_| rig.connect()).collect();
    assert!(is_closed(&mut streams[0]));
    assert!(is_closed(&mut streams[1]));
    for stream in &mut streams[2..] {
        let asked = request(BINDING);
        stream.write_all(&asked).unwrap();
        assert!(answers(&receive_exactly(stream, 32), &asked));
    }
    rig.reply(owner.five_tuple, b"still there");
    assert_eq!(owner.receive(11), b"still there");
}

#[test]
fn who_has_many_connections_without_an_allocation_pushes_out_nobody_else() {
    let rig = Rig::alone(Settings {
        pending_connections: 3,
        ..Settings::default()
    });
    let mut lone = rig.connect_from("127.0.0.2");
    let mut many: Vec<_> = (0..9).map(|_| rig.connect()).collect();
    for stream in &mut many[..7] {
        assert!(is_closed(stream));
    }
    for stream in many[7..].iter_mut().chain([&mut lone]) {
        assert!(is_served(stream));
    }
}

#[test]
fn connections_of_one_source_are_limited_with_an_allocation_or_without() {
    let rig = Rig::of(Settings {
        choices: Choices {
            source_connections: 2,
            ..Choices::default()
        },
        ..Settings::default()
    });
    let owner = rig.tcp_client(7);
    let mut second = rig.connect();
    assert!(is_served(&mut second));
    assert!(is_closed(&mut rig.connect()));
    match rig.event() {
        Event::Notice { text } => assert_eq!(
            text,
            "too many connections from one address (source-connections): 127.0.0.1"
        ),
        other => panic!("{other:?}"),
    }
    assert!(is_closed(&mut rig.connect()));
    assert_eq!(rig.counter("connections_refused"), 2);
    assert!(is_served(&mut rig.connect_from("127.0.0.2")));
    drop(owner.socket);
    assert!(matches!(rig.event(), Event::Disconnected { .. }));
    assert!(is_served(&mut rig.connect()));
    assert!(is_served(&mut second));
}

#[test]
fn connections_in_all_are_limited() {
    let rig = Rig::of(Settings {
        choices: Choices {
            total_connections: 2,
            ..Choices::default()
        },
        ..Settings::default()
    });
    let (mut first, mut second) = (rig.connect(), rig.connect_from("127.0.0.2"));
    assert!(is_served(&mut first) && is_served(&mut second));
    assert!(is_closed(&mut rig.connect_from("127.0.0.3")));
    assert!(matches!(rig.event(), Event::Notice { .. }));
    drop(first);
    until(|| rig.counter("connections") == 1);
    assert!(is_served(&mut rig.connect_from("127.0.0.3")));
}

fn is_served(stream: &mut TcpStream) -> bool {
    let asked = request(BINDING);
    stream.write_all(&asked).unwrap();
    answers(&receive_exactly(stream, 32), &asked)
}

#[test]
fn a_connection_without_an_allocation_ends_in_time() {
    let connection_timeout = Duration::from_millis(500);
    let rig = Rig::of(Settings {
        connection_timeout,
        ..Settings::default()
    });
    let mut owner = rig.tcp_client(7);
    let (start, mut stream) = (Instant::now(), rig.connect());
    // Half a header does not buy time.
    stream.write_all(&[0, 1, 0]).unwrap();
    assert!(is_closed(&mut stream));
    assert!(start.elapsed() >= connection_timeout);
    rig.reply(owner.five_tuple, b"still there");
    assert_eq!(owner.receive(11), b"still there");
    rig.close(7);
    assert!(is_closed(&mut owner.socket));
    assert_eq!(
        rig.event(),
        Event::Disconnected {
            five_tuple: owner.five_tuple
        }
    );
}

#[test]
fn a_client_that_never_reads_loses_packets_and_stops_nobody() {
    let rig = Rig::new();
    let (mut stuck, other, peer) = (rig.tcp_client(1), rig.udp_client(2), udp_socket(LOCALHOST));
    for (allocation, client) in [(1, stuck.five_tuple), (2, other.five_tuple)] {
        rig.bind_channel(allocation, CHANNEL, local(&peer));
        rig.reply(client, b"bound");
    }
    assert_eq!(other.receive(), b"bound");
    let (mut sent, payload) = (0, [5; 1200]);
    while rig.counter("dropped_backlog") < 10_000 {
        for _ in 0..100 {
            peer.send_to(&payload, stuck.relayed).unwrap();
        }
        sent += 100;
        peer.send_to(b"passing by", other.relayed).unwrap();
        assert_eq!(other.receive(), channel_data(CHANNEL, b"passing by"));
    }
    // What it gets once it reads is whole messages, far fewer than were sent, and every reply.
    const END: &[u8] = b"the end.";
    rig.reply(stuck.five_tuple, END);
    assert_eq!(stuck.receive(5), b"bound");
    let expected = padded_channel_data(CHANNEL, &payload);
    let mut received = 0;
    loop {
        let start = stuck.receive(END.len());
        if start == END {
            break;
        }
        let rest = stuck.receive(expected.len() - END.len());
        assert!([start, rest].concat() == expected);
        received += 1;
    }
    assert!(received + 10_000 <= sent, "{received} of {sent}");
}

#[test]
fn a_client_that_asks_and_never_reads_is_cut_off() {
    let rig = Rig::new();
    let mut stream = rig.connect();
    stream.set_nonblocking(true).unwrap();
    let requests: Vec<u8> = (0..500).flat_map(|_| request(BINDING)).collect();
    let mut at = 0;
    until(|| {
        match stream.write(&requests[at..]) {
            Ok(count) => at = (at + count) % requests.len(),
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
        false
    });
    until(|| rig.counter("connections") == 0);
    rig.is_alive();
}

#[test]
fn a_full_queue_makes_tcp_clients_wait_and_loses_nothing() {
    const REQUESTS: usize = 100;
    let rig = Rig::of(Settings {
        queue_limit: 4,
        ..Settings::default()
    });
    let mut streams = [rig.connect(), rig.connect()];
    for (id, stream) in streams.iter_mut().enumerate() {
        let octets: Vec<u8> = (0..REQUESTS)
            .flat_map(|_| request(ALLOCATE + id as u16))
            .collect();
        stream.write_all(&octets).unwrap();
    }
    let asked: Vec<Vec<u8>> = (0..2 * REQUESTS)
        .map(|_| match rig.event() {
            Event::Request { message, .. } => message,
            other => panic!("{other:?}"),
        })
        .collect();
    for id in 0..2 {
        let own: Vec<_> = asked
            .iter()
            .filter(|message| message[1] == 3 + id)
            .collect();
        assert_eq!(own.len(), REQUESTS);
        assert!(
            own.is_sorted_by(|one, next| one[12..20] < next[12..20]),
            "out of order"
        );
    }
    assert!(rig.datapath.drain(64).is_empty());
}

#[test]
fn connections_that_ask_much_leave_others_their_turn() {
    const BUSY: usize = 10;
    let rig = Rig::of(Settings {
        queue_limit: 512,
        ..Settings::default()
    });
    let much: Vec<u8> = (0..200).flat_map(|_| request(ALLOCATE)).collect();
    let mut busy: Vec<_> = (0..BUSY).map(|_| rig.connect()).collect();
    for stream in &mut busy {
        stream.write_all(&much).unwrap();
    }
    until(|| rig.counter("asked") == 64);
    rig.is_alive();
    let mut polite = rig.connect();
    polite.write_all(&request(ALLOCATE + 1)).unwrap();
    until(|| rig.counter("connections") == BUSY as u64 + 1);
    rig.is_alive();
    let mut before = 0;
    loop {
        let events = rig.datapath.drain(64);
        let asked = events.iter().filter_map(|event| match event {
            Event::Request { message, .. } => Some(message[1]),
            _ => None,
        });
        let asked: Vec<u8> = asked.collect();
        match asked.iter().position(|method| *method == 4) {
            Some(place) => break before += place,
            None => before += asked.len(),
        }
        rig.is_alive();
    }
    assert!(before <= 64 + 4 * BUSY + 64, "{before} came first");
}

#[test]
fn a_client_that_goes_while_it_waits_for_the_queue_is_forgotten() {
    let rig = Rig::of(Settings {
        queue_limit: 1,
        ..Settings::default()
    });
    let mut stream = rig.connect();
    let octets: Vec<u8> = (0..5).flat_map(|_| request(ALLOCATE)).collect();
    stream.write_all(&octets).unwrap();
    let five_tuple = rig.asked();
    // With bytes unread on its side, a close is a reset.
    rig.reply(five_tuple, b"unread");
    until(|| stream.peek(&mut [0; 6]).unwrap() == 6);
    drop(stream);
    until(|| rig.counter("connections") == 0);
    let events = std::iter::from_fn(|| Some(rig.event()));
    let ended = events
        .take(6)
        .find(|event| matches!(event, Event::Disconnected { .. }));
    assert_eq!(ended, Some(Event::Disconnected { five_tuple }));
}

#[test]
fn replies_to_many_connections_leave_in_order() {
    let rig = Rig::new();
    let mut clients: Vec<_> = (0..5)
        .map(|allocation| rig.tcp_client(allocation))
        .collect();
    let commands = (0..50u8).flat_map(|index| {
        let reply = move |five_tuple| Command::Reply {
            five_tuple,
            message: vec![index],
        };
        clients
            .iter()
            .map(move |client| reply(client.five_tuple))
            .collect::<Vec<_>>()
    });
    rig.datapath.apply(commands.collect::<Vec<_>>());
    for client in &mut clients {
        assert_eq!(client.receive(50), (0..50).collect::<Vec<u8>>());
    }
}

#[test]
fn ipv6_clients_are_served_on_all_addresses() {
    let rig = Rig::with(Settings::default(), "::", "::1");
    let mut client = rig.tcp_client(7);
    assert_eq!(client.five_tuple.server, rig.tcp);
    assert_eq!(
        client.five_tuple.client,
        client.socket.local_addr().unwrap()
    );
    let peer = udp_socket("::1");
    rig.bind_channel(7, CHANNEL, local(&peer));
    client.send(&padded_channel_data(CHANNEL, b"hello"));
    assert_eq!(receive(&peer), b"hello");
}

/// Tries again until it is true, which must not take long.
fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it never came true");
        std::thread::yield_now();
    }
}
