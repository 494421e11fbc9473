//! A server of DTLS for the fuzz targets.

use ferryman_dtls::{Association, Credentials, Endpoint, Gate, Heard, Knock, LONGEST_MESSAGE};

/// NSS hears so many strangers in each of these, ns.
pub const PERIOD: u64 = 100_000_000;

const ADDRESS: &[u8] = b"somewhere";

/// One that speaks DTLS 1.2 and 1.3.
pub fn endpoint() -> Endpoint {
    let keys = Credentials {
        chain: &[include_bytes!("../../native/dtls/tests/keys/ecdsa.certificate.der").to_vec()],
        key: include_bytes!("../../native/dtls/tests/keys/ecdsa.key.der"),
        ..Credentials::default()
    };
    let endpoint = Endpoint::server(&keys).expect("good keys");
    if let Some(trouble) = endpoint.lacks_13() {
        panic!("{trouble}; scripts/install-test-nss brings one for LD_LIBRARY_PATH");
    }
    endpoint
}

/// A client and a server over DTLS 1.3, with nothing on its way between them.
pub fn established() -> (Association, Association) {
    let (endpoint, mut gate) = (endpoint(), Gate::new(0).expect("OpenSSL is there"));
    let client = Endpoint::trusting_client_13().expect("NSS is there");
    let mut client = Association::connect(&client, b"").expect("memory");
    let first = said(&mut client).remove(0);
    let Knock::AskBack(question) = gate.knock_untrusted(&endpoint, &first, ADDRESS, 0) else {
        panic!("a stranger is asked");
    };
    client.receive(&question);
    let second = said(&mut client).remove(0);
    let mut server = gate
        .admit(&endpoint, &second, ADDRESS, 0)
        .expect("a good cookie");
    loop {
        let flight = said(&mut server);
        if flight.is_empty() {
            break;
        }
        for datagram in flight {
            client.receive(&datagram);
            said(&mut client)
                .iter()
                .for_each(|answer| server.receive(answer));
        }
    }
    assert!(client.is_established() && server.is_established());
    (client, server)
}

fn said(side: &mut Association) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    assert_eq!(side.poll(&mut vec![0; LONGEST_MESSAGE]), Heard::Nothing);
    side.take_datagrams(|datagram| datagrams.push(datagram.to_vec()));
    datagrams
}
