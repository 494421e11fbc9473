//! TCP allocations as the datapath sees them (RFC 6062): who may connect from and to a relayed
//! address, until when, and what was carried.
//!
//! Knows neither sockets nor which connections there are. With several workers, each has its own
//! `TcpAllocations`, and all share one `TcpRelayed`. They are no part of `Table`: no packet
//! is ever relayed for a TCP allocation.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::bandwidth::Bandwidth;
use crate::endpoint::Endpoint;
use crate::permission::{Permission, Permissions};
use crate::{Direction, FiveTuple, Reason, Usage};

/// A connection that has to wait for bandwidth waits for so many bytes at least.
const PORTION: u64 = 4 << 10;

/// One TCP allocation.
#[derive(Debug)]
pub struct TcpAllocation {
    /// Whose it is: the control connection.
    pub five_tuple: FiveTuple,
    /// The address of the socket that peers connect to.
    pub bound: SocketAddr,
    /// `bound`, or the external address that stands for it.
    pub advertised: SocketAddr,
    expires_at: u64,
    permissions: Permissions,
    /// What its connections carried; a packet is what one read brought.
    pub usage: Usage,
    bandwidth: Bandwidth,
}

impl TcpAllocation {
    /// One without permissions that is dead from `expires_at` on, ns; `bytes_per_second` for each
    /// direction of all its connections together, 0 for no limit.
    pub fn new(
        five_tuple: FiveTuple,
        bound: SocketAddr,
        advertised: SocketAddr,
        expires_at: u64,
        bytes_per_second: u64,
    ) -> Self {
        Self {
            five_tuple,
            bound,
            advertised,
            expires_at,
            permissions: Permissions::default(),
            usage: Usage::default(),
            bandwidth: Bandwidth::new(bytes_per_second),
        }
    }

    /// Whether it is alive at `now`.
    pub fn is_live(&self, now: u64) -> bool {
        self.expires_at > now
    }

    /// Counts what goes one way.
    pub fn count(&mut self, direction: Direction, length: usize) {
        self.bandwidth.take(direction, length);
        match direction {
            Direction::ToPeer => self.usage.count_sent(length),
            Direction::ToClient => self.usage.count_received(length),
        }
    }

    /// How many bytes beyond `held` (less than 60 KiB) may go one way now; if there are none, the
    /// instant from which a portion may.
    pub fn room(&mut self, direction: Direction, held: u64, now: u64) -> Result<u64, u64> {
        match self.bandwidth.room(direction, now).saturating_sub(held) {
            0 => Err(self.bandwidth.opens_at(direction, held + PORTION, now)),
            room => Ok(room),
        }
    }

    fn relayed(&self) -> [SocketAddr; 2] {
        [self.bound, self.advertised]
    }

    fn is_of_family(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.bound.is_ipv4()
    }
}

/// Whose a relayed address is.
#[derive(Clone, Copy, Debug)]
struct Relaying {
    number: u64,
    bound: SocketAddr,
    advertised: SocketAddr,
    expires_at: u64,
}

/// The relayed addresses of the TCP allocations of all workers. Locked for a connection that begins,
/// and for no packet.
#[derive(Debug, Default)]
pub struct TcpRelayed {
    by_address: Mutex<HashMap<Endpoint, Relaying>>,
}

impl TcpRelayed {
    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Relaying>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, relaying: Relaying) {
        let mut by_address = self.lock();
        for address in [relaying.bound, relaying.advertised] {
            by_address.insert(address.into(), relaying);
        }
    }

    /// Each address of an allocation that is still its own.
    fn change(&self, number: u64, addresses: [SocketAddr; 2], expires_at: Option<u64>) {
        let mut by_address = self.lock();
        for address in addresses.map(Endpoint::from) {
            match (by_address.get_mut(&address), expires_at) {
                (Some(relaying), _) if relaying.number != number => {}
                (Some(relaying), Some(expires_at)) => relaying.expires_at = expires_at,
                (Some(_), None) => {
                    by_address.remove(&address);
                }
                (None, _) => {}
            }
        }
    }

    /// The live allocation that relays from an address.
    fn find(&self, address: SocketAddr, now: u64) -> Option<Relaying> {
        let found = self.lock().get(&Endpoint::from(address)).copied();
        found.filter(|relaying| relaying.expires_at > now)
    }
}

