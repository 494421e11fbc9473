//! How many strangers of a kind NSS hears in a while: each costs some 70 us, and relaying does not
//! wait.

/// So many in each period, ns: a seventh of a processor at most.
const HEARD: u32 = 200;
const PERIOD: u64 = 1_000_000_000 / 10;

/// What is left of a period.
pub(crate) struct Allowance {
    left: u32,
    until: u64,
    /// There were more than may be heard, in this period and in the one before.
    crowded: [bool; 2],
}

impl Allowance {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            left: HEARD,
            until: now.saturating_add(PERIOD),
            crowded: [false; 2],
        }
    }

    /// Whether there are more than may be heard, or were in the period before.
    pub(crate) fn is_crowded(&mut self, now: u64) -> bool {
        self.renew(now);
        self.crowded.contains(&true)
    }

    fn renew(&mut self, now: u64) {
        if now < self.until {
            return;
        }
        let was_crowded = now - self.until < PERIOD && self.crowded[0];
        *self = Self {
            crowded: [false, was_crowded],
            ..Self::new(now)
        };
    }

    /// Whether one more may be heard; then it counts.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        self.renew(now);
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        self.crowded[0] |= left.is_none();
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_so_many_and_the_next_one_as_many_again() {
        let mut allowance = Allowance::new(5);
        for _ in 0..2 {
            let heard = (0..1000).filter(|_| allowance.take(5)).count();
            assert_eq!(heard, HEARD as usize);
            allowance.until -= PERIOD;
        }
        allowance.left = 0;
        assert!(!allowance.take(allowance.until - 1));
        assert!(allowance.take(allowance.until));
    }

    #[test]
    fn a_crowd_is_remembered_for_one_period_more() {
        let mut allowance = Allowance::new(0);
        for _ in 0..HEARD {
            assert!(allowance.take(0) && !allowance.is_crowded(0));
        }
        assert!(!allowance.take(1));
        for (now, expected) in [
            (1, true),
            (PERIOD, true),
            (2 * PERIOD - 1, true),
            (2 * PERIOD, false),
        ] {
            assert_eq!(allowance.is_crowded(now), expected, "{now}");
        }
        for _ in 0..=HEARD {
            allowance.take(2 * PERIOD);
        }
        assert!(!allowance.is_crowded(9 * PERIOD), "after a silence");
    }
}
