//! The most that a relay could do on this machine: a bare recvmmsg and sendmmsg loop without a
//! single check, in a thread on another core, under the same load as any server.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::batch::{Incoming, Outgoing};
use crate::flows;
use crate::lane::{Count, End, Lane, Shape};
use crate::options::Options;
use crate::poller::Poller;
use crate::pump;
use crate::relay;
use crate::sockets;
use crate::tally::Tally;
use crate::watch::{self, Clocks};
use crate::Trouble;

const CHANNEL: u16 = 0x4000;
const HEADER: usize = 4;
const ANY_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

/// The sockets of one flow: the load's two, and the relay's own.
struct BareFlow {
    client: UdpSocket,
    peer: UdpSocket,
    relay: UdpSocket,
}

/// Runs the bare relay and the load against it.
pub(crate) fn run(options: &Options) -> Result<String, Trouble> {
    sockets::allow_many_files();
    let listener = sockets::udp(ANY_PORT)?;
    let flows = (0..options.flows)
        .map(|_| open(&listener))
        .collect::<Result<Vec<_>, _>>()?;
    let stop = AtomicBool::new(false);
    let tally = thread::scope(|scope| {
        let (say, hear) = mpsc::channel();
        let (stop, core, relayed) = (&stop, options.core, &flows);
        let listener = &listener;
        scope.spawn(move || serve(listener, relayed, core, stop, &say));
        let tally = hear.recv().map(|thread| drive(options, &flows, thread));
        stop.store(true, Ordering::Relaxed);
        tally
    })??;
    Ok(tally.report("ceiling").finish())
}

/// The relay's thread: says which it is, then relays until it is stopped.
fn serve(
    listener: &UdpSocket,
    flows: &[BareFlow],
    core: usize,
    stop: &AtomicBool,
    say: &mpsc::Sender<u32>,
) {
    let relay = sockets::pin_thread(core).map(|()| BareRelay::new(listener, flows));
    if let Ok(Ok(mut relay)) = relay {
        let _ = say.send(sockets::thread_number());
        relay.run(stop);
    }
}

fn drive(options: &Options, flows: &[BareFlow], thread: u32) -> Result<Tally, Trouble> {
    let mut lanes = lanes(options, flows);
    let pace = relay::pace(options, lanes.len());
    let clock = || Clocks::read_with(options, watch::thread_cpu_used(thread));
    Ok(pump::pump(&mut lanes, pace, options, &clock))
}

fn open(listener: &UdpSocket) -> Result<BareFlow, Trouble> {
    let relay = sockets::udp(ANY_PORT)?;
    Ok(BareFlow {
        client: sockets::connected_udp(ANY_PORT, flows::address(listener)?)?,
        peer: sockets::connected_udp(ANY_PORT, flows::address(&relay)?)?,
        relay,
    })
}

fn lanes(options: &Options, flows: &[BareFlow]) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for flow in flows {
        if options.up() {
            lanes.push(lane(options, flow, lanes.len(), true));
        }
        if options.down() {
            lanes.push(lane(options, flow, lanes.len(), false));
        }
    }
    lanes
}

fn lane(options: &Options, flow: &BareFlow, number: usize, up: bool) -> Lane {
    let client = End::Datagrams(flow.client.as_raw_fd());
    let peer = End::Datagrams(flow.peer.as_raw_fd());
    let payload = vec![0x5A; options.size];
    let message = flows::channel_data(CHANNEL, &payload, false);
    let (sender, receiver, template, stamp_at, shape) = if up {
        (client, peer, message, HEADER, Shape::Bare)
    } else {
        (peer, client, payload, 0, Shape::Channel(CHANNEL))
    };
    Lane {
        number: number as u32,
        sender,
        receiver,
        template,
        stamp_at,
        shape,
        payload: options.size,
        train: 1,
        count: Count::default(),
    }
}

/// One flow as the bare relay knows it.
#[derive(Clone, Copy)]
struct Ways {
    relay: RawFd,
    peer: SocketAddrV4,
    client: SocketAddrV4,
}

/// Strips a header one way, writes one the other way, and asks no questions.
struct BareRelay {
    poller: Poller,
    listener: RawFd,
    ways: Vec<Ways>,
    /// The flow of each client port.
    of_port: Vec<u32>,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl BareRelay {
    fn new(listener: &UdpSocket, flows: &[BareFlow]) -> Result<Self, Trouble> {
        let mut relay = BareRelay {
            poller: Poller::new()?,
            listener: listener.as_raw_fd(),
            ways: Vec::with_capacity(flows.len()),
            of_port: vec![0; 1 << 16],
            incoming: Incoming::named(),
            outgoing: Outgoing::named(),
        };
        relay.poller.add(relay.listener, flows.len())?;
        for (number, flow) in flows.iter().enumerate() {
            relay.know(number, flow)?;
        }
        Ok(relay)
    }

    fn know(&mut self, number: usize, flow: &BareFlow) -> Result<(), Trouble> {
        let client = flows::address(&flow.client)?;
        let (relay, peer) = (flow.relay.as_raw_fd(), flows::address(&flow.peer)?);
        self.poller.add(relay, number)?;
        self.of_port[usize::from(client.port())] = number as u32;
        self.ways.push(Ways {
            relay,
            peer,
            client,
        });
        Ok(())
    }

    fn run(&mut self, stop: &AtomicBool) {
        let mut ready = Vec::with_capacity(256);
        while !stop.load(Ordering::Relaxed) {
            self.poller.wait(20, &mut ready);
            for &number in &ready {
                match self.ways.get(number) {
                    Some(&ways) => self.down(ways),
                    None => self.up(),
                }
            }
        }
    }

    /// One batch from clients; packets of one flow that stand together leave together.
    fn up(&mut self) {
        let count = self.incoming.receive(self.listener);
        let mut first = 0;
        for index in 0..count {
            let flow = self.flow(index);
            let payload = self.incoming.packet(index).get(HEADER..).unwrap_or(&[]);
            self.outgoing
                .slot(index, payload.len())
                .copy_from_slice(payload);
            self.outgoing.address(index, flow.peer);
            let last = index + 1 == count || self.flow(index + 1).relay != flow.relay;
            if last {
                self.outgoing
                    .send_from(flow.relay, first, index + 1 - first);
                first = index + 1;
            }
        }
    }

    fn flow(&self, index: usize) -> Ways {
        let port = usize::from(self.incoming.source_port(index));
        self.ways[self.of_port[port] as usize]
    }

    /// One batch from a peer.
    fn down(&mut self, ways: Ways) {
        let count = self.incoming.receive(ways.relay);
        for index in 0..count {
            let payload = self.incoming.packet(index);
            let slot = self.outgoing.slot(index, payload.len() + HEADER);
            slot[..2].copy_from_slice(&CHANNEL.to_be_bytes());
            slot[2..HEADER].copy_from_slice(&(payload.len() as u16).to_be_bytes());
            slot[HEADER..].copy_from_slice(payload);
            self.outgoing.address(index, ways.client);
        }
        self.outgoing.send(self.listener, count);
    }
}
