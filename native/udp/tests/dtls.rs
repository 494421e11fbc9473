//! Clients over DTLS, on loopback sockets.
#![allow(clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use ferryman_dtls::LONGEST_MESSAGE;
use ferryman_flow::Transport;
use ferryman_udp::{Choices, Event, Settings};
use rig::dtls::*;
use rig::*;

const CHANNEL: u16 = 0x4000;
#[test]
fn a_binding_request_is_answered_over_dtls_and_beside_it_on_one_port() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let asked = request(BINDING);
    client.send(&asked);
    assert!(answers(&client.receive(), &asked));
    rig.is_alive();
}

#[test]
fn a_request_names_an_association_of_its_own() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    client.send(&request(ALLOCATE));
    let five_tuple = rig.asked();
    assert_eq!(five_tuple.transport, Transport::Dtls);
    assert_eq!(five_tuple.client, local(&client.socket));
    assert_eq!(five_tuple.server, rig.udp);
    let mut other = Dtls::connect(rig.udp);
    other.send(&request(ALLOCATE));
    assert_ne!(rig.asked().socket, five_tuple.socket);
}

#[test]
fn channel_data_goes_both_ways_without_padding() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let (five_tuple, relayed) = client.allocate(&rig, 7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    rig.reply(five_tuple, b"bound");
    assert_eq!(client.receive(), b"bound");
    for payload in [&b"one"[..], b"four", &[7; 1400], &[8; 16_000]] {
        client.send(&channel_data(CHANNEL, payload));
        assert_eq!(receive(&peer), payload);
        peer.send_to(payload, relayed).unwrap();
        assert_eq!(client.receive(), channel_data(CHANNEL, payload));
    }
    let stranger = udp_socket(LOCALHOST);
    client.send(&send_indication(local(&stranger), b"hello"));
    assert_eq!(receive(&stranger), b"hello");
    stranger.send_to(b"welcome", relayed).unwrap();
    let expected = data_indication(local(&stranger), b"welcome");
    assert_eq!(without_id(&client.receive()), expected);
}

#[test]
fn what_no_record_can_carry_is_dropped_and_the_rest_goes_on() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let (_, relayed) = client.allocate(&rig, 7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    client.send(&channel_data(CHANNEL, b"bound by now"));
    receive(&peer);
    peer.send_to(&[1; LONGEST_MESSAGE], relayed).unwrap();
    peer.send_to(b"after it", relayed).unwrap();
    assert_eq!(client.receive(), channel_data(CHANNEL, b"after it"));
    assert_eq!(rig.counter("dropped_too_long"), 1);
}

#[test]
fn clients_over_dtls_and_udp_reach_each_other_inside() {
    let rig = served(Settings::default());
    let mut secret = Dtls::connect(rig.udp);
    let (_, relayed) = secret.allocate(&rig, 1);
    let open = rig.udp_client(2);
    rig.bind_channel(1, CHANNEL, open.relayed);
    rig.bind_channel(2, CHANNEL, relayed);
    rig.reply(open.five_tuple, b"bound");
    assert_eq!(open.receive(), b"bound");
    secret.send(&channel_data(CHANNEL, b"from inside"));
    assert_eq!(open.receive(), channel_data(CHANNEL, b"from inside"));
    open.send(&channel_data(CHANNEL, b"from outside"));
    assert_eq!(secret.receive(), channel_data(CHANNEL, b"from outside"));
}

#[test]
fn bursts_arrive_whole() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let (_, relayed) = client.allocate(&rig, 7);
    let peer = udp_socket(LOCALHOST);
    rig.bind_channel(7, CHANNEL, local(&peer));
    for round in 0..20u8 {
        for index in 0..50u8 {
            client.send(&channel_data(
                CHANNEL,
                &vec![index; 900 + usize::from(round)],
            ));
        }
        for index in 0..50u8 {
            assert_eq!(receive(&peer), vec![index; 900 + usize::from(round)]);
        }
    }
    for index in 0..50u8 {
        peer.send_to(&[index; 160], relayed).unwrap();
    }
    for index in 0..50u8 {
        assert_eq!(client.receive(), channel_data(CHANNEL, &[index; 160]));
    }
}

#[test]
fn a_goodbye_and_the_end_of_the_server_are_told() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let (five_tuple, _) = client.allocate(&rig, 7);
    client.association.close();
    client
        .association
        .take_datagrams(|datagram| assert!(client.socket.send(datagram).is_ok()));
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    let mut other = Dtls::connect(rig.udp);
    rig.datapath.stop();
    assert_eq!(other.next(), None);
}

#[test]
fn who_asked_nothing_leaves_without_a_word_to_the_engine() {
    let rig = served(Settings::default());
    let mut quiet = Dtls::connect(rig.udp);
    quiet.association.close();
    quiet
        .association
        .take_datagrams(|datagram| assert!(quiet.socket.send(datagram).is_ok()));
    until(|| rig.counter("associations") == 0);
    let mut client = Dtls::connect(rig.udp);
    client.send(&request(ALLOCATE));
    rig.asked();
}

