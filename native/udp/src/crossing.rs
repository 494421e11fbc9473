//! The worker's dealings with other workers: parcels come and go, paths of clients lead from one to
//! another (RFC 8016), and a client's connection goes to the worker that has its peer (RFC 6062).

use ferryman_flow::{FiveTuple, FromPeer};

use crate::connection::{Connection, Leading};
use crate::counters::Counter;
use crate::forwarder::{Forwarder, Taken};
use crate::inbox::Order;
use crate::parcels::{Label, Parcels};
use crate::poller::{Interest, Token};
use crate::slots::{Piece, Slots};
use crate::worker::Worker;

impl Worker {
    /// What other workers have sent.
    pub(crate) fn take_parcels(&mut self, parcels: &Parcels) {
        for (label, octets) in parcels.iter() {
            let Some(piece) = self.keep(octets) else {
                self.forwarder.shared.counters.add(Counter::NoRoom, 1);
                continue;
            };
            self.forwarder.take_parcel(&self.slots, label, piece);
        }
    }

    /// Puts octets where those of streams are.
    fn keep(&mut self, octets: &[u8]) -> Option<Piece> {
        if self.slots.stream_room(octets.len()).is_none() {
            self.forwarder.flush(&mut self.slots);
        }
        let room = self.slots.stream_room(octets.len())?;
        room.copy_from_slice(octets);
        Some(self.slots.stream_keep(octets.len()))
    }

    /// A path is another worker's from now on; its connection is not pending any more.
    pub(crate) fn host(&mut self, path: FiveTuple, home: usize) {
        self.forwarder.table.host(path, home as u16);
        if let Some(client) = self.forwarder.client(&path) {
            self.forwarder.own(client);
        }
    }

    pub(crate) fn unhost(&mut self, path: FiveTuple, home: usize) {
        self.forwarder.table.unhost(&path, home as u16);
        // The client may have an allocation here by now, or one of a third worker's.
        if !self.forwarder.table.leads_somewhere(&path) {
            self.forwarder.disown(Some(path));
        }
    }

    /// A client has bound a connection of another worker's: it goes there when it has its reply.
    pub(crate) fn lead(&mut self, client: u64, leading: Leading) {
        match self.forwarder.connections.get_mut(client) {
            Some(connection) => connection.leading = Some(leading),
            None => {
                let crew = &self.forwarder.shared.crew;
                crew.post(leading.home, Order::Widow(leading.peer));
            }
        }
    }

    /// A connection that is led to another worker has got its reply.
    pub(crate) fn hand_on(&mut self, client: u64) {
        let connections = &mut self.forwarder.connections;
        let connection = connections.get_mut(client);
        let Some(Leading { home, peer }) = connection.and_then(|it| it.leading.take()) else {
            return;
        };
        if let Some(mut connection) = connections.give_away(client) {
            let _ = self.poller.remove(&connection);
            connection.dirty = false;
            let order = Order::Adopt(Box::new(connection), peer);
            self.forwarder.shared.crew.post(home, order);
        }
    }

    /// A client's connection comes from another worker, with its reply, to be joined with a peer's.
    pub(crate) fn adopt(&mut self, mut connection: Connection, peer: u64) {
        let five_tuple = connection.five_tuple;
        let client = five_tuple.socket;
        let token = Token::Connection(client);
        let watched = self.poller.add(&connection, token, Interest::READ);
        connection.interest = Interest::READ;
        self.forwarder
            .connections
            .take_over(connection, self.forwarder.now);
        if watched.is_err() {
            self.forwarder.connections.doom(client);
            return self.end_peer(peer);
        }
        self.join(peer, &five_tuple);
        self.forwarder.connections.touch(client);
    }
}

impl Forwarder {
    fn take_parcel(&mut self, slots: &Slots, label: Label, piece: Piece) {
        match label {
            Label::Relayed { to, source } => {
                let length = piece.length();
                match self.table.from_relay(to, source, length, self.now) {
                    (Some(slot), FromPeer::ToClient { framing }) => {
                        self.pass_to_client(slots, slot, framing, source, piece);
                    }
                    (_, FromPeer::Drop(reason)) => self.shared.counters.drop_for(reason),
                    (None, FromPeer::ToClient { .. }) => {}
                }
            }
            Label::FromClient(five_tuple) => {
                // Requests are the business of the worker that the client speaks to.
                let taken = self.take_message(slots, &five_tuple, piece);
                debug_assert_eq!(taken, Taken::Done);
            }
            Label::ToClient { number, is_stream } => {
                let parts = [slots.octets(piece), &[], &[]];
                let sent = if is_stream {
                    self.connections.relay(number, parts)
                } else {
                    self.dtls.send(number, parts, &mut self.out)
                };
                if !sent {
                    self.shared.counters.add(Counter::Backlog, 1);
                }
            }
        }
    }

    /// Sends something to another worker, at the end of this turn.
    pub(crate) fn send_over(&mut self, worker: usize, label: Label, parts: [&[u8]; 3]) {
        self.parcels[worker].push(label, parts);
    }

    /// Hands over what has been collected for other workers.
    pub(crate) fn send_parcels(&mut self) {
        for (inbox, parcels) in self.shared.crew.inboxes.iter().zip(&mut self.parcels) {
            if !parcels.is_empty() {
                let (taken, lost) = inbox.send(parcels);
                self.shared.counters.add(Counter::Crossed, taken as u64);
                self.shared.counters.add(Counter::NoRoom, lost as u64);
            }
        }
    }
}
