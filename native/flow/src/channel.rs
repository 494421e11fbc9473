//! The channels of one allocation (RFC 8656 §12): numbers to peers and back, one to one.
//!
//! Which numbers are allowed, and when one may be bound anew, is the engine's to say.

use std::net::SocketAddr;

use crate::endpoint::Endpoint;
use crate::sweep::Sweep;
use crate::Family;

/// A channel binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) peer: SocketAddr,
    pub(crate) relayed_only: bool,
    pub(crate) expires_at: u64,
}

/// The channels of one allocation, sorted both ways. Every peer in `by_peer` names the number of
/// a row in `by_number` that has this peer, and the other way round.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    by_number: Vec<Channel>,
    by_peer: Vec<(Endpoint, u16)>,
    sweep: Sweep,
}

impl Channels {
    /// Binds number and peer to each other and to nothing else.
    pub(crate) fn bind(&mut self, channel: Channel, clock: u64) {
        if self.sweep.is_due(self.by_number.len()) {
            self.retain(|channel| channel.expires_at > clock);
            self.sweep.done(self.by_number.len());
        }
        let peer = Endpoint::from(channel.peer);
        let is_peer = |old: &Channel| Endpoint::from(old.peer) == peer;
        if self.bound(channel.number).is_some_and(|old| is_peer(&old)) {
            self.refresh(channel);
            return;
        }
        self.retain(|old| old.number != channel.number && !is_peer(old));
        self.insert(channel);
    }

    /// The channel with this number, if it is bound at `now`.
    #[inline]
    pub(crate) fn standing(&self, number: u16, now: u64) -> Option<Channel> {
        self.bound(number)
            .filter(|channel| channel.expires_at > now)
    }

    /// The number bound to exactly this peer at `now`.
    #[inline]
    pub(crate) fn number_of(&self, peer: SocketAddr, now: u64) -> Option<u16> {
        let at = self.peer_position(peer.into()).ok()?;
        self.standing(self.by_peer[at].1, now)
            .map(|channel| channel.number)
    }

    /// All rows, those that have expired among them.
    pub(crate) fn all(&self) -> &[Channel] {
        &self.by_number
    }

    /// Unbinds every peer of a family.
    pub(crate) fn forget(&mut self, family: Family) {
        self.retain(|channel| Family::of(channel.peer.ip()) != family);
    }

    fn bound(&self, number: u16) -> Option<Channel> {
        let at = self.number_position(number).ok()?;
        Some(self.by_number[at])
    }

    fn refresh(&mut self, channel: Channel) {
        if let Ok(at) = self.number_position(channel.number) {
            self.by_number[at] = channel;
        }
    }

    fn insert(&mut self, channel: Channel) {
        if let Err(at) = self.number_position(channel.number) {
            self.by_number.insert(at, channel);
        }
        if let Err(at) = self.peer_position(channel.peer.into()) {
            self.by_peer
                .insert(at, (channel.peer.into(), channel.number));
        }
    }

    fn retain(&mut self, keep: impl Fn(&Channel) -> bool) {
        self.by_number.retain(keep);
        let by_number = &self.by_number;
        self.by_peer.retain(|(_, number)| {
            by_number
                .binary_search_by_key(number, |row| row.number)
                .is_ok()
        });
    }

    fn number_position(&self, number: u16) -> Result<usize, usize> {
        self.by_number
            .binary_search_by_key(&number, |channel| channel.number)
    }

    fn peer_position(&self, peer: Endpoint) -> Result<usize, usize> {
        self.by_peer.binary_search_by_key(&peer, |(peer, _)| *peer)
    }
}
