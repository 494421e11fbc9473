//! The owner's side of the worker: sockets are bound here, commands go in, events come out.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ferryman_dtls::{Credentials, Endpoint, Trouble};
use ferryman_flow::binding::Served;
use ferryman_flow::{gate, Discovery, Family};

use crate::certificate::Certificate;
use crate::counters::Counters;
use crate::inbox::{Command, Inbox, Order};
use crate::options::Outfit;
use crate::places::{Kind, Places};
use crate::queue::{Event, Queue};
use crate::relay::Parked;
use crate::tcp_relay_socket::ParkedTcp;
use crate::worker::Worker;

/// What an operator may choose anew at any time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// Whether every Binding answer carries FINGERPRINT.
    pub fingerprint: bool,
    /// Whether every Binding success carries MAPPED-ADDRESS beside XOR-MAPPED-ADDRESS.
    pub mapped_address: bool,
    /// Whether every Binding success carries SOFTWARE.
    pub software: bool,
    /// Whose Binding requests are answered.
    pub served: Served,
    /// How many connections may be open from one IPv4 address or IPv6 /64; 0 is no limit.
    pub source_connections: usize,
    /// How many connections may be open in all; 0 is no limit.
    pub total_connections: usize,
}

/// How a datapath begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may change later.
    pub choices: Choices,
    /// How many requests may wait for the engine.
    pub queue_limit: usize,
    /// How many TCP connections may be open without an allocation, and as many DTLS associations.
    pub pending_connections: usize,
    /// How long either may be open without an allocation.
    pub connection_timeout: Duration,
    /// How sockets for clients are made.
    pub listening: Outfit,
    /// How sockets for peers are made.
    pub relaying: Outfit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            choices: Choices::default(),
            queue_limit: 4096,
            pending_connections: 4096,
            connection_timeout: Duration::from_secs(60),
            listening: Outfit::default(),
            relaying: Outfit::default(),
        }
    }
}

/// What the worker and its owner both reach.
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) queue: Queue,
    pub(crate) parked: Parked,
    pub(crate) parked_tcp: ParkedTcp,
    pub(crate) counters: Counters,
    numbers: AtomicU64,
}

