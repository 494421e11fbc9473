//! Opens the allocations of a relay load, each with its permission and channel, and lays the
//! lanes through them.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::rc::Rc;

use crate::dialogue::{Account, Aim};
use crate::fleet::{Client, Ended, Fleet, Path};
use crate::lane::{Count, End, Lane, Shape, STAMP};
use crate::options::{Options, Transport};
use crate::sockets;
use crate::stream::{Carrier, StreamEnd};
use crate::stun::{self, Reader, Writer};
use crate::tls;
use crate::Trouble;

/// Clients that are being set up at once.
const IN_FLIGHT: usize = 32;
/// An earlier run's allocation still lives on the port that this client got.
const MISMATCH: u16 = 437;

/// A client with its peer; keeps their sockets open.
pub(crate) struct Flow {
    pub(crate) client: Client,
    pub(crate) peer: UdpSocket,
    channel: u16,
}

/// The account that the command line names.
pub(crate) fn account(options: &Options) -> Account {
    Account {
        user: options.user.clone(),
        password: options.password.clone(),
        realm: options.realm.clone(),
    }
}

/// Launches `count` clients and waits until all have what they want; in the order of numbers.
pub(crate) fn open_all(
    options: &Options,
    count: usize,
    aim: impl Fn(usize) -> Aim,
) -> Result<Vec<Client>, Trouble> {
    sockets::allow_many_files();
    let mut fleet = Fleet::new(account(options), IN_FLIGHT)?;
    let mut clients = Vec::with_capacity(count);
    let mut waiting: Vec<usize> = (0..count).rev().collect();
    while clients.len() < count {
        while fleet.has_room() {
            let Some(number) = waiting.pop() else { break };
            fleet.launch(number, path(options)?, aim(number))?;
        }
        for ended in fleet.turn(100)? {
            match ended {
                Ended::Finished(client) => clients.push(client),
                Ended::Refused(client, MISMATCH) => waiting.push(client.number),
                Ended::Refused(_, code) => return Err(format!("the server refused: {code}").into()),
            }
        }
    }
    clients.sort_by_key(|client| client.number);
    Ok(clients)
}

/// Gives the allocations back; a server that refuses keeps them until they expire.
pub(crate) fn close(options: &Options, flows: Vec<Flow>) -> Result<(), Trouble> {
    let mut fleet = Fleet::new(account(options), IN_FLIGHT)?;
    let mut clients = flows.into_iter().map(|flow| flow.client);
    loop {
        while fleet.has_room() {
            let Some(client) = clients.next() else { break };
            fleet.release(client)?;
        }
        if fleet.in_flight == 0 {
            return Ok(());
        }
        fleet.turn(100)?;
    }
}

fn path(options: &Options) -> Result<Path, Trouble> {
    let any_port = SocketAddrV4::new(options.client, 0);
    Ok(match options.transport {
        Transport::Udp => Path::Udp(sockets::connected_udp(any_port, options.server)?),
        Transport::Tcp => Path::Tcp(sockets::tcp(options.server)?, Vec::new()),
        Transport::Tls => Path::Tls(tls::connect(options.server)?, Vec::new()),
    })
}

/// Opens the flows: allocation, permission, and channel if channels are asked for.
pub(crate) fn open(options: &Options) -> Result<Vec<Flow>, Trouble> {
    let any_port = SocketAddrV4::new(options.peer, 0);
    let peers = (0..options.flows)
        .map(|_| sockets::udp(any_port))
        .collect::<Result<Vec<_>, _>>()?;
    let addresses = peers.iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let clients = open_all(options, options.flows, |number| Aim {
        peer: Some((
            addresses[number],
            options.channels.then_some(channel(number)),
        )),
        release: false,
    })?;
    clients
        .into_iter()
        .zip(peers)
        .map(|(client, peer)| join(client, peer))
        .collect()
}

/// RFC 8656 §12: 0x4000 to 0x4FFF; each allocation has its own, so numbers may repeat.
fn channel(number: usize) -> u16 {
    0x4000 + (number % 0x1000) as u16
}

/// The peer talks to the relayed address alone.
fn join(client: Client, peer: UdpSocket) -> Result<Flow, Trouble> {
    peer.connect(client.relayed()?)?;
    let channel = channel(client.number);
    Ok(Flow {
        client,
        peer,
        channel,
    })
}

pub(crate) fn address(socket: &UdpSocket) -> Result<SocketAddrV4, Trouble> {
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err("not an IPv4 socket".into()),
    }
}

/// The lanes through these flows, in the directions asked for.
pub(crate) fn lanes(options: &Options, flows: &[Flow]) -> Result<Vec<Lane>, Trouble> {
    if options.notes() {
        for flow in flows {
            sockets::note_arrivals(flow.peer.as_raw_fd(), options.train > 1)?;
            if !options.transport.is_stream() {
                sockets::note_arrivals(flow.client.path.socket(), options.train > 1)?;
            }
        }
    }
    let mut lanes = Vec::new();
    for flow in flows {
        if options.up() {
            lanes.push(up(options, flow, lanes.len() as u32)?);
        }
        if options.down() {
            lanes.push(down(options, flow, lanes.len() as u32));
        }
    }
    Ok(lanes)
}

fn up(options: &Options, flow: &Flow, number: u32) -> Result<Lane, Trouble> {
    let payload = vec![0x5A; options.size];
    let (template, stamp_at) = if options.channels {
        (
            channel_data(flow.channel, &payload, options.transport.is_stream()),
            4,
        )
    } else {
        send_indication(address(&flow.peer)?, &payload)?
    };
    Ok(Lane {
        number,
        sender: client_end(flow),
        receiver: End::Datagrams(flow.peer.as_raw_fd()),
        template,
        stamp_at,
        shape: Shape::Bare,
        payload: options.size,
        train: options.train,
        count: Count::default(),
    })
}

fn down(options: &Options, flow: &Flow, number: u32) -> Lane {
    let shape = if options.channels {
        Shape::Channel(flow.channel)
    } else {
        Shape::Indication
    };
    Lane {
        number,
        sender: End::Datagrams(flow.peer.as_raw_fd()),
        receiver: client_end(flow),
        template: vec![0x5A; options.size],
        stamp_at: 0,
        shape,
        payload: options.size,
        train: options.train,
        count: Count::default(),
    }
}

fn client_end(flow: &Flow) -> End {
    let socket = flow.client.path.socket();
    match &flow.client.path {
        Path::Udp(_) => End::Datagrams(socket),
        Path::Tcp(..) => End::Stream(StreamEnd::new(Carrier::Plain(socket))),
        Path::Tls(tls, _) => End::Stream(StreamEnd::new(Carrier::Tls(Rc::clone(tls)))),
    }
}

/// A ChannelData message, RFC 8656 §12.4; padded over TCP only (§12.5).
pub(crate) fn channel_data(number: u16, payload: &[u8], padded: bool) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    message.extend_from_slice(payload);
    if padded {
        message.resize(message.len().next_multiple_of(4), 0);
    }
    message
}

/// A Send indication, RFC 8656 §11.1, and where its payload starts.
fn send_indication(peer: SocketAddrV4, payload: &[u8]) -> Result<(Vec<u8>, usize), Trouble> {
    let message = Writer::new(stun::SEND_INDICATION, [0xA5; STAMP])
        .attribute(stun::XOR_PEER_ADDRESS, &stun::xor_address(peer))
        .attribute(stun::DATA, payload)
        .finish();
    let data = Reader::read_untrusted(&message).and_then(|message| message.position(stun::DATA));
    let start = data.ok_or("a Send indication without DATA")?.start;
    Ok((message, start))
}
