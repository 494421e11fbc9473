//! Handshakes, messages and ends.

use ferryman_dtls::{Association, Credentials, Endpoint, Heard, LONGEST_FLIGHT, LONGEST_MESSAGE};

use crate::pair::{
    client, deliver, established, gate, greet, hellos, sent, server, speak, ECDSA, RSA,
};

#[test]
fn rsa_and_ecdsa_certificates_both_serve() {
    for credentials in [RSA, ECDSA] {
        let (mut client, mut server, longest) = established(&server(credentials), b"");
        assert!(longest <= LONGEST_FLIGHT, "{longest}");
        greet(&mut client, &mut server);
    }
}

#[test]
fn the_protocols_of_rfc_7443_are_agreed_on_and_others_refused() {
    let endpoint = server(ECDSA);
    for name in ["stun.turn", "stun.nat-discovery"] {
        let offered = [b"\x02h2".as_slice(), &[name.len() as u8], name.as_bytes()].concat();
        let (client, _, _) = established(&endpoint, &offered);
        assert_eq!(client.protocol(), name.as_bytes());
    }
    let (client, server, _) = established(&endpoint, b"\x02h2");
    assert!(!client.is_established() && !server.is_established());
}

#[test]
fn every_message_is_one_datagram_up_to_the_longest_record() {
    let (mut client, mut server, _) = established(&server(ECDSA), b"");
    for length in [1, 100, 1500, LONGEST_MESSAGE] {
        assert!(client.send(&vec![7; length]));
        let datagrams = sent(&mut client);
        assert_eq!(datagrams.len(), 1);
        server.receive(&datagrams[0]);
        assert_eq!(speak(&mut server).1, [vec![7; length]]);
    }
    assert!(!client.send(&vec![7; LONGEST_MESSAGE + 1]));
    assert!(!client.send(b""));
}

#[test]
fn records_that_come_together_or_out_of_order_keep_their_bounds() {
    let (mut client, mut server, _) = established(&server(ECDSA), b"");
    client.send(b"one");
    client.send(b"two");
    client.send(b"three");
    let datagrams = sent(&mut client);
    server.receive(&[&datagrams[2][..], &datagrams[0][..]].concat());
    assert_eq!(speak(&mut server).1, [&b"three"[..], b"one"]);
    server.receive(&datagrams[1]);
    assert_eq!(speak(&mut server).1, [b"two"]);
    server.receive(&datagrams[1]);
    assert_eq!(speak(&mut server).1, [b""; 0], "replayed");
}

#[test]
fn garbage_disturbs_nothing() {
    let (mut client, mut server, _) = established(&server(ECDSA), b"");
    client.send(b"good");
    let good = sent(&mut client).remove(0);
    let mut forged = good.clone();
    *forged.last_mut().expect("not empty") ^= 1;
    for bad in [
        &forged[..],
        &good[..20],
        &[23; 13],
        &[22],
        &[63; 2000],
        &[21, 254, 253, 0, 0],
    ] {
        server.receive(bad);
        let (answers, messages, ended) = speak(&mut server);
        assert!(answers.is_empty() && messages.is_empty() && !ended);
    }
    server.receive(&good);
    assert_eq!(speak(&mut server).1, [b"good"]);
}

#[test]
fn a_goodbye_ends_the_association() {
    let (mut client, mut server, _) = established(&server(ECDSA), b"");
    client.close();
    for datagram in sent(&mut client) {
        server.receive(&datagram);
    }
    assert!(speak(&mut server).2);
    server.close();
    assert_eq!(sent(&mut server).len(), 1, "answered by our own");
    assert!(!server.send(b"late"));
}

#[test]
fn no_session_is_kept_for_another_time() {
    let (mut client, mut gate) = (client(b""), gate());
    let (_, hello) = hellos(&mut client, &server(ECDSA), &mut gate);
    let mut server = Association::accept(&server(ECDSA), &hello).expect("a good hello");
    let flight = speak(&mut server).0;
    let server_hello = &flight[0][13 + 12..];
    assert_eq!(flight[0][13], 2, "a ServerHello");
    assert_eq!(server_hello[2 + 32], 0, "its session has no name");
}

