//! Nothing is kept of who has not shown that it receives at its address (RFC 6347 §4.2.1).

use ferryman_dtls::{Association, Gate, Knock};

use crate::pair::{client, gate, hellos, server, speak, ADDRESS, ECDSA};

const SECOND: u64 = 1_000_000_000;

fn opens(gate: &mut Gate, hello: &[u8], address: &[u8], now: u64) -> bool {
    matches!(gate.knock_untrusted(hello, address, now), Knock::Open(_))
}

#[test]
fn the_question_is_no_longer_than_the_hello() {
    let first = speak(&mut client(b"")).0.remove(0);
    let mut gate = gate();
    let Knock::AskBack(question) = gate.knock_untrusted(&first, ADDRESS, 0) else {
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
    let (_, hello) = hellos(&mut client, &mut gate);
    assert!(opens(&mut gate, &hello, ADDRESS, 0));
    assert!(
        !opens(&mut gate, &hello, b"192.0.2.2:5000", 0),
        "another address"
    );
    for place in [13 + 12 + 2 + 5, hello.len() - 1] {
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
    let (_, hello) = hellos(&mut client, &mut gate);
    assert!(opens(&mut gate, &hello, ADDRESS, 59 * SECOND));
    assert!(
        opens(&mut gate, &hello, ADDRESS, 61 * SECOND),
        "of the secret before"
    );
    assert!(!opens(&mut gate, &hello, ADDRESS, 122 * SECOND));
}

#[test]
fn crumbs_and_lies_are_dropped() {
    let (mut client, mut gate) = (client(b""), gate());
    let (first, hello) = hellos(&mut client, &mut gate);
    for whole in [&first, &hello] {
        for end in 0..whole.len() {
            let knock = gate.knock_untrusted(&whole[..end], ADDRESS, 0);
            assert_eq!(knock, Knock::Drop, "{end} bytes");
        }
        // Each byte of the headers, made to lie.
        for place in 0..25 {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut lie = whole.clone();
                lie[place] = value;
                match gate.knock_untrusted(&lie, ADDRESS, 0) {
                    Knock::AskBack(question) => assert!(question.len() <= lie.len()),
                    Knock::Open(_) | Knock::Drop => {}
                }
            }
        }
    }
}

#[test]
fn a_hello_too_short_for_the_question_is_not_answered() {
    // Version, random, no session id, no cookie, one suite, no compression: 42 bytes of body.
    let mut hello = vec![22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50];
    hello.extend_from_slice(&[1, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0, 38]);
    hello.extend_from_slice(&[0xFE, 0xFD]);
    hello.extend_from_slice(&[9; 32]);
    hello.extend_from_slice(&[0, 0, 0, 0]);
    assert_eq!(hello.len(), 63);
    match gate().knock_untrusted(&hello, ADDRESS, 0) {
        Knock::AskBack(question) => assert!(question.len() <= 63),
        Knock::Drop => {}
        Knock::Open(_) => panic!("without a cookie"),
    }
    hello.truncate(62);
    hello[12] = 49;
    hello[16] = 37;
    hello[24] = 37;
    match gate().knock_untrusted(&hello, ADDRESS, 0) {
        Knock::AskBack(question) => assert!(question.len() <= 62),
        Knock::Drop => {}
        Knock::Open(_) => panic!("without a cookie"),
    }
}

#[test]
fn a_hello_that_openssl_refuses_makes_no_association() {
    let (mut client, mut gate) = (client(b""), gate());
    let (first, _) = hellos(&mut client, &mut gate);
    assert!(
        Association::accept(&server(ECDSA), &first).is_err(),
        "no cookie"
    );
    assert!(Association::accept(&server(ECDSA), &[22; 40]).is_err());
}
