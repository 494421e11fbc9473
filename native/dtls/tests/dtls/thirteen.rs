//! DTLS 1.3 (RFC 9147): who may speak it, what strangers get, messages and ends.

use ferryman_dtls::{
    Association, Credentials, Endpoint, Gate, Heard, Knock, Refused, LONGEST_MESSAGE,
};

use crate::pair::{
    client, client_13, deliver, finish, gate, greet, hellos, sent, server, speak, ADDRESS, ECDSA,
    RSA,
};

const SECOND: u64 = 1_000_000_000;

fn knock(gate: &mut Gate, hello: &[u8]) -> Knock {
    gate.knock_untrusted(&server(ECDSA), hello, ADDRESS, 0)
}

#[test]
fn rsa_and_ecdsa_certificates_both_serve() {
    for credentials in [RSA, ECDSA] {
        let (mut client, mut server, _) = finish(client_13(), &server(credentials));
        assert_eq!(client.protocol(), b"stun.turn");
        for datagram in greet(&mut client, &mut server) {
            assert_eq!(datagram[0] & 0xE0, 0x20, "a record of DTLS 1.3");
        }
    }
}

#[test]
fn every_message_is_one_datagram_up_to_the_longest_record() {
    let (mut client, mut server, _) = finish(client_13(), &server(ECDSA));
    for length in [1, 100, 1500, LONGEST_MESSAGE] {
        for (from, to) in [(0, 1), (1, 0)] {
            let sides = [&mut client, &mut server];
            assert!(sides[from].send(&vec![7; length]));
            let datagrams = sent(sides[from]);
            assert_eq!(datagrams.len(), 1);
            sides[to].receive(&datagrams[0]);
            assert_eq!(speak(sides[to]).1, [vec![7; length]]);
        }
    }
    assert!(!server.send(&vec![7; LONGEST_MESSAGE + 1]));
    assert!(!server.send(b""));
}

#[test]
fn the_question_is_no_longer_than_the_hello_and_names_dtls_13() {
    let first = speak(&mut client_13()).0.remove(0);
    let Knock::AskBack(question) = knock(&mut gate(), &first) else {
        panic!("a stranger is asked");
    };
    assert!(question.len() <= first.len());
    let version = question.windows(6).last();
    assert_eq!(version, Some(&[0, 43, 0, 2, 0xFE, 0xFC][..]));
}

#[test]
fn a_cookie_is_good_for_its_address_and_grows_old() {
    let (mut client, mut gate, endpoint) = (client_13(), gate(), server(ECDSA));
    let (_, hello) = hellos(&mut client, &endpoint, &mut gate);
    assert!(matches!(knock(&mut gate, &hello), Knock::Claim(_)));
    for (address, now, good) in [
        (&b"192.0.2.2:5000"[..], 0, false),
        (ADDRESS, 59 * SECOND, true),
        (ADDRESS, 61 * SECOND, true),
        (ADDRESS, 122 * SECOND, false),
    ] {
        gate.knock_untrusted(&endpoint, b"", b"", now);
        let admitted = gate.admit(&endpoint, &hello, address, now);
        assert_eq!(admitted.is_ok(), good, "{address:?} at {now}");
    }
}

/// The same hello, with another octet in the middle of its cookie.
fn with_another_cookie(hello: &[u8]) -> Vec<u8> {
    let extension = [0, 44, 0];
    let cookie = hello.windows(3).rposition(|octets| octets == extension);
    let mut lie = hello.to_vec();
    lie[cookie.expect("a cookie") + 70] ^= 1;
    lie
}

#[test]
fn a_bad_cookie_is_an_illegal_parameter_and_its_client_may_begin_anew() {
    let (mut client, mut gate, endpoint) = (client_13(), gate(), server(ECDSA));
    let (_, hello) = hellos(&mut client, &endpoint, &mut gate);
    let alert = [&[21, 0xFE, 0xFD, 0, 0][..], &hello[5..11], &[0, 2, 2, 47]].concat();
    let bad = Some(Refused::BadCookie(alert.clone()));
    let lie = with_another_cookie(&hello);
    assert_eq!(gate.admit(&endpoint, &lie, ADDRESS, 0).err(), bad);
    assert_eq!(gate.admit(&endpoint, &hello, b"elsewhere", 0).err(), bad);
    // As after a restart: this gate knows none of the other's cookies.
    let mut another = self::gate();
    assert_eq!(another.admit(&endpoint, &hello, ADDRESS, 0).err(), bad);
    client.receive(&alert);
    assert!(speak(&mut client).2, "it hears the end");
    assert!(finish(client_13(), &endpoint).0.is_established());
}

