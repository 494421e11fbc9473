//! When to look for dead rows: nobody deletes a permission or a channel that has expired.

const FIRST: usize = 16;

/// Lets rows double between two sweeps, so that a row costs a constant share of them and no more
/// than half of the rows are ever dead for long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    due_at: usize,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { due_at: FIRST }
    }
}

impl Sweep {
    pub(crate) fn is_due(self, rows: usize) -> bool {
        rows >= self.due_at
    }

    pub(crate) fn done(&mut self, rows: usize) {
        self.due_at = FIRST.max(2 * rows);
    }
}
