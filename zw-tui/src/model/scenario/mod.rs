//! Scenarios: what is done to the ensemble, step by step, and what is expected of it. The runner types what a person
//! would type, so a scenario is a test and a demonstration at once; with a screen and without one.
//!
//! Invariants:
//! - The runner has no clock: it goes on with every message, and the nodes' answers come several times a second.
//! - A scenario begins with a healthy ensemble, and whatever became of it ends with one: faults are healed, what is down
//!   is revived, the load is stopped.
//! - Every wait has a deadline, and every scenario as a whole.

mod cast;
mod condition;
mod lines;
mod runner;
pub mod script;

pub use lines::{lines, list_lines};

use super::State;
use super::events::{Event, Level, Source};
use super::jobs::Of;
use super::jobs::Outcome::{Done, Refused};
use super::message::{Effect, Msg};
use super::overlay::Overlay;
use super::text::TextPage;
use runner::{Runner, Stage};
use script::Title;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Outcomes that are kept.
const OUTCOMES_MAX: usize = 100;

/// The scenarios that run, wait and ran.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scenarios {
    /// The one that runs.
    runner: Option<Box<Runner>>,
    queue: VecDeque<Title>,
    outcomes: VecDeque<Outcome>,
    total: usize,
    /// Chooses who plays which part.
    pub seed: u64,
    /// Words of the newest runner, when it is over: for the page.
    last: Option<Box<Runner>>,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Whether its expectations held.
    pub verdict: Verdict,
    /// The longest time without an acknowledged write, if there was a load; or without an acknowledged event.
    pub longest_gap: Option<Duration>,
    /// How long it took, until it was cleaned up.
    pub took: Duration,
    /// Answers, events and trees that were checked.
    pub checked: u64,
    /// How often a property did not hold.
    pub violations: u64,
    /// Figures of interest.
    pub note: String,
}

/// Whether the expectations of a scenario held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// They did.
    Passed,
    /// One did not; which and why.
    Failed(String),
    /// It was not tried; why.
    Skipped(String),
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Skipped(_) => "skipped",
        }
    }

    /// Why it is not passed.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Passed => None,
            Verdict::Failed(reason) | Verdict::Skipped(reason) => Some(reason),
        }
    }
}

impl Scenarios {
    /// Nobody will say any more how the one that runs ends.
    pub(super) fn abandon(&mut self) {
        self.runner = None;
        self.queue.clear();
    }

    /// Whether one runs or waits.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.runner.is_some() || !self.queue.is_empty()
    }

    /// The newest outcomes, oldest first, and how many there were ever.
    pub fn outcomes(&self) -> (impl DoubleEndedIterator<Item = &Outcome> + ExactSizeIterator, usize) {
        (self.outcomes.iter(), self.total)
    }

    /// The newest outcome of a scenario.
    #[must_use]
    pub fn outcome_of(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().rev().find(|outcome| outcome.name == name)
    }
}

/// Begins scenarios, after those that run already.
///
/// # Errors
/// There is none of this name.
pub fn begin(state: &mut State, name: &str) -> Result<(), String> {
    state.version += 1;
    if name == "all" {
        state.scenarios.queue.extend(script::all().iter().filter(|script| !script.is_hidden).map(Title));
    } else {
        state.scenarios.queue.push_back(Title(script::by_name(name, state.has_test_hooks)?));
    }
    Ok(())
}

/// Ends what runs, and forgets what waits.
pub fn stop(state: &mut State) {
    state.version += 1;
    state.scenarios.queue.clear();
    if let Some(runner) = &mut state.scenarios.runner {
        runner.stop();
    }
}

/// Looks at a message before the model takes it.
pub(super) fn observe(state: &mut State, message: &Msg) {
    let Some(runner) = &mut state.scenarios.runner else { return };
    runner.observe(message);
}

/// Goes on as far as it can now.
pub(super) fn advance(state: &mut State, now: Duration) -> Vec<Effect> {
    if state.leaving.is_some() {
        return Vec::new();
    }
    let mut effects = Vec::new();
    if state.scenarios.runner.is_none()
        && let Some(script) = state.scenarios.queue.pop_front()
    {
        event(state, now, Level::Info, format!("scenario {} begins", script.0.name));
        state.begin_job(now, format!(":scenario {}", script.0.name), Of::Scenario);
        state.scenarios.runner = Some(Box::new(Runner::new(script, state, now)));
    }
    let Some(mut runner) = state.scenarios.runner.take() else { return effects };
    // As many steps as can be done now: each goes forward, so this ends.
    while runner.stage != Stage::Over && runner.go_on(state, now, &mut effects) {
        state.version += 1;
    }
    if runner.stage == Stage::Over {
        let outcome = runner.outcome(state);
        end(state, now, outcome);
        state.scenarios.last = Some(runner);
    } else {
        state.scenarios.runner = Some(runner);
    }
    effects
}

fn end(state: &mut State, now: Duration, outcome: Outcome) {
    let (level, text) = match &outcome.verdict {
        Verdict::Passed => (Level::Info, format!("scenario {} passed", outcome.name)),
        Verdict::Skipped(reason) => (Level::Warning, format!("scenario {} skipped: {reason}", outcome.name)),
        Verdict::Failed(reason) => (Level::Bad, format!("scenario {} FAILED: {reason}", outcome.name)),
    };
    let job = match &outcome.verdict {
        Verdict::Passed => Done("passed".to_owned()),
        Verdict::Skipped(reason) => Refused(format!("skipped: {reason}")),
        Verdict::Failed(reason) => Refused(format!("FAILED: {reason}")),
    };
    state.end_job(now, &Of::Scenario, job);
    event(state, now, level, text.clone());
    super::acts::say(state, now, text, level != Level::Bad);
    if state.scenarios.outcomes.len() == OUTCOMES_MAX {
        state.scenarios.outcomes.pop_front();
    }
    state.scenarios.outcomes.push_back(outcome);
    state.scenarios.total += 1;
}

fn event(state: &mut State, at: Duration, level: Level, text: String) {
    state.events.push(Event::new(at, Source::Console, level, text));
    state.version += 1;
}

/// The title of the page.
pub(super) fn title(state: &State) -> String {
    let runner = state.scenarios.runner.as_deref().or(state.scenarios.last.as_deref());
    runner.map_or_else(|| "Scenario".into(), |runner| format!("Scenario {}", runner.script.0.name))
}

/// Since when the step that is shown is waited for, if one is: its age is on the screen.
pub(super) fn step_since(state: &State) -> Option<Duration> {
    let is_shown = matches!(state.overlay, Some(Overlay::Text { page: TextPage::Scenario, .. }));
    state.scenarios.runner.as_ref().filter(|_| is_shown).map(|runner| runner.step_since)
}
