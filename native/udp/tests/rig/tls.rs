//! A TLS client on a loopback socket, which trusts anyone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use ferryman_udp::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

pub(crate) fn first() -> Certificate {
    certificate(
        include_bytes!("certificates/first.certificate.der"),
        include_bytes!("certificates/first.key.der"),
    )
}

pub(crate) fn second() -> Certificate {
    certificate(
        include_bytes!("certificates/second.certificate.der"),
        include_bytes!("certificates/second.key.der"),
    )
}

fn certificate(own: &[u8], key: &[u8]) -> Certificate {
    Certificate {
        chain: vec![own.to_vec()],
        key: key.to_vec(),
        cipher_suites: Vec::new(),
        groups: Vec::new(),
        tls12: true,
        client_roots: Vec::new(),
    }
}

/// The client's half of a connection, before its first word.
pub(crate) fn machine(
    version: &'static SupportedProtocolVersion,
    alpn: &[&str],
) -> ClientConnection {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    ClientConnection::new(Arc::new(config), ServerName::try_from("any.test").unwrap()).unwrap()
}

/// The handshake, to its end.
pub(crate) fn shake_hands(
    mut machine: ClientConnection,
    mut socket: TcpStream,
) -> std::io::Result<TlsStream> {
    while machine.is_handshaking() {
        machine.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(machine, socket))
}

/// The bytes that a client begins with.
pub(crate) fn hello(version: &'static SupportedProtocolVersion) -> Vec<u8> {
    let mut octets = Vec::new();
    machine(version, &[]).write_tls(&mut octets).unwrap();
    octets
}

pub(crate) fn receive_exactly(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    stream
        .read_exact(&mut buffer)
        .expect("the stream ended too early");
    buffer
}

/// Sends octets one at a time, each in a segment of its own.
pub(crate) struct Crumbs(pub(crate) TcpStream);

impl Write for Crumbs {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.write(&octets[..octets.len().min(1)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Read for Crumbs {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(room)
    }
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
