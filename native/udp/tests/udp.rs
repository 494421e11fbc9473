//! Clients over UDP, on loopback sockets.
#![allow(clippy::unwrap_used)]

mod rig;

use std::net::{SocketAddr, UdpSocket};

use ferryman_flow::{Change, Discovery, Family, Usage};
use ferryman_udp::{Command, Datapath, Event, Settings};
use rig::*;

const CHANNEL: u16 = 0x4000;

#[test]
fn a_binding_request_is_answered_without_the_engine() {
    let rig = Rig::new();
    let client = udp_socket(LOCALHOST);
    let asked = request(BINDING);
    client.send_to(&asked, rig.udp).unwrap();
    let (answer, from) = receive_from(&client);
    assert!(answers(&answer, &asked));
    assert_eq!(from, rig.udp);
    assert!(rig.datapath.drain(1).is_empty());
}

/// Two datapath listeners beside the rig's own, on a second IP and a second port.
fn discovering(rig: &Rig) -> Discovery {
    let ips = [LOCALHOST, "127.0.0.2"].map(|ip| ip.parse().unwrap());
    let listen = |ip, port| rig.datapath.listen_udp(address(ip, port));
    let second = std::iter::repeat_with(|| listen(LOCALHOST, 0).unwrap())
        .take(100)
        .find(|port| listen("127.0.0.2", *port).is_ok())
        .expect("no port is free on both");
    listen("127.0.0.2", rig.udp.port()).unwrap();
    let ports = [rig.udp.port(), second];
    Discovery {
        bound: ips,
        advertised: ips,
        ports,
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked_for() {
    let rig = Rig::new();
    let discovery = discovering(&rig);
    rig.datapath.offer_discovery(discovery);
    let client = udp_socket(LOCALHOST);
    for (flags, ip, port) in [(0, 0, 0), (2, 0, 1), (4, 1, 0), (6, 1, 1)] {
        let mut asked = request(BINDING);
        asked[3] = 8;
        asked.extend([0, 3, 0, 4, 0, 0, 0, flags]);
        client.send_to(&asked, rig.udp).unwrap();
        let (answer, from) = receive_from(&client);
        assert!(answers(&answer, &asked));
        let expected = SocketAddr::new(discovery.bound[ip], discovery.ports[port]);
        assert_eq!(from, expected, "flags {flags}");
    }
}

#[test]
fn an_answer_goes_to_the_port_that_was_asked_for() {
    let rig = Rig::new();
    rig.datapath.offer_discovery(discovering(&rig));
    let (client, other) = (udp_socket(LOCALHOST), udp_socket(LOCALHOST));
    let mut asked = request(BINDING);
    asked[3] = 8;
    asked.extend([0, 0x27, 0, 4]);
    asked.extend(local(&other).port().to_be_bytes());
    asked.extend([0, 0]);
    client.send_to(&asked, rig.udp).unwrap();
    let (answer, from) = receive_from(&other);
    assert!(answers(&answer, &asked));
    assert_eq!(from, rig.udp);
}

#[test]
fn other_requests_go_to_the_engine_as_they_came() {
    let rig = Rig::new();
    let client = udp_socket(LOCALHOST);
    let asked = request(ALLOCATE);
    client.send_to(&asked, rig.udp).unwrap();
    match rig.event() {
        Event::Request {
            five_tuple,
            message,
        } => {
            assert_eq!(message, asked);
            assert_eq!(five_tuple.client, local(&client));
            assert_eq!(five_tuple.server, rig.udp);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn channel_data_goes_both_ways() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    client.send(&channel_data(CHANNEL, b"there"));
    let (payload, from) = receive_from(&peer);
    assert_eq!(payload, b"there");
    assert_eq!(from, client.relayed);
    peer.send_to(b"and back", client.relayed).unwrap();
    assert_eq!(client.receive(), channel_data(CHANNEL, b"and back"));
}

#[test]
fn send_and_data_indications_go_both_ways() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.permit(7, local(&peer));
    rig.reply(client.five_tuple, b"permitted");
    assert_eq!(client.receive(), b"permitted");
    client.send(&send_indication(local(&peer), b"three"));
    assert_eq!(receive(&peer), b"three");
    peer.send_to(b"seven b", client.relayed).unwrap();
    let indication = without_id(&client.receive());
    assert_eq!(indication, data_indication(local(&peer), b"seven b"));
}

#[test]
fn one_allocation_relays_over_both_families() {
    let rig = Rig::new();
    let client = rig.udp_client(7);
    let v6 = rig.add_relayed(7, "::1");
    for (number, ip, relayed) in [
        (CHANNEL, LOCALHOST, client.relayed),
        (CHANNEL + 1, "::1", v6),
    ] {
        let peer = udp_socket(ip);
        rig.bind_channel(7, number, local(&peer));
        rig.reply(client.five_tuple, b"bound");
        assert_eq!(client.receive(), b"bound");
        client.send(&channel_data(number, b"there"));
        assert_eq!(receive_from(&peer), (b"there".to_vec(), relayed));
        peer.send_to(b"and back", relayed).unwrap();
        assert_eq!(client.receive(), channel_data(number, b"and back"));
    }
}

#[test]
fn a_relayed_address_that_is_closed_is_free_again_and_the_other_stays() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket("::1"));
    let v6 = rig.add_relayed(7, "::1");
    let (allocation, family) = (7, Family::V4);
    rig.change(Change::CloseRelayed { allocation, family });
    assert_eq!(rig.event(), Event::RelayedClosed { allocation, family });
    UdpSocket::bind(client.relayed).unwrap();
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    client.send(&channel_data(CHANNEL, b"there"));
    assert_eq!(receive_from(&peer), (b"there".to_vec(), v6));
    assert_eq!(rig.close(7).sent_packets, 1);
    UdpSocket::bind(v6).unwrap();
}

#[test]
fn an_empty_payload_is_a_payload() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    client.send(&channel_data(CHANNEL, b""));
    assert_eq!(receive(&peer), b"");
    peer.send_to(b"", client.relayed).unwrap();
    assert_eq!(client.receive(), channel_data(CHANNEL, b""));
}

