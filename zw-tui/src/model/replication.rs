//! The nodes' logs side by side, aligned by zxid: who committed what, who only holds it, who lacks it, who has another.
//!
//! The scale is the log that the others are held against: the leader's, or the furthest if nobody leads. Within an epoch
//! a log has no holes, so the ends of its newest epochs, which the status tells, say all of it.

use super::sight::Freshness;
use super::verdict::Verdict;
use super::{Node, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::wire::admin::{NodeRole, Status};

/// Cells of a strip, at most.
pub const CELLS_MAX: usize = 512;

/// One entry of one node's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It is in the log, and the node knows that it is committed.
    Committed,
    /// It is in the log.
    Logged,
    /// It is not in the log.
    Missing,
    /// In its place the log holds an entry that the scale's log does not; or the tree is another from there on.
    Forked,
}

/// The log of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Which node, from 0.
    pub node: usize,
    /// A cell for each zxid of the scale; empty if nothing is known of the node.
    pub cells: Vec<Cell>,
    /// The end of its log.
    pub last: Option<Zxid>,
    /// How old that is.
    pub freshness: Freshness,
    /// Entries that the scale's log does not have.
    pub forked: u64,
    /// Its tree is another than that of this node, at this zxid.
    pub diverged: Option<Divergence>,
}

/// Two nodes with unlike trees at one zxid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// Where.
    pub zxid: Zxid,
    /// The other.
    pub other: NodeId,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strips {
    /// The zxids, oldest first.
    pub scale: Vec<Zxid>,
    /// The node whose log is the scale, from 0.
    pub reference: usize,
    /// One for each node, n1 first.
    pub strips: Vec<Strip>,
}

/// The logs over the newest `cells` zxids; none before anybody answered.
#[must_use]
pub fn strips(state: &State, verdict: &Verdict, now: Duration, cells: usize) -> Option<Strips> {
    let reference = reference(state, verdict)?;
    let ends = ends_of(state.nodes.get(reference)?)?;
    let scale = scale(&ends, cells.min(CELLS_MAX));
    let strips = state.nodes.iter().enumerate().map(|(index, node)| strip(index, node, &ends, &scale, now)).collect();
    Some(Strips { scale, reference, strips })
}

/// The node whose log is the scale: the leader, else the one whose log reaches furthest.
fn reference(state: &State, verdict: &Verdict) -> Option<usize> {
    let known = || state.nodes.iter().enumerate().filter_map(|(i, node)| Some((i, node.sight.status.as_deref()?)));
    known()
        .find(|(_, status)| Some(status.node) == verdict.leader && status.role == NodeRole::Leader)
        .or_else(|| known().max_by_key(|(index, status)| (status.last_zxid, usize::MAX - index)))
        .map(|(index, _)| index)
}

fn ends_of(node: &Node) -> Option<Vec<Zxid>> {
    node.sight.status.as_deref().map(ends)
}

/// The ends of the newest epochs of a log. An older node tells only the last.
pub(super) fn ends(status: &Status) -> Vec<Zxid> {
    if status.epoch_ends.is_empty() { vec![status.last_zxid] } else { status.epoch_ends.clone() }
}

/// The newest zxids of a log: down to the marker of an epoch, then from the end of the one before.
fn scale(ends: &[Zxid], cells: usize) -> Vec<Zxid> {
    let mut scale: Vec<Zxid> = Vec::with_capacity(cells);
    for end in ends.iter().rev() {
        let counters = (0..=end.counter()).rev().take(cells - scale.len());
        scale.extend(counters.map(|counter| Zxid::new(end.epoch(), counter)));
    }
    scale.reverse();
    scale
}

/// The last counter of an epoch in a log: none if the log has nothing of it, as far as is told.
fn end_in(ends: &[Zxid], epoch: Epoch) -> Option<u64> {
    ends.iter().find(|end| end.epoch() == epoch).map(|end| end.counter())
}

