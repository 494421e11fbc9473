//! The worker's dealings with connections over TCP and TLS (RFC 8656 §3.1, §12.5; RFC 8489 §6.2.2).

use std::io;

use std::net::IpAddr;

use ferryman_flow::{stream, FiveTuple, Reason, Transport};

use crate::acceptor::Accepted;
use crate::clock::{self, SECOND};
use crate::connection::{Connection, Leading, Role, Standing};
use crate::counters::Counter;
use crate::effort::Effort;
use crate::forwarder::Taken;
use crate::http::Other;
use crate::inbox::Order;
use crate::limits::Full;
use crate::poller::{Interest, Token};
use crate::queue::Event;
use crate::slots::Piece;
use crate::worker::Worker;

/// How many connections are taken from one acceptor in one turn.
const ACCEPTS: usize = 64;
/// How many handshakes of TLS go on in one turn at most.
pub(crate) const HANDSHAKES: Effort = Effort::of(4);
/// How many requests of one connection go to the engine before those that wait have their turn.
const REQUESTS_IN_TURN: usize = 4;
/// How long an acceptor rests when the process has no descriptor left.
const REST: u64 = SECOND / 10;

impl Worker {
    /// Takes what waits at an acceptor.
    pub(crate) fn accept(&mut self, place: usize) {
        for _ in 0..ACCEPTS {
            let Some(Some(acceptor)) = self.acceptors.get(place) else {
                return;
            };
            match acceptor.accept() {
                Accepted::Connection {
                    stream,
                    client,
                    server,
                } => {
                    let socket = self.forwarder.shared.number();
                    let transport = Transport::Tcp;
                    let five_tuple = FiveTuple {
                        transport,
                        client,
                        server,
                        socket,
                    };
                    let carrier = acceptor.carrier(stream, self.tls.clone());
                    self.admit(Connection::new(carrier, five_tuple, self.forwarder.now));
                }
                Accepted::Impostor(client) => self.send_away(client),
                Accepted::Useless => {}
                Accepted::Nothing => return,
                Accepted::Exhausted => return self.rest(place),
            }
        }
    }

    fn admit(&mut self, connection: Connection) {
        let client = connection.five_tuple.client.ip();
        let entered = if connection.carrier.is_unannounced() {
            self.forwarder.enter_front(client)
        } else {
            self.forwarder.enter(client, false)
        };
        if let Err(full) = entered {
            return self.turn_away(client, full);
        }
        let token = Token::Connection(connection.five_tuple.socket);
        if self.poller.add(&connection, token, Interest::READ).is_err() {
            return self.forwarder.connections.forgo(client);
        }
        self.forwarder
            .shared
            .counters
            .add(Counter::ConnectionsAccepted, 1);
        self.forwarder
            .connections
            .insert(connection, self.forwarder.now);
        self.close_overdue();
    }

    /// There is no room: the connection is closed, counted, and told of once in a while.
    pub(crate) fn turn_away(&mut self, client: IpAddr, full: Full) {
        let counters = &self.forwarder.shared.counters;
        counters.add(Counter::ConnectionsRefused, 1);
        let what = match full {
            Full::Source => "too many connections from one address (source-connections)",
            Full::All => "too many connections (total-connections)",
        };
        self.tell(what, &client.to_string());
    }

    /// Closes the pending connections that are too many or too old.
    pub(crate) fn close_overdue(&mut self) {
        while let Some(number) = self.forwarder.connections.overdue(self.forwarder.now) {
            self.close(number);
        }
    }

    /// Out of descriptors: makes room for one client and looks again a little later.
    fn rest(&mut self, place: usize) {
        if let Some(number) = self.forwarder.connections.least_worthy() {
            self.close(number);
        }
        self.tell("no file descriptor left", "TCP connections have to wait");
        let Some(Some(acceptor)) = self.acceptors.get_mut(place) else {
            return;
        };
        let _ = self
            .poller
            .change(&*acceptor, Token::Acceptor(place as u32), Interest::NONE);
        acceptor.resumes_at = Some(self.forwarder.now + REST);
    }

