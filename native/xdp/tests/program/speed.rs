//! How long the program takes for a packet, as the kernel counts it.

use std::hint::black_box;
use std::thread;

use aya::sys::{enable_stats, Stats};
use ferryman_xdp::Mode;

use crate::frame::channel_data;
use crate::rig::{arriving, channel, Rig, Rights, EVERY, NUMBER};

const BATCHES: usize = 21;
const PACKETS: u64 = 2_000;

/// Prints the median of many batches; asserts nothing, for this machine may be busy. `--nocapture`
/// shows it.
#[test]
#[ignore = "a measurement"]
fn a_packet_takes_so_many_nanoseconds() {
    let _counted = enable_stats(Stats::RunTime).expect("the kernel counts");
    for mode in [Mode::Driver, Mode::Tc] {
        for rights in [Rights::All, Rights::Few] {
            // Rights that are given up are gone from a thread for good.
            thread::scope(|scope| scope.spawn(|| measure(mode, rights)).join()).expect("it ran");
        }
    }
}

fn measure(mode: Mode, rights: Rights) {
    let Some(mut rig) = Rig::with(mode, rights) else {
        return;
    };
    for families in EVERY {
        let flow = channel(families, false);
        assert!(rig.offload.insert(&flow));
        let body = channel_data(NUMBER, &[0x80; 160], &[]);
        let other = (flow.server.ip(), 9).into();
        let frames = [
            arriving(flow.client, flow.server, body),
            arriving(flow.peer, flow.relayed, vec![0x80; 160]),
            arriving(flow.client, other, vec![0x80; 160]),
        ];
        let [up, down, miss] = frames.map(|frame| nanoseconds(&mut rig, &frame.octets()));
        println!(
            "{mode:?}, {rights:?} rights, {families:?}: {up} ns to the peer, {down} to the client, \
             {miss} without a flow"
        );
        rig.offload.remove(&flow);
    }
}

fn nanoseconds(rig: &mut Rig, frame: &[u8]) -> u64 {
    let mut batches = [0; BATCHES];
    for batch in &mut batches {
        let (before, _) = rig.run_time();
        for _ in 0..PACKETS {
            black_box(rig.run_untold(frame));
        }
        *batch = (rig.run_time().0 - before) / PACKETS;
    }
    batches.sort_unstable();
    batches[BATCHES / 2]
}