#[test]
fn a_client_that_begins_anew_takes_its_own_place_once_it_has_its_cookie() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let (five_tuple, _) = client.allocate(&rig, 7);
    let mut anew = Dtls::on(client.socket.try_clone().unwrap());
    let hello = anew.second_hello();
    let asked = request(BINDING);
    client.send(&asked);
    assert!(
        answers(&client.receive(), &asked),
        "nothing ends before the cookie"
    );
    anew.socket.send(&hello).unwrap();
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    // The goodbye of the old association comes first; the new one cannot read it.
    anew.hear_out();
    anew.send(&request(ALLOCATE));
    assert_ne!(rig.asked().socket, five_tuple.socket);
}

#[test]
fn a_repeated_hello_goes_to_the_handshake_that_it_began() {
    let rig = served(Settings::default());
    let mut client = Dtls::at(rig.udp);
    let hello = client.second_hello();
    for _ in 0..5 {
        client.socket.send(&hello).unwrap();
    }
    client.hear_out();
    let asked = request(BINDING);
    client.send(&asked);
    assert!(answers(&client.receive(), &asked));
    assert_eq!(rig.counter("associations"), 1);
}

#[test]
fn a_lost_flight_is_sent_again() {
    let rig = served(Settings::default());
    let mut client = Dtls::at(rig.udp);
    let hello = client.second_hello();
    client.socket.send(&hello).unwrap();
    // Lost: the whole first flight of the server.
    receive(&client.socket);
    let short = Some(Duration::from_millis(300));
    client.socket.set_read_timeout(short).unwrap();
    while client.socket.recv(&mut [0; 2000]).is_ok() {}
    client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    client.hear_out();
}

#[test]
fn strangers_leave_nothing_behind() {
    let rig = served(Settings::default());
    let hello = Dtls::at(rig.udp).first_hello();
    let mut answered = 0;
    for _ in 0..200 {
        let socket = udp_socket(LOCALHOST);
        for _ in 0..100 {
            socket.send_to(&hello, rig.udp).unwrap();
            let answer = receive(&socket);
            assert!(answer.len() <= hello.len());
            answered += 1;
        }
    }
    assert_eq!(answered, 20_000);
    assert_eq!(rig.counter("associations"), 0);
    rig.is_alive();
}

#[test]
fn a_cookie_is_no_use_at_another_address() {
    let rig = served(Settings::default());
    let hello = Dtls::at(rig.udp).second_hello();
    let thief = udp_socket(LOCALHOST);
    thief.send_to(&hello, rig.udp).unwrap();
    let answer = receive(&thief);
    assert!(answer.len() <= hello.len());
    assert_eq!(answer[13], 3, "asked for a cookie of its own");
    assert_eq!(rig.counter("associations"), 0);
}

#[test]
fn garbage_and_crumbs_are_counted_and_forgotten() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect(rig.udp);
    let socket = client.socket.try_clone().unwrap();
    let stranger = udp_socket(LOCALHOST);
    let hello = Dtls::at(rig.udp).second_hello();
    let mut sent = 0;
    for end in 1..hello.len() {
        stranger.send_to(&hello[..end], rig.udp).unwrap();
        // To an association as well; it goes on.
        socket.send(&hello[..end]).unwrap();
        sent += 1;
        if sent % 16 == 0 {
            rig.is_alive();
        }
    }
    for first in 20..=63u8 {
        stranger.send_to(&[first; 40], rig.udp).unwrap();
        socket.send(&[first; 40]).unwrap();
    }
    let asked = request(BINDING);
    client.send(&asked);
    assert!(answers(&client.receive(), &asked));
    assert_eq!(rig.counter("associations"), 1);
    assert!(rig.counter("dropped_unassociated") >= sent);
}

#[test]
fn a_handshake_keeps_only_so_much_that_it_cannot_read_yet() {
    let rig = served(Settings::default());
    let mut client = Dtls::at(rig.udp);
    let hello = client.second_hello();
    client.socket.send(&hello).unwrap();
    client.association.receive(&receive(&client.socket));
    for number in 0..20u8 {
        let early = [23, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, number, 0, 40];
        // Every other one hides behind a record that may be read.
        let before = if number % 2 == 0 { &hello[..] } else { &[] };
        let datagram = [before, &early, &[7; 40]].concat();
        client.socket.send(&datagram).unwrap();
    }
    until(|| rig.counter("dropped_unassociated") == 12);
    let mut other = Dtls::connect(rig.udp);
    let asked = request(BINDING);
    for _ in 0..20 {
        other.send(&asked);
        assert!(
            answers(&other.receive(), &asked),
            "no limit once it is established"
        );
    }
}

#[test]
fn without_a_certificate_records_are_no_turn() {
    let rig = Rig::new();
    let mut client = Dtls::at(rig.udp);
    client.speak();
    until(|| rig.counter("dropped_not_turn") == 1);
}

