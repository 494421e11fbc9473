//! Answers of NAT behaviour discovery (RFC 5780): one test per sentence of §6.1 and §7.

use std::net::SocketAddr;

use ferryman_flow::binding::{answer, Settings, ANSWER_LIMIT};
use ferryman_flow::{Discovery, FiveTuple, Transport};

use crate::world::*;

const BINDING: u16 = 0x0001;
const SUCCESS: [u8; 2] = [0x01, 0x01];
const MAPPED_ADDRESS: u16 = 0x0001;
const CHANGE_REQUEST: u16 = 0x0003;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PADDING: u16 = 0x0026;
const RESPONSE_PORT: u16 = 0x0027;
const SOFTWARE: u16 = 0x8022;
const RESPONSE_ORIGIN: u16 = 0x802B;
const OTHER_ADDRESS: u16 = 0x802C;

const CLIENT: &str = "192.0.2.200:4000";
const CLIENT_V6: &str = "[2001:db8::200]:4000";
const CHANGE_IP: &[u8] = &[0, 0, 0, 4];
const CHANGE_PORT: &[u8] = &[0, 0, 0, 2];
const CHANGE_BOTH: &[u8] = &[0, 0, 0, 6];

fn discovery_v6() -> Discovery {
    Discovery {
        bound: [ip("2001:db8::1"), ip("2001:db8::2")],
        advertised: [ip("2001:db8::1"), ip("2001:db8::2")],
        ports: [3478, 3479],
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.offer(discovery());
    settings.offer(discovery_v6());
    settings
}

struct Answered {
    message: Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
}

impl Answered {
    /// The attributes in order.
    fn attributes(&self) -> Vec<(u16, Vec<u8>)> {
        let (mut rest, mut found) = (&self.message[20..], Vec::new());
        while let [k0, k1, l0, l1, ..] = rest {
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            let value = rest[4..4 + length].to_vec();
            found.push((u16::from_be_bytes([*k0, *k1]), value));
            rest = &rest[4 + length.next_multiple_of(4)..];
        }
        found
    }

    fn attribute(&self, kind: u16) -> Option<Vec<u8>> {
        let mut found = self.attributes().into_iter();
        found
            .find(|(other, _)| *other == kind)
            .map(|(_, value)| value)
    }

    fn kinds(&self) -> Vec<u16> {
        self.attributes()
            .into_iter()
            .map(|(kind, _)| kind)
            .collect()
    }

    fn error(&self) -> (u16, Option<Vec<u8>>) {
        assert_eq!(self.message[..2], [0x01, 0x11]);
        let value = self.attribute(ERROR_CODE).unwrap();
        let code = u16::from(value[2]) * 100 + u16::from(value[3]);
        (code, self.attribute(UNKNOWN_ATTRIBUTES))
    }
}

fn answered(request: &[u8], client: &FiveTuple, settings: &Settings) -> Answered {
    let mut out = [0xEE; ANSWER_LIMIT];
    let written = answer(request, client, settings, &mut out).unwrap();
    if client.transport == Transport::Udp {
        assert!(
            written.length <= 4 * request.len(),
            "at most 4 times the request"
        );
    }
    Answered {
        message: out[..written.length].to_vec(),
        from: written.from,
        to: written.to,
    }
}

fn asked(attributes: &[(u16, &[u8])]) -> Answered {
    answered(&stun(BINDING, attributes), &from(CLIENT), &settings())
}

/// The value of an address that is not XOR'd.
fn plain(text: &str) -> Option<Vec<u8>> {
    let address = address(text);
    let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
    value.extend(address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => value.extend(address.ip().octets()),
        SocketAddr::V6(address) => value.extend(address.ip().octets()),
    }
    Some(value)
}

#[test]
fn a_plain_request_learns_all_four_addresses() {
    let answer = asked(&[]);
    assert_eq!(answer.message[..2], SUCCESS);
    assert_eq!(answer.attribute(XOR_MAPPED_ADDRESS), Some(xored(CLIENT)));
    assert_eq!(
        answer.attribute(MAPPED_ADDRESS),
        plain(CLIENT),
        "§6.1: both"
    );
    assert_eq!(answer.attribute(RESPONSE_ORIGIN), plain("203.0.113.1:3478"));
    assert_eq!(answer.attribute(OTHER_ADDRESS), plain("203.0.113.2:3479"));
    assert_eq!(
        (answer.from, answer.to),
        (address("203.0.113.1:3478"), address(CLIENT))
    );
}

#[test]
fn the_answer_leaves_from_where_change_request_says() {
    // RFC 5780 §6.1, table 1: flags, source; OTHER-ADDRESS is the same in every row.
    let rows = [
        (&[0, 0, 0, 0][..], "203.0.113.1:3478"),
        (CHANGE_IP, "203.0.113.2:3478"),
        (CHANGE_PORT, "203.0.113.1:3479"),
        (CHANGE_BOTH, "203.0.113.2:3479"),
        (&[0xFF, 0xFF, 0xFF, 0xF9], "203.0.113.1:3478"),
    ];
    for (flags, source) in rows {
        let answer = asked(&[(CHANGE_REQUEST, flags)]);
        assert_eq!(answer.from, address(source), "{flags:?}");
        assert_eq!(
            answer.attribute(RESPONSE_ORIGIN),
            plain(source),
            "{flags:?}"
        );
        assert_eq!(answer.attribute(OTHER_ADDRESS), plain("203.0.113.2:3479"));
        assert_eq!(answer.to, address(CLIENT));
    }
}

#[test]
fn each_of_the_four_addresses_has_its_opposite() {
    let rows = [
        ("203.0.113.1:3478", "203.0.113.2:3479"),
        ("203.0.113.1:3479", "203.0.113.2:3478"),
        ("203.0.113.2:3478", "203.0.113.1:3479"),
        ("203.0.113.2:3479", "203.0.113.1:3478"),
    ];
    let request = stun(BINDING, &[(CHANGE_REQUEST, CHANGE_BOTH)]);
    for (server, other) in rows {
        let mut client = from(CLIENT);
        client.server = address(server);
        let answer = answered(&request, &client, &settings());
        assert_eq!(answer.from, address(other), "{server}");
        assert_eq!(answer.attribute(OTHER_ADDRESS), plain(other), "{server}");
    }
}

#[test]
fn addresses_are_told_as_the_world_knows_them() {
    let mut settings = Settings::default();
    settings.offer(Discovery {
        advertised: [ip("198.51.100.1"), ip("198.51.100.2")],
        ..discovery()
    });
    let request = stun(BINDING, &[(CHANGE_REQUEST, CHANGE_IP)]);
    let answer = answered(&request, &from(CLIENT), &settings);
    assert_eq!(
        answer.attribute(RESPONSE_ORIGIN),
        plain("198.51.100.2:3478")
    );
    assert_eq!(answer.attribute(OTHER_ADDRESS), plain("198.51.100.2:3479"));
    assert_eq!(answer.from, address("203.0.113.2:3478"), "bound");
}

#[test]
fn an_offer_replaces_that_of_its_family_and_no_other() {
    let mut settings = settings();
    settings.offer(Discovery {
        bound: [ip("203.0.113.1"), ip("203.0.113.9")],
        ..discovery()
    });
    assert_eq!(settings.discovery.len(), 2);
    let request = stun(BINDING, &[(CHANGE_REQUEST, CHANGE_IP)]);
    let answer = answered(&request, &from(CLIENT), &settings);
    assert_eq!(answer.from, address("203.0.113.9:3478"));
    let answer = answered(&request, &from(CLIENT_V6), &settings);
    assert_eq!(answer.from, address("[2001:db8::2]:3478"));
}

#[test]
fn a_server_without_an_alternate_refuses_with_420() {
    let asked = [
        (CHANGE_REQUEST, CHANGE_IP),
        (RESPONSE_PORT, &[0x10, 0, 0, 0][..]),
        (PADDING, &[0; 8]),
    ];
    let mut stranger = from(CLIENT);
    stranger.server = address("203.0.113.3:3478");
    for (kind, value) in asked {
        let request = stun(BINDING, &[(kind, value)]);
        let unknown = Some(kind.to_be_bytes().to_vec());
        for (client, settings) in [(from(CLIENT), Settings::default()), (stranger, settings())] {
            let answer = answered(&request, &client, &settings);
            assert_eq!(answer.error(), (420, unknown.clone()), "{kind:#06x}");
            assert_eq!((answer.from, answer.to), (client.server, client.client));
        }
    }
}

#[test]
fn a_stream_learns_the_addresses_and_cannot_ask_for_another_way_back() {
    let mut client = from(CLIENT);
    client.transport = Transport::Tcp;
    let answer = answered(&stun(BINDING, &[]), &client, &settings());
    assert_eq!(
        answer.kinds(),
        [
            XOR_MAPPED_ADDRESS,
            OTHER_ADDRESS,
            RESPONSE_ORIGIN,
            MAPPED_ADDRESS
        ]
    );
    for (kind, value) in [
        (CHANGE_REQUEST, CHANGE_PORT),
        (RESPONSE_PORT, &[0x10, 0, 0, 0]),
        (PADDING, &[0; 8]),
    ] {
        let answer = answered(&stun(BINDING, &[(kind, value)]), &client, &settings());
        assert_eq!(answer.error().0, 420, "{kind:#06x}");
    }
}

#[test]
fn response_port_names_the_port_and_never_the_ip() {
    for value in [&[0x10, 0x01, 0, 0][..], &[0x10, 0x01]] {
        let answer = asked(&[(RESPONSE_PORT, value)]);
        assert_eq!(answer.to, address("192.0.2.200:4097"));
        assert_eq!(answer.attribute(XOR_MAPPED_ADDRESS), Some(xored(CLIENT)));
    }
    let answer = asked(&[
        (RESPONSE_PORT, &[0x10, 0x01, 0, 0]),
        (CHANGE_REQUEST, CHANGE_BOTH),
    ]);
    assert_eq!(answer.to, address("192.0.2.200:4097"));
    assert_eq!(answer.from, address("203.0.113.2:3479"));
}

#[test]
fn the_first_of_each_counts() {
    let answer = asked(&[
        (CHANGE_REQUEST, CHANGE_IP),
        (CHANGE_REQUEST, CHANGE_PORT),
        (RESPONSE_PORT, &[0x10, 0x01, 0, 0]),
        (RESPONSE_PORT, &[0, 0, 0, 0]),
    ]);
    assert_eq!(answer.message[..2], SUCCESS);
    assert_eq!(answer.from, address("203.0.113.2:3478"));
    assert_eq!(answer.to, address("192.0.2.200:4097"));
}

#[test]
fn what_is_malformed_is_400_to_where_it_came_from() {
    let rows: [&[(u16, &[u8])]; 7] = [
        &[(CHANGE_REQUEST, b"")],
        &[(CHANGE_REQUEST, &[4])],
        &[(CHANGE_REQUEST, &[0, 0, 0, 0, 4])],
        &[(RESPONSE_PORT, b"")],
        &[(RESPONSE_PORT, &[0, 0, 0, 0])],
        &[(RESPONSE_PORT, &[0x10, 0, 0])],
        &[
            (RESPONSE_PORT, &[0x10, 0, 0, 0, 0, 0]),
            (CHANGE_REQUEST, CHANGE_IP),
        ],
    ];
    for row in rows {
        let answer = asked(row);
        assert_eq!(answer.error(), (400, None), "{row:?}");
        assert_eq!(
            (answer.from, answer.to),
            (from(CLIENT).server, address(CLIENT))
        );
    }
}

#[test]
fn padding_is_answered_with_as_much_and_never_more_than_a_frame() {
    for (length, expected) in [
        (0, 0),
        (1, 4),
        (8, 8),
        (1497, 1500),
        (1500, 1500),
        (4000, 1500),
    ] {
        let answer = asked(&[(PADDING, &vec![b'x'; length])]);
        assert_eq!(
            answer.attribute(PADDING),
            Some(vec![0; expected]),
            "{length}"
        );
        assert!(answer.attribute(OTHER_ADDRESS).is_some());
    }
    assert_eq!(asked(&[]).attribute(PADDING), None, "only where asked for");
}

#[test]
fn padding_together_with_response_port_is_400() {
    let answer = asked(&[(PADDING, &[0; 64]), (RESPONSE_PORT, &[0x10, 0, 0, 0])]);
    assert_eq!(answer.error(), (400, None));
    assert_eq!(answer.to, address(CLIENT));
}

#[test]
fn unknown_attributes_are_named_before_anything_else_is_said() {
    let answer = asked(&[(CHANGE_REQUEST, b""), (0x7F01, b"")]);
    assert_eq!(answer.error(), (420, Some(vec![0x7F, 0x01])));
}

#[test]
fn no_answer_to_a_datagram_is_more_than_4_times_its_request() {
    let mut with_everything = settings();
    with_everything.fingerprint = true;
    with_everything.mapped_address = true;
    for settings in [settings(), with_everything] {
        for client in [from(CLIENT), from(CLIENT_V6)] {
            for length in (0..1600).step_by(4) {
                for kind in [PADDING, 0x8022] {
                    let request = stun(BINDING, &[(kind, &vec![0; length])]);
                    let answer = answered(&request, &client, &settings);
                    assert!(answer.attribute(OTHER_ADDRESS).is_some());
                }
            }
        }
    }
}

#[test]
fn a_short_request_over_ipv6_learns_what_matters_most() {
    let settings = settings();
    let answer = answered(&stun(BINDING, &[]), &from(CLIENT_V6), &settings);
    assert_eq!(answer.kinds(), [XOR_MAPPED_ADDRESS, OTHER_ADDRESS]);
    let request = stun(BINDING, &[(CHANGE_REQUEST, CHANGE_IP)]);
    let answer = answered(&request, &from(CLIENT_V6), &settings);
    assert_eq!(
        answer.kinds(),
        [XOR_MAPPED_ADDRESS, OTHER_ADDRESS, RESPONSE_ORIGIN]
    );
    assert_eq!(
        answer.attribute(RESPONSE_ORIGIN),
        plain("[2001:db8::2]:3478")
    );
    let request = stun(BINDING, &[(0x8022, b"a name")]);
    let answer = answered(&request, &from(CLIENT_V6), &settings);
    assert_eq!(answer.kinds().len(), 4, "32 bytes are enough for all");
}

#[test]
fn a_setting_adds_software_where_there_is_room() {
    let mut settings = settings();
    settings.software = true;
    let short = stun(BINDING, &[]);
    let answer = answered(&short, &from(CLIENT_V6), &settings);
    assert_eq!(
        answer.kinds(),
        [XOR_MAPPED_ADDRESS, OTHER_ADDRESS, SOFTWARE]
    );
    settings.fingerprint = true;
    let answer = answered(&short, &from(CLIENT_V6), &settings);
    assert_eq!(answer.attribute(SOFTWARE), None, "FINGERPRINT comes first");
    let alone = Settings {
        software: true,
        ..Settings::default()
    };
    let answer = answered(&stun(BINDING, &[]), &from(CLIENT), &alone);
    assert_eq!(answer.attribute(SOFTWARE), Some(b"Ferryman".to_vec()));
}

#[test]
fn a_setting_adds_mapped_address_everywhere() {
    let settings = Settings {
        mapped_address: true,
        ..Settings::default()
    };
    for client in [CLIENT, CLIENT_V6] {
        let answer = answered(&stun(BINDING, &[]), &from(client), &settings);
        assert_eq!(answer.kinds(), [XOR_MAPPED_ADDRESS, MAPPED_ADDRESS]);
        assert_eq!(answer.attribute(MAPPED_ADDRESS), plain(client));
    }
}
