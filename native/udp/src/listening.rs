//! Listeners come and go while the worker runs: one that is given up serves the clients that it
//! has until they are gone.

use std::net::SocketAddr;

use ferryman_flow::{FiveTuple, Transport};

use crate::acceptor::Acceptor;
use crate::batch_out::Via;
use crate::clock::SECOND;
use crate::datapath::Choices;
use crate::http::Http;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::poller::{Interest, Token};
use crate::worker::Worker;

impl Worker {
    /// A new listener, or one that had been given up: then it serves everybody again.
    pub(crate) fn add_listener(&mut self, listener: Listener) {
        let listeners = &mut self.forwarder.listeners;
        let known = listeners
            .iter_mut()
            .flatten()
            .find(|known| known.number == listener.number);
        if let Some(known) = known {
            known.is_retired = false;
            return;
        }
        let place = free_place(listeners);
        let token = Token::Listener(place as u32);
        let watched = self.poller.add(&listener, token, Interest::READ);
        self.forwarder.listeners[place] = Some(listener);
        self.tell_failure("a listener is deaf", watched);
    }

    pub(crate) fn add_acceptor(&mut self, acceptor: Acceptor) {
        let place = free_place(&mut self.acceptors);
        let token = Token::Acceptor(place as u32);
        let watched = self.poller.add(&acceptor, token, Interest::READ);
        self.acceptors[place] = Some(acceptor);
        self.tell_failure("a listener is deaf", watched);
    }

    /// A listener is given up. It stays for a second at least: what waits for the engine now may
    /// become an allocation.
    pub(crate) fn retire(&mut self, address: SocketAddr) {
        let mut listeners = self.forwarder.listeners.iter_mut().flatten();
        if let Some(listener) = listeners.find(|listener| listener.is_bound_to(address)) {
            listener.is_retired = true;
            self.retired_until = Some(self.forwarder.now + SECOND);
        }
    }

    /// The socket is closed even where its owner holds it for a moment.
    pub(crate) fn unlisten(&mut self, address: SocketAddr) {
        for place in &mut self.acceptors {
            if let Some(acceptor) = place.take_if(|acceptor| acceptor.address() == address) {
                let _ = self.poller.remove(&acceptor);
            }
        }
    }

    pub(crate) fn choose(&mut self, choices: &Choices) {
        let binding = &mut self.forwarder.binding;
        binding.fingerprint = choices.fingerprint;
        binding.mapped_address = choices.mapped_address;
        binding.software = choices.software;
        binding.served = choices.served;
        binding.rfc3489 = choices.rfc3489;
        binding.discovery.clear();
        self.forwarder.limits = Limits::from(choices);
        self.forwarder.sightings.want(choices);
        self.http = Http::from(choices);
    }

    /// Once a second while there are any: closes the retired listeners that have no client left.
    pub(crate) fn close_retired(&mut self) {
        let now = self.forwarder.now;
        if self.retired_until.is_none_or(|until| until > now) {
            return;
        }
        let used = self.used_listeners();
        let mut are_left = false;
        for (place, found) in self.forwarder.listeners.iter_mut().enumerate() {
            let Some(listener) = found.take_if(|listener| listener.is_retired) else {
                continue;
            };
            if used.contains(&(place, listener.number)) {
                *found = Some(listener);
                are_left = true;
            } else {
                let _ = self.poller.remove(&listener);
            }
        }
        self.retired_until = are_left.then_some(now + SECOND);
    }

    /// Place and number of the retired listeners that somebody needs.
    fn used_listeners(&self) -> Vec<(usize, u64)> {
        let forwarder = &self.forwarder;
        let listeners = forwarder.listeners.iter().enumerate();
        let retired = listeners.filter_map(|(place, listener)| {
            let listener = listener.as_ref().filter(|listener| listener.is_retired)?;
            Some((place, listener.number))
        });
        let is_used = |(place, number): &(usize, u64)| {
            let is_path = |path: &FiveTuple| {
                let crew = &forwarder.shared.crew;
                path.transport == Transport::Udp && crew.are_fellows(path.socket, *number)
            };
            let via = Via::Listener(*place as u32);
            forwarder.table.paths().any(is_path) || forwarder.dtls.associations.any_via(via)
        };
        retired.filter(is_used).collect()
    }
}

fn free_place<T>(places: &mut Vec<Option<T>>) -> usize {
    let free = places.iter().position(Option::is_none);
    free.unwrap_or_else(|| {
        places.push(None);
        places.len() - 1
    })
}
