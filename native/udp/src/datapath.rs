//! The owner's side of the workers: sockets are bound here, commands go in, events come out.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ferryman_dtls::{Credentials, Endpoint, Trouble};
use ferryman_flow::binding::Served;
use ferryman_flow::{gate, Discovery, Family};
use ferryman_xdp::{Attached, Mode, Program, Trouble as XdpTrouble};

use crate::acceptor::{Acceptor, Fronts, Speech};
use crate::bell::Bell;
use crate::certificate::Certificate;
use crate::counters::Counters;
use crate::crew::{Crew, Shared};
use crate::inbox::{Command, Inbox, Order};
use crate::listener::Listener;
use crate::options::Outfit;
use crate::places::{Kind, Places};
use crate::queue::{self, Event, Queue};
use crate::router::Router;
use crate::worker::Worker;

/// What an operator may choose anew at any time.
#[derive(Clone, Debug, Default)]
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
    /// Whether HTTP on a port of TURN is told that it is not spoken.
    pub respond_http_unsupported: bool,
    /// Where ACME's challenges are sent on to: what stands before the token; empty for nowhere.
    pub acme_redirect: String,
    /// Whether Binding requests that are answered are told of, some of them.
    pub log_binding: bool,
    /// Whether Binding requests of RFC 3489 are answered.
    pub rfc3489: bool,
    /// Whether packets of clients that are none of ours are told of, some of them.
    pub log_invalid: bool,
}

/// How a datapath begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may change later.
    pub choices: Choices,
    /// How many worker threads there are; 0: as many as there are processors for this process.
    pub workers: usize,
    /// How many requests may wait for the engine; each worker has its share.
    pub queue_limit: usize,
    /// How many TCP connections may be open without an allocation, and a quarter of that of DTLS
    /// associations, for each takes some 130 KiB; each worker has its share.
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
            workers: 1,
            queue_limit: 4096,
            pending_connections: 4096,
            connection_timeout: Duration::from_secs(60),
            listening: Outfit::default(),
            relaying: Outfit::default(),
        }
    }
}

/// With more workers than this, each has a larger share of the queue than its own.
const LEAST_QUEUE: usize = 256;
/// No machine needs more; threads are not free.
const MOST_WORKERS: usize = 128;

impl Settings {
    fn workers(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = NonZeroUsize::new(self.workers).map_or_else(cores, NonZeroUsize::get);
        wanted.min(MOST_WORKERS)
    }

    /// What one of so many workers begins with.
    fn share(&self, workers: usize) -> Self {
        let least = self.queue_limit.min(LEAST_QUEUE);
        Self {
            queue_limit: self.queue_limit.div_ceil(workers).max(least),
            pending_connections: self.pending_connections.div_ceil(workers),
            ..self.clone()
        }
    }
}

enum Stage {
    Built(Vec<Worker>),
    Running(Vec<JoinHandle<()>>),
    Stopped,
}

/// The datapath: worker threads and what goes to and from them. All methods may be called from
/// any thread and none waits for a worker but `stop`.
pub struct Datapath {
    crew: Arc<Crew>,
    desks: Vec<Arc<Shared>>,
    bell: Arc<Bell>,
    router: Mutex<Router>,
    /// How often events were taken.
    turns: AtomicUsize,
    stage: Mutex<Stage>,
    places: Places,
    program: Mutex<Option<Program>>,
}

