//! How many strangers of a kind NSS hears in a while: each costs some 70 us, and relaying does not
//! wait.

/// So many in each period, ns: a seventh of a processor at most.
const HEARD: u32 = 200;
const PERIOD: u64 = 1_000_000_000 / 10;

/// What is left of a period.
pub(crate) struct Allowance {
    left: u32,
    until: u64,
}

impl Allowance {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            left: HEARD,
            until: now.saturating_add(PERIOD),
        }
    }

    /// Whether one more may be heard; then it counts.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        if now >= self.until {
            *self = Self::new(now);
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
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
        assert!(!Allowance { left: 0, until: 9 }.take(8));
        assert!(Allowance { left: 0, until: 9 }.take(9));
    }
}
