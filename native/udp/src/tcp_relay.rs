//! The worker's dealings with peers over TCP (RFC 6062 §5.2, §5.3): allocations open and close,
//! peers are connected to and accepted.
//!
//! What becomes of the bytes is told in `join`.

use std::net::SocketAddr;

use ferryman_flow::{Change, TcpAllocation};

use crate::clock::SECOND;
use crate::counters::Counter;
use crate::peer_stream::{PeerStream, Stage};
use crate::poller::{Interest, Ready, Token};
use crate::queue::{Asker, Event, Offered};
use crate::tcp_relay_socket::{connect_from, Arrived};
use crate::worker::Worker;

/// How many peers are accepted at one socket in one turn.
const ACCEPTS: usize = 64;
/// How long sockets rest when the process has no descriptor left.
const REST: u64 = SECOND / 10;

impl Worker {
    /// Opens a TCP allocation on the socket that was bound for it; peers may connect from now on.
    pub(crate) fn open_tcp(&mut self, number: u64, allocation: TcpAllocation) {
        let (bound, control) = (allocation.bound, allocation.five_tuple.socket);
        let Some(socket) = self.forwarder.shared.crew.parked_tcp.take(bound) else {
            return self.tell(
                "no socket was bound ahead for a relayed address",
                &bound.to_string(),
            );
        };
        if !self.peers.allocations.open(number, allocation) {
            return;
        }
        let watched = self
            .poller
            .add(&socket, Token::TcpRelay(number), Interest::READ);
        self.peers.sockets.insert(number, socket);
        self.forwarder.connections.own(control);
        self.tell_failure("a relay socket is deaf", watched);
    }

    /// Obeys a change to a TCP allocation; false when it is about no such one.
    pub(crate) fn change_tcp(&mut self, change: Change) -> bool {
        let now = self.forwarder.now;
        let allocations = &mut self.peers.allocations;
        match change {
            Change::Extend {
                allocation,
                expires_at,
            } if allocations.contains(allocation) => allocations.extend(allocation, expires_at),
            Change::Permit {
                allocation,
                peer_ip,
                relayed_only,
                expires_at,
            } if allocations.contains(allocation) => {
                allocations.permit(allocation, peer_ip, relayed_only, expires_at, now);
            }
            Change::Close { allocation } => return self.close_tcp(allocation),
            _ => return false,
        }
        true
    }

    fn close_tcp(&mut self, number: u64) -> bool {
        let Some(allocation) = self.peers.allocations.close(number) else {
            return false;
        };
        self.peers.sockets.remove(&number);
        let connections: Vec<_> = self.peers.of(number).collect();
        for connection in connections {
            self.close_peer(connection);
        }
        let control = allocation.five_tuple.socket;
        self.forwarder
            .connections
            .disown(control, self.forwarder.now);
        self.forwarder.shared.queue.push(Event::Closed {
            allocation: number,
            usage: allocation.usage,
        });
        true
    }

    /// Begins to connect; whether it succeeds is told in any case.
    pub(crate) fn connect(
        &mut self,
        connection: u64,
        allocation: u64,
        peer: SocketAddr,
        relayed_only: bool,
    ) {
        let stream = self.begin_connecting(connection, allocation, peer, relayed_only);
        match stream {
            Some(stream) => self.peers.insert(connection, stream),
            None => self.tell_connected(connection, false),
        }
    }

    fn begin_connecting(
        &mut self,
        connection: u64,
        allocation: u64,
        peer: SocketAddr,
        relayed_only: bool,
    ) -> Option<PeerStream> {
        let now = self.forwarder.now;
        let allocations = &mut self.peers.allocations;
        let to = allocations.destination(allocation, peer, relayed_only, now);
        let bound = allocations.live_mut(allocation, now)?.bound;
        let outfit = &self.forwarder.shared.crew.parked_tcp.outfit;
        let stream = connect_from(bound, to.ok()?, outfit).ok()?;
        let mut stream = PeerStream::new(stream, allocation, Stage::Connecting);
        stream.interest = Interest::WRITE;
        let token = Token::Peer(connection);
        self.poller.add(&stream, token, stream.interest).ok()?;
        Some(stream)
    }

