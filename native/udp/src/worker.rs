//! The worker thread: waits, obeys, receives, forwards, flushes; one turn after the other.
//!
//! It never takes Python's lock and never waits for anyone. A worker owns everything it touches
//! but what is in `crew`, so that there can be one per core.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ferryman_dtls::is_record;
use ferryman_flow::{binding, gate::Gate, Table, TransactionIds};
use rustls::ServerConfig;

use crate::acceptor::Acceptor;
use crate::associations::Associations;
use crate::batch_out::BatchOut;
use crate::clock;
use crate::connections::Connections;
use crate::counters::Counter;
use crate::crew::Shared;
use crate::datapath::Settings;
use crate::dtls::Dtls;
use crate::effort::Effort;
use crate::error_queue;
use crate::forwarder::Forwarder;
use crate::http::Http;
use crate::limits::Limits;
use crate::options::kernel_cuts_trains;
use crate::pace::Pace;
use crate::parcels::Parcels;
use crate::peer_streams::PeerStreams;
use crate::poller::{Interest, Poller, Ready, Round, Token};
use crate::post::Post;
use crate::relay::RelayPlace;
use crate::sightings::Sightings;
use crate::signals;
use crate::slots::{Arrival, Slots};
use crate::streams::HANDSHAKES;

/// With fewer slots left, what has arrived is sent before more is received.
const FEW_SLOTS: usize = 16;

/// Of associations without an allocation there may be one for so many connections: one of DTLS 1.3 takes
/// some 130 KiB.
const ASSOCIATION_SHARE: usize = 4;

/// How many errors of one socket are read in a turn.
const ERRORS: usize = 32;

