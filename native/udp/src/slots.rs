//! Where packets are received: slots for datagrams, and one region for bytes from streams.
//!
//! What is received stays in place until `clear`; a `Piece` names a part of it. Knows nothing of
//! what the bytes mean.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::BorrowedFd;

use crate::address::needs_scope;
use crate::fixed::Fixed;
use crate::mmsg::Intake;

/// How many datagrams (or trains of them) are held at once.
pub(crate) const SLOTS: usize = 128;
/// The longest datagram is 65,527 bytes; a train is no longer.
const STRIDE: usize = 65_536;
/// Bytes for streams.
const STREAM: usize = 1 << 20;

/// A part of what was received, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    start: u32,
    length: u32,
}

impl Piece {
    fn new(start: usize, length: usize) -> Self {
        // Both are below SLOTS * STRIDE + STREAM.
        Self {
            start: start as u32,
            length: length as u32,
        }
    }

    /// The part of this piece at a range that lies in it.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        debug_assert!(range.end <= self.length as usize);
        Self::new(self.start as usize + range.start, range.len())
    }

    pub(crate) fn length(self) -> usize {
        self.length as usize
    }
}

/// What one slot holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    /// The local address it was sent to, when the socket tells.
    pub(crate) local: Option<IpAddr>,
    train: Piece,
    segment: usize,
}

impl Arrival {
    /// The datagrams, in order; almost always one.
    pub(crate) fn datagrams(self) -> impl Iterator<Item = Piece> {
        let length = self.train.length();
        let count = if length == 0 {
            1
        } else {
            length.div_ceil(self.segment)
        };
        (0..count).map(move |index| {
            let start = index * self.segment;
            self.train.part(start..length.min(start + self.segment))
        })
    }
}

/// The slots and the stream region.
pub(crate) struct Slots {
    octets: Fixed<u8>,
    intake: Intake,
    filled: usize,
    streamed: usize,
}

impl Slots {
    pub(crate) fn new() -> Self {
        let octets = Fixed::new(SLOTS * STRIDE + STREAM);
        let intake = Intake::new(&octets, SLOTS, STRIDE);
        Self {
            octets,
            intake,
            filled: 0,
            streamed: 0,
        }
    }

    /// Forgets the bytes of streams alone.
    pub(crate) fn clear_streams(&mut self) {
        self.streamed = 0;
    }

    /// How many more datagrams there is room for.
    pub(crate) fn room(&self) -> usize {
        SLOTS - self.filled
    }

    /// Forgets everything received.
    pub(crate) fn clear(&mut self) {
        self.intake.ready(0..self.filled);
        self.filled = 0;
        self.streamed = 0;
    }

    /// Takes what waits at a datagram socket, as far as there is room; returns the slots filled.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<Range<usize>> {
        let first = self.filled;
        self.filled += self.intake.receive(socket, first)?;
        Ok(first..self.filled)
    }

    /// What a slot holds; `None` for a packet that nobody can answer: from a link-local address
    /// (the scope is not carried), sent to a broadcast or multicast address, or cut short.
    pub(crate) fn arrival(&self, slot: usize) -> Option<Arrival> {
        let letter = self.intake.letter(slot);
        let from = letter
            .from
            .decode()
            .filter(|from| !needs_scope(from.ip()))?;
        let local = match letter.beside.local {
            Some((_, false)) => return None,
            Some((ip, true)) => Some(ip),
            None => None,
        };
        if letter.truncated {
            return None;
        }
        let train = Piece::new(slot * STRIDE, letter.length);
        let segment = letter.beside.segment.unwrap_or(STRIDE);
        Some(Arrival {
            from,
            local,
            train,
            segment,
        })
    }

    /// Room for `length` bytes of a stream, if there is.
    pub(crate) fn stream_room(&mut self, length: usize) -> Option<&mut [u8]> {
        let start = SLOTS * STRIDE + self.streamed;
        self.octets.all_mut().get_mut(start..start + length)
    }

    /// Keeps the first `length` bytes of the room given out last.
    pub(crate) fn stream_keep(&mut self, length: usize) -> Piece {
        let piece = Piece::new(SLOTS * STRIDE + self.streamed, length);
        self.streamed += length;
        piece
    }

    /// The bytes of a piece.
    pub(crate) fn octets(&self, piece: Piece) -> &[u8] {
        &self.octets.all()[piece.start as usize..][..piece.length()]
    }
}
