//! Binding requests answered a second (RFC 8489 §2), many under way on several sockets.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use crate::lane::{Count, End, Lane, Shape, STAMP};
use crate::options::Options;
use crate::pump::{self, Pace};
use crate::sockets;
use crate::stun::{self, Writer};
use crate::watch::Clocks;
use crate::Trouble;

const WINDOW: u32 = 32;

/// Asks, counts the answers.
pub(crate) fn run(options: &Options) -> Result<String, Trouble> {
    let any_port = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let sockets = (0..options.sockets)
        .map(|_| sockets::connected_udp(any_port, options.server))
        .collect::<Result<Vec<_>, _>>()?;
    let mut lanes: Vec<Lane> = sockets
        .iter()
        .enumerate()
        .map(|(number, socket)| lane(number as u32, socket.as_raw_fd()))
        .collect();
    let pace = match options.rate {
        Some(rate) => Pace::Rate(rate),
        None => Pace::Window {
            packets: options.window.unwrap_or(WINDOW),
            burst: options.burst.unwrap_or(4).max(1),
            in_all: u32::MAX,
        },
    };
    let tally = pump::pump(&mut lanes, pace, options, &|| Clocks::read(options));
    if tally.received == 0 {
        return Err("no Binding answer".into());
    }
    Ok(tally.report("binding").finish())
}

fn lane(number: u32, socket: i32) -> Lane {
    Lane {
        number,
        sender: End::Datagrams(socket),
        receiver: End::Datagrams(socket),
        template: Writer::new(stun::BINDING, [0; STAMP]).finish(),
        stamp_at: stun::TRANSACTION,
        shape: Shape::Binding,
        payload: STAMP,
        train: 1,
        count: Count::default(),
    }
}
