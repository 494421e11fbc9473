//! DTLS clients on loopback sockets, and a server with a certificate for them.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use ferryman_dtls::{Association, Endpoint, Heard, LONGEST_FLIGHT, LONGEST_MESSAGE};
use ferryman_flow::FiveTuple;
use ferryman_udp::{Credentials, Settings};

use super::{receive, request, udp_socket, Rig, ALLOCATE, PATIENCE};

pub(crate) const ECDSA: (&[u8], &[u8]) = (
    include_bytes!("../../../dtls/tests/keys/ecdsa.certificate.der"),
    include_bytes!("../../../dtls/tests/keys/ecdsa.key.der"),
);
pub(crate) const RSA: (&[u8], &[u8]) = (
    include_bytes!("../../../dtls/tests/keys/rsa.certificate.der"),
    include_bytes!("../../../dtls/tests/keys/rsa.key.der"),
);

/// What NSS begins with: what an Ethernet frame carries over IPv4.
const LONGEST_FLIGHT_13: usize = 1472;

pub(crate) fn served(settings: Settings) -> Rig {
    serving(Rig::of(settings))
}

pub(crate) fn serving(rig: Rig) -> Rig {
    serve(&rig, ECDSA);
    rig
}

pub(crate) fn serve(rig: &Rig, (certificate, key): (&[u8], &[u8])) {
    let credentials = Credentials {
        chain: &[certificate.to_vec()],
        key,
        ..Credentials::default()
    };
    rig.datapath.serve_dtls(&credentials).unwrap();
}

/// A DTLS client on a socket of its own.
pub(crate) struct Dtls {
    pub(crate) socket: UdpSocket,
    pub(crate) association: Association,
    /// No datagram of the server's handshake is longer.
    longest: usize,
}

impl Dtls {
    pub(crate) fn at(server: SocketAddr) -> Self {
        Self::from(&server.ip().to_string(), server)
    }

    pub(crate) fn from(ip: &str, server: SocketAddr) -> Self {
        let socket = udp_socket(ip);
        socket.connect(server).unwrap();
        Self::on(socket)
    }

    pub(crate) fn on(socket: UdpSocket) -> Self {
        Self::with(
            socket,
            &Endpoint::trusting_client().unwrap(),
            LONGEST_FLIGHT,
        )
    }

    fn with(socket: UdpSocket, endpoint: &Endpoint, longest: usize) -> Self {
        Self {
            socket,
            association: Association::connect(endpoint, b"").unwrap(),
            longest,
        }
    }

    /// One that speaks DTLS 1.3.
    pub(crate) fn of_13(socket: UdpSocket, server: SocketAddr) -> Self {
        socket.connect(server).unwrap();
        let endpoint = Endpoint::trusting_client_13().unwrap_or_else(|trouble| {
            panic!("{trouble}; scripts/install-test-nss brings one for LD_LIBRARY_PATH")
        });
        Self::with(socket, &endpoint, LONGEST_FLIGHT_13)
    }

    /// One that speaks DTLS 1.3 and has shaken hands.
    pub(crate) fn connect_13(server: SocketAddr) -> Self {
        let mut client = Self::of_13(udp_socket(&server.ip().to_string()), server);
        client.shake_hands();
        client
    }

    pub(crate) fn connect(server: SocketAddr) -> Self {
        let mut client = Self::at(server);
        client.shake_hands();
        client
    }

    pub(crate) fn shake_hands(&mut self) {
        self.speak();
        self.hear_out();
    }

    /// A handshake that has begun, to its end.
    pub(crate) fn hear_out(&mut self) {
        while !self.association.is_established() {
            self.hear();
        }
    }

    /// Everything that waits to be said.
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        let room = &mut vec![0; LONGEST_MESSAGE];
        assert_eq!(self.association.poll(room), Heard::Nothing);
        self.association
            .take_datagrams(|datagram| datagrams.push(datagram.to_vec()));
        datagrams
    }

    pub(crate) fn speak(&mut self) {
        for datagram in self.take() {
            self.socket.send(&datagram).unwrap();
        }
    }

    /// Sends what is left to be said at the end.
    pub(crate) fn speak_out(&mut self) {
        let socket = &self.socket;
        self.association
            .take_datagrams(|datagram| assert!(socket.send(datagram).is_ok()));
    }

    pub(crate) fn hear(&mut self) {
        let datagram = receive(&self.socket);
        assert!(datagram.len() <= self.longest, "{}", datagram.len());
        self.association.receive(&datagram);
        self.speak();
    }

    /// Begins a handshake as far as the server's first flight, which it reads.
    pub(crate) fn knock(&mut self) {
        let hello = self.second_hello();
        self.socket.send(&hello).unwrap();
        self.association.receive(&receive(&self.socket));
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        assert!(self.association.send(message));
        self.speak();
    }

    /// The next message, or `None` when the server says goodbye.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let mut room = vec![0; LONGEST_MESSAGE];
        loop {
            match self.association.poll(&mut room) {
                Heard::Message(length) => return Some(room[..length].to_vec()),
                Heard::End => return None,
                Heard::Nothing => self.association.receive(&receive(&self.socket)),
            }
        }
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.next().expect("a message")
    }

    /// Asks, and has an allocation opened.
    pub(crate) fn allocate(&mut self, rig: &Rig, allocation: u64) -> (FiveTuple, SocketAddr) {
        self.send(&request(ALLOCATE));
        let five_tuple = rig.asked();
        let relayed = rig.open(allocation, five_tuple);
        rig.reply(five_tuple, b"opened");
        assert_eq!(self.receive(), b"opened");
        (five_tuple, relayed)
    }

    pub(crate) fn first_hello(&mut self) -> Vec<u8> {
        self.take().remove(0)
    }

    /// The ClientHello with the server's cookie.
    pub(crate) fn second_hello(&mut self) -> Vec<u8> {
        self.speak();
        self.association.receive(&receive(&self.socket));
        self.take().remove(0)
    }
}

/// Clients of one source: 64 may be shaking hands, and the last one is among them.
pub(crate) fn oldest_handshake_goes(rig: &Rig, make: impl Fn() -> Dtls) {
    let mut clients: Vec<_> = (0..70)
        .map(|_| {
            let mut client = make();
            client.knock();
            client
        })
        .collect();
    until(|| rig.counter("associations") == 64);
    clients.pop().unwrap().shake_hands();
}

pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "it never happened");
        std::thread::yield_now();
    }
}
