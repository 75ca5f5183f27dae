//! What a load measured, over all its clients: for `zw load` and for the console.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Counts, latencies and the longest interval without an acknowledged write.
#[derive(Debug)]
pub struct Tally {
    begin: Instant,
    end: Instant,
    last_write: Instant,
    longest_gap: Duration,
    /// When the longest gap began, since the beginning.
    longest_gap_at: Duration,
    latencies_us: Histogram<u64>,
    /// Reads that were answered.
    pub reads: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Requests that were refused: certainly not done.
    pub errors: u64,
    /// Writes whose outcome is unknown.
    pub unknown: u64,
    /// Connections that were lost.
    pub reconnects: u64,
    reasons: BTreeMap<String, u64>,
}

/// Reasons that are told apart; more are counted as "other".
const REASONS_MAX: usize = 20;
/// Latencies beyond it are counted as this long.
const LATENCY_MAX: Duration = Duration::from_secs(3_600);

impl Tally {
    /// Begins to measure.
    ///
    /// # Panics
    /// Never: the bounds of the histogram are constants.
    #[must_use]
    pub fn new(now: Instant) -> Tally {
        let highest = u64::try_from(LATENCY_MAX.as_micros()).unwrap_or(u64::MAX);
        Tally {
            begin: now,
            end: now,
            last_write: now,
            longest_gap: Duration::ZERO,
            longest_gap_at: Duration::ZERO,
            latencies_us: Histogram::new_with_bounds(1, highest, 3).expect("the bounds are constants"),
            reads: 0,
            writes: 0,
            errors: 0,
            unknown: 0,
            reconnects: 0,
            reasons: BTreeMap::new(),
        }
    }

    /// A request that was due at `due` was answered.
    pub fn answered(&mut self, due: Instant, now: Instant, write: bool) {
        let latency = now.saturating_duration_since(due).min(LATENCY_MAX).as_micros();
        self.latencies_us.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX).max(1));
        self.end = self.end.max(now);
        if write {
            self.writes += 1;
            self.gap_ends(now);
        } else {
            self.reads += 1;
        }
    }

    /// A request was refused: it is certainly not done.
    pub fn refused(&mut self, reason: &str) {
        self.errors += 1;
        self.reason(reason);
    }

    /// A write's outcome is unknown.
    pub fn unknown(&mut self, reason: &str) {
        self.unknown += 1;
        self.reason(reason);
    }

    /// The run is over: the time since the last write counts as a gap too.
    pub fn finish(&mut self, now: Instant) {
        self.end = self.end.max(now);
        if self.writes > 0 || self.unknown > 0 {
            self.gap_ends(now);
        }
    }

    fn gap_ends(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last_write);
        if gap > self.longest_gap {
            self.longest_gap = gap;
            self.longest_gap_at = self.last_write.saturating_duration_since(self.begin);
        }
        self.last_write = now;
    }

    fn reason(&mut self, reason: &str) {
        let key = if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(reason) { reason } else { "other" };
        *self.reasons.entry(key.to_owned()).or_default() += 1;
    }

    /// Whether there is anything to report.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.ops() + self.errors + self.unknown > 0
    }

    /// Requests that were answered.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.reads + self.writes
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn per_second(&self) -> f64 {
        let seconds = self.end.saturating_duration_since(self.begin).as_secs_f64();
        if seconds > 0.0 { (self.ops() as f64 / seconds).round() } else { 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latencies_us.value_at_quantile(quantile) as f64 / 1e3
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn max_ms(&self) -> f64 {
        self.latencies_us.max() as f64 / 1e3
    }

    /// The longest time without an acknowledged write so far, the one that still lasts at `now` included.
    #[must_use]
    pub fn longest_gap_until(&self, now: Instant) -> Duration {
        self.longest_gap.max(now.saturating_duration_since(self.last_write))
    }

    /// The longest time without an acknowledged write that has ended.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// The latency below which this share of the answers came.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latencies_us.value_at_quantile(quantile))
    }

    /// The longest latency.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.latencies_us.max())
    }

    /// The reasons of refusals and unknown outcomes, with how often each came.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, u64)> {
        self.reasons.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    fn longest_gap_ms(&self) -> f64 {
        (self.longest_gap.as_secs_f64() * 1e4).round() / 10.0
    }

    /// The result as one JSON object; `lost` is null if it could not be verified, `reason` says why a run failed.
    #[must_use]
    pub fn json(&self, lost: Option<u64>, reason: Option<&str>) -> Value {
        json!({
            "ops": self.ops(), "errors": self.errors, "unknown": self.unknown, "lost": lost,
            "ops_per_s": self.per_second(),
            "p50_ms": self.quantile_ms(0.5), "p95_ms": self.quantile_ms(0.95), "p99_ms": self.quantile_ms(0.99),
            "max_ms": self.max_ms(), "longest_gap_ms": self.longest_gap_ms(),
            "longest_gap_at_ms": u64::try_from(self.longest_gap_at.as_millis()).unwrap_or(u64::MAX),
            "reads": self.reads, "writes": self.writes, "reconnects": self.reconnects, "reason": reason,
        })
    }

    /// The result as aligned lines.
    #[must_use]
    pub fn text(&self, lost: Option<u64>) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<24} {value}");
        };
        line("operations", format!("{} ({} writes, {} reads)", self.ops(), self.writes, self.reads));
        line("operations/s", format!("{:.0}", self.per_second()));
        let latency = [0.5, 0.95, 0.99].map(|quantile| format!("{:.3}", self.quantile_ms(quantile)));
        line("p50 / p95 / p99 / max ms", format!("{} / {:.3}", latency.join(" / "), self.max_ms()));
        let at = self.longest_gap_at.as_secs_f64();
        line("longest write gap ms", format!("{:.1}, {at:.1} s after the beginning", self.longest_gap_ms()));
        line("errors (not done)", self.errors.to_string());
        line("outcome unknown", self.unknown.to_string());
        line("reconnects", self.reconnects.to_string());
        line("acknowledged, lost", lost.map_or("not verified".to_owned(), |lost| lost.to_string()));
        for (reason, count) in &self.reasons {
            let _ = writeln!(text, "  {count} x {reason}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_longest_gap_counts_from_begin_to_end() {
        let begin = Instant::now();
        let mut tally = Tally::new(begin);
        tally.answered(begin, begin + 3 * MS, true);
        tally.answered(begin, begin + 5 * MS, true);
        tally.answered(begin, begin + 90 * MS, false);
        assert!((tally.longest_gap_ms() - 3.0).abs() < 0.11, "{}", tally.longest_gap_ms());
        tally.finish(begin + 105 * MS);
        assert!((tally.longest_gap_ms() - 100.0).abs() < 0.11, "a read ends no gap of writes");
        assert_eq!(tally.json(Some(0), None)["ops"], 3);
    }

    #[test]
    fn latency_is_from_when_the_request_was_due() {
        let begin = Instant::now();
        let mut tally = Tally::new(begin);
        tally.answered(begin, begin + 250 * MS, true);
        assert!((249.0..251.0).contains(&tally.max_ms()), "{}", tally.max_ms());
        assert_eq!(tally.json(None, None)["lost"], Value::Null);
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tally = Tally::new(Instant::now());
        for number in 0..100 {
            tally.refused(&format!("reason {number}"));
        }
        assert_eq!((tally.errors, tally.reasons.len()), (100, REASONS_MAX + 1));
    }
}
