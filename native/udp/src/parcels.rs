//! What crosses from one worker to another: packets to another worker's relayed address, and to and
//! from clients whose path and allocation are with two workers (RFC 8016).
//!
//! A worker collects what it has for another one and hands it over once a turn.

use std::net::SocketAddr;
use std::ops::Range;

use ferryman_flow::FiveTuple;

/// How many parcels may wait for a worker, and how many bytes: about what a listener's socket may
/// have waiting.
const COUNT: usize = 16_384;
const OCTETS: usize = 4 << 20;

/// What is to be done with what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// It came from `source` to this relayed address.
    Relayed { to: SocketAddr, source: SocketAddr },
    /// A client has sent it, whose allocation lives there.
    FromClient(FiveTuple),
    /// It is for a client's connection or association, by its number.
    ToClient { number: u64, is_stream: bool },
}

/// Parcels on their way to one worker, in order.
#[derive(Debug, Default)]
pub(crate) struct Parcels {
    labels: Vec<(Label, Range<usize>)>,
    octets: Vec<u8>,
}

impl Parcels {
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn push(&mut self, label: Label, parts: [&[u8]; 3]) {
        let start = self.octets.len();
        for part in parts {
            self.octets.extend_from_slice(part);
        }
        self.labels.push((label, start..self.octets.len()));
    }

    /// Takes over as many as there is room for, in order; the other ones are lost. Returns how many
    /// were taken and how many lost.
    pub(crate) fn append(&mut self, more: &mut Self) -> (usize, usize) {
        let mut taken = 0;
        for (label, octets) in &more.labels {
            let length = self.octets.len() + octets.len();
            if self.labels.len() < COUNT && length <= OCTETS {
                self.push(*label, [&more.octets[octets.clone()], &[], &[]]);
                taken += 1;
            }
        }
        let lost = more.labels.len() - taken;
        more.clear();
        (taken, lost)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Label, &[u8])> {
        let parcels = self.labels.iter();
        parcels.map(|(label, octets)| (*label, &self.octets[octets.clone()]))
    }

    /// Forgets all, and keeps a moderate part of the memory.
    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.octets.clear();
        self.octets.shrink_to(OCTETS / 16);
        self.labels.shrink_to(COUNT / 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parcels_keep_their_order_and_what_has_no_room_is_lost_alone() {
        let label = |number| Label::ToClient {
            number,
            is_stream: true,
        };
        let (mut waiting, mut more) = (Parcels::default(), Parcels::default());
        more.push(label(1), [b"one", b"", b""]);
        more.push(label(2), [&vec![0; OCTETS - 2], b"", b""]);
        more.push(label(3), [b"thr", b"e", b"e"]);
        assert_eq!(waiting.append(&mut more), (2, 1));
        assert!(more.is_empty());
        let found: Vec<_> = waiting.iter().collect();
        assert_eq!(found, [(label(1), &b"one"[..]), (label(3), &b"three"[..])]);
        for _ in 0..COUNT {
            more.push(label(4), [b"", b"", b""]);
        }
        assert_eq!(waiting.append(&mut more), (COUNT - 2, 2));
    }
}
