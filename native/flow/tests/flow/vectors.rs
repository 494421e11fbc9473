//! The wire vectors that every reader of the protocol in this repository is held to.

use std::net::SocketAddr;

use ferryman_flow::stream::{next, Frame};
use ferryman_flow::{binding, FromClient, Reason, Table, Transport};
use serde_json::Value;

use crate::world::*;

fn read(name: &str) -> Value {
    let path = format!("{}/../../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(text: &Value) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn number(value: &Value) -> u16 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// A table in which every peer of the vectors is permitted and every channel bound.
fn table_for(row: &Value, relayed: SocketAddr) -> Table {
    let mut world = World::new();
    world
        .table
        .apply(ferryman_flow::Change::Close { allocation: ALICE });
    open(&mut world.table, 4, alice(), relayed, relayed);
    if let Some(peer) = row.get("peer") {
        world.permit(4, peer["ip"].as_str().unwrap(), false);
    }
    if row["verdict"] == "channel_data" {
        world.bind(4, number(&row["number"]), PEER, false);
    }
    world.table
}

fn relayed_for(row: &Value) -> SocketAddr {
    let ip = row
        .get("peer")
        .map_or("", |peer| peer["ip"].as_str().unwrap());
    let relayed = if ip.contains(':') {
        "[2001:db8::1]:50004"
    } else {
        "203.0.113.1:50004"
    };
    address(relayed)
}

fn check(row: &Value, verdict: &FromClient, packet: &[u8]) {
    let payload = || unhex(&row["payload"]);
    match (row["verdict"].as_str().unwrap(), verdict) {
        ("binding", FromClient::Answer) => check_answer(row, packet),
        ("request", FromClient::Ask) => {}
        (
            "send",
            FromClient::ToPeer {
                peer,
                payload: range,
                dont_fragment,
                ..
            },
        ) => {
            assert_eq!(*dont_fragment, row.get("dont_fragment").is_some());
            assert_eq!(peer.ip().to_string(), row["peer"]["ip"].as_str().unwrap());
            assert_eq!(peer.port(), number(&row["peer"]["port"]));
            assert_eq!(packet[range.clone()], payload());
        }
        (
            "channel_data",
            FromClient::ToPeer {
                peer,
                payload: range,
                ..
            },
        ) => {
            assert_eq!(*peer, address(PEER));
            assert_eq!(packet[range.clone()], payload());
        }
        ("malformed", FromClient::Ask) => assert_eq!(row["native"], "ask"),
        ("malformed", FromClient::Answer) => {
            assert_eq!(row["native"], "drop");
            let mut out = [0; binding::ANSWER_LIMIT];
            let settings = binding::Settings::default();
            let answer = binding::answer(packet, &from(PEER), &settings, &mut out);
            assert_eq!(answer, None);
        }
        ("malformed", FromClient::Drop(reason)) => {
            assert_eq!(row["native"], "drop");
            assert!(matches!(reason, Reason::Malformed | Reason::NotTurn));
        }
        ("ignored", FromClient::Drop(reason)) => {
            let expected = match row["reason"].as_str().unwrap() {
                "class" => &[Reason::Unexpected][..],
                "size" => &[Reason::TooLong],
                "attribute" => &[Reason::MissingAttribute, Reason::UnknownAttribute],
                "peer" => &[Reason::Malformed, Reason::PortZero],
                other => panic!("a reason that nobody described: {other}"),
            };
            assert!(expected.contains(reason), "{reason:?}");
        }
        (expected, verdict) => panic!("{expected} expected, {verdict:?}"),
    }
}

fn check_answer(row: &Value, packet: &[u8]) {
    let mut out = [0; binding::ANSWER_LIMIT];
    let settings = binding::Settings::default();
    let answer = binding::answer(packet, &from(PEER), &settings, &mut out).unwrap();
    let answer = &out[..answer.length];
    assert_eq!(answer[4..20], packet[4..20]);
    let last = &answer[answer.len() - 8..answer.len() - 4];
    assert_eq!(last == [0x80, 0x28, 0, 4], row["fingerprint"] == true);
    if row["answer"] == "success" {
        assert_eq!(answer[..2], [0x01, 0x01]);
        assert_eq!(answer[20..24], [0, 0x20, 0, 8]);
        return;
    }
    let unknown: Vec<u8> = row["unknown"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|kind| number(kind).to_be_bytes())
        .collect();
    assert_eq!(answer[..2], [0x01, 0x11]);
    assert_eq!(
        answer[20..32],
        [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, unknown.len() as u8]
    );
    assert_eq!(answer[32..32 + unknown.len()], unknown);
}

#[test]
fn every_datagram_gets_the_verdict_of_its_vector() {
    let rows = read("messages.json");
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 80);
    for row in rows {
        println!("{}", row["name"]);
        let packet = unhex(&row["hex"]);
        let mut table = table_for(row, relayed_for(row));
        check(row, &table.from_client(&alice(), &packet, NOW), &packet);
    }
}

/// Frames until nothing more comes out: what was found, what is left, whether it broke.
fn frames(stream: &[u8]) -> (Vec<Vec<u8>>, usize, bool) {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        match next(&stream[at..], 65_555) {
            Frame::Complete {
                message, consumed, ..
            } => {
                found.push(stream[at..][message].to_vec());
                at += consumed;
            }
            Frame::NeedMore => return (found, stream.len() - at, false),
            Frame::Bad => return (found, 0, true),
        }
    }
}

