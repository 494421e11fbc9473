//! A datapath on loopback sockets with clients and peers around it, and a hand that plays the
//! engine.
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod dtls;
pub(crate) mod tls;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use ferryman_flow::{Change, FiveTuple};
use ferryman_udp::{Command, Datapath, Event, Settings};
use rustix::event::{poll, PollFd, PollFlags, Timespec};

/// How long anything may take before a test fails; nothing waits so long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const LOCALHOST: &str = "127.0.0.1";

pub(crate) struct Rig {
    pub(crate) datapath: Datapath,
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default(), LOCALHOST, LOCALHOST)
    }

    pub(crate) fn of(settings: Settings) -> Self {
        Self::with(settings, LOCALHOST, LOCALHOST)
    }

    /// With one worker whatever the other tests have: for what is counted by worker.
    pub(crate) fn alone(settings: Settings) -> Self {
        Self::begin(settings, LOCALHOST, LOCALHOST)
    }

    /// Listens at `ip`; `host` is where clients find it.
    pub(crate) fn with(settings: Settings, ip: &str, host: &str) -> Self {
        let settings = Settings {
            workers: workers(),
            ..settings
        };
        Self::begin(settings, ip, host)
    }

    pub(crate) fn begin(settings: Settings, ip: &str, host: &str) -> Self {
        let datapath = Datapath::new(&settings).unwrap();
        let any = address(ip, 0);
        let udp = datapath.listen_udp(any).unwrap();
        let tcp = datapath.listen_tcp(any).unwrap();
        datapath.start().unwrap();
        Self {
            datapath,
            udp: address(host, udp),
            tcp: address(host, tcp),
        }
    }

    /// The next event.
    pub(crate) fn event(&self) -> Event {
        // SAFETY: the descriptor is open for as long as the datapath, which outlives this call.
        let bell = unsafe { BorrowedFd::borrow_raw(self.datapath.fd()) };
        let patience = Timespec {
            tv_sec: PATIENCE.as_secs() as _,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(ready, 1, "no event came");
        self.datapath
            .drain(1)
            .pop()
            .expect("the bell rang for nothing")
    }

    /// The 5-tuple of the next request.
    pub(crate) fn asked(&self) -> FiveTuple {
        match self.event() {
            Event::Request { five_tuple, .. } => five_tuple,
            other => panic!("{other:?}"),
        }
    }

    /// Binds a relay socket and opens an allocation on it; returns its relayed address.
    pub(crate) fn open(&self, allocation: u64, five_tuple: FiveTuple) -> SocketAddr {
        let bound = self.bind_relay(five_tuple.server.ip());
        self.change(open(allocation, five_tuple, bound));
        bound
    }

    /// Binds a relay socket to any port of an IP.
    pub(crate) fn bind_relay(&self, ip: IpAddr) -> SocketAddr {
        // Another test may take a port that was free a moment ago.
        std::iter::repeat_with(|| free_address(ip))
            .take(100)
            .find(|bound| self.datapath.bind_relay(*bound).is_ok())
            .expect("no free port")
    }

    /// Gives an allocation a second relayed address.
    pub(crate) fn add_relayed(&self, allocation: u64, ip: &str) -> SocketAddr {
        let bound = self.bind_relay(ip.parse().unwrap());
        self.change(Change::AddRelayed {
            allocation,
            bound,
            advertised: bound,
            expires_at: NEVER,
        });
        bound
    }

    pub(crate) fn change(&self, change: Change) {
        self.datapath.apply([Command::Change(change)]);
    }

    pub(crate) fn permit(&self, allocation: u64, peer: SocketAddr) {
        self.change(permit(allocation, peer.ip()));
    }

    pub(crate) fn bind_channel(&self, allocation: u64, number: u16, peer: SocketAddr) {
        self.permit(allocation, peer);
        self.change(bind_channel(allocation, number, peer));
    }

    pub(crate) fn reply(&self, five_tuple: FiveTuple, message: &[u8]) {
        self.datapath.apply([Command::Reply {
            five_tuple,
            message: message.to_vec(),
        }]);
    }

    pub(crate) fn close(&self, allocation: u64) -> ferryman_flow::Usage {
        self.change(Change::Close { allocation });
        match self.event() {
            Event::Closed {
                allocation: closed,
                usage,
            } => {
                assert_eq!(closed, allocation);
                usage
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let counters = self.datapath.counters();
        let found = counters.iter().find(|(counter, _)| counter == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// A UDP client with an allocation (opened through the listener, as a real one is).
    pub(crate) fn udp_client(&self, allocation: u64) -> Client<UdpSocket> {
        let socket = udp_socket(&self.udp.ip().to_string());
        socket.connect(self.udp).unwrap();
        socket.send(&request(ALLOCATE)).unwrap();
        let five_tuple = self.asked();
        let relayed = self.open(allocation, five_tuple);
        let client = Client {
            socket,
            five_tuple,
            relayed,
        };
        self.reply(five_tuple, b"opened");
        assert_eq!(client.receive(), b"opened");
        client
    }

    /// The same over TCP.
    pub(crate) fn tcp_client(&self, allocation: u64) -> Client<TcpStream> {
        let mut socket = self.connect();
        socket.write_all(&request(ALLOCATE)).unwrap();
        let five_tuple = self.asked();
        let relayed = self.open(allocation, five_tuple);
        self.reply(five_tuple, b"opened");
        let mut opened = [0; 6];
        socket.read_exact(&mut opened).unwrap();
        assert_eq!(&opened, b"opened");
        Client {
            socket,
            five_tuple,
            relayed,
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.tcp).unwrap())
    }

    /// A TCP connection from this IP.
    pub(crate) fn connect_from(&self, ip: &str) -> TcpStream {
        let source = address(ip, 0);
        let domain = socket2::Domain::for_address(source);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        socket.bind(&source.into()).unwrap();
        socket.connect(&self.tcp.into()).unwrap();
        patient(socket.into())
    }

    /// Asks every worker for a Binding over UDP; panics unless it is answered. Returns how often it
    /// has asked.
    pub(crate) fn is_alive(&self) -> u64 {
        let before = self.of_workers("answered");
        for count in 1.. {
            let socket = udp_socket(&self.udp.ip().to_string());
            let asked = request(BINDING);
            socket.send_to(&asked, self.udp).unwrap();
            assert!(answers(&receive(&socket), &asked));
            let now = self.of_workers("answered");
            if now.iter().zip(&before).all(|(now, before)| now > before) {
                return count;
            }
        }
        unreachable!("the kernel chooses every worker");
    }

    /// A counter of each worker.
    pub(crate) fn of_workers(&self, name: &str) -> Vec<u64> {
        let all = self.datapath.worker_counters();
        let counts = all.into_iter().map(|counters| {
            let found = counters.into_iter().find(|(counter, _)| counter == name);
            found.unwrap_or_else(|| panic!("no counter {name}")).1
        });
        counts.collect()
    }
}

/// How many workers there are, for tests that do not care: `make test` runs them with two as well.
pub(crate) fn workers() -> usize {
    let wanted = std::env::var("FERRYMAN_TEST_WORKERS");
    wanted.map_or(1, |count| count.parse().expect("a number"))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) struct Client<S> {
    pub(crate) socket: S,
    pub(crate) five_tuple: FiveTuple,
    pub(crate) relayed: SocketAddr,
}

impl Client<UdpSocket> {
    pub(crate) fn send(&self, packet: &[u8]) {
        self.socket.send(packet).unwrap();
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        receive(&self.socket)
    }
}

impl Client<TcpStream> {
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.socket.write_all(octets).unwrap();
    }

    pub(crate) fn receive(&mut self, length: usize) -> Vec<u8> {
        receive_exactly(&mut self.socket, length)
    }
}

pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).expect("no packet came");
    buffer[..length].to_vec()
}