#[test]
fn the_longest_payloads_pass() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    let payload = vec![7; 65_507 - 4];
    client.send(&channel_data(CHANNEL, &payload));
    assert!(receive(&peer) == payload);
    peer.send_to(&payload, client.relayed).unwrap();
    assert!(client.receive() == channel_data(CHANNEL, &payload));
}

#[test]
fn a_success_leaves_after_the_flow_it_reports() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    for round in 0..200u16 {
        let number = CHANNEL + round;
        let peer = udp_socket_at(&peer, round);
        rig.datapath.apply([
            Command::Change(permit(7, local(&peer).ip())),
            Command::Change(bind_channel(7, number, local(&peer))),
            Command::Reply {
                five_tuple: client.five_tuple,
                message: b"bound".to_vec(),
            },
        ]);
        assert_eq!(client.receive(), b"bound");
        client.send(&channel_data(number, &round.to_be_bytes()));
        assert_eq!(receive(&peer), round.to_be_bytes());
    }
}

#[test]
fn what_one_allocation_sends_to_another_stays_inside() {
    let rig = Rig::new();
    let (one, two) = (rig.udp_client(1), rig.udp_client(2));
    rig.bind_channel(1, CHANNEL, two.relayed);
    rig.permit(2, one.relayed);
    rig.reply(two.five_tuple, b"ready");
    assert_eq!(two.receive(), b"ready");
    one.send(&channel_data(CHANNEL, b"hello"));
    assert_eq!(
        without_id(&two.receive()),
        data_indication(one.relayed, b"hello")
    );
    two.send(&send_indication(one.relayed, b"hello yourself"));
    assert_eq!(one.receive(), channel_data(CHANNEL, b"hello yourself"));
    assert_eq!(rig.counter("peer_packets"), 0);
}

