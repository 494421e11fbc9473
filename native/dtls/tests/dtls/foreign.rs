//! A client that others wrote (dimpl), which speaks DTLS 1.2, DTLS 1.3 or whichever it is given.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate, Output, ProtocolVersion};
use ferryman_dtls::{Association, Credentials, Endpoint, Gate, Knock, Refused};

use crate::pair::{client_13, gate, hellos, sent, server, speak, ADDRESS, ECDSA};

type Make = fn(Arc<Config>, DtlsCertificate, Instant) -> Dtls;

/// The client, and all that it has said and read.
struct Foreign {
    dtls: Dtls,
    said: Vec<Vec<u8>>,
    read: Vec<Vec<u8>>,
}

impl Foreign {
    fn new(make: Make) -> Self {
        Self::with(make, Config::default())
    }

    fn with(make: Make, config: Config) -> Self {
        let certificate = DtlsCertificate {
            certificate: ECDSA.0.to_vec(),
            private_key: ECDSA.1.to_vec(),
        };
        let mut dtls = make(Arc::new(config), certificate, Instant::now());
        dtls.set_active(true);
        dtls.handle_timeout(Instant::now()).expect("a beginning");
        let mut foreign = Self {
            dtls,
            said: Vec::new(),
            read: Vec::new(),
        };
        foreign.poll();
        foreign
    }

