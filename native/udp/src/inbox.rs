//! What the worker is told to do, in order.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ferryman_dtls::Endpoint;
use ferryman_flow::{Change, Discovery, FiveTuple};
use rustls::ServerConfig;

use crate::acceptor::Acceptor;
use crate::bell::Bell;
use crate::listener::Listener;

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
    /// Change the flow table and the relay sockets with it.
    Change(Change),
}

/// Anything that reaches the worker.
pub(crate) enum Order {
    Obey(Command),
    Listen(Listener),
    Accept(Acceptor),
    Discover(Discovery),
    /// Speak TLS in this way with those who connect from now on.
    Secure(Arc<ServerConfig>),
    ServeDtls(Endpoint),
}

/// Orders on their way to the worker.
pub(crate) struct Inbox {
    orders: Mutex<Vec<Order>>,
    stopped: AtomicBool,
    pub(crate) bell: Bell,
}

impl Inbox {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            orders: Mutex::default(),
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

    /// The worker ends after what is in the inbox now.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}
