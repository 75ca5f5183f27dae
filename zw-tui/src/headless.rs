//! The same ensemble without a screen: what happens goes to stdout as lines, until a signal ends it.

use crate::console::ERROR_CODE;
use crate::ending::Ending;
use crate::model::message::{Effect, Msg};
use crate::model::select::clock;
use crate::model::verdict::{Verdict, judge};
use crate::model::{Observed, State, select, update};
use crate::supervisor::{Order, Supervisor};
use crate::term::signals::Signal;
use crate::term::{guard, panic};
use std::io::{self, Write};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

/// Runs until a signal asks to leave and all children are gone. Leaves by itself, as a failure, if a child does not
/// start.
///
/// # Errors
/// A task panicked.
pub async fn run(
    mut state: State,
    supervisor: &Supervisor,
    ending: &Ending,
    mut messages: Receiver<Msg>,
    mut signals: Receiver<Signal>,
) -> io::Result<()> {
    let began = Instant::now();
    for member in state.members() {
        supervisor.order(Order::Start(member));
    }
    let mut last = None;
    while state.stopped.is_none() {
        let change_at = select::next_change(&state, began.elapsed());
        let timer = async {
            match change_at {
                Some(at) => tokio::time::sleep_until((began + at).into()).await,
                None => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            biased;
            () = panic::notice() => return Err(io::Error::other("a task panicked")),
            Some(signal) = signals.recv() => match signal {
                Signal::Leave(_) => Some(Msg::Leave),
                // Without a terminal there is nothing to give back.
                Signal::Suspend | Signal::Continue | Signal::Resize => None,
            },
            Some(message) = messages.recv() => Some(message),
            () = timer => None,
        };
        let now = began.elapsed();
        if let Some(message) = message {
            let shown = state.events.total();
            apply(&mut state, now, message, supervisor);
            print_events(&state, shown);
            if let Some(reason) = why_not_started(&state) {
                ending.begin(ERROR_CODE);
                guard::say(&format!("zw-tui: {reason}"));
                apply(&mut state, now, Msg::Leave, supervisor);
            }
        }
        if state.leaving.is_none() {
            print_verdict(judge(&state, now), now, &mut last);
        }
    }
    Ok(())
}

fn apply(state: &mut State, now: Duration, message: Msg, supervisor: &Supervisor) {
    for effect in update::update(state, now, message) {
        if let Effect::Supervise(order) = effect {
            supervisor.order(order);
        }
    }
}

/// Nobody is at the keys to mend a child that ended before it ever listened, and an ensemble without it is not what was
/// asked for.
pub(crate) fn why_not_started(state: &State) -> Option<String> {
    if state.leaving.is_some() {
        return None;
    }
    state.members().find_map(|member| {
        let process = state.process(member).filter(|process| !process.has_listened)?;
        let reason = match (process.failure(), &process.observed) {
            (Some(failure), _) => failure.words(member),
            (None, Observed::Exited(exit, _)) => format!("{member} ended before it listened ({exit})"),
            _ => return None,
        };
        Some(format!("{reason}. The others are stopped too"))
    })
}

fn print_events(state: &State, shown: u64) {
    let new = usize::try_from(state.events.total() - shown).unwrap_or(usize::MAX);
    let events = state.events.iter();
    let known = events.len().saturating_sub(new);
    for event in events.skip(known) {
        print_line(&format!("{} {:<4}{}", clock(event.at), event.source.to_string(), event.text));
    }
}

fn print_verdict(verdict: Verdict, now: Duration, last: &mut Option<String>) {
    let leader = verdict.leader.map_or_else(|| "none".to_owned(), |leader| format!("n{leader}"));
    let Verdict { word, serving, members, epoch, .. } = verdict;
    let line =
        format!("{}  quorum {serving}/{members}  leader {leader}  epoch {}", word.text(), select::or_dash(epoch));
    if last.as_ref() != Some(&line) {
        print_line(&format!("{} zw  {line}", clock(now)));
        *last = Some(line);
    }
}

/// A reader that went away is no reason to leave the ensemble.
pub(crate) fn print_line(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}