#[test]
fn every_stream_falls_into_the_frames_of_its_vector() {
    let rows = read("streams.json");
    for row in rows.as_array().unwrap() {
        let (found, pending, bad) = frames(&unhex(&row["hex"]));
        let expected: Vec<_> = row["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(unhex)
            .collect();
        assert_eq!(found, expected, "{}", row["name"]);
        assert_eq!(bad, row["malformed"] == true, "{}", row["name"]);
        if !bad {
            assert_eq!(
                pending as u64,
                row["pending"].as_u64().unwrap(),
                "{}",
                row["name"]
            );
        }
    }
}

/// The numbers of the attributes that the registry says are understood.
fn understood(registry: &Value, method: &str) -> Vec<u16> {
    let names = registry["understood"][method].as_array().unwrap();
    names
        .iter()
        .map(|name| number(&registry["attributes"][name.as_str().unwrap()]))
        .collect()
}

#[test]
fn a_binding_request_is_refused_for_exactly_what_the_registry_does_not_list() {
    let understood = understood(&read("registry.json"), "BINDING");
    let mut out = [0; binding::ANSWER_LIMIT];
    for kind in 0..0x8000 {
        let request = stun(0x0001, &[(kind, b"")]);
        let settings = binding::Settings::default();
        let answer = binding::answer(&request, &from(PEER), &settings, &mut out).unwrap();
        assert!(answer.length <= 4 * request.len());
        let refused = out[..2] == [0x01, 0x11];
        assert_eq!(refused, !understood.contains(&kind), "{kind:#06x}");
    }
}

#[test]
fn a_send_indication_is_dropped_for_exactly_what_the_registry_does_not_list() {
    let understood = understood(&read("registry.json"), "SEND");
    let mut world = World::new();
    world.permit(ALICE, "198.51.100.7", false);
    let peer = xored(PEER);
    for kind in 0..0x8000 {
        let packet = stun(
            SEND,
            &[(XOR_PEER_ADDRESS, &peer), (DATA, b"a"), (kind, b"")],
        );
        let unknown = world.says(&packet) == dropped(Reason::UnknownAttribute);
        assert_eq!(unknown, !understood.contains(&kind), "{kind:#06x}");
    }
}

#[test]
fn limits_and_transports_are_those_of_the_registry() {
    let registry = read("registry.json");
    let longest = registry["limits"]["max_request"].as_u64().unwrap();
    assert_eq!(ferryman_flow::REQUEST_LIMIT as u64, longest);
    assert_eq!(registry["channel_first_byte"]["first"], 0x40);
    assert_eq!(registry["channel_first_byte"]["last"], 0x7F);
    assert_eq!(bob().transport, Transport::Tcp);
}

/// The requests of the RFCs' own vectors are answered, or dropped where the RFC misprinted one;
/// credentials that a Binding request does not need are passed over.
#[test]
fn the_requests_printed_in_the_rfcs_are_answered() {
    let mut asked = 0;
    for row in ["rfc5769.json", "rfc8489.json"]
        .iter()
        .flat_map(|name| read(name).as_array().unwrap().clone())
        .filter(|row| row["class"] == "REQUEST" || row["section"] == "B.1")
    {
        let (packet, settings) = (unhex(&row["hex"]), binding::Settings::default());
        let mut out = [0; binding::ANSWER_LIMIT];
        let answer = binding::answer(&packet, &from(PEER), &settings, &mut out);
        let success = answer.is_some_and(|answer| out[..2] == [1, 1] && answer.length > 20);
        assert_eq!(success, !row["malformed"].is_string(), "{}", row["name"]);
        asked += 1;
    }
    assert_eq!(asked, 4);
}