    fn poll(&mut self) {
        let mut room = vec![0; 1 << 15];
        loop {
            match self.dtls.poll_output(&mut room) {
                Output::Packet(datagram) => self.said.push(datagram.to_vec()),
                Output::ApplicationData(message) => self.read.push(message.to_vec()),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn hear(&mut self, datagram: &[u8]) {
        self.dtls.handle_packet(datagram).expect("no quarrel");
        self.poll();
    }

    /// Comes through the gate and shakes hands.
    fn shake_hands(&mut self, endpoint: &Endpoint, gate: &mut Gate) -> Association {
        let first = self.said.remove(0);
        let Knock::AskBack(question) = gate.knock_untrusted(endpoint, &first, ADDRESS, 0) else {
            panic!("a stranger of {} octets is asked for a cookie", first.len());
        };
        assert!(question.len() <= 2 * first.len());
        self.hear(&question);
        let second = self.said.remove(0);
        let server = match gate.knock_untrusted(endpoint, &second, ADDRESS, 0) {
            Knock::Open(_) => Association::accept(endpoint, &second),
            Knock::Claim(_) => Ok(gate
                .admit(endpoint, &second, ADDRESS, 0)
                .expect("a good cookie")),
            other => panic!("{other:?}"),
        };
        let mut server = server.expect("a good hello");
        self.talk(&mut server);
        server
    }

    /// Carries datagrams to and fro until nobody has anything to say; what the server has read.
    fn talk(&mut self, server: &mut Association) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        loop {
            let (datagrams, read, _) = speak(server);
            messages.extend(read);
            let said = std::mem::take(&mut self.said);
            if datagrams.is_empty() && said.is_empty() {
                return messages;
            }
            datagrams.iter().for_each(|datagram| self.hear(datagram));
            for datagram in said {
                server.receive(&datagram);
                let (answers, read, _) = speak(server);
                messages.extend(read);
                answers.iter().for_each(|answer| self.hear(answer));
            }
        }
    }
}

fn is_spoken(make: Make, endpoint: &Endpoint, version: ProtocolVersion) {
    let mut client = Foreign::new(make);
    let mut server = client.shake_hands(endpoint, &mut gate());
    assert!(server.is_established());
    assert_eq!(client.dtls.protocol_version(), Some(version));
    client.dtls.send_application_data(b"hello").expect("sent");
    client.poll();
    assert_eq!(client.talk(&mut server), [b"hello"]);
    assert!(server.send(b"welcome"));
    sent(&mut server)
        .iter()
        .for_each(|datagram| client.hear(datagram));
    assert_eq!(client.read, [b"welcome"]);
}

#[test]
fn a_client_of_either_version_is_served_in_it() {
    is_spoken(Dtls::new_12, &server(ECDSA), ProtocolVersion::DTLS1_2);
    is_spoken(Dtls::new_13, &server(ECDSA), ProtocolVersion::DTLS1_3);
}

#[test]
fn a_client_that_offers_both_gets_the_newer_where_it_is_spoken() {
    is_spoken(Dtls::new_auto, &server(ECDSA), ProtocolVersion::DTLS1_3);
    let chain = [ECDSA.0.to_vec()];
    let older = Credentials {
        chain: &chain,
        key: ECDSA.1,
        cipher_suites: &[0xC02B],
        ..Credentials::default()
    };
    let older = Endpoint::server(&older).expect("good credentials");
    assert!(older.lacks_13().is_some());
    is_spoken(Dtls::new_auto, &older, ProtocolVersion::DTLS1_2);
}

#[test]
fn a_client_may_change_its_keys_again_and_again() {
    let config = Config::builder().aead_encryption_limit(4).build();
    let mut client = Foreign::with(Dtls::new_13, config.expect("a good limit"));
    let mut server = client.shake_hands(&server(ECDSA), &mut gate());
    for number in 0..50_u8 {
        client.dtls.send_application_data(&[number]).expect("sent");
        client.poll();
        assert_eq!(client.talk(&mut server), [[number]]);
        assert!(server.send(&[number]));
        client.talk(&mut server);
        assert_eq!(client.read.pop(), Some(vec![number]));
    }
}

#[test]
fn beyond_what_nss_hears_a_client_that_offers_both_gets_the_older() {
    let (endpoint, mut busy) = (server(ECDSA), gate());
    let stranger = Foreign::new(Dtls::new_13).said.remove(0);
    while busy.knock_untrusted(&endpoint, &stranger, ADDRESS, 0) != Knock::Drop {}
    let mut client = Foreign::new(Dtls::new_auto);
    assert!(client.shake_hands(&endpoint, &mut busy).is_established());
    let version = client.dtls.protocol_version();
    assert_eq!(version, Some(ProtocolVersion::DTLS1_2));
}

#[test]
fn where_cookies_are_forged_in_crowds_a_client_that_offers_both_gets_the_older() {
    let (endpoint, mut busy) = (server(ECDSA), gate());
    let (_, lie) = hellos(&mut client_13(), &server(ECDSA), &mut gate());
    let is_heard = |busy: &mut Gate, now| {
        let refused = busy.admit(&endpoint, &lie, ADDRESS, now).err();
        matches!(refused, Some(Refused::BadCookie(_)))
    };
    while is_heard(&mut busy, 0) {}
    let mut client = Foreign::new(Dtls::new_auto);
    assert!(client.shake_hands(&endpoint, &mut busy).is_established());
    let version = client.dtls.protocol_version();
    assert_eq!(version, Some(ProtocolVersion::DTLS1_2));
    // Until there has been no crowd for a while.
    let hello = Foreign::new(Dtls::new_auto).said.remove(0);
    for (now, message) in [(150_000_000, 3), (250_000_000, 2)] {
        let knock = busy.knock_untrusted(&endpoint, &hello, ADDRESS, now);
        assert!(matches!(knock, Knock::AskBack(question) if question[13] == message));
    }
}

/// The hello again, as a client of DTLS 1.2 sends it that has been asked for this cookie.
fn with_cookie(hello: &[u8], cookie: &[u8], message_sequence: u8) -> Vec<u8> {
    const BODY: usize = 13 + 12;
    let session = BODY + 2 + 32;
    let place = session + 1 + usize::from(hello[session]);
    let body = [
        &hello[BODY..place],
        &[cookie.len() as u8],
        cookie,
        &hello[place + 1..],
    ]
    .concat();
    let length = (body.len() as u16).to_be_bytes();
    let record = (body.len() as u16 + 12).to_be_bytes();
    let handshake = [1, 0, length[0], length[1], 0, message_sequence, 0, 0, 0, 0];
    [&hello[..11], &record, &handshake, &length, &body[..]].concat()
}

#[test]
fn who_brings_a_cookie_of_dtls_12_is_served_in_it_whatever_else_it_still_offers() {
    let (endpoint, mut busy) = (server(ECDSA), gate());
    let stranger = Foreign::new(Dtls::new_13).said.remove(0);
    while busy.knock_untrusted(&endpoint, &stranger, ADDRESS, 0) != Knock::Drop {}
    let first = Foreign::new(Dtls::new_auto).said.remove(0);
    let Knock::AskBack(question) = busy.knock_untrusted(&endpoint, &first, ADDRESS, 0) else {
        panic!("asked for a cookie of DTLS 1.2");
    };
    let cookie = &question[28..];
    let later = 1_000_000_000;
    let second = with_cookie(&first, cookie, 1);
    let knock = busy.knock_untrusted(&endpoint, &second, ADDRESS, later);
    assert!(matches!(knock, Knock::Open(_)), "{knock:?}");
    assert!(Association::accept(&endpoint, &second).is_ok());
    // A cookie comes in the second message of a handshake.
    let knock = busy.knock_untrusted(&endpoint, &with_cookie(&first, cookie, 0), ADDRESS, later);
    assert!(matches!(knock, Knock::AskBack(_)), "{knock:?}");
}
