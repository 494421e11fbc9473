//! How the server proves who it is, and how it speaks TLS.

use std::sync::Arc;

use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// What clients may offer to speak within TLS (RFC 7443 §2); they need not offer anything.
const ALPN: [&[u8]; 2] = [b"stun.turn", b"stun.nat-discovery"];

/// A certificate with its key, and what is agreed to beside it.
#[derive(Clone)]
pub struct Certificate {
    /// X.509 in DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 in DER, not encrypted.
    pub key: Vec<u8>,
    /// IANA's numbers of the cipher suites that may be used; none: all there are.
    pub cipher_suites: Vec<u16>,
    /// IANA's numbers of the groups that keys may be exchanged in; none: all there are.
    pub groups: Vec<u16>,
    /// Whether TLS 1.2 may be spoken beside 1.3.
    pub tls12: bool,
    /// X.509 in DER: a client must have a certificate that one of these has signed. None: it needs
    /// no certificate.
    pub client_roots: Vec<Vec<u8>>,
}

impl Certificate {
    /// Fails when the key is not that of the certificate, or nothing is left to agree to.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let provider = Arc::new(self.provider());
        let chain = self.chain.iter().cloned().map(CertificateDer::from);
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions())?
            .with_client_cert_verifier(self.client_verifier(provider)?)
            .with_single_cert(chain.collect(), PrivateKeyDer::Pkcs8(key))?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        // Nothing is kept for clients that may come back; so no ticket is given to them either.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
        if self.tls12 {
            BOTH
        } else {
            &BOTH[..1]
        }
    }

    fn provider(&self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        let wanted = |list: &[u16], number| list.is_empty() || list.contains(&number);
        let suites = &mut provider.cipher_suites;
        suites.retain(|suite| wanted(&self.cipher_suites, suite.suite().into()));
        let groups = &mut provider.kx_groups;
        groups.retain(|group| wanted(&self.groups, group.name().into()));
        provider
    }

    fn client_verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        if self.client_roots.is_empty() {
            return Ok(WebPkiClientVerifier::no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        for root in &self.client_roots {
            roots.add(CertificateDer::from(root.clone()))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))
    }
}
