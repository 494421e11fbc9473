//! The gate before any state (RFC 6347 §4.2.1, RFC 9147 §5.1): a client shows that it receives at its
//! address by bringing back a cookie. That of DTLS 1.2 is an HMAC over the address and the
//! ClientHello's parameters; that of DTLS 1.3 is NSS's, and holds an HMAC over the address.
//!
//! Keeps two secrets and nothing per client.

use crate::allowance::Allowance;
use crate::association::Association;
use crate::endpoint::Endpoint;
use crate::hello::{self, ClientHello, DTLS_1_2, DTLS_1_3};
use crate::loading::Trouble;
use crate::nss;
use crate::openssl::Library;

/// How long cookies are made with one secret, ns; they are good for up to twice that.
const SECRET_LIFETIME: u64 = 60 * 1_000_000_000;

/// What became of a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knock {
    /// Send this back and forget everything; it is no longer than what came, or for DTLS 1.3 no
    /// longer than twice that.
    AskBack(Vec<u8>),
    /// The client receives at its address; the cookie names this handshake.
    Open([u8; 32]),
    /// It brings a cookie of DTLS 1.3, which `admit` judges; the cookie's end names this handshake.
    Claim([u8; 32]),
    /// No whole ClientHello, or one that is too short to be answered.
    Drop,
}

/// Why a ClientHello with a cookie of DTLS 1.3 begins nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The cookie is not good, or not any more: send this alert, and forget it.
    BadCookie(Vec<u8>),
    /// Nobody has time for it, or DTLS 1.3 is not spoken.
    Unheard(Trouble),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self::Unheard(trouble)
    }
}

/// Makes cookies and knows its own again.
pub struct Gate {
    library: &'static Library,
    secrets: [[u8; 32]; 2],
    made_at: u64,
    /// What NSS hears of those who begin, and of those who bring a cookie: neither is in the other's
    /// way.
    beginning: Allowance,
    claiming: Allowance,
}

impl Gate {
    /// With secrets of its own; `now` in ns.
    pub fn new(now: u64) -> Result<Self, Trouble> {
        let library = Library::get()?;
        let random = || {
            library
                .random()
                .ok_or(Trouble("no random bytes for DTLS".into()))
        };
        Ok(Self {
            library,
            secrets: [random()?, random()?],
            made_at: now,
            beginning: Allowance::new(now),
            claiming: Allowance::new(now),
        })
    }

    /// Whether a datagram begins a handshake.
    pub fn begins_handshake(datagram: &[u8]) -> bool {
        hello::begins_handshake(datagram)
    }

    /// Judges a ClientHello; `address` is the client's and the server's, in any fixed form.
    pub fn knock_untrusted(
        &mut self,
        endpoint: &Endpoint,
        datagram: &[u8],
        address: &[u8],
        now: u64,
    ) -> Knock {
        self.renew(now);
        let Some(hello) = hello::read_untrusted(datagram) else {
            return Knock::Drop;
        };
        let knock = self.knock_13(endpoint, &hello, datagram, address, now);
        match (knock, &endpoint.dtls12) {
            (Some(knock), _) => knock,
            (None, Some(_)) => self.knock_12(&hello, datagram, address),
            (None, None) => Knock::Drop,
        }
    }

    /// A ClientHello with a cookie of DTLS 1.3 (`Knock::Claim`): the association that it begins, if
    /// the cookie is good.
    pub fn admit(
        &mut self,
        endpoint: &Endpoint,
        hello: &[u8],
        address: &[u8],
        now: u64,
    ) -> Result<Association, Refused> {
        let model = endpoint.dtls13.as_ref().map_err(Clone::clone)?;
        let tokens = self.tokens(address).filter(|_| self.claiming.take(now));
        let tokens = tokens.ok_or(Trouble("too many at once".into()))?;
        let accepted = nss::Association::accept(model, hello, tokens)?;
        accepted.map(Association::from).ok_or_else(|| {
            let alert = hello::read_untrusted(hello).map(|hello| hello::refuse(&hello));
            alert.map_or_else(
                || Trouble("no ClientHello".into()).into(),
                Refused::BadCookie,
            )
        })
    }