#[test]
fn no_hello_without_a_cookie_of_its_own_is_admitted() {
    let (mut client, mut gate, endpoint) = (client_13(), gate(), server(ECDSA));
    let (first, hello) = hellos(&mut client, &endpoint, &mut gate);
    for lie in [&first[..], &[22; 40], b"", &hello[..hello.len() - 1]] {
        assert!(gate.admit(&endpoint, lie, ADDRESS, 0).is_err());
    }
    let older = dtls_12_alone();
    assert!(gate.admit(&older, &hello, ADDRESS, 0).is_err());
}

/// A server of DTLS 1.2 alone.
fn dtls_12_alone() -> Endpoint {
    let chain = [ECDSA.0.to_vec()];
    let credentials = Credentials {
        chain: &chain,
        key: ECDSA.1,
        client_roots: &chain,
        ..Credentials::default()
    };
    let endpoint = Endpoint::server(&credentials).expect("good credentials");
    let lacking = endpoint.lacks_13().expect("no DTLS 1.3 with CA-file");
    assert!(lacking.0.starts_with("CA-file"), "{lacking}");
    endpoint
}

#[test]
fn strangers_are_heard_so_often_and_later_again() {
    let (mut gate, endpoint) = (gate(), server(ECDSA));
    let first = speak(&mut client_13()).0.remove(0);
    let mut asked = |now| {
        let knock = gate.knock_untrusted(&endpoint, &first, ADDRESS, now);
        matches!(knock, Knock::AskBack(_))
    };
    assert_eq!((0..1000).filter(|_| asked(0)).count(), 200);
    assert!(asked(SECOND / 10));
}

#[test]
fn a_crowd_of_strangers_leaves_those_who_come_back_their_turn() {
    let (mut gate, endpoint) = (gate(), server(ECDSA));
    let (first, hello) = hellos(&mut client_13(), &endpoint, &mut gate);
    while gate.knock_untrusted(&endpoint, &first, ADDRESS, 0) != Knock::Drop {}
    assert!(gate.admit(&endpoint, &hello, ADDRESS, 0).is_ok());
    // Lies have an end of their own, and leave strangers theirs.
    let lie = with_another_cookie(&hello);
    let refused = (0..1000).filter_map(|_| gate.admit(&endpoint, &lie, ADDRESS, 0).err());
    let heard = refused.filter(|refused| matches!(refused, Refused::BadCookie(_)));
    assert_eq!(heard.count(), 199);
    let later = SECOND / 10;
    assert!(gate.admit(&endpoint, &hello, ADDRESS, later).is_ok());
    let knock = gate.knock_untrusted(&endpoint, &first, ADDRESS, later);
    assert!(matches!(knock, Knock::AskBack(_)));
}

#[test]
fn without_dtls_12_its_clients_are_dropped() {
    let chain = [ECDSA.0.to_vec()];
    let credentials = Credentials {
        chain: &chain,
        key: ECDSA.1,
        without_12: true,
        ..Credentials::default()
    };
    let endpoint = Endpoint::server(&credentials).expect("good credentials");
    assert!(finish(client_13(), &endpoint).1.is_established());
    let older = speak(&mut client(b"")).0.remove(0);
    let knock = gate().knock_untrusted(&endpoint, &older, ADDRESS, 0);
    assert_eq!(knock, Knock::Drop);
    assert!(Association::accept(&endpoint, &older).is_err());
    let nothing_left = Credentials {
        cipher_suites: &[0xC02B],
        ..credentials
    };
    let trouble = Endpoint::server(&nothing_left).err();
    assert!(trouble.is_some_and(|trouble| trouble.0.starts_with("no cipher or no group")));
}

#[test]
fn the_one_suite_and_group_that_are_left_are_spoken() {
    let chain = [RSA.0.to_vec()];
    let credentials = Credentials {
        chain: &chain,
        key: RSA.1,
        cipher_suites: &[0xC030, 0x1302],
        groups: &[0x0018],
        ..Credentials::default()
    };
    let endpoint = Endpoint::server(&credentials).expect("good credentials");
    let mut gate = gate();
    // Its key share is of another group: what is asked back names this one, and the suite.
    let (first, hello) = hellos(&mut client_13(), &endpoint, &mut gate);
    assert!(hello.len() > first.len());
    let group = [0, 51, 0, 103, 0, 101, 0, 0x18];
    assert!(hello.windows(8).any(|octets| octets == group));
    let (client, server, _) = finish(client_13(), &endpoint);
    assert!(client.is_established() && server.is_established());
}

