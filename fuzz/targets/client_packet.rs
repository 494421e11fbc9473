//! No packet from a client reaches a peer that was not permitted, or takes more than it brought.
#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;

use ferryman_flow::{Change, FiveTuple, FromClient, Table, Transport};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_000;
const LATER: u64 = 2_000;

struct World {
    client: FiveTuple,
    permitted: SocketAddr,
    channelled: SocketAddr,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World {
    client: FiveTuple {
        transport: Transport::Udp,
        client: address("192.0.2.1:50000"),
        server: address("198.51.100.1:3478"),
        socket: 1,
    },
    permitted: address("203.0.113.1:0"),
    channelled: address("203.0.113.2:9"),
});

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn table() -> Table {
    let mut table = Table::new();
    let relayed = address("198.51.100.1:50000");
    table.apply(Change::Open {
        allocation: 1,
        five_tuple: WORLD.client,
        bound: relayed,
        advertised: relayed,
        expires_at: LATER,
        bytes_per_second: 0,
    });
    table.apply(Change::Permit {
        allocation: 1,
        peer_ip: WORLD.permitted.ip(),
        relayed_only: false,
        expires_at: LATER,
    });
    table.apply(Change::BindChannel {
        allocation: 1,
        number: 0x4000,
        peer: WORLD.channelled,
        relayed_only: false,
        expires_at: LATER,
    });
    table
}

fuzz_target!(|packet: &[u8]| {
    let mut table = table();
    match table.from_client(&WORLD.client, packet, NOW) {
        FromClient::ToPeer { peer, payload, .. } => {
            assert!(payload.end <= packet.len());
            let by_permission = peer.ip() == WORLD.permitted.ip() && peer.port() != 0;
            assert!(by_permission || peer == WORLD.channelled, "{peer}");
        }
        FromClient::HandOver { .. } => panic!("there is nobody to hand over to"),
        FromClient::PassOn { .. } | FromClient::Stray { .. } => panic!("there is one worker"),
        FromClient::Answer | FromClient::Ask | FromClient::Drop(_) => {}
    }
    let stranger = FiveTuple {
        socket: 2,
        ..WORLD.client
    };
    let verdict = table.from_client(&stranger, packet, NOW);
    let goes = matches!(
        verdict,
        FromClient::ToPeer { .. } | FromClient::HandOver { .. }
    );
    assert!(!goes, "a stranger sends");
});
