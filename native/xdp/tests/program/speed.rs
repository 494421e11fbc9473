//! How long the program takes for a packet, as the kernel counts it.

use std::hint::black_box;

use crate::frame::channel_data;
use crate::rig::{arriving, channel, Rig, EVERY, NUMBER};

const PACKETS: u32 = 50_000;

/// Prints; asserts nothing, for this machine may be busy. `--nocapture` shows it.
#[test]
#[ignore = "a measurement"]
fn a_packet_takes_so_many_nanoseconds() {
    let Some(mut rig) = Rig::new() else { return };
    let _counted = aya::sys::enable_stats(aya::sys::Stats::RunTime).expect("the kernel counts");
    for families in EVERY {
        let flow = channel(families, false);
        assert!(rig.offload.insert(&flow));
        let body = channel_data(NUMBER, &[0x80; 160], &[]);
        let up = arriving(flow.client, flow.server, body).octets();
        let down = arriving(flow.peer, flow.relayed, vec![0x80; 160]).octets();
        let other = (flow.server.ip(), 9).into();
        let miss = arriving(flow.client, other, vec![0x80; 160]).octets();
        for (frame, what) in [
            (up, "to the peer"),
            (down, "to the client"),
            (miss, "no flow"),
        ] {
            let (time, count) = rig.program.run_time().expect("counted");
            for _ in 0..PACKETS {
                black_box(rig.run_untold(&frame));
            }
            let (after, counted) = rig.program.run_time().expect("counted");
            println!(
                "{families:?} {what}: {} ns",
                (after - time) / (counted - count)
            );
        }
        rig.offload.remove(&flow);
    }
}
