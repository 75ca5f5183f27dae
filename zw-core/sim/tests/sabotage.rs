//! The simulator finds every defect that is built in on purpose, within a stated number of seeds.

use zw_sim::runner::{Batch, Lines, run_seed};
use zw_sim::sabotage::{SABOTAGES, Sabotage};

/// Seeds within which each must be found; docs/sabotage.md has how many it takes.
const BUDGET: u64 = 10_000;

#[test]
fn every_sabotage_is_found() {
    for (name, sabotage) in SABOTAGES {
        let batch = Batch { from: 0, seeds: BUDGET, until: None, failures_max: 1, sabotage: Some(sabotage) };
        let summary = batch.run(|_| {});
        let found = summary.failures.first();
        assert!(found.is_some(), "{name} was not found within {BUDGET} seeds");
    }
}

#[test]
fn the_canary_fails_and_the_same_seed_without_it_does_not() {
    assert!(run_seed(1, Some(Sabotage::Canary), Lines::Drop).failure.is_some());
    assert!(run_seed(1, None, Lines::Drop).failure.is_none());
}
