//! The load that the console makes: what was asked for, what it has come to, and the run before it.
//!
//! Invariant: the figures are those of the newest report of the run; a report of another run is not taken.

use super::State;
use super::acts::say;
use super::events::{Event, Level, Source};
use super::jobs::{Of, Outcome};
use super::message::Effect;
use super::page::Line;
use super::select::{clock, micros, seconds, short};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Rates that are kept: two minutes of them.
const RATES_MAX: usize = 120;
/// Time over which one of them is taken.
const RATE_TIME: Duration = Duration::from_secs(1);
/// Rates on the page.
const RATES_SHOWN: usize = 12;

/// Where the load connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadTarget {
    /// The leader.
    Leader,
    /// The followers, in turn.
    Followers,
    /// Any node.
    Random,
    /// This node, from 0.
    Node(usize),
}

impl fmt::Display for LoadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadTarget::Leader => f.write_str("leader"),
            LoadTarget::Followers => f.write_str("followers"),
            LoadTarget::Random => f.write_str("random"),
            LoadTarget::Node(node) => write!(f, "n{}", node + 1),
        }
    }
}

/// What a load is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// Operations a second; 0 for as many as there are answers.
    pub rate: u32,
    /// How long.
    pub lasts: Duration,
    /// Where it connects.
    pub target: LoadTarget,
    /// Connections.
    pub connections: usize,
    /// Znodes that it writes and reads.
    pub keys: usize,
    /// Bytes of a value.
    pub size: usize,
    /// How many of 100 operations read.
    pub reads: u32,
    /// Decides which key is next.
    pub seed: u64,
}

impl Default for LoadPlan {
    fn default() -> LoadPlan {
        LoadPlan {
            rate: 200,
            lasts: Duration::from_secs(60),
            target: LoadTarget::Random,
            connections: 4,
            keys: 16,
            size: 100,
            reads: 20,
            seed: 1,
        }
    }
}

impl fmt::Display for LoadPlan {
    /// As on the command line; what is as usual is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = LoadPlan::default();
        match self.rate {
            0 => write!(f, "max")?,
            rate => write!(f, "{rate}/s")?,
        }
        write!(f, " {} {}", seconds(self.lasts), self.target)?;
        let others = [
            ("connections", self.connections, usual.connections),
            ("keys", self.keys, usual.keys),
            ("size", self.size, usual.size),
            ("reads", self.reads as usize, usual.reads as usize),
        ];
        others.into_iter().filter(|(_, is, usual)| is != usual).try_for_each(|(name, is, _)| write!(f, " {name}={is}"))
    }
}

impl LoadPlan {
    /// As on the command line, with all of its time.
    #[must_use]
    pub fn line(&self) -> String {
        self.to_string().replacen(&seconds(self.lasts), &format!("{}s", self.lasts.as_secs()), 1)
    }
}

/// How far a load is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Its znodes are made; with why that takes its time, if it is known.
    Preparing(Option<String>),
    /// It runs.
    Running,
    /// All its keys are read again, behind a sync.
    Verifying,
    /// It is over, and every key was read again.
    Verified,
    /// It is over, and this could not be done.
    Failed(String),
}

impl Phase {
    /// Whether nothing more comes.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Phase::Verified | Phase::Failed(_))
    }
}

/// What a load has come to, since its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// How far it is.
    pub phase: Phase,
    /// Since it began to run.
    pub at: Duration,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Operations that were refused: certainly not done.
    pub errors: u64,
    /// Writes whose outcome is unknown.
    pub unknown: u64,
    /// Connections that were lost.
    pub reconnects: u64,
    /// Latencies from when an operation was due.
    pub p50: Duration,
    /// See `p50`.
    pub p99: Duration,
    /// See `p50`.
    pub longest: Duration,
    /// The longest time without an acknowledged write.
    pub longest_gap: Duration,
    /// Answers that were checked.
    pub checked: u64,
    /// How often a property did not hold.
    pub violations: u64,
    /// The first time that one did not, with its evidence.
    pub first_violation: Option<String>,
    /// Why operations failed, each with how often.
    pub reasons: Vec<(String, u64)>,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Counts the runs from 1.
    pub run: u32,
    /// What it is to do.
    pub plan: LoadPlan,
    /// When it was asked for.
    pub since: Duration,
    /// What it has come to; none before its first report.
    pub report: Option<LoadReport>,
    /// Operations a second, oldest first.
    rates: VecDeque<u64>,
    /// What the newest of the rates is counted from: when, and operations until then.
    counted: (Duration, u64),
}