#[test]
fn a_closed_allocation_frees_its_address_before_it_is_reported() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.bind_channel(7, CHANNEL, local(&peer));
    client.send(&channel_data(CHANNEL, b"five!"));
    receive(&peer);
    let sent = Usage {
        sent_packets: 1,
        sent_bytes: 5,
        ..Usage::default()
    };
    assert_eq!(rig.close(7), sent);
    UdpSocket::bind(client.relayed).unwrap();
    client.send(&channel_data(CHANNEL, b"late"));
    rig.is_alive();
    assert_eq!(rig.counter("dropped_no_allocation"), 1);
}

#[test]
fn an_open_without_a_socket_is_reported_and_its_close_is_answered() {
    let rig = Rig::new();
    let client = udp_socket(LOCALHOST);
    client.send_to(&request(ALLOCATE), rig.udp).unwrap();
    let five_tuple = rig.asked();
    rig.change(open(7, five_tuple, address(LOCALHOST, 9)));
    assert!(matches!(rig.event(), Event::Notice { .. }));
    assert_eq!(rig.close(7), Usage::default());
    rig.is_alive();
    assert!(rig.datapath.drain(1).is_empty());
}

#[test]
fn bursts_of_all_lengths_arrive_whole_and_in_order() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    let payloads: Vec<Vec<u8>> = (0..120).map(burst_payload).collect();
    payloads
        .iter()
        .for_each(|payload| client.send(&channel_data(CHANNEL, payload)));
    payloads
        .iter()
        .for_each(|payload| assert!(receive(&peer) == *payload));
    payloads.iter().for_each(|payload| {
        peer.send_to(payload, client.relayed).unwrap();
    });
    for payload in &payloads {
        assert!(client.receive() == channel_data(CHANNEL, payload));
    }
}

/// Runs of equal lengths with shorter, longer and empty ones between.
fn burst_payload(index: usize) -> Vec<u8> {
    let length = match index % 12 {
        0..=6 => 160,
        7 => 23,
        8 => 1200,
        9 => 0,
        _ => 1468,
    };
    (0..length).map(|at| (at + index) as u8).collect()
}

#[test]
fn a_train_of_datagrams_is_taken_apart() {
    let rig = Rig::new();
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    let packets = [b"one", b"two", b"six"].map(|payload| channel_data(CHANNEL, payload));
    send_train(&client.socket, rig.udp, &packets.concat(), packets[0].len());
    assert_eq!(
        [receive(&peer), receive(&peer), receive(&peer)].concat(),
        b"onetwosix"
    );
    send_train(&peer, client.relayed, b"alphagammapi", 5);
    for payload in [&b"alpha"[..], b"gamma", b"pi"] {
        assert_eq!(client.receive(), channel_data(CHANNEL, payload));
    }
}

#[test]
fn what_comes_in_one_train_goes_to_each_in_order() {
    let rig = Rig::new();
    let (one, two) = (rig.udp_client(1), rig.udp_client(2));
    let peers = [udp_socket(LOCALHOST), udp_socket(LOCALHOST)];
    rig.bind_channel(1, CHANNEL, local(&peers[0]));
    rig.bind_channel(1, CHANNEL + 1, local(&peers[1]));
    rig.bind_channel(1, CHANNEL + 2, two.relayed);
    rig.bind_channel(2, CHANNEL, one.relayed);
    rig.reply(one.five_tuple, b"bound");
    assert_eq!(one.receive(), b"bound");
    let packet = |index: u8| channel_data(CHANNEL + u16::from(index % 3), &[index]);
    let octets: Vec<u8> = (0..60).flat_map(packet).collect();
    send_train(&one.socket, rig.udp, &octets, packet(0).len());
    for index in (0..60).step_by(3) {
        assert_eq!(receive(&peers[0]), [index]);
        assert_eq!(receive(&peers[1]), [index + 1]);
        assert_eq!(two.receive(), channel_data(CHANNEL, &[index + 2]));
    }
}

