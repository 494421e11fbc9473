//! How much an allocation may carry: one token bucket for each direction (`max-bps`).
//!
//! Counts payload bytes and knows neither packets' destinations nor what becomes of those that
//! find no room.

/// The least a bucket holds, in bytes: the longest payload of UDP always fits sooner or later.
const LEAST_BURST: u64 = 64 << 10;
const SECOND: u128 = 1_000_000_000;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to its peers.
    ToPeer,
    /// From peers to the client.
    ToClient,
}

/// The buckets of one allocation, or none.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    buckets: Option<[Bucket; 2]>,
}

impl Bandwidth {
    /// `rate` in bytes per second and direction; 0 is no limit.
    pub(crate) fn new(rate: u64) -> Self {
        let buckets = (rate > 0).then(|| [Bucket::new(rate), Bucket::new(rate)]);
        Self { buckets }
    }

    /// Whether there is a limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.buckets.is_some()
    }

    /// Whether a packet of `length` bytes may pass. Nothing is taken for it yet.
    #[inline]
    pub(crate) fn has_room(&mut self, direction: Direction, length: usize, now: u64) -> bool {
        match self.bucket(direction) {
            Some(bucket) => bucket.room(now) >= length as u64,
            None => true,
        }
    }

    /// Takes what has passed, after `has_room` or `room` of the same instant.
    #[inline]
    pub(crate) fn take(&mut self, direction: Direction, length: usize) {
        if let Some(bucket) = self.bucket(direction) {
            bucket.take(length as u64);
        }
    }

    /// How many bytes may pass now; all of them without a limit.
    pub(crate) fn room(&mut self, direction: Direction, now: u64) -> u64 {
        self.bucket(direction)
            .map_or(u64::MAX, |bucket| bucket.room(now))
    }

    /// The instant from which `length` bytes (at most what the bucket holds) may pass.
    pub(crate) fn opens_at(&mut self, direction: Direction, length: u64, now: u64) -> u64 {
        self.bucket(direction)
            .map_or(now, |bucket| bucket.opens_at(length, now))
    }

    #[inline]
    fn bucket(&mut self, direction: Direction) -> Option<&mut Bucket> {
        self.buckets
            .as_mut()
            .map(|buckets| &mut buckets[direction as usize])
    }
}

