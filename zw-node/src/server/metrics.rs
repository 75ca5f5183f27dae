//! What a node counts and measures about itself.
//!
//! Invariant: counting costs an atomic addition at most; nothing here waits or allocates.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Counters since the process started, and the latencies of late.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Writes applied, whoever sent them.
    pub(crate) writes: Counter,
    /// Reads answered.
    pub(crate) reads: Counter,
    /// Watches fired.
    pub(crate) watches_fired: Counter,
    /// Bytes of records given to the log.
    pub(crate) log_bytes: Counter,
    /// Client connections taken.
    pub(crate) connections_taken: Counter,
    /// Connections that were closed for what they sent.
    pub(crate) connections_refused: Counter,
    /// Times that a leader was lost or changed.
    pub(crate) suspensions: Counter,
    /// How long fdatasync took.
    pub(crate) fsync: Latency,
    /// How long the writes of this node's clients took.
    pub(crate) write: Latency,
}

/// A number that only rises.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Buckets for each power of two: bounds are at most an eighth too high.
const STEPS: usize = 8;
const BUCKETS: usize = 40 * STEPS;
/// How long a window of measurements lasts; a percentile is of the window under way and the one before.
const WINDOW: Duration = Duration::from_secs(5);

/// Latencies of late, by bucket, in two windows that take turns.
pub(crate) struct Latency {
    windows: [[AtomicU32; BUCKETS]; 2],
    /// Which window is under way.
    turn: AtomicU64,
}

impl Default for Latency {
    fn default() -> Latency {
        let window = || std::array::from_fn(|_| AtomicU32::new(0));
        Latency { windows: [window(), window()], turn: AtomicU64::new(0) }
    }
}

impl Latency {
    /// Counts a latency that was measured at `uptime` of the process.
    pub(crate) fn record(&self, latency: Duration, uptime: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.current(uptime)[bucket(us)].fetch_add(1, Ordering::Relaxed);
    }

    /// The 99th percentile of late, in microseconds; zero if there was nothing.
    pub(crate) fn p99_us(&self, uptime: Duration) -> u64 {
        let _ = self.current(uptime);
        let counts =
            |at: usize| self.windows.iter().map(move |w| u64::from(w[at].load(Ordering::Relaxed))).sum::<u64>();
        let total: u64 = (0..BUCKETS).map(counts).sum();
        let mut beyond = total / 100;
        for at in (0..BUCKETS).rev() {
            let count = counts(at);
            if count > beyond {
                return bound_us(at);
            }
            beyond -= count;
        }
        0
    }

    /// The window under way, emptied if its turn begins.
    fn current(&self, uptime: Duration) -> &[AtomicU32; BUCKETS] {
        let turn = uptime.as_secs() / WINDOW.as_secs();
        let last = self.turn.fetch_max(turn, Ordering::Relaxed);
        if turn > last {
            let stale = if turn > last + 1 { &self.windows[..] } else { std::slice::from_ref(&self.windows[at(turn)]) };
            stale.iter().flatten().for_each(|count| count.store(0, Ordering::Relaxed));
        }
        &self.windows[at(turn)]
    }
}

fn at(turn: u64) -> usize {
    usize::from(turn % 2 == 1)
}

/// The bucket of a latency.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return usize::try_from(us).unwrap_or(0);
    }
    let power = us.ilog2() as usize;
    let step = usize::try_from((us >> (power - 3)) & 7).unwrap_or(0);
    ((power - 2) * STEPS + step).min(BUCKETS - 1)
}

/// The greatest latency of a bucket.
fn bound_us(at: usize) -> u64 {
    if at < STEPS {
        return at as u64;
    }
    let (power, step) = (at / STEPS + 2, at % STEPS);
    ((STEPS + step + 1) as u64) << (power - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_bounds_its_latencies_from_above_by_an_eighth() {
        for us in (0..5_000).chain([1 << 20, (1 << 30) + 7]) {
            let bound = bound_us(bucket(us));
            assert!(bound >= us && bound <= us + us / 7 + 1, "{us} counts as {bound}");
        }
    }

    #[test]
    fn the_percentile_is_of_late() {
        let latency = Latency::default();
        let start = Duration::from_secs(100);
        assert_eq!(latency.p99_us(start), 0);
        for _ in 0..99 {
            latency.record(Duration::from_micros(100), start);
        }
        latency.record(Duration::from_millis(9), start);
        assert!((100..=112).contains(&latency.p99_us(start)), "{}", latency.p99_us(start));
        latency.record(Duration::from_millis(9), start);
        assert!(latency.p99_us(start + WINDOW) > 8_000, "the window before still counts");
        assert_eq!(latency.p99_us(start + 2 * WINDOW), 0, "older ones do not");
    }
}
