//! However the octets before a client's first are cut, a header ends where it ends, and keeps to
//! its limit.
#![no_main]

use ferryman_flow::proxy::{header_untrusted, Header, PROXY_LIMIT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    match header_untrusted(octets) {
        Header::Complete(end, said) => {
            assert!(0 < end && end <= octets.len() && end <= PROXY_LIMIT);
            // What follows the header changes nothing, and without its last octet it is none.
            assert_eq!(
                header_untrusted(&octets[..end]),
                Header::Complete(end, said)
            );
            for cut in [0, end / 2, end - 1] {
                assert_eq!(header_untrusted(&octets[..cut]), Header::NeedMore);
            }
        }
        Header::NeedMore => assert!(octets.len() < PROXY_LIMIT),
        Header::Bad => assert!(!octets.is_empty()),
    }
});
