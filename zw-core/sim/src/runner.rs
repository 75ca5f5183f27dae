//! Runs seeds: one, or many on all cores, each in a world of its own.

use crate::clock::Micros;
use crate::counts::Counts;
use crate::invariants::Violation;
use crate::sabotage::Sabotage;
use crate::swarm::Options;
use crate::trace::Trace;
use crate::world::World;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// How one seed went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What did not hold, and when.
    pub failure: Option<(Micros, Violation)>,
    /// The hash of everything that happened.
    pub hash: u64,
    /// What happened how often.
    pub counts: Counts,
    /// What the oracle that trusts zxids found, where it may only take notes.
    pub silenced: Option<Violation>,
    /// How much time passed in the world.
    pub simulated: Micros,
    /// The trace, if it was to be kept.
    pub lines: Vec<String>,
}

/// What to do with the trace's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Only the hash is wanted.
    Drop,
    /// Keep them in the report.
    Keep,
    /// Print each at once.
    Print,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics quiet on threads that run seeds: an assertion that fails is a finding, reported with its seed.
pub fn catch_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let caught = PANIC.with_borrow_mut(|slot| slot.as_mut().map(|text| *text = info.to_string()));
            if caught.is_none() {
                before(info);
            }
        }));
    });
}

/// Runs one seed to its end, or to the first property that does not hold.
#[must_use]
pub fn run_seed(seed: u64, sabotage: Option<Sabotage>, lines: Lines) -> Report {
    run_world(Options::of(seed, sabotage), lines)
}

/// Runs the world of these options to its end, or to the first property that does not hold.
#[must_use]
pub fn run_world(options: Options, lines: Lines) -> Report {
    catch_panics();
    let seed = options.seed;
    let mut world = World::new(options, Trace::new(lines == Lines::Print, lines == Lines::Keep));
    PANIC.set(Some(String::new()));
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run_to_end()));
    let panic = PANIC.take().unwrap_or_default();
    let silenced = world.oracles.silenced.take();
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(_) => Some(Violation::new("Assertion", panic)),
    };
    let simulated = world.agenda.now();
    Report {
        seed,
        failure: failure.map(|violation| (simulated, violation)),
        hash: world.trace.hash(),
        counts: std::mem::take(&mut world.counts),
        simulated,
        silenced,
        lines: world.trace.lines().to_vec(),
    }
}

/// Many seeds.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// When to start no more.
    pub until: Option<Instant>,
    /// How many failures are enough.
    pub failures_max: usize,
    /// A defect to build in.
    pub sabotage: Option<Sabotage>,
}

/// How many seeds went.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many were run.
    pub seeds: u64,
    /// What happened how often in all of them.
    pub counts: Counts,
    /// How much time passed in them.
    pub simulated: Micros,
    /// The failures, by seed.
    pub failures: Vec<Report>,
    /// Whether the canary, which must fail, did: a sweep whose alarm is dead proves nothing.
    pub is_alarm_alive: bool,
}

impl Batch {
    /// Runs the seeds on all cores; `progress` is called after each.
    #[must_use]
    pub fn run(&self, progress: impl Fn(&Summary) + Sync) -> Summary {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicU64::new(0);
        let enough = AtomicBool::new(false);
        let summary = Mutex::new(Summary::default());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(&next, &enough, &summary, &progress));
            }
        });
        let canary = run_seed(self.from, Some(Sabotage::Canary), Lines::Drop);
        let mut summary = summary.into_inner().expect("no thread panics while it holds the summary");
        summary.is_alarm_alive = canary.failure.is_some_and(|(_, violation)| violation.property == "Canary");
        summary.failures.sort_by_key(|report| report.seed);
        summary
    }

    fn work(
        &self,
        next: &AtomicU64,
        enough: &AtomicBool,
        summary: &Mutex<Summary>,
        progress: &(impl Fn(&Summary) + Sync),
    ) {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let late = self.until.is_some_and(|until| Instant::now() >= until);
            if index >= self.seeds || late || enough.load(Ordering::Relaxed) {
                return;
            }
            let report = run_seed(self.from.wrapping_add(index), self.sabotage, Lines::Drop);
            let mut summary = summary.lock().expect("no thread panics while it holds the summary");
            summary.seeds += 1;
            summary.counts.merge(&report.counts);
            summary.simulated += report.simulated;
            if report.failure.is_some() {
                summary.failures.push(report);
                enough.store(summary.failures.len() >= self.failures_max, Ordering::Relaxed);
            }
            progress(&summary);
        }
    }
}