#[test]
fn a_peer_that_cannot_be_reached_costs_the_others_nothing() {
    let rig = Rig::alone(Settings::default());
    let (client, peer) = (rig.udp_client(7), udp_socket(LOCALHOST));
    // The relay socket is bound to a loopback address: the kernel refuses to send outside.
    let outside = address("192.0.2.1", 9);
    rig.bind_channel(7, CHANNEL, outside);
    rig.bind_channel(7, CHANNEL + 1, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    let good = channel_data(CHANNEL + 1, b"good");
    let bad = channel_data(CHANNEL, b"lost");
    let packets = [&bad, &good, &bad, &bad, &bad, &good];
    send_train(
        &client.socket,
        rig.udp,
        &packets.map(Vec::as_slice).concat(),
        good.len(),
    );
    assert_eq!(receive(&peer), b"good");
    assert_eq!(receive(&peer), b"good");
    rig.is_alive();
    assert_eq!(rig.counter("dropped_refused"), 4);
}

#[test]
fn a_full_queue_drops_requests_and_nothing_else() {
    let rig = Rig::alone(Settings {
        queue_limit: 3,
        ..Settings::default()
    });
    // One source has no more than one of the three.
    let client = udp_socket(LOCALHOST);
    for host in 1..=5 {
        let stranger = udp_socket(&format!("127.0.0.{host}"));
        for _ in 0..2 {
            stranger.send_to(&request(ALLOCATE), rig.udp).unwrap();
        }
    }
    rig.is_alive();
    assert_eq!(rig.counter("dropped_queue_full"), 7);
    assert_eq!(rig.datapath.drain(64).len(), 3);
    client.send_to(&request(ALLOCATE), rig.udp).unwrap();
    rig.asked();
}

#[test]
fn the_bell_rings_until_the_queue_is_empty() {
    let rig = Rig::new();
    let client = udp_socket(LOCALHOST);
    for _ in 0..5 {
        client.send_to(&request(ALLOCATE), rig.udp).unwrap();
    }
    for _ in 0..5 {
        rig.asked();
    }
    assert!(rig.datapath.drain(1).is_empty());
}

#[test]
fn a_socket_bound_to_all_answers_from_the_address_it_was_asked_on() {
    let rig = Rig::with(Settings::default(), "0.0.0.0", LOCALHOST);
    for host in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let server = address(host, rig.udp.port());
        let client = udp_socket(LOCALHOST);
        client.send_to(&request(BINDING), server).unwrap();
        assert_eq!(receive_from(&client).1, server);
        client.send_to(&request(ALLOCATE), server).unwrap();
        let five_tuple = rig.asked();
        assert_eq!(five_tuple.server, server);
        rig.reply(five_tuple, b"reply");
        assert_eq!(receive_from(&client), (b"reply".to_vec(), server));
    }
}

