//! Who has yet to prove their worth, longest waiting first; of a crowd, its own oldest goes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferryman_flow::Source;

use crate::sources::{Sources, Waiting};

/// Numbers of clients, where they come from and since when they wait (ns).
pub(crate) struct Pending {
    waiting: BTreeSet<Waiting>,
    sources: Sources,
    limit: usize,
    timeout: u64,
}

impl Pending {
    /// At most `limit` wait, each for `timeout` ns.
    pub(crate) fn new(limit: usize, timeout: u64) -> Self {
        Self {
            waiting: BTreeSet::new(),
            sources: Sources::default(),
            limit: limit.max(1),
            timeout,
        }
    }

    pub(crate) fn insert(&mut self, client: IpAddr, since: u64, number: u64) {
        let source = Source::of(client);
        self.waiting.insert((since, number));
        self.sources.add(source);
        self.sources.wait(source, (since, number));
    }

    pub(crate) fn remove(&mut self, client: IpAddr, since: u64, number: u64) {
        let source = Source::of(client);
        if self.waiting.remove(&(since, number)) {
            self.sources.settle(source, (since, number));
            self.sources.remove(source);
        }
    }

    /// Who must go: one whose time is over, or, if there are too many, one of the most that come
    /// from one source.
    pub(crate) fn overdue(&self, now: u64) -> Option<u64> {
        let (since, number) = *self.waiting.first()?;
        if since.saturating_add(self.timeout) <= now {
            return Some(number);
        }
        let too_many = self.waiting.len() > self.limit;
        too_many.then(|| self.sources.first_of_the_largest_crowd())?
    }

    /// The oldest of a source, if there are more than `limit` of it.
    pub(crate) fn crowded_out(&self, client: IpAddr, limit: usize) -> Option<u64> {
        let source = Source::of(client);
        let too_many = self.sources.open(source) > limit;
        too_many.then(|| self.sources.first_waiting(source))?
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn the_oldest_goes_in_time_and_nobody_too_early() {
        let mut pending = Pending::new(9, 10);
        assert_eq!((pending.overdue(99), pending.deadline()), (None, None));
        pending.insert(ip("192.0.2.1"), 5, 7);
        pending.insert(ip("192.0.2.2"), 3, 8);
        assert_eq!(pending.deadline(), Some(13));
        assert_eq!(pending.overdue(12), None);
        assert_eq!(pending.overdue(13), Some(8));
        pending.remove(ip("192.0.2.2"), 3, 8);
        assert_eq!(pending.overdue(13), None);
    }

    #[test]
    fn a_crowd_pushes_out_only_itself() {
        let (one, many) = (ip("2001:db8::1"), ip("192.0.2.2"));
        let mut pending = Pending::new(2, 100);
        pending.insert(one, 1, 1);
        pending.insert(many, 2, 2);
        assert_eq!(pending.overdue(3), None);
        pending.insert(many, 3, 3);
        assert_eq!(pending.overdue(3), Some(2), "too many");
        assert_eq!(pending.crowded_out(many, 2), None);
        assert_eq!(pending.crowded_out(many, 1), Some(2));
        assert_eq!(pending.crowded_out(one, 1), None);
    }
}
