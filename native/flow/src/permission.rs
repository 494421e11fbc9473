//! The permissions of one relayed address (RFC 8656 §9): peer IPs, whatever their port.
//!
//! How many a client may install is the engine's to limit.

use std::net::IpAddr;

use crate::endpoint::ip_number;
use crate::sweep::Sweep;

/// What a permission says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    pub(crate) relayed_only: bool,
    pub(crate) expires_at: u64,
}

/// The permissions of one relayed address, all of its family, sorted by IP: there are few of them, and
/// a client can choose no IPs that make the search longer.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    rows: Vec<(u128, Permission)>,
    sweep: Sweep,
}

impl Permissions {
    pub(crate) fn insert(&mut self, ip: IpAddr, permission: Permission, clock: u64) {
        if let Ok(at) = self.position(ip_number(ip)) {
            self.rows[at].1 = permission;
            return;
        }
        if self.sweep.is_due(self.rows.len()) {
            self.rows
                .retain(|(_, permission)| permission.expires_at > clock);
            self.sweep.done(self.rows.len());
        }
        if let Err(at) = self.position(ip_number(ip)) {
            self.rows.insert(at, (ip_number(ip), permission));
        }
    }

    /// The permission for an IP of the relayed address's family, if it stands at `now`.
    #[inline]
    pub(crate) fn standing(&self, ip: IpAddr, now: u64) -> Option<Permission> {
        let (_, permission) = self.rows[self.position(ip_number(ip)).ok()?];
        (permission.expires_at > now).then_some(permission)
    }

    fn position(&self, key: u128) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&key, |(key, _)| *key)
    }
}