#[test]
fn a_socket_bound_to_all_relays_from_the_address_it_was_asked_on() {
    let rig = Rig::with(Settings::default(), "0.0.0.0", "127.0.0.2");
    let (client, peer) = (rig.udp_client(7), udp_socket("127.0.0.2"));
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(client.five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    for _ in 0..100 {
        peer.send_to(b"payload", client.relayed).unwrap();
    }
    // The client is connected to 127.0.0.2: it would not see packets from elsewhere.
    for _ in 0..100 {
        assert_eq!(client.receive(), channel_data(CHANNEL, b"payload"));
    }
}

#[test]
fn broadcasts_are_not_answered() {
    let rig = Rig::begin(Settings::default(), "0.0.0.0", LOCALHOST);
    let client = udp_socket(LOCALHOST);
    client.set_broadcast(true).unwrap();
    client
        .send_to(
            &request(BINDING),
            address("127.255.255.255", rig.udp.port()),
        )
        .unwrap();
    rig.is_alive();
    assert_eq!(rig.counter("dropped_unanswerable"), 1);
    assert_eq!(rig.counter("answered"), 1);
}

#[test]
fn ipv6_clients_and_peers_are_served() {
    for ip in ["::1", "::"] {
        let rig = Rig::with(Settings::default(), ip, "::1");
        let (client, peer) = (rig.udp_client(7), udp_socket("::1"));
        rig.bind_channel(7, CHANNEL, local(&peer));
        rig.reply(client.five_tuple, b"bound");
        assert_eq!(client.receive(), b"bound");
        client.send(&channel_data(CHANNEL, b"there"));
        assert_eq!(receive_from(&peer), (b"there".to_vec(), client.relayed));
        peer.send_to(b"back", client.relayed).unwrap();
        assert_eq!(client.receive(), channel_data(CHANNEL, b"back"));
    }
}

#[test]
fn garbage_is_counted_and_forgotten() {
    let rig = Rig::new();
    let client = udp_socket(LOCALHOST);
    let mut asked = 0;
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..5000u64 {
        let length = random() as usize % 200;
        let mut packet: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        if round % 2 == 0 && length >= 8 {
            packet[0] &= 0x3F;
            packet[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        }
        client.send_to(&packet, rig.udp).unwrap();
        if round % 50 == 0 {
            asked += rig.is_alive();
        }
    }
    asked += rig.is_alive();
    assert_eq!(rig.counter("client_packets"), 5000 + asked);
}

#[test]
fn stop_obeys_what_came_before_and_closes_everything() {
    let rig = Rig::new();
    let client = rig.udp_client(7);
    rig.reply(client.five_tuple, b"last words");
    rig.datapath.stop();
    assert_eq!(client.receive(), b"last words");
    UdpSocket::bind(client.relayed).unwrap();
    UdpSocket::bind(rig.udp).unwrap();
    rig.datapath.stop();
    // Whoever comes too late keeps no socket.
    let port = rig.datapath.listen_udp(address(LOCALHOST, 0)).unwrap();
    UdpSocket::bind(address(LOCALHOST, port)).unwrap();
}

#[test]
fn a_datapath_that_never_ran_lets_go_of_its_sockets() {
    let datapath = Datapath::new(&Settings::default()).unwrap();
    let port = datapath.listen_udp(address(LOCALHOST, 0)).unwrap();
    let relayed = local(&udp_socket(LOCALHOST));
    datapath.bind_relay(relayed).unwrap();
    datapath.stop();
    UdpSocket::bind(address(LOCALHOST, port)).unwrap();
    UdpSocket::bind(relayed).unwrap();
    assert!(datapath.bind_relay(address(LOCALHOST, 0)).is_err());
}

#[test]
fn a_relay_socket_that_nobody_took_can_be_released() {
    let rig = Rig::new();
    let bound = local(&udp_socket(LOCALHOST));
    rig.datapath.bind_relay(bound).unwrap();
    assert!(rig.datapath.bind_relay(bound).is_err());
    rig.datapath.release_relay(bound);
    rig.datapath.bind_relay(bound).unwrap();
}

fn receive_from(socket: &UdpSocket) -> (Vec<u8>, std::net::SocketAddr) {
    let mut buffer = [0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

/// The first peer again, then others.
fn udp_socket_at(first: &UdpSocket, round: u16) -> UdpSocket {
    if round == 0 {
        first.try_clone().unwrap()
    } else {
        udp_socket(LOCALHOST)
    }
}

/// One message that the kernel cuts into datagrams of `segment` bytes.
fn send_train(socket: &UdpSocket, to: std::net::SocketAddr, octets: &[u8], segment: usize) {
    use std::os::fd::AsRawFd;
    let (length, segment) = (
        size_of::<libc::c_int>() as libc::socklen_t,
        segment as libc::c_int,
    );
    let set = |value: libc::c_int| {
        let value = (&raw const value).cast();
        // SAFETY: the kernel reads one int from a pointer to one.
        let status = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                value,
                length,
            )
        };
        assert_eq!(status, 0);
    };
    set(segment);
    match socket.peer_addr() {
        Ok(_) => socket.send(octets).unwrap(),
        Err(_) => socket.send_to(octets, to).unwrap(),
    };
    set(0);
}
