//! The relayed addresses of this table's allocations, by which a packet to one of them is handed
//! over inside; with other workers, those of theirs, too.

use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::allocation::Relayed;
use crate::endpoint::Endpoint;
use crate::owners::RelayOwners;
use crate::Slot;

/// One of several workers, and what all of them share.
#[derive(Debug)]
struct Place {
    owners: Arc<RelayOwners>,
    worker: u16,
}

/// Slots by bound and by advertised relayed address. Where two allocations claim one address, the
/// later holds it.
#[derive(Debug, Default)]
pub(crate) struct RelayedAddresses {
    slots: HashMap<Endpoint, Slot>,
    place: Option<Place>,
}

impl RelayedAddresses {
    /// Those of one of several workers.
    pub(crate) fn among(owners: Arc<RelayOwners>, worker: u16) -> Self {
        Self {
            slots: HashMap::new(),
            place: Some(Place { owners, worker }),
        }
    }

    /// Both names of a relayed address lead to the slot from now on.
    pub(crate) fn claim(&mut self, relayed: &Relayed, slot: Slot) {
        for address in [relayed.bound, relayed.advertised] {
            self.slots.insert(address.into(), slot);
            if let Some(Place { owners, worker }) = &self.place {
                owners.claim(address, *worker);
            }
        }
    }

    /// Takes both names away from a slot that still holds them.
    pub(crate) fn release(&mut self, relayed: &Relayed, slot: Slot) {
        for address in [relayed.bound, relayed.advertised] {
            if self.slots.get(&Endpoint::from(address)) == Some(&slot) {
                self.slots.remove(&Endpoint::from(address));
                if let Some(Place { owners, worker }) = &self.place {
                    owners.release(address, *worker);
                }
            }
        }
    }

    #[inline]
    pub(crate) fn find(&self, address: SocketAddr) -> Option<Slot> {
        self.slots.get(&Endpoint::from(address)).copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The other worker that relays from an address.
    #[inline]
    pub(crate) fn elsewhere(&self, address: SocketAddr) -> Option<u16> {
        let Place { owners, worker } = self.place.as_ref()?;
        owners.find(address).filter(|owner| owner != worker)
    }
}
