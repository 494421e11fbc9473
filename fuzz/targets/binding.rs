//! Whatever a Binding request looks like, its answer fits and is at most four times as long.
#![no_main]

use ferryman_flow::binding::{answer, ANSWER_LIMIT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
    let mut out = [0; ANSWER_LIMIT];
    for client in ["192.0.2.1:1", "[2001:db8::1]:65535"] {
        let client = client.parse().expect("an address");
        for fingerprint in [false, true] {
            if let Some(length) = answer(request, client, fingerprint, &mut out) {
                assert!(length <= 4 * request.len(), "{length} for {}", request.len());
                assert_eq!(out[4..20], request[4..20], "another transaction");
            }
        }
    }
});