impl Shared {
    /// A number for a listener or a connection; never given twice.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

enum Stage {
    Built(Box<Worker>),
    Running(JoinHandle<()>),
    Stopped,
}

/// The datapath: one worker thread and what goes to and from it. All methods may be called from
/// any thread and none waits for the worker but `stop`.
pub struct Datapath {
    shared: Arc<Shared>,
    stage: Mutex<Stage>,
    places: Places,
}

impl Datapath {
    /// A datapath without sockets; nothing runs before `start`.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Inbox::new()?,
            queue: Queue::new(settings.queue_limit)?,
            parked: Parked::new(settings.relaying.clone()),
            parked_tcp: ParkedTcp::new(settings.relaying.clone()),
            counters: Counters::default(),
            numbers: AtomicU64::new(1),
        });
        let worker = Worker::new(Arc::clone(&shared), settings)?;
        Ok(Self {
            shared,
            stage: Mutex::new(Stage::Built(Box::new(worker))),
            places: Places::new(settings.listening.clone()),
        })
    }

    /// Binds a UDP socket for clients; returns its port. Bound to all addresses, it answers from
    /// the one that was asked.
    pub fn listen_udp(&self, address: SocketAddr) -> io::Result<u16> {
        let number = || self.shared.number();
        let listener = self.places.listener(address, number)?;
        let port = listener.port();
        self.shared.inbox.post([Order::Listen(listener)]);
        Ok(port)
    }

    /// Serves no new clients over UDP at an address. Those with an allocation or an association
    /// are served there until they have none; then the socket is closed.
    pub fn retire_udp(&self, address: SocketAddr) {
        self.places.leave(address, Kind::Datagrams);
        self.shared.inbox.post([Order::Retire(address)]);
    }

    /// Takes no more connections at an address; those that are open stay.
    pub fn retire_tcp(&self, address: SocketAddr) {
        self.places.leave(address, Kind::Streams);
        self.shared.inbox.post([Order::Unlisten(address)]);
    }

    /// Answers and admits in this way from now on. NAT behaviour discovery is offered no more,
    /// until it is offered again.
    pub fn choose(&self, choices: Choices) {
        self.shared.inbox.post([Order::Choose(choices)]);
    }

    /// Binds a TCP socket for clients, who may speak TLS as well once there is a certificate;
    /// returns its port.
    pub fn listen_tcp(&self, address: SocketAddr) -> io::Result<u16> {
        self.accept(address, true)
    }

    /// Binds a TCP socket for clients who speak TLS; returns its port.
    pub fn listen_tls(&self, address: SocketAddr) -> io::Result<u16> {
        self.accept(address, false)
    }

    /// Proves with this certificate who the server is, to all who connect from now on; may be
    /// called again at any time. Connections that stand keep what they have.
    pub fn use_certificate(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        let config = certificate.server_config()?;
        self.shared.inbox.post([Order::Secure(Some(config))]);
        Ok(())
    }

    /// Speaks no TLS with those who connect from now on.
    pub fn stop_tls(&self) {
        self.shared.inbox.post([Order::Secure(None)]);
    }

    /// Speaks no DTLS with those who come from now on.
    pub fn stop_dtls(&self) {
        self.shared.inbox.post([Order::ServeDtls(None)]);
    }

    fn accept(&self, address: SocketAddr, plain: bool) -> io::Result<u16> {
        let acceptor = self.places.acceptor(address, plain)?;
        let port = acceptor.port();
        self.shared.inbox.post([Order::Accept(acceptor)]);
        Ok(port)
    }

    /// Offers NAT behaviour discovery on listeners that are bound to these four addresses; what
    /// was offered for the same family before is forgotten. May be called at any time.
    pub fn offer_discovery(&self, discovery: Discovery) {
        self.shared.inbox.post([Order::Discover(discovery)]);
    }

    /// Offers NAT behaviour discovery over this family no more.
    pub fn withdraw_discovery(&self, family: Family) {
        self.shared.inbox.post([Order::Withdraw(family)]);
    }

    /// What strangers are told from now on without asking the engine (settings that `fit`); with
    /// none, the engine is asked about everything.
    pub fn guard(&self, settings: Option<gate::Settings>) {
        let guard = Order::Guard(Box::new(settings));
        self.shared.inbox.post([guard]);
    }

    /// Serves DTLS beside UDP at every listener, with this certificate for those who come from now
    /// on; may be called again at any time.
    pub fn serve_dtls(&self, credentials: &Credentials<'_>) -> Result<(), Trouble> {
        let endpoint = Endpoint::server(credentials)?;
        self.shared.inbox.post([Order::ServeDtls(Some(endpoint))]);
        Ok(())
    }

    /// Binds a relay socket ahead of need; `Change::Open` takes it.
    pub fn bind_relay(&self, address: SocketAddr) -> io::Result<()> {
        self.shared.parked.bind(address)
    }

    /// Closes a relay socket that nobody has taken.
    pub fn release_relay(&self, address: SocketAddr) {
        drop(self.shared.parked.take(address));
    }

    /// Binds a socket that peers connect to, for a `Command::OpenTcp` that names this address.
    pub fn bind_tcp_relay(&self, address: SocketAddr) -> io::Result<()> {
        self.shared.parked_tcp.bind(address)
    }

    /// Closes such a socket that nobody has taken.
    pub fn release_tcp_relay(&self, address: SocketAddr) {
        drop(self.shared.parked_tcp.take(address));
    }

    /// Starts the worker thread. Does nothing when it has been started before.
    pub fn start(&self) -> io::Result<()> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *stage, Stage::Stopped) {
            Stage::Built(worker) => {
                let thread = thread::Builder::new().name("ferryman-0".into());
                *stage = Stage::Running(thread.spawn(move || worker.run())?);
            }
            other => *stage = other,
        }
        Ok(())
    }

    /// The descriptor that is readable while `drain` has something.
    pub fn fd(&self) -> RawFd {
        self.shared.queue.bell.number()
    }

    /// Takes up to `limit` events, in order.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        let (events, room_wanted) = self.shared.queue.drain(limit);
        if room_wanted {
            self.shared.inbox.bell.ring();
        }
        events
    }

    /// Gives commands to the worker, which obeys them in order.
    pub fn apply(&self, commands: impl IntoIterator<Item = Command>) {
        self.shared
            .inbox
            .post(commands.into_iter().map(Order::Obey));
    }

    /// What has been counted so far, by name.
    pub fn counters(&self) -> Vec<(String, u64)> {
        self.shared.counters.read()
    }

    /// Lets the worker obey what it was told before, ends it, and closes every socket. Twice is
    /// fine.
    pub fn stop(&self) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *stage, Stage::Stopped);
        self.shared.inbox.stop();
        if let Stage::Running(thread) = last {
            // The worker does not panic: it aborts.
            let _ = thread.join();
        }
        self.shared.inbox.take();
        self.shared.parked.clear();
        self.shared.parked_tcp.clear();
    }
}

impl Drop for Datapath {
    fn drop(&mut self) {
        self.stop();
    }
}
