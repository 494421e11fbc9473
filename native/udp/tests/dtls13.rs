//! Clients over DTLS 1.3 (RFC 9147), on loopback sockets: what is as over DTLS 1.2, and what is not.
#![allow(clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use ferryman_flow::Transport;
use ferryman_udp::{Event, Settings};
use rig::dtls::*;
use rig::*;

const CHANNEL: u16 = 0x4000;
const HELLO_RETRY_REQUEST: u8 = 2;
/// The alert, behind its length (RFC 8446 §6.2).
const ILLEGAL_PARAMETER: [u8; 4] = [0, 2, 2, 47];
/// The extension (RFC 8446 §4.2.2).
const COOKIE: u8 = 44;

fn is_served(client: &mut Dtls) -> bool {
    let asked = request(BINDING);
    client.send(&asked);
    answers(&client.receive(), &asked)
}

#[test]
fn channel_data_goes_both_ways_and_the_engine_hears_of_requests_alone() {
    for credentials in [ECDSA, RSA] {
        let rig = Rig::of(Settings::default());
        serve(&rig, credentials);
        let mut client = Dtls::connect_13(rig.udp);
        let (five_tuple, relayed) = client.allocate(&rig, 7);
        assert_eq!(five_tuple.transport, Transport::Dtls);
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
        // Nothing of it waits for the engine: the next thing that it hears of is the end.
        client.association.close();
        client.speak_out();
        assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    }
}

#[test]
fn clients_of_both_versions_are_served_at_one_port() {
    let rig = served(Settings::default());
    let (mut new, mut old) = (Dtls::connect_13(rig.udp), Dtls::connect(rig.udp));
    assert!(is_served(&mut new) && is_served(&mut old));
    assert_eq!(rig.counter("associations"), 2);
}

#[test]
fn strangers_leave_nothing_behind_and_get_no_more_than_they_sent() {
    let rig = served(Settings::default());
    let hello = Dtls::of_13(udp_socket(LOCALHOST), rig.udp).first_hello();
    let socket = udp_socket(LOCALHOST);
    let short = Some(Duration::from_millis(200));
    socket.set_read_timeout(short).unwrap();
    let (mut answered, mut room) = (0, [0; 2000]);
    for _ in 0..2000 {
        socket.send_to(&hello, rig.udp).unwrap();
        // Beyond so many in a while nobody is answered.
        let Ok(length) = socket.recv(&mut room) else {
            continue;
        };
        assert!(length <= hello.len());
        assert_eq!(room[13], HELLO_RETRY_REQUEST);
        answered += 1;
        if answered == 300 {
            break;
        }
    }
    assert_eq!(answered, 300);
    assert_eq!(rig.counter("associations"), 0);
    rig.is_alive();
}

#[test]
fn a_cookie_is_no_use_at_another_address_and_none_can_be_guessed() {
    let rig = served(Settings::default());
    let mut owner = Dtls::of_13(udp_socket(LOCALHOST), rig.udp);
    let hello = owner.second_hello();
    let before = rig.counter("dropped_unassociated");
    let thief = udp_socket(LOCALHOST);
    thief.send_to(&hello, rig.udp).unwrap();
    assert_eq!(receive(&thief)[11..], ILLEGAL_PARAMETER);
    until(|| rig.counter("dropped_unassociated") == before + 1);
    let cookie = hello
        .windows(3)
        .rposition(|octets| octets == [0, COOKIE, 0]);
    for place in (0..130).map(|place| cookie.unwrap() + 6 + place) {
        let mut guess = hello.clone();
        guess[place] ^= 1;
        owner.socket.send(&guess).unwrap();
        assert_eq!(receive(&owner.socket)[11..], ILLEGAL_PARAMETER);
    }
    rig.is_alive();
    assert_eq!(rig.counter("associations"), 0);
    // Its own is good all the same.
    owner.socket.send(&hello).unwrap();
    owner.hear_out();
    assert!(is_served(&mut owner));
}

#[test]
fn a_repeated_hello_goes_to_the_handshake_that_it_began() {
    let rig = served(Settings::default());
    let mut client = Dtls::of_13(udp_socket(LOCALHOST), rig.udp);
    let hello = client.second_hello();
    for _ in 0..5 {
        client.socket.send(&hello).unwrap();
    }
    client.hear_out();
    assert!(is_served(&mut client));
    assert_eq!(rig.counter("associations"), 1);
}

#[test]
fn a_lost_flight_is_sent_again() {
    let rig = served(Settings::default());
    let mut client = Dtls::of_13(udp_socket(LOCALHOST), rig.udp);
    let hello = client.second_hello();
    client.socket.send(&hello).unwrap();
    // Lost: what the server says first.
    receive(&client.socket);
    client.hear_out();
    assert!(is_served(&mut client));
}

#[test]
fn one_source_has_so_many_handshakes_and_its_oldest_goes() {
    let rig = serving(Rig::alone(Settings::default()));
    oldest_handshake_goes(&rig, || Dtls::of_13(udp_socket(LOCALHOST), rig.udp));
}

#[test]
fn a_client_that_begins_anew_takes_its_own_place_once_it_has_its_cookie() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect_13(rig.udp);
    let (five_tuple, _) = client.allocate(&rig, 7);
    let mut anew = Dtls::of_13(client.socket.try_clone().unwrap(), rig.udp);
    let hello = anew.second_hello();
    assert!(is_served(&mut client), "nothing ends before the cookie");
    anew.socket.send(&hello).unwrap();
    assert_eq!(rig.event(), Event::Disconnected { five_tuple });
    anew.hear_out();
    assert!(is_served(&mut anew));
}

#[test]
fn a_new_certificate_is_for_those_who_come_after_it() {
    let rig = served(Settings::default());
    let mut before = Dtls::connect_13(rig.udp);
    let mut between = Dtls::of_13(udp_socket(LOCALHOST), rig.udp);
    let hello = between.second_hello();
    serve(&rig, RSA);
    assert!(is_served(&mut before));
    // A cookie outlives the change.
    between.socket.send(&hello).unwrap();
    between.hear_out();
    assert!(is_served(&mut between));
    assert!(is_served(&mut Dtls::connect_13(rig.udp)));
}

#[test]
fn who_says_goodbye_or_nothing_is_forgotten() {
    let rig = served(Settings::default());
    let mut client = Dtls::connect_13(rig.udp);
    client.association.close();
    client.speak_out();
    until(|| rig.counter("associations") == 0);
    let mut other = Dtls::connect_13(rig.udp);
    rig.datapath.stop();
    assert_eq!(other.next(), None);
}
