//! Relayed packets a second, CPU per packet, and latency at a steady rate.

use crate::flows;
use crate::options::Options;
use crate::pump::{self, Pace};
use crate::watch::Clocks;
use crate::Trouble;

/// Packets under way in all, at most; a server's socket buffer holds some hundreds.
const WINDOW_IN_ALL: usize = 1024;
/// Packets under way on one lane, at most.
const WINDOW: usize = 128;
/// The same for trains.
const TRAINS_IN_ALL: usize = 16;
const TRAINS: usize = 4;
/// Bytes under way towards a TCP client: beyond 32 KiB some servers drop.
const STREAM_BYTES: usize = 24 << 10;

/// Opens the flows, drives them, says what arrived.
pub(crate) fn run(options: &Options) -> Result<String, Trouble> {
    let flows = flows::open(options)?;
    let mut lanes = flows::lanes(options, &flows)?;
    let pace = pace(options, lanes.len());
    let tally = pump::pump(&mut lanes, pace, options, &|| Clocks::read(options));
    if tally.received == 0 {
        return Err("no packet came through".into());
    }
    flows::close(options, flows)?;
    Ok(tally.report("relay").finish())
}

/// The pace asked for, else a window that fits the sockets' buffers.
pub(crate) fn pace(options: &Options, lanes: usize) -> Pace {
    if let Some(rate) = options.rate {
        return Pace::Rate(rate);
    }
    let (window, in_all) = window(options, lanes);
    let packets = options.window.unwrap_or(window as u32);
    // Not packet by packet: that would be as much work for the load as for the server.
    let burst = if options.train > 1 {
        options.train
    } else {
        options.burst.unwrap_or(packets as usize / 8).max(1)
    };
    Pace::Window {
        packets,
        burst,
        in_all,
    }
}

/// How many packets may be under way on a lane, and in all.
fn window(options: &Options, lanes: usize) -> (usize, u32) {
    if options.train > 1 {
        let trains = (TRAINS_IN_ALL / lanes).clamp(1, TRAINS);
        return (
            trains * options.train,
            (TRAINS_IN_ALL * options.train) as u32,
        );
    }
    let mut window = (WINDOW_IN_ALL / lanes).clamp(1, WINDOW);
    if options.transport.is_stream() {
        window = window.min(STREAM_BYTES / options.size);
    }
    (window, u32::MAX)
}
