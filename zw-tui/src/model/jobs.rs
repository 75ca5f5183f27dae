//! Everything that the console did, each as the line that does it again, with how it ended: the page `@`.
//!
//! Invariants:
//! - What lasts as a lease is not noted here: the page reads it from the faults, which know its time and its end.
//! - A job ends once, by the first message that says so; the number of jobs is bounded.

use super::acts::{Act, say};
use super::events::{Event, Level};
use super::faults::Lease;
use super::message::{Effect, Recording};
use super::page::Line;
use super::select::{clock, micros, printable, seconds};
use super::{State, select};
use crate::member::Member;
use crate::supervisor::{Change, Exit};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;

/// Jobs that are kept.
const JOBS_MAX: usize = 200;
/// How much of a line and of a reason is kept.
const LINE_BYTES_MAX: usize = 400;

/// What the console did, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Jobs(VecDeque<Job>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    line: String,
    began: Duration,
    of: Of,
    ended: Option<(Duration, Outcome)>,
}

/// What a job is about, and so which message ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Of {
    /// An act on a process.
    Process(Act, Member),
    /// A write through a node.
    Write(usize, String),
    /// A deletion through a node.
    Delete(usize, String),
    /// A load, by its number.
    Load(u32),
    /// A feed, by its number.
    Feed(u32),
    /// The scenario that runs.
    Scenario,
    /// The recording to a file.
    Recording,
    /// The export of the events.
    Export,
    /// It was over when it began.
    Nothing,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// It was done; with what came of it.
    Done(String),
    /// It was not, or not all of it; with why.
    Refused(String),
}

impl Jobs {
    /// Whether the end of an act, a write or a deletion is awaited.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let ends_soon = |of: &Of| matches!(of, Of::Process(..) | Of::Write(..) | Of::Delete(..));
        self.0.iter().any(|job| job.ended.is_none() && ends_soon(&job.of))
    }
}

impl State {
    /// Notes that something began. The oldest is forgotten when there is too much.
    pub(super) fn begin_job(&mut self, now: Duration, line: String, of: Of) {
        if self.jobs.0.len() == JOBS_MAX {
            self.jobs.0.pop_front();
        }
        let line = printable(line.as_bytes(), LINE_BYTES_MAX);
        self.jobs.0.push_back(Job { line, began: now, of, ended: None });
        self.version += 1;
    }

    /// Notes the end of the oldest job that is about this and runs.
    pub(super) fn end_job(&mut self, now: Duration, of: &Of, outcome: Outcome) {
        if let Some(job) = self.jobs.0.iter_mut().find(|job| job.ended.is_none() && job.of == *of) {
            job.ended = Some((now, outcome));
            self.version += 1;
        }
    }

    /// Nobody will say any more how what runs ended.
    pub(super) fn abandon_jobs(&mut self, now: Duration, why: &str) {
        for job in self.jobs.0.iter_mut().filter(|job| job.ended.is_none()) {
            job.ended = Some((now, Outcome::Refused(why.to_owned())));
        }
    }

    /// Notes what was not even begun.
    pub fn refuse_job(&mut self, now: Duration, line: String, reason: &str) {
        self.begin_job(now, line, Of::Nothing);
        let reason = printable(reason.as_bytes(), LINE_BYTES_MAX);
        self.end_job(now, &Of::Nothing, Outcome::Refused(reason));
    }
}

/// What became of a process may be the end of what was asked of it.
pub(super) fn on_change(state: &mut State, now: Duration, member: Member, change: &Change) {
    let done = |words: &str| Outcome::Done(words.to_owned());
    let exit = |exit: &Exit| Outcome::Done(exit.to_string());
    for act in [Act::Kill, Act::Stop, Act::Pause, Act::Resume, Act::Revive] {
        let outcome = match (act, change) {
            (Act::Kill | Act::Stop, Change::Exited { exit: code, .. }) => exit(code),
            (Act::Revive, Change::Exited { exit, .. }) => Outcome::Refused(exit.to_string()),
            (Act::Pause, Change::Exited { .. }) => Outcome::Refused("it ended".to_owned()),
            (Act::Pause, Change::Paused) | (Act::Resume | Act::Revive, Change::Resumed) => done(""),
            (Act::Revive, Change::Listening) => done("listens"),
            (_, Change::Failed(reason) | Change::Refused(reason)) => Outcome::Refused(reason.clone()),
            _ => continue,
        };
        state.end_job(now, &Of::Process(act, member), outcome);
    }
}

