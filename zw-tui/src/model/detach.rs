//! Leaving while the ensemble runs on, and coming back to it.
//!
//! Invariants:
//! - Nothing that the console does to the ensemble goes on without it: faults and loads end, and who was paused goes on.
//! - What was asked before and cannot be answered any more is never shown as if it were still under way.

use super::events::{Level, Source};
use super::load;
use super::message::{Effect, Msg};
use super::select::clock;
use super::time_marks::MarkKind;
use super::update::note;
use super::{Desired, Observed, State, acts, faults, heard, scenario};
use crate::member::Member;
use crate::supervisor::keeper::Standing;
use crate::supervisor::{Change, Order, Report};
use std::time::Duration;

/// Whether the console can leave so now, or why not.
///
/// # Errors
/// The reason, for a person.
pub fn check(state: &State) -> Result<(), String> {
    state.time.check_now()?;
    if state.permission.is_attached {
        return Err("attached: the ensemble runs on without this console in any case; q leaves".into());
    }
    if state.detaching {
        return Err("the console is detaching already".into());
    }
    if !state.has_keeper {
        return Err("only a console with a screen can detach, from an ensemble that it started".into());
    }
    Ok(())
}

/// Ends what the console does to the ensemble, and wants to leave.
pub fn begin(state: &mut State, now: Duration) -> Vec<Effect> {
    let mut effects = Vec::new();
    scenario::stop(state);
    if state.loads.is_running() {
        effects.extend(load::stop(state, now));
    }
    if !state.faults.active().is_empty() {
        effects.extend(faults::heal(state, now, |_| true));
    }
    let is_paused = |member: &Member| {
        state.process(*member).is_some_and(|process| process.desired == Desired::Paused && process.pid().is_some())
    };
    let paused: Vec<Member> = state.members().filter(is_paused).collect();
    for member in paused {
        if let Some(process) = state.process_mut(member) {
            (process.desired, process.desired_since) = (Desired::Up, now);
        }
        note(state, now, Source::Console, Level::Info, format!("resume {member}"));
        effects.push(Effect::Supervise(Order::Resume(member)));
    }
    note(state, now, Source::You, Level::Info, "detach".into());
    state.marks.add(now, MarkKind::Away);
    (state.overlay, state.toast) = (None, None);
    state.detaching = true;
    state.version += 1;
    effects.push(Effect::Detach);
    effects
}

/// Takes what concerns all children.
pub(super) fn on_change(state: &mut State, now: Duration, change: Change) {
    match change {
        Change::AllStopped { left } => state.stopped = Some(left),
        Change::LetGo => state.stopped = Some(0),
        Change::Held(reason) => {
            state.detaching = false;
            let text = format!("cannot detach: {reason}");
            note(state, now, Source::Console, Level::Bad, text.clone());
            acts::say(state, now, text, false);
        }
        Change::KeeperGone { pid } => {
            (state.detaching, state.has_keeper) = (false, false);
            let text = format!("the processes' keeper (pid {pid}) ended, and they with it; q leaves");
            note(state, now, Source::Console, Level::Bad, text);
        }
        _ => return,
    }
    state.version += 1;
}

/// Makes the processes what they are, should what was told of them be not enough for that.
pub(super) fn reconcile(state: &mut State, now: Duration, children: Vec<(Member, Standing)>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (member, standing) in children {
        let Some(process) = state.process(member) else { continue };
        let is_known = match &standing {
            Standing::Runs { pid, .. } => process.pid() == Some(*pid),
            Standing::Ended(_) => process.pid().is_none() && process.observed != Observed::Unborn,
        };
        let listens = matches!(process.observed, Observed::Running(_));
        let changes = match standing {
            Standing::Runs { listens: true, .. } if is_known && !listens => vec![Change::Listening],
            _ if is_known => Vec::new(),
            Standing::Runs { pid, listens: true } => vec![Change::Spawned { pid }, Change::Listening],
            Standing::Runs { pid, .. } => vec![Change::Spawned { pid }],
            Standing::Ended(change) => vec![change],
        };
        for change in changes {
            effects.extend(heard::take(state, now, Msg::Supervisor(Report { member: Some(member), change })));
        }
    }
    effects
}

/// Goes on after so long a time without a console. Questions from before are asked anew or forgotten.
pub(super) fn come_back(state: &mut State, now: Duration, away: Duration, lost: u64) -> Vec<Effect> {
    (state.detaching, state.leaving, state.stopped) = (false, None, None);
    (state.overlay, state.toast, state.chord, state.search.typing) = (None, None, None, None);
    state.tree.ask_anew();
    state.flow.begin_anew();
    state.sessions = None;
    state.diff.take_if(|view| view.report.end.is_none());
    state.feed.take_if(|feed| feed.report.as_ref().is_none_or(|report| !report.is_over));
    state.loads.abandon();
    state.scenarios.abandon();
    state.abandon_jobs(now, "the console left before it ended");
    let mut text = format!("back: detached for {}", clock(away));
    if lost > 0 {
        text.push_str(&format!("; {lost} changes of processes got lost"));
    }
    note(state, now, Source::Console, Level::Info, text.clone());
    acts::say(state, now, text, true);
    state.marks.add(now, MarkKind::Away);
    state.tree.refresh_now()
}

