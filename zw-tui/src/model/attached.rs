//! An ensemble that the console did not start: which of the addresses is which member.
//!
//! Invariants:
//! - `nodes[i]` is the member `n(i+1)` of the ensemble, whatever the order in which the addresses were given: the nodes
//!   say themselves who they are. A member that no address was given for is asked at the one that the others have for it,
//!   for it counts for the quorum.
//! - The tasks know addresses, not members. Messages and effects are translated here, and nowhere else.

use super::events::{Event, Level, Source};
use super::message::{Effect, Msg};
use super::permission::Permission;
use super::{Node, Observed, State};
use crate::member::Member;
use std::time::Duration;
use zw_core::ensemble::Ensemble;
use zw_core::limits::MEMBERS_MAX;
use zw_core::wire::admin::Status;

/// What is said of a member that cannot be asked.
const NOT_ATTACHED: &str = "not attached";
/// Addresses that are ever tried; an ensemble that tells ever other members would make more and more tasks.
const LINES_MAX: usize = 2 * MEMBERS_MAX;

impl State {
    /// A console on the members at these addresses, none of which is its child.
    #[must_use]
    pub fn attached(addresses: Vec<String>, permission: Permission) -> State {
        let mut state = State::new(addresses, Vec::new());
        for node in &mut state.nodes {
            node.process.observed = Observed::Foreign;
        }
        state.lines = state.nodes.len();
        state.permission = Permission { is_attached: true, ..permission };
        state
    }

    /// The place of the node behind an address.
    fn place_of(&self, line: usize) -> Option<usize> {
        self.nodes.iter().position(|node| node.line == Some(line))
    }
}

/// Turns the task's number in a message into the node's place; nothing is left of a message from an address that is no
/// member. Whom the message makes known is to be asked too.
pub(super) fn arriving(state: &mut State, now: Duration, mut message: Msg) -> (Option<Msg>, Vec<Effect>) {
    if !state.permission.is_attached {
        return (Some(message), Vec::new());
    }
    let effects = match &message {
        Msg::Status { node: line, status, .. } => identify(state, now, *line, status),
        _ => Vec::new(),
    };
    if let Some(node) = message.node_mut() {
        match state.place_of(*node) {
            Some(place) => *node = place,
            None => return (None, effects),
        }
    }
    (Some(message), effects)
}

/// Turns the node's place in an effect into the task's number, or into the answer that there is none.
pub(super) fn leaving(state: &mut State, now: Duration, effects: Vec<Effect>) -> Vec<Effect> {
    if !state.permission.is_attached {
        return effects;
    }
    let mut sent = Vec::new();
    for mut effect in effects {
        let Some(node) = effect.node_mut() else {
            sent.push(effect);
            continue;
        };
        match state.nodes.get(*node).and_then(|node| node.line) {
            Some(line) => {
                *node = line;
                sent.push(effect);
            }
            None => unanswered(state, now, effect),
        }
    }
    sent
}

/// Who cannot be asked answers at once that it cannot.
fn unanswered(state: &mut State, now: Duration, effect: Effect) {
    let reason = NOT_ATTACHED.to_owned();
    match effect {
        Effect::Children { path, after, .. } => {
            state.tree.take_children(&path, &after, Err(reason));
        }
        Effect::Value { path, .. } => {
            state.tree.take_value(path, Err(reason));
        }
        Effect::Write { path, .. } => super::acts::say(state, now, format!("write {path}: {reason}"), false),
        _ => {}
    }
}

/// A node says who it is, and who the others are.
fn identify(state: &mut State, now: Duration, line: usize, status: &Status) -> Vec<Effect> {
    let Ok(ensemble) = status.ensemble.parse::<Ensemble>() else { return Vec::new() };
    let place = usize::from(status.node.0).checked_sub(1);
    let Some(to) = place.filter(|to| *to < ensemble.size()) else { return Vec::new() };
    let from = state.place_of(line);
    if from == Some(to) && state.nodes.len() == ensemble.size() {
        return Vec::new();
    }
    while state.nodes.len() < ensemble.size() {
        let number = u8::try_from(state.nodes.len() + 1).unwrap_or(u8::MAX);
        let mut node = Node::new(Member::Node(number), String::new());
        (node.line, node.process.observed) = (None, Observed::Foreign);
        state.nodes.push(node);
    }
    if from != Some(to) {
        settle(state, now, line, from, to);
    }
    trim(state, now, ensemble.size());
    let mut effects = Vec::new();
    for (node, id) in state.nodes.iter_mut().zip(ensemble.ids()).filter(|(node, _)| node.line.is_none()) {
        node.address = ensemble.address(id).map_or_else(String::new, ToString::to_string);
        if state.lines < LINES_MAX {
            node.line = Some(state.lines);
            effects.push(Effect::Dial { line: state.lines, address: node.address.clone() });
            state.lines += 1;
        } else {
            node.sight.silence = Some(NOT_ATTACHED.to_owned());
        }
    }
    let shown = state.node.min(state.nodes.len() - 1);
    state.node = shown;
    state.tree = super::tree::TreeView::default();
    state.tree.show(shown);
    state.version += 1;
    effects
}

/// Puts an address in the place of the member that answers there; who was there unasked takes the other place.
fn settle(state: &mut State, now: Duration, line: usize, from: Option<usize>, to: usize) {
    let has_answered = state.nodes[to].line.is_some() && state.nodes[to].sight.status.is_some();
    match from {
        Some(from) if has_answered => {
            let (address, other) = (std::mem::take(&mut state.nodes[from].address), &state.nodes[to]);
            let text = format!("{address} and {} are both {}: the second is left out", other.address, other.member);
            state.nodes[from].line = None;
            note(state, now, text);
        }
        Some(from) => {
            let (low, high) = (from.min(to), from.max(to));
            let (head, tail) = state.nodes.split_at_mut(high);
            let (one, other) = (&mut head[low], &mut tail[0]);
            std::mem::swap(one, other);
            std::mem::swap(&mut one.member, &mut other.member);
        }
        None if has_answered => {}
        None => state.nodes[to].line = Some(line),
    }
}

/// Takes away places that the ensemble does not have; an address in one moves to a free place, for it may be there.
fn trim(state: &mut State, now: Duration, size: usize) {
    for extra in state.nodes.split_off(size) {
        let Some(line) = extra.line else { continue };
        match state.nodes.iter_mut().find(|node| node.line.is_none()) {
            Some(free) => (free.line, free.address, free.sight) = (Some(line), extra.address, extra.sight),
            None => note(
                state,
                now,
                format!("{} is left out: it does not answer, and all members are known", extra.address),
            ),
        }
    }
}

fn note(state: &mut State, at: Duration, text: String) {
    state.events.push(Event { at, source: Source::Console, level: Level::Warning, text });
}
