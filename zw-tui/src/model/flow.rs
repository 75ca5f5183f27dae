//! The view of one write's messages: which write is shown, for how long, and what became of messages that did not arrive.
//!
//! Invariants:
//! - One write is shown at a time; the next one takes its place only when it has been seen for long enough.
//! - Nothing is said of a message but what the nodes told of it and what we know of its receiver.

use super::collector::Portion;
use super::select::{Face, node_face};
use super::transaction::{Lane, Row, Transaction};
use super::{Desired, State};
use crate::motion::Motion;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use zw_core::ids::Zxid;

/// A write stays for at least so long, whatever comes.
pub const SHOW_TIME: Duration = Duration::from_millis(1_200);
/// A write that took long itself is shown faster, so that it takes no more than this.
pub const PLAY_TIME_MAX: Duration = Duration::from_secs(4);
/// The same if the person wants it slower than at the start.
const PLAY_TIME_MAX_SLOW: Duration = Duration::from_secs(20);
/// How much slower than it was a write is shown, from real time on.
pub const LENSES: [u32; 8] = [1, 10, 50, 100, 200, 500, 1_000, 5_000];
/// The lens at the start: a write of 6 ms takes 1.2 s.
const LENS_AT_START: usize = 4;
/// Times from commit to apply that are remembered.
const SAMPLES_MAX: usize = 200;
/// Shown writes that are remembered: more than are followed at a time.
const SEEN_MAX: usize = 2 * super::collector::TRACKED_MAX;
/// Writes that can be gone back to.
const KEPT_MAX: usize = 32;
/// With fewer of them there is no percentile.
const SAMPLES_MIN: usize = 20;

/// The view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// What moves.
    pub motion: Motion,
    /// The write that is shown.
    pub shown: Option<Shown>,
    /// Whether it stays until the person lets it go.
    #[serde(default)]
    pub is_pinned: bool,
    next: Option<Transaction>,
    /// The newest that were told of, the oldest first.
    #[serde(default)]
    kept: VecDeque<Transaction>,
    /// Origin, tag and time of those that were shown: none is shown again for being better known.
    seen: VecDeque<(usize, u64, u64)>,
    lens: usize,
    /// Entries that the most advanced node has applied since the console looks.
    entries: u64,
    /// That number when the shown write was put up.
    entries_then: u64,
    /// Events that were lost on the way.
    pub dropped: u64,
    /// What may be wrong with the times of nodes on other hosts, to both sides.
    pub clock_error_ns: u64,
    commit_to_apply: VecDeque<u64>,
}

/// The write that is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What the nodes told.
    pub transaction: Transaction,
    /// Since when.
    pub since: Duration,
    /// Writes of the ensemble since the one that was shown before, this one among them.
    pub among: u64,
    /// Why nodes did not get what was sent to them.
    pub hindered: BTreeMap<usize, Hindrance>,
    /// Whether it was gone back to or kept: what holds a message up now is no fact of it any more.
    #[serde(default)]
    was_pinned: bool,
    /// What the nodes were when it was put up.
    #[serde(default)]
    faces: Vec<Face>,
}

/// Why a node does not get what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hindrance {
    /// It is stopped; it will get it when it goes on.
    Paused,
    /// A link is cut; it will get it when that heals.
    Cut,
    /// It does not run.
    Down,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow {
            motion: Motion::default(),
            shown: None,
            is_pinned: false,
            next: None,
            kept: VecDeque::new(),
            seen: VecDeque::new(),
            lens: LENS_AT_START,
            entries: 0,
            entries_then: 0,
            dropped: 0,
            clock_error_ns: 0,
            commit_to_apply: VecDeque::new(),
        }
    }
}

impl Shown {
    /// What a node was in this write: as the write itself tells, else as it was when it was put up.
    #[must_use]
    pub fn face(&self, node: usize) -> Face {
        let write = &self.transaction;
        let took_part = [&write.proposals, &write.acks, &write.commits]
            .iter()
            .any(|hops| hops.get(&node).is_some_and(|hop| hop.received.is_some()) || write.applied.contains_key(&node));
        match (self.hindered.get(&node), self.faces.get(node).copied().unwrap_or(Face::Unknown)) {
            _ if write.leader == Some(node) => Face::Leader,
            (Some(Hindrance::Down), _) => Face::Down,
            (Some(Hindrance::Paused), _) => Face::Paused,
            (Some(Hindrance::Cut), _) => Face::Cut,
            (None, Face::Observer) => Face::Observer,
            (None, _) if took_part => Face::Follower,
            // It leads now, and did not then.
            (None, Face::Leader) if write.leader.is_some() => Face::Unknown,
            (None, face) => face,
        }
    }

