//! DONT-FRAGMENT in a Send indication: RFC 8656 §11.2, and §13 to §15 on when it is heeded.

use std::net::SocketAddr;

use ferryman_flow::{FiveTuple, FromClient, Table, Transport};

use crate::world::{
    address, channel_data, open, permitted, send, stun, xored, DATA, NOW, PEER, SEND,
    XOR_PEER_ADDRESS,
};

const DONT_FRAGMENT: u16 = 0x001A;

fn whole(peer: &str) -> Vec<u8> {
    stun(
        SEND,
        &[
            (DONT_FRAGMENT, b""),
            (XOR_PEER_ADDRESS, &xored(peer)),
            (DATA, b"a"),
        ],
    )
}

fn is_heeded(verdict: &FromClient) -> bool {
    match verdict {
        FromClient::ToPeer { dont_fragment, .. } => *dont_fragment,
        other => panic!("{other:?}"),
    }
}

fn client(transport: Transport, client: &str) -> FiveTuple {
    let server: SocketAddr = match address(client) {
        SocketAddr::V4(_) => address("203.0.113.1:3478"),
        SocketAddr::V6(_) => address("[2001:db8::1]:3478"),
    };
    FiveTuple {
        transport,
        client: address(client),
        server,
        socket: 9,
    }
}

#[test]
fn it_is_heeded_where_the_rfc_says_so() {
    const V4: &str = "192.0.2.200:9";
    const V6: &str = "[2001:db8::200]:9";
    const PEER_V6: &str = "[2001:db8::7]:7000";
    let rows = [
        (Transport::Udp, V4, PEER, true, "§14"),
        (Transport::Udp, V4, PEER_V6, false, "§13.1: MUST be ignored"),
        (Transport::Udp, V6, PEER, false, "§13.3: MUST be ignored"),
        (Transport::Udp, V6, PEER_V6, false, "§13.2: MUST be ignored"),
        (Transport::Dtls, V4, PEER, true, "§14"),
        (Transport::Dtls, V6, PEER, false, "§13.3: MUST be ignored"),
        (Transport::Tcp, V4, PEER, true, "§15"),
        (Transport::Tcp, V6, PEER, true, "§15"),
        (Transport::Tcp, V6, PEER_V6, true, "§15"),
        (Transport::Tls, V4, PEER_V6, true, "§15"),
    ];
    for (transport, from, peer, heeded, why) in rows {
        let mut table = Table::new();
        let relayed = if address(peer).is_ipv4() {
            address("203.0.113.1:50001")
        } else {
            address("[2001:db8::1]:50001")
        };
        let client = client(transport, from);
        open(&mut table, 1, client, relayed, relayed);
        table.apply(ferryman_flow::Change::Permit {
            allocation: 1,
            peer_ip: address(peer).ip(),
            relayed_only: false,
            expires_at: u64::MAX,
        });
        let verdict = table.from_client(&client, &whole(peer), NOW);
        assert_eq!(is_heeded(&verdict), heeded, "{transport:?} {from} {why}");
        let verdict = table.from_client(&client, &send(peer, b"a"), NOW);
        assert!(!is_heeded(&verdict), "nobody asked");
    }
}

#[test]
fn behind_message_integrity_it_is_not_there() {
    let packet = stun(
        SEND,
        &[
            (XOR_PEER_ADDRESS, &xored(PEER)),
            (DATA, b"a"),
            (0x0008, &[0; 20]),
            (DONT_FRAGMENT, b""),
        ],
    );
    assert!(!is_heeded(&permitted().says(&packet)));
}

#[test]
fn channel_data_cannot_ask_for_it() {
    assert!(!is_heeded(&permitted().says(&channel_data(0x4000, b"a"))));
}
