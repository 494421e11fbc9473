//! Whatever comes in place of STUN: a token lies in the request, and is nothing but one.
#![no_main]

use ferryman_flow::http::{request_untrusted, Request, HEAD_LIMIT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    match request_untrusted(octets) {
        Request::Challenge(token) => {
            let token = &octets[token];
            let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_".contains(octet);
            assert!(token.iter().all(is_plain) && (22..=128).contains(&token.len()));
        }
        Request::NeedMore => {
            assert!(octets.len() < HEAD_LIMIT);
            // More may come, and does not become less.
            for cut in 0..octets.len() {
                assert_eq!(request_untrusted(&octets[..cut]), Request::NeedMore);
            }
        }
        Request::Other | Request::Not => {}
    }
});
