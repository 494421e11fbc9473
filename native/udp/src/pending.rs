//! Who has yet to prove their worth, longest waiting first.

use std::collections::BTreeSet;

/// Numbers of clients and since when they wait (ns).
pub(crate) struct Pending {
    waiting: BTreeSet<(u64, u64)>,
    limit: usize,
    timeout: u64,
}

impl Pending {
    /// At most `limit` wait, each for `timeout` ns.
    pub(crate) fn new(limit: usize, timeout: u64) -> Self {
        Self {
            waiting: BTreeSet::new(),
            limit: limit.max(1),
            timeout,
        }
    }

    pub(crate) fn insert(&mut self, since: u64, number: u64) {
        self.waiting.insert((since, number));
    }

    pub(crate) fn remove(&mut self, since: u64, number: u64) {
        self.waiting.remove(&(since, number));
    }

    /// Who must go: the oldest, if there are too many or its time is over.
    pub(crate) fn overdue(&self, now: u64) -> Option<u64> {
        let (since, number) = *self.waiting.first()?;
        let over = self.waiting.len() > self.limit || since.saturating_add(self.timeout) <= now;
        over.then_some(number)
    }

    /// When the time of the next one is over.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let (since, _) = self.waiting.first()?;
        Some(since.saturating_add(self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_nobody_too_early() {
        let mut pending = Pending::new(2, 10);
        assert_eq!((pending.overdue(99), pending.deadline()), (None, None));
        for (since, number) in [(5, 7), (3, 8)] {
            pending.insert(since, number);
        }
        assert_eq!(pending.deadline(), Some(13));
        assert_eq!(pending.overdue(12), None);
        assert_eq!(pending.overdue(13), Some(8));
        pending.insert(6, 9);
        assert_eq!(pending.overdue(7), Some(8), "too many");
        pending.remove(3, 8);
        assert_eq!(pending.overdue(7), None);
    }
}
