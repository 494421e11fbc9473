//! Connections by where they come from.
//!
//! Knows how many are open from each, and who keeps the most of them waiting.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use ferryman_flow::Source;

/// A connection that has yet to prove its worth: since when, and its number.
pub(crate) type Waiting = (u64, u64);

/// How many wait from a source, how long the first of them has, and the source.
type Crowd = (usize, Reverse<Waiting>, Source);

#[derive(Default)]
struct Tally {
    open: usize,
    waiting: BTreeSet<Waiting>,
}

impl Tally {
    fn crowd(&self, source: Source) -> Option<Crowd> {
        let first = self.waiting.first()?;
        Some((self.waiting.len(), Reverse(*first), source))
    }
}

/// All sources that have a connection.
#[derive(Default)]
pub(crate) struct Sources {
    tallies: HashMap<Source, Tally>,
    /// The largest crowd last; of equal ones, the one that has waited longest.
    crowds: BTreeSet<Crowd>,
}

impl Sources {
    /// How many connections are open from a source.
    pub(crate) fn open(&self, source: Source) -> usize {
        self.tallies.get(&source).map_or(0, |tally| tally.open)
    }

    pub(crate) fn add(&mut self, source: Source) {
        self.tallies.entry(source).or_default().open += 1;
    }

    pub(crate) fn remove(&mut self, source: Source) {
        let Some(tally) = self.tallies.get_mut(&source) else {
            return;
        };
        tally.open -= 1;
        if tally.open == 0 {
            self.tallies.remove(&source);
        }
    }

    /// A connection from a source (which is open) waits from now on.
    pub(crate) fn wait(&mut self, source: Source, waiting: Waiting) {
        self.change(source, |all| all.insert(waiting));
    }

    /// It waits no more.
    pub(crate) fn settle(&mut self, source: Source, waiting: Waiting) {
        self.change(source, |all| all.remove(&waiting));
    }

    fn change(&mut self, source: Source, change: impl FnOnce(&mut BTreeSet<Waiting>) -> bool) {
        let Some(tally) = self.tallies.get_mut(&source) else {
            return;
        };
        if let Some(before) = tally.crowd(source) {
            self.crowds.remove(&before);
        }
        change(&mut tally.waiting);
        self.crowds.extend(tally.crowd(source));
    }

    /// The connection that has waited longest from a source.
    pub(crate) fn first_waiting(&self, source: Source) -> Option<u64> {
        let (_, number) = self.tallies.get(&source)?.waiting.first()?;
        Some(*number)
    }

    /// The connection that has waited longest from the source with the most that wait.
    pub(crate) fn first_of_the_largest_crowd(&self) -> Option<u64> {
        let (_, Reverse((_, number)), _) = self.crowds.last()?;
        Some(*number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        Source::of(ip.parse().unwrap_or_else(|_| panic!("{ip}")))
    }

    #[test]
    fn the_largest_crowd_gives_way_first_and_of_equals_the_oldest() {
        let mut sources = Sources::default();
        let (one, many) = (source("192.0.2.1"), source("192.0.2.2"));
        for (source, waiting) in [(one, (1, 1)), (many, (2, 2)), (many, (3, 3))] {
            sources.add(source);
            sources.wait(source, waiting);
        }
        assert_eq!(sources.first_of_the_largest_crowd(), Some(2));
        sources.settle(many, (2, 2));
        assert_eq!(sources.first_of_the_largest_crowd(), Some(1));
        sources.settle(one, (1, 1));
        assert_eq!(sources.first_of_the_largest_crowd(), Some(3));
        sources.settle(many, (3, 3));
        assert_eq!(sources.first_of_the_largest_crowd(), None);
    }

    #[test]
    fn nothing_is_left_of_a_source_without_connections() {
        let mut sources = Sources::default();
        let one = source("192.0.2.1");
        sources.add(one);
        sources.add(one);
        sources.wait(one, (1, 1));
        assert_eq!(sources.open(one), 2);
        sources.settle(one, (1, 1));
        sources.remove(one);
        assert_eq!(sources.open(one), 1);
        sources.remove(one);
        assert_eq!(sources.open(one), 0);
        assert!(sources.tallies.is_empty() && sources.crowds.is_empty());
    }
}
