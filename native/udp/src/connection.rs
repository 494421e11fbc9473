//! One connection of a client: its unread beginning of a message, and what it has not taken yet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ferryman_flow::{FiveTuple, Transport};

use crate::carrier::{is_not_yet, Carrier};
use crate::poller::Interest;
use crate::tls::Content;

/// Relayed packets beyond so many waiting bytes are dropped.
pub(crate) const RELAYED_BACKLOG: usize = 256 << 10;
/// A client that lets so many bytes wait is not worth its memory.
const BACKLOG: usize = 512 << 10;
/// The same before there is an allocation: strangers may be many.
const PENDING_BACKLOG: usize = 32 << 10;
/// The longest message before there is an allocation, in bytes: no request is longer.
const PENDING_MESSAGE: usize = ferryman_flow::REQUEST_LIMIT;
/// The longest message a length field can tell.
const MESSAGE: usize = 65_535 + 20;
const PENDING_READ: usize = 4 << 10;
const READ: usize = 64 << 10;

/// What a connection is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing so far, since that instant.
    Pending { since: u64 },
    /// It carries an allocation.
    Owner,
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// STUN messages and ChannelData.
    Messages,
    /// It has asked for a peer's bytes (RFC 6062 §5.4) in this transaction: what follows the
    /// request may be STUN or data, which its answer will tell.
    Binding([u8; 12]),
    /// The bytes of this peer's connection.
    Joined(u64),
}

/// Where a connection is led to: the worker that has the peer's, and which that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leading {
    pub(crate) home: usize,
    pub(crate) peer: u64,
}

/// A connection of a client, over TCP or TLS.
pub(crate) struct Connection {
    pub(crate) carrier: Carrier,
    pub(crate) five_tuple: FiveTuple,
    pub(crate) standing: Standing,
    pub(crate) role: Role,
    /// It goes to another worker when it has been replied to.
    pub(crate) leading: Option<Leading>,
    /// The client sends no more (noted of joined connections only).
    pub(crate) ended: bool,
    /// The carrier has been given its word for the end, or has none.
    said_goodbye: bool,
    /// The client has been told that it will receive no more.
    pub(crate) finished: bool,
    /// It has sent a request that the engine has seen.
    pub(crate) asked: bool,
    /// Its next message has no room in the queue; nothing is read until then.
    pub(crate) paused: bool,
    /// It is to be looked at before the turn ends.
    pub(crate) dirty: bool,
    /// It is to be closed.
    pub(crate) doomed: bool,
    /// The kernel's buffer was full at the last attempt.
    stuck: bool,
    /// What it is watched for.
    pub(crate) interest: Interest,
    rest: Vec<u8>,
    backlog: Vec<u8>,
    written: usize,
}

impl Connection {
    pub(crate) fn new(carrier: impl Into<Carrier>, five_tuple: FiveTuple, now: u64) -> Self {
        Self {
            carrier: carrier.into(),
            five_tuple,
            standing: Standing::Pending { since: now },
            role: Role::Messages,
            leading: None,
            ended: false,
            said_goodbye: false,
            finished: false,
            asked: false,
            paused: false,
            dirty: false,
            doomed: false,
            stuck: false,
            interest: Interest::READ,
            rest: Vec::new(),
            backlog: Vec::new(),
            written: 0,
        }
    }

    /// The longest message taken now.
    pub(crate) fn message_limit(&self) -> usize {
        match self.standing {
            Standing::Pending { .. } => PENDING_MESSAGE,
            Standing::Owner => MESSAGE,
        }
    }

    /// How many bytes may wait before the connection is given up.
    fn backlog_limit(&self) -> usize {
        match self.standing {
            Standing::Pending { .. } => PENDING_BACKLOG,
            Standing::Owner => BACKLOG,
        }
    }

    /// How much room `read` needs.
    pub(crate) fn room_to_read(&self) -> usize {
        let fresh = match self.standing {
            Standing::Pending { .. } => PENDING_READ,
            Standing::Owner => READ,
        };
        self.rest.len() + self.carrier.room_to_read(fresh)
    }

    /// How much room `read` needs to bring not much more than `limit` bytes.
    pub(crate) fn room_to_read_at_most(&self, limit: usize) -> usize {
        self.rest.len() + self.carrier.room_to_read(READ.min(limit))
    }

