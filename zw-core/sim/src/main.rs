//! The simulator's command line. Exit status: 0 all seeds hold, 1 some do not, 2 the command line makes no sense.

use clap::Parser;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use zw_sim::catalogue::{about, table};
use zw_sim::clock::SECOND;
use zw_sim::runner::{Batch, Lines, Report, Summary, run_seed};
use zw_sim::sabotage::{SABOTAGES, Sabotage};
use zw_sim::swarm::Options;

/// Runs simulated worlds of ZooWeeper's core, one for each seed, and checks what must never happen.
#[derive(Debug, Parser)]
#[command(name = "zw-sim", version)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Start no more seeds after so many seconds.
    #[arg(long)]
    secs: Option<u64>,
    /// Run this seed alone, and say what kind of world it is.
    #[arg(long)]
    seed: Option<u64>,
    /// Print everything that happens; only with --seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Go on until so many seeds have failed.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// List the known defects that can be built in.
    #[arg(long)]
    list_sabotage: bool,
    /// Print how soon each known defect is found, as Markdown. It takes long.
    #[arg(long)]
    sabotage_table: bool,
    /// Starting points of the table, each with seeds of its own.
    #[arg(long, default_value_t = 20, requires = "sabotage_table", value_parser = clap::value_parser!(u64).range(1..))]
    points: u64,
    /// Build a known defect in: the seeds must then fail.
    #[arg(long, value_name = "NAME")]
    sabotage: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list_sabotage {
        SABOTAGES.iter().for_each(|(name, _)| println!("{name:<22} {}", about(name).unwrap_or_default().0));
        return ExitCode::SUCCESS;
    }
    if arguments.sabotage_table {
        print!("{}", table(arguments.points, |name| eprintln!("{name}")));
        return ExitCode::SUCCESS;
    }
    let sabotage = match arguments.sabotage.as_deref().map(|name| (name, Sabotage::by_name(name))) {
        None => None,
        Some((_, Some(sabotage))) => Some(sabotage),
        Some((name, None)) => {
            eprintln!("no sabotage is named {name:?}; --list-sabotage shows them all");
            return ExitCode::from(2);
        }
    };
    let failed = match arguments.seed {
        Some(seed) => one(seed, sabotage, &arguments),
        None => many(&arguments, sabotage),
    };
    if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn one(seed: u64, sabotage: Option<Sabotage>, arguments: &Arguments) -> bool {
    println!("{:#?}", Options::of(seed, sabotage));
    let lines = if arguments.trace { Lines::Print } else { Lines::Drop };
    let report = run_seed(seed, sabotage, lines);
    println!("{}", report.counts);
    println!("seed {seed}: {:.1} simulated seconds, trace hash {:016x}", seconds(report.simulated), report.hash);
    explain(&report, arguments);
    report.failure.is_some()
}

/// How often a sweep that nobody watches on a terminal tells how far it is.
const LINE_EVERY_SEEDS: u64 = 10_000;

fn many(arguments: &Arguments, sabotage: Option<Sabotage>) -> bool {
    let started = Instant::now();
    let batch = Batch {
        from: arguments.from,
        seeds: arguments.seeds,
        until: arguments.secs.map(|secs| started + Duration::from_secs(secs)),
        failures_max: arguments.failures.max(1),
        sabotage,
    };
    let shown = std::io::stderr().is_terminal();
    let told = AtomicUsize::new(0);
    let summary = batch.run(|summary| {
        if let Some(report) = summary.failures.get(told.load(Ordering::Relaxed)) {
            told.fetch_add(1, Ordering::Relaxed);
            explain(report, arguments);
        }
        if shown && summary.seeds % 16 == 0 {
            eprint!("\r{}   ", line(summary, started));
        } else if !shown && summary.seeds % LINE_EVERY_SEEDS == 0 {
            eprintln!("{}", line(summary, started));
        }
    });
    if shown {
        eprintln!();
    }
    let _ = std::io::stderr().flush();
    println!("{}", summary.counts);
    println!("{}", line(&summary, started));
    if !summary.is_alarm_alive {
        println!("the canary did not fail: this sweep would have noticed nothing");
    }
    !summary.failures.is_empty() || !summary.is_alarm_alive
}

fn line(summary: &Summary, started: Instant) -> String {
    let elapsed = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = summary.seeds as f64 / elapsed;
    format!(
        "{} seeds in {elapsed:.1} s, {rate:.1} seeds/s, {:.0} simulated seconds, {} failed",
        summary.seeds,
        seconds(summary.simulated),
        summary.failures.len()
    )
}

fn explain(report: &Report, arguments: &Arguments) {
    if let Some((time, violation)) = &report.failure {
        let sabotage = arguments.sabotage.as_ref().map(|name| format!(" --sabotage {name}")).unwrap_or_default();
        println!("seed {} fails after {:.6} simulated seconds: {violation}", report.seed, seconds(*time));
        println!("  replay: cargo run --release -p zw-sim -- --seed {}{sabotage} --trace", report.seed);
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(simulated: u64) -> f64 {
    simulated as f64 / SECOND as f64
}
