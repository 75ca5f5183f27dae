//! Scenarios without a screen: the same model, the same effects, a line for each outcome, and an exit code.

use crate::cluster::Cluster;
use crate::console::{ERROR_CODE, EXPECTATION_CODE, USAGE_CODE};
use crate::ending::Ending;
use crate::headless::{print_line, why_not_started};
use crate::model::message::{Effect, Msg};
use crate::model::scenario::{Outcome, Verdict};
use crate::model::{State, update};
use crate::options::RunOptions;
use crate::supervisor::{Order, Supervisor};
use crate::term::signals::Signal;
use crate::term::{guard, panic};
use serde_json::json;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

/// What a run needs.
#[derive(Debug)]
pub struct Parts {
    /// What is known, with the scenarios that wait in it.
    pub state: State,
    /// The children.
    pub supervisor: Supervisor,
    /// The nodes.
    pub cluster: Cluster,
    /// What the tasks tell.
    pub messages: Receiver<Msg>,
    /// What the system tells.
    pub signals: Receiver<Signal>,
    /// How it ends.
    pub ending: Ending,
}

/// Runs the scenarios that wait, prints their outcomes, and leaves.
///
/// # Errors
/// A task panicked.
pub async fn run(mut parts: Parts, options: &RunOptions) -> io::Result<()> {
    let began = Instant::now();
    for member in parts.state.members() {
        parts.supervisor.order(Order::Start(member));
    }
    if !options.json {
        print_line(&row("scenario", "verdict", "write gap", "time", "checked", "violations", ""));
    }
    let mut printed = 0;
    while parts.state.stopped.is_none() {
        let message = tokio::select! {
            biased;
            () = panic::notice() => return Err(io::Error::other("a task panicked")),
            Some(signal) = parts.signals.recv() => match signal {
                Signal::Leave(_) => Msg::Leave,
                // Without a terminal there is nothing to give back.
                Signal::Suspend | Signal::Continue | Signal::Resize => continue,
            },
            Some(message) = parts.messages.recv() => message,
        };
        let now = began.elapsed();
        parts.apply(now, message);
        printed = parts.print(printed, options);
        if parts.state.leaving.is_some() {
            continue;
        }
        if let Some(reason) = why_not_started(&parts.state) {
            guard::say_plain(&complaint(options.json, ERROR_CODE, &reason));
            parts.leave(now, ERROR_CODE);
        } else if !parts.state.scenarios.is_running() {
            let (outcomes, _) = parts.state.scenarios.outcomes();
            let is_failed = outcomes.rev().any(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
            parts.leave(now, if is_failed { EXPECTATION_CODE } else { 0 });
        }
    }
    Ok(())
}

impl Parts {
    fn apply(&mut self, now: Duration, message: Msg) {
        for effect in update::update(&mut self.state, now, message) {
            match effect {
                Effect::Supervise(order) => self.supervisor.order(order),
                // What is for a screen only finds none there.
                effect => self.cluster.perform(effect),
            }
        }
    }

    fn leave(&mut self, now: Duration, code: u8) {
        self.ending.begin(code);
        self.apply(now, Msg::Leave);
    }

    /// Prints the outcomes that are new.
    fn print(&self, printed: usize, options: &RunOptions) -> usize {
        let (outcomes, total) = self.state.scenarios.outcomes();
        let known = outcomes.len().saturating_sub(total - printed);
        for outcome in outcomes.skip(known) {
            print_line(&if options.json { json_line(outcome, options.seed) } else { table_line(outcome) });
            if let Verdict::Failed(reason) = &outcome.verdict {
                guard::say(&format!("zw-tui: scenario {} failed: {reason}", outcome.name));
            }
        }
        total
    }
}

/// Why nothing is run, as a line for a person or as JSON; in the form of the errors of `zw`.
#[must_use]
pub fn complaint(json: bool, code: u8, reason: &str) -> String {
    let kind = if code == USAGE_CODE { "usage" } else { "refused" };
    match json {
        true => json!({ "error": reason, "kind": kind, "exit_code": code }).to_string(),
        false => format!("zw-tui: {reason}"),
    }
}

fn json_line(outcome: &Outcome, seed: u64) -> String {
    json!({
        "scenario": outcome.name,
        "verdict": outcome.verdict.word(),
        "reason": outcome.verdict.reason(),
        "longest_write_gap_ms": outcome.longest_gap.map(millis),
        "seconds": millis(outcome.took) / 1e3,
        "operations_checked": outcome.checked,
        "violations": outcome.violations,
        "note": outcome.note,
        "seed": seed,
    })
    .to_string()
}

fn table_line(outcome: &Outcome) -> String {
    let gap = outcome.longest_gap.map_or_else(|| "-".into(), |gap| format!("{:.0} ms", millis(gap)));
    let time = format!("{:.1} s", outcome.took.as_secs_f64());
    let note = outcome.verdict.reason().unwrap_or(&outcome.note);
    let (checked, violations) = (outcome.checked.to_string(), outcome.violations.to_string());
    row(&outcome.name, outcome.verdict.word(), &gap, &time, &checked, &violations, note)
}

fn row(name: &str, verdict: &str, gap: &str, time: &str, checked: &str, violations: &str, note: &str) -> String {
    let row = format!("{name:<22}  {verdict:<7}  {gap:>9}  {time:>6}  {checked:>7}  {violations:>10}  {note}");
    row.trim_end().to_owned()
}

/// To a tenth.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_a_row_and_a_line_of_json() {
        let outcome = Outcome {
            name: "kill-leader".into(),
            verdict: Verdict::Failed("it \"broke\"".into()),
            longest_gap: Some(Duration::from_micros(812_340)),
            took: Duration::from_millis(3_456),
            checked: 1_234,
            violations: 1,
            note: "200 operations/s".into(),
        };
        let table = "kill-leader             failed      812 ms   3.5 s     1234           1  it \"broke\"";
        assert_eq!(table_line(&outcome), table);
        let value: serde_json::Value = serde_json::from_str(&json_line(&outcome, 7)).unwrap();
        assert_eq!(value["longest_write_gap_ms"], 812.3);
        assert_eq!((&value["reason"], &value["seed"]), (&json!("it \"broke\""), &json!(7)));
        let none = Outcome { longest_gap: None, verdict: Verdict::Passed, ..outcome };
        assert!(table_line(&none).contains("passed           -"), "{}", table_line(&none));
        assert!(json_line(&none, 7).contains("\"longest_write_gap_ms\":null,"));
    }
}
