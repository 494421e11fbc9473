//! One allocation as the packet path sees it (RFC 8656 §3.2): whose it is, where it relays, until
//! when, and what is permitted.

use std::net::{IpAddr, SocketAddr};

use crate::channel::{Channel, Channels};
use crate::header;
use crate::permission::{Permission, Permissions};
use crate::{FiveTuple, Framing, Reason, Usage};

#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) number: u64,
    pub(crate) five_tuple: FiveTuple,
    pub(crate) bound: SocketAddr,
    pub(crate) advertised: SocketAddr,
    pub(crate) expires_at: u64,
    pub(crate) usage: Usage,
    permissions: Permissions,
    channels: Channels,
}

impl Allocation {
    pub(crate) fn new(
        number: u64,
        five_tuple: FiveTuple,
        bound: SocketAddr,
        advertised: SocketAddr,
        expires_at: u64,
    ) -> Self {
        Self {
            number,
            five_tuple,
            bound,
            advertised,
            expires_at,
            usage: Usage::default(),
            permissions: Permissions::default(),
            channels: Channels::default(),
        }
    }

    pub(crate) fn is_live(&self, now: u64) -> bool {
        self.expires_at > now
    }

    pub(crate) fn permit(&mut self, ip: IpAddr, permission: Permission, clock: u64) {
        if self.is_of_family(ip) {
            self.permissions.insert(ip, permission, clock);
        }
    }

    pub(crate) fn bind(&mut self, channel: Channel, clock: u64) {
        if self.is_of_family(channel.peer.ip()) {
            self.channels.bind(channel, clock);
        }
    }

    /// The channel with this number (RFC 8656 §12.6).
    pub(crate) fn channel(&self, number: u16, now: u64) -> Result<Channel, Reason> {
        self.channels.standing(number, now).ok_or(Reason::NoChannel)
    }

    /// The permission by which a Send indication reaches this peer (RFC 8656 §11.2).
    pub(crate) fn permission(&self, peer: SocketAddr, now: u64) -> Result<Permission, Reason> {
        if !self.is_of_family(peer.ip()) {
            return Err(Reason::WrongFamily);
        }
        if peer.port() == 0 {
            return Err(Reason::PortZero);
        }
        self.permissions
            .standing(peer.ip(), now)
            .ok_or(Reason::NoPermission)
    }

    /// How a packet from this peer goes to the client (RFC 8656 §11.3, §12.7).
    pub(crate) fn framing(
        &self,
        peer: SocketAddr,
        length: usize,
        now: u64,
    ) -> Result<Framing, Reason> {
        if !self.is_of_family(peer.ip()) || self.permissions.standing(peer.ip(), now).is_none() {
            return Err(Reason::NoPermission);
        }
        let number = self.channels.number_of(peer, now);
        let framing = number.map_or(Framing::Data, Framing::Channel);
        header::fits(framing, peer, length)?;
        Ok(framing)
    }

    fn is_of_family(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.bound.is_ipv4()
    }
}
