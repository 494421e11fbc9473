//! Sending the datagrams of one socket: as few calls as possible, and trains of equal datagrams
//! to one address as one message that the kernel cuts (`UDP_SEGMENT`).
//!
//! A datagram that the kernel refuses costs no other; a socket without room costs all the rest.

use std::io::{self, IoSlice};
use std::mem;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::os::fd::BorrowedFd;

use crate::batch_out::{Datagram, Datagrams};
use crate::mmsg::{Message, Outlet};

/// What came of sending, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    /// The socket or the device had no room.
    pub(crate) no_room: u64,
    /// The kernel refused this one: no route, forbidden, too long.
    pub(crate) refused: u64,
}

impl Sent {
    pub(crate) fn refused(count: usize) -> Self {
        Self {
            refused: count as u64,
            ..Self::default()
        }
    }
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.no_room += other.no_room;
        self.refused += other.refused;
    }
}

/// A train is no longer than an IP packet's length field allows, headers included.
const TRAIN_LIMIT: usize = 65_000;
/// The kernel cuts at most so many (Linux 4.18; later ones more).
const TRAIN_COUNT: usize = 64;
/// What fits into an Ethernet frame; longer datagrams become fragments, which are never cut so.
const SEGMENT_LIMIT_V4: usize = 1472;
const SEGMENT_LIMIT_V6: usize = 1452;

/// What is needed to send, kept from flush to flush.
pub(crate) struct Post {
    outlet: Outlet,
    trains: bool,
    parts: Vec<IoSlice<'static>>,
    messages: Vec<Message>,
}

impl Post {
    /// `trains`: whether the kernel can cut them.
    pub(crate) fn new(trains: bool) -> Self {
        Self {
            outlet: Outlet::new(),
            trains,
            parts: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Sends datagrams, in this order, through one socket.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        datagrams: Datagrams<'_>,
        order: &[u32],
    ) -> Sent {
        let mut parts = recycled(mem::take(&mut self.parts));
        let mut messages = mem::take(&mut self.messages);
        gather(datagrams, order, self.trains, &mut parts, &mut messages);
        let sent = self.dispatch(socket, datagrams, order, &parts, &messages);
        messages.clear();
        self.messages = messages;
        self.parts = recycled(parts);
        sent
    }

    fn dispatch(
        &mut self,
        socket: BorrowedFd<'_>,
        datagrams: Datagrams<'_>,
        mut order: &[u32],
        parts: &[IoSlice<'_>],
        mut messages: &[Message],
    ) -> Sent {
        let mut total = Sent::default();
        while let Some(first) = messages.first() {
            let taken = match self.outlet.send(socket, messages, parts) {
                Ok(count) => {
                    let sent = datagrams_of(&messages[..count]);
                    total.sent += sent as u64;
                    (count, sent)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_full(&error) => {
                    total.no_room += order.len() as u64;
                    return total;
                }
                Err(error) => {
                    total += self.refused(&error, socket, datagrams, &order[..first.count]);
                    (1, first.count)
                }
            };
            messages = &messages[taken.0..];
            order = &order[taken.1..];
        }
        total
    }

    /// One message was refused: a train may still pass datagram by datagram.
    fn refused(
        &mut self,
        error: &io::Error,
        socket: BorrowedFd<'_>,
        datagrams: Datagrams<'_>,
        order: &[u32],
    ) -> Sent {
        if order.len() == 1 {
            return Sent::refused(1);
        }
        // This is how a device without checksums in hardware refuses every train.
        let ever_again = error.raw_os_error() != Some(libc::EIO);
        self.trains = false;
        let sent = self.send(socket, datagrams, order);
        self.trains = ever_again;
        sent
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)
    )
}

fn datagrams_of(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.count).sum()
}

fn gather<'a>(
    datagrams: Datagrams<'a>,
    order: &[u32],
    trains: bool,
    parts: &mut Vec<IoSlice<'a>>,
    messages: &mut Vec<Message>,
) {
    for index in order {
        let datagram = datagrams.get(*index);
        let start = parts.len();
        datagram.push_onto(parts);
        match messages.last_mut() {
            Some(train) if trains && takes(train, &datagram) => {
                train.count += 1;
                train.length += datagram.length();
                train.parts.end = parts.len();
            }
            _ => messages.push(Message {
                to: datagram.route.to,
                source: datagram.route.source,
                first: datagram.length(),
                count: 1,
                length: datagram.length(),
                parts: start..parts.len(),
            }),
        }
    }
}

/// Whether a datagram can be the next one of a train: all are as long as the first, and only the
/// last may be shorter.
fn takes(train: &Message, datagram: &Datagram<'_>) -> bool {
    let length = datagram.length();
    let limit = match train.to {
        SocketAddr::V4(_) => SEGMENT_LIMIT_V4,
        SocketAddr::V6(_) => SEGMENT_LIMIT_V6,
    };
    train.to == datagram.route.to
        && train.source == datagram.route.source
        && train.length == train.count * train.first
        && (1..=train.first).contains(&length)
        && train.first <= limit
        && train.count < TRAIN_COUNT
        && train.length + length <= TRAIN_LIMIT
}

/// An empty vector of another lifetime in the same memory.
fn recycled<'b>(mut parts: Vec<IoSlice<'_>>) -> Vec<IoSlice<'b>> {
    parts.clear();
    parts.into_iter().map(|_| IoSlice::new(&[])).collect()
}