#[cfg(test)]
mod tests {
    use super::super::jobs;
    use super::super::session::Session;
    use super::super::tape::Tape;
    use super::super::update::update;
    use super::*;
    use crate::supervisor::{Asked, Exit};

    const SECOND: Duration = Duration::from_secs(1);

    fn tell(state: &mut State, now: Duration, member: impl Into<Option<Member>>, change: Change) {
        update(state, now, Msg::Supervisor(Report { member: member.into(), change }));
    }

    /// Three nodes that run, under a keeper.
    fn state() -> State {
        let mut state = State::new((0..3).map(|node| format!("localhost:{}", 8080 + node)).collect(), Vec::new());
        state.has_keeper = true;
        for number in 1..=3 {
            tell(&mut state, Duration::ZERO, Member::Node(number), Change::Spawned { pid: 100 + u32::from(number) });
            tell(&mut state, Duration::ZERO, Member::Node(number), Change::Listening);
        }
        state
    }

    fn run(state: &mut State, now: Duration, line: &str) -> Vec<Effect> {
        update(state, now, Msg::Line(line.into()))
    }

    #[test]
    fn nothing_of_the_console_goes_on_without_it() {
        let mut state = state();
        for line in ["cut n1 0", "pause n2 5s", "pause n3", "load 200/s 60s random"] {
            assert!(!run(&mut state, SECOND, line).is_empty(), "{line}");
        }
        let effects = run(&mut state, 2 * SECOND, "detach");
        assert_eq!(effects.last(), Some(&Effect::Detach), "what ends, ends before it");
        for number in [2, 3] {
            let order = Effect::Supervise(Order::Resume(Member::Node(number)));
            assert_eq!(effects.iter().filter(|effect| **effect == order).count(), 1, "n{number}");
        }
        assert!(effects.contains(&Effect::StopLoad) && state.faults.active().is_empty());
        assert!(effects.contains(&Effect::Faults { node: 0, faults: Vec::new() }));
        assert!(check(&state).unwrap_err().contains("already"));
        tell(&mut state, 3 * SECOND, None, Change::Held("no room".into()));
        assert_eq!((check(&state), state.stopped), (Ok(()), None));
        run(&mut state, 4 * SECOND, "detach");
        tell(&mut state, 5 * SECOND, None, Change::LetGo);
        assert_eq!((state.stopped, state.leaving), (Some(0), None));
    }

    #[test]
    fn who_cannot_detach_is_told_why() {
        let mut state = state();
        state.has_keeper = false;
        assert!(run(&mut state, SECOND, "detach").is_empty());
        assert!(state.toast.unwrap().text.contains("only a console with a screen"));
        let mut attached = State::attached(vec!["localhost:1".into()], super::super::permission::Permission::ALL);
        attached.has_keeper = true;
        assert!(check(&attached).unwrap_err().contains("q leaves"));
    }

    #[test]
    fn it_goes_on_with_its_past_and_with_what_the_processes_are_now() {
        let mut session = Session::new(state());
        session.update(SECOND, Msg::Line("write /x 1".into()));
        session.update(2 * SECOND, Msg::Line("kill n1".into()));
        session.update(3 * SECOND, Msg::Line("detach".into()));
        let (tape, _) = Tape::from_bytes(&session.tape().to_bytes()).unwrap();
        let mut back = Session::resume(tape.state_at(tape.newest()).unwrap(), tape);
        let end = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
        let children = vec![
            (Member::Node(1), Standing::Ended(end.clone())),
            (Member::Node(2), Standing::Runs { pid: 102, listens: true }),
            (Member::Node(3), Standing::Runs { pid: 999, listens: false }),
        ];
        back.update(63 * SECOND, Msg::CameBack { away: 60 * SECOND, lost: 2, children });
        let state = back.live();
        let observed = |node: usize| state.nodes[node].process.observed.clone();
        assert_eq!(observed(0), Observed::Exited(Exit::Signal(9), Asked::Kill));
        assert_eq!((observed(1), observed(2)), (Observed::Running(102), Observed::Starting(999)));
        let words = &state.toast.as_ref().unwrap().text;
        assert!(words.contains("detached for 01:00") && words.contains("2 changes"), "{words}");
        assert_eq!(jobs::title(state), "Jobs", "one runs, and who would tell that it ended?");
        assert_eq!(back.tape().oldest(), Some(SECOND));
        let then = back.tape().state_at(2 * SECOND).unwrap();
        assert_eq!(then.nodes[0].process.pid(), Some(101));
        let now = back.tape().state_at(63 * SECOND).unwrap();
        assert_eq!(now.events.total(), state.events.total());
    }
}
