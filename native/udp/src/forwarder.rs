//! Obeys the table's verdicts: what arrives is sent on, answered, asked about or dropped.
//!
//! Does not know how packets arrive, nor when the turn ends.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ferryman_flow::binding::Served;
use ferryman_flow::{
    binding, gate, write_header, write_icmp, FiveTuple, Framing, FromClient, FromPeer, Reason,
    Rerouted, Slot, Source, Table, TransactionIds, Transport, HEADROOM, ICMP_LENGTH, TAILROOM,
};

use crate::batch_out::{BatchOut, Route, Via};
use crate::connections::Connections;
use crate::counters::Counter;
use crate::crew::Shared;
use crate::dtls::Dtls;
use crate::error_queue::Trouble;
use crate::inbox::Order;
use crate::limits::{Full, Limits};
use crate::listener::Listener;
use crate::parcels::{Label, Parcels};
use crate::queue::{Asker, Event, Offered};
use crate::relay::{Client, Elsewhere, Relay};
use crate::sightings::Sightings;
use crate::slots::{Arrival, Piece, Slots};

/// What became of a client's packet, as far as a stream must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Done,
    /// It went to the engine.
    Asked,
    /// It should go to the engine, which has no room.
    NoRoom,
}

/// Everything that a packet can lead to.
pub(crate) struct Forwarder {
    pub(crate) table: Table,
    pub(crate) listeners: Vec<Option<Listener>>,
    pub(crate) relays: Vec<Option<Relay>>,
    pub(crate) connections: Connections,
    pub(crate) dtls: Dtls,
    /// How many of both may be open from now on; those that are stay.
    pub(crate) limits: Limits,
    pub(crate) sightings: Sightings,
    pub(crate) shared: Arc<Shared>,
    /// What is for other workers, by their numbers.
    pub(crate) parcels: Vec<Parcels>,
    pub(crate) out: BatchOut,
    pub(crate) transaction_ids: TransactionIds,
    pub(crate) binding: binding::Settings,
    pub(crate) gate: gate::Gate,
    /// The instant of this turn, ns.
    pub(crate) now: u64,
}

impl Forwarder {
    /// Why there is no room for one more connection or association from this address, at this
    /// moment.
    pub(crate) fn full(&self, client: IpAddr) -> Option<Full> {
        self.shared
            .crew
            .census
            .full(Source::of(client), self.limits)
    }

    /// Makes room for one more, or tells why there is none; one that takes the place of another has
    /// room in any case.
    pub(crate) fn enter(&self, client: IpAddr, replaces: bool) -> Result<(), Full> {
        let limits = if replaces {
            Limits::default()
        } else {
            self.limits
        };
        self.shared.crew.census.enter(Source::of(client), limits)
    }

    /// Makes room for one more connection of a front end, whose clients are yet to be told apart.
    pub(crate) fn enter_front(&self, front: IpAddr) -> Result<(), Full> {
        let limits = self.limits.of_all();
        self.shared.crew.census.enter(Source::of(front), limits)
    }

    /// A datagram from a client, which is one message.
    pub(crate) fn take_from_client(
        &mut self,
        slots: &Slots,
        five_tuple: &FiveTuple,
        packet: Piece,
    ) {
        if self.take_message(slots, five_tuple, packet) == Taken::NoRoom {
            self.shared.counters.add(Counter::QueueFull, 1);
        }
    }

    /// A datagram, or a train of them, from a peer.
    pub(crate) fn take_from_peers(&mut self, slots: &Slots, slot: Slot, arrival: Arrival) {
        for packet in arrival.datagrams() {
            self.shared.counters.add(Counter::PeerPackets, 1);
            match self
                .table
                .from_peer(slot, arrival.from, packet.length(), self.now)
            {
                FromPeer::ToClient { framing } => {
                    self.pass_to_client(slots, slot, framing, arrival.from, packet);
                }
                FromPeer::Drop(reason) => self.shared.counters.drop_for(reason),
            }
        }
    }

    /// An ICMP error about a datagram that left through a relay socket of `slot`.
    pub(crate) fn take_from_network(&mut self, slot: Slot, trouble: Trouble) {
        self.shared.counters.add(Counter::IcmpErrors, 1);
        let Trouble { peer, icmp, .. } = trouble;
        if let Err(reason) = self.table.from_network(slot, peer, icmp, self.now) {
            return self.shared.counters.drop_for(reason);
        }
        let mut message = [0; ICMP_LENGTH];
        let length = write_icmp(peer, icmp, self.transaction_ids.draw(), &mut message);
        let message = &message[..length];
        let relay = self.relays.get(slot.index()).and_then(Option::as_ref);
        let Some(client) = relay.map(|relay| relay.client) else {
            return;
        };
        self.send_parts(client, [message, &[], &[]]);
    }