/// What became of the recording to a file.
pub(super) fn on_recording(state: &mut State, now: Duration, recording: &Recording) {
    match recording {
        Recording::Began(file) => state.begin_job(now, format!(":record on {file}"), Of::Recording),
        Recording::Ended { bytes, .. } => {
            state.end_job(now, &Of::Recording, Outcome::Done(select::bytes(*bytes)));
        }
        Recording::Failed(reason) => {
            let is_running = state.jobs.0.iter().any(|job| job.ended.is_none() && job.of == Of::Recording);
            if is_running {
                state.end_job(now, &Of::Recording, Outcome::Refused(reason.clone()));
            } else {
                state.refuse_job(now, ":record on".to_owned(), reason);
            }
        }
    }
}

/// Writes all events that are kept to a file, one line of JSON each.
pub fn export(state: &mut State, now: Duration, file: String) -> Vec<Effect> {
    let line = |event: &Event| {
        let level = format!("{:?}", event.level).to_lowercase();
        let at_ms = u64::try_from(event.at.as_millis()).unwrap_or(u64::MAX);
        let (source, text) = (event.source.to_string(), &event.text);
        format!("{}\n", json!({ "at_ms": at_ms, "source": source, "level": level, "text": text }))
    };
    let text = state.events.iter().map(line).collect();
    state.begin_job(now, format!(":export {file}"), Of::Export);
    vec![Effect::Export { file, text }]
}

/// They were written, or not.
pub(super) fn on_exported(state: &mut State, now: Duration, result: Result<String, String>) {
    let is_done = result.is_ok();
    let outcome = match &result {
        Ok(words) => Outcome::Done(words.clone()),
        Err(reason) => Outcome::Refused(reason.clone()),
    };
    state.end_job(now, &Of::Export, outcome);
    say(state, now, result.map_or_else(|reason| reason, |words| format!("the events are in {words}")), is_done);
}

/// The page: newest first.
#[must_use]
pub fn lines(state: &State, now: Duration) -> Vec<Line> {
    let jobs = state.jobs.0.iter().map(|job| (job.began, of_job(job)));
    let active = state.faults.active().iter().map(|lease| {
        let (left, line) = (lease.left(now), line_of(lease));
        let left = if lease.until.is_some() { format!("{left} left") } else { left };
        (lease.since, (row(lease.since, "lasts", "", &line, &left), Level::Warning))
    });
    let past = state.faults.past().map(|(lease, ended)| {
        let had_time = lease.until.is_some_and(|until| until <= *ended);
        let how = if had_time { "had its time" } else { "ended sooner" };
        let took = took(ended.saturating_sub(lease.since));
        (lease.since, (row(lease.since, "done", &took, &line_of(lease), how), Level::Info))
    });
    let mut rows: Vec<(Duration, Line)> = jobs.chain(past).chain(active).collect();
    rows.sort_by_key(|(began, _)| *began);
    rows.into_iter().rev().map(|(_, line)| line).collect()
}

/// How many there are and how many run, for the title.
#[must_use]
pub fn title(state: &State) -> String {
    let running = state.jobs.0.iter().filter(|job| job.ended.is_none()).count() + state.faults.active().len();
    if running == 0 { "Jobs".to_owned() } else { format!("Jobs: {running} running") }
}

fn of_job(job: &Job) -> Line {
    let took = |ended: &Duration| match job.of {
        Of::Nothing => String::new(),
        _ => took(ended.saturating_sub(job.began)),
    };
    match &job.ended {
        None => (row(job.began, "running", "", &job.line, ""), Level::Warning),
        Some((ended, Outcome::Done(words))) => (row(job.began, "done", &took(ended), &job.line, words), Level::Info),
        Some((ended, Outcome::Refused(why))) => (row(job.began, "refused", &took(ended), &job.line, why), Level::Bad),
    }
}

fn row(began: Duration, how: &str, took: &str, line: &str, words: &str) -> String {
    let words = if words.is_empty() { String::new() } else { format!("   {words}") };
    format!("{}  {how:<7} {took:>6}  {line}{words}", clock(began))
}

/// The line of the command line that makes a fault again, with all of its time.
fn line_of(lease: &Lease) -> String {
    let time = match lease.until.map(|until| until.saturating_sub(lease.since)) {
        None => "0".to_owned(),
        Some(lasts) if lasts.subsec_millis() == 0 => format!("{}s", lasts.as_secs()),
        Some(lasts) => format!("{}ms", lasts.as_millis()),
    };
    format!(":{} {time}", lease.trouble.words())
}

fn took(time: Duration) -> String {
    match time.as_secs() {
        0..10 => micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        _ => seconds(time),
    }
}
