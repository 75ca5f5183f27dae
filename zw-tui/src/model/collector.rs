//! Puts what the nodes' traces tell into portions that the model can take: counts, a few whole writes, and what is rare.
//!
//! Invariants:
//! - Everything is bounded; what does not fit is counted as dropped.
//! - Counts are since the start, so that a portion that is lost with its counts loses nothing of them.
//! - What is rare (roles, votes, losses) is handed on until it was taken; it is what elections are put together from.

use super::transaction::{Transaction, index_of};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::limits::MEMBERS_MAX;
use zw_core::wire::admin::{TraceBatch, TraceEvent, TraceKind};

/// Between two portions.
pub const PORTION_NS: u64 = 33_000_000;
/// Events of a node that are kept to look back on.
pub const RECENT_MAX: usize = 4_096;
/// Writes that are followed at a time.
pub const TRACKED_MAX: usize = 8;
/// Writes that came in and have no answer yet, as far as they are remembered.
pub const OPEN_MAX: usize = 512;
/// Ended writes among which the most telling is chosen.
pub const ENDED_MAX: usize = 256;
/// Epochs whose last commit is told.
const EPOCHS_MAX: usize = 4;
/// What is rare, in one portion.
pub const RARE_MAX: usize = 1_024;
/// Between two portions that have nothing but counts and watches that fired.
const FIRED_NS: u64 = 200_000_000;
/// Paths whose watches fired, in one portion.
const FIRED_MAX: usize = 64;
/// After its answer a write is given so long for the acknowledgements of slower followers, and for the nodes to tell.
const SETTLE_NS: u64 = 80_000_000;
/// An ended write may be chosen for so long.
const CHOICE_TIME_NS: u64 = 2_000_000_000;
/// A write without an answer for so long is worth a look.
const OVERDUE_NS: u64 = 300_000_000;
/// Between two writes that are followed: more than a person can look at.
const CHOICE_NS: u64 = 600_000_000;
/// Between two portions that have nothing but counts: each of them is remembered.
const COUNTS_NS: u64 = 1_000_000_000;
/// A write is followed for so long after it came in.
const TRACK_NS: u64 = 30_000_000_000;

/// What one node told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which node, from 0.
    pub node: usize,
    /// What.
    pub event: TraceEvent,
}

/// What the traces told since the last portion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// The nodes' clock when it was made.
    pub now_ns: u64,
    /// Entries that each node applied, as told since the console started.
    pub applied: Vec<u64>,
    /// Events that got lost on the way, and portions that were replaced.
    pub dropped: u64,
    /// Writes whose way is new or better known.
    pub writes: Vec<Transaction>,
    /// What is rare, in the order of arrival.
    pub rare: Vec<Told>,
    /// The last commit of the newest epochs, by the clock of the leader that made it.
    #[serde(default)]
    pub commits: BTreeMap<Epoch, u64>,
    /// What may be wrong with the times of nodes on other hosts, to both sides; zero if all share one clock.
    #[serde(default)]
    pub clock_error_ns: u64,
    /// Paths whose watches fired, with when.
    #[serde(default)]
    pub fired: Vec<(String, u64)>,
}

/// What is gathered of the nodes' traces.
#[derive(Clone, Debug)]
pub struct Collector {
    recent: Vec<VecDeque<TraceEvent>>,
    /// By origin and tag.
    open: BTreeMap<(usize, u64), TraceEvent>,
    ended: VecDeque<Ended>,
    tracked: VecDeque<(Transaction, bool)>,
    leader: Option<usize>,
    chosen_at: u64,
    portion_at: u64,
    portion: Portion,
    clock_errors: Vec<u64>,
    votes_seen: BTreeMap<(usize, NodeId), (Zxid, u64, String)>,
    is_changed: bool,
}

#[derive(Clone, Debug)]
struct Ended {
    node: usize,
    write: TraceEvent,
    zxid: Zxid,
    at: u64,
    has_failed: bool,
}

impl Collector {
    /// Of so many nodes, as far as is known; it learns of more.
    #[must_use]
    pub fn new(nodes: usize) -> Collector {
        Collector {
            recent: vec![VecDeque::new(); nodes],
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            tracked: VecDeque::new(),
            leader: None,
            chosen_at: 0,
            portion_at: 0,
            portion: Portion { applied: vec![0; nodes], ..Portion::default() },
            clock_errors: vec![0; nodes],
            votes_seen: BTreeMap::new(),
            is_changed: false,
        }
    }