    /// One message from a client.
    pub(crate) fn take_message(
        &mut self,
        slots: &Slots,
        five_tuple: &FiveTuple,
        packet: Piece,
    ) -> Taken {
        let octets = slots.octets(packet);
        if let Some((slot, peer, payload)) = self.table.again(five_tuple, octets, self.now) {
            self.out.push(slot, peer, packet.part(payload), false);
            return Taken::Done;
        }
        let verdict = self
            .table
            .from_client(five_tuple, slots.octets(packet), self.now);
        if let Some(moved) = self.table.take_moved() {
            self.tell_moved(moved);
        }
        match verdict {
            FromClient::ToPeer {
                slot,
                peer,
                payload,
                dont_fragment,
            } => {
                self.out
                    .push(slot, &peer, packet.part(payload), dont_fragment);
            }
            FromClient::HandOver {
                to,
                source,
                framing,
                payload,
            } => {
                self.pass_to_client(slots, to, framing, source, packet.part(payload));
            }
            FromClient::PassOn {
                worker,
                to,
                source,
                payload,
            } => {
                let payload = slots.octets(packet.part(payload));
                let label = Label::Relayed { to, source };
                self.send_over(worker.into(), label, [payload, &[], &[]]);
            }
            FromClient::Stray { home } => {
                let label = Label::FromClient(*five_tuple);
                self.send_over(home.into(), label, [slots.octets(packet), &[], &[]]);
            }
            FromClient::Answer => match self.binding.served {
                Served::Everyone => self.answer(five_tuple, slots.octets(packet)),
                Served::Proved => return self.ask(five_tuple, slots.octets(packet)),
                Served::Nobody => self.shared.counters.drop_for(Reason::NotServed),
            },
            FromClient::Ask => return self.ask(five_tuple, slots.octets(packet)),
            FromClient::Drop(Reason::NotTurn)
                if self.answer_classic(five_tuple, slots.octets(packet)) => {}
            FromClient::Drop(reason) => self.drop(five_tuple, reason, slots.octets(packet)),
        }
        Taken::Done
    }

    /// One message to a client; for a connection that is gone it is dropped.
    pub(crate) fn reply(&mut self, five_tuple: &FiveTuple, message: &[u8]) {
        match self.client(five_tuple) {
            Some(Client::Datagrams(route)) => self.out.push_copy(route, message),
            Some(Client::Stream(number)) => self.connections.reply(number, message),
            Some(Client::Association(number)) => {
                self.dtls.send(number, [message, &[], &[]], &mut self.out);
            }
            // Replies go to the worker that was asked.
            Some(Client::Elsewhere(_)) | None => {}
        }
    }

    /// How the client of a 5-tuple is reached. Datagrams leave through this worker's own socket at
    /// the address, whichever worker has heard the client.
    pub(crate) fn client(&self, five_tuple: &FiveTuple) -> Option<Client> {
        let (transport, number) = (five_tuple.transport, five_tuple.socket);
        let elsewhere = self.shared.other_worker_of(number);
        match (transport, elsewhere) {
            (Transport::Udp, _) => {}
            (_, Some(worker)) => {
                let (worker, is_stream) = (worker as u16, transport.is_stream());
                return Some(Client::Elsewhere(Elsewhere {
                    worker,
                    is_stream,
                    number,
                }));
            }
            (Transport::Tcp | Transport::Tls, None) => return Some(Client::Stream(number)),
            (Transport::Dtls, None) => return Some(Client::Association(number)),
        }
        let mut listeners = self.listeners.iter().enumerate();
        listeners.find_map(|(place, listener)| {
            let listener = listener.as_ref()?;
            self.shared
                .crew
                .are_fellows(listener.number, number)
                .then(|| {
                    Client::Datagrams(Route {
                        via: Via::Listener(place as u32),
                        to: five_tuple.client,
                        source: listener.source(five_tuple.server),
                    })
                })
        })
    }

    /// Whether a client over UDP has an allocation or an association.
    pub(crate) fn knows(&self, five_tuple: &FiveTuple) -> bool {
        self.table.slot_of_client(five_tuple).is_some()
            || self.dtls.associations.find(five_tuple).is_some()
    }

