//! One allocation as the packet path sees it (RFC 8656 §6): whose it is, where it relays, until
//! when, and what is permitted.

use std::net::{IpAddr, SocketAddr};

use crate::bandwidth::{Bandwidth, Direction};
use crate::channel::{Channel, Channels};
use crate::header;
use crate::icmp::Told;
use crate::paths::Paths;
use crate::permission::{Permission, Permissions};
use crate::{ChannelFlow, Family, FiveTuple, Framing, Reason, Transport, Usage};

/// A relayed address of an allocation; it has one of a family at most.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) bound: SocketAddr,
    pub(crate) advertised: SocketAddr,
    pub(crate) expires_at: u64,
    permissions: Permissions,
}

impl Relayed {
    pub(crate) fn new(bound: SocketAddr, advertised: SocketAddr, expires_at: u64) -> Self {
        Self {
            bound,
            advertised,
            expires_at,
            permissions: Permissions::default(),
        }
    }

    fn is_live(&self, now: u64) -> bool {
        self.expires_at > now
    }
}

#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) number: u64,
    pub(crate) paths: Paths,
    pub(crate) usage: Usage,
    pub(crate) bandwidth: Bandwidth,
    told: Told,
    relayed: [Option<Relayed>; 2],
    channels: Channels,
}

impl Allocation {
    pub(crate) fn new(
        number: u64,
        five_tuple: FiveTuple,
        relayed: Relayed,
        bytes_per_second: u64,
    ) -> Self {
        let mut allocation = Self {
            number,
            paths: Paths::new(five_tuple),
            usage: Usage::default(),
            bandwidth: Bandwidth::new(bytes_per_second),
            told: Told::default(),
            relayed: [None, None],
            channels: Channels::default(),
        };
        allocation.add(relayed);
        allocation
    }

    /// Whether it has a relayed address of this family, live or not.
    pub(crate) fn has(&self, family: Family) -> bool {
        self.relayed[family.index()].is_some()
    }

    /// Gives the allocation a relayed address in place of any that it has of that family.
    pub(crate) fn add(&mut self, relayed: Relayed) {
        let family = Family::of(relayed.bound.ip());
        self.relayed[family.index()] = Some(relayed);
    }

    /// Takes a relayed address away, with its permissions and channels and no others
    /// (RFC 8656 §8.1).
    pub(crate) fn remove(&mut self, family: Family) -> Option<Relayed> {
        let relayed = self.relayed[family.index()].take()?;
        self.channels.forget(family);
        Some(relayed)
    }

    /// All relayed addresses, live or not.
    pub(crate) fn all_relayed(&self) -> impl Iterator<Item = &Relayed> {
        self.relayed.iter().flatten()
    }

    /// Moves the end of one relayed address, or of all.
    pub(crate) fn extend(&mut self, family: Option<Family>, expires_at: u64) {
        for each in Family::ALL {
            if family.is_none_or(|family| family == each) {
                if let Some(relayed) = &mut self.relayed[each.index()] {
                    relayed.expires_at = expires_at;
                }
            }
        }
    }

    /// Whether any of its relayed addresses is live.
    pub(crate) fn is_live(&self, now: u64) -> bool {
        self.all_relayed().any(|relayed| relayed.is_live(now))
    }

    /// The relayed address of this family, if it is live.
    #[inline]
    pub(crate) fn live_relayed(&self, family: Family, now: u64) -> Option<&Relayed> {
        let relayed = self.relayed[family.index()].as_ref();
        relayed.filter(|relayed| relayed.is_live(now))
    }

    pub(crate) fn permit(&mut self, ip: IpAddr, permission: Permission, clock: u64) {
        if let Some(relayed) = &mut self.relayed[Family::of(ip).index()] {
            relayed.permissions.insert(ip, permission, clock);
        }
    }

    pub(crate) fn bind(&mut self, channel: Channel, clock: u64) {
        if self.relayed[Family::of(channel.peer.ip()).index()].is_some() {
            self.channels.bind(channel, clock);
        }
    }

    /// The channel with this number (RFC 8656 §12.6).
    pub(crate) fn channel(&self, number: u16, now: u64) -> Result<Channel, Reason> {
        let channel = self.channels.standing(number, now);
        let channel = channel.ok_or(Reason::NoChannel)?;
        self.toward(channel.peer, Reason::WrongFamily, now)?;
        Ok(channel)
    }

