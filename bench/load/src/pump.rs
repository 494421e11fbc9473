//! Keeps lanes full for a while and counts what arrives, in one thread that never sleeps: a
//! load that slept would have the server pay for waking it.

use std::time::{Duration, Instant, SystemTime};

use crate::batch::{Incoming, Outgoing};
use crate::lane::Lane;
use crate::options::Options;
use crate::tally::Tally;
use crate::watch::Clocks;

/// A packet that has not come after this long will not come.
const GIVE_UP: u64 = 50_000_000;
/// How long to wait for the last packets.
const DRAIN: Duration = Duration::from_millis(200);
/// Packets that an open loop may be behind by before it lets them go.
const BACKLOG: u64 = 4096;
/// Packets that it sends before it looks for what has come.
const BURST: u64 = 32;
/// Latencies kept, at most.
const LATENCIES: usize = 4_000_000;

/// How much to send.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Closed loop: so many packets under way on each lane, and on all lanes together; sent when
    /// there is room for `burst`.
    Window {
        packets: u32,
        burst: usize,
        in_all: u32,
    },
    /// Open loop: so many packets a second in all.
    Rate(u64),
}

/// Reads the clocks that matter.
pub(crate) type ReadClocks<'a> = &'a dyn Fn() -> Clocks;

struct Pump<'a> {
    lanes: &'a mut [Lane],
    pace: Pace,
    outgoing: Outgoing,
    incoming: Incoming,
    started: Instant,
    /// The same instant, ns since 1970.
    started_at: u64,
    /// Packets under way on all lanes.
    outstanding: u32,
    /// The lane that an open loop serves next, and what it has sent or let go.
    turn: usize,
    dealt: u64,
    /// Nanoseconds spent on lanes where nothing moved.
    idle: u64,
    latencies: Vec<u32>,
}

/// What the counters said at one moment.
struct Mark {
    at: Instant,
    sent: u64,
    received: u64,
    reads: u64,
    idle: u64,
    clocks: Clocks,
}

/// Warms up, measures, and waits for the last packets.
pub(crate) fn pump(
    lanes: &mut [Lane],
    pace: Pace,
    options: &Options,
    read_clocks: ReadClocks<'_>,
) -> Tally {
    let mut pump = Pump::new(lanes, pace, options);
    pump.run_for(options.warmup, true);
    pump.latencies.clear();
    let before = pump.mark(read_clocks);
    pump.run_for(options.seconds, true);
    let after = pump.mark(read_clocks);
    let latencies = std::mem::take(&mut pump.latencies);
    pump.run_for(DRAIN, false);
    pump.tally(&before, &after, latencies)
}

impl<'a> Pump<'a> {
    fn new(lanes: &'a mut [Lane], pace: Pace, options: &Options) -> Self {
        let paced = matches!(pace, Pace::Rate(_));
        let outgoing = match lanes {
            [lane, ..] if lane.train > 1 => Outgoing::trains(lane.template.len()),
            _ => Outgoing::new(),
        };
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Pump {
            lanes,
            pace,
            outgoing,
            incoming: if options.notes() {
                Incoming::noted()
            } else {
                Incoming::new()
            },
            started: Instant::now(),
            started_at: since_1970.as_nanos() as u64,
            outstanding: 0,
            turn: 0,
            dealt: 0,
            idle: 0,
            latencies: Vec::with_capacity(if paced { LATENCIES } else { 0 }),
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn run_for(&mut self, time: Duration, sending: bool) {
        let mut now = self.now();
        let end = now + time.as_nanos() as u64;
        while now < end {
            for index in 0..self.lanes.len() {
                let moved = self.visit(index, sending, now);
                let left = self.now();
                self.idle += if moved == 0 { left - now } else { 0 };
                now = left;
            }
        }
    }

    /// Sends what is due and takes what has come on one lane; returns how much moved.
    fn visit(&mut self, index: usize, sending: bool, now: u64) -> usize {
        let sent = match self.pace {
            _ if !sending => 0,
            Pace::Window {
                packets,
                burst,
                in_all,
            } => self.refill(index, packets, burst, in_all, now),
            Pace::Rate(rate) => self.deal(rate, now),
        };
        sent + self.receive(index, now)
    }

    fn refill(&mut self, index: usize, window: u32, burst: usize, in_all: u32, now: u64) -> usize {
        let lane = &mut self.lanes[index];
        if lane.count.outstanding > 0 && now.saturating_sub(lane.count.moved_at) > GIVE_UP {
            self.outstanding -= lane.count.outstanding;
            lane.count.outstanding = 0;
        }
        let room = window.saturating_sub(lane.count.outstanding);
        let room = room.min(in_all.saturating_sub(self.outstanding)) as usize;
        if room < burst {
            return 0;
        }
        let went = lane.send(&mut self.outgoing, room, now);
        self.outstanding += went as u32;
        went
    }

    /// Sends what is due, one packet (or train) per lane in turn; returns how many packets.
    fn deal(&mut self, rate: u64, now: u64) -> usize {
        let due = (u128::from(now) * u128::from(rate) / 1_000_000_000) as u64;
        self.dealt = self.dealt.max(due.saturating_sub(BACKLOG));
        let (first, last) = (self.dealt, due.min(self.dealt + BURST));
        while self.dealt < last {
            let lane = &mut self.lanes[self.turn];
            self.dealt += lane.train as u64;
            lane.send(&mut self.outgoing, lane.train, now);
            self.turn = (self.turn + 1) % self.lanes.len();
        }
        (self.dealt - first) as usize
    }

    fn receive(&mut self, index: usize, now: u64) -> usize {
        let (latencies, started_at) = (&mut self.latencies, self.started_at);
        let lane = &mut self.lanes[index];
        let before = lane.count.outstanding;
        let came = lane.receive(&mut self.incoming, now, |sent_at, came_at| {
            let came_at = came_at.map_or(now, |time| time.saturating_sub(started_at));
            if latencies.len() < latencies.capacity() {
                latencies.push(came_at.saturating_sub(sent_at).min(u64::from(u32::MAX)) as u32);
            }
        });
        self.outstanding -= before - lane.count.outstanding;
        came
    }

    fn total(&self, part: impl Fn(&Lane) -> u64) -> u64 {
        self.lanes.iter().map(part).sum()
    }

    fn mark(&self, read_clocks: ReadClocks<'_>) -> Mark {
        Mark {
            at: Instant::now(),
            sent: self.total(|lane| lane.count.sent),
            received: self.total(|lane| lane.count.received),
            reads: self.total(|lane| lane.count.reads),
            idle: self.idle,
            clocks: read_clocks(),
        }
    }

    fn tally(&self, before: &Mark, after: &Mark, latencies: Vec<u32>) -> Tally {
        let sent_in_all = self.total(|lane| lane.count.sent);
        let received_in_all = self.total(|lane| lane.count.received);
        Tally {
            measured: after.at - before.at,
            sent: after.sent - before.sent,
            received: after.received - before.received,
            reads: after.reads - before.reads,
            lost: sent_in_all.saturating_sub(received_in_all),
            sent_in_all,
            wrong: self.total(|lane| lane.count.wrong),
            idle: Duration::from_nanos(after.idle - before.idle),
            clocks: after.clocks.since(before.clocks),
            latencies,
        }
    }
}
