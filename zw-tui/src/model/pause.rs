//! Pauses with a time: a process stands still until its lease ends, and then goes on by itself.
//!
//! Invariants:
//! - A lease for a process means that it is paused: whatever else is asked of it, and its end, end the lease as well.
//! - The end of a lease lets its process go on, and touches no other.

use super::acts::{Act, say};
use super::faults::{self, Lease, Trouble};
use super::message::Effect;
use super::{Desired, State};
use crate::member::Member;
use crate::supervisor::Order;
use std::time::Duration;

/// Pauses all of these for a time; those that are paused already go on at its end. Says to whom it cannot be done.
pub fn begin(state: &mut State, now: Duration, members: &[Member], lasts: Duration) -> Vec<Effect> {
    let (mut effects, mut said, mut all_done) = (Vec::new(), Vec::new(), true);
    for member in members {
        match one(state, now, *member, lasts) {
            Ok((words, order)) => {
                said.push(words);
                effects.extend(order.map(Effect::Supervise));
            }
            Err(reason) => {
                let line = format!(":pause {member} {}ms", lasts.as_millis());
                state.refuse_job(now, line, &reason);
                all_done = false;
                said.push(reason);
            }
        }
    }
    let hint = if effects.is_empty() { "" } else { "  (P resumes it sooner, U undoes)" };
    say(state, now, format!("{}{hint}", said.join("; ")), all_done);
    effects
}

fn one(state: &mut State, now: Duration, member: Member, lasts: Duration) -> Result<(String, Option<Order>), String> {
    let is_paused = is_paused(state, member);
    if !is_paused {
        Act::Pause.check(state, member)?;
    }
    let words = faults::lease(state, now, Trouble::Pause(member), Some(lasts))?;
    if is_paused {
        return Ok((words, None));
    }
    if let Some(process) = state.process_mut(member) {
        (process.desired, process.desired_since) = (Desired::Paused, now);
    }
    Ok((words, Some(Order::Pause(member))))
}

/// Lets those go on whose leases ended.
pub(super) fn go_on(state: &mut State, now: Duration, ended: &[Lease]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for lease in ended {
        let Trouble::Pause(member) = lease.trouble else { continue };
        if !is_paused(state, member) {
            continue;
        }
        if let Some(process) = state.process_mut(member) {
            (process.desired, process.desired_since) = (Desired::Up, now);
        }
        state.version += 1;
        effects.push(Effect::Supervise(Order::Resume(member)));
    }
    effects
}

/// Something else was asked of a process, or it ended: its lease is over.
pub(super) fn forget(state: &mut State, now: Duration, member: Member) {
    state.faults.end(now, |lease| lease.trouble == Trouble::Pause(member));
}

