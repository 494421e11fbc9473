//! The worker obeys: listeners are added, allocations opened and closed, replies sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ferryman_dtls::Endpoint;
use ferryman_flow::{Applied, Change, Family, FiveTuple, Rerouted, Slot, TcpAllocation, Usage};
use socket2::Socket;

use crate::connection::Leading;
use crate::inbox::{Command, Order};
use crate::poller::{Interest, Token};
use crate::queue::Event;
use crate::relay::{Relay, RelayPlace};
use crate::worker::Worker;

/// The number of no allocation.
const NOBODYS: u64 = 0;

impl Worker {
    /// Obeys everything in the inbox, in order; `rung` if its bell is to be cleared.
    pub(crate) fn obey(&mut self, rung: bool) {
        let shared = Arc::clone(&self.forwarder.shared);
        let inbox = shared.inbox();
        if rung {
            inbox.bell.clear();
        }
        let mut parcels = std::mem::take(&mut self.parcels);
        if shared.crew.count() > 1 {
            inbox.take_parcels(&mut parcels);
        }
        for order in inbox.take() {
            match order {
                Order::Obey(Command::Change(change)) => self.change(change),
                Order::Obey(Command::OpenTcp {
                    allocation,
                    five_tuple,
                    bound,
                    advertised,
                    expires_at,
                    bytes_per_second,
                }) => {
                    let opened = TcpAllocation::new(
                        five_tuple,
                        bound,
                        advertised,
                        expires_at,
                        bytes_per_second,
                    );
                    self.open_tcp(allocation, opened);
                }
                Order::Obey(Command::Connect {
                    connection,
                    allocation,
                    peer,
                    relayed_only,
                }) => self.connect(connection, allocation, peer, relayed_only),
                Order::Obey(Command::Join {
                    connection,
                    five_tuple,
                }) => self.join(connection, &five_tuple),
                Order::Obey(Command::CloseConnection { connection }) => {
                    self.close_peer(connection);
                }
                Order::Obey(Command::Reply {
                    five_tuple,
                    message,
                }) => {
                    self.forwarder.reply(&five_tuple, &message);
                    self.hand_on(five_tuple.socket);
                }
                Order::Listen(listener) => self.add_listener(listener),
                Order::Accept(acceptor) => self.add_acceptor(acceptor),
                Order::Discover(discovery) => self.forwarder.binding.offer(discovery),
                Order::Retire(address) => self.retire(address),
                Order::Unlisten(address) => self.unlisten(address),
                Order::Choose(choices) => self.choose(&choices),
                Order::Secure(config) => self.tls = config,
                Order::ServeDtls(Some(endpoint)) => self.serve_dtls(endpoint),
                Order::ServeDtls(None) => self.forwarder.dtls.stop(),
                Order::Offload(offload) => self.forwarder.table.offload_to(offload),
                Order::Withdraw(family) => self.forwarder.binding.withdraw(family),
                Order::Guard(settings) => self.forwarder.gate.set(*settings),
                Order::Host { path, home } => self.host(path, home),
                Order::Unhost { path, home } => self.unhost(path, home),
                Order::Inside(ip) => self.forwarder.table.keep_inside(ip),
                Order::Lead {
                    five_tuple,
                    connection: peer,
                    home,
                } => self.lead(five_tuple.socket, Leading { home, peer }),
                Order::Adopt(connection, peer) => self.adopt(*connection, peer),
                Order::Widow(peer) => self.end_peer(peer),
                #[cfg(test)]
                Order::Fail => panic!("on purpose"),
            }
        }
        self.take_parcels(&parcels);
        parcels.clear();
        self.parcels = parcels;
        self.resume_paused();
    }

    fn serve_dtls(&mut self, endpoint: Endpoint) {
        let now = self.forwarder.now;
        if let Err(trouble) = self.forwarder.dtls.serve(endpoint, now) {
            self.tell("DTLS is not served", &trouble.to_string());
        }
    }

    fn change(&mut self, change: Change) {
        if self.change_tcp(change) {
            return;
        }
        match change {
            Change::Open {
                five_tuple, bound, ..
            } => self.open(change, &five_tuple, bound),
            Change::AddRelayed { bound, .. } => self.add_relayed(change, bound),
            Change::CloseRelayed { allocation, family } => {
                self.close_relayed(change, allocation, family);
            }
            Change::Close {
                allocation: NOBODYS,
            } if self.ask_next(change) => {}
            Change::Close { allocation } => self.close_allocation(change, allocation),
            _ => match (self.forwarder.table.apply(change), change) {
                (Applied::Rerouted(rerouted), _) => self.reroute(change, rerouted),
                (Applied::Unknown, Change::Move { five_tuple, .. }) => {
                    self.forwarder.give_up(five_tuple);
                }
                _ => {}
            },
        }
    }