    /// The permission by which a Send indication reaches this peer (RFC 8656 §11.2).
    pub(crate) fn permission(&self, peer: SocketAddr, now: u64) -> Result<Permission, Reason> {
        let relayed = self.toward(peer, Reason::WrongFamily, now)?;
        if peer.port() == 0 {
            return Err(Reason::PortZero);
        }
        relayed
            .permissions
            .standing(peer.ip(), now)
            .ok_or(Reason::NoPermission)
    }

    /// Whether the client is told of one more error about a packet to this peer: by its IP alone,
    /// whoever says so (RFC 8656 §11.5).
    pub(crate) fn hears_of(&mut self, peer: SocketAddr, now: u64) -> Result<(), Reason> {
        let relayed = self.toward(peer, Reason::NoPermission, now)?;
        let standing = relayed.permissions.standing(peer.ip(), now);
        standing.ok_or(Reason::NoPermission)?;
        self.told.one_more(now)
    }

    /// How a packet from this peer goes to the client (RFC 8656 §11.3, §12.7).
    pub(crate) fn framing(
        &self,
        peer: SocketAddr,
        length: usize,
        now: u64,
    ) -> Result<Framing, Reason> {
        let relayed = self.toward(peer, Reason::NoPermission, now)?;
        if relayed.permissions.standing(peer.ip(), now).is_none() {
            return Err(Reason::NoPermission);
        }
        let number = self.channels.number_of(peer, now);
        let framing = number.map_or(Framing::Data, Framing::Channel);
        header::fits(framing, peer, length)?;
        Ok(framing)
    }

    /// Whether a packet of `length` payload bytes is within what the allocation may carry.
    #[inline]
    pub(crate) fn carries(
        &mut self,
        direction: Direction,
        length: usize,
        now: u64,
    ) -> Result<(), Reason> {
        let has_room = self.bandwidth.has_room(direction, length, now);
        has_room.then_some(()).ok_or(Reason::OverBandwidth)
    }

    /// Counts a packet from the client that leaves.
    #[inline]
    pub(crate) fn count_sent(&mut self, length: usize) {
        self.bandwidth.take(Direction::ToPeer, length);
        self.usage.count_sent(length);
    }

    /// Counts a packet that leaves for the client.
    #[inline]
    pub(crate) fn count_received(&mut self, length: usize) {
        self.bandwidth.take(Direction::ToClient, length);
        self.usage.count_received(length);
    }

    /// The channels whose packets need no more than to be passed on: of a UDP client that does not
    /// move, without a limit, to a peer outside.
    pub(crate) fn channel_flows(&self, now: u64) -> impl Iterator<Item = ChannelFlow> + '_ {
        let path = self.paths.current();
        let simple = path.transport == Transport::Udp
            && self.paths.second().is_none()
            && !self.bandwidth.is_limited();
        let channels = if simple { self.channels.all() } else { &[] };
        channels
            .iter()
            .filter(move |channel| channel.expires_at > now && !channel.relayed_only)
            .filter_map(move |channel| self.channel_flow(&path, channel, now))
    }

    fn channel_flow(&self, path: &FiveTuple, channel: &Channel, now: u64) -> Option<ChannelFlow> {
        let relayed = self.live_relayed(Family::of(channel.peer.ip()), now)?;
        let permission = relayed.permissions.standing(channel.peer.ip(), now);
        let sent_until = channel.expires_at.min(relayed.expires_at);
        let permitted_until = permission.map_or(0, |permission| permission.expires_at);
        Some(ChannelFlow {
            client: path.client,
            server: path.server,
            number: channel.number,
            relayed: relayed.bound,
            peer: channel.peer,
            sent_until,
            received_until: sent_until.min(permitted_until),
        })
    }

    /// The relayed address that this peer is reached from; `absent` when it has no such family.
    fn toward(&self, peer: SocketAddr, absent: Reason, now: u64) -> Result<&Relayed, Reason> {
        let relayed = self.relayed[Family::of(peer.ip()).index()].as_ref();
        let relayed = relayed.ok_or(absent)?;
        if relayed.is_live(now) {
            Ok(relayed)
        } else {
            Err(Reason::NoAllocation)
        }
    }
}
