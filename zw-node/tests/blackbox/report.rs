//! What came of a run, or of many: counts, so that green cannot mean that nothing happened.

use crate::judge::Checked;
use crate::operation::Micros;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    /// Faults, and what they led to, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    pub(crate) checked: Checked,
    /// Longest time without an acknowledged write while a majority was up and connected.
    pub(crate) longest_gap: Micros,
    /// Longest time from the last fault until all was well.
    pub(crate) recovery: Duration,
}

impl Report {
    /// Adds another run.
    pub(crate) fn add(&mut self, report: Report) {
        self.rounds += report.rounds;
        for (name, count) in report.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in report.outcomes {
            *self.outcomes.entry(name).or_default() += count;
        }
        self.checked.add(report.checked);
        self.longest_gap = self.longest_gap.max(report.longest_gap);
        self.recovery = self.recovery.max(report.recovery);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rounds: {}\nfaults injected, and what they led to", self.rounds)?;
        self.faults.iter().try_for_each(|(name, count)| writeln!(f, "  {count:>9}  {name}"))?;
        writeln!(f, "requests by outcome")?;
        self.outcomes.iter().try_for_each(|(name, count)| writeln!(f, "  {count:>9}  {name}"))?;
        writeln!(f, "checked")?;
        self.checked.lines().iter().try_for_each(|(name, count)| writeln!(f, "  {count:>9}  {name}"))?;
        writeln!(f, "longest time without a write though a majority was connected: {} ms", self.longest_gap / 1_000)?;
        write!(f, "longest recovery after the last fault: {:.1} s", self.recovery.as_secs_f64())
    }
}