impl Datapath {
    /// A datapath without sockets; nothing runs before `start`.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let crew = Arc::new(Crew::new(settings.workers(), settings.relaying.clone())?);
        let share = settings.share(crew.count());
        let bell = Arc::new(Bell::new()?);
        let desks = (0..crew.count()).map(|worker| Shared {
            worker,
            queue: Queue::new(share.queue_limit, Arc::clone(&bell)),
            counters: Counters::default(),
            crew: Arc::clone(&crew),
        });
        let desks: Vec<_> = desks.map(Arc::new).collect();
        let workers = desks
            .iter()
            .map(|desk| Worker::new(Arc::clone(desk), &share));
        Ok(Self {
            stage: Mutex::new(Stage::Built(workers.collect::<io::Result<_>>()?)),
            crew,
            desks,
            bell,
            router: Mutex::default(),
            turns: AtomicUsize::new(0),
            places: Places::new(settings.listening.clone()),
            program: Mutex::default(),
        })
    }

    /// Makes a worker panic.
    #[cfg(test)]
    pub(crate) fn fail(&self, worker: usize) {
        self.crew.post(worker, Order::Fail);
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.crew.count()
    }

    /// Tells all workers the same.
    fn post(&self, order: impl Fn(usize) -> Order) {
        for (worker, inbox) in self.crew.inboxes.iter().enumerate() {
            inbox.post([order(worker)]);
        }
    }

    /// Binds a UDP socket for clients, for each worker; returns its port. Bound to all addresses, it
    /// answers from the one that was asked.
    pub fn listen_udp(&self, address: SocketAddr) -> io::Result<u16> {
        let (sockets, serial) = self.places.datagrams(address, &self.crew)?;
        self.post(|worker| {
            let number = self.crew.number(serial, worker);
            Order::Listen(Listener::of(Arc::clone(&sockets), worker, number))
        });
        Ok(sockets.address().port())
    }

    /// Serves no new clients over UDP at an address. Those with an allocation or an association
    /// are served there until they have none; then the socket is closed.
    pub fn retire_udp(&self, address: SocketAddr) {
        self.places.leave(address, Kind::Datagrams);
        self.post(|_| Order::Retire(address));
    }

    /// Takes no more connections at an address; those that are open stay.
    pub fn retire_tcp(&self, address: SocketAddr) {
        self.places.leave(address, Kind::Streams);
        self.post(|_| Order::Unlisten(address));
    }

    /// Answers and admits in this way from now on. NAT behaviour discovery is offered no more,
    /// until it is offered again.
    pub fn choose(&self, choices: Choices) {
        let choices = Arc::new(choices);
        self.post(|_| Order::Choose(Arc::clone(&choices)));
    }

    /// Binds a TCP socket for clients, for each worker, who may speak TLS as well once there is a certificate;
    /// returns its port.
    pub fn listen_tcp(&self, address: SocketAddr) -> io::Result<u16> {
        self.accept(address, true, None)
    }

    /// Binds a TCP socket for clients who speak TLS; returns its port.
    pub fn listen_tls(&self, address: SocketAddr) -> io::Result<u16> {
        self.accept(address, false, None)
    }

    /// Binds a TCP socket for front ends, who say with the PROXY protocol who their clients are;
    /// returns its port. The clients speak as at `listen_tcp`, or without `plain` as at `listen_tls`.
    pub fn listen_fronts(
        &self,
        address: SocketAddr,
        fronts: Fronts,
        plain: bool,
    ) -> io::Result<u16> {
        self.accept(address, plain, Some(Arc::new(fronts)))
    }

    /// Proves with this certificate who the server is, to all who connect from now on; may be
    /// called again at any time. Connections that stand keep what they have.
    pub fn use_certificate(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        let config = certificate.server_config()?;
        self.post(|_| Order::Secure(Some(Arc::clone(&config))));
        Ok(())
    }

    /// Speaks no TLS with those who connect from now on.
    pub fn stop_tls(&self) {
        self.post(|_| Order::Secure(None));
    }

    /// Speaks no DTLS with those who come from now on.
    pub fn stop_dtls(&self) {
        self.post(|_| Order::ServeDtls(None));
    }

    fn accept(
        &self,
        address: SocketAddr,
        plain: bool,
        fronts: Option<Arc<Fronts>>,
    ) -> io::Result<u16> {
        let sockets = self.places.streams(address, &self.crew)?;
        let speech = Speech { plain, fronts };
        self.post(|worker| {
            Order::Accept(Acceptor::of(Arc::clone(&sockets), worker, speech.clone()))
        });
        Ok(sockets.address().port())
    }

    /// Offers NAT behaviour discovery on listeners that are bound to these four addresses; what
    /// was offered for the same family before is forgotten. May be called at any time.
    pub fn offer_discovery(&self, discovery: Discovery) {
        self.post(|_| Order::Discover(discovery));
    }

    /// Offers NAT behaviour discovery over this family no more.
    pub fn withdraw_discovery(&self, family: Family) {
        self.post(|_| Order::Withdraw(family));
    }

    /// What strangers are told from now on without asking the engine (settings that `fit`); with
    /// none, the engine is asked about everything.
    pub fn guard(&self, settings: Option<gate::Settings>) {
        let settings = settings.map(|mut settings| {
            // Whoever is flooded sends from many ports, and they are spread over all workers.
            settings.per_second = settings.per_second.div_ceil(self.workers() as u64);
            settings
        });
        self.post(|_| Order::Guard(Box::new(settings.clone())));
    }

    /// Serves DTLS beside UDP at every listener, with this certificate for those who come from now
    /// on; may be called again at any time. Returns why DTLS 1.3 is not spoken, if it is not.
    pub fn serve_dtls(&self, credentials: &Credentials<'_>) -> Result<Option<Trouble>, Trouble> {
        let endpoint = Endpoint::server(credentials)?;
        self.post(|_| Order::ServeDtls(Some(endpoint.clone())));
        Ok(endpoint.lacks_13().cloned())
    }

    /// Has the kernel forward the channels that are bound from now on, on these interfaces; returns
    /// how they run the program: in the first of these modes that all of them take. When they take
    /// none, all is as it was. Once is enough.
    pub fn offload(&self, interfaces: &[String], modes: &[Mode]) -> Result<Attached, XdpTrouble> {
        let mut program = Program::load()?;
        let attached = program.attach(interfaces, modes)?;
        self.post(|_| Order::Offload(program.offload()));
        *self.program() = Some(program);
        Ok(attached)
    }

    fn program(&self) -> MutexGuard<'_, Option<Program>> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds a relay socket ahead of need; `Change::Open` takes it.
    pub fn bind_relay(&self, address: SocketAddr) -> io::Result<()> {
        self.crew.parked.bind(address)
    }

    /// Closes a relay socket that nobody has taken.
    pub fn release_relay(&self, address: SocketAddr) {
        drop(self.crew.parked.take(address));
    }

    /// Binds a socket that peers connect to, for a `Command::OpenTcp` that names this address.
    pub fn bind_tcp_relay(&self, address: SocketAddr) -> io::Result<()> {
        self.crew.parked_tcp.bind(address)
    }

    /// Closes such a socket that nobody has taken.
    pub fn release_tcp_relay(&self, address: SocketAddr) {
        drop(self.crew.parked_tcp.take(address));
    }

    /// Starts the worker threads: all, or none. Does nothing when they have been started before.
    pub fn start(&self) -> io::Result<()> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *stage, Stage::Stopped) {
            Stage::Built(workers) => {
                let mut threads = Vec::new();
                for (number, worker) in workers.into_iter().enumerate() {
                    match spawn(number, worker) {
                        Ok(thread) => threads.push(thread),
                        Err(error) => {
                            self.end(threads);
                            return Err(error);
                        }
                    }
                }
                *stage = Stage::Running(threads);
            }
            other => *stage = other,
        }
        Ok(())
    }

    /// The descriptor that is readable while `drain` has something.
    pub fn fd(&self) -> RawFd {
        self.bell.number()
    }

    /// Takes up to `limit` events: of each worker in order, and of all of them in turn.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        let queues: Vec<_> = self.desks.iter().map(|desk| &desk.queue).collect();
        let first = self.turns.fetch_add(1, Ordering::Relaxed);
        let (events, wanted) = queue::drain(&queues, limit, first % queues.len());
        for worker in wanted {
            self.crew.inboxes[worker].bell.ring();
        }
        if self.workers() > 1 {
            let mut router = self.router();
            events.iter().for_each(|event| router.note(event));
        }
        events
    }

    /// Gives commands to the workers; those for one client are obeyed in order.
    pub fn apply(&self, commands: impl IntoIterator<Item = Command>) {
        if let [only] = &self.crew.inboxes[..] {
            return only.post(commands.into_iter().map(Order::Obey));
        }
        self.router().post(commands, &self.crew);
    }

    fn router(&self) -> MutexGuard<'_, Router> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been counted so far, by name.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut total = self.desks[0].counters.read();
        for desk in &self.desks[1..] {
            for (sum, (_, count)) in total.iter_mut().zip(desk.counters.read()) {
                sum.1 += count;
            }
        }
        if let Some(program) = &*self.program() {
            let verdicts = program.verdicts().into_iter();
            total.extend(verdicts.map(|(name, count)| (format!("xdp_{name}"), count)));
        }
        total
    }

    /// The same for each worker.
    pub fn worker_counters(&self) -> Vec<Vec<(String, u64)>> {
        let desks = self.desks.iter();
        desks.map(|desk| desk.counters.read()).collect()
    }

    /// Lets the workers obey what they were told before, ends them, and closes every socket. Twice
    /// is fine.
    pub fn stop(&self) {
        // Off the interfaces before the sockets are closed; the worker still reads what it counted.
        drop(self.program().take());
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *stage, Stage::Stopped);
        self.end(match last {
            Stage::Running(threads) => threads,
            Stage::Built(_) | Stage::Stopped => Vec::new(),
        });
    }

    fn end(&self, threads: Vec<JoinHandle<()>>) {
        self.crew.inboxes.iter().for_each(Inbox::stop);
        for thread in threads {
            // A worker does not panic: it aborts.
            let _ = thread.join();
        }
        for inbox in &self.crew.inboxes {
            inbox.take();
        }
        self.crew.parked.clear();
        self.crew.parked_tcp.clear();
    }
}

fn spawn(number: usize, worker: Worker) -> io::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(format!("ferryman-{number}"));
    thread.spawn(move || worker.run())
}

impl Drop for Datapath {
    fn drop(&mut self) {
        self.stop();
    }
}
