//! Answers to HTTP on a port of TURN, where the operator wants any: who has come to the wrong port
//! is told so, and ACME's challenges (RFC 8555 §8.3) are sent on to who can answer them.

use std::ops::Range;

use ferryman_flow::http::{request_untrusted, Request};

use crate::connection::Standing;
use crate::datapath::Choices;
use crate::slots::Piece;
use crate::worker::Worker;

const UNSUPPORTED: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
                           Content-Type: text/plain\r\nContent-Length: 21\r\n\r\n\
                           HTTP not supported.\r\n";

/// Which requests are answered; a default answers none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Http {
    unsupported: bool,
    acme: String,
}

impl From<&Choices> for Http {
    fn from(choices: &Choices) -> Self {
        Self {
            unsupported: choices.respond_http_unsupported,
            acme: choices.acme_redirect.clone(),
        }
    }
}

impl Http {
    fn is_silent(&self) -> bool {
        !self.unsupported && self.acme.is_empty()
    }

    fn answer(&self, challenge: Option<&[u8]>) -> Option<String> {
        match challenge.map(String::from_utf8_lossy) {
            Some(token) if !self.acme.is_empty() => Some(format!(
                "HTTP/1.1 301 Moved Permanently\r\nConnection: close\r\n\
                 Location: {}{token}\r\nContent-Length: 0\r\n\r\n",
                self.acme
            )),
            _ => self.unsupported.then(|| UNSUPPORTED.to_owned()),
        }
    }
}

/// What becomes of a stream that holds no message.
pub(crate) enum Other {
    /// It has its answer, and is to be closed.
    Answered,
    /// There is an answer, when more has come.
    Waits,
    /// There is none.
    Nothing,
}

impl Worker {
    /// Answers a piece that begins with no message of TURN, if it is HTTP and the first that comes.
    pub(crate) fn answer_http(&mut self, number: u64, piece: Piece) -> Other {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return Other::Nothing;
        };
        let is_first = !connection.asked && connection.standing != Standing::Owner;
        if self.http.is_silent() || !is_first {
            return Other::Nothing;
        }
        let octets = self.slots.octets(piece);
        let token: Option<Range<usize>> = match request_untrusted(octets) {
            Request::Challenge(token) => Some(token),
            Request::Other => None,
            Request::NeedMore => return Other::Waits,
            Request::Not => return Other::Nothing,
        };
        let Some(answer) = self.http.answer(token.map(|token| &octets[token])) else {
            return Other::Nothing;
        };
        self.forwarder.connections.reply(number, answer.as_bytes());
        self.forwarder.connections.doom(number);
        Other::Answered
    }
}
