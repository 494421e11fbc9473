//! How many answers each source of strangers has had over UDP, where an address may be a victim's.

use std::mem;

use hashbrown::HashMap;

use super::SECOND;
use crate::Source;

/// Sources that are remembered: half of them the latest, half of them those before.
const CAPACITY: usize = 16_384;
/// A source that was quiet may have the answers of so many seconds at once: behind one address
/// there may be a whole company that comes back after an outage.
const BURST: u64 = 10 * SECOND;

/// When each source is due its next answer, ns.
#[derive(Default)]
pub(super) struct Strangers {
    late: HashMap<Source, u64>,
    early: HashMap<Source, u64>,
}

impl Strangers {
    /// Whether a source may have one more answer, of `per_second` on average; 0: any number.
    pub(super) fn may_be_answered(&mut self, source: Source, per_second: u64, now: u64) -> bool {
        if per_second == 0 {
            return true;
        }
        let known = self.late.get(&source).or_else(|| self.early.get(&source));
        let due = known.map_or(now, |due| now.max(*due));
        let answered = due - now < BURST;
        let next = due + if answered { SECOND / per_second } else { 0 };
        if self.late.len() >= CAPACITY / 2 && !self.late.contains_key(&source) {
            self.early = mem::take(&mut self.late);
        }
        self.late.insert(source, next);
        answered
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.late.len() + self.early.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(strangers: &mut Strangers, source: u32, asked: u64, now: u64) -> usize {
        let source = Source::Address(source);
        let may = |_: &u64| strangers.may_be_answered(source, 10, now);
        (0..asked).filter(may).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut strangers = Strangers::default();
        assert_eq!(answers(&mut strangers, 1, 1000, SECOND), 100);
        assert_eq!(answers(&mut strangers, 1, 1000, 2 * SECOND), 10);
        assert_eq!(answers(&mut strangers, 2, 1000, 2 * SECOND), 100);
        assert_eq!(answers(&mut strangers, 1, 1000, 100 * SECOND), 100);
    }

    #[test]
    fn no_limit_remembers_nobody() {
        let mut strangers = Strangers::default();
        let mut asked = (0..100).map(|n| strangers.may_be_answered(Source::Address(n), 0, SECOND));
        assert!(asked.all(|may| may));
        assert_eq!(strangers.len(), 0);
    }

    #[test]
    fn who_asks_again_and_again_is_remembered_among_many_and_no_more_than_the_capacity_are() {
        let mut strangers = Strangers::default();
        assert_eq!(answers(&mut strangers, 0, 1000, SECOND), 100);
        for stranger in 1..10 * CAPACITY as u32 {
            answers(&mut strangers, stranger, 1, SECOND);
            if stranger % 1000 == 0 {
                assert_eq!(answers(&mut strangers, 0, 1, SECOND), 0);
            }
            assert!(strangers.len() <= CAPACITY);
        }
    }
}
