//! Whole allocate cycles a second: Allocate (401), Allocate with credentials, Refresh to zero
//! (RFC 8656 §7, §8), each from a port of its own. As many as there can be, or at a rate; all of
//! them, or with some that leave their allocation to expire.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::dialogue::Aim;
use crate::fleet::{Ended, Fleet, Path};
use crate::flows;
use crate::options::Options;
use crate::sockets;
use crate::tally::Report;
use crate::watch::Clocks;
use crate::Trouble;

/// The clients' address: not the relay's, so that no port is wanted twice.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
/// A server may hold a released allocation for a second, so a port rests for longer than that.
pub(crate) const PORTS: std::ops::Range<u16> = 2000..65000;

pub(crate) const CYCLE: Aim = Aim {
    peer: None,
    release: true,
};

#[derive(Default, Clone, Copy)]
struct Score {
    cycles: u64,
    refused: u64,
    last_code: u16,
}

struct Mill<'a> {
    options: &'a Options,
    fleet: Fleet,
    ports: std::iter::Cycle<std::ops::Range<u16>>,
    score: Score,
    started: Instant,
    launched: u64,
}

/// Runs cycles, counts those that finished.
pub(crate) fn run(options: &Options) -> Result<String, Trouble> {
    let mut mill = Mill {
        options,
        fleet: Fleet::new(flows::account(options), options.in_flight)?,
        ports: PORTS.cycle(),
        score: Score::default(),
        started: Instant::now(),
        launched: 0,
    };
    mill.run_for(options.warmup)?;
    let (before, clocks, at) = (mill.score, Clocks::read(options), Instant::now());
    mill.run_for(options.seconds)?;
    let seconds = at.elapsed().as_secs_f64();
    let clocks = Clocks::read(options).since(clocks);
    let report = mill.report(before, seconds, clocks)?;
    mill.finish_all()?;
    Ok(report)
}

impl Mill<'_> {
    fn run_for(&mut self, time: Duration) -> Result<(), Trouble> {
        let start = Instant::now();
        while start.elapsed() < time {
            while self.fleet.has_room() && self.is_due() {
                let path = free_path(&mut self.ports, self.options.server)?;
                self.launched += 1;
                let leave = self.options.leave;
                let release = leave == 0 || self.launched % leave != 0;
                self.fleet.launch(0, path, Aim { release, ..CYCLE })?;
            }
            for ended in self.fleet.turn(i32::from(self.options.rate.is_some()))? {
                self.score.count(&ended);
            }
        }
        Ok(())
    }

    /// Whether it is time for the next cycle.
    fn is_due(&self) -> bool {
        let due = |rate| self.started.elapsed().as_secs_f64() * rate as f64;
        self.options
            .rate
            .is_none_or(|rate| self.launched < due(rate) as u64)
    }

    /// Waits for those that are under way.
    fn finish_all(&mut self) -> Result<(), Trouble> {
        while self.fleet.in_flight > 0 {
            self.fleet.turn(100)?;
        }
        Ok(())
    }

    fn report(&self, before: Score, seconds: f64, clocks: Clocks) -> Result<String, Trouble> {
        let cycles = self.score.cycles - before.cycles;
        let refused = self.score.refused - before.refused;
        if cycles == 0 {
            return Err(format!("no cycle finished; refused: {}", self.score.last_code).into());
        }
        Ok(Report::new("allocate")
            .decimal("seconds", seconds)
            .integer("cycles", cycles)
            .decimal("per_second", cycles as f64 / seconds)
            .integer("refused", refused)
            .integer("last_refusal", u64::from(self.score.last_code))
            .integer("retransmissions", self.fleet.retransmissions)
            .clocks(clocks, seconds)
            .decimal(
                "cpu_per_cycle_us",
                clocks.server as f64 / 1e3 / cycles as f64,
            )
            .finish())
    }
}

/// From the next port that is free.
pub(crate) fn free_path(
    ports: &mut std::iter::Cycle<std::ops::Range<u16>>,
    server: SocketAddrV4,
) -> Result<Path, Trouble> {
    for port in ports.take(1000) {
        if let Ok(socket) = sockets::plain_udp(SocketAddrV4::new(CLIENTS, port), server) {
            return Ok(Path::Udp(socket));
        }
    }
    Err("no free client port".into())
}

impl Score {
    fn count(&mut self, ended: &Ended) {
        match ended {
            Ended::Finished(_) => self.cycles += 1,
            Ended::Refused(_, code) => {
                self.refused += 1;
                self.last_code = *code;
            }
        }
    }
}