    /// Sends to the client of an allocation over the path that it has now.
    pub(crate) fn reroute(&mut self, rerouted: Rerouted) {
        let client = self.client(&rerouted.five_tuple);
        let relay = self.relays.get_mut(rerouted.slot.index());
        if let (Some(Some(relay)), Some(client)) = (relay, client) {
            relay.client = client;
        }
        self.disown(rerouted.left);
    }

    /// A client's connection is a path to an allocation from now on.
    pub(crate) fn own(&mut self, client: Client) {
        match client {
            Client::Stream(number) => self.connections.own(number),
            Client::Association(number) => self.dtls.associations.own(number),
            Client::Datagrams(_) | Client::Elsewhere(_) => {}
        }
    }

    /// A path leads to an allocation of this worker from now on.
    pub(crate) fn own_path(&mut self, path: FiveTuple) {
        let home = self.shared.worker;
        match self.shared.other_worker_of(path.socket) {
            Some(worker) => self.shared.crew.post(worker, Order::Host { path, home }),
            None => {
                if let Some(client) = self.client(&path) {
                    self.own(client);
                }
            }
        }
    }

    /// What was a path to an allocation is one no longer.
    pub(crate) fn disown(&mut self, path: Option<FiveTuple>) {
        let Some(path) = path else {
            return;
        };
        match self.client(&path) {
            _ if self.give_up(path) => {}
            Some(Client::Stream(number)) => self.connections.disown(number, self.now),
            Some(Client::Association(number)) => {
                self.dtls.associations.disown(number, self.now);
            }
            Some(Client::Datagrams(_) | Client::Elsewhere(_)) | None => {}
        }
    }

    /// A path of another worker's leads here no more; false when it is this one's.
    pub(crate) fn give_up(&self, path: FiveTuple) -> bool {
        let worker = self.shared.other_worker_of(path.socket);
        if let Some(worker) = worker {
            let home = self.shared.worker;
            self.shared.crew.post(worker, Order::Unhost { path, home });
        }
        worker.is_some()
    }

    #[cold]
    fn tell_moved(&mut self, moved: Rerouted) {
        self.reroute(moved);
        self.shared.queue.push(Event::Moved {
            allocation: moved.allocation,
            five_tuple: moved.five_tuple,
        });
    }

    /// Sends what has been collected for datagram sockets and forgets what has arrived.
    pub(crate) fn flush(&mut self, slots: &mut Slots) {
        self.send_out(slots);
        slots.clear();
    }

    /// Sends what has been collected for datagram sockets and for other workers.
    pub(crate) fn send_out(&mut self, slots: &Slots) {
        self.send_parcels();
        if !self.out.is_empty() {
            let (listeners, relays) = (&self.listeners, &self.relays);
            let sent = self.out.flush(slots, |via| socket(listeners, relays, via));
            self.shared.counters.add_sent(sent);
        }
    }

    pub(crate) fn pass_to_client(
        &mut self,
        slots: &Slots,
        slot: Slot,
        framing: Framing,
        peer: SocketAddr,
        payload: Piece,
    ) {
        let relay = self.relays.get(slot.index()).and_then(Option::as_ref);
        let Some(relay) = relay else {
            return self.shared.counters.drop_for(Reason::NoAllocation);
        };
        let transaction_id = match framing {
            Framing::Data => self.transaction_ids.draw(),
            Framing::Channel(_) => [0; 12],
        };
        let length = payload.length();
        let write = |transport, headroom: &mut [u8], tailroom: &mut [u8]| {
            write_header(
                framing,
                transport,
                peer,
                length,
                transaction_id,
                headroom,
                tailroom,
            )
        };
        let transport = match relay.client {
            Client::Datagrams(route) => {
                return self.out.push_headed(route, payload, |headroom| {
                    write(Transport::Udp, headroom, &mut [0; TAILROOM])
                });
            }
            Client::Association(_) => Transport::Dtls,
            Client::Elsewhere(path) => path.transport(),
            Client::Stream(_) => Transport::Tcp,
        };
        let (mut headroom, mut tailroom) = ([0; HEADROOM], [0; TAILROOM]);
        let (head, padding) = write(transport, &mut headroom, &mut tailroom);
        let head = &headroom[HEADROOM - head..];
        let client = relay.client;
        self.send_parts(client, [head, slots.octets(payload), &tailroom[..padding]]);
    }