    /// Something has happened to a peer's connection.
    pub(crate) fn serve_peer(&mut self, number: u64, ready: Ready) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        match peer.stage {
            Stage::Connecting => self.finish_connecting(number),
            // Nothing is asked for but that the peer is gone.
            Stage::Pending => self.end_peer(number),
            Stage::Joined(client) => self.serve_joined(number, client, ready),
        }
    }

    fn finish_connecting(&mut self, number: u64) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let succeeded = peer.has_connected();
        if succeeded {
            peer.stage = Stage::Pending;
            peer.interest = Interest::NONE;
            // Only that the peer is gone is told from now on.
            let _ = self
                .poller
                .change(&*peer, Token::Peer(number), Interest::NONE);
        } else {
            self.peers.remove(number);
        }
        self.tell_connected(number, succeeded);
    }

    fn tell_connected(&mut self, connection: u64, succeeded: bool) {
        self.forwarder.shared.queue.push(Event::Connected {
            connection,
            succeeded,
        });
    }

    /// Accepts the peers that wait at a relayed address.
    pub(crate) fn accept_peers(&mut self, allocation: u64) {
        for _ in 0..ACCEPTS {
            let Some(socket) = self.peers.sockets.get(&allocation) else {
                return;
            };
            match socket.accept() {
                Arrived::Peer(stream, source) => {
                    let stream = PeerStream::new(stream, allocation, Stage::Pending);
                    self.admit_peer(stream, source);
                }
                Arrived::Useless => {}
                Arrived::Nothing => return,
                Arrived::Exhausted => return self.rest_tcp(allocation),
            }
        }
    }

    /// Tells the engine of a permitted peer; any other connection is closed by dropping it.
    fn admit_peer(&mut self, stream: PeerStream, source: SocketAddr) {
        let allocation = stream.allocation;
        let now = self.forwarder.now;
        let peer = match self.peers.allocations.arrival(allocation, source, now) {
            Ok(peer) => peer,
            Err(reason) => return self.forwarder.shared.counters.drop_for(reason),
        };
        if !self.peers.has_room(allocation) {
            return self.forwarder.shared.counters.add(Counter::PeersTooMany, 1);
        }
        let connection = self.peers.arrival_number();
        let token = Token::Peer(connection);
        if self.poller.add(&stream, token, stream.interest).is_err() {
            return;
        }
        let arrived = || Event::Arrived {
            allocation,
            peer,
            connection,
        };
        // A peer may come and go as often as it likes: what it can fill is limited.
        let offered = self.forwarder.shared.queue.offer(Asker::Stream, arrived);
        if offered == Offered::NoRoom {
            return self.forwarder.shared.counters.add(Counter::PeersTooMany, 1);
        }
        self.peers.insert(connection, stream);
    }

    fn rest_tcp(&mut self, allocation: u64) {
        self.tell("no file descriptor left", "peers over TCP have to wait");
        if let Some(socket) = self.peers.sockets.get(&allocation) {
            let token = Token::TcpRelay(allocation);
            let _ = self.poller.change(socket, token, Interest::NONE);
            self.peers.resting.push(allocation);
            let at = self.forwarder.now + REST;
            self.peers.resume_at.get_or_insert(at);
        }
    }

    /// Wakes the sockets that have rested.
    pub(crate) fn resume_tcp_relays(&mut self) {
        if self
            .peers
            .resume_at
            .is_none_or(|at| at > self.forwarder.now)
        {
            return;
        }
        self.peers.resume_at = None;
        for allocation in std::mem::take(&mut self.peers.resting) {
            if let Some(socket) = self.peers.sockets.get(&allocation) {
                let token = Token::TcpRelay(allocation);
                let _ = self.poller.change(socket, token, Interest::READ);
            }
        }
    }
}
