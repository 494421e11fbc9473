//! One DTLS association, whichever version it speaks.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::loading::Trouble;
use crate::{nss, openssl, LONGEST_MESSAGE};

/// What a datagram brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message of so many bytes, in the room that was given; there may be more.
    Message(usize),
    /// Nothing (more) for now.
    Nothing,
    /// The other side closed, or the handshake failed: what is left to be sent says so.
    End,
}

/// An association, from its proven ClientHello on.
pub struct Association(Spoken);

enum Spoken {
    Dtls12(openssl::Association),
    Dtls13(nss::Association),
}

/// The same word to whichever it is.
macro_rules! each {
    ($association:expr, $one:ident => $said:expr) => {
        match $association {
            Spoken::Dtls12($one) => $said,
            Spoken::Dtls13($one) => $said,
        }
    };
}

impl Association {
    /// The server's side over DTLS 1.2, begun by a ClientHello whose cookie the `Gate` has found
    /// good.
    pub fn accept(endpoint: &Endpoint, hello: &[u8]) -> Result<Self, Trouble> {
        let context = endpoint.dtls12.as_ref();
        let context = context.ok_or(Trouble("DTLS 1.2 is not spoken".into()))?;
        openssl::Association::accept(context, hello).map(Self::from)
    }

    /// The client's side; the first `poll` begins the handshake. `protocols`: ALPN, each name
    /// after its length; a client of DTLS 1.3 offers those of RFC 7443 instead.
    pub fn connect(endpoint: &Endpoint, protocols: &[u8]) -> Result<Self, Trouble> {
        match (&endpoint.dtls12, &endpoint.dtls13) {
            (Some(context), _) => openssl::Association::connect(context, protocols).map(Self::from),
            (None, Ok(model)) => nss::Association::connect(model).map(Self::from),
            (None, Err(trouble)) => Err(trouble.clone()),
        }
    }

    /// A datagram has arrived; `poll` until there is nothing more.
    pub fn receive(&mut self, datagram: &[u8]) {
        each!(&mut self.0, one => one.receive(datagram));
    }

    /// Goes on with the handshake, or reads a message into `room`, which has `LONGEST_MESSAGE`
    /// bytes at least.
    pub fn poll(&mut self, room: &mut [u8]) -> Heard {
        each!(&mut self.0, one => one.poll(room))
    }

    /// Whether the handshake is over and messages may be sent.
    pub fn is_established(&self) -> bool {
        each!(&self.0, one => one.is_established())
    }

    /// Encrypts a message of at most `LONGEST_MESSAGE` bytes; false if it cannot be sent.
    pub fn send(&mut self, message: &[u8]) -> bool {
        if !self.is_established() || message.is_empty() || message.len() > LONGEST_MESSAGE {
            return false;
        }
        each!(&mut self.0, one => one.send(message))
    }

    /// Takes the datagrams that are to be sent.
    pub fn take_datagrams(&mut self, send: impl FnMut(&[u8])) {
        each!(&mut self.0, one => one.take_datagrams(send));
    }

    /// When `expire` is due, from now; `None` when nothing waits for an answer.
    pub fn timeout(&self) -> Option<Duration> {
        each!(&self.0, one => one.timeout())
    }

    /// Sends the last flight again if its time is over; false when it was sent too often.
    pub fn expire(&mut self) -> bool {
        each!(&mut self.0, one => one.expire())
    }

    /// The protocol that was agreed on by ALPN, empty for none.
    pub fn protocol(&self) -> Vec<u8> {
        each!(&self.0, one => one.protocol())
    }

    /// Says goodbye (close_notify), if there is anyone to say it to.
    pub fn close(&mut self) {
        each!(&mut self.0, one => one.close());
    }
}

impl From<openssl::Association> for Association {
    fn from(association: openssl::Association) -> Self {
        Self(Spoken::Dtls12(association))
    }
}

impl From<nss::Association> for Association {
    fn from(association: nss::Association) -> Self {
        Self(Spoken::Dtls13(association))
    }
}