/// One worker.
pub(crate) struct Worker {
    pub(crate) forwarder: Forwarder,
    pub(crate) slots: Slots,
    pub(crate) poller: Poller,
    pub(crate) acceptors: Vec<Option<Acceptor>>,
    /// When to look whether a retired listener is still needed, ns; none when there is none.
    pub(crate) retired_until: Option<u64>,
    /// Room for what other workers send.
    pub(crate) parcels: Parcels,
    /// How TLS is spoken with those who connect from now on, if it is.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// How many datagrams, trains of them, and messages of streams have come.
    pub(crate) arrivals: u64,
    /// What is left in this turn for handshakes of TLS.
    pub(crate) handshakes: Effort,
    pub(crate) peers: PeerStreams,
    /// What HTTP gets.
    pub(crate) http: Http,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, settings: &Settings) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&shared.inbox().bell, Token::Inbox, Interest::READ)?;
        let timeout = settings.connection_timeout.as_nanos().min(u64::MAX.into()) as u64;
        let (crew, worker) = (Arc::clone(&shared.crew), shared.worker);
        let (pending, workers) = (settings.pending_connections, crew.count());
        let table = if workers > 1 {
            Table::among(Arc::clone(&crew.relay_owners), worker as u16)
        } else {
            Table::new()
        };
        let peers = PeerStreams::new(&shared);
        let forwarder = Forwarder {
            table,
            listeners: Vec::new(),
            relays: Vec::new(),
            connections: Connections::new(pending, timeout, &crew.census),
            dtls: Dtls::new(Associations::new(
                pending.div_ceil(ASSOCIATION_SHARE),
                workers,
                timeout,
                &crew.census,
            )),
            limits: Limits::from(&settings.choices),
            sightings: Sightings::of(&settings.choices),
            parcels: crew.inboxes.iter().map(|_| Parcels::default()).collect(),
            shared,
            out: BatchOut::new(Post::new(kernel_cuts_trains())),
            transaction_ids: TransactionIds::new(),
            binding: binding::Settings {
                fingerprint: settings.choices.fingerprint,
                mapped_address: settings.choices.mapped_address,
                software: settings.choices.software,
                served: settings.choices.served,
                rfc3489: settings.choices.rfc3489,
                discovery: Vec::new(),
            },
            gate: Gate::default(),
            now: clock::now(),
        };
        let slots = Slots::new();
        Ok(Self {
            forwarder,
            slots,
            poller,
            acceptors: Vec::new(),
            retired_until: None,
            parcels: Parcels::default(),
            tls: None,
            arrivals: 0,
            handshakes: HANDSHAKES,
            peers,
            http: Http::from(&settings.choices),
        })
    }

    /// Works until the inbox says stop.
    pub(crate) fn run(mut self) {
        let _loud = AbortOnPanic;
        signals::leave_to_others();
        let (mut round, mut pace) = (Round::new(), Pace::new());
        loop {
            self.wait(&mut round);
            pace.begin(self.arrivals, self.forwarder.now);
            if !self.turn(&round) {
                break;
            }
            pace.end(self.arrivals);
        }
        self.end_associations();
    }

    fn wait(&mut self, round: &mut Round) {
        if let Err(error) = self.poller.wait(self.timeout(), round) {
            panic!("epoll failed: {error}");
        }
        self.forwarder.now = clock::now();
    }

    fn turn(&mut self, round: &Round) -> bool {
        self.handshakes = HANDSHAKES;
        self.forwarder.dtls.begin_turn();
        // Read before the inbox is emptied, so that nothing posted before `stop` is left.
        let goes_on = !self.forwarder.shared.inbox().is_stopped();
        self.obey(round.ready().any(|ready| ready.token == Token::Inbox));
        for ready in round.ready() {
            self.serve(ready);
        }
        self.close_overdue();
        self.expire_associations();
        self.resume_acceptors();
        self.resume_tcp_relays();
        self.resume_throttled();
        self.forwarder.flush(&mut self.slots);
        self.flush_streams();
        self.close_retired();
        let open = self.forwarder.connections.len() as u64;
        self.forwarder
            .shared
            .counters
            .set(Counter::Connections, open);
        let associations = self.forwarder.dtls.associations.len() as u64;
        self.forwarder
            .shared
            .counters
            .set(Counter::Associations, associations);
        goes_on
    }

    fn timeout(&self) -> Option<u64> {
        let rested = self
            .acceptors
            .iter()
            .flatten()
            .filter_map(|acceptor| acceptor.resumes_at);
        let overdue = self.forwarder.connections.deadline();
        let associations = self.forwarder.dtls.associations.deadline();
        let earliest = rested
            .chain(overdue)
            .chain(associations)
            .chain(self.peers.resume_at)
            .chain(self.peers.throttled_until())
            .chain(self.retired_until)
            .min()?;
        Some(earliest.saturating_sub(clock::now()))
    }

    fn serve(&mut self, ready: Ready) {
        match ready.token {
            Token::Inbox => {}
            Token::Listener(place) => self.receive_from_clients(place as usize),
            Token::Relay(place) => {
                if ready.broken {
                    self.receive_errors(place);
                }
                self.receive_from_peers(place);
            }
            Token::Acceptor(place) => self.accept(place as usize),
            Token::Connection(number) => self.serve_connection(number, ready),
            Token::TcpRelay(allocation) => self.accept_peers(allocation),
            Token::Peer(number) => self.serve_peer(number, ready),
        }
    }

    fn serve_connection(&mut self, number: u64, ready: Ready) {
        if ready.write {
            self.forwarder.connections.touch(number);
        }
        if ready.broken {
            self.read_last(number);
        } else {
            self.read(number);
        }
    }

    fn receive_from_clients(&mut self, place: usize) {
        self.make_room();
        let Some(Some(listener)) = self.forwarder.listeners.get(place) else {
            return;
        };
        let received = self.slots.receive(listener.as_fd());
        let received = self.note_errors(received);
        self.arrivals += received.len() as u64;
        for slot in received {
            match self.slots.arrival(slot) {
                Some(arrival) => self.take_from_clients(place, arrival),
                None => self.forwarder.shared.counters.add(Counter::Unanswerable, 1),
            }
        }
    }

    /// A datagram, or a train of them, from a client.
    fn take_from_clients(&mut self, place: usize, arrival: Arrival) {
        let counters = &self.forwarder.shared.counters;
        let Some(Some(listener)) = self.forwarder.listeners.get(place) else {
            return;
        };
        let Some(five_tuple) = listener.five_tuple(arrival.from, arrival.local) else {
            return counters.add(Counter::Unanswerable, 1);
        };
        if listener.is_retired && !self.forwarder.knows(&five_tuple) {
            return counters.add(Counter::Retired, 1);
        }
        for packet in arrival.datagrams() {
            self.forwarder
                .shared
                .counters
                .add(Counter::ClientPackets, 1);
            let first = self.slots.octets(packet).first();
            if first.is_some_and(|first| is_record(*first)) && self.forwarder.dtls.is_served() {
                self.take_records(&five_tuple, packet);
            } else {
                self.forwarder
                    .take_from_client(&self.slots, &five_tuple, packet);
            }
        }
    }

    fn receive_from_peers(&mut self, place: RelayPlace) {
        self.make_room();
        let relay = self.forwarder.relays.get(place.slot());
        let Some(relay) = relay.and_then(Option::as_ref) else {
            return;
        };
        let Some(socket) = relay.socket(place.family()) else {
            return;
        };
        // An error that waited at the socket is taken by the first call.
        let received = self.slots.receive(socket);
        let received = received.or_else(|_| self.slots.receive(socket));
        let allocation = relay.slot;
        let received = self.note_errors(received);
        self.arrivals += received.len() as u64;
        for slot in received {
            match self.slots.arrival(slot) {
                Some(arrival) => self
                    .forwarder
                    .take_from_peers(&self.slots, allocation, arrival),
                None => self.forwarder.shared.counters.add(Counter::Unanswerable, 1),
            }
        }
    }

    /// What became of datagrams that left through a relay socket. What is left for the next turn
    /// keeps the socket ready.
    fn receive_errors(&mut self, place: RelayPlace) {
        let relays = &self.forwarder.relays;
        let Some(relay) = relays.get(place.slot()).and_then(Option::as_ref) else {
            return;
        };
        let (slot, Some(socket)) = (relay.slot, relay.socket(place.family())) else {
            return;
        };
        let troubles = std::iter::from_fn(|| error_queue::next(socket));
        let mut troubles: Vec<_> = troubles.take(ERRORS).flatten().collect();
        // The kernel says it again at every try (see `post`).
        troubles.dedup_by(|next, one| next == one && one.is_local);
        for trouble in troubles {
            self.forwarder.take_from_network(slot, trouble);
        }
    }

    fn make_room(&mut self) {
        if self.slots.room() < FEW_SLOTS {
            self.forwarder.flush(&mut self.slots);
        }
    }

    /// An error that waited at the socket is taken by reading it.
    fn note_errors(&self, received: io::Result<std::ops::Range<usize>>) -> std::ops::Range<usize> {
        received.unwrap_or_else(|_| {
            self.forwarder
                .shared
                .counters
                .add(Counter::ReceiveErrors, 1);
            0..0
        })
    }
}

/// Ends the process when the thread that holds it panics: a server that answers but does not
/// relay is worse than none.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::datapath::Datapath;

    #[test]
    fn a_panic_of_any_worker_ends_the_process() {
        const CHILD: &str = "FERRYMAN_TEST_PANIC";
        if let Ok(worker) = std::env::var(CHILD) {
            let settings = Settings {
                workers: 3,
                ..Settings::default()
            };
            let datapath = Datapath::new(&settings).expect("descriptors");
            datapath.start().expect("threads");
            datapath.fail(worker.parse().expect("a number"));
            return datapath.stop();
        }
        for worker in ["0", "2"] {
            let own_program = std::env::current_exe().expect("tests are a program");
            let mut child = std::process::Command::new(own_program);
            child.args([
                "--exact",
                "worker::tests::a_panic_of_any_worker_ends_the_process",
                "--nocapture",
            ]);
            let output = child.env(CHILD, worker).output().expect("it starts");
            assert_eq!(output.status.signal(), Some(libc::SIGABRT));
            assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"));
        }
    }
}
