//! What the console measures and holds against each other beyond one node's status: leaders over time, logs, digests.

use super::divergence::Digests;
use super::events::{Event, Level, Source};
use super::history::Range;
use super::reigns::Reigns;
use super::replication::{Divergence, fork};
use super::verdict::judge;
use super::{State, replication};
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::ids::NodeId;
use zw_core::wire::admin::{NodeRole, Status};

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Leaders, and the times without one.
    pub reigns: Reigns,
    /// What the nodes' trees were at which zxid.
    pub digests: Digests,
    /// How far back the charts go.
    pub range: Range,
    /// What the console itself costs, as it is drawn.
    pub cost: Cost,
}

/// What the console costs, as the loop measures it.
///
/// It is drawn when something else is, and never a reason to draw: else the screen would never be quiet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes to the terminal, a second.
    pub bytes_per_second: u64,
    /// How long the newest frame took to make and to write.
    pub frame: Duration,
    /// Share of one core in thousandths; none where it cannot be measured.
    pub cpu_permille: Option<u64>,
}

impl Cost {
    /// Takes a measurement. What is drawn stays until it is clearly another value: to tell of a cost must cost nothing.
    pub fn settle(&mut self, new: Cost) {
        let is_other = |shown: u64, new: u64, least: u64| shown.abs_diff(new) > (shown / 2).max(least);
        if is_other(self.bytes_per_second, new.bytes_per_second, 50) {
            self.bytes_per_second = new.bytes_per_second;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if is_other(micros(self.frame), micros(new.frame), 500) {
            self.frame = new.frame;
        }
        self.cpu_permille = match (self.cpu_permille, new.cpu_permille) {
            (Some(shown), Some(new)) if !is_other(shown, new, 5) => Some(shown),
            (_, new) => new,
        };
    }
}

/// Looks who leads, as far as is seen now.
pub fn look(state: &mut State, now: Duration) {
    let verdict = judge(state, now);
    let seen = state.nodes.iter().filter_map(|node| Some((node.sight.status.as_deref()?, node.sight.heard?)));
    let leads = |status: &Status| Some(status.node) == verdict.leader && status.role == NodeRole::Leader;
    let leader =
        seen.filter(|(status, _)| leads(status)).map(|(status, heard)| (status.epoch, contact(status, heard))).max();
    state.measured.reigns.look(now, leader);
}

/// When a leader that was heard at `heard` was last in touch with a quorum itself: one that was cut off goes on to say
/// that it leads for a while.
fn contact(status: &Status, heard: Duration) -> Duration {
    let mut ages: Vec<u64> = status.peers.iter().map(|peer| peer.heard_ms_ago).collect();
    ages.sort_unstable();
    let others_of_quorum = ages.len().div_ceil(2);
    let age = others_of_quorum.checked_sub(1).and_then(|index| ages.get(index)).copied().unwrap_or(0);
    heard.saturating_sub(Duration::from_millis(age))
}

/// Holds the newest answer of a node against those of the others.
pub fn compare(state: &mut State, now: Duration, index: usize) {
    look(state, now);
    compare_trees(state, now, index);
    compare_logs(state, now, index);
}

fn compare_trees(state: &mut State, now: Duration, index: usize) {
    let Some(status) = state.nodes.get(index).and_then(|node| node.sight.status.as_deref()) else { return };
    // A node is known by its place: what it says of its own number is not needed for that.
    let me = node_id(index);
    let Some(found) = state.measured.digests.take(me, status.applied_zxid, status.digest) else { return };
    let other = usize::from(found.other.0).saturating_sub(1);
    let is_news = state.nodes[index].diverged.is_none();
    state.nodes[index].diverged.get_or_insert(found);
    if let Some(node) = state.nodes.get_mut(other) {
        node.diverged.get_or_insert(Divergence { zxid: found.zxid, other: me });
    }
    if is_news {
        let text = format!("DIVERGED: at {} its tree is not that of n{}", found.zxid, found.other);
        note(state, now, index, Level::Bad, text);
    }
}

fn compare_logs(state: &mut State, now: Duration, index: usize) {
    let leader = judge(state, now).leader;
    let leads = |status: &&Status| Some(status.node) == leader;
    let statuses = || state.nodes.iter().filter_map(|node| node.sight.status.as_deref());
    let Some(reference) = statuses().find(leads).map(replication::ends) else { return };
    let Some(node) = state.nodes.get(index) else { return };
    let ends = node.sight.status.as_deref().map(replication::ends).unwrap_or_default();
    let (was, forked) = (node.forked, fork(&ends, &reference).map_or(0, |(_, own)| own));
    state.nodes[index].forked = forked;
    let entries = if forked.max(was) == 1 { "entry" } else { "entries" };
    match (was, forked) {
        (0, 1..) => {
            let text = format!("forked: {forked} {entries} of its own");
            note(state, now, index, Level::Warning, text);
        }
        (1.., 0) => {
            note(state, now, index, Level::Info, format!("dropped {was} {entries} of its own"));
        }
        _ => {}
    }
}

fn node_id(index: usize) -> NodeId {
    NodeId(u16::try_from(index + 1).unwrap_or(u16::MAX))
}

fn note(state: &mut State, at: Duration, index: usize, level: Level, text: String) {
    let source = u8::try_from(index + 1).map_or(Source::Console, |number| Source::Member(Member::Node(number)));
    state.events.push(Event::new(at, source, level, text));
    state.version += 1;
}
