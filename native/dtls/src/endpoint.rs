//! What all associations of a server share, in each version that it speaks.

use std::sync::Arc;

use crate::loading::Trouble;
use crate::{nss, openssl};

/// The protocols of RFC 7443.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"stun.turn", b"stun.nat-discovery"];

/// How a server proves who it is, and what is agreed to beside it.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// DER certificates, the server's own first.
    pub chain: &'a [Vec<u8>],
    /// PKCS#8 DER, not encrypted.
    pub key: &'a [u8],
    /// IANA's numbers of the cipher suites that may be used; none: all there are.
    pub cipher_suites: &'a [u16],
    /// IANA's numbers of the groups that keys may be exchanged in; none: all there are.
    pub groups: &'a [u16],
    /// DER certificates: a client must have a certificate that one of these has signed. None: it
    /// needs no certificate.
    pub client_roots: &'a [Vec<u8>],
    /// DTLS 1.3 alone.
    pub without_12: bool,
}

/// What all associations of one server (or, in tests, one client) share.
#[derive(Clone)]
pub struct Endpoint {
    /// None: it is not spoken.
    pub(crate) dtls12: Option<Arc<openssl::Context>>,
    /// Or why it is not spoken.
    pub(crate) dtls13: Result<Arc<nss::Model>, Trouble>,
}

impl Endpoint {
    /// A server's: DTLS 1.2, and 1.3 if it can be had, without session tickets, renegotiation and
    /// data before the handshake is over.
    pub fn server(credentials: &Credentials<'_>) -> Result<Self, Trouble> {
        let dtls12 = match credentials.without_12 {
            true => None,
            false => Some(Arc::new(openssl::Context::server(credentials)?)),
        };
        let dtls13 = nss::Model::server(credentials).map(Arc::new);
        match (&dtls12, &dtls13) {
            (None, Err(trouble)) => Err(trouble.clone()),
            _ => Ok(Self { dtls12, dtls13 }),
        }
    }

    /// Why DTLS 1.3 is not spoken; `None` when it is.
    pub fn lacks_13(&self) -> Option<&Trouble> {
        self.dtls13.as_ref().err()
    }

    /// A client's that trusts everyone and speaks DTLS 1.2: for tests and for measuring.
    pub fn trusting_client() -> Result<Self, Trouble> {
        Ok(Self {
            dtls12: Some(Arc::new(openssl::Context::trusting_client()?)),
            dtls13: Err(Trouble("it is not asked for".into())),
        })
    }

    /// The same that speaks DTLS 1.3.
    pub fn trusting_client_13() -> Result<Self, Trouble> {
        Ok(Self {
            dtls12: None,
            dtls13: Ok(Arc::new(nss::Model::trusting_client()?)),
        })
    }
}
