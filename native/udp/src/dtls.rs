//! The worker's dealings with DTLS over UDP (RFC 7350): records are told from STUN by their first
//! byte (RFC 7983), so that both come through the same listeners.

use std::net::{IpAddr, SocketAddr};

use ferryman_dtls::{Association, Endpoint, Gate, Heard, Knock, Refused, Trouble, LONGEST_MESSAGE};
use ferryman_flow::FiveTuple;

use crate::associations::{Associate, Associations, Stage};
use crate::batch_out::{BatchOut, Route};
use crate::clock;
use crate::counters::Counter;
use crate::effort::Effort;
use crate::forwarder::Taken;
use crate::queue::Event;
use crate::relay::Client;
use crate::slots::Piece;
use crate::worker::Worker;

/// How many handshakes begin in one turn at most: each costs a signature. The client of one that is
/// dropped repeats its ClientHello.
const BEGINNINGS: Effort = Effort::of(8);

/// DTLS of one worker.
pub(crate) struct Dtls {
    /// Certificate and key for those who come from now on; none: records are dropped.
    endpoint: Option<(Endpoint, Gate)>,
    pub(crate) associations: Associations,
    beginnings: Effort,
    scratch: Vec<u8>,
}

impl Dtls {
    pub(crate) fn new(associations: Associations) -> Self {
        Self {
            endpoint: None,
            associations,
            beginnings: BEGINNINGS,
            scratch: Vec::new(),
        }
    }

    /// Serves with this certificate from now on. Cookies outlive a change of it.
    pub(crate) fn serve(&mut self, endpoint: Endpoint, now: u64) -> Result<(), Trouble> {
        let gate = match self.endpoint.take() {
            Some((_, gate)) => gate,
            None => Gate::new(now)?,
        };
        self.endpoint = Some((endpoint, gate));
        Ok(())
    }

    /// Serves nobody new.
    pub(crate) fn stop(&mut self) {
        self.endpoint = None;
    }

    pub(crate) fn is_served(&self) -> bool {
        self.endpoint.is_some() || self.associations.len() > 0
    }

    /// A turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.beginnings = BEGINNINGS;
    }

    /// Encrypts a message that lies in parts; false when it is too long or its client gone.
    pub(crate) fn send(&mut self, number: u64, parts: [&[u8]; 3], out: &mut BatchOut) -> bool {
        let Some(associate) = self.associations.get_mut(number) else {
            return false;
        };
        self.scratch.clear();
        parts
            .iter()
            .for_each(|part| self.scratch.extend_from_slice(part));
        let sent = associate.association.send(&self.scratch);
        post(associate, out);
        sent
    }

    fn knock(&mut self, datagrams: &FiveTuple, datagram: &[u8], now: u64) -> Knock {
        match &mut self.endpoint {
            Some((endpoint, gate)) => {
                gate.knock_untrusted(endpoint, datagram, &address(datagrams), now)
            }
            None => Knock::Drop,
        }
    }

    /// An association for a client that has shown its cookie, if it may have one now. A cookie of
    /// DTLS 1.3 proves itself here, and one that does not costs nobody a beginning.
    fn accept(&mut self, datagrams: &FiveTuple, visit: &Visit<'_>) -> Result<Association, Refused> {
        let busy = || Refused::Unheard(Trouble("no handshake begins now".into()));
        let (endpoint, gate) = self.endpoint.as_mut().ok_or_else(busy)?;
        let since = clock::now();
        if !self.beginnings.has_room(since) {
            return Err(busy());
        }
        if visit.claims {
            let address = address(datagrams);
            let association = gate.admit(endpoint, visit.hello, &address, visit.now)?;
            self.beginnings.spend(since);
            return Ok(association);
        }
        self.beginnings.spend(since);
        Ok(Association::accept(endpoint, visit.hello)?)
    }
}

/// A ClientHello that brings a cookie.
struct Visit<'a> {
    hello: &'a [u8],
    /// The cookie is one of DTLS 1.3, which has proved nothing yet.
    claims: bool,
    now: u64,
}

impl Worker {
    /// A datagram of records; `datagrams` is its 5-tuple.
    pub(crate) fn take_records(&mut self, datagrams: &FiveTuple, packet: Piece) {
        if Gate::begins_handshake(self.slots.octets(packet)) {
            return self.take_hello(datagrams, packet);
        }
        match self.forwarder.dtls.associations.find(datagrams) {
            Some((number, _)) => self.hear(number, packet),
            None => self.unassociated(),
        }
    }

