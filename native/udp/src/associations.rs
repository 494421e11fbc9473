//! All DTLS associations (RFC 7350), and which of them have yet to prove their worth.
//!
//! Knows neither sockets nor cookies: who comes here has shown that it receives at its address.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferryman_dtls::{has_encrypted, Association};
use ferryman_flow::{FiveTuple, Source};

use crate::batch_out::{Route, Via};
use crate::census::Census;
use crate::clock::SECOND;
use crate::pending::Pending;

/// How many handshakes may go on at once, and how many of one source.
const HANDSHAKES: usize = 512;
const HANDSHAKES_OF_SOURCE: usize = 64;
/// How long a handshake may take, ns.
const HANDSHAKE_TIMEOUT: u64 = 15 * SECOND;
/// How many datagrams with encrypted records a handshake may get: OpenSSL keeps each, in a buffer of
/// 17 KiB, until it can read it. (NSS keeps none.)
const EARLY: usize = 8;
/// The libraries round their timers: looking again sooner than this would be too early (ns).
const SHORTEST_TIMER: u64 = SECOND / 100;

/// What an association is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It shakes hands, since that instant.
    Handshake { since: u64 },
    /// It is established and carries nothing, since that instant.
    Pending { since: u64 },
    /// It carries an allocation.
    Owner,
}

/// A client's association and what is known of it.
pub(crate) struct Associate {
    pub(crate) association: Association,
    pub(crate) five_tuple: FiveTuple,
    /// The 5-tuple of its datagrams, by which it is found.
    pub(crate) datagrams: FiveTuple,
    pub(crate) route: Route,
    /// The cookie of its handshake: a ClientHello with it belongs to this one.
    pub(crate) cookie: [u8; 32],
    pub(crate) stage: Stage,
    /// It has sent a request that the engine has seen.
    pub(crate) asked: bool,
    /// How many encrypted datagrams came before it was established.
    early: usize,
    /// When its last flight is to be sent again.
    timer: Option<u64>,
}

impl Associate {
    /// One that begins to shake hands.
    pub(crate) fn new(
        association: Association,
        number: u64,
        datagrams: FiveTuple,
        route: Route,
        cookie: [u8; 32],
        now: u64,
    ) -> Self {
        let five_tuple = FiveTuple {
            transport: ferryman_flow::Transport::Dtls,
            socket: number,
            ..datagrams
        };
        Self {
            association,
            five_tuple,
            datagrams,
            route,
            cookie,
            stage: Stage::Handshake { since: now },
            asked: false,
            early: 0,
            timer: None,
        }
    }

    /// Whether a datagram is one too many for a handshake that is not over.
    pub(crate) fn is_one_too_many(&mut self, datagram: &[u8]) -> bool {
        let shakes_hands = matches!(self.stage, Stage::Handshake { .. });
        if !shakes_hands || !has_encrypted(datagram) {
            return false;
        }
        self.early += 1;
        self.early > EARLY
    }
}

/// All associations, by their numbers.
pub(crate) struct Associations {
    open: HashMap<u64, Associate>,
    by_client: HashMap<FiveTuple, u64>,
    handshakes: Pending,
    handshakes_of_source: usize,
    pending: Pending,
    census: Arc<Census>,
    timers: BTreeSet<(u64, u64)>,
}

