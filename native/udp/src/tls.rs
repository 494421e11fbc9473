//! TLS on one connection (RFC 8446, RFC 5246): records in, octets out, and the other way round.
//!
//! Knows no socket and no TURN. Renegotiation does not exist here, and nothing is resumed, so that
//! a client leaves nothing behind.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use ferryman_flow::stream;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::ServerConfig;

use crate::connection;

/// What a record can hold (RFC 8446 §5.1).
const PLAINTEXT: usize = 16_384;
/// The longest record, with its header (RFC 5246 §6.2.3).
pub(crate) const RECORD: usize = PLAINTEXT + 2_048 + 5;
/// How much of a handshake may lie here unfinished: a hello and a short chain of certificates.
const UNFINISHED: usize = 2 * RECORD;
/// With so many octets of records in hand nothing more is encrypted: they leave in one piece.
const BATCH: usize = 64 << 10;
/// What a record adds to a message; when it is more, `encrypt` says so.
const OVERHEAD: usize = 64;

/// What a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// STUN messages and ChannelData.
    Messages,
    /// A peer's bytes (RFC 6062 §5.4), whatever they look like.
    Bytes,
}

impl Content {
    /// What goes into a record of its own; where octets begin with no message, as many of them as
    /// come.
    fn first(self, octets: &[u8]) -> &[u8] {
        if self == Self::Bytes {
            return &octets[..octets.len().min(PLAINTEXT)];
        }
        match stream::next(octets, octets.len()) {
            stream::Frame::Complete { consumed, .. } => &octets[..consumed],
            _ => &octets[..octets.len().min(BATCH)],
        }
    }
}

/// One connection's TLS.
pub(crate) struct Tls {
    machine: UnbufferedServerConnection,
    /// The beginning of a record, or of a handshake message in several.
    unfinished: Vec<u8>,
    /// Records to be sent, from `sent` on.
    records: Vec<u8>,
    sent: usize,
    /// The client has said that nothing more comes.
    pub(crate) ended: bool,
    /// The machine has given up, and must not be asked again.
    failed: bool,
}

impl Tls {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self {
            machine: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            unfinished: Vec::new(),
            records: Vec::new(),
            sent: 0,
            ended: false,
            failed: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.machine.is_handshaking()
    }

    /// Where in the room for `open` new octets are to be read to, behind what lies here already;
    /// the room before is for what they say.
    pub(crate) fn landing(&self) -> usize {
        RECORD + self.unfinished.len()
    }

    /// The records in hand.
    pub(crate) fn records(&self) -> &[u8] {
        &self.records[self.sent..]
    }

    /// So many octets of the records have been sent; memory that is free goes to `spare`.
    pub(crate) fn note_sent(&mut self, count: usize, spare: &mut Vec<Vec<u8>>) {
        self.sent += count;
        if self.sent == self.records.len() {
            self.sent = 0;
            connection::give_back(&mut self.records, spare);
        }
    }

    /// Takes `fresh` octets that lie in `room` from `landing` on, writes what they say to its
    /// beginning, and returns how long that is. What is to be sent for an answer, or as an alert,
    /// is in `records` then, also after an error.
    ///
    /// What is written never reaches what is still to be read: it is shorter than its records, and
    /// one record behind.
    pub(crate) fn open(&mut self, room: &mut [u8], fresh: usize) -> io::Result<usize> {
        if self.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let held = self.unfinished.len();
        room[RECORD..RECORD + held].copy_from_slice(&self.unfinished);
        let mut left = RECORD..RECORD + held + fresh;
        let length = self.process(room, &mut left);
        if length.is_err() {
            self.failed = true;
            self.collect_alert(&mut room[left.clone()]);
        }
        self.keep(&room[left]);
        if self.unfinished.len() > UNFINISHED {
            return Err(io::Error::other("a handshake message is too long"));
        }
        length
    }

    fn keep(&mut self, unfinished: &[u8]) {
        if unfinished.is_empty() {
            self.unfinished = Vec::new();
        } else {
            self.unfinished.clear();
            self.unfinished.extend_from_slice(unfinished);
        }
    }