#[test]
fn no_noise_ends_an_association_or_takes_a_message_from_it() {
    let (mut client, mut server, _) = finish(client_13(), &server(ECDSA));
    let mut noise = Noise(1);
    for round in 0..20_000 {
        assert!(client.send(b"hello"));
        let good = sent(&mut client).remove(0);
        let lie = noise.about(&good);
        server.receive(&lie);
        let (_, heard, ended) = speak(&mut server);
        assert!(!ended, "{round}: {lie:02x?}");
        server.receive(&good);
        let again = speak(&mut server).1;
        assert!(heard.len() + again.len() == 1, "{round}: {lie:02x?}");
    }
}

/// Octets that nobody chose (xorshift).
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn octets(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most))
            .map(|_| self.below(256) as u8)
            .collect()
    }

    /// A datagram that is much like a good one, like a record, or like nothing.
    fn about(&mut self, good: &[u8]) -> Vec<u8> {
        let mut lie = good.to_vec();
        match self.below(4) {
            0 => lie = self.octets(80),
            1 => lie[self.below(good.len())] = self.below(256) as u8,
            2 => {
                let kind = [20, 21, 22, 23, 24, 26, 0x20, 0x28, 0x2C, 0x2D, 0x2E, 0x2F];
                let kind = kind[self.below(kind.len())];
                let (epoch, number) = (self.below(6) as u8, self.below(9) as u8);
                lie = vec![kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, number, 0];
                lie.push(self.below(20) as u8);
                lie.extend((0..self.below(24)).map(|_| self.below(4) as u8));
            }
            _ => {
                lie[self.below(5)] = self.below(256) as u8;
                lie.extend(self.octets(30));
            }
        }
        lie
    }
}

#[test]
fn garbage_disturbs_nothing() {
    let (mut client, mut server, _) = finish(client_13(), &server(ECDSA));
    assert!(client.send(b"hello"));
    let good = sent(&mut client).remove(0);
    for place in 0..good.len() {
        let mut lie = good.clone();
        lie[place] ^= 0x10;
        server.receive(&lie);
        assert_eq!(speak(&mut server).1, [b""; 0], "byte {place}");
        server.receive(&good[..place]);
        assert_eq!(speak(&mut server).1, [b""; 0], "{place} bytes");
    }
    server.receive(&good);
    assert_eq!(speak(&mut server).1, [b"hello"]);
    server.receive(&good);
    assert_eq!(speak(&mut server).1, [b""; 0], "once");
}

#[test]
fn a_goodbye_ends_the_association() {
    let (mut client, mut server, _) = finish(client_13(), &server(ECDSA));
    client.close();
    for datagram in sent(&mut client) {
        server.receive(&datagram);
    }
    assert!(speak(&mut server).2);
    assert!(!client.send(b"late"));
    let mut room = vec![0; LONGEST_MESSAGE];
    assert_eq!(client.poll(&mut room), Heard::End);
}

#[test]
fn an_unanswered_flight_is_sent_again_in_smaller_pieces_and_an_established_association_waits_not() {
    let (mut client, mut gate, endpoint) = (client_13(), gate(), server(RSA));
    let (_, hello) = hellos(&mut client, &endpoint, &mut gate);
    let mut server = gate
        .admit(&endpoint, &hello, ADDRESS, 0)
        .expect("a good hello");
    let longest = |server: &mut Association| speak(server).0.iter().map(Vec::len).max();
    assert!(longest(&mut server) <= Some(1472));
    let mut last = None;
    for _ in 0..3 {
        let wait = server.timeout().expect("an answer is waited for");
        std::thread::sleep(wait + std::time::Duration::from_millis(2));
        assert!(server.expire());
        last = longest(&mut server);
        assert!(last.is_some());
    }
    assert!(last <= Some(1252), "{last:?}");
    let (_, server, _) = finish(client_13(), &endpoint);
    assert!(server.is_established());
}

#[test]
fn a_lost_acknowledgement_is_given_again_and_the_client_goes_on() {
    let (mut client, mut gate, endpoint) = (client_13(), gate(), server(ECDSA));
    let (_, hello) = hellos(&mut client, &endpoint, &mut gate);
    let server = gate.admit(&endpoint, &hello, ADDRESS, 0);
    let mut server = server.expect("a good hello");
    let flight = speak(&mut server).0;
    let finished = deliver(&flight, &mut client);
    let lost = deliver(&finished, &mut server);
    assert!(server.is_established() && !lost.is_empty());
    let wait = client.timeout().expect("it waits for the acknowledgement");
    std::thread::sleep(wait + std::time::Duration::from_millis(2));
    client.expire();
    let again = speak(&mut client).0;
    assert!(!again.is_empty(), "it says so again");
    let answers = deliver(&again, &mut server);
    assert!(!answers.is_empty(), "and hears the acknowledgement");
    deliver(&answers, &mut client);
    assert_eq!(client.timeout(), None);
    greet(&mut client, &mut server);
}
