//! When many packets come, the worker lets some gather before its next turn, as a network card
//! does before it interrupts: fewer turns, fuller batches, longer writes to streams.
//!
//! A packet waits at most `REST`, and only in company; where packets are few, nothing waits.

use std::num::NonZeroU64;
use std::thread;
use std::time::Duration;

use crate::clock;

/// A turn begins no sooner than this after the last one, in a crowd, ns.
const REST: u64 = 50_000;
/// A crowd is more arrivals than this in `REST`: resting costs as much as it saves with fewer. A train
/// of datagrams is one arrival, because it is read, judged and sent in one go already.
const CROWD: u64 = 16;
/// How much later than asked a rest may end, ns.
const SLACK: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

/// How the worker's turns follow each other.
pub(crate) struct Pace {
    /// When this turn began, ns.
    began: u64,
    /// How long after the one before it, ns.
    after: u64,
    /// How many arrivals there had been until then.
    arrivals: u64,
}

impl Pace {
    /// For the thread that calls it, which asks to be woken on time.
    pub(crate) fn new() -> Self {
        // Where it may not ask, its rests are a little longer.
        let _ = rustix::thread::set_current_timer_slack(Some(SLACK));
        Self {
            began: clock::now(),
            after: u64::MAX,
            arrivals: 0,
        }
    }

    /// A turn begins `now`, and so many arrivals there were before it.
    pub(crate) fn begin(&mut self, arrivals: u64, now: u64) {
        self.after = now.saturating_sub(self.began);
        self.began = now;
        self.arrivals = arrivals;
    }

    /// The turn is over, and so many arrivals there were: rests if the next turn will be worth it.
    pub(crate) fn end(&self, arrivals: u64) {
        let came = arrivals.wrapping_sub(self.arrivals);
        let rest = rest(came, self.after, clock::now().saturating_sub(self.began));
        if rest > 0 {
            thread::sleep(Duration::from_nanos(rest));
        }
    }
}

/// How long to rest after a turn that took `spent` and brought what had gathered in `after`, ns.
fn rest(came: u64, after: u64, spent: u64) -> u64 {
    let is_crowd = came.saturating_mul(REST) > CROWD.saturating_mul(after);
    if is_crowd {
        REST.saturating_sub(spent)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_but_in_a_crowd() {
        let rows = [
            (0, 1, 50_000, 0, "a packet alone"),
            (0, 1, 1_000_000_000, 0, "after a long silence"),
            (0, 16, 50_000, 0, "as many as make no crowd"),
            (
                49_000,
                17,
                50_000,
                1_000,
                "one more: what is left of the rest",
            ),
            (30_000, 60, 50_000, 20_000, "many"),
            (0, 60, 50_000, 50_000, "a turn as long as the rest"),
            (0, 600, 900_000, 400_000, "no rest when the turns are long"),
            (
                0,
                60,
                1_000_000,
                10_000,
                "a burst after a silence is gone with its turn",
            ),
            (0, u64::MAX, u64::MAX, 0, "nor is anything too large"),
        ];
        for (expected, came, after, spent, why) in rows {
            assert_eq!(rest(came, after, spent), expected, "{why}");
        }
    }

    #[test]
    fn a_crowd_makes_the_next_turn_wait_and_a_packet_does_not() {
        let mut pace = Pace::new();
        let mut turn = |packets| {
            let now = clock::now();
            pace.begin(0, now);
            pace.end(packets);
            clock::now() - now
        };
        turn(0);
        assert!(turn(100_000) >= REST);
        let shortest = (0..100).map(|_| turn(0)).min();
        assert!(shortest.is_some_and(|took| took < REST / 2));
    }
}
