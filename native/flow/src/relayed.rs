//! The relayed addresses of this table's allocations, by which a packet to one of them is handed
//! over inside.

use std::net::SocketAddr;

use hashbrown::HashMap;

use crate::endpoint::Endpoint;
use crate::Slot;

/// Slots by bound and by advertised relayed address. Where two allocations claim one address, the
/// later holds it.
#[derive(Debug, Default)]
pub(crate) struct RelayedAddresses {
    slots: HashMap<Endpoint, Slot>,
}

impl RelayedAddresses {
    pub(crate) fn insert(&mut self, address: SocketAddr, slot: Slot) {
        self.slots.insert(address.into(), slot);
    }

    /// Takes an address away from a slot that still holds it.
    pub(crate) fn remove(&mut self, address: SocketAddr, slot: Slot) {
        if self.slots.get(&Endpoint::from(address)) == Some(&slot) {
            self.slots.remove(&Endpoint::from(address));
        }
    }

    #[inline]
    pub(crate) fn find(&self, address: SocketAddr) -> Option<Slot> {
        self.slots.get(&Endpoint::from(address)).copied()
    }
}