fn is_paused(state: &State, member: Member) -> bool {
    state.process(member).is_some_and(|process| process.desired == Desired::Paused && process.pid().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::message::Msg;
    use super::super::update::{is_due, update};
    use super::*;
    use crate::model::select::{next_change, process_words};
    use crate::supervisor::{Asked, Change, Exit, Report};

    const SECOND: Duration = Duration::from_secs(1);
    const N2: Member = Member::Node(2);

    fn tell(state: &mut State, now: Duration, change: Change) -> Vec<Effect> {
        update(state, now, Msg::Supervisor(Report { member: Some(N2), change }))
    }

    /// Three nodes, the second of which runs.
    fn state() -> State {
        let mut state = State::new((0..3).map(|node| format!("localhost:{}", 8080 + node)).collect(), Vec::new());
        tell(&mut state, Duration::ZERO, Change::Spawned { pid: 4_711 });
        tell(&mut state, Duration::ZERO, Change::Listening);
        state
    }

    fn run(state: &mut State, now: Duration, line: &str) -> Vec<Effect> {
        update(state, now, Msg::Line(line.into())).into_iter().filter(|e| matches!(e, Effect::Supervise(_))).collect()
    }

    fn orders(order: Order) -> Vec<Effect> {
        vec![Effect::Supervise(order)]
    }

    #[test]
    fn a_pause_ends_by_itself_and_says_how_long_it_lasts() {
        let mut state = state();
        assert_eq!(run(&mut state, SECOND, "pause n2 5s"), orders(Order::Pause(N2)));
        assert_eq!(process_words(&state, N2, 2 * SECOND), Some(("paused -4s (you)".into(), true)));
        assert_eq!(next_change(&state, 2 * SECOND), Some(3 * SECOND));
        assert!(!is_due(&state, 4 * SECOND) && is_due(&state, 6 * SECOND));
        assert_eq!(update(&mut state, 5 * SECOND, Msg::Tick), []);
        assert_eq!(update(&mut state, 6 * SECOND, Msg::Tick), orders(Order::Resume(N2)));
        assert_eq!(state.process(N2).map(|process| process.desired), Some(Desired::Up));
        assert!(state.events.iter().any(|event| event.text == "pause n2 has had its time"));
        assert_eq!(update(&mut state, 9 * SECOND, Msg::Tick), [], "once");
        assert_eq!(run(&mut state, 9 * SECOND, "undo"), [], "what is over needs no undo");
    }

    #[test]
    fn without_a_time_it_lasts_as_long_as_other_faults_do_and_with_0_until_it_is_resumed() {
        let mut state = state();
        assert_eq!(run(&mut state, SECOND, "pause n2"), orders(Order::Pause(N2)));
        assert_eq!(process_words(&state, N2, SECOND), Some(("paused -30s (you)".into(), true)));
        assert_eq!(update(&mut state, 31 * SECOND, Msg::Tick), orders(Order::Resume(N2)));
        for line in ["pause n2 0", "pause n2 0s"] {
            assert_eq!(run(&mut state, 40 * SECOND, line), orders(Order::Pause(N2)), "{line}");
            assert_eq!(update(&mut state, 9_000 * SECOND, Msg::Tick), [], "{line}");
            assert!(state.events.iter().any(|event| event.text == "pause n2 until resumed"));
            assert_eq!(run(&mut state, 9_000 * SECOND, "undo"), orders(Order::Resume(N2)), "{line}");
        }
    }

    #[test]
    fn resume_undo_heal_and_revive_end_it_sooner() {
        for line in ["resume n2", "undo", "heal", "heal n2", "heal 1", "revive n2"] {
            let mut state = state();
            run(&mut state, SECOND, "pause n2 5s");
            assert_eq!(run(&mut state, 2 * SECOND, line), orders(Order::Resume(N2)), "{line}");
            assert!(state.faults.active().is_empty(), "{line}");
            assert_eq!(update(&mut state, 9 * SECOND, Msg::Tick), [], "{line}");
        }
    }

    #[test]
    fn the_lease_does_not_outlive_its_process() {
        let mut state = state();
        run(&mut state, SECOND, "pause n2 5s");
        assert_eq!(run(&mut state, 2 * SECOND, "kill n2"), orders(Order::Kill(N2)));
        assert!(state.faults.active().is_empty());
        let mut state = super::tests::state();
        run(&mut state, SECOND, "pause n2 5s");
        tell(&mut state, 2 * SECOND, Change::Exited { exit: Exit::Signal(9), asked: Asked::Nothing, words: None });
        tell(&mut state, 3 * SECOND, Change::Spawned { pid: 4_712 });
        run(&mut state, 3 * SECOND, "pause n2 0");
        assert_eq!(update(&mut state, 9 * SECOND, Msg::Tick), [], "the new pause has no time");
    }

    #[test]
    fn a_pause_gets_a_time_and_another_one() {
        let mut state = state();
        run(&mut state, SECOND, "pause n2 0");
        assert!(state.toast.as_ref().is_some_and(|toast| toast.text.starts_with("pause n2 until resumed")));
        assert_eq!(run(&mut state, 2 * SECOND, "pause n2 5s"), [], "it is paused already");
        assert_eq!(run(&mut state, 3 * SECOND, "pause n2 10s"), []);
        assert_eq!(update(&mut state, 7 * SECOND, Msg::Tick), []);
        assert_eq!(update(&mut state, 13 * SECOND, Msg::Tick), orders(Order::Resume(N2)));
    }

    #[test]
    fn whoever_cannot_be_paused_is_named() {
        let mut state = state();
        assert_eq!(run(&mut state, SECOND, "pause n1,n2 5s"), orders(Order::Pause(N2)));
        let said = state.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default();
        assert!(said.contains("n1 does not run") && said.contains("pause n2 for 5s"), "{said}");
        for (line, reason) in [
            ("pause n9 5s", "no n9"),
            ("pause leader 5s", "nobody leads"),
            ("pause n2 5x", "no time"),
            ("pause n2 9h", "longer"),
        ] {
            run(&mut state, SECOND, line);
            let said = state.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default();
            assert!(said.contains(reason) && said.contains("pause leader 5s"), "{line}: {said}");
        }
    }
}
