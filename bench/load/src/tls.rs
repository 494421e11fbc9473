//! A TLS connection of a client. It takes any certificate: this is a load, no browser. Both
//! servers get the same suite, TLS_AES_128_GCM_SHA256, so that neither has the cheaper one.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use crate::sockets;
use crate::Trouble;

/// A session and its socket; the setup and one lane use it, one after the other.
pub(crate) type SharedTls = Rc<RefCell<Tls>>;

pub(crate) struct Tls {
    session: ClientConnection,
    stream: TcpStream,
}

/// Connects and shakes hands, and never blocks from then on.
pub(crate) fn connect(remote: SocketAddrV4) -> Result<SharedTls, Trouble> {
    let name = ServerName::IpAddress((*remote.ip()).into());
    let mut session = ClientConnection::new(config()?, name)?;
    session.set_buffer_limit(None);
    let mut stream = sockets::tcp(remote)?;
    stream.set_nonblocking(false)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    stream.set_nonblocking(true)?;
    Ok(Rc::new(RefCell::new(Tls { session, stream })))
}

fn config() -> Result<Arc<ClientConfig>, Trouble> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..default_provider()
    });
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Tls {
    pub(crate) fn socket(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Encrypts, and sends what the kernel takes.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.session.writer().write_all(octets)?;
        self.flush();
        Ok(())
    }

    /// Whether everything has gone.
    pub(crate) fn flush(&mut self) -> bool {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.stream).is_err() {
                return false;
            }
        }
        true
    }

    /// Decrypts what has come into `room`; 0 for nothing.
    pub(crate) fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self
            .session
            .read_tls(&mut self.stream)
            .is_ok_and(|came| came > 0)
        {
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
        match self.session.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            came => came,
        }
    }
}

#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
