//! HTTP on a port of TURN.
#![allow(clippy::unwrap_used)]

mod rig;

use std::io::{ErrorKind, Read, Write};

use ferryman_udp::{Choices, Settings};
use rig::tls::{first, machine, shake_hands, VERSIONS};
use rig::*;

const CHALLENGE: &[u8] = b"GET /.well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz HTTP/1.1\r\n\
                           Host: turn.example.com\r\n\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: turn.example.com\r\n\r\n";

fn rig(respond_http_unsupported: bool, acme_redirect: &str) -> Rig {
    Rig::of(Settings {
        choices: choices(respond_http_unsupported, acme_redirect),
        ..Settings::default()
    })
}

fn choices(respond_http_unsupported: bool, acme_redirect: &str) -> Choices {
    Choices {
        respond_http_unsupported,
        acme_redirect: acme_redirect.to_owned(),
        ..Choices::default()
    }
}

fn all_of(mut stream: impl Read) -> String {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "not closed");
    }
    String::from_utf8(answer).unwrap()
}

fn ask(rig: &Rig, request: &[u8]) -> String {
    let mut stream = rig.connect();
    stream.write_all(request).unwrap();
    all_of(stream)
}

/// Status, headers and body.
fn parts(answer: &str) -> (&str, Vec<&str>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    (lines.next().unwrap(), lines.collect(), body)
}

#[test]
fn http_is_told_that_it_is_not_spoken() {
    let rig = rig(true, "");
    for request in [GET, CHALLENGE, b"POST /x HTTP/1.0\r\n\r\n"] {
        let answer = ask(&rig, request);
        let (status, headers, body) = parts(&answer);
        assert_eq!(status, "HTTP/1.1 400 Bad Request");
        assert!(headers.contains(&"Connection: close"));
        assert!(headers.contains(&format!("Content-Length: {}", body.len()).as_str()));
    }
    rig.is_alive();
}

#[test]
fn a_challenge_is_sent_on_and_nothing_else_is() {
    let rig = rig(false, "http://certbot.test/.well-known/acme-challenge/");
    let answer = ask(&rig, CHALLENGE);
    let (status, headers, _) = parts(&answer);
    assert_eq!(status, "HTTP/1.1 301 Moved Permanently");
    let place = "http://certbot.test/.well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz";
    assert!(
        headers.contains(&format!("Location: {place}").as_str()),
        "{answer}"
    );
    assert_eq!(ask(&rig, GET), "");
}

#[test]
fn both_may_be_wanted() {
    let rig = rig(true, "http://certbot.test/");
    assert!(ask(&rig, CHALLENGE).starts_with("HTTP/1.1 301 "));
    assert!(ask(&rig, GET).starts_with("HTTP/1.1 400 "));
}

#[test]
fn by_default_there_is_no_answer() {
    let rig = Rig::new();
    assert_eq!(ask(&rig, GET), "");
    rig.datapath.choose(choices(true, ""));
    assert!(ask(&rig, GET).starts_with("HTTP/1.1 400 "));
    rig.datapath.choose(Choices::default());
    assert_eq!(ask(&rig, GET), "");
}

#[test]
fn a_head_may_come_octet_by_octet_and_is_answered_at_its_end() {
    let rig = rig(true, "http://certbot.test/");
    let mut stream = rig.connect();
    for octet in CHALLENGE {
        stream.write_all(&[*octet]).unwrap();
        rig.is_alive();
    }
    assert!(all_of(stream).starts_with("HTTP/1.1 301 "));
}

#[test]
fn a_head_without_end_is_not_waited_for() {
    let rig = rig(true, "");
    let mut stream = rig.connect();
    // Exactly as long as a head may be: what is left unread would reset the connection.
    stream
        .write_all(&[b"GET /", &[b'x'; 4091][..]].concat())
        .unwrap();
    assert!(all_of(stream).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_client_of_turn_is_no_client_of_http() {
    let rig = rig(true, "");
    let mut client = rig.tcp_client(7);
    client.send(GET);
    let mut after = rig.connect();
    after.write_all(&request(ALLOCATE)).unwrap();
    let five_tuple = rig.asked();
    after.write_all(GET).unwrap();
    rig.reply(five_tuple, b"");
    assert_eq!(all_of(after), "");
}

#[test]
fn http_is_answered_in_tls_as_well() {
    let rig = rig(true, "");
    rig.datapath.use_certificate(&first()).unwrap();
    rig.is_alive();
    let mut stream = shake_hands(machine(VERSIONS[1], &[]), rig.connect()).unwrap();
    stream.write_all(GET).unwrap();
    assert!(all_of(stream).starts_with("HTTP/1.1 400 "));
}