#[test]
fn an_unanswered_flight_has_a_timer() {
    let (mut client, mut gate) = (client(b""), gate());
    let (_, hello) = hellos(&mut client, &server(ECDSA), &mut gate);
    let mut server = Association::accept(&server(RSA), &hello).expect("a good hello");
    assert!(!speak(&mut server).0.is_empty());
    let wait = server.timeout().expect("an answer is waited for");
    assert!(
        wait.as_secs_f64() > 0.5 && wait.as_secs_f64() < 2.5,
        "{wait:?}"
    );
    assert!(server.expire() && sent(&mut server).is_empty(), "too early");
}

#[test]
fn an_established_association_has_none() {
    let (_, server, _) = established(&server(RSA), b"");
    assert_eq!(server.timeout(), None);
}

#[test]
fn what_cannot_be_used_is_named() {
    let (chain, nothing) = ([RSA.0.to_vec()], [b"nothing".to_vec()]);
    let good = Credentials {
        chain: &chain,
        key: RSA.1,
        ..Credentials::default()
    };
    let rows = [
        (Credentials { chain: &[], ..good }, "no certificate"),
        (
            Credentials {
                chain: &nothing,
                ..good
            },
            "certificate cannot be read",
        ),
        (
            Credentials {
                key: b"nothing",
                ..good
            },
            "private key cannot be read",
        ),
        (
            Credentials {
                key: ECDSA.1,
                ..good
            },
            "private key does not belong",
        ),
        (
            Credentials {
                cipher_suites: &[0x1301],
                ..good
            },
            "no cipher of DTLS 1.2",
        ),
        (
            Credentials {
                groups: &[0x0100],
                ..good
            },
            "no group of DTLS 1.2",
        ),
        (
            Credentials {
                client_roots: &nothing,
                ..good
            },
            "certificate of CA-file cannot",
        ),
    ];
    for (credentials, line) in rows {
        let trouble = Endpoint::server(&credentials).err().expect(line);
        assert!(trouble.0.starts_with(line), "{trouble}");
    }
}

#[test]
fn the_one_suite_and_group_that_are_left_are_spoken() {
    let (client, server, _) = established(&server_with(&[0xC030], &[0x0018]), b"");
    assert!(client.is_established() && server.is_established());
    // An ECDSA suite is none for a server with an RSA key.
    let (client, server, _) = established(&server_with(&[0xC02C], &[]), b"");
    assert!(!client.is_established() && !server.is_established());
}

fn server_with(cipher_suites: &[u16], groups: &[u16]) -> Endpoint {
    let chain = [RSA.0.to_vec()];
    let credentials = Credentials {
        chain: &chain,
        key: RSA.1,
        cipher_suites,
        groups,
        ..Credentials::default()
    };
    Endpoint::server(&credentials).expect("good credentials")
}

#[test]
fn a_client_without_the_certificate_that_is_asked_for_is_refused() {
    let chain = [RSA.0.to_vec()];
    let credentials = Credentials {
        chain: &chain,
        key: RSA.1,
        client_roots: &chain,
        ..Credentials::default()
    };
    let endpoint = Endpoint::server(&credentials).expect("good credentials");
    assert!(!established(&endpoint, b"").1.is_established());
}

#[test]
fn an_association_waits_for_its_first_word() {
    let (mut client, mut room) = (client(b""), vec![0; LONGEST_MESSAGE]);
    assert_eq!(client.poll(&mut room), Heard::Nothing);
    assert!(!client.send(b"early"));
    client.close();
    assert_eq!(client.poll(&mut room), Heard::End);
}

#[test]
fn a_lost_last_flight_is_sent_again_when_the_client_asks_for_it() {
    let (mut client, mut gate, endpoint) = (client(b""), gate(), server(ECDSA));
    let (_, hello) = hellos(&mut client, &endpoint, &mut gate);
    let mut server = Association::accept(&endpoint, &hello).expect("a good hello");
    let flight = speak(&mut server).0;
    let finished = deliver(&flight, &mut client);
    assert!(!deliver(&finished, &mut server).is_empty(), "lost");
    assert!(server.is_established() && !client.is_established());
    let wait = client.timeout().expect("it waits for the server's");
    std::thread::sleep(wait + std::time::Duration::from_millis(20));
    assert!(client.expire());
    let again = deliver(&sent(&mut client), &mut server);
    deliver(&again, &mut client);
    greet(&mut client, &mut server);
}