/// The runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Loads {
    /// The newest.
    pub current: Option<Load>,
    /// The one before.
    pub former: Option<Load>,
    last_run: u32,
}

impl LoadReport {
    /// Operations that were answered.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.writes + self.reads
    }

    /// Operations a second, over the whole run.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let millis = u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX).max(1);
        self.operations().saturating_mul(1_000) / millis
    }

    /// The verdict on correctness.
    #[must_use]
    pub fn verdict(&self) -> String {
        let checked = short(self.checked);
        match (self.violations, &self.phase) {
            (0, _) => format!("0 violations in {checked} operations"),
            (1, _) => format!("1 VIOLATION in {checked} operations"),
            (many, _) => format!("{many} VIOLATIONS in {checked} operations"),
        }
    }
}

impl Load {
    /// Whether more is to come of it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.report.as_ref().is_none_or(|report| !report.phase.is_over())
    }

    /// Operations a second in each of the last seconds, oldest first.
    pub fn rates(&self) -> impl ExactSizeIterator<Item = u64> {
        self.rates.iter().copied()
    }

    fn take(&mut self, report: LoadReport) {
        let operations = report.operations();
        let (since, before) = self.counted;
        let time = report.at.saturating_sub(since);
        if time >= RATE_TIME {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
            if self.rates.len() == RATES_MAX {
                self.rates.pop_front();
            }
            self.rates.push_back(operations.saturating_sub(before).saturating_mul(1_000) / millis);
            self.counted = (report.at, operations);
        }
        self.report = Some(report);
    }
}

impl Loads {
    /// Whether one runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.current.as_ref().is_some_and(Load::is_running)
    }

    /// Nobody will say any more how the one that runs ends.
    pub(super) fn abandon(&mut self) {
        self.current.take_if(|load| load.is_running());
    }

    /// The newest report.
    #[must_use]
    pub fn report(&self) -> Option<&LoadReport> {
        self.current.as_ref()?.report.as_ref()
    }
}

/// Begins a load, in place of one that runs.
pub fn begin(state: &mut State, now: Duration, plan: LoadPlan) -> Vec<Effect> {
    state.loads.last_run += 1;
    let run = state.loads.last_run;
    let load = Load {
        run,
        plan: plan.clone(),
        since: now,
        report: None,
        rates: VecDeque::new(),
        counted: (Duration::ZERO, 0),
    };
    let before = state.loads.current.replace(load);
    if let Some(before) = before.as_ref().filter(|before| before.is_running()) {
        state.end_job(now, &Of::Load(before.run), Outcome::Refused("another load took its place".to_owned()));
    }
    state.begin_job(now, format!(":load {}", plan.line()), Of::Load(run));
    if before.as_ref().is_some_and(|before| before.report.is_some()) {
        state.loads.former = before;
    }
    note(state, now, Level::Info, format!("load {plan}"));
    vec![Effect::Load { run, plan }]
}

/// Ends the load that runs; it is verified as usual.
pub fn stop(state: &mut State, now: Duration) -> Vec<Effect> {
    if !state.loads.is_running() {
        say(state, now, "no load runs; load 200/s 60s random begins one".into(), true);
        return Vec::new();
    }
    note(state, now, Level::Info, "load stop".into());
    say(state, now, "the load ends, and is verified".into(), true);
    vec![Effect::StopLoad]
}

/// Takes a report.
pub(super) fn on_report(state: &mut State, now: Duration, run: u32, report: LoadReport) {
    let Some(load) = state.loads.current.as_mut().filter(|load| load.run == run) else { return };
    let had = load.report.as_ref();
    let is_first_violation = report.violations > 0 && had.is_none_or(|had| had.violations == 0);
    let is_end = report.phase.is_over() && had.is_none_or(|had| !had.phase.is_over());
    let violation = report.first_violation.clone().filter(|_| is_first_violation);
    let words = is_end.then(|| end_words(&report));
    load.take(report);
    state.version += 1;
    if let Some(evidence) = violation {
        event(state, now, Level::Bad, format!("VIOLATION: {evidence}"));
    }
    if let Some((words, level)) = words {
        let said = words.trim_start_matches("load over").trim_start_matches([':', ',', ' ']).to_owned();
        let outcome = if level == Level::Info { Outcome::Done(said) } else { Outcome::Refused(said) };
        state.end_job(now, &Of::Load(run), outcome);
        event(state, now, level, words);
    }
}