    /// What was left over and what has come since; returns their length, and whether something
    /// came. `Ok` with nothing new means that nothing is there yet.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> io::Result<(usize, bool)> {
        let kept = self.recall(room);
        let read = self.carrier.read(&mut room[kept..]);
        if self.carrier.is_tls() {
            self.five_tuple.transport = Transport::Tls;
        }
        match read {
            Ok(count) => Ok((kept + count, count > 0)),
            Err(error) if is_not_yet(&error) => Ok((kept, false)),
            Err(error) => Err(error),
        }
    }

    /// What was left over alone; returns its length.
    pub(crate) fn recall(&self, room: &mut [u8]) -> usize {
        room[..self.rest.len()].copy_from_slice(&self.rest);
        self.rest.len()
    }

    /// Keeps what is left over this time.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.rest = Vec::new();
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(rest);
        }
    }

    /// What was left over, which is data and no message.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    /// Tells the client, when all is written, that no more will come, and goes on reading.
    pub(crate) fn end_writing(&mut self) {
        if self.finished || self.waiting() > 0 {
            return;
        }
        if !self.said_goodbye {
            self.said_goodbye = true;
            self.finish();
        }
        if self.waiting() == 0 {
            self.carrier.shut_down();
            self.finished = true;
        }
    }

    /// Whether nothing is read from it for now.
    pub(crate) fn is_held(&self) -> bool {
        self.paused || matches!(self.role, Role::Binding(_))
    }

    /// How many bytes wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len() - self.written + self.carrier.waiting()
    }

    /// Appends to what is to be written; `spare` gives memory where there is none.
    pub(crate) fn append(&mut self, parts: [&[u8]; 3], spare: &mut Vec<Vec<u8>>) {
        if self.backlog.capacity() == 0 {
            self.backlog = spare.pop().unwrap_or_default();
        }
        for part in parts {
            self.backlog.extend_from_slice(part);
        }
        self.doomed |= self.waiting() > self.backlog_limit();
    }

    /// Whether a relayed packet is dropped rather than made to wait; tries to write first.
    pub(crate) fn is_behind(&mut self, length: usize, spare: &mut Vec<Vec<u8>>) -> bool {
        if self.waiting() + length > RELAYED_BACKLOG {
            self.try_write(spare);
        }
        self.waiting() + length > RELAYED_BACKLOG
    }

    /// The kernel takes bytes again.
    pub(crate) fn unstick(&mut self) {
        self.stuck = false;
    }

    /// Writes what the kernel takes, unless it is known to take nothing; a connection that is
    /// gone is doomed.
    pub(crate) fn try_write(&mut self, spare: &mut Vec<Vec<u8>>) {
        if !self.stuck {
            self.write(spare);
        }
    }

    fn write(&mut self, spare: &mut Vec<Vec<u8>>) {
        let content = self.content();
        while self.waiting() > 0 {
            let octets = &self.backlog[self.written..];
            match self.carrier.write(octets, content, spare) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => {
                    self.stuck = true;
                    self.shift();
                    return;
                }
                _ => {
                    self.doomed = true;
                    return;
                }
            }
        }
        self.written = 0;
        give_back(&mut self.backlog, spare);
    }

    fn content(&self) -> Content {
        match self.role {
            Role::Joined(_) => Content::Bytes,
            Role::Messages | Role::Binding(_) => Content::Messages,
        }
    }

    /// Moves what waits to the front, so that the vector cannot grow beyond what waits.
    fn shift(&mut self) {
        self.backlog.drain(..self.written);
        self.written = 0;
    }

    /// Says that nothing more comes, where the carrier has a word for it, and writes what waits.
    pub(crate) fn finish(&mut self) {
        self.carrier.finish();
        self.try_write(&mut Vec::new());
    }

    /// What it should be watched for, if that is not what it is watched for.
    pub(crate) fn new_interest(&mut self) -> Option<Interest> {
        let wanted = Interest {
            read: !self.is_held(),
            write: self.waiting() > 0,
        };
        let changed = wanted != self.interest;
        self.interest = wanted;
        changed.then_some(wanted)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.carrier.as_fd()
    }
}

/// Gives memory that holds nothing any more to others.
pub(crate) fn give_back(memory: &mut Vec<u8>, spare: &mut Vec<Vec<u8>>) {
    const SPARES: usize = 16;
    let mut memory = std::mem::take(memory);
    if memory.capacity() > 0 && memory.capacity() <= 2 * BACKLOG && spare.len() < SPARES {
        memory.clear();
        spare.push(memory);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_slow_reader_costs_no_more_than_the_backlog() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = connection(listener.accept().unwrap().0);
        connection.standing = Standing::Owner;
        let (mut spare, packet, mut sink) = (Vec::new(), [0; 8192], vec![0; 8192]);
        for _ in 0..10_000 {
            if connection.is_behind(packet.len(), &mut spare) {
                client.read_exact(&mut sink).unwrap();
                connection.unstick();
            } else {
                connection.append([&packet, &[], &[]], &mut spare);
            }
            assert!(connection.waiting() <= RELAYED_BACKLOG);
            assert!(connection.backlog.capacity() <= 2 * RELAYED_BACKLOG);
        }
        assert!(!connection.doomed);
    }

    #[test]
    fn a_stranger_who_never_reads_is_given_up_long_before_an_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection = connection(listener.accept().unwrap().0);
        let mut spare = Vec::new();
        connection.append([&[0; PENDING_BACKLOG], &[], &[]], &mut spare);
        assert!(!connection.doomed);
        connection.append([&[0; 1], &[], &[]], &mut spare);
        assert!(connection.doomed);
    }

    fn connection(stream: TcpStream) -> Connection {
        stream.set_nonblocking(true).unwrap();
        let five_tuple = FiveTuple {
            transport: Transport::Tcp,
            client: stream.peer_addr().unwrap(),
            server: stream.local_addr().unwrap(),
            socket: 1,
        };
        Connection::new(stream, five_tuple, 0)
    }
}
