//! What a run has counted, and the JSON that says so.

use std::time::Duration;

use crate::watch::Clocks;

/// One JSON object being written.
pub(crate) struct Report(String);

impl Report {
    pub(crate) fn new(what: &str) -> Self {
        Report(format!("{{\"what\": \"{what}\""))
    }

    pub(crate) fn integer(mut self, name: &str, value: u64) -> Self {
        self.0.push_str(&format!(", \"{name}\": {value}"));
        self
    }

    /// With three decimals; nothing that is not finite gets in.
    pub(crate) fn decimal(mut self, name: &str, value: f64) -> Self {
        let value = if value.is_finite() { value } else { 0.0 };
        self.0.push_str(&format!(", \"{name}\": {value:.3}"));
        self
    }

    /// How busy the server was, and how much others took of the watched cores; in cores.
    pub(crate) fn clocks(self, clocks: Clocks, seconds: f64) -> Self {
        let share = |time: u64| time as f64 / 1e9 / seconds;
        self.decimal("server_busy", share(clocks.server))
            .decimal("others", share(clocks.others()))
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Counts of one measured stretch of time.
#[derive(Default)]
pub(crate) struct Tally {
    /// How long was measured.
    pub(crate) measured: Duration,
    /// Packets sent and received while measuring.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Datagrams and trains that they came in; none over streams.
    pub(crate) reads: u64,
    /// Packets that never came, of all that were sent, in the whole run.
    pub(crate) lost: u64,
    pub(crate) sent_in_all: u64,
    /// Packets that came but were not what was sent.
    pub(crate) wrong: u64,
    /// How long the load had nothing to do while measuring.
    pub(crate) idle: Duration,
    /// What the clocks say of the time while measuring.
    pub(crate) clocks: Clocks,
    /// Nanoseconds from sending to receiving, one number per packet.
    pub(crate) latencies: Vec<u32>,
}

impl Tally {
    /// The numbers that every packet load has.
    pub(crate) fn report(mut self, what: &str) -> Report {
        let seconds = self.measured.as_secs_f64();
        let share = |part: u64, all: u64| part as f64 / (all.max(1)) as f64;
        let report = Report::new(what)
            .decimal("seconds", seconds)
            .integer("sent", self.sent)
            .integer("received", self.received)
            .decimal("per_second", self.received as f64 / seconds)
            .decimal("loss", share(self.lost, self.sent_in_all))
            .integer("wrong", self.wrong)
            .decimal("load_busy", 1.0 - self.idle.as_secs_f64() / seconds)
            .clocks(self.clocks, seconds)
            .decimal(
                "cpu_per_packet_us",
                share(self.clocks.server, self.received) / 1e3,
            );
        let report = match self.reads {
            0 => report,
            reads => report.decimal("train", share(self.received, reads)),
        };
        if self.latencies.is_empty() {
            return report;
        }
        self.latencies.sort_unstable();
        report
            .decimal("latency_p50_us", self.percentile(50))
            .decimal("latency_p99_us", self.percentile(99))
    }

    /// Needs `latencies` sorted and not empty.
    fn percentile(&self, hundredth: usize) -> f64 {
        let index = (self.latencies.len() - 1) * hundredth / 100;
        f64::from(self.latencies[index]) / 1e3
    }
}
