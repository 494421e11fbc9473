//! The gate: what strangers are told without a decision of the engine (RFC 8489 §9.2.4).
//!
//! A request without credentials is shown realm, nonce and password algorithms, one with half of
//! them is refused, and one with a nonce that is not ours, or that has long been stale, is given
//! another. Nothing is remembered of any of them but how many answers their source has had. The
//! answers are, octet for octet, those of the engine, which sees only what the gate lets through:
//! requests with a nonce that was given to this very client.

mod nonce;
mod shown;
mod strangers;

use nonce::Issued;
use shown::Shown;
use strangers::Strangers;

pub use nonce::Nonces;

use crate::response::Response;
use crate::stun::{self, Class};
use crate::{FiveTuple, Reason, Source, Transport};

/// Room for the longest answer, in bytes.
pub const ANSWER_LIMIT: usize = 2048;

/// The longest realm and name (RFC 8489 §14.9), in bytes.
const LONGEST_NAME: usize = 763;
/// The longest list of algorithms, in bytes.
const LONGEST_LIST: usize = 64;

const SECOND: u64 = 1_000_000_000;

/// How long after a request its retransmissions may come (RFC 8489 §6.2.1: 39.5 s): the engine
/// knows them and answers as before, although their nonce has become stale.
const RETRANSMISSIONS: u64 = 40;

/// An unauthenticated answer over UDP has at most so many times the length of its request.
const AMPLIFICATION: usize = 4;

/// The methods that need credentials. Binding comes here only where it does.
const METHODS: [u16; 7] = [
    stun::BINDING,
    stun::ALLOCATE,
    stun::REFRESH,
    stun::CREATE_PERMISSION,
    stun::CHANNEL_BIND,
    stun::CONNECT,
    stun::CONNECTION_BIND,
];

/// What strangers are told.
#[derive(Clone)]
pub struct Settings {
    /// The realm.
    pub realm: Vec<u8>,
    /// The nonces.
    pub nonces: Nonces,
    /// For how many seconds a nonce is fresh; 0 is for ever.
    pub lifetime: u64,
    /// PASSWORD-ALGORITHMS as strangers see it, and for those of whom there is an MD5 key alone.
    pub algorithms: [Vec<u8>; 2],
    /// The server's name in THIRD-PARTY-AUTHORIZATION (RFC 7635 §6.1); empty: tokens are not taken.
    pub third_party: Vec<u8>,
    /// Whether every answer carries FINGERPRINT.
    pub fingerprint: bool,
    /// How many answers a second one source gets over UDP; 0 is no limit.
    pub per_second: u64,
}

impl Settings {
    /// Whether every answer has room in `ANSWER_LIMIT`.
    pub fn fit(&self) -> bool {
        let names = [&self.realm, &self.third_party];
        let lists = &self.algorithms;
        names.iter().all(|name| name.len() <= LONGEST_NAME)
            && lists.iter().all(|list| list.len() <= LONGEST_LIST)
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The engine decides.
    Ask,
    /// An answer of this length has been written.
    Answer(usize),
    /// Nothing.
    Drop(Reason),
}

/// Whether a refusal carries the means to do better: realm, nonce, algorithms.
enum Refusal {
    Challenge { code: u16, is_md5: bool },
    Bad,
}

/// The gate; without settings everything passes.
#[derive(Default)]
pub struct Gate {
    settings: Option<Settings>,
    strangers: Strangers,
}

impl Gate {
    /// What strangers are told from now on. Settings that do not `fit` must not be given.
    pub fn set(&mut self, settings: Option<Settings>) {
        self.settings = settings.filter(Settings::fit);
    }

    /// Judges a request that is the engine's; `out` has to hold `ANSWER_LIMIT`.
    pub fn judge(
        &mut self,
        request: &[u8],
        client: &FiveTuple,
        now: u64,
        out: &mut [u8; ANSWER_LIMIT],
    ) -> Judged {
        let Some(settings) = &self.settings else {
            return Judged::Ask;
        };
        let shown = match shown_untrusted(request) {
            Ok(shown) => shown,
            Err(reason) => return Judged::Drop(reason),
        };
        let Some(refusal) = settings.refusal(&shown, client, now) else {
            return Judged::Ask;
        };
        let is_datagram = client.transport == Transport::Udp;
        let source = Source::of(client.client.ip());
        if is_datagram
            && !self
                .strangers
                .may_be_answered(source, settings.per_second, now)
        {
            return Judged::Drop(Reason::TooManyStrangers);
        }
        let fingerprint = settings.fingerprint || shown.fingerprint;
        let limit = if is_datagram {
            AMPLIFICATION * request.len()
        } else {
            ANSWER_LIMIT
        };
        match refusal {
            Refusal::Bad => {
                let mut response = Response::to(request, out);
                response.error(400);
                Judged::Answer(response.finish(fingerprint))
            }
            Refusal::Challenge { code, is_md5 } => (0..3)
                .map(|brevity| {
                    let mut response = Response::to(request, out);
                    response.error(code);
                    settings.write(&mut response, client, is_md5, brevity, now);
                    response.finish(fingerprint)
                })
                .find(|length| *length <= limit)
                .map_or(Judged::Drop(Reason::NoShortAnswer), Judged::Answer),
        }
    }
}

/// What a request shows whose method needs credentials; why anything else is dropped.
fn shown_untrusted(request: &[u8]) -> Result<Shown<'_>, Reason> {
    let header = stun::header_untrusted(request)?;
    if header.class != Class::Request || !METHODS.contains(&header.method) {
        return Err(Reason::Unexpected);
    }
    Shown::read_untrusted(request)
}

impl Settings {
    /// Why a request is refused that cannot be proved; `None`: it may be.
    fn refusal(&self, shown: &Shown<'_>, client: &FiveTuple, now: u64) -> Option<Refusal> {
        let challenge = |code, is_md5| Some(Refusal::Challenge { code, is_md5 });
        if !shown.integrity {
            return challenge(401, false);
        }
        let Some(nonce) = shown.nonce.filter(|_| shown.realm && shown.user) else {
            return Some(Refusal::Bad);
        };
        match self.nonces.read_untrusted(nonce, client, now) {
            None => challenge(438, false),
            // Whether the algorithms are right, which comes first, the engine can tell.
            Some(_) if shown.algorithms => None,
            Some(issued) if self.is_long_stale(issued) => challenge(438, issued.is_md5),
            Some(_) => None,
        }
    }

    fn is_long_stale(&self, issued: Issued) -> bool {
        self.lifetime != 0 && issued.age >= self.lifetime + RETRANSMISSIONS
    }

    /// The means to do better; with `brevity` 1 and 2 less and less, and a decoy for the nonce.
    fn write(
        &self,
        response: &mut Response<'_>,
        client: &FiveTuple,
        is_md5: bool,
        brevity: usize,
        now: u64,
    ) {
        response.attribute(stun::REALM, &self.realm);
        if brevity == 0 {
            let nonce = self.nonces.issue(client, is_md5, now);
            response.attribute(stun::NONCE, &nonce);
            let algorithms = &self.algorithms[usize::from(is_md5)];
            response.attribute(stun::PASSWORD_ALGORITHMS, algorithms);
        } else {
            let decoy = self.nonces.decoy(client, now);
            response.attribute(stun::NONCE, &decoy);
        }
        if brevity < 2 && !self.third_party.is_empty() {
            response.attribute(stun::THIRD_PARTY_AUTHORIZATION, &self.third_party);
        }
    }
}