    /// Takes what a node, counted from 0, told.
    pub fn take(&mut self, node: usize, batch: TraceBatch) {
        if node >= MEMBERS_MAX {
            return;
        }
        if node >= self.recent.len() {
            self.recent.resize(node + 1, VecDeque::new());
            self.portion.applied.resize(node + 1, 0);
            self.clock_errors.resize(node + 1, 0);
        }
        self.portion.dropped += batch.dropped;
        for event in batch.events {
            self.is_changed = true;
            if event.kind.is_frequent() {
                self.take_frequent(node, event);
            } else if self.is_news(node, &event) {
                if self.portion.rare.len() == RARE_MAX {
                    self.portion.rare.remove(0);
                    self.portion.dropped += 1;
                }
                self.portion.rare.push(Told { node, event });
            }
        }
    }

    /// Notes what may be wrong with a node's times.
    pub fn set_clock_error(&mut self, node: usize, error_ns: u64) {
        if let Some(error) = self.clock_errors.get_mut(node) {
            *error = error_ns;
        }
    }

    /// A node without a leader repeats its vote again and again; once says it all.
    fn is_news(&mut self, node: usize, event: &TraceEvent) -> bool {
        if event.kind != TraceKind::VoteReceived {
            return true;
        }
        let vote = (event.zxid, event.number, event.text.clone());
        self.votes_seen.insert((node, event.peer), vote.clone()) != Some(vote)
    }

    fn take_frequent(&mut self, node: usize, event: TraceEvent) {
        match event.kind {
            TraceKind::Write => {
                if self.open.len() == OPEN_MAX {
                    self.open.pop_first();
                }
                self.open.insert((node, event.number), event.clone());
            }
            TraceKind::Written => self.end(node, &event),
            TraceKind::Watch => {
                // A node that is older tells only how many fired.
                if !event.text.is_empty() && self.portion.fired.len() < FIRED_MAX {
                    self.portion.fired.push((event.text, event.monotonic_ns));
                }
                return;
            }
            TraceKind::Apply => self.portion.applied[node] += event.number,
            TraceKind::Commit => {
                let last = self.portion.commits.entry(event.zxid.epoch()).or_default();
                *last = event.monotonic_ns.max(*last);
                if self.portion.commits.len() > EPOCHS_MAX {
                    self.portion.commits.pop_first();
                }
            }
            TraceKind::Proposed => {
                self.leader = Some(node);
                self.learn_zxid(event.peer, event.number, event.zxid);
            }
            _ => {}
        }
        for (write, is_changed) in &mut self.tracked {
            *is_changed |= write.observe(node, &event);
        }
        let recent = &mut self.recent[node];
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(event);
    }

    fn end(&mut self, node: usize, event: &TraceEvent) {
        let Some(write) = self.open.remove(&(node, event.number)) else { return };
        if event.zxid != Zxid::ZERO
            && let Ok(origin) = u16::try_from(node + 1)
        {
            self.learn_zxid(NodeId(origin), event.number, event.zxid);
        }
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        let (zxid, at, has_failed) = (event.zxid, event.monotonic_ns, !event.text.is_empty());
        self.ended.push_back(Ended { node, write, zxid, at, has_failed });
    }

    /// A write that is followed already has got its place in the log.
    fn learn_zxid(&mut self, origin: NodeId, tag: u64, zxid: Zxid) {
        let is_it = |write: &Transaction| Some(write.origin) == index_of(origin) && write.tag == tag;
        for (write, is_changed) in self.tracked.iter_mut().filter(|(write, _)| is_it(write) && write.zxid.is_none()) {
            write.zxid = Some(zxid);
            look_back(&self.recent, write);
            *is_changed = true;
        }
    }