    /// What became of a message that its receiver did not tell of; none if it may still be on its way.
    #[must_use]
    pub fn hindrance(&self, row: &Row) -> Option<Hindrance> {
        let of = |lane: Lane| match lane {
            Lane::Node(node) => self.hindered.get(&node).copied(),
            Lane::Client => None,
        };
        if row.received.is_some() { None } else { of(row.to).or_else(|| of(row.from)) }
    }
}

impl Flow {
    /// How much slower than it was the write is shown.
    #[must_use]
    pub fn lens(&self) -> u32 {
        LENSES[self.lens]
    }

    /// Slower by so many steps, or faster if negative.
    pub fn slow_down(&mut self, steps: i8) {
        let lens = self.lens.saturating_add_signed(isize::from(steps));
        self.lens = lens.min(LENSES.len() - 1);
    }

    /// As fast as it was.
    pub fn real_time(&mut self) {
        self.lens = 0;
    }

    /// How far into the shown write the screen is; none if all of it is shown.
    #[must_use]
    pub fn elapsed_ns(&self, now: Duration) -> Option<u64> {
        let shown = self.shown.as_ref().filter(|_| self.motion == Motion::Full)?;
        let passed = now.saturating_sub(shown.since);
        let whole = shown.transaction.until() - shown.transaction.began;
        let elapsed = u128::from(whole) * passed.as_nanos() / self.play_time(whole).as_nanos().max(1);
        u64::try_from(elapsed).ok().filter(|elapsed| *elapsed < whole)
    }

    /// How long a write of so many nanoseconds is on its way on the screen.
    fn play_time(&self, whole: u64) -> Duration {
        let most = if self.lens > LENS_AT_START { PLAY_TIME_MAX_SLOW } else { PLAY_TIME_MAX };
        Duration::from_nanos(whole.saturating_mul(self.lens().into())).min(most)
    }

    /// By how much the shown write is slower than it was, at most as the lens says; below one it is faster.
    #[must_use]
    pub fn slowness(&self) -> Option<f64> {
        let shown = &self.shown.as_ref()?.transaction;
        let whole = (shown.until() - shown.began).max(1);
        Some(self.play_time(whole).as_secs_f64() / Duration::from_nanos(whole).as_secs_f64())
    }

    /// When the next write takes the place of the shown one, if one waits.
    #[must_use]
    pub fn change_at(&self) -> Option<Duration> {
        let shown = self.shown.as_ref().filter(|_| self.next.is_some() && !self.is_pinned)?;
        let whole = self.play_time(shown.transaction.until() - shown.transaction.began);
        let whole = if self.motion == Motion::Full { whole } else { Duration::ZERO };
        Some(shown.since + whole.max(SHOW_TIME))
    }

    /// Lets the write go that is pinned; whether there was one.
    pub fn let_go(&mut self) -> bool {
        std::mem::take(&mut self.is_pinned)
    }

