//! HTTP requests (RFC 9112) that come to a port of TURN by mistake, or on purpose: ACME's challenges
//! (RFC 8555 §8.3). Knows their heads, as far as an answer hangs on them.

use std::ops::Range;

/// A longer head is not waited for.
pub const HEAD_LIMIT: usize = 4096;

const METHODS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"TRACE ",
    b"PATCH ",
    b"PRI ", // HTTP/2 (RFC 9113 §3.4)
];
const CHALLENGE: &[u8] = b"GET /.well-known/acme-challenge/";
/// What a token has to have at least: 128 bits in base64url (RFC 8555 §8.1).
const TOKEN: usize = 22;
/// No certificate authority's is near it.
const LONGEST_TOKEN: usize = 128;

/// What the beginning of a connection holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Somebody asks for the answer to the challenge whose token lies there.
    Challenge(Range<usize>),
    /// Any other request, its head whole or too long.
    Other,
    /// The beginning of a request.
    NeedMore,
    /// No request.
    Not,
}

/// What the octets of a connection begin with.
pub fn request_untrusted(octets: &[u8]) -> Request {
    let octets = &octets[..octets.len().min(HEAD_LIMIT)];
    let may_be = |method: &&[u8]| {
        let length = octets.len().min(method.len());
        octets[..length] == method[..length]
    };
    if !METHODS.iter().any(may_be) {
        return Request::Not;
    }
    let is_whole = octets.windows(4).any(|end| end == b"\r\n\r\n");
    if !is_whole && octets.len() < HEAD_LIMIT {
        return Request::NeedMore;
    }
    token(octets).map_or(Request::Other, Request::Challenge)
}

fn token(octets: &[u8]) -> Option<Range<usize>> {
    let rest = octets.strip_prefix(CHALLENGE)?;
    let is_of_token = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let length = rest.iter().position(|octet| !is_of_token(octet))?;
    let is_one =
        (TOKEN..=LONGEST_TOKEN).contains(&length) && rest[length..].starts_with(b" HTTP/1.");
    is_one.then_some(CHALLENGE.len()..CHALLENGE.len() + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /.well-known/acme-challenge/abcDEF-_0123456789abcdef HTTP/1.1\r\n\
                        Host: turn.example.com\r\n\r\n";

    #[test]
    fn a_challenge_has_its_token() {
        let Request::Challenge(token) = request_untrusted(HEAD.as_bytes()) else {
            panic!("a challenge");
        };
        assert_eq!(&HEAD[token], "abcDEF-_0123456789abcdef");
    }

    #[test]
    fn an_answer_waits_for_the_whole_head() {
        for end in 0..HEAD.len() {
            assert_eq!(
                request_untrusted(&HEAD.as_bytes()[..end]),
                Request::NeedMore
            );
        }
        let long = [b"GET /", &[b'x'; HEAD_LIMIT][..]].concat();
        assert_eq!(
            request_untrusted(&long[..HEAD_LIMIT - 1]),
            Request::NeedMore
        );
        assert_eq!(request_untrusted(&long[..HEAD_LIMIT]), Request::Other);
        assert_eq!(request_untrusted(&long), Request::Other);
    }

    #[test]
    fn what_could_lead_anywhere_else_is_no_challenge() {
        let long = "a".repeat(LONGEST_TOKEN + 1);
        for path in [
            "/",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/short",
            "/.well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz/../x",
            "/.well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz?x",
            "/.well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz%0d%0a",
            "/.well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz@evil.test",
            &format!("/.well-known/acme-challenge/{long}"),
        ] {
            let head = format!("GET {path} HTTP/1.1\r\n\r\n");
            assert_eq!(request_untrusted(head.as_bytes()), Request::Other, "{path}");
        }
        for head in ["POST", "get", "GET  "] {
            let text = HEAD.replace("GET", head);
            let found = request_untrusted(text.as_bytes());
            assert!(!matches!(found, Request::Challenge(_)), "{text}");
        }
        let without = HEAD.replace(" HTTP/1.1", "");
        assert_eq!(request_untrusted(without.as_bytes()), Request::Other);
    }

    #[test]
    fn what_is_no_request_is_told_at_once() {
        for octets in [
            &b"\x00\x01\x00\x00"[..],
            b"\x16\x03",
            b"GETA",
            b"@\x00",
            b"SSH-2.0",
        ] {
            assert_eq!(request_untrusted(octets), Request::Not, "{octets:?}");
        }
    }
}
