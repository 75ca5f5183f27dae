//! Which actions make sense now, and which of them are hinted.

use super::table::{ACTIONS, Action, Class, Id, Scope, by_id};
use crate::member::Member;
use crate::model::acts::{self, Act};
use crate::model::events::Event;
use crate::model::overlay::Overlay;
use crate::model::permission::need_of;
use crate::model::time::Seen;
use crate::model::{Desired, Pane, State, composer, deletion, detach, menu, search};
use crate::motion::Motion;

/// Whether the action makes sense now, or why not.
///
/// # Errors
/// The reason, for a person.
pub fn enabled(id: Id, state: &State) -> Result<(), String> {
    if state.leaving.is_some() && !matches!(id, Id::Leave | Id::Quit | Id::Help | Id::Repaint | Id::Back) {
        let is_look = by_id(id).is_some_and(|action| action.class == Class::Look);
        return if is_look { Ok(()) } else { Err("the console is leaving".into()) };
    }
    state.permission.check(need_of(id))?;
    let acts = by_id(id).is_some_and(|action| matches!(action.class, Class::Fault | Class::Data));
    if acts || matches!(id, Id::Output | Id::Refresh | Id::Diff | Id::Sessions) {
        state.time.check_now()?;
    }
    // What can be done to one of them can be done.
    let on_targets = |act: Act| {
        let checks: Vec<_> = state.targets().into_iter().map(|member| act.check(state, member)).collect();
        match checks.iter().find(|check| check.is_ok()).or(checks.first()) {
            Some(check) => check.clone(),
            None => Err("nothing is selected".to_owned()),
        }
    };
    match id {
        Id::Menu => menu::check(state),
        Id::Detach => detach::check(state),
        Id::Kill => on_targets(Act::Kill),
        Id::Stop => on_targets(Act::Stop),
        Id::Revive => on_targets(Act::Revive),
        Id::Pause => on_targets(pause_or_resume(state)),
        Id::Cut | Id::Slow => match state.selected() {
            Some(Member::Node(_)) if state.nodes.len() > 1 => Ok(()),
            Some(Member::Node(_)) => Err("there is only one node".into()),
            Some(broker) => Err(format!("{broker} is a broker; only nodes have links and logs")),
            None => Err("nothing is selected".into()),
        },
        Id::OpenEvent if state.events.selected().is_some_and(|event| event.story.is_some()) => Ok(()),
        Id::OpenEvent => match state.events.selected().and_then(Event::member) {
            Some(member) if state.process(member).is_some() => Ok(()),
            _ => Err("this event is about no member".into()),
        },
        Id::Filter => search::place(state).map(drop),
        Id::Mark | Id::MarkRange if !matches!(state.focus(), Pane::Nodes | Pane::Brokers) => {
            Err("marks are for nodes and brokers: 1 or 2 goes there".into())
        }
        Id::Mark | Id::MarkRange if state.selected().is_none() => Err("nothing is selected".into()),
        Id::Output if state.permission.is_attached => {
            Err("attached: this console did not start the processes, so it has not what they print".into())
        }
        Id::Heal if state.faults.active().is_empty() => Err("there are no faults".into()),
        Id::Undo => acts::check_undo(state),
        Id::Delete => match state.tree.selected_znode() {
            Some(path) => deletion::check(&path),
            None => Err("no znode is selected".into()),
        },
        Id::Edit => composer::editable(state).map(drop),
        Id::Election if state.elections.is_empty() => Err("no election was seen yet".into()),
        Id::Slower | Id::Faster | Id::RealTime if state.flow.motion != Motion::Full => {
            Err("nothing moves: motion full changes that".into())
        }
        Id::Write | Id::Load | Id::Scenarios if state.nodes.is_empty() => Err("there is no node".into()),
        Id::Diff if state.nodes.len() < 2 => Err("there is only one node".into()),
        Id::ZoomIn if state.zoomed => Err("it has the whole screen; _ shows all panes again".into()),
        Id::Live if !state.time.is_past() => Err("this is now".into()),
        Id::Freeze if state.time.seen == Seen::Replay => Err("a recording stands still".into()),
        Id::PreviousMark | Id::NextMark if state.marks.iter().len() == 0 => Err("nothing has happened yet".into()),
        Id::NextMark | Id::StepOn if state.time.seen == Seen::Now => Err("this is now".into()),
        Id::Pane(Pane::Brokers) if state.brokers.is_empty() => Err("there are no brokers".into()),
        _ => Ok(()),
    }
}

/// What `P` means for the selected process, or the marked ones.
#[must_use]
pub fn pause_or_resume(state: &State) -> Act {
    let targets = state.targets();
    let is_paused = |member: &Member| state.process(*member).is_some_and(|process| process.desired == Desired::Paused);
    if !targets.is_empty() && targets.iter().all(is_paused) { Act::Resume } else { Act::Pause }
}

/// Whether keys are typed into something, or choose in it, so that they do not mean what the table says.
#[must_use]
pub fn takes_all_keys(state: &State) -> bool {
    let is_text =
        |overlay: &Overlay| matches!(overlay, Overlay::Text { .. } | Overlay::Output(_) | Overlay::Election { .. });
    state.search.typing.is_some() || state.overlay.as_ref().is_some_and(|overlay| !is_text(overlay))
}

/// Whether a line is typed, a command or what is looked for. The key that leaves the console leaves only that line.
#[must_use]
pub fn types_line(state: &State) -> bool {
    let is_typed = matches!(state.overlay, Some(Overlay::Command { .. } | Overlay::Write(_)));
    state.leaving.is_none() && (is_typed || state.search.typing.is_some())
}

/// The hints for the focused pane, most useful first; only actions that do something now.
pub fn hints(state: &State) -> impl Iterator<Item = &'static Action> {
    let focus = state.focus();
    // What is typed goes to what lies on top; a text lets through what works everywhere.
    let (types, has_text) = (takes_all_keys(state), state.overlay.is_some());
    let here = ACTIONS.iter().filter(move |action| match action.scope {
        _ if types => false,
        Scope::Everywhere => true,
        // In the timeline one steps through time whatever is read.
        Scope::In(pane) => pane == focus && (!has_text || matches!(action.id, Id::StepBack | Id::StepOn)),
        Scope::After(_) => false,
    });
    let has_key = |action: &&Action| !action.hint.is_empty() && !state.keymap.keys(action.id).is_empty();
    // In the past they go back to now, and that has a hint of its own.
    let is_said = |id: Id| matches!(id, Id::Quit | Id::Freeze) && matches!(state.time.seen, Seen::Frozen | Seen::Past);
    here.filter(has_key).filter(move |action| enabled(action.id, state).is_ok() && !is_said(action.id))
}