    /// Wakes the acceptors that have rested.
    pub(crate) fn resume_acceptors(&mut self) {
        let now = self.forwarder.now;
        for (place, acceptor) in self.acceptors.iter_mut().enumerate() {
            let Some(acceptor) = acceptor else {
                continue;
            };
            if acceptor.resumes_at.is_some_and(|at| at <= now) {
                let token = Token::Acceptor(place as u32);
                let _ = self.poller.change(&*acceptor, token, Interest::READ);
                acceptor.resumes_at = None;
            }
        }
    }

    /// Reads once from a connection.
    pub(crate) fn read(&mut self, number: u64) {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return;
        };
        if let Role::Joined(peer) = connection.role {
            return self.read_joined(number, peer);
        }
        if connection.is_held() {
            return;
        }
        if connection.carrier.is_unannounced() {
            return self.read_announcement(number);
        }
        let was_handshaking = connection.carrier.is_handshaking();
        let since = if was_handshaking { clock::now() } else { 0 };
        if was_handshaking && !self.handshakes.has_room(since) {
            return; // it is ready in the next turn as well
        }
        let length = connection.room_to_read();
        let Some(room) = self.slots.stream_room(length) else {
            self.forwarder.flush(&mut self.slots);
            return self.read(number);
        };
        let read = connection.read(room);
        if was_handshaking && connection.carrier.is_tls() {
            self.handshakes.spend(since);
        }
        match read {
            Ok((length, came)) => {
                self.note_handshake(number, was_handshaking);
                if came {
                    let piece = self.slots.stream_keep(length);
                    self.take_messages(number, piece);
                }
                self.close_ended(number);
            }
            Err(error) => {
                if was_handshaking {
                    self.note_failure(number, &error);
                }
                self.close(number);
            }
        }
    }

    /// A handshake has gone on: what it has to say leaves in this turn.
    fn note_handshake(&mut self, number: u64, was_handshaking: bool) {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return;
        };
        let carrier = &connection.carrier;
        if was_handshaking && carrier.is_tls() && !carrier.is_handshaking() {
            let counters = &self.forwarder.shared.counters;
            counters.add(Counter::TlsHandshakes, 1);
        }
        if carrier.waiting() > 0 {
            self.forwarder.connections.mark(number);
        }
    }

    /// The operator hears why clients cannot connect, but a connection that just goes is no news.
    fn note_failure(&mut self, number: u64, error: &io::Error) {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return;
        };
        if !connection.carrier.is_tls() {
            return;
        }
        let counters = &self.forwarder.shared.counters;
        counters.add(Counter::TlsFailures, 1);
        if error.kind() == io::ErrorKind::Other {
            let detail = format!("{}: {error}", connection.five_tuple.client);
            self.tell("a TLS handshake failed", &detail);
        }
    }

    /// Closes a connection whose client has said that it is over, once all before that is heard.
    fn close_ended(&mut self, number: u64) {
        let connection = self.forwarder.connections.get_mut(number);
        if connection.is_some_and(|one| one.carrier.has_ended() && !one.is_held()) {
            self.close(number);
        }
    }

    /// The other side is gone: what it sent before is read, unless it has to wait.
    pub(crate) fn read_last(&mut self, number: u64) {
        let connections = &mut self.forwarder.connections;
        match connections.get_mut(number) {
            Some(connection) if connection.is_held() => self.close(number),
            _ => self.read(number),
        }
    }

    /// Goes on with the connections that waited for room in the queue, in turn, until there is none
    /// or nobody waits.
    pub(crate) fn resume_paused(&mut self) {
        while self.forwarder.connections.paused() > 0
            && self.forwarder.shared.queue.has_room_or_will_tell()
        {
            if let Some(number) = self.forwarder.connections.next_paused() {
                self.resume(number);
            }
        }
    }

    fn resume(&mut self, number: u64) {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return;
        };
        let Some(room) = self.slots.stream_room(connection.room_to_read()) else {
            self.forwarder.flush(&mut self.slots);
            return self.resume(number);
        };
        let length = connection.recall(room);
        let piece = self.slots.stream_keep(length);
        self.take_messages(number, piece);
        self.close_ended(number);
    }

    /// Takes the whole messages at the beginning of a piece and leaves the rest to the
    /// connection.
    fn take_messages(&mut self, number: u64, mut piece: Piece) {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return;
        };
        let (five_tuple, limit) = (connection.five_tuple, connection.message_limit());
        let mut asked = 0;
        loop {
            if asked >= REQUESTS_IN_TURN && self.forwarder.connections.paused() > 0 {
                self.forwarder.connections.pause(number);
                break;
            }
            match stream::next(self.slots.octets(piece), limit) {
                stream::Frame::Complete {
                    message, consumed, ..
                } => {
                    self.forwarder
                        .shared
                        .counters
                        .add(Counter::ClientPackets, 1);
                    self.arrivals += 1;
                    let message = piece.part(message);
                    match self
                        .forwarder
                        .take_message(&self.slots, &five_tuple, message)
                    {
                        Taken::Done => {}
                        Taken::Asked => {
                            asked += 1;
                            let message = self.slots.octets(message);
                            if let Some(transaction_id) = stream::connection_bind_untrusted(message)
                            {
                                piece = piece.part(consumed..piece.length());
                                self.forwarder.connections.hold(number, transaction_id);
                                break;
                            }
                        }
                        Taken::NoRoom => {
                            self.forwarder.connections.pause(number);
                            break;
                        }
                    }
                    piece = piece.part(consumed..piece.length());
                }
                stream::Frame::NeedMore => break,
                stream::Frame::Bad => {
                    self.note_asked(number, asked > 0);
                    match self.answer_http(number, piece) {
                        Other::Waits => break,
                        Other::Answered => return,
                        Other::Nothing => {
                            let octets = self.slots.octets(piece);
                            self.forwarder.drop(&five_tuple, Reason::NotTurn, octets);
                            return self.close(number);
                        }
                    }
                }
            }
        }
        self.note_asked(number, asked > 0);
        if let Some(connection) = self.forwarder.connections.get_mut(number) {
            connection.keep(self.slots.octets(piece));
        }
    }

    fn note_asked(&mut self, number: u64, asked: bool) {
        if let Some(connection) = self.forwarder.connections.get_mut(number) {
            connection.asked |= asked;
        }
    }

    /// Writes to every connection that has something to write, and closes what is doomed.
    pub(crate) fn flush_streams(&mut self) {
        for number in self.forwarder.connections.take_dirty() {
            let Some(connection) = self.forwarder.connections.write(number) else {
                continue;
            };
            if connection.doomed {
                self.close(number);
            } else if let Role::Joined(peer) = connection.role {
                self.balance(peer);
            } else if let Some(interest) = connection.new_interest() {
                let token = Token::Connection(number);
                if self.poller.change(&*connection, token, interest).is_err() {
                    self.close(number);
                }
            }
        }
    }

    /// Closes a connection; the engine hears of it when it has heard from it.
    pub(crate) fn close(&mut self, number: u64) {
        let Some(mut connection) = self.forwarder.connections.remove(number) else {
            return;
        };
        // What was answered in this turn may still arrive.
        if let Role::Joined(peer) = connection.role {
            connection.finish();
            return self.end_peer(peer);
        }
        connection.finish();
        if let Some(Leading { home, peer }) = connection.leading {
            return self.forwarder.shared.crew.post(home, Order::Widow(peer));
        }
        if connection.asked || connection.standing == Standing::Owner {
            let five_tuple = connection.five_tuple;
            self.forwarder
                .shared
                .queue
                .push(Event::Disconnected { five_tuple });
        }
    }
}
