//! Searches larger small worlds than the test of the same name: `small_worlds NAME [MINUTES [MILLIONS OF STATES]]`.
//!
//! Prints the names with no argument; ends with an error if a property does not hold. A state takes about 50 bytes.

#[path = "../tests/small_worlds/world/mod.rs"]
mod world;

use std::process::ExitCode;
use std::time::Duration;
use world::plans::{NONE, SABOTAGED, SMALL, plan, real};
use world::search::{Bound, search};
use world::{Budget, Plan, Start};

/// What takes longer than a test may.
const LARGE: [Plan; 13] = [
    plan("cut", Start::Empty, Budget { elections: 2, proposals: 1, cuts: 1, connects: 1, beats: 1, ..NONE }),
    plan("silence-beat", Start::Empty, Budget { elections: 2, silences: 1, connects: 1, beats: 1, ..NONE }),
    plan("silence-2", Start::Empty, Budget { elections: 2, proposals: 1, silences: 1, connects: 1, ..NONE }),
    plan("silence-3", Start::Empty, Budget { elections: 2, proposals: 1, silences: 2, connects: 2, ..NONE }),
    plan("crash-2", Start::Empty, Budget { elections: 2, proposals: 2, crashes: 1, connects: 2, ..NONE }),
    plan("crash-3", Start::Empty, Budget { elections: 3, proposals: 1, crashes: 1, connects: 1, ..NONE }),
    plan("three-epochs", Start::Empty, Budget { elections: 3, proposals: 2, crashes: 1, connects: 2, ..NONE }),
    plan("two-crashes", Start::Empty, Budget { elections: 2, proposals: 1, crashes: 2, connects: 2, ..NONE }),
    plan(
        "crash-silence",
        Start::Empty,
        Budget { elections: 2, proposals: 1, silences: 1, crashes: 1, connects: 2, ..NONE },
    ),
    plan("tails-beat", Start::TwoTails, Budget { elections: 2, connects: 1, beats: 1, ..NONE }),
    plan("tails-2", Start::TwoTails, Budget { elections: 2, proposals: 1, crashes: 1, connects: 2, beats: 1, ..NONE }),
    real("votes-2", Budget { silences: 1, connects: 1, ..NONE }),
    real("votes-3", Budget { proposals: 1, crashes: 1, connects: 1, ..NONE }),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sabotaged = SABOTAGED.into_iter().map(|(plan, _)| plan);
    let plans: Vec<_> = SMALL.into_iter().chain(LARGE).chain(sabotaged).collect();
    let plan = arguments.first().and_then(|name| plans.iter().find(|plan| plan.name == *name));
    let numbers = arguments.iter().skip(1).map(|text| text.parse()).collect::<Result<Vec<u32>, _>>();
    let (Some(plan), Ok(numbers)) = (plan, numbers) else {
        eprintln!("usage: small_worlds NAME [MINUTES [MILLIONS OF STATES]], with one of these names:");
        plans.iter().for_each(|plan| eprintln!("  {:24} {:?}, {}", plan.name, plan.start, plan.budget));
        return ExitCode::from(2);
    };
    let minutes = numbers.first().copied().unwrap_or(20);
    let millions = numbers.get(1).copied().unwrap_or(60);
    let time = Duration::from_secs(60 * u64::from(minutes));
    let report = search(*plan, Bound { states: millions as usize * 1_000_000, time });
    println!("{report}");
    if report.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