/// A bucket that starts full. It counts billionths of a byte, of which `rate` come in with every
/// nanosecond: nothing is ever rounded, and in 128 bits nothing overflows.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    level: u128,
    filled_at: u64,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        let mut bucket = Self {
            rate,
            level: 0,
            filled_at: 0,
        };
        bucket.level = bucket.size();
        bucket
    }

    /// One second's worth, as coturn lets through at once.
    fn size(&self) -> u128 {
        u128::from(self.rate.max(LEAST_BURST)) * SECOND
    }

    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.filled_at);
        let came_in = u128::from(passed) * u128::from(self.rate);
        self.level = self.level.saturating_add(came_in).min(self.size());
        self.filled_at = self.filled_at.max(now);
    }

    fn room(&mut self, now: u64) -> u64 {
        self.fill(now);
        (self.level / SECOND) as u64
    }

    fn take(&mut self, length: u64) {
        self.level = self.level.saturating_sub(u128::from(length) * SECOND);
    }

    fn opens_at(&mut self, length: u64, now: u64) -> u64 {
        self.fill(now);
        let wanted = (u128::from(length) * SECOND).min(self.size());
        let missing = wanted.saturating_sub(self.level);
        let wait = missing.div_ceil(u128::from(self.rate));
        now.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{ToClient, ToPeer};
    use super::*;

    const T: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_starts_with_a_second_and_with_a_datagram_at_least() {
        for (rate, burst) in [(200_000, 200_000), (1, 65_536), (u64::MAX, u64::MAX)] {
            assert_eq!(Bucket::new(rate).room(5 * T), burst);
        }
    }

    #[test]
    fn what_passes_is_missing_until_it_has_come_in_again() {
        let mut bandwidth = Bandwidth::new(100_000);
        assert!(bandwidth.has_room(ToPeer, 100_000, T));
        bandwidth.take(ToPeer, 100_000);
        assert!(!bandwidth.has_room(ToPeer, 1, T + 9_999));
        assert!(bandwidth.has_room(ToPeer, 1, T + 10_000));
        assert!(bandwidth.has_room(ToPeer, 0, T));
    }

    #[test]
    fn the_directions_do_not_touch_each_other() {
        let mut bandwidth = Bandwidth::new(70_000);
        assert_eq!(bandwidth.room(ToPeer, T), 70_000);
        bandwidth.take(ToPeer, 70_000);
        assert_eq!(bandwidth.room(ToPeer, T), 0);
        assert_eq!(bandwidth.room(ToClient, T), 70_000);
    }

    #[test]
    fn without_a_rate_everything_passes() {
        let mut bandwidth = Bandwidth::new(0);
        bandwidth.take(ToClient, usize::MAX);
        assert!(bandwidth.has_room(ToClient, usize::MAX, 0));
        assert_eq!(bandwidth.room(ToClient, 0), u64::MAX);
        assert_eq!(bandwidth.opens_at(ToClient, 9, 7), 7);
    }

    #[test]
    fn a_rate_that_divides_no_second_does_not_drift() {
        // One byte every 333,333,333.3 ns: looked at every nanosecond or once, it is the same.
        let (mut often, mut once) = (Bucket::new(3), Bucket::new(3));
        (often.level, once.level) = (0, 0);
        for now in 0..2_000 {
            often.fill(now * 499_999);
        }
        once.fill(1_999 * 499_999);
        assert_eq!(often.level, once.level);
    }

    #[test]
    fn opens_at_is_the_first_instant() {
        for rate in [1, 3, 7_777, 999_999_937] {
            let mut bucket = Bucket::new(rate);
            bucket.fill(T);
            bucket.level = 5;
            for length in [1, 100, 65_535] {
                let at = bucket.opens_at(length, T);
                assert!(bucket.room(at) >= length);
                let mut early = Bucket::new(rate);
                early.fill(T);
                early.level = 5;
                assert!(early.room(at - 1) < length, "{rate} {length}");
                bucket.level = 5;
                bucket.filled_at = T;
            }
        }
    }

    #[test]
    fn the_longest_wait_and_the_largest_rate_do_not_overflow() {
        let mut bucket = Bucket::new(u64::MAX);
        bucket.take(u64::MAX);
        assert_eq!(bucket.room(u64::MAX), u64::MAX);
        let mut slow = Bucket::new(1);
        slow.fill(u64::MAX - 1);
        slow.take(u64::MAX);
        assert_eq!(slow.opens_at(u64::MAX, u64::MAX - 1), u64::MAX);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_brings_nothing_in() {
        let mut bucket = Bucket::new(100_000);
        bucket.fill(T);
        bucket.take(100_000);
        assert_eq!(bucket.room(T), 0);
        assert_eq!(bucket.room(T - 1), 0);
        assert_eq!(bucket.room(T + 10_000), 1);
    }

    /// SplitMix64, so that a run can be repeated.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// In no window more than the burst and what came in meanwhile; and whoever waits until
    /// `opens_at` passes.
    #[test]
    fn in_no_window_passes_more_than_the_burst_and_what_came_in() {
        for seed in 0..200 {
            let mut state = seed;
            let rate = [1, 1_000, 65_537, 200_000, 12_345_678][(seed % 5) as usize];
            let burst = rate.max(LEAST_BURST);
            let mut bandwidth = Bandwidth::new(rate);
            let (mut now, mut passed) = (T, Vec::new());
            for _ in 0..120 {
                let length = (random(&mut state) % 65_508) as usize;
                if bandwidth.has_room(ToPeer, length, now) {
                    bandwidth.take(ToPeer, length);
                    passed.push((now, length as u64));
                    now += random(&mut state) % (T / 4);
                } else if random(&mut state) % 4 == 0 {
                    now = bandwidth.opens_at(ToPeer, length as u64, now);
                    assert!(bandwidth.has_room(ToPeer, length, now));
                } else {
                    now += random(&mut state) % (T / 4);
                }
            }
            for (first, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (until, length) in &passed[first..] {
                    sum += length;
                    let came_in = u128::from(until - from) * u128::from(rate) / SECOND;
                    assert!(
                        u128::from(sum) <= u128::from(burst) + came_in,
                        "seed {seed}"
                    );
                }
            }
        }
    }
}
