//! The selected znode as every node has it, held against the one that is shown: equal, older, newer, missing, unknown.
//!
//! Invariants:
//! - All nodes are asked once when the shown znode changed, or when another one was shown at two answers of its node in a row:
//!   a cursor that goes through a long list asks for nothing. After that a node is asked again only
//!   when it has applied more than when it told. One that was equal also has to be ahead of the shown one: else what it
//!   applied is in the shown znode already. So a strip comes to rest when the ensemble does.
//! - At most one question to each node is on its way.
//! - What a node does not tell any more is shown as stale; what it never told as unknown.

use super::State;
use super::message::Effect;
use super::tree::Value;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::ids::Zxid;
use zw_core::tree::command::Stat;

/// What the nodes told of one znode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    /// The znode, and what it was when the nodes were asked.
    subject: Option<(String, Zxid, Zxid)>,
    /// The znode that was shown when its node answered last.
    #[serde(default)]
    candidate: Option<String>,
    /// By the node.
    cells: Vec<Cell>,
}

/// What one node told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cell {
    /// Since when a question is on its way.
    asked: Option<Duration>,
    told: Option<Told>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// What the node had applied.
    zxid: Zxid,
    /// None if it has no such znode.
    stat: Option<Stat>,
}

/// How a node's znode stands to the one that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the same.
    Equal,
    /// An older one, of this version or with so many children.
    Older(Difference),
    /// A newer one.
    Newer(Difference),
    /// The node has no such znode.
    Missing,
    /// The node has not told.
    Unknown,
}

/// What is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The data, with their version.
    Version(i32),
    /// The children, of which there are so many.
    Children(u32),
}

/// A question that was not answered for so long was lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// How one node stands, for the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it told.
    pub standing: Standing,
    /// Whether the node does not answer any more, so that it may be otherwise by now.
    pub is_stale: bool,
}

/// The value that is shown, if it is one: its path and stat.
fn shown(state: &State) -> Option<(&str, &Stat)> {
    match &state.tree.value {
        Some(Value { path, content: Ok((_, stat)) }) if *path == state.tree.selected() => Some((path, stat)),
        _ => None,
    }
}

/// Asks all nodes if the shown znode changed, or if it is another one and its node has answered (`is_answer`) twice since.
pub(super) fn look(state: &mut State, now: Duration, is_answer: bool) -> Vec<Effect> {
    let Some((path, stat)) = shown(state) else { return Vec::new() };
    let subject = Some((path.to_owned(), stat.mzxid, stat.pzxid));
    if state.nodes.len() < 2 || state.strip.subject == subject {
        return Vec::new();
    }
    let is_same_path = state.strip.subject.as_ref().is_some_and(|(of, ..)| of == path);
    let path = path.to_owned();
    let rests = is_answer && state.strip.candidate.as_ref() == Some(&path);
    if is_answer {
        state.strip.candidate = Some(path);
    }
    if !is_same_path && !rests {
        return Vec::new();
    }
    state.strip.subject = subject;
    state.version += 1;
    if !is_same_path || state.strip.cells.len() != state.nodes.len() {
        state.strip.cells = vec![Cell::default(); state.nodes.len()];
    }
    (0..state.nodes.len()).filter_map(|node| ask(state, now, node)).collect()
}

/// A node answered for its status: it may have come to the same meanwhile, or to another.
pub(super) fn again(state: &mut State, now: Duration, node: usize, applied: Zxid) -> Vec<Effect> {
    let Some(cell) = state.strip.cells.get(node) else { return Vec::new() };
    let has_moved = cell.told.as_ref().is_none_or(|told| told.zxid < applied);
    // The shown node may be the one that is behind: then its znode does not change, and who has moved on is no more equal.
    let shown_applied = state.nodes.get(state.tree.node).and_then(|node| node.sight.status.as_deref());
    let is_ahead = shown_applied.is_none_or(|status| status.applied_zxid < applied);
    let may_differ = is_ahead || seen(state, node, now).standing != Standing::Equal;
    if !has_moved || !may_differ || shown(state).is_none() {
        return Vec::new();
    }
    ask(state, now, node).into_iter().collect()
}

/// Asks a node that can answer; the one whose tree is shown has told already.
fn ask(state: &mut State, now: Duration, node: usize) -> Option<Effect> {
    let (path, ..) = state.strip.subject.clone()?;
    let is_there = state.nodes.get(node)?.process.can_work() && state.nodes.get(node)?.sight.current(now).is_some();
    let cell = state.strip.cells.get_mut(node)?;
    let is_under_way = cell.asked.is_some_and(|asked| now.saturating_sub(asked) < LOST_AFTER);
    if node == state.tree.node || !is_there || is_under_way {
        return None;
    }
    cell.asked = Some(now);
    Some(Effect::Exists { node, path })
}

/// A node told.
pub(super) fn take(state: &mut State, node: usize, path: &str, result: Result<(Zxid, Option<Stat>), String>) {
    if state.strip.subject.as_ref().is_none_or(|(of, ..)| of != path) {
        return;
    }
    let Some(cell) = state.strip.cells.get_mut(node) else { return };
    cell.asked = None;
    if let Ok((zxid, stat)) = result {
        cell.told = Some(Told { zxid, stat });
        state.version += 1;
    }
}

/// How a node stands to what is shown.
#[must_use]
pub fn seen(state: &State, node: usize, now: Duration) -> Seen {
    let unknown = Seen { standing: Standing::Unknown, is_stale: false };
    let Some((path, shown)) = shown(state) else { return unknown };
    if node == state.tree.node {
        return Seen { standing: Standing::Equal, is_stale: false };
    }
    let is_subject = state.strip.subject.as_ref().is_some_and(|(of, ..)| of == path);
    let told = state.strip.cells.get(node).and_then(|cell| cell.told.as_ref()).filter(|_| is_subject);
    let (Some(told), Some(node)) = (told, state.nodes.get(node)) else { return unknown };
    let answers = node.process.can_work() && node.sight.current(now).is_some();
    Seen { standing: standing(told.stat.as_ref(), shown), is_stale: !answers }
}

fn standing(stat: Option<&Stat>, shown: &Stat) -> Standing {
    let Some(stat) = stat else { return Standing::Missing };
    let (version, children) = (Difference::Version(stat.version), Difference::Children(stat.num_children));
    if (stat.mzxid, stat.pzxid) == (shown.mzxid, shown.pzxid) {
        return Standing::Equal;
    }
    let what = if stat.mzxid == shown.mzxid { children } else { version };
    let is_older = if stat.mzxid == shown.mzxid { stat.pzxid < shown.pzxid } else { stat.mzxid < shown.mzxid };
    if is_older { Standing::Older(what) } else { Standing::Newer(what) }
}

impl Standing {
    /// As it is drawn behind the node's name.
    #[must_use]
    pub fn words(self) -> String {
        let of = |difference: Difference| match difference {
            Difference::Version(version) => format!("(v{version})"),
            Difference::Children(count) => format!("({count} ch)"),
        };
        match self {
            Standing::Equal => "=".into(),
            Standing::Older(difference) => format!("older {}", of(difference)),
            Standing::Newer(difference) => format!("newer {}", of(difference)),
            Standing::Missing => "none".into(),
            Standing::Unknown => "?".into(),
        }
    }
}
