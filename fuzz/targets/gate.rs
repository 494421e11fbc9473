//! Any bytes at the gate (RFC 8489 §9.2.4): no panic; an answer is an error response to the request,
//! and over UDP it is at most four times as long.

#![no_main]

use ferryman_flow::gate::{Gate, Judged, Nonces, Settings, ANSWER_LIMIT};
use ferryman_flow::{FiveTuple, Transport};
use libfuzzer_sys::fuzz_target;

const COOKIE: &[u8] = b"obMatJos2gAAA";

fn gate() -> Gate {
    let mut gate = Gate::default();
    gate.set(Nonces::new(COOKIE, b"key", 0).map(|nonces| Settings {
        realm: b"ferry.example".to_vec(),
        nonces,
        lifetime: 600,
        algorithms: [vec![0, 2, 0, 0, 0, 1, 0, 0], vec![0, 1, 0, 0]],
        third_party: b"auth.example".to_vec(),
        fingerprint: false,
        per_second: 0,
    }));
    gate
}

fuzz_target!(|data: &[u8]| {
    let Some((first, request)) = data.split_first() else {
        return;
    };
    let transport = match first % 4 {
        0 => Transport::Udp,
        1 => Transport::Tcp,
        2 => Transport::Tls,
        _ => Transport::Dtls,
    };
    let client = FiveTuple {
        transport,
        client: ([203, 0, 113, 9], 40_000).into(),
        server: ([198, 51, 100, 1], 3478).into(),
        socket: 1,
    };
    let mut out = [0; ANSWER_LIMIT];
    if let Judged::Answer(length) = gate().judge(request, &client, 1_000_000_000_000, &mut out) {
        let answer = &out[..length];
        assert_eq!(answer[4..20], request[4..20]);
        assert_eq!(answer[0] & 1, 1);
        assert_eq!(
            usize::from(u16::from_be_bytes([answer[2], answer[3]])) + 20,
            length
        );
        assert!(transport != Transport::Udp || length <= 4 * request.len());
    }
});