    /// Whether all workers are well is asked with an allocation that nobody has: it goes from one to
    /// the next, and the last one answers.
    fn ask_next(&self, change: Change) -> bool {
        let shared = &self.forwarder.shared;
        let next = shared.worker + 1;
        let is_other = next < shared.crew.count();
        if is_other {
            let order = Order::Obey(Command::Change(change));
            shared.crew.post(next, order);
        }
        is_other
    }

    fn close_allocation(&mut self, change: Change, allocation: u64) {
        let mut told = Usage::default();
        if let Applied::Closed {
            slot,
            usage,
            five_tuple,
            second,
        } = self.forwarder.table.apply(change)
        {
            self.let_go(slot.index(), five_tuple, second);
            told = usage;
        }
        // Also of an allocation that could not be opened: the engine waits for this.
        self.forwarder.shared.queue.push(Event::Closed {
            allocation,
            usage: told,
        });
    }

    fn open(&mut self, change: Change, five_tuple: &FiveTuple, bound: SocketAddr) {
        let Some(client) = self.forwarder.client(five_tuple) else {
            return;
        };
        let Some(socket) = self.parked(bound) else {
            return;
        };
        let Applied::Opened(slot) = self.forwarder.table.apply(change) else {
            return;
        };
        let index = slot.index();
        if self.forwarder.relays.len() <= index {
            self.forwarder.relays.resize_with(index + 1, || None);
        }
        self.forwarder.relays[index] = Some(Relay::new(slot, client));
        self.forwarder.own(client);
        self.watch(slot, bound, socket);
    }

    fn add_relayed(&mut self, change: Change, bound: SocketAddr) {
        let Some(socket) = self.parked(bound) else {
            return;
        };
        if let Applied::Added(slot) = self.forwarder.table.apply(change) {
            self.watch(slot, bound, socket);
        }
    }

    fn close_relayed(&mut self, change: Change, allocation: u64, family: Family) {
        if let Applied::Removed(slot) = self.forwarder.table.apply(change) {
            if let Some(Some(relay)) = self.forwarder.relays.get_mut(slot.index()) {
                relay.set(family, None);
            }
        }
        // Also of one that could not be opened: the engine waits for this.
        let closed = Event::RelayedClosed { allocation, family };
        self.forwarder.shared.queue.push(closed);
    }

    /// The socket that was bound ahead for a relayed address.
    fn parked(&mut self, bound: SocketAddr) -> Option<Socket> {
        let socket = self.forwarder.shared.crew.parked.take(bound);
        if socket.is_none() {
            let what = "no socket was bound ahead for a relayed address";
            self.tell(what, &bound.to_string());
        }
        socket
    }

    fn watch(&mut self, slot: Slot, bound: SocketAddr, socket: Socket) {
        let family = Family::of(bound.ip());
        let token = Token::Relay(RelayPlace::new(slot, family));
        let watched = self.poller.add(&socket, token, Interest::READ);
        if let Some(Some(relay)) = self.forwarder.relays.get_mut(slot.index()) {
            relay.set(family, Some(socket));
        }
        self.tell_failure("a relay socket is deaf", watched);
    }

    /// The second path of a client that moves must not be closed as one without an allocation.
    fn reroute(&mut self, change: Change, rerouted: Rerouted) {
        self.forwarder.reroute(rerouted);
        let Change::Move { five_tuple, .. } = change else {
            return;
        };
        self.forwarder.own_path(five_tuple);
    }

    fn let_go(&mut self, index: usize, five_tuple: FiveTuple, second: Option<FiveTuple>) {
        if let Some(relay) = self.forwarder.relays.get_mut(index) {
            *relay = None;
        }
        self.forwarder.disown(Some(five_tuple));
        self.forwarder.disown(second);
    }

    pub(crate) fn tell_failure(&mut self, what: &'static str, result: io::Result<()>) {
        if let Err(error) = result {
            self.tell(what, &error.to_string());
        }
    }

    /// Tells the operator, but each thing only once in a while.
    pub(crate) fn tell(&mut self, what: &'static str, detail: &str) {
        let shared = &self.forwarder.shared;
        if shared.crew.is_news(what, self.forwarder.now) {
            let text = format!("{what}: {detail}");
            shared.queue.push(Event::Notice { text });
        }
    }
}
