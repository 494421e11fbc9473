//! A client's connection and a peer's joined to one stream each way (RFC 6062 §5.4, §5.5).
//!
//! Nothing is dropped and little is held: while `JOINED_BACKLOG` bytes wait for one side, the
//! other is not read, and its sender's window closes; so it is while an allocation has used up its
//! bandwidth. The end of one direction is passed on when
//! everything before it has been; both connections close when both directions have ended, or when
//! either is broken.

use std::io;

use ferryman_flow::{Direction, FiveTuple};

use crate::connection::Role;
use crate::peer_stream::{Stage, JOINED_BACKLOG};
use crate::poller::{Interest, Ready, Token};
use crate::queue::Event;
use crate::worker::Worker;

/// How much is read at once.
const READ: usize = 64 << 10;

impl Worker {
    /// Makes one stream each way of a peer's connection and a client's, whose next reply is the
    /// last STUN message that it carries.
    pub(crate) fn join(&mut self, number: u64, five_tuple: &FiveTuple) {
        let client = five_tuple.socket;
        let pending = self
            .peers
            .get_mut(number)
            .filter(|peer| peer.stage == Stage::Pending);
        let connection = self.forwarder.connections.get_mut(client);
        let (Some(peer), Some(connection)) = (pending, connection) else {
            // One of them has gone in the meantime.
            self.forwarder.connections.doom(client);
            return self.end_peer(number);
        };
        peer.stage = Stage::Joined(client);
        connection.role = Role::Joined(number);
        // Over TLS the end may have come together with the request.
        connection.ended = connection.carrier.has_ended();
        peer.finishing = connection.ended;
        let rest = connection.take_rest();
        let _ = self
            .poller
            .change(&*connection, Token::Connection(client), Interest::READ);
        connection.interest = Interest::READ;
        let _ = self.poller.remove(&*peer);
        peer.interest = Interest::NONE;
        self.forwarder.connections.own(client);
        let passed = rest.is_empty() || self.peers.pass(number, &rest, self.forwarder.now);
        self.balance_or_end(number, passed);
    }

    /// A joined peer is ready for something.
    pub(crate) fn serve_joined(&mut self, number: u64, client: u64, ready: Ready) {
        if ready.write {
            if self.write_to_peer(number).is_err() {
                return self.end_peer(number);
            }
            // What the client sent meanwhile may have been read already, as part of a record.
            self.read_joined(client, number);
        }
        self.read_peer(number, client);
    }

    fn write_to_peer(&mut self, number: u64) -> io::Result<()> {
        self.peers
            .get_mut(number)
            .map_or(Ok(()), |peer| peer.write())
    }

    /// Reads once from a joined client, unless its peer is full.
    pub(crate) fn read_joined(&mut self, client: u64, number: u64) {
        let now = self.forwarder.now;
        let Some(connection) = self.forwarder.connections.get_mut(client) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        if peer.is_full() || connection.ended {
            return self.balance(number);
        }
        let held = connection.carrier.held();
        let Some(limit) = self.peers.limit(number, Direction::ToPeer, held, now) else {
            return self.balance(number);
        };
        let length = connection.room_to_read_at_most(limit);
        let Some(room) = self.slots.stream_room(length) else {
            self.forwarder.flush(&mut self.slots);
            return self.read_joined(client, number);
        };
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        match connection.read(room) {
            Ok((length, true)) => {
                connection.ended = connection.carrier.has_ended();
                peer.finishing = connection.ended;
                let passed = self.peers.pass(number, &room[..length], now);
                self.balance_or_end(number, passed);
            }
            Ok((_, false)) => {
                connection.ended = connection.carrier.has_ended();
                peer.finishing = connection.ended;
                self.balance(number);
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                connection.ended = true;
                peer.finishing = true;
                self.balance(number);
            }
            Err(_) => self.end_peer(number),
        }
    }

