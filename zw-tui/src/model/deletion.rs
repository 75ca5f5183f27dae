//! Deletes a subtree: counts what would go, asks, and says what became of it.
//!
//! Invariant: nothing is deleted that was not counted and confirmed. The count travels with the order, and the deletion
//! stops if there is more.

use super::State;
use super::acts::say;
use super::events::{Level, Source};
use super::jobs::{Of, Outcome};
use super::message::{DeleteFailure, Deleted, Effect};
use super::overlay::Overlay;
use super::permission::title_of;
use super::question::Question;
use super::select::{micros, printable};
use super::tree::name_of;
use super::update::note;
use crate::action::command::Command;
use crate::action::perform;
use crate::key::Key;
use std::time::Duration;

/// With more znodes than this below it, a znode goes only if its name is typed.
pub const BELOW_WITHOUT_NAME_MAX: u64 = 20;
/// How much of a path is repeated in a sentence.
const PATH_SHOWN: usize = 120;

/// Whether it could be deleted, or why not.
///
/// # Errors
/// The reason, for a person.
pub fn check(path: &str) -> Result<(), String> {
    if path == "/" { Err("the root cannot be deleted; select a znode below it".into()) } else { Ok(()) }
}

/// Counts what would go, and asks.
pub fn ask(state: &mut State, now: Duration, node: usize, path: String, trigger: Option<Key>) -> Vec<Effect> {
    let refused =
        check(&path).and_then(|()| perform::check_writable(state, now, node).map_err(|refusal| refusal.words));
    if let Err(reason) = refused {
        say(state, now, reason, false);
        return Vec::new();
    }
    let command = Command::Delete { node, path: path.clone(), below: None };
    let title = title_of(&command);
    let mut asked = Question::new(now, title, command, trigger);
    asked.waits = Some("counting what is below it; Esc leaves it".into());
    state.overlay = Some(Overlay::Question(Box::new(asked)));
    state.version += 1;
    vec![Effect::Count { node, path }]
}

/// The count came in: now the question can be answered.
pub fn on_counted(state: &mut State, now: Duration, node: usize, path: &str, result: Result<u64, String>) {
    let Some(Overlay::Question(asked)) = &mut state.overlay else { return };
    let Command::Delete { node: of, path: root, below } = &mut asked.command else { return };
    if (*of, root.as_str()) != (node, path) {
        return;
    }
    state.version += 1;
    // The question changes: keys under way were not meant for what it says now.
    asked.since = now;
    match result {
        Err(reason) => {
            asked.waits = Some("Esc closes".into());
            asked.words = vec![format!("It cannot be counted: {reason}")];
        }
        Ok(count) => {
            *below = Some(count);
            asked.waits = None;
            let through = |node: &super::Node| match state.permission.is_attached {
                true => format!(" through {} at {}", node.member, node.address),
                false => format!(" through {}", node.member),
            };
            let via = state.nodes.get(node).map_or_else(String::new, through);
            let shown = printable(path.as_bytes(), PATH_SHOWN);
            let what = match count {
                0 => format!("{shown}{via}; nothing is below it."),
                1 => format!("{shown} and the znode below it{via}."),
                count => format!("{shown} and the {count} znodes below it{via}."),
            };
            let undo = "No undo brings them back. What changes before it is reached stays, and stops it.";
            asked.words = vec![format!("This deletes {what}"), undo.into()];
            asked.needs_name = (count > BELOW_WITHOUT_NAME_MAX).then(|| name_of(path).to_owned());
        }
    }
}

/// Sends the order.
pub fn begin(state: &mut State, now: Duration, node: usize, path: String, below: u64) -> Vec<Effect> {
    let via = state.nodes.get(node).map_or_else(String::new, |node| format!(" via {}", node.member));
    note(state, now, Source::You, Level::Info, format!("delete {path} with {below} below it{via}"));
    say(state, now, format!("deleting {path}"), true);
    let member = state.nodes.get(node).map_or_else(String::new, |node| format!("{} ", node.member));
    state.begin_job(now, format!(":delete {member}{path}"), Of::Delete(node, path.clone()));
    vec![Effect::Delete { node, path, at_most: below.saturating_add(1) }]
}

/// It ended.
pub fn on_deleted(
    state: &mut State,
    now: Duration,
    node: usize,
    path: &str,
    result: Result<Deleted, DeleteFailure>,
) -> Vec<Effect> {
    let about = Of::Delete(node, path.to_owned());
    match result {
        Ok(Deleted { znodes, zxid, took }) => {
            let what = if znodes == 1 { String::new() } else { format!(", {znodes} znodes") };
            let took = micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            state.end_job(now, &about, Outcome::Done(format!("{znodes} gone  {zxid}")));
            let text = format!("deleted {path}{what}  {zxid}  {took}");
            note(state, now, Source::You, Level::Info, text.clone());
            say(state, now, text, true);
        }
        Err(DeleteFailure { znodes, reason, may_be_done }) => {
            let doubt = if may_be_done { " (the last of it may be done all the same)" } else { "" };
            let gone = if znodes == 0 { "nothing is gone".into() } else { format!("{znodes} znodes are gone") };
            let text = format!("delete {path}: {reason}{doubt}; {gone}");
            state.end_job(now, &about, Outcome::Refused(format!("{reason}{doubt}; {gone}")));
            note(state, now, Source::You, Level::Bad, text.clone());
            say(state, now, text, false);
        }
    }
    if state.tree.node == node { state.tree.refresh_now() } else { Vec::new() }
}
