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

/// How often a message is tried in the face of errors that speak of others.
const TRIES: usize = 8;

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
        let mut tries = 0;
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
                Err(error) if may_be_old(&error, tries) => {
                    tries += 1;
                    continue;
                }
                Err(error) => {
                    total += self.refused(&error, socket, datagrams, &order[..first.count]);
                    (1, first.count)
                }
            };
            tries = 0;
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

/// A socket with an error queue answers a call also with what became of an earlier datagram; taken
/// once, it is gone, and this one may pass. "Refused" is never said of the datagram at hand, but its
/// fellows may bring that again and again.
fn may_be_old(error: &io::Error, tries: usize) -> bool {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => tries < TRIES,
        _ => tries == 0,
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::batch_out::{Route, Via};

    const V4: &str = "192.0.2.1:9";
    const V6: &str = "[2001:db8::1]:9";

    /// A train of `count` datagrams of `first` bytes, the last one `short` bytes shorter.
    fn train(to: &str, count: usize, first: usize, short: usize) -> Message {
        Message {
            to: address(to),
            source: None,
            first,
            count,
            length: count * first - short,
            parts: 0..0,
        }
    }

    fn joins(train: &Message, to: &str, source: Option<IpAddr>, length: usize) -> bool {
        let route = Route {
            via: Via::Listener(0),
            to: address(to),
            source,
        };
        let body = vec![0; length];
        takes(
            train,
            &Datagram {
                route: &route,
                head: &[],
                body: &body,
                padding: &[],
            },
        )
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_train_is_what_the_kernel_can_cut_again() {
        let rows = [
            (true, train(V4, 1, 160, 0), V4, 160, "equal datagrams"),
            (
                true,
                train(V4, 5, 160, 0),
                V4,
                1,
                "the last one may be shorter",
            ),
            (
                false,
                train(V4, 5, 160, 3),
                V4,
                160,
                "but only the last one",
            ),
            (false, train(V4, 5, 160, 3), V4, 1, "whatever follows it"),
            (false, train(V4, 1, 160, 0), V4, 161, "none may be longer"),
            (
                false,
                train(V4, 1, 160, 0),
                V4,
                0,
                "an empty one would vanish",
            ),
            (false, train(V4, 1, 0, 0), V4, 0, "also the first one"),
            (
                false,
                train(V4, 1, 160, 0),
                "192.0.2.1:10",
                160,
                "another port",
            ),
            (
                false,
                train(V4, 1, 160, 0),
                "192.0.2.2:9",
                160,
                "another address",
            ),
            (
                true,
                train(V4, 63, 160, 0),
                V4,
                160,
                "as many as all kernels cut",
            ),
            (false, train(V4, 64, 160, 0), V4, 160, "one more"),
            (true, train(V4, 1, 1472, 0), V4, 1472, "Ethernet frames"),
            (false, train(V4, 1, 1473, 0), V4, 1473, "fragments"),
            (
                true,
                train(V6, 1, 1452, 0),
                V6,
                1452,
                "Ethernet frames, IPv6",
            ),
            (false, train(V6, 1, 1453, 0), V6, 1453, "fragments, IPv6"),
            (
                true,
                train(V4, 43, 1472, 0),
                V4,
                1472,
                "up to the longest packet",
            ),
            (false, train(V4, 44, 1472, 0), V4, 1472, "and not beyond"),
        ];
        for (expected, train, to, length, why) in rows {
            assert_eq!(joins(&train, to, None, length), expected, "{why}");
        }
        let source = Some(address(V4).ip());
        assert!(
            !joins(&train(V4, 1, 160, 0), V4, source, 160),
            "another source"
        );
    }
}