    /// Whether [`Collector::portion`] has something to tell at `now_ns`, or will have by itself.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.is_changed || !self.ended.is_empty() || !self.open.is_empty()
    }

    /// What was told since the last time; none if there is nothing new.
    pub fn portion(&mut self, now_ns: u64) -> Option<Portion> {
        self.choose(now_ns);
        self.tracked.retain(|(write, is_changed)| *is_changed || write.began + TRACK_NS > now_ns);
        let has_writes = self.tracked.iter().any(|(_, is_changed)| *is_changed);
        let between = if self.portion.fired.is_empty() { COUNTS_NS } else { FIRED_NS };
        let is_time = self.is_changed && self.portion_at + between <= now_ns;
        if !(has_writes || is_time || !self.portion.rare.is_empty()) {
            return None;
        }
        (self.is_changed, self.portion_at) = (false, now_ns);
        let mut portion = self.portion.clone();
        portion.now_ns = now_ns;
        // A message has two ends, so both errors count.
        portion.clock_error_ns =
            self.clock_errors.iter().sum::<u64>().min(2 * self.clock_errors.iter().max().copied().unwrap_or(0));
        portion.rare = std::mem::take(&mut self.portion.rare);
        self.portion.fired.clear();
        for (write, is_changed) in &mut self.tracked {
            if std::mem::take(is_changed) {
                portion.writes.push(write.clone());
            }
        }
        Some(portion)
    }

    /// A portion that nobody took: what it has of lasting value goes into the next.
    pub fn take_back(&mut self, portion: Portion) {
        self.is_changed = true;
        self.portion.dropped += 1;
        let mut rare = portion.rare;
        rare.append(&mut self.portion.rare);
        let surplus = rare.len().saturating_sub(RARE_MAX);
        self.portion.rare = rare.split_off(surplus);
        for (write, is_changed) in &mut self.tracked {
            *is_changed |= portion.writes.iter().any(|lost| (lost.origin, lost.tag) == (write.origin, write.tag));
        }
    }

    /// Begins to follow the most telling of the writes that ended, and the oldest that waits for too long.
    fn choose(&mut self, now_ns: u64) {
        if self.chosen_at + CHOICE_NS > now_ns {
            return;
        }
        self.ended.retain(|ended| ended.at + CHOICE_TIME_NS > now_ns);
        let settled = self.ended.iter().enumerate().filter(|(_, ended)| ended.at + SETTLE_NS <= now_ns);
        let best = settled.max_by_key(|(_, ended)| weight(ended, self.leader)).map(|(place, _)| place);
        let best = best.and_then(|place| self.ended.remove(place));
        let is_tracked = |tracked: &VecDeque<(Transaction, bool)>, node: usize, tag: u64| {
            tracked.iter().any(|(write, _)| (write.origin, write.tag) == (node, tag))
        };
        if best.is_some() {
            self.chosen_at = now_ns;
        }
        if let Some(Ended { node, write, zxid, .. }) = best
            && !is_tracked(&self.tracked, node, write.number)
        {
            // One whose outcome is not known may have got a place in the log all the same.
            let zxid = Some(zxid).filter(|zxid| *zxid != Zxid::ZERO).or_else(|| self.zxid_of(node, write.number));
            self.track(Transaction::new(node, &write, zxid));
        }
        self.open.retain(|_, write| write.monotonic_ns + TRACK_NS > now_ns);
        let overdue = self.open.iter().filter(|(_, write)| write.monotonic_ns + OVERDUE_NS <= now_ns);
        let overdue = overdue.filter(|((node, tag), _)| !is_tracked(&self.tracked, *node, *tag));
        if let Some(((node, _), write)) = overdue.min_by_key(|(_, write)| write.monotonic_ns) {
            let write = Transaction::new(*node, write, self.zxid_of(*node, write.number));
            self.track(write);
        }
    }

    /// The entry that a write got, if the leader told.
    fn zxid_of(&self, origin: usize, tag: u64) -> Option<Zxid> {
        let is_it = |event: &&TraceEvent| {
            event.kind == TraceKind::Proposed && index_of(event.peer) == Some(origin) && event.number == tag
        };
        self.recent.iter().flatten().find(is_it).map(|event| event.zxid)
    }

    fn track(&mut self, mut write: Transaction) {
        look_back(&self.recent, &mut write);
        if self.tracked.len() == TRACKED_MAX {
            self.tracked.pop_front();
        }
        self.tracked.push_back((write, true));
    }
}

/// Takes what the nodes told before the write was followed.
fn look_back(recent: &[VecDeque<TraceEvent>], write: &mut Transaction) {
    for (node, events) in recent.iter().enumerate() {
        for event in events {
            write.observe(node, event);
        }
    }
}

/// Which of several writes is worth to be shown: one that failed, else a slow one, forwarded ones before others.
fn weight(ended: &Ended, leader: Option<usize>) -> (bool, u64) {
    let took = ended.at.saturating_sub(ended.write.monotonic_ns);
    let is_forwarded = leader.is_some_and(|leader| leader != ended.node);
    (ended.has_failed, if is_forwarded { took.saturating_mul(2) } else { took })
}
