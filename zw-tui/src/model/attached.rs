//! An ensemble that the console did not start: which of the addresses is which member.
//!
//! Invariants:
//! - `nodes[i]` is the member `n(i+1)` of the ensemble, whatever the order in which the addresses were given: the nodes
//!   say themselves who they are. A member that no address was given for is asked at the one that the others have for it,
//!   for it counts for the quorum.
//! - The tasks know addresses, not members. Messages and effects are translated here, and nowhere else.

use super::events::{Event, Level, Source};
use super::message::{DeleteFailure, Effect, Msg, WriteFailure};
use super::permission::Permission;
use super::sight::Sight;
use super::tree::TreeView;
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
        state.lines = state.nodes.iter().map(|node| node.address.clone()).collect();
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
        if let Effect::Diff { nodes, .. } = &mut effect {
            let lines = nodes.map(|node| state.nodes.get(node).and_then(|node| node.line));
            match lines {
                [Some(left), Some(right)] => {
                    *nodes = [left, right];
                    sent.push(effect);
                }
                _ => super::acts::say(state, now, format!("diff: {NOT_ATTACHED}"), false),
            }
            continue;
        }
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
        Effect::Write(order) => {
            let failure = WriteFailure { reason, may_be_done: false, done: 0 };
            super::write::on_written(state, now, order.node, &order.path, Err(failure));
        }
        Effect::Count { node, path } => super::deletion::on_counted(state, now, node, &path, Err(reason)),
        Effect::Delete { node, path, .. } => {
            let failure = DeleteFailure { znodes: 0, reason, may_be_done: false };
            for effect in super::deletion::on_deleted(state, now, node, &path, Err(failure)) {
                unanswered(state, now, effect);
            }
        }
        _ => {}
    }
}

/// An address that is tried, what it said, and which member that is, if it said so.
struct Known {
    line: usize,
    sight: Sight,
    member: Option<usize>,
}

/// A node says who it is, and who the others are.
fn identify(state: &mut State, now: Duration, line: usize, status: &Status) -> Vec<Effect> {
    let Ok(ensemble) = status.ensemble.parse::<Ensemble>() else { return Vec::new() };
    let place = usize::from(status.node.0).checked_sub(1);
    let Some(member) = place.filter(|place| *place < ensemble.size()) else { return Vec::new() };
    let from = state.place_of(line);
    let has_answered = |place: usize| state.nodes.get(place).is_some_and(|node| node.sight.status.is_some());
    // Nothing new; or one more address of a member that answers at another.
    if state.nodes.len() == ensemble.size() && (from == Some(member) || from.is_none() && has_answered(member)) {
        return Vec::new();
    }
    let is_first = !(0..state.nodes.len()).any(has_answered);
    let mut known: Vec<Known> = Vec::new();
    for node in state.nodes.drain(..) {
        let Some(line) = node.line else { continue };
        let member = node.sight.status.as_ref().and_then(|status| usize::from(status.node.0).checked_sub(1));
        known.push(Known { line, sight: node.sight, member });
    }
    // Whoever answered before keeps its place before the one that answers now.
    let sight = known.iter().position(|other| other.line == line).map(|at| known.remove(at).sight).unwrap_or_default();
    known.push(Known { line, sight, member: Some(member) });
    place_all(state, now, known, &ensemble);
    let effects = dial_missing(state, &ensemble, member);
    state.node = if is_first { member } else { state.node.min(state.nodes.len() - 1) };
    state.tree = TreeView::default();
    state.tree.show(state.node);
    state.version += 1;
    effects
}

/// Gives every address its place: those that said who they are first, then those that the ensemble lists, then the others
/// where there is room, for they may be other names of members.
fn place_all(state: &mut State, now: Duration, known: Vec<Known>, ensemble: &Ensemble) {
    state.nodes = (1..=ensemble.size()).map(|number| foreign(u8::try_from(number).unwrap_or(u8::MAX))).collect();
    let listed: Vec<String> = ensemble.ids().filter_map(|id| ensemble.address(id)).map(ToString::to_string).collect();
    let (said, silent): (Vec<Known>, Vec<Known>) = known.into_iter().partition(|one| one.member.is_some());
    for one in said {
        let Some(node) = one.member.and_then(|place| state.nodes.get_mut(place)) else { continue };
        let address = state.lines[one.line].clone();
        if node.line.is_none() {
            (node.line, node.address, node.sight) = (Some(one.line), address, one.sight);
        } else {
            let text = format!("{address} and {} are both {}: the first is left out", node.address, node.member);
            note(state, now, text);
        }
    }
    let is_listed = |one: &Known| listed.contains(&state.lines[one.line]);
    let (ours, others): (Vec<Known>, Vec<Known>) = silent.into_iter().partition(is_listed);
    for one in ours.into_iter().chain(others) {
        let address = state.lines[one.line].clone();
        let its_own = listed.iter().position(|listed| *listed == address);
        let is_free = |place: &usize| state.nodes[*place].line.is_none();
        match its_own.or_else(|| (0..state.nodes.len()).find(is_free)).filter(is_free) {
            Some(place) => {
                let node = &mut state.nodes[place];
                (node.line, node.address, node.sight) = (Some(one.line), address, one.sight);
            }
            None => note(state, now, format!("{address} is left out: all members are known, and it is none of them")),
        }
    }
}

/// Asks the members that did not answer at the addresses that the ensemble lists for them, if nobody does yet. The one
/// that answers now has its place, and its status is on the way.
fn dial_missing(state: &mut State, ensemble: &Ensemble, answers: usize) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (place, (node, id)) in state.nodes.iter_mut().zip(ensemble.ids()).enumerate() {
        if place == answers || node.sight.status.is_some() {
            continue;
        }
        let address = ensemble.address(id).map_or_else(String::new, ToString::to_string);
        if !state.lines.contains(&address) && state.lines.len() < LINES_MAX {
            let line = state.lines.len();
            state.lines.push(address.clone());
            if node.line.is_none() {
                (node.line, node.address) = (Some(line), address.clone());
            }
            effects.push(Effect::Dial { line, address });
        } else if node.line.is_none() {
            node.address = address;
            node.sight.silence = Some(NOT_ATTACHED.to_owned());
        }
    }
    effects
}

fn foreign(number: u8) -> Node {
    let mut node = Node::new(Member::Node(number), String::new());
    (node.line, node.process.observed) = (None, Observed::Foreign);
    node
}

fn note(state: &mut State, at: Duration, text: String) {
    state.events.push(Event::new(at, Source::Console, Level::Warning, text));
}