    fn take_hello(&mut self, datagrams: &FiveTuple, packet: Piece) {
        let (hello, now) = (self.slots.octets(packet), self.forwarder.now);
        match self.forwarder.dtls.knock(datagrams, hello, now) {
            Knock::AskBack(question) => {
                if let Some(Client::Datagrams(route)) = self.forwarder.client(datagrams) {
                    self.forwarder.out.push_copy(route, &question);
                    self.forwarder.shared.counters.add(Counter::AskedBack, 1);
                }
            }
            Knock::Open(cookie) => self.welcome(datagrams, packet, cookie, false),
            Knock::Claim(cookie) => self.welcome(datagrams, packet, cookie, true),
            Knock::Drop => self.unassociated(),
        }
    }

    /// A ClientHello with a good cookie, or one that claims to be: of the handshake that goes on, or
    /// of a new one, which takes the place of what was there (RFC 6347 §4.2.8).
    fn welcome(&mut self, datagrams: &FiveTuple, packet: Piece, cookie: [u8; 32], claims: bool) {
        let dtls = &mut self.forwarder.dtls;
        let before = dtls.associations.find(datagrams);
        let before = before.map(|(number, associate)| (number, associate.cookie == cookie));
        if let Some((number, true)) = before {
            return self.hear(number, packet);
        }
        let Some(Client::Datagrams(route)) = self.forwarder.client(datagrams) else {
            return;
        };
        let client = datagrams.client.ip();
        if let (None, Some(full)) = (before, self.forwarder.full(client)) {
            return self.turn_away(client, full);
        }
        let visit = Visit {
            hello: self.slots.octets(packet),
            claims,
            now: self.forwarder.now,
        };
        let association = match self.forwarder.dtls.accept(datagrams, &visit) {
            Ok(association) => association,
            Err(refused) => {
                if let Refused::BadCookie(alert) = refused {
                    self.forwarder.out.push_copy(route, &alert);
                }
                return self.unassociated();
            }
        };
        if let Some((number, _)) = before {
            self.end_association(number);
        }
        // Another worker may have taken the last one meanwhile.
        if let Err(full) = self.forwarder.enter(client, before.is_some()) {
            return self.turn_away(client, full);
        }
        self.begin(association, datagrams, route, cookie);
    }

    fn begin(
        &mut self,
        association: Association,
        datagrams: &FiveTuple,
        route: Route,
        cookie: [u8; 32],
    ) {
        let (number, now) = (self.forwarder.shared.number(), self.forwarder.now);
        let associate = Associate::new(association, number, *datagrams, route, cookie, now);
        self.forwarder.dtls.associations.insert(associate);
        let associations = &self.forwarder.dtls.associations;
        if let Some(oldest) = associations.crowded_out(datagrams.client.ip()) {
            self.end_association(oldest);
        }
        self.close_overdue_associations();
        self.read_association(number);
    }

    fn hear(&mut self, number: u64, packet: Piece) {
        let datagram = self.slots.octets(packet);
        let Some(associate) = self.forwarder.dtls.associations.get_mut(number) else {
            return;
        };
        if associate.is_one_too_many(datagram) {
            return self.unassociated();
        }
        associate.association.receive(datagram);
        self.read_association(number);
    }

    /// Takes every message that the last datagram brought, and sends what the handshake has to say.
    fn read_association(&mut self, number: u64) {
        let ended = loop {
            match self.next_message(number) {
                Heard::Message(length) => self.take_decrypted(number, length),
                Heard::Nothing => break false,
                Heard::End => break true,
            }
        };
        self.settle(number);
        if ended {
            self.end_association(number);
        }
    }

    fn next_message(&mut self, number: u64) -> Heard {
        if self.slots.stream_room(LONGEST_MESSAGE).is_none() {
            self.forwarder.send_out(&self.slots);
            self.slots.clear_streams();
        }
        let associate = self.forwarder.dtls.associations.get_mut(number);
        match (associate, self.slots.stream_room(LONGEST_MESSAGE)) {
            (Some(associate), Some(room)) => associate.association.poll(room),
            _ => Heard::Nothing,
        }
    }

    /// A message of so many bytes lies in the room that was given out last.
    fn take_decrypted(&mut self, number: u64, length: usize) {
        let message = self.slots.stream_keep(length);
        let Some(associate) = self.forwarder.dtls.associations.get_mut(number) else {
            return;
        };
        let five_tuple = associate.five_tuple;
        match self
            .forwarder
            .take_message(&self.slots, &five_tuple, message)
        {
            Taken::Done => {}
            Taken::Asked => self.note_asker(number),
            Taken::NoRoom => self.forwarder.shared.counters.add(Counter::QueueFull, 1),
        }
    }

    fn note_asker(&mut self, number: u64) {
        if let Some(associate) = self.forwarder.dtls.associations.get_mut(number) {
            associate.asked = true;
        }
    }

