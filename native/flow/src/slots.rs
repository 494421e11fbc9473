//! The places where allocations live.

use crate::allocation::Allocation;

/// Where an allocation lives in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

impl Slot {
    /// A small number, for parallel vectors; given to another allocation only after `Closed`.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Allocations by slot; a freed slot is the next to be used.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    places: Vec<Option<Allocation>>,
    free: Vec<Slot>,
}

impl Slots {
    pub(crate) fn insert(&mut self, allocation: Allocation) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.places[slot.index()] = Some(allocation);
            return slot;
        }
        let slot = Slot(self.places.len() as u32);
        self.places.push(Some(allocation));
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Allocation> {
        let allocation = self.places.get_mut(slot.index())?.take()?;
        self.free.push(slot);
        Some(allocation)
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Allocation> {
        self.places.get(slot.index())?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Allocation> {
        self.places.get_mut(slot.index())?.as_mut()
    }

    /// How many there are, free or not.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}
