//! Packets over a TCP or TLS connection (RFC 8656 §12.5: ChannelData padded to four bytes; STUN
//! messages as they are). Knows where a message ends, not what is in it.

use std::os::fd::RawFd;

use crate::tls::SharedTls;

/// Bytes of one read or write, and more than any message has.
const ROOM: usize = 128 << 10;

/// What carries the octets.
pub(crate) enum Carrier {
    Plain(RawFd),
    Tls(SharedTls),
}

/// One direction of a connection.
pub(crate) struct StreamEnd {
    carrier: Carrier,
    octets: Vec<u8>,
    /// How many of `octets` hold something: bytes still to be sent, or the beginning of a
    /// message still to come.
    held: usize,
}

impl StreamEnd {
    pub(crate) fn new(carrier: Carrier) -> Self {
        StreamEnd {
            carrier,
            octets: vec![0; ROOM],
            held: 0,
        }
    }

    /// Sends `message` so many times, unless earlier ones are still stuck.
    pub(crate) fn send(&mut self, message: &[u8], times: usize) -> usize {
        self.flush();
        if self.held > 0 {
            return 0;
        }
        let times = times.min(ROOM / message.len());
        for _ in 0..times {
            self.octets[self.held..][..message.len()].copy_from_slice(message);
            self.held += message.len();
        }
        self.flush();
        times
    }

    fn flush(&mut self) {
        if self.held == 0 {
            return;
        }
        let went = match &self.carrier {
            Carrier::Plain(socket) => send(*socket, &self.octets[..self.held]),
            Carrier::Tls(tls) => {
                let mut tls = tls.borrow_mut();
                let taken = tls.flush() && tls.send(&self.octets[..self.held]).is_ok();
                if taken {
                    self.held
                } else {
                    0
                }
            }
        };
        self.forget(went);
    }

    /// Reads once and gives each whole message to `accept`; returns how many there were.
    pub(crate) fn receive(&mut self, accept: impl FnMut(&[u8])) -> usize {
        let room = &mut self.octets[self.held..];
        self.held += match &self.carrier {
            Carrier::Plain(socket) => receive(*socket, room),
            Carrier::Tls(tls) => tls.borrow_mut().receive(room).unwrap_or(0),
        };
        self.split(accept)
    }

    fn split(&mut self, mut accept: impl FnMut(&[u8])) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(end) = message_end(&self.octets[at..self.held]) {
            accept(&self.octets[at..at + end]);
            at += end;
            count += 1;
        }
        self.forget(at);
        count
    }

    fn forget(&mut self, first: usize) {
        self.octets.copy_within(first..self.held, 0);
        self.held -= first;
    }
}

/// Sends what the kernel takes; returns how much that was.
fn send(socket: RawFd, octets: &[u8]) -> usize {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length are those of a live slice.
    let went = unsafe { libc::send(socket, octets.as_ptr().cast(), octets.len(), flags) };
    usize::try_from(went).unwrap_or(0)
}

/// Receives what is there; returns how much that was.
fn receive(socket: RawFd, room: &mut [u8]) -> usize {
    let start = room.as_mut_ptr().cast();
    // SAFETY: `start` has `room.len()` writable bytes.
    let came = unsafe { libc::recv(socket, start, room.len(), libc::MSG_DONTWAIT) };
    usize::try_from(came).unwrap_or(0)
}

/// Where the first message ends, padding included, if all of it is there.
fn message_end(octets: &[u8]) -> Option<usize> {
    let head = octets.first_chunk::<4>()?;
    let length = u16::from_be_bytes([head[2], head[3]]) as usize;
    let header = if head[0] < 0x40 { 20 } else { 4 };
    let end = (header + length).next_multiple_of(4);
    (octets.len() >= end).then_some(end)
}
