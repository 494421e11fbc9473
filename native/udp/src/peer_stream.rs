//! One peer's TCP connection (RFC 6062): what it has not taken yet, and how far it has come.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use ferryman_flow::Direction;

use crate::carrier::is_not_yet;
use crate::poller::Interest;

/// While so many bytes wait for one side, nothing is read from the other.
pub(crate) const JOINED_BACKLOG: usize = 64 << 10;

/// How far a peer's connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The peer has not answered.
    Connecting,
    /// No client has bound it: what the peer sends stays in the kernel, whose window closes.
    Pending,
    /// It is one stream each way with a client's connection, by its number.
    Joined(u64),
}

/// A peer's connection.
pub(crate) struct PeerStream {
    stream: TcpStream,
    pub(crate) allocation: u64,
    pub(crate) stage: Stage,
    /// The peer sends no more.
    pub(crate) ended: bool,
    /// The client sends no more: when all is written, the peer is told.
    pub(crate) finishing: bool,
    /// The peer has been told.
    pub(crate) finished: bool,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// What it is watched for.
    pub(crate) interest: Interest,
    /// Until when each direction waits for bandwidth, ns.
    pub(crate) opens_at: [u64; 2],
    backlog: Vec<u8>,
    written: usize,
}

impl PeerStream {
    pub(crate) fn new(stream: TcpStream, allocation: u64, stage: Stage) -> Self {
        Self {
            stream,
            allocation,
            stage,
            ended: false,
            finishing: false,
            finished: false,
            sent_bytes: 0,
            received_bytes: 0,
            interest: Interest::NONE,
            opens_at: [0; 2],
            backlog: Vec::new(),
            written: 0,
        }
    }

    /// Whether a direction waits for bandwidth.
    pub(crate) fn waits(&self, direction: Direction, now: u64) -> bool {
        self.opens_at[direction as usize] > now
    }

    /// Whether the attempt to connect has succeeded, now that it is over.
    pub(crate) fn has_connected(&self) -> bool {
        matches!(self.stream.take_error(), Ok(None)) && self.stream.peer_addr().is_ok()
    }

    /// Bytes of the peer; `None` when there are none yet, 0 at the end.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(room) {
            Ok(count) => Ok(Some(count)),
            Err(error) if is_not_yet(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many bytes wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len() - self.written
    }

    /// Whether the client has to wait before more is taken from it.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting() >= JOINED_BACKLOG
    }

    /// Writes as much as the kernel takes now and keeps the rest; it is bounded because nobody
    /// sends to a peer that is full.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.sent_bytes += octets.len() as u64;
        let mut octets = octets;
        if self.waiting() == 0 {
            octets = &octets[self.push(octets)?..];
        }
        self.backlog.extend_from_slice(octets);
        Ok(())
    }

    /// Writes what waits.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let backlog = std::mem::take(&mut self.backlog);
        let pushed = self.push(&backlog[self.written..]);
        self.backlog = backlog;
        self.written += pushed?;
        if self.waiting() == 0 {
            self.written = 0;
            self.backlog = Vec::new();
        }
        Ok(())
    }

    /// Tells the peer that no more will come, once everything is written.
    pub(crate) fn finish(&mut self) {
        if self.finishing && !self.finished && self.waiting() == 0 {
            // A peer that is gone is noticed elsewhere.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.finished = true;
        }
    }

    fn push(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < octets.len() {
            match self.stream.write(&octets[done..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl AsFd for PeerStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
