//! What the worker is told to do, in order.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ferryman_dtls::Endpoint;
use ferryman_flow::{gate, Change, Discovery, Family, FiveTuple, Offload};
use rustls::ServerConfig;

use crate::acceptor::Acceptor;
use crate::bell::Bell;
use crate::connection::Connection;
use crate::datapath::Choices;
use crate::listener::Listener;
use crate::parcels::Parcels;

/// A command to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send these bytes to a client; silently dropped when its connection is gone.
    Reply {
        /// Which client.
        five_tuple: FiveTuple,
        /// One STUN message.
        message: Vec<u8>,
    },
    /// Change the flow table and the relay sockets with it; or a TCP allocation.
    Change(Change),
    /// Make `bound` the relayed address of a TCP allocation (RFC 6062 §5.1).
    OpenTcp {
        /// The engine's number for the allocation; never used twice.
        allocation: u64,
        /// Whose allocation it is.
        five_tuple: FiveTuple,
        /// The address of the socket that peers connect to.
        bound: SocketAddr,
        /// `bound`, or the external address that stands for it.
        advertised: SocketAddr,
        /// The instant from which the allocation is dead, ns.
        expires_at: u64,
        /// Bytes per second that may pass in each direction; 0 is no limit.
        bytes_per_second: u64,
    },
    /// Connect from a TCP allocation's relayed address to a peer; `Event::Connected` answers.
    Connect {
        /// The engine's number for the connection, below 2^32; never used twice.
        connection: u64,
        /// From whose relayed address.
        allocation: u64,
        /// Where to.
        peer: SocketAddr,
        /// Only to a live TCP relayed address of this server.
        relayed_only: bool,
    },
    /// Join a peer's connection with a client's.
    Join {
        /// The peer's.
        connection: u64,
        /// The client's.
        five_tuple: FiveTuple,
    },
    /// Close a peer's connection, and the client's that it is joined with.
    CloseConnection {
        /// Which one.
        connection: u64,
    },
}

/// Anything that reaches the worker.
pub(crate) enum Order {
    Obey(Command),
    Listen(Listener),
    Accept(Acceptor),
    /// Serve no new clients at this address over UDP, or over TCP.
    Retire(SocketAddr),
    Unlisten(SocketAddr),
    Discover(Discovery),
    /// Answer and admit in this way from now on; discovery is offered no more.
    Choose(Arc<Choices>),
    /// Offer discovery over this family no more.
    Withdraw(Family),
    /// Tell strangers this without asking the engine.
    Guard(Box<Option<gate::Settings>>),
    /// Speak TLS in this way with those who connect from now on.
    Secure(Option<Arc<ServerConfig>>),
    /// Speak DTLS with those who come from now on, or with none of them.
    ServeDtls(Option<Endpoint>),
    /// Hand channels out that are bound from now on.
    Offload(Box<dyn Offload>),
    /// What comes over this path is for the allocation of another worker, `home`, from now on.
    Host {
        path: FiveTuple,
        home: usize,
    },
    /// The path does not lead to `home` any more.
    Unhost {
        path: FiveTuple,
        home: usize,
    },
    /// Some other worker relays from this IP.
    Inside(IpAddr),
    /// Give this client's connection, once it has its reply, to the worker that has this peer's.
    Lead {
        five_tuple: FiveTuple,
        connection: u64,
        home: usize,
    },
    /// Join a client's connection, which was another worker's, with this peer's.
    Adopt(Box<Connection>, u64),
    /// The client that was to be joined with this peer's connection has gone.
    Widow(u64),
    #[cfg(test)]
    Fail,
}

/// Orders on their way to the worker.
pub(crate) struct Inbox {
    orders: Mutex<Vec<Order>>,
    parcels: Mutex<Parcels>,
    stopped: AtomicBool,
    pub(crate) bell: Bell,
}

impl Inbox {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            orders: Mutex::default(),
            parcels: Mutex::default(),
            stopped: AtomicBool::new(false),
            bell: Bell::new()?,
        })
    }

    /// Appends orders; the worker is woken when it may be asleep. After `stop` they are dropped.
    pub(crate) fn post(&self, orders: impl IntoIterator<Item = Order>) {
        if self.is_stopped() {
            return;
        }
        let mut waiting = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = waiting.is_empty();
        waiting.extend(orders);
        let ring = was_empty && !waiting.is_empty();
        drop(waiting);
        if ring {
            self.bell.ring();
        }
    }

    /// Takes everything. A ring that is cleared must be cleared before this call.
    pub(crate) fn take(&self) -> Vec<Order> {
        mem::take(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends what another worker has, of which nothing is left; returns how many were taken and how
    /// many had no room.
    pub(crate) fn send(&self, parcels: &mut Parcels) -> (usize, usize) {
        let mut waiting = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = waiting.is_empty();
        let sent = waiting.append(parcels);
        drop(waiting);
        if was_empty {
            self.bell.ring();
        }
        sent
    }

    /// Takes all parcels into an empty `room`. Orders that were posted before one of them was sent
    /// are in the next `take`, if that comes after.
    pub(crate) fn take_parcels(&self, room: &mut Parcels) {
        let mut waiting = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut *waiting, room);
    }

    /// The worker ends after what is in the inbox now.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}
