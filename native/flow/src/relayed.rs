//! The relayed addresses of this table's allocations, by which a packet to one of them is handed
//! over inside.

use std::net::SocketAddr;

use hashbrown::HashMap;

use crate::allocation::Relayed;
use crate::endpoint::Endpoint;
use crate::Slot;

/// Slots by bound and by advertised relayed address. Where two allocations claim one address, the
/// later holds it.
#[derive(Debug, Default)]
pub(crate) struct RelayedAddresses {
    slots: HashMap<Endpoint, Slot>,
}

impl RelayedAddresses {
    /// Both names of a relayed address lead to the slot from now on.
    pub(crate) fn claim(&mut self, relayed: &Relayed, slot: Slot) {
        self.slots.insert(relayed.bound.into(), slot);
        self.slots.insert(relayed.advertised.into(), slot);
    }

    /// Takes both names away from a slot that still holds them.
    pub(crate) fn release(&mut self, relayed: &Relayed, slot: Slot) {
        for address in [relayed.bound, relayed.advertised] {
            if self.slots.get(&Endpoint::from(address)) == Some(&slot) {
                self.slots.remove(&Endpoint::from(address));
            }
        }
    }

    #[inline]
    pub(crate) fn find(&self, address: SocketAddr) -> Option<Slot> {
        self.slots.get(&Endpoint::from(address)).copied()
    }
}
