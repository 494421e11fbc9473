//! The PROXY protocol (versions 1 and 2, as HAProxy's `proxy-protocol.txt` has them): what a front
//! end writes before a client's first octet, to say who that client is.
//!
//! Knows no socket, and not whom to believe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Version 2 begins with these (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 1 begins with these (§2.1).
const WORD: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, with its end.
const LINE: usize = 107;
/// The header of version 2 without the addresses.
const FIXED: usize = 16;
/// The longest header that is taken: more than addresses and what clouds add to them.
pub const PROXY_LIMIT: usize = 4096;

/// Whom a front end speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The client.
    pub client: SocketAddr,
    /// The front end's own address that the client has connected to.
    pub server: SocketAddr,
}

/// What the beginning of a connection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A whole header of so many octets. Without a client: the front end speaks for itself, as it
    /// does to see whether this server is alive.
    Complete(usize, Option<Announced>),
    /// The beginning of one: nothing of it belongs to what follows the header.
    NeedMore,
    /// No header, or one longer than `PROXY_LIMIT`.
    Bad,
}

/// What the octets of a connection begin with.
pub fn header_untrusted(octets: &[u8]) -> Header {
    if begins(octets, SIGNATURE) {
        binary(octets)
    } else if begins(octets, WORD) {
        text(octets)
    } else {
        Header::Bad
    }
}

/// Whether the octets, as far as they go, are those of `mark`.
fn begins(octets: &[u8], mark: &[u8]) -> bool {
    let length = octets.len().min(mark.len());
    octets[..length] == mark[..length]
}

fn binary(octets: &[u8]) -> Header {
    let Some(&[command, kind, l0, l1]) = octets.get(SIGNATURE.len()..FIXED) else {
        return Header::NeedMore;
    };
    let end = FIXED + usize::from(u16::from_be_bytes([l0, l1]));
    if end > PROXY_LIMIT {
        return Header::Bad;
    }
    let Some(addresses) = octets.get(FIXED..end) else {
        return Header::NeedMore;
    };
    match (command, kind) {
        // LOCAL, whatever is said besides; and PROXY for what has no address.
        (0x20, _) | (0x21, 0x00) => Header::Complete(end, None),
        (0x21, 0x11) => complete(end, pair(addresses, v4)),
        (0x21, 0x21) => complete(end, pair(addresses, v6)),
        _ => Header::Bad,
    }
}

/// Both IPs, then both ports; what follows them is of no concern here.
fn pair<const LENGTH: usize>(
    octets: &[u8],
    ip: impl Fn([u8; LENGTH]) -> IpAddr,
) -> Option<Announced> {
    let (client, rest) = octets.split_first_chunk()?;
    let (server, rest) = rest.split_first_chunk()?;
    let &[c0, c1, s0, s1] = rest.first_chunk()?;
    Some(Announced {
        client: address(ip(*client), u16::from_be_bytes([c0, c1])),
        server: address(ip(*server), u16::from_be_bytes([s0, s1])),
    })
}

fn v4(octets: [u8; 4]) -> IpAddr {
    Ipv4Addr::from(octets).into()
}

fn v6(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).into()
}

fn text(octets: &[u8]) -> Header {
    let line = &octets[..octets.len().min(LINE)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        let is_short = octets.len() < LINE;
        return if is_short {
            Header::NeedMore
        } else {
            Header::Bad
        };
    };
    let Some(words) = line[..end].strip_prefix(WORD) else {
        return Header::Bad;
    };
    let Ok(words) = std::str::from_utf8(words) else {
        return Header::Bad;
    };
    if words == "UNKNOWN" || words.starts_with("UNKNOWN ") {
        return Header::Complete(end + 2, None);
    }
    complete(end + 2, announced(words))
}

fn announced(words: &str) -> Option<Announced> {
    let words: Vec<&str> = words.split(' ').collect();
    let [family, client, server, client_port, server_port] = words[..] else {
        return None;
    };
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    Some(Announced {
        client: address(ip(client)?, port(client_port)?),
        server: address(ip(server)?, port(server_port)?),
    })
}

/// Digits alone: no sign.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// An IPv4 client stays one where IPv6 carries its address (RFC 4291 §2.5.5.2).
fn address(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

fn complete(end: usize, announced: Option<Announced>) -> Header {
    announced.map_or(Header::Bad, |who| Header::Complete(end, Some(who)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(client: &str, server: &str) -> Option<Announced> {
        Some(Announced {
            client: client.parse().unwrap_or_else(|_| panic!("{client}")),
            server: server.parse().unwrap_or_else(|_| panic!("{server}")),
        })
    }

    fn v2(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, kind], &length, rest].concat()
    }

    const TCP4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xC0, 0x00, 0x0D, 0x96];

    fn tcp6(client: &str) -> Vec<u8> {
        let ip = |text: &str| text.parse::<Ipv6Addr>().map(|ip| ip.octets());
        let ips = [ip(client), ip("2001:db8::2")].map(|ip| ip.unwrap_or_default());
        [&ips.concat()[..], &[0xC0, 0x00, 0x0D, 0x96]].concat()
    }

    /// Headers, each with what it says.
    fn headers() -> Vec<(Vec<u8>, Option<Announced>)> {
        let four = who("192.0.2.1:49152", "198.51.100.2:3478");
        let with_more = [&TCP4[..], &[0x04, 0x00, 0x01, 0x00]].concat();
        vec![
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 3478\r\n".to_vec(),
                four,
            ),
            (
                b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n".to_vec(),
                who("[2001:db8::1]:65535", "[2001:db8::2]:1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (
                b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
                None,
            ),
            (v2(0x21, 0x11, &TCP4), four),
            (v2(0x21, 0x11, &with_more), four),
            (
                v2(0x21, 0x21, &tcp6("2001:db8::1")),
                who("[2001:db8::1]:49152", "[2001:db8::2]:3478"),
            ),
            (
                v2(0x21, 0x21, &tcp6("::ffff:192.0.2.1")),
                who("192.0.2.1:49152", "[2001:db8::2]:3478"),
            ),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &TCP4), None),
            (v2(0x21, 0x00, &[]), None),
        ]
    }

    #[test]
    fn a_header_tells_who_the_client_is_and_ends_where_it_says() {
        for (header, expected) in headers() {
            let octets = [&header[..], b"\x00\x01 and so on"].concat();
            assert_eq!(
                header_untrusted(&octets),
                Header::Complete(header.len(), expected),
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_header_may_come_octet_by_octet() {
        for (header, _) in headers() {
            for end in 0..header.len() {
                assert_eq!(header_untrusted(&header[..end]), Header::NeedMore);
            }
        }
    }

    #[test]
    fn what_is_no_header_is_told_at_once() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
        let bad: Vec<Vec<u8>> = vec![
            b"\x00".to_vec(),
            b"\x00\x01\x00\x00\x21\x12\xa4\x42".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXX".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 49152\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 3478 9\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1  198.51.100.2 49152 3478\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.256 198.51.100.2 49152 3478\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 3478\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 +5 3478\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 -5 3478\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            b"PROXY\r\n".to_vec(),
            long,
            v2(0x11, 0x11, &TCP4),
            v2(0x22, 0x11, &TCP4),
            v2(0x21, 0x12, &TCP4),
            v2(0x21, 0x31, &[0; 216]),
            v2(0x21, 0x11, &TCP4[..11]),
            v2(0x21, 0x21, &TCP4),
            v2(0x20, 0x00, &[0; PROXY_LIMIT]),
        ];
        for octets in bad {
            assert_eq!(header_untrusted(&octets), Header::Bad, "{octets:?}");
        }
    }
}
