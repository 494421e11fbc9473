//! A server and its clients, with the datagrams between them to look at.

use ferryman_dtls::{Association, Credentials, Endpoint, Gate, Heard, Knock, LONGEST_MESSAGE};

pub(crate) const ECDSA: (&[u8], &[u8]) = (
    include_bytes!("../keys/ecdsa.certificate.der"),
    include_bytes!("../keys/ecdsa.key.der"),
);
pub(crate) const RSA: (&[u8], &[u8]) = (
    include_bytes!("../keys/rsa.certificate.der"),
    include_bytes!("../keys/rsa.key.der"),
);
pub(crate) const ADDRESS: &[u8] = b"192.0.2.1:5000";

pub(crate) fn server((certificate, key): (&[u8], &[u8])) -> Endpoint {
    let credentials = Credentials {
        chain: &[certificate.to_vec(), certificate.to_vec()],
        key,
        ..Credentials::default()
    };
    Endpoint::server(&credentials).expect("good credentials")
}

pub(crate) fn client(protocols: &[u8]) -> Association {
    let endpoint = Endpoint::trusting_client().expect("OpenSSL is there");
    Association::connect(&endpoint, protocols).expect("memory")
}

/// A client of DTLS 1.3; it offers the protocols of RFC 7443.
pub(crate) fn client_13() -> Association {
    let endpoint = Endpoint::trusting_client_13().unwrap_or_else(|trouble| {
        panic!("{trouble}; scripts/install-test-nss brings one for LD_LIBRARY_PATH")
    });
    Association::connect(&endpoint, b"").expect("memory")
}

pub(crate) fn gate() -> Gate {
    Gate::new(0).expect("random bytes")
}

/// What one side has to say after it has read everything.
pub(crate) fn speak(side: &mut Association) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, bool) {
    let (mut messages, mut room) = (Vec::new(), vec![0; LONGEST_MESSAGE]);
    let ended = loop {
        match side.poll(&mut room) {
            Heard::Message(length) => messages.push(room[..length].to_vec()),
            Heard::Nothing => break false,
            Heard::End => break true,
        }
    };
    (sent(side), messages, ended)
}

pub(crate) fn sent(side: &mut Association) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    side.take_datagrams(|datagram| datagrams.push(datagram.to_vec()));
    datagrams
}

/// Everything that one side sends, read by the other; what that answers.
pub(crate) fn deliver(datagrams: &[Vec<u8>], to: &mut Association) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for datagram in datagrams {
        to.receive(datagram);
        answers.extend(speak(to).0);
    }
    answers
}

/// A client's first ClientHello and the one with the gate's cookie.
pub(crate) fn hellos(
    client: &mut Association,
    endpoint: &Endpoint,
    gate: &mut Gate,
) -> (Vec<u8>, Vec<u8>) {
    let first = speak(client).0.remove(0);
    let Knock::AskBack(question) = gate.knock_untrusted(endpoint, &first, ADDRESS, 0) else {
        panic!("a stranger is asked for a cookie");
    };
    assert!(question.len() <= 2 * first.len());
    client.receive(&question);
    (first, speak(client).0.remove(0))
}

/// A finished handshake: client, server, and the longest datagram on the way.
pub(crate) fn established(
    endpoint: &Endpoint,
    protocols: &[u8],
) -> (Association, Association, usize) {
    finish(client(protocols), endpoint)
}

/// The same for a client that has said nothing yet.
pub(crate) fn finish(
    mut client: Association,
    endpoint: &Endpoint,
) -> (Association, Association, usize) {
    let mut gate = gate();
    let (_, hello) = hellos(&mut client, endpoint, &mut gate);
    let server = match gate.knock_untrusted(endpoint, &hello, ADDRESS, 0) {
        Knock::Open(_) => Association::accept(endpoint, &hello),
        Knock::Claim(_) => Ok(gate
            .admit(endpoint, &hello, ADDRESS, 0)
            .expect("a good cookie")),
        other => panic!("{other:?}"),
    };
    let mut server = server.expect("a good hello");
    let mut flight = speak(&mut server).0;
    let mut longest = 0;
    while !flight.is_empty() {
        longest = flight.iter().map(Vec::len).fold(longest, usize::max);
        let answers = deliver(&flight, &mut client);
        flight = deliver(&answers, &mut server);
    }
    (client, server, longest)
}

/// A message of each side arrives at the other; the datagrams that the client's was in.
pub(crate) fn greet(client: &mut Association, server: &mut Association) -> Vec<Vec<u8>> {
    assert!(client.is_established() && server.is_established());
    assert!(client.send(b"hello"));
    let datagrams = sent(client);
    for datagram in &datagrams {
        server.receive(datagram);
    }
    assert_eq!(speak(server).1, [b"hello"]);
    assert!(server.send(b"welcome"));
    for datagram in sent(server) {
        client.receive(&datagram);
    }
    assert_eq!(speak(client).1, [b"welcome"]);
    datagrams
}
