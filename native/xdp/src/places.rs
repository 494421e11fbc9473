//! Which places of the kernel's tracks are free.

use std::collections::VecDeque;

use crate::tables::Place;

/// Pairs of tracks, one for each direction of a channel. A place that was given back is the last to be
/// given out again: a processor that still counts there has long stopped.
#[derive(Debug)]
pub(crate) struct Places {
    free: VecDeque<u32>,
    number: u32,
}

impl Places {
    pub(crate) fn new(channels: u32) -> Self {
        Self {
            free: (0..channels).collect(),
            number: 0,
        }
    }

    pub(crate) fn take(&mut self) -> Option<Place> {
        let pair = self.free.pop_front()?;
        self.number = self.number.wrapping_add(1);
        Some(Place {
            track: pair * 2,
            number: self.number,
        })
    }

    pub(crate) fn give_back(&mut self, place: Place) {
        self.free.push_back(place.track / 2);
    }
}
