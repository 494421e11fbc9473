//! The requests of one client, one after the other (RFC 8656 §7 to §12): allocate, be
//! challenged, allocate with credentials, permit, bind, refresh to zero. Knows no socket and no
//! clock.

use std::net::SocketAddrV4;

use crate::stun::{self, Reader, Writer};

/// Who asks.
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
    /// The realm to name; `None` takes the server's.
    pub(crate) realm: Option<String>,
}

/// What a client is after.
#[derive(Clone, Copy)]
pub(crate) struct Aim {
    /// The peer to permit, and the channel to bind to it.
    pub(crate) peer: Option<(SocketAddrV4, Option<u16>)>,
    /// Whether to give the allocation back at the end.
    pub(crate) release: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Allocate,
    Permit,
    Bind,
    Release,
    Finished,
}

/// What an answer led to.
pub(crate) enum Outcome {
    /// Not for us: an old answer, or no answer at all.
    Ignored,
    /// Here is the next request.
    Next,
    /// All is done.
    Finished,
    /// The server refused, with this error code.
    Refused(u16),
}

struct Challenge {
    key: [u8; 16],
    realm: Vec<u8>,
    nonce: Vec<u8>,
}

/// One client's way through its requests.
pub(crate) struct Dialogue {
    aim: Aim,
    step: Step,
    serial: u64,
    number: u32,
    challenge: Option<Challenge>,
    /// The request that waits for its answer; send it again when that does not come.
    pub(crate) request: Vec<u8>,
    /// The relayed address, once there is one.
    pub(crate) relayed: Option<SocketAddrV4>,
}

impl Dialogue {
    /// `serial` is this client's own; it goes into the transaction ids.
    pub(crate) fn new(account: &Account, aim: Aim, serial: u64) -> Self {
        let mut dialogue = Dialogue {
            aim,
            step: Step::Allocate,
            serial,
            number: 0,
            challenge: None,
            request: Vec::new(),
            relayed: None,
        };
        dialogue.write_request(account);
        dialogue
    }

    /// Gives the allocation back, once all else is finished.
    pub(crate) fn release(&mut self, account: &Account) {
        self.step = Step::Release;
        self.write_request(account);
    }

    /// Takes one packet from the server.
    pub(crate) fn answer_untrusted(&mut self, account: &Account, packet: &[u8]) -> Outcome {
        let Some(reply) = Reader::read_untrusted(packet) else {
            return Outcome::Ignored;
        };
        if reply.transaction() != self.transaction() || !reply.answers(self.method()) {
            return Outcome::Ignored;
        }
        if reply.grants(self.method()) {
            self.granted(reply);
        } else if !self.challenged(account, reply) {
            return Outcome::Refused(reply.error_code());
        }
        if self.step == Step::Finished {
            return Outcome::Finished;
        }
        self.write_request(account);
        Outcome::Next
    }

    fn granted(&mut self, reply: Reader<'_>) {
        if self.step == Step::Allocate {
            self.relayed = reply
                .attribute(stun::XOR_RELAYED_ADDRESS)
                .and_then(stun::read_xor_address_untrusted);
        }
        self.step = self.step_after();
    }

    fn step_after(&self) -> Step {
        let channel = matches!(self.aim.peer, Some((_, Some(_))));
        match self.step {
            Step::Allocate if self.aim.peer.is_some() => Step::Permit,
            Step::Permit if channel => Step::Bind,
            Step::Allocate | Step::Permit | Step::Bind if self.aim.release => Step::Release,
            _ => Step::Finished,
        }
    }

    /// 401 before credentials and 438 at any time bring a nonce; anything else is a refusal.
    fn challenged(&mut self, account: &Account, reply: Reader<'_>) -> bool {
        let code = reply.error_code();
        if code != 438 && (code != 401 || self.challenge.is_some()) {
            return false;
        }
        let (Some(realm), Some(nonce)) =
            (reply.attribute(stun::REALM), reply.attribute(stun::NONCE))
        else {
            return false;
        };
        let offered = String::from_utf8_lossy(realm).into_owned();
        let realm = account.realm.as_ref().unwrap_or(&offered);
        self.challenge = Some(Challenge {
            key: stun::long_term_key(&account.user, realm, &account.password),
            realm: realm.as_bytes().to_vec(),
            nonce: nonce.to_vec(),
        });
        true
    }

    fn method(&self) -> u16 {
        match self.step {
            Step::Allocate => stun::ALLOCATE,
            Step::Permit => stun::CREATE_PERMISSION,
            Step::Bind => stun::CHANNEL_BIND,
            Step::Release | Step::Finished => stun::REFRESH,
        }
    }

    fn transaction(&self) -> [u8; 12] {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.serial.to_be_bytes());
        id[8..].copy_from_slice(&self.number.to_be_bytes());
        id
    }

    fn write_request(&mut self, account: &Account) {
        self.number += 1;
        let writer = self.write_wish(Writer::new(self.method(), self.transaction()));
        self.request = match &self.challenge {
            None => writer.finish(),
            Some(challenge) => writer
                .attribute(stun::USERNAME, account.user.as_bytes())
                .attribute(stun::REALM, &challenge.realm)
                .attribute(stun::NONCE, &challenge.nonce)
                .signed(&challenge.key),
        };
    }

    fn write_wish(&self, writer: Writer) -> Writer {
        const UDP: [u8; 4] = [17, 0, 0, 0];
        match (self.step, self.aim.peer) {
            (Step::Allocate, _) => writer.attribute(stun::REQUESTED_TRANSPORT, &UDP),
            (Step::Permit, Some((peer, _))) => {
                writer.attribute(stun::XOR_PEER_ADDRESS, &stun::xor_address(peer))
            }
            (Step::Bind, Some((peer, Some(channel)))) => writer
                .attribute(
                    stun::CHANNEL_NUMBER,
                    &(u32::from(channel) << 16).to_be_bytes(),
                )
                .attribute(stun::XOR_PEER_ADDRESS, &stun::xor_address(peer)),
            (Step::Release, _) => writer.attribute(stun::LIFETIME, &[0; 4]),
            _ => writer,
        }
    }
}
