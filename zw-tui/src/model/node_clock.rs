//! A node's monotonic clock, read in ours.
//!
//! Processes of one host share that clock: then nothing is reckoned, and times are exact. Clocks of two hosts have nothing
//! to do with each other. How they stand is measured by asking: the node read its clock between the question and the
//! answer, so the middle of the two is right to half of the time that they took; the shortest of the last few counts, for
//! clocks drift.

use std::collections::VecDeque;

/// Measurements that count.
const SAMPLES_MAX: usize = 6;

/// How a node's clock stands to ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeClock {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    /// What the node's clock is ahead of ours.
    ahead: i128,
    /// What may be wrong with that, to both sides.
    error: u64,
    /// Whether it may be the same clock.
    is_shared: bool,
}

impl NodeClock {
    /// Takes a measurement: our clock at the question, the node's, and ours at the answer.
    pub fn measure(&mut self, asked: u64, told: u64, answered: u64) {
        let error = answered.saturating_sub(asked).div_ceil(2);
        let middle = i128::from(asked) + i128::from(error);
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        let is_shared = (asked..=answered).contains(&told);
        self.samples.push_back(Sample { ahead: i128::from(told) - middle, error, is_shared });
    }

    /// Whether it is the same clock, as far as is known: one measurement that it cannot be says that it is not.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.samples.iter().all(|sample| sample.is_shared)
    }

    /// What may be wrong with [`NodeClock::ours`], to both sides.
    #[must_use]
    pub fn error_ns(&self) -> u64 {
        if self.is_shared() { 0 } else { self.best().map_or(0, |best| best.error) }
    }

    /// A time of the node in our clock; none if that was before ours began.
    #[must_use]
    pub fn ours(&self, told: u64) -> Option<u64> {
        if self.is_shared() {
            return Some(told);
        }
        u64::try_from(i128::from(told) - self.best()?.ahead).ok()
    }

    fn best(&self) -> Option<&Sample> {
        self.samples.iter().min_by_key(|sample| sample.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_clock_is_exact_however_slow_the_answer() {
        let mut clock = NodeClock::default();
        clock.measure(1_000, 1_900, 2_000);
        clock.measure(5_000, 5_001, 9_000);
        assert_eq!((clock.is_shared(), clock.error_ns(), clock.ours(1_234)), (true, 0, Some(1_234)));
    }

    #[test]
    fn the_quickest_answer_tells_how_another_hosts_clock_stands() {
        let mut clock = NodeClock::default();
        clock.measure(1_000, 501_500, 2_000);
        clock.measure(3_000, 503_050, 3_100);
        clock.measure(5_000, 509_000, 9_000);
        assert_eq!((clock.is_shared(), clock.error_ns()), (false, 50));
        assert_eq!(clock.ours(500_500), Some(500));
        assert_eq!(clock.ours(499_999), None, "our clock had not begun");
    }

    #[test]
    fn old_measurements_count_no_more() {
        let mut clock = NodeClock::default();
        clock.measure(0, 500_001, 2);
        for turn in 1..=6 {
            // It gains one a turn.
            clock.measure(turn * 1_000, 500_000 + turn * 1_001, turn * 1_000 + 100);
        }
        assert_eq!(clock.error_ns(), 50);
        assert!(clock.samples.iter().all(|sample| sample.error == 50));
    }

    #[test]
    fn a_clock_behind_ours_is_read_too() {
        let mut clock = NodeClock::default();
        clock.measure(900_000, 100, 900_200);
        assert_eq!(clock.ours(100), Some(900_100));
    }
}