    /// `None`: DTLS 1.2 is to be spoken, if any.
    fn knock_13(
        &mut self,
        endpoint: &Endpoint,
        hello: &ClientHello,
        datagram: &[u8],
        address: &[u8],
        now: u64,
    ) -> Option<Knock> {
        let model = endpoint.dtls13.as_ref().ok()?;
        // A cookie of DTLS 1.2 comes from who was asked for it.
        if !hello.cookie.is_empty() || !hello.offers(datagram, DTLS_1_3) {
            return None;
        }
        if let Some(cookie) = hello.retry_cookie(datagram) {
            let name = cookie.last_chunk().copied();
            return Some(name.map_or(Knock::Drop, Knock::Claim));
        }
        // A cookie of DTLS 1.3 would not be heard when it comes back; one of 1.2 is.
        let may_have_12 = endpoint.dtls12.is_some() && hello.offers(datagram, DTLS_1_2);
        if may_have_12 && self.claiming.is_crowded(now) {
            return None;
        }
        let tokens = self.tokens(address).filter(|_| self.beginning.take(now));
        let answer = tokens.and_then(|tokens| nss::Association::answer(model, datagram, tokens));
        let knock = answer.map_or(Knock::Drop, |answer| no_longer(answer, 2 * datagram.len()));
        let is_asked = matches!(&knock, Knock::AskBack(answer) if hello::is_handshake(answer));
        // Whom NSS has no time or no answer for may still speak DTLS 1.2.
        (is_asked || !hello.offers(datagram, DTLS_1_2)).then_some(knock)
    }

    fn knock_12(&mut self, hello: &ClientHello, datagram: &[u8], address: &[u8]) -> Knock {
        let brought = &datagram[hello.cookie.clone()];
        let proved = ClientHello::message_sequence(datagram) == 1
            && self.secrets.iter().any(|secret| {
                let cookie = self.cookie(secret, hello, datagram, address);
                cookie.is_some_and(|cookie| same(&cookie, brought))
            });
        if proved {
            return brought.try_into().map_or(Knock::Drop, Knock::Open);
        }
        match self.cookie(&self.secrets[0], hello, datagram, address) {
            Some(cookie) => no_longer(hello::ask_back(hello, &cookie), datagram.len()),
            None => Knock::Drop,
        }
    }

    fn renew(&mut self, now: u64) {
        let age = now.saturating_sub(self.made_at);
        if age < SECRET_LIFETIME {
            return;
        }
        let (Some(fresh), Some(other)) = (self.library.random(), self.library.random()) else {
            return;
        };
        // Where nobody has knocked for long, the one before is too old as well.
        let before = if age < 2 * SECRET_LIFETIME {
            self.secrets[0]
        } else {
            other
        };
        self.secrets = [fresh, before];
        self.made_at = now;
    }

    /// What a cookie of DTLS 1.3 holds: that of now, and the one before.
    fn tokens(&self, address: &[u8]) -> Option<[nss::Token; 2]> {
        let text = [b"DTLS 1.3", address].concat();
        let token = |secret| {
            let digest = self.library.hmac(secret, &text)?;
            digest.first_chunk().copied()
        };
        let [now, before] = &self.secrets;
        Some([token(now)?, token(before)?])
    }

    fn cookie(
        &self,
        secret: &[u8; 32],
        hello: &ClientHello,
        datagram: &[u8],
        address: &[u8],
    ) -> Option<[u8; 32]> {
        let [before, after] = hello.parameters(datagram);
        let mut text = Vec::with_capacity(8 + address.len() + before.len() + after.len());
        // The lengths first: no two different hellos make the same text.
        text.extend_from_slice(&(address.len() as u32).to_be_bytes());
        text.extend_from_slice(&(before.len() as u32).to_be_bytes());
        for part in [address, before, after] {
            text.extend_from_slice(part);
        }
        self.library.hmac(secret, &text)
    }
}

fn no_longer(answer: Vec<u8>, longest: usize) -> Knock {
    if answer.len() <= longest {
        Knock::AskBack(answer)
    } else {
        Knock::Drop
    }
}

/// In a time that does not tell where they differ.
fn same(one: &[u8; 32], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}
