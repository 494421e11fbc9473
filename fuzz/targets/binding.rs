//! Whatever a Binding request looks like, its answer fits, is at most four times as long over UDP,
//! leaves from an address of the server and goes to the IP that asked.
#![no_main]

use std::net::SocketAddr;

use ferryman_flow::binding::{answer, answer_classic, Settings, ANSWER_LIMIT};
use ferryman_flow::{Discovery, FiveTuple, Transport};
use libfuzzer_sys::fuzz_target;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn settings() -> Vec<Settings> {
    let ips = ["198.51.100.1:0", "198.51.100.2:0"].map(|text| address(text).ip());
    let mut discovering = Settings {
        mapped_address: true,
        ..Settings::default()
    };
    discovering.offer(Discovery {
        bound: ips,
        advertised: ips,
        ports: [3478, 3479],
    });
    let plain = Settings {
        fingerprint: true,
        ..Settings::default()
    };
    vec![Settings::default(), plain, discovering]
}

fuzz_target!(|request: &[u8]| {
    let mut out = [0; ANSWER_LIMIT];
    for transport in [Transport::Udp, Transport::Tcp] {
        for client in ["192.0.2.1:1", "[2001:db8::1]:65535"].map(address) {
            let server = address("198.51.100.1:3478");
            let five_tuple = FiveTuple {
                transport,
                client,
                server,
                socket: 1,
            };
            if let Some(length) = answer_classic(request, &five_tuple, &mut out) {
                assert!(length <= 4 * request.len());
                assert_eq!(out[4..20], request[4..20], "another transaction");
            }
            for settings in settings() {
                let Some(answer) = answer(request, &five_tuple, &settings, &mut out) else {
                    continue;
                };
                let limit = 4 * request.len();
                assert!(transport != Transport::Udp || answer.length <= limit);
                assert_eq!(out[4..20], request[4..20], "another transaction");
                assert_eq!(answer.to.ip(), client.ip());
                let ours =
                    ["198.51.100.1", "198.51.100.2"].contains(&&*answer.from.ip().to_string());
                assert!(ours && [3478, 3479].contains(&answer.from.port()));
            }
        }
    }
});
