//! What leaves through datagram sockets in this turn: collected first, then sent socket by socket.
//!
//! Headers lie here, payloads stay where they were received: nothing is copied together.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use ferryman_flow::{Family, Slot, HEADROOM};

use crate::options::unfragmented;
use crate::post::{Post, Sent};
use crate::relay::RelayPlace;
use crate::slots::{Piece, Slots};

/// Which socket a datagram leaves through; datagrams of one socket keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    /// A listener, by its place.
    Listener(u32),
    /// A relay socket.
    Relay(RelayPlace),
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) via: Via,
    pub(crate) to: SocketAddr,
    /// The address it leaves from, where the socket is bound to all.
    pub(crate) source: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Outgoing {
    /// Which of the routes it takes.
    route: u32,
    /// Where its header lies in `heads`: start and length.
    head: (u32, u32),
    body: Piece,
    padding: u8,
    dont_fragment: bool,
}

/// A datagram as its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) route: &'a Route,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) padding: &'static [u8],
}

impl<'a> Datagram<'a> {
    pub(crate) fn length(&self) -> usize {
        self.head.len() + self.body.len() + self.padding.len()
    }

    pub(crate) fn push_onto(&self, parts: &mut Vec<IoSlice<'a>>) {
        for part in [self.head, self.body, self.padding] {
            if !part.is_empty() {
                parts.push(IoSlice::new(part));
            }
        }
    }
}

/// The datagrams of a flush, by their number.
#[derive(Clone, Copy)]
pub(crate) struct Datagrams<'a> {
    items: &'a [Outgoing],
    routes: &'a [Route],
    heads: &'a [u8],
    slots: &'a Slots,
}

impl<'a> Datagrams<'a> {
    pub(crate) fn get(&self, index: u32) -> Datagram<'a> {
        const PADDING: &[u8] = &[0; 4];
        let item = &self.items[index as usize];
        Datagram {
            route: &self.routes[item.route as usize],
            head: &self.heads[item.head.0 as usize..][..item.head.1 as usize],
            body: self.slots.octets(item.body),
            padding: &PADDING[..usize::from(item.padding)],
        }
    }
}

/// Datagrams to be sent.
pub(crate) struct BatchOut {
    items: Vec<Outgoing>,
    /// Datagrams that follow each other on one route share it.
    routes: Vec<Route>,
    heads: Vec<u8>,
    order: Vec<u32>,
    post: Post,
}

impl BatchOut {
    pub(crate) fn new(post: Post) -> Self {
        Self {
            items: Vec::new(),
            routes: Vec::new(),
            heads: Vec::new(),
            order: Vec::new(),
            post,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// A datagram whose bytes are copied.
    pub(crate) fn push_copy(&mut self, route: Route, octets: &[u8]) {
        let head = (self.heads.len() as u32, octets.len() as u32);
        let route = self.number(route.via, &route.to, route.source);
        self.heads.extend_from_slice(octets);
        self.items.push(Outgoing {
            route,
            head,
            body: Piece::default(),
            padding: 0,
            dont_fragment: false,
        });
    }

    /// A datagram to a peer that is a piece of what was received.
    pub(crate) fn push(&mut self, slot: Slot, to: &SocketAddr, body: Piece, dont_fragment: bool) {
        let via = Via::Relay(RelayPlace::new(slot, Family::of(to.ip())));
        let route = self.number(via, to, None);
        self.items.push(Outgoing {
            route,
            head: (0, 0),
            body,
            padding: 0,
            dont_fragment,
        });
    }

    fn number(&mut self, via: Via, to: &SocketAddr, source: Option<IpAddr>) -> u32 {
        let is_last = |last: &Route| last.via == via && last.to == *to && last.source == source;
        if !self.routes.last().is_some_and(is_last) {
            let to = *to;
            self.routes.push(Route { via, to, source });
        }
        self.routes.len() as u32 - 1
    }

    /// A datagram with a header before the piece; `write` gets `HEADROOM` bytes, fills them from
    /// the end and returns the lengths of header and padding.
    pub(crate) fn push_headed(
        &mut self,
        route: Route,
        body: Piece,
        write: impl FnOnce(&mut [u8]) -> (usize, usize),
    ) {
        let start = self.heads.len();
        self.heads.resize(start + HEADROOM, 0);
        let (length, padding) = write(&mut self.heads[start..]);
        let head = ((start + HEADROOM - length) as u32, length as u32);
        let route = self.number(route.via, &route.to, route.source);
        self.items.push(Outgoing {
            route,
            head,
            body,
            padding: padding as u8,
            dont_fragment: false,
        });
    }

    /// Sends everything and forgets it. A socket that is gone counts as refusing.
    pub(crate) fn flush<'s>(
        &mut self,
        slots: &Slots,
        socket: impl Fn(Via) -> Option<BorrowedFd<'s>>,
    ) -> Sent {
        let via = |index: u32| self.routes[self.items[index as usize].route as usize].via;
        self.order.clear();
        self.order.extend(0..self.items.len() as u32);
        if !self.order.is_sorted_by_key(|index| via(*index)) {
            // In order of numbers within a socket. What came together stands together already, and
            // this sort makes use of it.
            self.order.sort_by_key(|index| via(*index));
        }
        let datagrams = Datagrams {
            items: &self.items,
            routes: &self.routes,
            heads: &self.heads,
            slots,
        };
        let mut total = Sent::default();
        let way = |index: u32| (via(index), self.items[index as usize].dont_fragment);
        for group in self.order.chunk_by(|one, next| way(*one) == way(*next)) {
            let (via, dont_fragment) = way(group[0]);
            total += match (socket(via), via) {
                (Some(socket), Via::Relay(place)) if dont_fragment => {
                    let send = || self.post.send(socket, datagrams, group);
                    let sent = unfragmented(socket, place.family(), send);
                    sent.unwrap_or_else(|_| Sent::refused(group.len()))
                }
                (Some(socket), _) => self.post.send(socket, datagrams, group),
                (None, _) => Sent::refused(group.len()),
            };
        }
        self.items.clear();
        self.routes.clear();
        self.heads.clear();
        total
    }
}