    /// One relayed message to a client.
    fn send_parts(&mut self, client: Client, parts: [&[u8]; 3]) {
        match client {
            Client::Datagrams(route) => self.out.push_copy(route, &parts.concat()),
            Client::Association(number) => {
                if !self.dtls.send(number, parts, &mut self.out) {
                    self.shared.counters.drop_for(Reason::TooLong);
                }
            }
            Client::Elsewhere(path) => self.send_over(path.worker.into(), path.label(), parts),
            Client::Stream(number) => {
                if !self.connections.relay(number, parts) {
                    self.shared.counters.add(Counter::Backlog, 1);
                }
            }
        }
    }

    fn answer(&mut self, five_tuple: &FiveTuple, request: &[u8]) {
        let mut answer = [0; binding::ANSWER_LIMIT];
        let Some(written) = binding::answer(request, five_tuple, &self.binding, &mut answer) else {
            return self.drop(five_tuple, Reason::Malformed, request);
        };
        self.shared.counters.add(Counter::Answered, 1);
        self.sightings.binding(five_tuple, self.now, &self.shared);
        let message = &answer[..written.length];
        if (written.from, written.to) == (five_tuple.server, five_tuple.client) {
            self.reply(five_tuple, message);
        } else {
            self.send_from(written.from, written.to, message);
        }
    }

    /// Whether this was a Binding request of RFC 3489, and has been answered.
    fn answer_classic(&mut self, five_tuple: &FiveTuple, request: &[u8]) -> bool {
        let binding = &self.binding;
        let wanted = binding.rfc3489 && binding.served == Served::Everyone;
        if !wanted || five_tuple.transport != Transport::Udp {
            return false;
        }
        let mut answer = [0; binding::ANSWER_LIMIT];
        let Some(length) = binding::answer_classic(request, five_tuple, &mut answer) else {
            return false;
        };
        self.shared.counters.add(Counter::Answered, 1);
        self.sightings.binding(five_tuple, self.now, &self.shared);
        self.reply(five_tuple, &answer[..length]);
        true
    }

    /// One datagram from an address that a listener is bound to.
    fn send_from(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        let mut listeners = self.listeners.iter();
        let is_there = |listener: &Option<Listener>| {
            let listener = listener.as_ref();
            listener.is_some_and(|listener| listener.is_bound_to(from))
        };
        match listeners.position(is_there) {
            Some(place) => {
                let via = Via::Listener(place as u32);
                let source = None;
                self.out.push_copy(Route { via, to, source }, message);
            }
            None => self.shared.counters.add(Counter::Unanswerable, 1),
        }
    }

    /// A request that needs a decision, unless the gate can tell what becomes of it.
    fn ask(&mut self, five_tuple: &FiveTuple, request: &[u8]) -> Taken {
        let mut answer = [0; gate::ANSWER_LIMIT];
        match self.gate.judge(request, five_tuple, self.now, &mut answer) {
            gate::Judged::Ask => return self.ask_engine(five_tuple, request),
            gate::Judged::Answer(length) => {
                self.shared.counters.add(Counter::Challenged, 1);
                self.reply(five_tuple, &answer[..length]);
            }
            gate::Judged::Drop(reason) => self.drop(five_tuple, reason, request),
        }
        Taken::Done
    }

    fn ask_engine(&mut self, five_tuple: &FiveTuple, request: &[u8]) -> Taken {
        let asker = self.asker(five_tuple);
        match self.shared.queue.offer(asker, || Event::Request {
            five_tuple: *five_tuple,
            message: request.to_vec(),
        }) {
            Offered::Taken => {}
            Offered::InPlaceOfAnother => self.shared.counters.add(Counter::QueueFull, 1),
            Offered::NoRoom => return Taken::NoRoom,
        }
        self.shared.counters.add(Counter::Asked, 1);
        Taken::Asked
    }

    fn asker(&self, five_tuple: &FiveTuple) -> Asker {
        let source = Source::of(five_tuple.client.ip());
        match five_tuple.transport {
            Transport::Tcp | Transport::Tls => Asker::Stream,
            _ if self.table.leads_somewhere(five_tuple) => Asker::Client(source),
            Transport::Dtls => Asker::Association(source),
            Transport::Udp => Asker::Stranger(source),
        }
    }
}

fn socket<'s>(
    listeners: &'s [Option<Listener>],
    relays: &'s [Option<Relay>],
    via: Via,
) -> Option<BorrowedFd<'s>> {
    match via {
        Via::Listener(place) => listeners.get(place as usize)?.as_ref().map(AsFd::as_fd),
        Via::Relay(place) => {
            let relay = relays.get(place.slot())?.as_ref()?;
            relay.socket(place.family())
        }
    }
}
