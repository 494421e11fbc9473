//! Nothing is kept of who has not shown that it receives at its address (RFC 6347 §4.2.1).

use ferryman_dtls::{Association, Gate, Knock};

use crate::pair::{client, gate, hellos, server, speak, ADDRESS, ECDSA};

const SECOND: u64 = 1_000_000_000;

fn opens(gate: &mut Gate, hello: &[u8], address: &[u8], now: u64) -> bool {
    let knock = gate.knock_untrusted(&server(ECDSA), hello, address, now);
    matches!(knock, Knock::Open(_))
}

#[test]
fn the_question_is_no_longer_than_the_hello() {
    let first = speak(&mut client(b"")).0.remove(0);
    let mut gate = gate();
    let Knock::AskBack(question) = gate.knock_untrusted(&server(ECDSA), &first, ADDRESS, 0) else {
        panic!("a stranger is asked");
    };
    assert!(question.len() <= first.len());
    assert_eq!(
        question[5..11],
        first[5..11],
        "the record's number is repeated"
    );
}

#[test]
fn a_cookie_is_good_for_its_address_and_its_hello_alone() {
    let (mut client, mut gate) = (client(b""), gate());
    let (_, hello) = hellos(&mut client, &server(ECDSA), &mut gate);
    assert!(opens(&mut gate, &hello, ADDRESS, 0));
    assert!(
        !opens(&mut gate, &hello, b"192.0.2.2:5000", 0),
        "another address"
    );
    // Its random, and the first of its cipher suites.
    for place in [13 + 12 + 2 + 5, 13 + 12 + 2 + 32 + 1 + 1 + 32 + 2] {
        let mut other = hello.clone();
        other[place] ^= 1;
        assert!(
            !opens(&mut gate, &other, ADDRESS, 0),
            "byte {place} is another"
        );
    }
    assert!(
        !opens(&mut crate::pair::gate(), &hello, ADDRESS, 0),
        "another secret"
    );
}

#[test]
fn a_cookie_grows_old() {
    let (mut client, mut gate) = (client(b""), gate());
    let (_, hello) = hellos(&mut client, &server(ECDSA), &mut gate);
    assert!(opens(&mut gate, &hello, ADDRESS, 59 * SECOND));
    assert!(
        opens(&mut gate, &hello, ADDRESS, 61 * SECOND),
        "of the secret before"
    );
    assert!(!opens(&mut gate, &hello, ADDRESS, 122 * SECOND));
}

#[test]
fn a_cookie_grows_old_where_nobody_knocks_as_well() {
    for (silence, good) in [(119, true), (120, false), (3600, false)] {
        let (mut client, mut gate) = (client(b""), gate());
        let (_, hello) = hellos(&mut client, &server(ECDSA), &mut gate);
        let opened = opens(&mut gate, &hello, ADDRESS, silence * SECOND);
        assert_eq!(opened, good, "{silence} s");
    }
}

#[test]
fn crumbs_and_lies_are_dropped() {
    let (mut client, mut gate) = (client(b""), gate());
    let endpoint = server(ECDSA);
    let (first, hello) = hellos(&mut client, &endpoint, &mut gate);
    for whole in [&first, &hello] {
        for end in 0..whole.len() {
            let knock = gate.knock_untrusted(&endpoint, &whole[..end], ADDRESS, 0);
            assert_eq!(knock, Knock::Drop, "{end} bytes");
        }
        // Each byte of the headers, made to lie.
        for place in 0..25 {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut lie = whole.clone();
                lie[place] = value;
                match gate.knock_untrusted(&endpoint, &lie, ADDRESS, 0) {
                    Knock::AskBack(question) => assert!(question.len() <= lie.len()),
                    Knock::Open(_) | Knock::Claim(_) | Knock::Drop => {}
                }
            }
        }
    }
}

#[test]
fn the_vectors_are_asked_or_dropped() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../vectors/client_hellos.json"
    );
    let text = std::fs::read_to_string(file).expect(file);
    let rows: serde_json::Value = serde_json::from_str(&text).expect(file);
    let rows = rows.as_array().expect("an array");
    assert!(!rows.is_empty());
    let endpoint = server(ECDSA);
    for row in rows {
        let field = |name| row[name].as_str().unwrap_or_else(|| panic!("{row}"));
        let datagram = octets(field("hex"));
        let verdict = match gate().knock_untrusted(&endpoint, &datagram, ADDRESS, 0) {
            Knock::AskBack(question) => {
                assert!(question.len() <= datagram.len(), "{row}");
                match question[13] {
                    2 => "retried",
                    _ => "asked",
                }
            }
            Knock::Drop => "dropped",
            Knock::Claim(_) => "claimed",
            Knock::Open(_) => "opened",
        };
        assert_eq!(verdict, field("verdict"), "{row}");
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(octet).collect()
}

#[test]
fn a_hello_that_openssl_refuses_makes_no_association() {
    let (mut client, mut gate) = (client(b""), gate());
    let (first, _) = hellos(&mut client, &server(ECDSA), &mut gate);
    assert!(
        Association::accept(&server(ECDSA), &first).is_err(),
        "no cookie"
    );
    assert!(Association::accept(&server(ECDSA), &[22; 40]).is_err());
}