/// Entries of a log that another does not have although it goes on in a later epoch (rule S1), and the last entry that
/// they have in common with it.
#[must_use]
pub fn fork(ends: &[Zxid], reference: &[Zxid]) -> Option<(Zxid, u64)> {
    let epochs = || ends.iter().rev().map(|end| end.epoch());
    let common = epochs().find_map(|epoch| Some((epoch, end_in(reference, epoch)?.min(end_in(ends, epoch)?))));
    let (epoch, counter) = common?;
    let common = Zxid::new(epoch, counter);
    let goes_on = reference.last().is_some_and(|last| *last > common && last.epoch() > epoch);
    let beyond = |end: &Zxid| if end.epoch() == epoch { end.counter() - counter } else { end.counter() + 1 };
    let own: u64 = ends.iter().filter(|end| **end > common).map(beyond).sum();
    // A log that is only longer in the newest epoch of both has not forked: the other may get it yet.
    (own > 0 && goes_on).then_some((common, own))
}

fn strip(index: usize, node: &Node, reference: &[Zxid], scale: &[Zxid], now: Duration) -> Strip {
    let freshness = node.sight.freshness(now);
    let diverged = node.diverged;
    let Some(status) = node.sight.status.as_deref() else {
        return Strip { node: index, cells: Vec::new(), last: None, freshness, forked: 0, diverged };
    };
    let ends = ends(status);
    let fork = fork(&ends, reference);
    let (common, forked) = fork.map_or((Zxid(u64::MAX), 0), |(common, own)| (common, own));
    let oldest_told = ends.first().map(|end| end.epoch());
    let cells = scale.iter().map(|zxid| {
        if *zxid > common {
            return Cell::Missing;
        }
        let is_there = match end_in(&ends, zxid.epoch()) {
            Some(end) => zxid.counter() <= end,
            // Of epochs before those that it tells it has all: they are below its committed history.
            None => oldest_told.is_some_and(|oldest| zxid.epoch() < oldest),
        };
        match is_there {
            true if diverged.is_some_and(|diverged| *zxid >= diverged.zxid) => Cell::Forked,
            true if *zxid <= status.committed_zxid => Cell::Committed,
            true => Cell::Logged,
            false => Cell::Missing,
        }
    });
    let mut cells: Vec<Cell> = cells.collect();
    let first_other = scale.partition_point(|zxid| *zxid <= common);
    let marks = usize::try_from(forked).unwrap_or(usize::MAX);
    // If the point in common is left of the scale, the whole strip belongs to the other history, and one mark says so.
    cells.iter_mut().skip(first_other).take(marks).for_each(|cell| *cell = Cell::Forked);
    Strip { node: index, cells, last: Some(status.last_zxid), freshness, forked, diverged }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zxid(epoch: u32, counter: u64) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    #[test]
    fn the_scale_goes_back_over_the_marker_of_an_epoch() {
        assert_eq!(scale(&[zxid(6, 9), zxid(7, 1)], 4), [zxid(6, 8), zxid(6, 9), zxid(7, 0), zxid(7, 1)]);
        assert_eq!(scale(&[zxid(7, 1)], 4), [zxid(7, 0), zxid(7, 1)], "what came before is not told");
        assert_eq!(scale(&[zxid(7, 100)], 3), [zxid(7, 98), zxid(7, 99), zxid(7, 100)]);
        assert!(scale(&[zxid(7, 1)], 0).is_empty());
    }

    #[test]
    fn a_fork_is_what_the_ensemble_went_on_without() {
        let leader = [zxid(6, 991), zxid(7, 40)];
        assert_eq!(fork(&[zxid(6, 995)], &leader), Some((zxid(6, 991), 4)));
        assert_eq!(fork(&[zxid(6, 990)], &leader), None, "it is behind");
        assert_eq!(fork(&leader, &leader), None);
        assert_eq!(fork(&[zxid(6, 991), zxid(7, 44)], &leader), None, "the leader may get that yet");
        // It led an epoch that nobody else knows.
        assert_eq!(fork(&[zxid(6, 991), zxid(8, 2)], &[zxid(6, 991), zxid(9, 1)]), Some((zxid(6, 991), 3)));
        assert_eq!(fork(&[zxid(5, 3), zxid(8, 0)], &[zxid(5, 3), zxid(6, 991), zxid(9, 1)]), Some((zxid(5, 3), 1)));
        assert_eq!(fork(&[zxid(2, 1)], &leader), None, "too old to say");
        assert_eq!(fork(&[], &leader), None);
    }
}
