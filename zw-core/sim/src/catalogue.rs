//! The catalogue of known defects as a table: what each breaks, and how soon the simulator finds it.

use crate::runner::Batch;
use crate::sabotage::SABOTAGES;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Seeds within which each must be found, from any starting point.
pub const BUDGET: u64 = 10_000;

/// What each breaks, and the ZooKeeper issues of that kind.
const ABOUT: [(&str, &str, &str); 34] = [
    ("early-durable", "`Durable` is reported before the records are on disk", "3023, 3911, 4646"),
    ("skip-promise", "promises are not written", "1291"),
    ("drop-truncate", "truncations are not written", ""),
    ("forget-record", "a power loss takes one durable record", ""),
    ("ack-received", "a follower acknowledges what is not on its disk yet", "3911"),
    ("early-commit", "a leader commits before a quorum has acknowledged", ""),
    ("understate-log", "a leader does not learn that a follower has more (D5 skipped)", ""),
    ("apply-uncommitted", "entries reach the tree before they are committed", "2845"),
    ("answer-early", "a write is answered before it is applied", ""),
    ("local-barrier", "a barrier is answered by the node alone", "1675"),
    ("impatient-barrier", "a barrier read does not wait for its zxid", ""),
    ("forget-seen", "a session's reads do not wait for what it has seen", ""),
    ("reuse-tags", "tags start anew with each process", ""),
    ("refuse-and-propose", "a refused write is proposed nevertheless", ""),
    ("lose-snapshot-file", "a recorded snapshot's file is lost", ""),
    ("skip-apply", "one node's tree leaves entries out", ""),
    ("forget-promise", "a restart forgets who it promised", "1291"),
    ("swap-records", "two records of a batch are written in the wrong order", "4643"),
    ("lose-directory-fsync", "the directory is not synced after a rename", ""),
    ("ignore-disk-error", "a write that failed counts as durable", ""),
    ("cut-damage", "damage is taken for a torn tail", ""),
    ("ignore-previous", "a follower does not look at the predecessor of records", "4925"),
    ("skip-drain", "a node votes while its log is still being written", "4712"),
    ("barrier-without-echo", "a leader answers a barrier without the echo of a quorum", "1675"),
    ("skip-ephemeral", "a session's end leaves one ephemeral behind", "2355"),
    ("late-event", "a watch fires after the answer that shows its change", ""),
    ("drop-event", "a watch fires and nobody hears of it", ""),
    ("repeat-event", "a watch fires twice", ""),
    ("hasty-rearm", "a client takes the first of its watches to be armed again for all", ""),
    ("expire-early", "a leader takes no notice of signs of life", ""),
    ("lose-touches", "followers do not pass on signs of life", ""),
    ("expire-deposed", "a deposed leader ends sessions", ""),
    ("keep-generation", "a session's generation does not rise", ""),
    ("canary", "nothing: proves that a failure is noticed", ""),
];

/// What is said of the sabotage of this name: what it breaks, and ZooKeeper's issues.
#[must_use]
pub fn about(name: &str) -> Option<(&'static str, &'static str)> {
    ABOUT.iter().find(|(known, ..)| *known == name).map(|(_, breaks, issues)| (*breaks, *issues))
}

/// How soon one sabotage is found.
#[derive(Clone, Debug, Default)]
pub struct Detection {
    /// Seeds up to the first that failed, from each starting point; none within the budget where it is missing.
    pub seeds: Vec<Option<u64>>,
    /// Which property found it how often.
    pub properties: BTreeMap<&'static str, u64>,
}

impl Detection {
    /// Half of the starting points need no more.
    #[must_use]
    pub fn median(&self) -> Option<u64> {
        self.sorted().get((self.seeds.len().max(1) - 1) / 2).copied().flatten()
    }

    /// No starting point needs more.
    #[must_use]
    pub fn worst(&self) -> Option<u64> {
        self.sorted().last().copied().flatten()
    }

    fn sorted(&self) -> Vec<Option<u64>> {
        let mut seeds = self.seeds.clone();
        seeds.sort_by_key(|found| found.unwrap_or(u64::MAX));
        seeds
    }
}

/// Looks for the sabotage from `points` starting points on, each with seeds of its own.
#[must_use]
pub fn detect(sabotage: crate::sabotage::Sabotage, points: u64) -> Detection {
    let mut detection = Detection::default();
    for point in 0..points {
        let from = point * BUDGET;
        let batch = Batch { from, seeds: BUDGET, until: None, failures_max: 1, sabotage: Some(sabotage) };
        let summary = batch.run(|_| {});
        let first = summary.failures.first();
        detection.seeds.push(first.map(|report| report.seed - from + 1));
        if let Some((_, violation)) = first.and_then(|report| report.failure.as_ref()) {
            *detection.properties.entry(violation.property).or_default() += 1;
        }
    }
    detection
}

/// The whole table as Markdown; `progress` is told each name before its turn.
#[must_use]
pub fn table(points: u64, mut progress: impl FnMut(&str)) -> String {
    let mut text = format!(
        "# Known defects, and how soon the simulator finds them\n\n\
         Made by `cargo run --release -p zw-sim -- --sabotage-table > docs/sabotage.md`. Each defect is built in and looked\n\
         for from {points} starting points, {BUDGET} seeds apart; the budget is {BUDGET} seeds from each. All are built in\n\
         where effects, inputs and messages cross between the protocol and its runtime, so the product stays as it is.\n\n\
         | sabotage | what it breaks | ZooKeeper | median | worst | found by |\n|---|---|---|---|---|---|\n"
    );
    for (name, sabotage) in SABOTAGES {
        progress(name);
        let detection = detect(sabotage, points);
        let (breaks, issues) = about(name).unwrap_or_default();
        let number = |seeds: Option<u64>| seeds.map_or("not found".to_owned(), |seeds| seeds.to_string());
        let mut properties: Vec<_> = detection.properties.iter().collect();
        properties.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let properties: Vec<String> = properties.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let (median, worst) = (number(detection.median()), number(detection.worst()));
        let _ = writeln!(text, "| {name} | {breaks} | {issues} | {median} | {worst} | {} |", properties.join(", "));
    }
    text.push_str(
        "\nNot in the table: committing records of older epochs by counting, which cannot be built in from outside\n\
         (`zw-core/sim/README.md` says when it is found if it is built in by hand). Nor is what there is nothing to break\n\
         for: counting observers in a quorum (there are no observers), and using a lease after a pause (there are no\n\
         leases: a barrier asks a quorum each time).\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sabotage_is_described() {
        let missing: Vec<_> = SABOTAGES.iter().filter(|(name, _)| about(name).is_none()).collect();
        assert!(missing.is_empty(), "not in the catalogue: {missing:?}");
    }

    #[test]
    fn the_worst_counts_what_was_not_found() {
        let seeds = vec![Some(7), None, Some(1)];
        let detection = Detection { seeds, properties: BTreeMap::new() };
        assert_eq!((detection.median(), detection.worst()), (Some(7), None));
    }
}
