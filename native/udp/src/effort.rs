//! How much of a turn handshakes take: their arithmetic holds up everyone's packets. A signature takes
//! 0.1 ms with an ECDSA key, and 5 ms with one of RSA-4096, so that a number of them is no limit.

use crate::clock::SECOND;

/// So long after the first one of a turn no other begins, ns.
const LONGEST: u64 = 2 * SECOND / 1000;

/// What is left for handshakes of one kind in this turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    left: u32,
    since: Option<u64>,
}

impl Effort {
    /// Of so many in a turn at most, and one at least.
    pub(crate) const fn of(most: u32) -> Self {
        Self {
            left: most,
            since: None,
        }
    }

    /// Whether one more may be gone on with at this instant.
    pub(crate) fn has_room(&self, now: u64) -> bool {
        let spent = self.since.map_or(0, |since| now.saturating_sub(since));
        self.left > 0 && spent < LONGEST
    }

    /// One was gone on with, since that instant.
    pub(crate) fn spend(&mut self, since: u64) {
        self.left = self.left.saturating_sub(1);
        self.since.get_or_insert(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many go on in a turn when each takes so long.
    fn going_on(each: u64) -> u32 {
        let (mut effort, mut now, mut count) = (Effort::of(8), 5, 0);
        while effort.has_room(now) {
            effort.spend(now);
            now += each;
            count += 1;
        }
        count
    }

    #[test]
    fn a_turn_has_so_many_and_fewer_that_take_long_and_one_at_least() {
        let rows = [
            (0, 8),
            (LONGEST / 8, 8),
            (LONGEST / 4, 4),
            (LONGEST - 1, 2),
            (LONGEST, 1),
            (SECOND, 1),
        ];
        for (each, expected) in rows {
            assert_eq!(going_on(each), expected, "{each} ns");
        }
    }

    #[test]
    fn what_comes_before_the_first_one_is_not_counted() {
        let mut effort = Effort::of(2);
        assert!(effort.has_room(10 * LONGEST));
        effort.spend(10 * LONGEST);
        assert!(effort.has_room(11 * LONGEST - 1));
    }
}
