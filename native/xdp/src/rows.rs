//! Which rows of the kernel's counts are free.

use std::collections::VecDeque;

/// Pairs of rows, one for each direction of a channel. A row that was given back is the last to be
/// given out again: a processor that still counts in it has long stopped.
#[derive(Debug)]
pub(crate) struct Rows {
    free: VecDeque<u32>,
}

impl Rows {
    pub(crate) fn new(channels: u32) -> Self {
        Self {
            free: (0..channels).collect(),
        }
    }

    /// The row to the peer; the next one is that to the client.
    pub(crate) fn take(&mut self) -> Option<u32> {
        self.free.pop_front().map(|pair| pair * 2)
    }

    pub(crate) fn give_back(&mut self, row: u32) {
        self.free.push_back(row / 2);
    }
}