/// All TCP allocations of a worker, by the engine's numbers.
#[derive(Debug, Default)]
pub struct TcpAllocations {
    by_number: HashMap<u64, TcpAllocation>,
    relayed: Arc<TcpRelayed>,
}

impl TcpAllocations {
    /// Those of one of several workers, which all have the same `relayed`.
    pub fn among(relayed: Arc<TcpRelayed>) -> Self {
        Self {
            by_number: HashMap::new(),
            relayed,
        }
    }

    /// Adds one; false when its number is taken.
    pub fn open(&mut self, number: u64, allocation: TcpAllocation) -> bool {
        if self.by_number.contains_key(&number) {
            return false;
        }
        self.relayed.claim(Relaying {
            number,
            bound: allocation.bound,
            advertised: allocation.advertised,
            expires_at: allocation.expires_at,
        });
        self.by_number.insert(number, allocation);
        true
    }

    /// Takes one out.
    pub fn close(&mut self, number: u64) -> Option<TcpAllocation> {
        let allocation = self.by_number.remove(&number)?;
        self.relayed.change(number, allocation.relayed(), None);
        Some(allocation)
    }

    /// Whether there is one of this number, live or not.
    pub fn contains(&self, number: u64) -> bool {
        self.by_number.contains_key(&number)
    }

    /// The live allocation of this number.
    pub fn live_mut(&mut self, number: u64, now: u64) -> Option<&mut TcpAllocation> {
        let allocation = self.by_number.get_mut(&number)?;
        allocation.is_live(now).then_some(allocation)
    }

    /// Moves the end of an allocation, either way.
    pub fn extend(&mut self, number: u64, expires_at: u64) {
        if let Some(allocation) = self.by_number.get_mut(&number) {
            allocation.expires_at = expires_at;
            self.relayed
                .change(number, allocation.relayed(), Some(expires_at));
        }
    }

    /// Installs or refreshes a permission (RFC 8656 §9); ignored for an IP of another family.
    pub fn permit(
        &mut self,
        number: u64,
        peer_ip: IpAddr,
        relayed_only: bool,
        expires_at: u64,
        now: u64,
    ) {
        let permission = Permission {
            relayed_only,
            expires_at,
        };
        if let Some(allocation) = self.by_number.get_mut(&number) {
            if allocation.is_of_family(peer_ip) {
                allocation.permissions.insert(peer_ip, permission, now);
            }
        }
    }

    /// Where a connection to `peer` really goes (RFC 6062 §5.2): straight to the socket that
    /// listens for a live relayed address, so that no router has to lead back to this machine.
    pub fn destination(
        &self,
        number: u64,
        peer: SocketAddr,
        relayed_only: bool,
        now: u64,
    ) -> Result<SocketAddr, Reason> {
        let from = self.live(number, now).ok_or(Reason::NoAllocation)?;
        if !from.is_of_family(peer.ip()) {
            return Err(Reason::WrongFamily);
        }
        match self.relayed.find(peer, now) {
            Some(to) if to.number == number => Err(Reason::OwnAddress),
            Some(to) => Ok(to.bound),
            None if relayed_only => Err(Reason::OwnAddress),
            None => Ok(peer),
        }
    }

    /// Who the peer is that has connected from `source` (RFC 6062 §5.3): a relayed address is
    /// known by its advertised name. Refused without a permission for that peer.
    pub fn arrival(&self, number: u64, source: SocketAddr, now: u64) -> Result<SocketAddr, Reason> {
        let to = self.live(number, now).ok_or(Reason::NoAllocation)?;
        let from = self.relayed.find(source, now);
        let peer = from.map_or(source, |from| from.advertised);
        let permission = to.permissions.standing(peer.ip(), now);
        match permission {
            _ if !to.is_of_family(peer.ip()) => Err(Reason::NoPermission),
            Some(permission) if permission.relayed_only && from.is_none() => {
                Err(Reason::OwnAddress)
            }
            Some(_) => Ok(peer),
            None => Err(Reason::NoPermission),
        }
    }

    fn live(&self, number: u64, now: u64) -> Option<&TcpAllocation> {
        let allocation = self.by_number.get(&number)?;
        allocation.is_live(now).then_some(allocation)
    }
}
