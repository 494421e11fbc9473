//! What is counted, and how much room there is.

use ferryman_flow::Usage;

use crate::frame::channel_data;
use crate::rig::{arriving, channel, Families, Rig, NUMBER};

#[test]
fn payload_is_counted_by_flow_and_direction() {
    for mut rig in Rig::each() {
        let (one, mut other) = (
            channel(Families::V4V4, false),
            channel(Families::V4V6, false),
        );
        other.number = NUMBER + 1;
        assert!(rig.offload.insert(&one) && rig.offload.insert(&other));
        let up = |flow: &ferryman_flow::ChannelFlow, length| {
            let body = channel_data(flow.number, &vec![0x80; length], &[0, 0]);
            arriving(flow.client, flow.server, body).octets()
        };
        for length in [100, 0, 7] {
            rig.run(&up(&one, length));
        }
        rig.run(&up(&other, 1000));
        rig.run(&arriving(one.peer, one.relayed, vec![0x80; 33]).octets());
        let expected = Usage {
            sent_packets: 3,
            sent_bytes: 107,
            received_packets: 1,
            received_bytes: 33,
            dropped_packets: 0,
        };
        assert_eq!(rig.offload.carried(&one), expected);
        // Its ends may move: it is the same flow.
        assert!(rig.offload.extend(&one));
        assert_eq!(rig.offload.remove(&one), expected);
        assert_eq!(rig.offload.remove(&one), Usage::default());
        assert_eq!(rig.offload.remove(&other).sent_bytes, 1000);
        assert!(rig.offload.insert(&one));
        assert_eq!(rig.offload.carried(&one), Usage::default());
    }
}

#[test]
fn there_is_room_for_so_many_channels_and_no_more() {
    for mut rig in Rig::each() {
        let flow = |at: u32| {
            let mut flow = channel(Families::V4V4, false);
            flow.client.set_port((at % 60_000) as u16 + 1);
            flow.server.set_port((at / 60_000) as u16 + 1);
            flow.peer.set_port((at % 60_000) as u16 + 1);
            flow
        };
        for at in 0..32_768 {
            assert!(rig.offload.insert(&flow(at)), "{at}");
        }
        assert!(!rig.offload.insert(&flow(32_768)));
        rig.offload.remove(&flow(5));
        assert!(rig.offload.insert(&flow(32_768)));
        assert!(!rig.offload.insert(&flow(5)));
    }
}