    fn process(&mut self, room: &mut [u8], left: &mut Range<usize>) -> io::Result<usize> {
        let mut length = 0;
        loop {
            let (before, records) = room.split_at_mut(left.start);
            let UnbufferedStatus { discard, state, .. } =
                self.machine.process_tls_records(&mut records[..left.len()]);
            left.start += discard;
            match state.map_err(io::Error::other)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record.map_err(io::Error::other)?.payload;
                        before[length..length + payload.len()].copy_from_slice(payload);
                        length += payload.len();
                    }
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    encode(&mut message, &mut self.records)?;
                }
                ConnectionState::TransmitTlsData(message) => message.done(),
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => break,
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    self.ended = true;
                    break;
                }
                // Early data, which is not offered, and what later versions may bring.
                _ => return Err(io::ErrorKind::Unsupported.into()),
            }
        }
        Ok(length)
    }

    /// After an error: the alert that says so, if there is one.
    fn collect_alert(&mut self, unread: &mut [u8]) {
        while self.machine.wants_write() {
            match self.machine.process_tls_records(unread).state {
                Ok(ConnectionState::ReadTraffic(mut last)) => while last.next_record().is_some() {},
                Ok(ConnectionState::EncodeTlsData(mut alert)) => {
                    if encode(&mut alert, &mut self.records).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Encrypts the beginning of `octets` into `records` and returns how much of them that was.
    /// WouldBlock before the handshake is over.
    ///
    /// Each message has a record of its own: there are clients that take what they read at once
    /// for one message, as coturn's own does. Where there are none, records are as long as they
    /// can be.
    pub(crate) fn seal(
        &mut self,
        octets: &[u8],
        content: Content,
        spare: &mut Vec<Vec<u8>>,
    ) -> io::Result<usize> {
        if self.records.capacity() == 0 {
            self.records = spare.pop().unwrap_or_default();
        }
        let mut taken = 0;
        self.write(|traffic, records| {
            while taken < octets.len() && records.len() < BATCH {
                let part = content.first(&octets[taken..]);
                encrypt(traffic, part, records)?;
                taken += part.len();
            }
            Ok(())
        })?;
        Ok(taken)
    }

    /// Says that nothing more comes, unless the handshake is not over.
    pub(crate) fn finish(&mut self) {
        let _ = self.write(|traffic, records| {
            grow(records, OVERHEAD, |room| traffic.queue_close_notify(room))
        });
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // The machine looks for the beginning of a message where it saw it last.
        let mut unfinished = mem::take(&mut self.unfinished);
        let result = self.write_beside(&mut unfinished, write);
        self.unfinished = unfinished;
        let not_yet = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.failed |= result.as_ref().is_err_and(|error| !not_yet(error));
        result
    }

    fn write_beside(
        &mut self,
        unfinished: &mut Vec<u8>,
        write: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let UnbufferedStatus { discard, state, .. } =
                self.machine.process_tls_records(unfinished);
            match state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return write(&mut traffic, &mut self.records);
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    encode(&mut message, &mut self.records)?;
                }
                ConnectionState::TransmitTlsData(message) => message.done(),
                ConnectionState::BlockedHandshake => return Err(io::ErrorKind::WouldBlock.into()),
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            unfinished.drain(..discard);
        }
    }
}

/// Appends a message of the handshake, or an alert.
fn encode(
    message: &mut EncodeTlsData<'_, ServerConnectionData>,
    records: &mut Vec<u8>,
) -> io::Result<()> {
    let start = records.len();
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
        message.encode(&mut [])
    else {
        return Ok(());
    };
    records.resize(start + required_size, 0);
    let written = message.encode(&mut records[start..]);
    written.map(drop).map_err(io::Error::other)
}

/// Appends the record of a message, or as many as it takes.
fn encrypt(
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    message: &[u8],
    records: &mut Vec<u8>,
) -> io::Result<()> {
    grow(records, message.len() + OVERHEAD, |room| {
        traffic.encrypt(message, room)
    })
}

/// Appends what `write` writes into a room of `guess` octets, or as many as it says it needs.
fn grow(
    records: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> io::Result<()> {
    let start = records.len();
    records.resize(start + guess, 0);
    let mut written = write(&mut records[start..]);
    if let Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) = written {
        records.resize(start + required_size, 0);
        written = write(&mut records[start..]);
    }
    let length = written.as_ref().map_or(0, |length| *length);
    records.truncate(start + length);
    written.map(drop).map_err(io::Error::other)
}
