//! The worker thread: waits, obeys, receives, forwards, flushes; one turn after the other.
//!
//! It never takes Python's lock and never waits for anyone. A worker owns everything it touches
//! but the inbox, the queue and the counters, so that there can be one per core.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use ferryman_flow::{Applied, Change, FiveTuple, Table, TransactionIds, Usage};

use crate::acceptor::Acceptor;
use crate::batch_out::BatchOut;
use crate::clock;
use crate::connections::Connections;
use crate::counters::Counter;
use crate::datapath::{Settings, Shared};
use crate::forwarder::Forwarder;
use crate::inbox::{Command, Order};
use crate::listener::Listener;
use crate::options::kernel_cuts_trains;
use crate::poller::{Interest, Poller, Ready, Round, Token};
use crate::post::Post;
use crate::queue::Event;
use crate::relay::{Client, Relay};
use crate::signals;
use crate::slots::Slots;

/// With fewer slots left, what has arrived is sent before more is received.
const FEW_SLOTS: usize = 16;

/// One worker.
pub(crate) struct Worker {
    pub(crate) forwarder: Forwarder,
    pub(crate) slots: Slots,
    pub(crate) poller: Poller,
    pub(crate) acceptors: Vec<Acceptor>,
    pub(crate) notices: Notices,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, settings: &Settings) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&shared.inbox.bell, Token::Inbox, Interest::READ)?;
        let timeout = settings.connection_timeout.as_nanos().min(u64::MAX.into()) as u64;
        let forwarder = Forwarder {
            table: Table::new(),
            listeners: Vec::new(),
            relays: Vec::new(),
            connections: Connections::new(settings.pending_connections, timeout),
            shared,
            out: BatchOut::new(Post::new(kernel_cuts_trains())),
            transaction_ids: TransactionIds::new(),
            fingerprint: settings.fingerprint,
            now: clock::now(),
        };
        let slots = Slots::new();
        let notices = Notices::default();
        Ok(Self {
            forwarder,
            slots,
            poller,
            acceptors: Vec::new(),
            notices,
        })
    }

    /// Works until the inbox says stop.
    pub(crate) fn run(mut self) {
        let _loud = AbortOnPanic;
        signals::leave_to_others();
        let mut round = Round::new();
        while self.turn(&mut round) {}
    }

    fn turn(&mut self, round: &mut Round) -> bool {
        if let Err(error) = self.poller.wait(self.timeout(), round) {
            panic!("epoll failed: {error}");
        }
        self.forwarder.now = clock::now();
        // Read before the inbox is emptied, so that nothing posted before `stop` is left.
        let goes_on = !self.forwarder.shared.inbox.is_stopped();
        self.obey(round.ready().any(|ready| ready.token == Token::Inbox));
        for ready in round.ready() {
            self.serve(ready);
        }
        self.close_overdue();
        self.resume_acceptors();
        self.forwarder.flush(&mut self.slots);
        self.flush_streams();
        let open = self.forwarder.connections.len() as u64;
        self.forwarder
            .shared
            .counters
            .set(Counter::Connections, open);
        goes_on
    }

    fn timeout(&self) -> Option<u64> {
        let rested = self
            .acceptors
            .iter()
            .filter_map(|acceptor| acceptor.resumes_at);
        let overdue = self.forwarder.connections.deadline();
        let earliest = rested.chain(overdue).min()?;
        Some(earliest.saturating_sub(clock::now()))
    }

    fn serve(&mut self, ready: Ready) {
        match ready.token {
            Token::Inbox => {}
            Token::Listener(place) => self.receive_from_clients(place as usize),
            Token::Relay(slot) => self.receive_from_peers(slot as usize),
            Token::Acceptor(place) => self.accept(place as usize),
            Token::Connection(number) => self.serve_connection(number, ready),
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
        let received = self.slots.receive(self.forwarder.listeners[place].as_fd());
        for slot in self.note_errors(received) {
            match self.slots.arrival(slot) {
                Some(arrival) => self
                    .forwarder
                    .take_from_clients(&self.slots, place, arrival),
                None => self.forwarder.shared.counters.add(Counter::Unanswerable, 1),
            }
        }
    }

    fn receive_from_peers(&mut self, slot: usize) {
        self.make_room();
        let Some(relay) = self.forwarder.relays.get(slot).and_then(Option::as_ref) else {
            return;
        };
        let (received, allocation) = (self.slots.receive(relay.as_fd()), relay.slot);
        for slot in self.note_errors(received) {
            match self.slots.arrival(slot) {
                Some(arrival) => self
                    .forwarder
                    .take_from_peers(&self.slots, allocation, arrival),
                None => self.forwarder.shared.counters.add(Counter::Unanswerable, 1),
            }
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

    fn obey(&mut self, rung: bool) {
        if rung {
            self.forwarder.shared.inbox.bell.clear();
        }
        for order in self.forwarder.shared.inbox.take() {
            match order {
                Order::Obey(Command::Change(change)) => self.change(change),
                Order::Obey(Command::Reply {
                    five_tuple,
                    message,
                }) => {
                    self.forwarder.reply(&five_tuple, &message);
                }
                Order::Listen(listener) => self.add_listener(listener),
                Order::Accept(acceptor) => self.add_acceptor(acceptor),
            }
        }
        self.resume_paused();
    }

    fn add_listener(&mut self, listener: Listener) {
        let token = Token::Listener(self.forwarder.listeners.len() as u32);
        let watched = self.poller.add(&listener, token, Interest::READ);
        self.forwarder.listeners.push(listener);
        self.tell_failure("a listener is deaf", watched);
    }

    fn add_acceptor(&mut self, acceptor: Acceptor) {
        let token = Token::Acceptor(self.acceptors.len() as u32);
        let watched = self.poller.add(&acceptor, token, Interest::READ);
        self.acceptors.push(acceptor);
        self.tell_failure("a listener is deaf", watched);
    }

    fn change(&mut self, change: Change) {
        if let Change::Open {
            five_tuple, bound, ..
        } = change
        {
            return self.open(change, &five_tuple, bound);
        }
        let Change::Close { allocation } = change else {
            self.forwarder.table.apply(change);
            return;
        };
        if let Applied::Closed {
            slot,
            usage,
            five_tuple,
        } = self.forwarder.table.apply(change)
        {
            self.closed(allocation, slot.index(), usage, &five_tuple);
        }
    }

    fn open(&mut self, change: Change, five_tuple: &FiveTuple, bound: SocketAddr) {
        let Some(client) = self.forwarder.client(five_tuple) else {
            return;
        };
        let Some(socket) = self.forwarder.shared.parked.take(bound) else {
            return self.tell(
                "no socket was bound ahead for a relayed address",
                &bound.to_string(),
            );
        };
        let Applied::Opened(slot) = self.forwarder.table.apply(change) else {
            return;
        };
        let index = slot.index();
        let watched = self
            .poller
            .add(&socket, Token::Relay(index as u32), Interest::READ);
        if self.forwarder.relays.len() <= index {
            self.forwarder.relays.resize_with(index + 1, || None);
        }
        self.forwarder.relays[index] = Some(Relay::new(socket, slot, client));
        if let Client::Stream(number) = client {
            self.forwarder.connections.own(number);
        }
        self.tell_failure("a relay socket is deaf", watched);
    }

    fn closed(&mut self, allocation: u64, index: usize, usage: Usage, five_tuple: &FiveTuple) {
        if let Some(relay) = self.forwarder.relays.get_mut(index) {
            *relay = None;
        }
        if let Some(Client::Stream(number)) = self.forwarder.client(five_tuple) {
            self.forwarder
                .connections
                .disown(number, self.forwarder.now);
        }
        self.forwarder
            .shared
            .queue
            .push(Event::Closed { allocation, usage });
    }

    fn tell_failure(&mut self, what: &'static str, result: io::Result<()>) {
        if let Err(error) = result {
            self.tell(what, &error.to_string());
        }
    }

    /// Tells the operator, but each thing only once in a while.
    pub(crate) fn tell(&mut self, what: &'static str, detail: &str) {
        if self.notices.is_due(what, self.forwarder.now) {
            let text = format!("{what}: {detail}");
            self.forwarder
                .shared
                .queue
                .offer(false, || Event::Notice { text });
        }
    }
}

/// When the operator was last told what.
#[derive(Default)]
pub(crate) struct Notices {
    told: HashMap<&'static str, u64>,
}

impl Notices {
    const PAUSE: u64 = 60 * clock::SECOND;

    fn is_due(&mut self, what: &'static str, now: u64) -> bool {
        let due = self
            .told
            .get(what)
            .is_none_or(|told| told + Self::PAUSE <= now);
        if due {
            self.told.insert(what, now);
        }
        due
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

    #[test]
    fn a_panic_ends_the_process() {
        const CHILD: &str = "FERRYMAN_TEST_PANIC";
        if std::env::var_os(CHILD).is_some() {
            let worker = std::thread::spawn(|| {
                let _loud = AbortOnPanic;
                panic!("on purpose");
            });
            let _ = worker.join();
            return;
        }
        let own_program = std::env::current_exe().expect("tests are a program");
        let mut child = std::process::Command::new(own_program);
        child.args([
            "--exact",
            "worker::tests::a_panic_ends_the_process",
            "--nocapture",
        ]);
        let output = child.env(CHILD, "1").output().expect("it starts");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT));
        assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"));
    }

    #[test]
    fn the_operator_hears_each_thing_once_in_a_while() {
        let mut notices = Notices::default();
        assert!(notices.is_due("one", 5));
        assert!(notices.is_due("other", 5));
        assert!(!notices.is_due("one", 4 + Notices::PAUSE));
        assert!(notices.is_due("one", 5 + Notices::PAUSE));
    }
}
