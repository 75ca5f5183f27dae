//! The gate of every change: many seeds, all must hold, and much must have happened in them.

use zw_sim::fault::FAULTS;
use zw_sim::runner::Batch;

const SEEDS: u64 = 500;

#[test]
fn five_hundred_seeds_hold() {
    let batch = Batch { from: 0, seeds: SEEDS, until: None, failures_max: 1, sabotage: None };
    let summary = batch.run(|_| {});
    if let Some(report) = summary.failures.first() {
        let (time, violation) = report.failure.as_ref().expect("only failures are kept");
        panic!(
            "seed {} fails after {time} simulated microseconds: {violation}\n\
             replay: cargo run --release -p zw-sim -- --seed {} --trace",
            report.seed, report.seed
        );
    }
    assert_eq!(summary.seeds, SEEDS);
    // Green must not mean that nothing happened.
    let counts = &summary.counts;
    for fault in FAULTS {
        assert!(counts.get(fault.name()) > 20, "only {} of {}\n{counts}", counts.get(fault.name()), fault.name());
    }
    for happened in [
        "torn write",
        "crashed between effects",
        "truncation",
        "snapshot installed",
        "snapshot transfer failed",
        "event sync by append",
        "event sync by truncate",
        "event sync by snapshot",
        "write rejected",
        "outcome unknown",
        "digest comparison",
        "connection closed by the protocol",
    ] {
        assert!(counts.get(happened) > 0, "no {happened}\n{counts}");
    }
    for (happened, least) in [
        ("write acknowledged", 20_000),
        ("barrier read", 5_000),
        ("session read", 20_000),
        ("leader established", 1_000),
    ] {
        assert!(counts.get(happened) >= least, "only {} {happened}\n{counts}", counts.get(happened));
    }
}
