//! What the screen shows of the scenarios: the list, and the steps of the one that runs.

use super::runner::{Runner, Stage};
use super::script::{self, Script};
use super::{Outcome, Verdict};
use crate::model::State;
use crate::model::events::Level;
use crate::model::feed::FeedReport;
use crate::model::load::LoadReport;
use crate::model::page::Line;
use crate::model::select::{micros, short};
use std::time::Duration;

/// Bytes of the mark before a step's words.
const MARK: usize = "  [x] ".len();

/// The scenarios that can be chosen, all of them last: name, sentence, newest outcome.
#[must_use]
pub fn list_lines(state: &State) -> Vec<(&'static str, &'static str, Option<&Outcome>)> {
    let shown = script::all().iter().filter(|script| !script.is_hidden);
    let line = |script: &'static Script| (script.name, script.sentence, state.scenarios.outcome_of(script.name));
    shown.map(line).chain([("all", "All of these, one after the other.", None)]).collect()
}

/// The page of the scenario that runs, or ran last.
#[must_use]
pub fn lines(state: &State, now: Duration) -> Vec<Line> {
    let scenarios = &state.scenarios;
    let Some(runner) = scenarios.runner.as_deref().or(scenarios.last.as_deref()) else { return Vec::new() };
    // Where it stands first: there may be room for two lines only.
    let mut lines = match runner.stage {
        Stage::Ready => vec![("waits until the ensemble is healthy".into(), Level::Info)],
        Stage::Steps => {
            let (line, level) = step_line(runner, runner.at, now);
            vec![(format!("step {} of {}: {}", runner.at + 1, runner.steps.len(), &line[MARK..]), level)]
        }
        Stage::Cleaning => vec![("heals, revives, and waits until all is well".into(), Level::Info)],
        Stage::Over => scenarios.outcome_of(runner.script.0.name).map(outcome_lines).unwrap_or_default(),
    };
    if let Some(report) = state.loads.report().filter(|_| state.loads.is_running()) {
        let level = if report.violations > 0 { Level::Bad } else { Level::Info };
        lines.push((format!("load: {}", report.verdict()), level));
    }
    if !scenarios.queue.is_empty() {
        lines.push((format!("{} more follow", scenarios.queue.len()), Level::Info));
    }
    lines.push((String::new(), Level::Info));
    lines.push((runner.script.0.sentence.to_owned(), Level::Info));
    lines.extend((0..runner.steps.len()).map(|index| step_line(runner, index, now)));
    lines
}

fn step_line(runner: &Runner, index: usize, now: Duration) -> Line {
    let words = runner.words(index);
    let is_failed = runner.failure.is_some() && index == runner.at;
    match index.cmp(&runner.at) {
        std::cmp::Ordering::Less => (format!("  [x] {words}"), Level::Info),
        std::cmp::Ordering::Equal if is_failed => (format!("  [!] {words}"), Level::Bad),
        std::cmp::Ordering::Equal if runner.stage == Stage::Steps => {
            let waited = now.saturating_sub(runner.step_since).as_secs();
            let waited = if waited > 0 { format!("  {waited}s") } else { String::new() };
            (format!("  [>] {words}{waited}"), Level::Warning)
        }
        _ => (format!("  [ ] {words}"), Level::Info),
    }
}

fn outcome_lines(outcome: &Outcome) -> Vec<Line> {
    let mut lines = vec![match &outcome.verdict {
        Verdict::Passed => ("PASSED".into(), Level::Info),
        Verdict::Skipped(reason) => (format!("SKIPPED: {reason}"), Level::Warning),
        Verdict::Failed(reason) => (format!("FAILED: {reason}"), Level::Bad),
    }];
    let gap = outcome.longest_gap.map_or_else(String::new, |gap| format!("longest write gap {}, ", time(gap)));
    let (checked, violations) = (short(outcome.checked), outcome.violations);
    let plural = if violations == 1 { "" } else { "s" };
    lines.push((format!("{gap}{violations} violation{plural} in {checked} operations"), Level::Info));
    if !outcome.note.is_empty() {
        lines.push((outcome.note.clone(), Level::Info));
    }
    lines
}

/// Figures of interest.
pub(super) fn note(load: Option<&LoadReport>, feed: Option<&FeedReport>) -> String {
    let mut notes = Vec::new();
    if let Some(feed) = feed {
        let again = if feed.repeated > 0 { format!(" ({} sent again)", feed.repeated) } else { String::new() };
        notes.push(format!("{} events in {}{again}", feed.acknowledged, time(feed.took)));
    }
    if let Some(load) = load {
        notes.push(format!("{} operations/s, p99 {}", load.rate(), time(load.p99)));
    }
    notes.join("; ")
}

fn time(time: Duration) -> String {
    micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
