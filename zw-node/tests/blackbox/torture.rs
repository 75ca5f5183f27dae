//! The long run of the black box: one run after the other, each with a seed of its own, until the time is over.
//!
//! A program and no test: without `ZW_TORTURE_MINUTES` it does nothing. `scripts/torture.sh` starts it. Exit code 0 if
//! nothing was found, 1 for a violation, 3 if the harness failed and nothing can be said.

// The unit tests of the modules belong to the target `blackbox`.
#![cfg_attr(test, allow(unused_imports, dead_code))]

mod availability;
mod clients;
mod faults;
mod judge;
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
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use verdict::{Failure, harness};
use zw_sim::prng::Prng;

const VIOLATION: u8 = 1;
const HARNESS: u8 = 3;
/// How long faults are injected into one ensemble. Its log stays far below one segment, which the oracles read whole.
const FAULTS: Duration = Duration::from_secs(45);

struct Torture {
    minutes: u64,
    size: Option<usize>,
    seed: u64,
    directory: PathBuf,
}

fn main() -> ExitCode {
    if std::env::var_os("ZW_TORTURE_MINUTES").is_none() {
        println!("torture: nothing asked for; see scripts/torture.sh");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let verdict = match (Torture::from_environment(), runtime) {
        (Ok(torture), Ok(runtime)) => runtime.block_on(torture.run()),
        (Err(failure), _) => Err(failure),
        (_, Err(error)) => Err(Failure::Harness(error.to_string())),
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::from(if matches!(failure, Failure::Violation(_)) { VIOLATION } else { HARNESS })
        }
    }
}

/// A number from the environment.
fn number(name: &str) -> Result<Option<u64>, Failure> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(harness(name))).transpose()
}

impl Torture {
    fn from_environment() -> Result<Torture, Failure> {
        let size = number("ZW_TORTURE_NODES")?.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        if size.is_some_and(|size| !(1..=9).contains(&size)) {
            return Err(Failure::Harness("1 to 9 nodes".to_owned()));
        }
        let clock =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Torture {
            minutes: number("ZW_TORTURE_MINUTES")?.unwrap_or(1),
            size,
            seed: number("ZW_TORTURE_SEED")?.unwrap_or(clock),
            directory: std::env::var_os("ZW_TORTURE_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        })
    }

    /// The run number `round`: what kind it is follows from its seed alone.
    fn plan(&self, round: u64) -> Plan {
        let seed = self.seed + round;
        let mut prng = Prng::new(seed).split("plan", 0);
        let size = prng.pick(&[3, 5]);
        let clients = usize::try_from(prng.between(4, 10)).unwrap_or(4);
        let flavour = prng.pick(&[Flavour::Plain, Flavour::Snapshots, Flavour::SmallDisk]);
        let think_ms = prng.pick(&[2, 5, 20]);
        Plan { seed, size: self.size.unwrap_or(size), faults: FAULTS, clients, think_ms, flavour, says: false }
    }

    async fn run(&self) -> Result<(), Failure> {
        let end = Instant::now() + Duration::from_secs(60 * self.minutes);
        let mut total = Report::default();
        let mut rounds = 0;
        println!("seed {}, {} min, evidence below {}", self.seed, self.minutes, self.directory.display());
        while Instant::now() < end {
            let plan = self.plan(rounds);
            let directory = self.directory.join(format!("torture-{}-{}", std::process::id(), plan.seed));
            let report = match round::run(&plan, &directory).await {
                Ok(report) => report,
                Err(failure) => {
                    println!("round {} failed: {plan:?}\nkept: {}", rounds + 1, directory.display());
                    println!("\nbefore that\n{total}");
                    println!("again: scripts/torture.sh 1 --nodes {} --seed {}", plan.size, plan.seed);
                    return Err(failure);
                }
            };
            let _ = std::fs::remove_dir_all(&directory);
            rounds += 1;
            progress(rounds, &plan, &report);
            total.add(report);
        }
        println!("\n{total}");
        println!("verdict: nothing found");
        Ok(())
    }
}

fn progress(round: u64, plan: &Plan, report: &Report) {
    let faults: u64 = report.faults.values().sum();
    println!(
        "round {round}: seed {}, {} nodes, {:?}: {faults} faults, {} writes and {} reads checked, longest gap {} ms, \
         whole again after {:.1} s",
        plan.seed,
        plan.size,
        plan.flavour,
        report.checked.writes,
        report.checked.reads,
        report.longest_gap / 1_000,
        report.recovery.as_secs_f64()
    );
}
