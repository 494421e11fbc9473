//! How many connections and associations are open, of each source and in all, whichever worker has them: limits are
//! the operator's, and hold for the server.
//!
//! Locked when a connection begins or ends, and for no packet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferryman_flow::Source;

use crate::limits::{Full, Limits};

#[derive(Default)]
struct Counts {
    in_all: usize,
    of_source: HashMap<Source, usize>,
}

impl Counts {
    /// A source has one less.
    fn forget(&mut self, source: Source) {
        if let Some(count) = self.of_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&source);
            }
        }
    }
}

/// The counts.
#[derive(Default)]
pub(crate) struct Census {
    counts: Mutex<Counts>,
}

impl Census {
    /// Why there is no room for one more of this source, at this moment.
    pub(crate) fn full(&self, source: Source, limits: Limits) -> Option<Full> {
        let counts = self.lock();
        let of_source = counts.of_source.get(&source).copied().unwrap_or(0);
        limits.full(of_source, counts.in_all)
    }

    /// One more, or why not.
    pub(crate) fn enter(&self, source: Source, limits: Limits) -> Result<(), Full> {
        let mut counts = self.lock();
        let of_source = counts.of_source.get(&source).copied().unwrap_or(0);
        if let Some(full) = limits.full(of_source, counts.in_all) {
            return Err(full);
        }
        counts.in_all += 1;
        counts.of_source.insert(source, of_source + 1);
        Ok(())
    }

    /// One that was counted for one source is the other's, or why not; then it is counted as before.
    pub(crate) fn pass(&self, from: Source, to: Source, limits: Limits) -> Result<(), Full> {
        let mut counts = self.lock();
        let of_source = counts.of_source.get(&to).copied().unwrap_or(0);
        // In all there is none more.
        if let Some(full) = limits.full(of_source, 0) {
            return Err(full);
        }
        counts.forget(from);
        counts
            .of_source
            .entry(to)
            .and_modify(|count| *count += 1)
            .or_insert(1);
        Ok(())
    }

    /// One less.
    pub(crate) fn leave(&self, source: Source) {
        let mut counts = self.lock();
        counts.in_all = counts.in_all.saturating_sub(1);
        counts.forget(source);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_limit_all_have_theirs_and_nothing_is_left_of_who_has_gone() {
        let (census, limits) = (
            Census::default(),
            Limits {
                of_source: 2,
                in_all: 3,
            },
        );
        let (one, other) = (
            Source::of([192, 0, 2, 1].into()),
            Source::of([192, 0, 2, 2].into()),
        );
        assert_eq!(census.enter(one, limits), Ok(()));
        assert_eq!(census.enter(one, limits), Ok(()));
        assert_eq!(census.enter(one, limits), Err(Full::Source));
        assert_eq!(census.enter(other, limits), Ok(()));
        assert_eq!(census.full(other, limits), Some(Full::All));
        census.leave(one);
        assert_eq!(census.full(one, limits), None);
        census.leave(one);
        census.leave(other);
        assert!(census.lock().of_source.is_empty());
    }

    #[test]
    fn a_connection_that_turns_out_to_be_anothers_is_counted_for_the_other() {
        let census = Census::default();
        let limits = Limits {
            of_source: 1,
            in_all: 2,
        };
        let (front, client) = (
            Source::of([192, 0, 2, 1].into()),
            Source::of([192, 0, 2, 2].into()),
        );
        for _ in 0..2 {
            assert_eq!(census.enter(front, limits.of_all()), Ok(()));
        }
        assert_eq!(census.enter(front, limits.of_all()), Err(Full::All));
        assert_eq!(census.pass(front, client, limits), Ok(()));
        assert_eq!(census.pass(front, client, limits), Err(Full::Source));
        census.leave(front);
        census.leave(client);
        assert!(census.lock().of_source.is_empty());
        assert_eq!(census.lock().in_all, 0);
    }
}