fn end_words(report: &LoadReport) -> (String, Level) {
    let gap = time(report.longest_gap);
    let figures = format!("{}/s, {}, longest write gap {gap}", short(report.rate()), report.verdict());
    match &report.phase {
        Phase::Failed(reason) => (format!("load over, NOT verified: {reason}; {figures}"), Level::Warning),
        _ if report.violations > 0 => (format!("load over: {figures}"), Level::Bad),
        _ => (format!("load over: {figures}"), Level::Info),
    }
}

fn note(state: &mut State, at: Duration, level: Level, text: String) {
    state.events.push(Event::new(at, Source::You, level, text));
    state.version += 1;
}

fn event(state: &mut State, at: Duration, level: Level, text: String) {
    state.events.push(Event::new(at, Source::Console, level, text));
}

/// The page of the load.
#[must_use]
pub fn lines(state: &State) -> Vec<Line> {
    let Some(load) = &state.loads.current else { return Vec::new() };
    let former = state.loads.former.as_ref();
    let plan = (format!("load {}, begun {}", load.plan, clock(load.since)), Level::Info);
    let Some(report) = &load.report else { return vec![plan, ("waits for its first report".into(), Level::Info)] };
    // The most important first: there may be room for two lines only.
    let level = if report.violations > 0 { Level::Bad } else { Level::Info };
    let mut lines = vec![(report.verdict(), level)];
    if let Some(evidence) = &report.first_violation {
        lines.push((format!("the first: {evidence}"), Level::Bad));
    }
    lines.push(phase_line(load, report));
    lines.push(plan);
    lines.push((String::new(), Level::Info));
    let before = former.and_then(|former| former.report.as_ref());
    let heading = former.map_or_else(String::new, |former| format!("before: {}", former.plan));
    lines.push((format!("{:<20}{:>12}    {heading}", "", "now"), Level::Info));
    for (name, figure) in FIGURES {
        let then = before.map_or_else(String::new, figure);
        lines.push((format!("{name:<20}{:>12}{then:>12}", figure(report)), Level::Info));
    }
    lines.push((String::new(), Level::Info));
    let skipped = load.rates().len().saturating_sub(RATES_SHOWN);
    let rates: Vec<String> = load.rates().skip(skipped).map(short).collect();
    lines.push((format!("operations/s, second by second: {}", rates.join(" ")), Level::Info));
    if !report.reasons.is_empty() {
        lines.push((String::new(), Level::Info));
        lines.push(("Why operations were not done, or are not known to be:".into(), Level::Warning));
        lines.extend(report.reasons.iter().map(|(reason, count)| (format!("  {count} x {reason}"), Level::Warning)));
    }
    lines
}

fn phase_line(load: &Load, report: &LoadReport) -> Line {
    let words = match &report.phase {
        Phase::Preparing(None) => "makes its znodes".to_owned(),
        Phase::Preparing(Some(reason)) => format!("waits to make its znodes: {reason}"),
        Phase::Running => format!("runs, {} of {}", seconds(report.at), seconds(load.plan.lasts)),
        Phase::Verifying => "reads all its keys again, behind a sync".to_owned(),
        Phase::Verified => format!("over after {}; every key was read again, behind a sync", seconds(report.at)),
        Phase::Failed(reason) => return (format!("over, not verified: {reason}"), Level::Warning),
    };
    (words, Level::Info)
}

type Figure = (&'static str, fn(&LoadReport) -> String);

/// What is compared with the run before.
const FIGURES: [Figure; 10] = [
    ("operations/s", |report| short(report.rate())),
    ("writes", |report| short(report.writes)),
    ("reads", |report| short(report.reads)),
    ("refused", |report| short(report.errors)),
    ("outcome unknown", |report| short(report.unknown)),
    ("reconnects", |report| short(report.reconnects)),
    ("p50", |report| time(report.p50)),
    ("p99", |report| time(report.p99)),
    ("longest", |report| time(report.longest)),
    ("longest write gap", |report| time(report.longest_gap)),
];

fn time(time: Duration) -> String {
    micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