pub(crate) fn receive_exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    stream
        .read_exact(&mut buffer)
        .expect("the stream ended too early");
    buffer
}

/// Whether the server closed the connection; panics when it sends something instead.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(count) => {
            assert_eq!(count, 0, "the server sent something");
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

pub(crate) fn udp_socket(ip: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address(ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

pub(crate) fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn free_address(ip: IpAddr) -> SocketAddr {
    UdpSocket::bind(SocketAddr::new(ip, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Far in the future of any clock.
const NEVER: u64 = u64::MAX;

pub(crate) fn open(allocation: u64, five_tuple: FiveTuple, bound: SocketAddr) -> Change {
    Change::Open {
        allocation,
        five_tuple,
        bound,
        advertised: bound,
        expires_at: NEVER,
        bytes_per_second: 0,
    }
}

pub(crate) fn permit(allocation: u64, peer_ip: IpAddr) -> Change {
    Change::Permit {
        allocation,
        peer_ip,
        relayed_only: false,
        expires_at: NEVER,
    }
}

pub(crate) fn bind_channel(allocation: u64, number: u16, peer: SocketAddr) -> Change {
    Change::BindChannel {
        allocation,
        number,
        peer,
        relayed_only: false,
        expires_at: NEVER,
    }
}

pub(crate) const BINDING: u16 = 0x0001;
pub(crate) const ALLOCATE: u16 = 0x0003;
pub(crate) const SEND: u16 = 0x0016;
pub(crate) const DATA: u16 = 0x0017;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// A STUN message without attributes, with a transaction id of its own.
pub(crate) fn request(kind: u16) -> Vec<u8> {
    stun(kind, &[])
}

pub(crate) fn stun(kind: u16, attributes: &[u8]) -> Vec<u8> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
    let length = (attributes.len() as u16).to_be_bytes();
    [
        &kind.to_be_bytes()[..],
        &length,
        &COOKIE,
        &id[4..],
        attributes,
    ]
    .concat()
}

/// Whether a message is a Binding success for a request.
pub(crate) fn answers(answer: &[u8], asked: &[u8]) -> bool {
    answer[..2] == [0x01, 0x01] && answer[8..20] == asked[8..20]
}

pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    [&number.to_be_bytes()[..], &length, payload].concat()
}

/// ChannelData as it goes over TCP.
pub(crate) fn padded_channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = channel_data(number, payload);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

pub(crate) fn send_indication(peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    stun(SEND, &[xor_peer_address(peer), data(payload)].concat())
}

/// What is left of a Data indication when its transaction id is taken out.
pub(crate) fn data_indication(peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let octets = stun(DATA, &[xor_peer_address(peer), data(payload)].concat());
    without_id(&octets)
}

pub(crate) fn without_id(octets: &[u8]) -> Vec<u8> {
    [&octets[..8], &octets[20..]].concat()
}

fn data(payload: &[u8]) -> Vec<u8> {
    let mut octets = [
        &[0x00, 0x13][..],
        &(payload.len() as u16).to_be_bytes(),
        payload,
    ]
    .concat();
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

/// Of an IPv4 address.
fn xor_peer_address(peer: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = peer.ip() else {
        panic!("IPv4 alone")
    };
    let port = (peer.port() ^ 0x2112).to_be_bytes();
    let ip: Vec<u8> = ip
        .octets()
        .iter()
        .zip(COOKIE)
        .map(|(octet, mask)| octet ^ mask)
        .collect();
    [&[0x00, 0x12, 0, 8, 0, 1][..], &port, &ip].concat()
}
