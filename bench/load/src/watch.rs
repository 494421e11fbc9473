//! Reads how much CPU the watched processes have used, all their threads together, and how much
//! of the watched cores was used by anybody; knows nothing of what they do.

use std::fs;

use crate::options::Options;

/// Readings of all clocks at one moment, nanoseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Clocks {
    /// CPU used by the server.
    pub(crate) server: u64,
    /// CPU used by this process.
    own: u64,
    /// Time that the watched cores were not idle, or were taken away by a hypervisor.
    cores: u64,
}

impl Clocks {
    /// With the CPU of the server as `server` says.
    pub(crate) fn read_with(options: &Options, server: u64) -> Self {
        Clocks {
            server,
            own: process(std::process::id()),
            cores: cores_used(&options.watch_core),
        }
    }

    /// With the CPU of the watched processes.
    pub(crate) fn read(options: &Options) -> Self {
        Clocks::read_with(options, options.watch.iter().copied().map(process).sum())
    }

    /// What passed since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Clocks {
            server: self.server.saturating_sub(earlier.server),
            own: self.own.saturating_sub(earlier.own),
            cores: self.cores.saturating_sub(earlier.cores),
        }
    }

    /// What others used of the watched cores.
    pub(crate) fn others(self) -> u64 {
        self.cores.saturating_sub(self.server + self.own)
    }
}

/// `/proc/stat` counts in hundredths of a second: user nice system idle iowait irq softirq steal.
fn cores_used(cores: &[usize]) -> u64 {
    const TICK: u64 = 10_000_000;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = |core: &usize| -> u64 {
        let name = format!("cpu{core}");
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(&name));
        let numbers = line.into_iter().flat_map(|line| line.split(' ').skip(1));
        let busy = numbers
            .take(8)
            .enumerate()
            .filter(|(at, _)| *at != 3 && *at != 4);
        busy.filter_map(|(_, number)| number.parse::<u64>().ok())
            .sum()
    };
    cores.iter().map(ticks).sum::<u64>() * TICK
}

fn process(number: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{number}/task")) else {
        return 0;
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .map(|text| first_number(&text))
        .sum()
}

/// Nanoseconds of CPU used by one thread of this process.
pub(crate) fn thread_cpu_used(number: u32) -> u64 {
    fs::read_to_string(format!("/proc/self/task/{number}/schedstat"))
        .map_or(0, |text| first_number(&text))
}

fn first_number(text: &str) -> u64 {
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
