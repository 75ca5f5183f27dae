//! The black box: real processes under real faults, judged by the simulator's oracles. See docs/verification.md.
//!
//! Reading order: `round` (one run), `faults`, `proxy`, `supervisor`; `workload` and `clients`; `logs`, `judge`,
//! `watching`, `availability`. The long run is `torture`.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod availability;
mod clients;
mod faults;
mod judge;
mod judge_tests;
mod logs;
mod operation;
mod proxy;
mod report;
mod round;
mod small_disk;
mod supervisor;
mod verdict;
mod watching;
mod workload;

use report::Report;
use round::{Flavour, Plan};
use std::time::Duration;
use tokio::sync::Mutex;

/// One run at a time: each keeps a machine busy.
static TURN: Mutex<()> = Mutex::const_new(());

/// A short run. The schedule of faults follows from the seed; what comes of it does not.
async fn short(seed: u64, size: usize, flavour: Flavour) {
    let _turn = TURN.lock().await;
    let plan = Plan { seed, size, faults: Duration::from_secs(15), clients: 6, think_ms: 5, flavour, says: true };
    let directory = tempfile::tempdir().unwrap();
    println!("{plan:?}");
    match round::run(&plan, &directory.path().join("run")).await {
        Ok(report) => {
            let mut total = Report::default();
            total.add(report);
            println!("{total}");
            assert!(total.checked.writes > 0 && total.checked.reads > 0, "the run checked nothing");
        }
        Err(failure) => panic!("seed {seed}: {failure}\nevidence: {}", directory.keep().display()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_under_faults() {
    short(3, 3, Flavour::Plain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_under_faults_with_snapshots() {
    short(5, 5, Flavour::Snapshots).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_whose_disks_run_full() {
    short(7, 3, Flavour::SmallDisk).await;
}