    fn settle(&mut self, number: u64) {
        let forwarder = &mut self.forwarder;
        if let Some(associate) = forwarder.dtls.associations.get_mut(number) {
            post(associate, &mut forwarder.out);
        }
        forwarder.dtls.associations.settle(number, forwarder.now);
    }

    /// Sends again what was not answered in time, and closes what has had its time.
    pub(crate) fn expire_associations(&mut self) {
        while let Some(number) = self.next_expired() {
            let associate = self.forwarder.dtls.associations.get_mut(number);
            let goes_on = associate.is_some_and(|associate| associate.association.expire());
            self.settle(number);
            if !goes_on {
                self.end_association(number);
            }
        }
        self.close_overdue_associations();
    }

    fn next_expired(&mut self) -> Option<u64> {
        let now = self.forwarder.now;
        self.forwarder.dtls.associations.take_expired(now)
    }

    fn close_overdue_associations(&mut self) {
        while let Some(number) = self.forwarder.dtls.associations.overdue(self.forwarder.now) {
            self.end_association(number);
        }
    }

    /// Ends an association; the engine hears of it when it has heard from it.
    fn end_association(&mut self, number: u64) {
        let Some(mut associate) = self.forwarder.dtls.associations.remove(number) else {
            return;
        };
        associate.association.close();
        post(&mut associate, &mut self.forwarder.out);
        if associate.asked || associate.stage == Stage::Owner {
            let five_tuple = associate.five_tuple;
            let queue = &self.forwarder.shared.queue;
            queue.push(Event::Disconnected { five_tuple });
        }
    }

    /// Says goodbye to everyone before the sockets are closed.
    pub(crate) fn end_associations(&mut self) {
        for number in self.forwarder.dtls.associations.numbers() {
            self.end_association(number);
        }
        self.forwarder.flush(&mut self.slots);
    }

    fn unassociated(&self) {
        self.forwarder.shared.counters.add(Counter::Unassociated, 1);
    }
}

fn post(associate: &mut Associate, out: &mut BatchOut) {
    let route = associate.route;
    associate
        .association
        .take_datagrams(|datagram| out.push_copy(route, datagram));
}

/// Both addresses in a form of one length.
fn address(five_tuple: &FiveTuple) -> [u8; 36] {
    let mut octets = [0; 36];
    for (address, place) in [(five_tuple.client, 0), (five_tuple.server, 18)] {
        octets[place..place + 16].copy_from_slice(&ip_octets(address));
        octets[place + 16..place + 18].copy_from_slice(&address.port().to_be_bytes());
    }
    octets
}

fn ip_octets(address: SocketAddr) -> [u8; 16] {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferryman_dtls::Credentials;
    use ferryman_flow::Transport;

    use super::*;

    fn endpoint() -> Endpoint {
        let chain = [include_bytes!("../../dtls/tests/keys/ecdsa.certificate.der").to_vec()];
        let credentials = Credentials {
            chain: &chain,
            key: include_bytes!("../../dtls/tests/keys/ecdsa.key.der"),
            ..Credentials::default()
        };
        Endpoint::server(&credentials).unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    /// A client's first ClientHello, and with the answer to that its second.
    fn hello(client: &mut Association) -> Vec<u8> {
        let mut hello = Vec::new();
        client.poll(&mut vec![0; LONGEST_MESSAGE]);
        client.take_datagrams(|datagram| hello = datagram.to_vec());
        hello
    }

    #[test]
    fn so_many_handshakes_begin_in_a_turn_and_as_many_in_the_next() {
        let census = Arc::default();
        let mut dtls = Dtls::new(Associations::new(9, 1, 9, &census));
        assert!(dtls.serve(endpoint(), 0).is_ok());
        let five_tuple = FiveTuple {
            transport: Transport::Udp,
            client: SocketAddr::from(([192, 0, 2, 1], 5000)),
            server: SocketAddr::from(([192, 0, 2, 2], 3478)),
            socket: 1,
        };
        let client = Endpoint::trusting_client().and_then(|all| Association::connect(&all, b""));
        let mut client = client.unwrap_or_else(|trouble| panic!("{trouble}"));
        let first = hello(&mut client);
        let Knock::AskBack(question) = dtls.knock(&five_tuple, &first, 0) else {
            panic!("a stranger is asked");
        };
        client.receive(&question);
        let second = hello(&mut client);
        let visit = Visit {
            hello: &second,
            claims: false,
            now: 0,
        };
        for most in [3, 1, 5] {
            dtls.begin_turn();
            // Nothing is measured here but the number.
            dtls.beginnings = Effort::of(most);
            let begun = (0..20).filter(|_| dtls.accept(&five_tuple, &visit).is_ok());
            assert!((1..=most as usize).contains(&begun.count()));
        }
        dtls.begin_turn();
        assert!(dtls.accept(&five_tuple, &visit).is_ok());
    }
}