impl Associations {
    /// `pending_limit` and `timeout` (ns) are for those without an allocation; `census` is the same
    /// for all of so many `workers`.
    pub(crate) fn new(
        pending_limit: usize,
        workers: usize,
        timeout: u64,
        census: &Arc<Census>,
    ) -> Self {
        Self {
            open: HashMap::new(),
            by_client: HashMap::new(),
            handshakes: Pending::new(HANDSHAKES.div_ceil(workers), HANDSHAKE_TIMEOUT),
            handshakes_of_source: HANDSHAKES_OF_SOURCE.div_ceil(workers),
            pending: Pending::new(pending_limit, timeout),
            census: Arc::clone(census),
            timers: BTreeSet::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Associate> {
        self.open.get_mut(&number)
    }

    /// The association whose datagrams have this 5-tuple.
    pub(crate) fn find(&self, datagrams: &FiveTuple) -> Option<(u64, &Associate)> {
        let number = *self.by_client.get(datagrams)?;
        Some((number, self.open.get(&number)?))
    }

    /// Whether any is reached this way.
    pub(crate) fn any_via(&self, via: Via) -> bool {
        self.open
            .values()
            .any(|associate| associate.route.via == via)
    }

    /// The numbers of all.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    /// A new one, which shakes hands and has room; its 5-tuple must be free.
    pub(crate) fn insert(&mut self, associate: Associate) {
        let number = associate.five_tuple.socket;
        if let Stage::Handshake { since } = associate.stage {
            let client = associate.five_tuple.client.ip();
            self.handshakes.insert(client, since, number);
        }
        self.by_client.insert(associate.datagrams, number);
        self.open.insert(number, associate);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Associate> {
        let associate = self.open.remove(&number)?;
        self.by_client.remove(&associate.datagrams);
        if let Some(at) = associate.timer {
            self.timers.remove(&(at, number));
        }
        self.leave(&associate);
        self.census
            .leave(Source::of(associate.five_tuple.client.ip()));
        Some(associate)
    }

    fn leave(&mut self, associate: &Associate) {
        let FiveTuple { client, socket, .. } = associate.five_tuple;
        match associate.stage {
            Stage::Handshake { since } => self.handshakes.remove(client.ip(), since, socket),
            Stage::Pending { since } => self.pending.remove(client.ip(), since, socket),
            Stage::Owner => {}
        }
    }

    fn enter(&mut self, number: u64, stage: Stage) {
        let Some(mut associate) = self.open.remove(&number) else {
            return;
        };
        self.leave(&associate);
        associate.stage = stage;
        if let Stage::Pending { since } = stage {
            let client = associate.five_tuple.client.ip();
            self.pending.insert(client, since, number);
        }
        self.open.insert(number, associate);
    }

    /// It carries an allocation from now on.
    pub(crate) fn own(&mut self, number: u64) {
        self.enter(number, Stage::Owner);
    }

    /// The allocation is gone; it is pending again.
    pub(crate) fn disown(&mut self, number: u64, now: u64) {
        if self.stage(number) == Some(Stage::Owner) {
            self.enter(number, Stage::Pending { since: now });
        }
    }

    fn stage(&self, number: u64) -> Option<Stage> {
        Some(self.open.get(&number)?.stage)
    }

    /// Looks at what the last datagram or timer changed: whether it is established, and when its
    /// last flight is to be sent again.
    pub(crate) fn settle(&mut self, number: u64, now: u64) {
        let Some(associate) = self.open.get_mut(&number) else {
            return;
        };
        let Stage::Handshake { .. } = associate.stage else {
            return;
        };
        let established = associate.association.is_established();
        let wait = associate.association.timeout().filter(|_| !established);
        let next = wait.map(|wait| now.saturating_add(nanoseconds(wait)));
        if let Some(at) = std::mem::replace(&mut associate.timer, next) {
            self.timers.remove(&(at, number));
        }
        self.timers.extend(next.map(|at| (at, number)));
        if established {
            self.enter(number, Stage::Pending { since: now });
        }
    }

    /// An association that must go: there are too many of its kind, or its time is over.
    pub(crate) fn overdue(&self, now: u64) -> Option<u64> {
        let handshake = self.handshakes.overdue(now);
        handshake.or_else(|| self.pending.overdue(now))
    }

    /// The oldest handshake of a source that has too many of them.
    pub(crate) fn crowded_out(&self, client: IpAddr) -> Option<u64> {
        self.handshakes
            .crowded_out(client, self.handshakes_of_source)
    }

    /// An association whose last flight is to be sent again; its timer is gone.
    pub(crate) fn take_expired(&mut self, now: u64) -> Option<u64> {
        let (at, number) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        if let Some(associate) = self.open.get_mut(&number) {
            associate.timer = None;
        }
        Some(number)
    }

    /// When there is something to do next.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let deadlines = [timer, self.handshakes.deadline(), self.pending.deadline()];
        deadlines.into_iter().flatten().min()
    }
}

fn nanoseconds(wait: Duration) -> u64 {
    (wait.as_nanos().min(u64::MAX.into()) as u64).max(SHORTEST_TIMER)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ferryman_dtls::Endpoint;
    use ferryman_flow::Transport;

    use super::*;
    use crate::batch_out::Via;
    use crate::limits::Limits;

    fn associate(number: u64, now: u64) -> Associate {
        let endpoint = Endpoint::trusting_client().unwrap_or_else(|trouble| panic!("{trouble}"));
        let association = Association::connect(&endpoint, b"");
        let association = association.unwrap_or_else(|trouble| panic!("{trouble}"));
        let client = SocketAddr::from(([192, 0, 2, 1], number as u16));
        let datagrams = FiveTuple {
            transport: Transport::Udp,
            client,
            server: SocketAddr::from(([192, 0, 2, 2], 3478)),
            socket: 1,
        };
        let route = Route {
            via: Via::Listener(0),
            to: client,
            source: None,
        };
        Associate::new(association, number, datagrams, route, [0; 32], now)
    }

    #[test]
    fn nothing_is_left_of_associations_that_are_gone() {
        let (census, limits) = (Arc::default(), Limits::default());
        let mut all = Associations::new(2, 1, 10, &census);
        let mut room = vec![0; ferryman_dtls::LONGEST_MESSAGE];
        for number in 1..=3 {
            let mut associate = associate(number, 5);
            // It has said hello, and waits for an answer.
            associate.association.poll(&mut room);
            let source = Source::of(associate.five_tuple.client.ip());
            assert_eq!(census.enter(source, limits), Ok(()));
            all.insert(associate);
            all.settle(number, 5);
        }
        assert!(all.deadline().is_some());
        all.own(2);
        all.disown(2, 6);
        all.own(3);
        for number in 1..=3 {
            assert!(all.remove(number).is_some());
        }
        assert!(all.remove(1).is_none());
        assert_eq!((all.len(), all.deadline()), (0, None));
        assert!(all.by_client.is_empty() && all.timers.is_empty());
        let client = SocketAddr::from(([192, 0, 2, 1], 1)).ip();
        let one = Limits {
            of_source: 1,
            in_all: 1,
        };
        assert_eq!(census.full(Source::of(client), one), None);
    }

    #[test]
    fn an_owner_is_never_overdue_and_others_are_in_time() {
        let census = Arc::default();
        let mut all = Associations::new(2, 1, 10, &census);
        all.insert(associate(1, 5));
        assert_eq!(all.overdue(4 + HANDSHAKE_TIMEOUT), None);
        assert_eq!(all.overdue(5 + HANDSHAKE_TIMEOUT), Some(1));
        all.own(1);
        assert_eq!(all.overdue(u64::MAX), None);
        all.disown(1, 7);
        assert_eq!(all.overdue(16), None);
        assert_eq!(all.overdue(17), Some(1));
    }
}
