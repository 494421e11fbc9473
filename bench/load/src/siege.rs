//! One honest client after the other, each a whole allocate cycle, beside a flood of hostile
//! packets (`--rate` a second): how long does a cycle take?

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::batch::{Incoming, Outgoing, BATCH};
use crate::cycles::{self, CYCLE, PORTS};
use crate::dialogue::{Account, Aim, Dialogue};
use crate::fleet::{Ended, Fleet};
use crate::flows;
use crate::options::Options;
use crate::sockets;
use crate::stun::{self, Writer};
use crate::tally::Report;
use crate::watch::Clocks;
use crate::Trouble;

/// Where the hostile packets come from, one socket each; the honest ones come from elsewhere.
const HOSTILE: [u8; 3] = [127, 0, 66];
const SOURCES: u8 = 64;
const NOT_OURS: &[u8] = b"obMatJos2gAAAAAAAAAAAAAAAAAAAAAA";

/// A flood, paced.
struct Flood {
    sockets: Vec<UdpSocket>,
    packets: Vec<Vec<u8>>,
    outgoing: Outgoing,
    incoming: Incoming,
    rate: u64,
    began: Instant,
    sent: u64,
    answered: u64,
    turn: usize,
}

impl Flood {
    fn new(options: &Options) -> Result<Self, Trouble> {
        let sockets = (1..=SOURCES)
            .map(|host| {
                let [a, b, c] = HOSTILE;
                let local = SocketAddrV4::new(Ipv4Addr::new(a, b, c, host), 0);
                sockets::connected_udp(local, options.server)
            })
            .collect::<Result<_, _>>()?;
        Ok(Flood {
            sockets,
            packets: hostile_packets(),
            outgoing: Outgoing::new(),
            incoming: Incoming::new(),
            rate: options.rate.unwrap_or(0),
            began: Instant::now(),
            sent: 0,
            answered: 0,
            turn: 0,
        })
    }

    /// Sends what is due, a batch at most, through the next socket, and reads its answers.
    fn turn(&mut self) {
        let due = self.began.elapsed().as_nanos() * u128::from(self.rate) / 1_000_000_000;
        let count = (due as u64).saturating_sub(self.sent).min(BATCH as u64) as usize;
        if count == 0 {
            return;
        }
        self.turn = (self.turn + 1) % self.sockets.len();
        for index in 0..count {
            let packet = &self.packets[(self.sent as usize + index) % self.packets.len()];
            self.outgoing
                .slot(index, packet.len())
                .copy_from_slice(packet);
        }
        let socket = self.sockets[self.turn].as_raw_fd();
        self.sent += count as u64;
        self.outgoing.send(socket, count);
        self.answered += self.incoming.receive(socket) as u64;
    }
}

/// Of each kind the same number: no credentials, a nonce of somebody else, a Binding request, and
/// octets that lie about their length.
fn hostile_packets() -> Vec<Vec<u8>> {
    let account = Account {
        user: String::new(),
        password: String::new(),
        realm: None,
    };
    let aim = Aim {
        peer: None,
        release: false,
    };
    let bare = Dialogue::new(&account, aim, 1).request;
    let forged = Writer::new(stun::REFRESH, [7; 12])
        .attribute(stun::USERNAME, b"alice")
        .attribute(stun::REALM, b"bench.example")
        .attribute(stun::NONCE, NOT_OURS)
        .signed(&[0; 16]);
    let binding = Writer::new(stun::BINDING, [8; 12]).finish();
    let mut garbage = binding.clone();
    garbage[3] = 0x40;
    vec![bare, forged, binding, garbage]
}

/// Cycles one by one beside the flood; tells how long they took.
pub(crate) fn run(options: &Options) -> Result<String, Trouble> {
    let mut flood = Flood::new(options)?;
    let mut fleet = Fleet::new(flows::account(options), 1)?;
    let mut ports = PORTS.cycle();
    let end = options.warmup + options.seconds;
    let start = Instant::now();
    let mut measured: Option<(Clocks, u64)> = None;
    let mut launched = start;
    let mut times: Vec<Duration> = Vec::new();
    while start.elapsed() < end {
        flood.turn();
        if measured.is_none() && start.elapsed() >= options.warmup {
            measured = Some((Clocks::read(options), flood.sent));
        }
        if fleet.has_room() {
            let path = cycles::free_path(&mut ports, options.server)?;
            launched = Instant::now();
            fleet.launch(0, path, CYCLE)?;
        }
        for ended in fleet.turn(0)? {
            match ended {
                Ended::Finished(_) if measured.is_some() => times.push(launched.elapsed()),
                Ended::Finished(_) => {}
                Ended::Refused(_, code) => return Err(format!("refused: {code}").into()),
            }
        }
    }
    let (clocks, sent) = measured.ok_or("nothing was measured")?;
    let seconds = options.seconds.as_secs_f64();
    times.sort_unstable();
    Ok(Report::new("siege")
        .integer("cycles", times.len() as u64)
        .decimal("cycle_p50_us", percentile_us(&times, 50))
        .decimal("cycle_p90_us", percentile_us(&times, 90))
        .decimal("cycle_p99_us", percentile_us(&times, 99))
        .integer("retransmissions", fleet.retransmissions)
        .decimal("hostile_per_second", (flood.sent - sent) as f64 / seconds)
        .integer("hostile_answered", flood.answered)
        .clocks(Clocks::read(options).since(clocks), seconds)
        .finish())
}

/// Of sorted times; 0 where there is none.
fn percentile_us(times: &[Duration], share: usize) -> f64 {
    let time = times.get(times.len() * share / 100);
    time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