#[test]
fn a_new_certificate_is_for_those_who_come_after_it() {
    let rig = served(Settings::default());
    let mut before = Dtls::connect(rig.udp);
    serve(&rig, RSA);
    let asked = request(BINDING);
    before.send(&asked);
    assert!(answers(&before.receive(), &asked));
    let mut after = Dtls::connect(rig.udp);
    after.send(&asked);
    assert!(answers(&after.receive(), &asked));
}

#[test]
fn an_association_without_an_allocation_ends_in_time() {
    let rig = served(Settings {
        connection_timeout: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut owner = Dtls::connect(rig.udp);
    let (five_tuple, _) = owner.allocate(&rig, 7);
    let mut idle = Dtls::connect(rig.udp);
    assert_eq!(idle.next(), None);
    // Counted when the turn ends; the owner stays.
    until(|| rig.counter("associations") == 1);
    rig.close(7);
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    assert_eq!(owner.next(), None);
}

#[test]
fn the_oldest_association_without_an_allocation_goes_for_the_newest() {
    let rig = serving(Rig::alone(Settings {
        pending_connections: 8,
        ..Settings::default()
    }));
    let mut first = Dtls::connect(rig.udp);
    let mut others: Vec<_> = (0..2).map(|_| Dtls::connect(rig.udp)).collect();
    assert_eq!(first.next(), None);
    for client in &mut others {
        let asked = request(BINDING);
        client.send(&asked);
        assert!(answers(&client.receive(), &asked));
    }
}

#[test]
fn one_source_has_so_many_handshakes_and_its_oldest_goes() {
    let rig = serving(Rig::alone(Settings::default()));
    oldest_handshake_goes(&rig, || Dtls::at(rig.udp));
}

#[test]
fn who_begins_many_handshakes_from_many_addresses_pushes_out_nobody_else() {
    let rig = serving(Rig::alone(Settings::default()));
    let mut lone = Dtls::from("127.0.0.2", rig.udp);
    lone.knock();
    let mut crowd = Vec::new();
    for client in (0..9 * 64).map(|number| format!("127.0.1.{}", 1 + number / 64)) {
        let mut client = Dtls::from(&client, rig.udp);
        client.knock();
        crowd.push(client);
    }
    until(|| rig.counter("associations") == 512);
    lone.shake_hands();
}

#[test]
fn who_has_many_associations_without_an_allocation_pushes_out_nobody_else() {
    let rig = serving(Rig::alone(Settings {
        pending_connections: 12,
        ..Settings::default()
    }));
    let mut lone = Dtls::from("127.0.0.2", rig.udp);
    lone.shake_hands();
    let mut caller = Dtls::connect(rig.udp);
    let (five_tuple, _) = caller.allocate(&rig, 7);
    let mut many: Vec<_> = (0..9).map(|_| Dtls::connect(rig.udp)).collect();
    for client in &mut many[..7] {
        assert_eq!(client.next(), None);
    }
    for client in many[7..].iter_mut().chain([&mut lone, &mut caller]) {
        let asked = request(BINDING);
        client.send(&asked);
        assert!(answers(&client.receive(), &asked));
    }
    // Its allocation is gone: it is one of the crowd again, and the youngest.
    rig.close(7);
    let newest = Dtls::connect(rig.udp);
    rig.reply(five_tuple, b"here");
    assert_eq!(caller.receive(), b"here");
    for client in &mut many[7..] {
        assert_eq!(client.next(), None);
    }
    drop(newest);
}

#[test]
fn a_source_has_so_many_associations_and_may_begin_its_own_anew() {
    let rig = served(Settings {
        choices: Choices {
            source_connections: 1,
            ..Choices::default()
        },
        ..Settings::default()
    });
    let first = Dtls::connect(rig.udp);
    let mut second = Dtls::at(rig.udp);
    let hello = second.second_hello();
    second.socket.send(&hello).unwrap();
    until(|| rig.counter("connections_refused") == 1);
    let mut anew = Dtls::on(first.socket.try_clone().unwrap());
    anew.shake_hands();
    until(|| rig.counter("associations") == 1);
}

#[test]
fn connections_and_associations_count_together() {
    let of_source = Choices {
        source_connections: 2,
        ..Choices::default()
    };
    let in_all = Choices {
        total_connections: 2,
        ..Choices::default()
    };
    for choices in [of_source, in_all] {
        let rig = served(Settings {
            choices,
            ..Settings::default()
        });
        let _dtls = Dtls::connect(rig.udp);
        let _first = rig.connect();
        until(|| rig.counter("connections") == 1);
        assert!(is_closed(&mut rig.connect()));
        let mut second = Dtls::at(rig.udp);
        let hello = second.second_hello();
        second.socket.send(&hello).unwrap();
        until(|| rig.counter("connections_refused") == 2);
    }
}

#[test]
fn ipv6_clients_are_served_on_all_addresses() {
    let rig = Rig::with(Settings::default(), "::", "::1");
    serve(&rig, ECDSA);
    let mut client = Dtls::connect(rig.udp);
    let asked = request(BINDING);
    client.send(&asked);
    assert!(client.receive().len() > 20);
}
