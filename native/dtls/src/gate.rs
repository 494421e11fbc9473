//! The gate before any state (RFC 6347 §4.2.1): a client shows that it receives at its address by
//! bringing back a cookie, an HMAC over that address and its ClientHello's parameters.
//!
//! Keeps two secrets and nothing per client.

use crate::hello::{self, ClientHello};
use crate::library::{Library, Trouble};

/// How long cookies are made with one secret, ns; they are good for up to twice that.
const SECRET_LIFETIME: u64 = 60 * 1_000_000_000;

/// What became of a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knock {
    /// Send this back and forget everything; it is no longer than what came.
    AskBack(Vec<u8>),
    /// The client receives at its address; the cookie names this handshake.
    Open([u8; 32]),
    /// No whole ClientHello, or one that is too short to be answered.
    Drop,
}

/// Makes cookies and knows its own again.
pub struct Gate {
    library: &'static Library,
    secrets: [[u8; 32]; 2],
    made_at: u64,
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
        })
    }

    /// Whether a datagram begins a handshake.
    pub fn begins_handshake(datagram: &[u8]) -> bool {
        hello::begins_handshake(datagram)
    }

    /// Judges a ClientHello; `address` is the client's and the server's, in any fixed form.
    pub fn knock_untrusted(&mut self, datagram: &[u8], address: &[u8], now: u64) -> Knock {
        self.renew(now);
        let Some(hello) = hello::read_untrusted(datagram) else {
            return Knock::Drop;
        };
        let brought = &datagram[hello.cookie.clone()];
        let proved = ClientHello::message_sequence(datagram) == 1
            && self.secrets.iter().any(|secret| {
                let cookie = self.cookie(secret, &hello, datagram, address);
                cookie.is_some_and(|cookie| same(&cookie, brought))
            });
        if proved {
            return brought.try_into().map_or(Knock::Drop, Knock::Open);
        }
        match self.cookie(&self.secrets[0], &hello, datagram, address) {
            Some(cookie) => no_longer(hello::ask_back(&hello, &cookie), datagram),
            None => Knock::Drop,
        }
    }

    fn renew(&mut self, now: u64) {
        let age = now.saturating_sub(self.made_at);
        if age < SECRET_LIFETIME {
            return;
        }
        if let Some(fresh) = self.library.random() {
            self.secrets = [fresh, self.secrets[0]];
            self.made_at = now;
        }
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

fn no_longer(answer: Vec<u8>, datagram: &[u8]) -> Knock {
    if answer.len() <= datagram.len() {
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