    /// Keeps what is told of a write, in the place of what was told of it before.
    fn keep(&mut self, transaction: &Transaction) {
        if let Some(kept) = self.kept.iter_mut().rfind(|kept| is_same(kept, transaction)) {
            kept.clone_from(transaction);
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(transaction.clone());
    }

    /// The 99th percentile of the times from commit to apply, if enough are known.
    #[must_use]
    pub fn commit_to_apply_p99(&self) -> Option<Duration> {
        let mut samples: Vec<u64> = self.commit_to_apply.iter().copied().collect();
        samples.sort_unstable();
        let place = (samples.len() * 99 / 100).min(samples.len().saturating_sub(1));
        samples.get(place).filter(|_| samples.len() >= SAMPLES_MIN).map(|ns| Duration::from_nanos(*ns))
    }

    /// What the nodes tell is counted from nothing again.
    pub(super) fn begin_anew(&mut self) {
        (self.next, self.entries, self.entries_then, self.dropped) = (None, 0, 0, 0);
    }

    fn put_up(&mut self, now: Duration, transaction: Transaction, faces: Vec<Face>) {
        if let Some(ns) = transaction.commit_to_apply() {
            if self.commit_to_apply.len() == SAMPLES_MAX {
                self.commit_to_apply.pop_front();
            }
            self.commit_to_apply.push_back(ns);
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(name_of(&transaction));
        let among = (self.entries - self.entries_then).max(1);
        self.entries_then = self.entries;
        self.shown =
            Some(Shown { transaction, since: now, among, hindered: BTreeMap::new(), was_pinned: false, faces });
    }
}

fn name_of(transaction: &Transaction) -> (usize, u64, u64) {
    (transaction.origin, transaction.tag, transaction.began)
}

fn is_same(one: &Transaction, other: &Transaction) -> bool {
    name_of(one) == name_of(other)
}

/// Whether a write is rather shown than another: one that failed, waits, was hindered or forwarded.
fn weight(transaction: &Transaction, nodes: usize) -> u8 {
    let has_failed = transaction.ended.as_ref().is_none_or(|(_, why)| !why.is_empty());
    let is_incomplete = transaction.acks.len() + 1 < nodes;
    let is_forwarded = transaction.forward.sent.is_some();
    u8::from(has_failed) * 4 + u8::from(is_incomplete) * 2 + u8::from(is_forwarded)
}

/// Takes what the traces told.
pub fn take(state: &mut State, now: Duration, portion: Portion) {
    let nodes = state.nodes.len();
    let flow = &mut state.flow;
    let entries = portion.applied.iter().copied().max().unwrap_or(0);
    // Later losses show with the next write.
    let mut is_changed = flow.dropped == 0 && portion.dropped > 0;
    (flow.entries, flow.dropped) = (entries, portion.dropped);
    flow.clock_error_ns = portion.clock_error_ns;
    // An attached console may hear of members before it knows them.
    let is_known = |write: &Transaction| write.origin < nodes && write.leader.is_none_or(|leader| leader < nodes);
    for transaction in portion.writes.into_iter().filter(is_known) {
        flow.keep(&transaction);
        if let Some(shown) = flow.shown.as_mut().filter(|shown| is_same(&shown.transaction, &transaction)) {
            shown.transaction = transaction;
            is_changed = true;
            continue;
        }
        if flow.motion == Motion::Off && transaction.ended.is_none() {
            // It is shown when it has ended.
            continue;
        }
        let is_better =
            |next: &Transaction| is_same(next, &transaction) || weight(&transaction, nodes) >= weight(next, nodes);
        if flow.next.as_ref().is_none_or(is_better) && !flow.seen.contains(&name_of(&transaction)) {
            flow.next = Some(transaction);
        }
    }
    is_changed |= advance(state, now);
    is_changed |= hinder(state);
    if is_changed {
        state.version += 1;
    }
}

/// Shows the write that made an entry, from its beginning, until it is let go; whether it is still kept.
pub fn pin(state: &mut State, now: Duration, zxid: Zxid) -> bool {
    let flow = &state.flow;
    let made_it = |write: &Transaction| write.zxid == Some(zxid);
    let shown = flow.shown.clone().filter(|shown| made_it(&shown.transaction));
    let kept = || {
        let transaction = flow.kept.iter().find(|write| made_it(write))?.clone();
        let at = state.causes.console_time(transaction.began)?;
        let hindrance = |node| match state.marks.absence(node, at)? {
            Face::Paused => Some((node, Hindrance::Paused)),
            _ => Some((node, Hindrance::Down)),
        };
        let hindered = (0..state.nodes.len()).filter_map(hindrance).collect();
        // It is no news: what is counted of the others goes on.
        Some(Shown { transaction, since: now, among: 1, hindered, was_pinned: true, faces: Vec::new() })
    };
    let Some(shown) = shown.or_else(kept) else { return false };
    state.flow.shown = Some(Shown { since: now, was_pinned: true, ..shown });
    state.flow.is_pinned = true;
    true
}

/// Whether the next write waits and its time has come.
#[must_use]
pub fn is_due(state: &State, now: Duration) -> bool {
    state.flow.change_at().is_some_and(|at| at <= now)
}

/// Puts the next write up if it is time; whether it was.
pub fn advance(state: &mut State, now: Duration) -> bool {
    let flow = &mut state.flow;
    let is_due = flow.shown.is_none() || flow.change_at().is_some_and(|at| at <= now);
    let Some(next) = flow.next.take_if(|_| is_due) else { return false };
    let faces = state.nodes.iter().map(|node| node_face(state, node, now)).collect();
    state.flow.put_up(now, next, faces);
    hinder(state);
    state.version += 1;
    true
}

/// Notes why messages of the shown write did not arrive, as far as it is our doing or known from the processes. What was
/// noted stays, though it may be healed by now: the message was hindered then.
fn hinder(state: &mut State) -> bool {
    let nodes = state.nodes.len();
    // What holds a message up now did not hold up those of long ago.
    let Some(shown) = state.flow.shown.as_ref().filter(|shown| !shown.was_pinned) else { return false };
    let rows = shown.transaction.rows(nodes);
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| row.received.is_none()) {
        let (Lane::Node(from), Lane::Node(to)) = (row.from, row.to) else { continue };
        for node in [to, from] {
            let Some(process) = state.nodes.get(node).map(|node| &node.process) else { continue };
            if !process.lives() {
                found.push((node, Hindrance::Down));
            } else if process.desired == Desired::Paused {
                found.push((node, Hindrance::Paused));
            }
        }
        if state.faults.is_cut(from, to) {
            let follower = if shown.transaction.leader == Some(to) { from } else { to };
            found.push((follower, Hindrance::Cut));
        }
    }
    let Some(shown) = &mut state.flow.shown else { return false };
    let before = shown.hindered.len();
    for (node, hindrance) in found {
        shown.hindered.entry(node).or_insert(hindrance);
    }
    shown.hindered.len() != before
}