    /// Goes on with the connections that have waited for bandwidth.
    pub(crate) fn resume_throttled(&mut self) {
        while let Some(number) = self.peers.next_throttled(self.forwarder.now) {
            let stage = self.peers.get_mut(number).map(|peer| peer.stage);
            if let Some(Stage::Joined(client)) = stage {
                self.read_joined(client, number);
                self.read_peer(number, client);
            }
        }
    }

    fn balance_or_end(&mut self, number: u64, goes_on: bool) {
        if goes_on {
            self.balance(number);
        } else {
            self.end_peer(number);
        }
    }

    /// Reads once from a joined peer, unless its client is behind.
    fn read_peer(&mut self, number: u64, client: u64) {
        let now = self.forwarder.now;
        let (Some(peer), Some(connection)) = (
            self.peers.get_mut(number),
            self.forwarder.connections.get_mut(client),
        ) else {
            return;
        };
        if peer.ended || connection.waiting() >= JOINED_BACKLOG {
            return self.balance(number);
        }
        let Some(limit) = self.peers.limit(number, Direction::ToClient, 0, now) else {
            return self.balance(number);
        };
        let Some(room) = self.slots.stream_room(READ.min(limit)) else {
            self.forwarder.flush(&mut self.slots);
            return self.read_peer(number, client);
        };
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        match peer.read(room) {
            Ok(None) => return self.balance(number),
            Ok(Some(0)) => {
                peer.ended = true;
                return self.balance(number);
            }
            Ok(Some(length)) => {
                peer.received_bytes += length as u64;
                let allocation = peer.allocation;
                if let Some(allocation) = self.peers.allocations.live_mut(allocation, now) {
                    allocation.count(Direction::ToClient, length);
                    self.forwarder.connections.reply(client, &room[..length]);
                    return self.balance(number);
                }
            }
            Err(_) => {}
        }
        self.end_peer(number);
    }

    /// Passes on what has ended, watches each side for what it is good for now, and closes both
    /// when there is nothing left to do.
    pub(crate) fn balance(&mut self, number: u64) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let Stage::Joined(client) = peer.stage else {
            return;
        };
        let Some(connection) = self.forwarder.connections.get_mut(client) else {
            return self.end_peer(number);
        };
        peer.finish();
        if peer.ended {
            connection.end_writing();
        }
        if peer.finished && connection.finished {
            return self.end_peer(number);
        }
        let now = self.forwarder.now;
        let of_peer = Interest {
            read: !peer.ended
                && connection.waiting() < JOINED_BACKLOG
                && !peer.waits(Direction::ToClient, now),
            write: peer.waiting() > 0,
        };
        let of_client = Interest {
            read: !connection.ended && !peer.is_full() && !peer.waits(Direction::ToPeer, now),
            write: connection.waiting() > 0,
        };
        let token = Token::Peer(number);
        let peer_watched = self.poller.watch(&*peer, token, peer.interest, of_peer);
        peer.interest = of_peer;
        let token = Token::Connection(client);
        let client_watched = self
            .poller
            .watch(&*connection, token, connection.interest, of_client);
        connection.interest = of_client;
        if peer_watched.and(client_watched).is_err() {
            self.end_peer(number);
        }
    }

    /// Closes a peer's connection, and the client's that it is joined with, and tells of it.
    pub(crate) fn end_peer(&mut self, number: u64) {
        if let Some((sent_bytes, received_bytes)) = self.close_peer(number) {
            self.forwarder.shared.queue.push(Event::Ended {
                connection: number,
                sent_bytes,
                received_bytes,
            });
        }
    }

    /// The same, and nobody is told; returns the bytes sent and received.
    pub(crate) fn close_peer(&mut self, number: u64) -> Option<(u64, u64)> {
        let peer = self.peers.remove(number)?;
        if let Stage::Joined(client) = peer.stage {
            self.close(client);
        }
        Some((peer.sent_bytes, peer.received_bytes))
    }
}
