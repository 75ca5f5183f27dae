//! What the timeline shows: what befell the ensemble and which epoch ruled when, found by comparing the state with what it
//! was a message before.
//!
//! Both lists are bounded; the oldest goes.

use super::faults::Trouble;
use super::select::Face;
use super::{Desired, Node, Observed, Process, State};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use zw_core::ids::Epoch;
use zw_core::wire::admin::NodeRole;

/// Marks that are kept.
pub const MARKS_MAX: usize = 1_000;
/// Changes of the epoch that are kept.
const EPOCHS_MAX: usize = 1_000;
/// Ends, pauses and starts of processes that are kept.
const LIVES_MAX: usize = 1_000;

/// What happened, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MarkKind {
    /// The console left while the ensemble ran on, or came back.
    Away,
    /// A fault ended.
    Healed,
    /// A process was started again or goes on.
    Revived,
    /// Links or disks became slow.
    Slow,
    /// Links were cut.
    Cut,
    /// A process was paused.
    Paused,
    /// A process ended.
    Ended,
    /// The leader was lost, or another epoch began.
    Election,
}

impl MarkKind {
    /// Its letter.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            MarkKind::Away => 'd',
            MarkKind::Healed => 'h',
            MarkKind::Revived => 'r',
            MarkKind::Slow => 's',
            MarkKind::Cut => 'c',
            MarkKind::Paused => 'P',
            MarkKind::Ended => 'x',
            MarkKind::Election => 'E',
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: Duration,
    /// What.
    pub kind: MarkKind,
}

/// All of them, and what the state looked like last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimeMarks {
    marks: VecDeque<Mark>,
    epochs: VecDeque<(Duration, Epoch)>,
    /// When the process of which member (nodes before brokers, counted from 0) became what.
    lives: VecDeque<(Duration, usize, Life)>,
    last: Glance,
}

/// As much of a state as marks are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Glance {
    lives: Vec<Life>,
    has_leader: bool,
    epoch: Option<Epoch>,
    faults: Vec<(u32, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    Unborn,
    Runs,
    Paused,
    Gone,
}

impl Life {
    fn of(process: &Process) -> Life {
        match process.observed {
            Observed::Unborn => Life::Unborn,
            Observed::Exited(..) | Observed::Failed(_) => Life::Gone,
            _ if process.desired == Desired::Paused => Life::Paused,
            Observed::Foreign | Observed::Starting(_) | Observed::Running(_) | Observed::Stopping(_) => Life::Runs,
        }
    }
}

impl Glance {
    fn of(state: &State) -> Glance {
        let processes = state.members().filter_map(|member| state.process(member));
        // Of a process that is not ours only its silence tells that it is gone.
        let is_there = |node: &Node| match node.process.observed {
            Observed::Foreign => node.sight.silence.is_none(),
            _ => node.process.pid().is_some(),
        };
        let led = |node: &Node| match node.sight.status.as_deref() {
            Some(status) if status.role == NodeRole::Leader && is_there(node) => Some(status.epoch),
            _ => None,
        };
        let epoch = state.nodes.iter().filter_map(led).max();
        let is_cut = |trouble: &Trouble| matches!(trouble, Trouble::Cut(_));
        // A pause is a mark of its process.
        let of_links = state.faults.active().iter().filter(|lease| !matches!(lease.trouble, Trouble::Pause(_)));
        Glance {
            lives: processes.map(Life::of).collect(),
            has_leader: epoch.is_some(),
            epoch: epoch.max(state.marks.last.epoch),
            faults: of_links.map(|lease| (lease.id, is_cut(&lease.trouble))).collect(),
        }
    }

    /// What lies between the one before and this one.
    fn since(&self, before: &Glance) -> Vec<MarkKind> {
        let mut kinds = Vec::new();
        for (life, former) in self.lives.iter().zip(&before.lives) {
            kinds.extend(match (former, life) {
                (Life::Runs | Life::Paused, Life::Gone) => Some(MarkKind::Ended),
                (Life::Runs, Life::Paused) => Some(MarkKind::Paused),
                (Life::Paused | Life::Gone, Life::Runs) => Some(MarkKind::Revived),
                _ => None,
            });
        }
        let is_lost = before.has_leader && !self.has_leader;
        if is_lost || (before.epoch.is_some() && before.epoch != self.epoch) {
            kinds.push(MarkKind::Election);
        }
        for fault in self.faults.iter().filter(|fault| !before.faults.contains(fault)) {
            kinds.push(if fault.1 { MarkKind::Cut } else { MarkKind::Slow });
        }
        if before.faults.iter().any(|fault| !self.faults.contains(fault)) {
            kinds.push(MarkKind::Healed);
        }
        kinds
    }
}

/// Marks what a message changed.
pub(super) fn notice(state: &mut State, now: Duration) {
    let glance = Glance::of(state);
    let marks = &mut state.marks;
    if glance == marks.last {
        return;
    }
    for kind in glance.since(&marks.last) {
        marks.add(now, kind);
    }
    for (member, life) in glance.lives.iter().enumerate() {
        if marks.last.lives.get(member) != Some(life) {
            if marks.lives.len() == LIVES_MAX {
                marks.lives.pop_front();
            }
            marks.lives.push_back((now, member, *life));
        }
    }
    if let Some(epoch) = glance.epoch.filter(|_| glance.epoch != marks.last.epoch) {
        if marks.epochs.len() == EPOCHS_MAX {
            marks.epochs.pop_front();
        }
        marks.epochs.push_back((now, epoch));
    }
    marks.last = glance;
    state.version += 1;
}

impl TimeMarks {
    /// The oldest is forgotten when there are too many.
    pub(super) fn add(&mut self, at: Duration, kind: MarkKind) {
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { at, kind });
    }

    /// The marks, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Mark> + ExactSizeIterator {
        self.marks.iter()
    }

    /// The newest mark before a time.
    #[must_use]
    pub fn before(&self, at: Duration) -> Option<Duration> {
        self.marks.iter().map(|mark| mark.at).rfind(|mark| *mark < at)
    }

    /// The oldest mark after a time.
    #[must_use]
    pub fn after(&self, at: Duration) -> Option<Duration> {
        self.marks.iter().map(|mark| mark.at).find(|mark| *mark > at)
    }

    /// The epoch that ruled at a time, as far as was seen by then.
    #[must_use]
    pub fn epoch_at(&self, at: Duration) -> Option<Epoch> {
        self.epochs.iter().rfind(|(since, _)| *since <= at).map(|(_, epoch)| *epoch)
    }

    /// What the process of a node (counted from 0) was at a time, if it could not work then, as far as was seen by then.
    #[must_use]
    pub fn absence(&self, node: usize, at: Duration) -> Option<Face> {
        let (_, _, life) = self.lives.iter().rfind(|(since, member, _)| *since <= at && *member == node)?;
        match life {
            Life::Gone => Some(Face::Down),
            Life::Paused => Some(Face::Paused),
            Life::Unborn | Life::Runs => None,
        }
    }

    /// The gravest of the marks from a time to another, without that one.
    #[must_use]
    pub fn gravest(&self, from: Duration, to: Duration) -> Option<MarkKind> {
        self.marks.iter().filter(|mark| (from..to).contains(&mark.at)).map(|mark| mark.kind).max()
    }
}
