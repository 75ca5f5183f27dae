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
    assert!(summary.is_alarm_alive, "the canary did not fail");
    // Green must not mean that nothing happened.
    let counts = &summary.counts;
    for fault in FAULTS {
        assert!(counts.get(fault.name()) > 20, "only {} of {}\n{counts}", counts.get(fault.name()), fault.name());
    }
    for happened in [
        "torn write",
        "damage noticed",
        "damage that looks torn",
        "start refused because of damage",
        "process ended by a disk error",
        "own snapshot failed",
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
        ("call judged from outside", 100_000),
        ("barrier read", 5_000),
        ("session read", 20_000),
        ("leader established", 1_000),
        ("session opened", 1_000),
        ("session attached", 1_000),
        ("session closed", 200),
        ("session expired", 500),
        ("session sent elsewhere", 100),
        ("expiry proposed in quiet", 20),
        ("refused: session expired", 200),
        ("refused: session moved", 50),
        ("ephemeral ended with its session", 500),
        ("znode reaped", 1_000),
        ("watch", 10_000),
        ("watch event", 50_000),
        ("watch event on arming again", 200),
        ("watches armed again", 1_000),
        ("lock taken", 1_000),
        ("fenced write", 1_000),
        ("world of rivals", 50),
    ] {
        assert!(counts.get(happened) >= least, "only {} {happened}\n{counts}", counts.get(happened));
    }
}
