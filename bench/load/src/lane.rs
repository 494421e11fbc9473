//! One way for packets: from the socket that sends them, through the server, to the socket that
//! receives them. Knows what a packet looks like at both ends; counts, and does no pacing.
//!
//! Every packet carries a stamp (lane and time), so that what arrives is known to be what was
//! sent, whole and on the right lane.

use std::os::fd::RawFd;

use crate::batch::{Incoming, Outgoing, BATCH};
use crate::stream::StreamEnd;
use crate::stun::{self, Reader};

/// Bytes of a stamp: the lane's number, then nanoseconds.
pub(crate) const STAMP: usize = 12;

/// What a packet looks like where it arrives.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// The payload alone.
    Bare,
    /// A ChannelData message on this channel.
    Channel(u16),
    /// A Data indication.
    Indication,
    /// A Binding success; the stamp is the transaction id.
    Binding,
}

impl Shape {
    /// The payload in `packet`, if it has this shape.
    fn payload_untrusted(self, packet: &[u8]) -> Option<&[u8]> {
        match self {
            Shape::Bare => Some(packet),
            Shape::Channel(number) => {
                let (header, rest) = packet.split_at_checked(4)?;
                let length = u16::from_be_bytes([header[2], header[3]]) as usize;
                let right = header[..2] == number.to_be_bytes() && rest.len() < length + 4;
                rest.get(..length).filter(|_| right)
            }
            Shape::Indication => {
                let message = Reader::read_untrusted(packet)?;
                let payload = message.attribute(stun::DATA)?;
                (message.kind() == stun::DATA_INDICATION).then_some(payload)
            }
            Shape::Binding => {
                let message = Reader::read_untrusted(packet)?;
                message
                    .grants(stun::BINDING)
                    .then_some(message.transaction())
            }
        }
    }
}

/// One end of a lane.
pub(crate) enum End {
    /// A connected UDP socket.
    Datagrams(RawFd),
    /// A TCP connection with what has not gone through yet.
    Stream(StreamEnd),
}

/// One way for packets.
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) sender: End,
    pub(crate) receiver: End,
    /// The packet as it is sent.
    pub(crate) template: Vec<u8>,
    /// Where the stamp is in `template`.
    pub(crate) stamp_at: usize,
    pub(crate) shape: Shape,
    /// Bytes of payload to arrive (of the transaction id, for Binding).
    pub(crate) payload: usize,
    /// How many datagrams are sent as one train; 1: each by itself.
    pub(crate) train: usize,
    pub(crate) count: Count,
}

/// What a lane has seen so far.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Datagrams and trains that they came in.
    pub(crate) reads: u64,
    pub(crate) wrong: u64,
    /// Sent, not received, and not yet given up.
    pub(crate) outstanding: u32,
    /// When something last arrived or was given up, in nanoseconds.
    pub(crate) moved_at: u64,
}

impl Lane {
    /// Sends up to `wanted` packets, in whole trains, as far as one call can; returns how many went.
    pub(crate) fn send(&mut self, outgoing: &mut Outgoing, wanted: usize, now: u64) -> usize {
        let went = match &mut self.sender {
            End::Datagrams(socket) => {
                let trains = (wanted / self.train).min(outgoing.room());
                let length = self.template.len();
                for index in 0..trains {
                    let train = outgoing.slot(index, length * self.train);
                    for (place, packet) in train.chunks_exact_mut(length).enumerate() {
                        packet.copy_from_slice(&self.template);
                        let time = now + (index * self.train + place) as u64;
                        stamp(packet, self.stamp_at, self.number, time);
                    }
                }
                outgoing.send(*socket, trains) * self.train
            }
            End::Stream(stream) => {
                stamp(&mut self.template, self.stamp_at, self.number, now);
                stream.send(&self.template, wanted.min(BATCH))
            }
        };
        if self.count.outstanding == 0 {
            self.count.moved_at = now;
        }
        self.count.sent += went as u64;
        self.count.outstanding += went as u32;
        went
    }

    /// Receives what is there, up to one batch; gives each packet's sending time to `seen`, and
    /// when the kernel says that it came, ns since 1970. Returns how many reads or trains it was.
    pub(crate) fn receive(
        &mut self,
        incoming: &mut Incoming,
        now: u64,
        mut seen: impl FnMut(u64, Option<u64>),
    ) -> usize {
        let (shape, number, payload) = (self.shape, self.number, self.payload);
        let count = &mut self.count;
        let mut accept = |packet: &[u8], came_at| match read(shape, number, payload, packet) {
            Some(sent_at) => {
                count.received += 1;
                count.outstanding = count.outstanding.saturating_sub(1);
                seen(sent_at, came_at);
            }
            None => count.wrong += 1,
        };
        let came = match &mut self.receiver {
            End::Datagrams(socket) => {
                let came = incoming.receive(*socket);
                for index in 0..came {
                    let came_at = incoming.note(index).came_at;
                    let packets = incoming.packets(index);
                    packets.for_each(|packet| accept(packet, came_at));
                }
                count.reads += came as u64;
                came
            }
            End::Stream(stream) => stream.receive(|packet| accept(packet, None)),
        };
        if came > 0 {
            self.count.moved_at = now;
        }
        came
    }
}

fn stamp(packet: &mut [u8], at: usize, lane: u32, time: u64) {
    packet[at..at + 4].copy_from_slice(&lane.to_be_bytes());
    packet[at + 4..at + STAMP].copy_from_slice(&time.to_be_bytes());
}

/// The sending time in a packet that arrived; `None` when it is not what was sent.
fn read(shape: Shape, lane: u32, length: usize, packet: &[u8]) -> Option<u64> {
    let payload = shape.payload_untrusted(packet)?;
    let (number, rest) = payload.split_first_chunk::<4>()?;
    let (time, _) = rest.split_first_chunk::<8>()?;
    let right = payload.len() == length && u32::from_be_bytes(*number) == lane;
    right.then_some(u64::from_be_bytes(*time))
}
