//! What the person does to children: the order, what is wanted from then on, and how to undo it.

use super::events::{Event, Level, Source};
use super::jobs::Of;
use super::message::Effect;
use super::overlay::{TOAST_TIME, Toast};
use super::{Desired, Observed, State, UNDO_MAX, faults, pause};
use crate::member::Member;
use crate::supervisor::Order;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An act on a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Start again; a paused one goes on.
    Revive,
}

/// How to take an act back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undo {
    /// An act on a process.
    Act(Member, Act),
    /// A fault, by its number.
    Fault(u32),
}

impl Act {
    /// The verb of the command line.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Act::Kill => "kill",
            Act::Stop => "stop",
            Act::Pause => "pause",
            Act::Resume => "resume",
            Act::Revive => "revive",
        }
    }

    /// What takes it back.
    fn inverse(self) -> Act {
        if self == Act::Pause { Act::Resume } else { Act::Revive }
    }

    /// Whether it makes sense for `member` now, or why not.
    ///
    /// # Errors
    /// The reason, for a person.
    pub fn check(self, state: &State, member: Member) -> Result<(), String> {
        let Some(process) = state.process(member) else { return Err(format!("there is no {member}")) };
        let lives = process.pid().is_some();
        match self {
            Act::Kill if !lives => Err(format!("{member} does not run")),
            Act::Stop if !lives => Err(format!("{member} does not run")),
            Act::Stop if matches!(process.observed, Observed::Stopping(_)) => Err(format!("{member} is stopping")),
            Act::Pause if !lives => Err(format!("{member} does not run")),
            Act::Pause if process.desired != Desired::Up => Err(format!("{member} is not running freely")),
            Act::Resume if !lives || process.desired != Desired::Paused => Err(format!("{member} is not paused")),
            Act::Revive if lives && process.desired == Desired::Up => Err(format!("{member} runs")),
            Act::Revive if matches!(process.observed, Observed::Stopping(_)) => {
                Err(format!("{member} has not ended yet"))
            }
            _ => Ok(()),
        }
    }
}

/// Does it, or says why not.
pub fn perform(state: &mut State, now: Duration, act: Act, member: Member) -> Vec<Effect> {
    perform_all(state, now, act, &[member])
}

/// Does it to all of them, and says of those to whom it cannot be done why not.
pub fn perform_all(state: &mut State, now: Duration, act: Act, members: &[Member]) -> Vec<Effect> {
    let (mut effects, mut done, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for member in members {
        match act_on(state, now, act, *member) {
            Ok(order) => {
                effects.push(Effect::Supervise(order));
                done.push(member.to_string());
            }
            Err(reason) => {
                state.refuse_job(now, format!(":{} {member}", act.verb()), &reason);
                refused.push(reason);
            }
        }
    }
    let mut said = Vec::new();
    if !done.is_empty() {
        let hint = match act {
            Act::Kill | Act::Stop if done.len() > 1 => "  (R revives the selected one, U undoes one by one)",
            Act::Kill | Act::Stop => "  (R revives it, U undoes)",
            Act::Pause if done.len() > 1 => "  (P resumes the selected one, U undoes one by one)",
            Act::Pause => "  (P resumes it, U undoes)",
            Act::Resume | Act::Revive => "",
        };
        let lasts = if act == Act::Pause { " until resumed" } else { "" };
        said.push(format!("{} {}{lasts}{hint}", act.verb(), done.join(" ")));
    }
    let all_done = refused.is_empty();
    said.append(&mut refused);
    say(state, now, said.join("; "), all_done);
    effects
}

/// Notes what is wanted from now on, and gives the order.
fn act_on(state: &mut State, now: Duration, act: Act, member: Member) -> Result<Order, String> {
    act.check(state, member)?;
    let Some(process) = state.process_mut(member) else { return Err(format!("there is no {member}")) };
    let is_paused = process.desired == Desired::Paused && process.pid().is_some();
    let (order, desired) = match act {
        Act::Kill => (Order::Kill(member), Desired::Down),
        Act::Stop => (Order::Stop(member), Desired::Down),
        Act::Pause => (Order::Pause(member), Desired::Paused),
        Act::Resume => (Order::Resume(member), Desired::Up),
        Act::Revive if is_paused => (Order::Resume(member), Desired::Up),
        Act::Revive => (Order::Start(member), Desired::Up),
    };
    process.desired = desired;
    process.desired_since = now;
    pause::forget(state, now, member);
    // Without the 0 it would have a time.
    let (lasts, zero) = if act == Act::Pause { (" until resumed", " 0") } else { ("", "") };
    let text = format!("{} {member}", act.verb());
    state.begin_job(now, format!(":{text}{zero}"), Of::Process(act, member));
    state.events.push(Event::new(now, Source::You, Level::Info, format!("{text}{lasts}")));
    if matches!(act, Act::Kill | Act::Stop | Act::Pause) {
        state.remember(Undo::Act(member, act));
    }
    Ok(order)
}

impl State {
    /// Remembers how to take something back; the oldest is forgotten when there is too much.
    pub(super) fn remember(&mut self, undo: Undo) {
        if self.undo.len() == UNDO_MAX {
            self.undo.pop_front();
        }
        self.undo.push_back(undo);
    }
}

impl Undo {
    /// Whether there is still something to take back.
    fn makes_sense(self, state: &State) -> bool {
        match self {
            Undo::Act(member, act) => act.inverse().check(state, member).is_ok(),
            Undo::Fault(id) => state.faults.active().iter().any(|lease| lease.id == id),
        }
    }
}

/// Whether there is something to take back, or that there is not.
///
/// # Errors
/// That there is not, for a person.
pub fn check_undo(state: &State) -> Result<(), String> {
    match state.undo.iter().any(|undo| undo.makes_sense(state)) {
        true => Ok(()),
        false => Err("nothing to undo".into()),
    }
}

/// Takes the newest act back.
pub fn undo(state: &mut State, now: Duration) -> Vec<Effect> {
    while let Some(undo) = state.undo.pop_back() {
        match undo {
            _ if !undo.makes_sense(state) => {}
            Undo::Act(member, act) => return perform(state, now, act.inverse(), member),
            Undo::Fault(id) => return faults::heal(state, now, |lease| lease.id == id),
        }
    }
    say(state, now, "nothing to undo".into(), false);
    Vec::new()
}

/// Shows a toast; one that `passes` goes by itself.
pub fn say(state: &mut State, now: Duration, text: String, passes: bool) {
    state.toast = Some(Toast { text, until: passes.then(|| now + TOAST_TIME) });
    state.version += 1;
}
