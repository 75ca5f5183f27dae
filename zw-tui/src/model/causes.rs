//! Why leaders were lost, as far as it is our doing or known from their processes; and what the traces' news mean for the
//! person.

use super::acts::say;
use super::collector::Portion;
use super::election::Election;
use super::faults::{Lease, Trouble};
use super::select::Face;
use super::{Desired, Observed, State, flow};
use crate::member::Member;
use crate::supervisor::Asked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use zw_core::ids::Epoch;

/// Long after a loss everything may have another cause.
const CAUSE_TIME: Duration = Duration::from_secs(3);
/// Causes that are remembered.
const CAUSES_MAX: usize = 2 * super::election::ELECTIONS_MAX;

/// Why leaders were lost, by the leader (counted from 0) and its epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Causes {
    known: BTreeMap<(Epoch, usize), Cause>,
    /// When the leader of each epoch was last in touch with a quorum, as its answers told.
    #[serde(default)]
    contacts: BTreeMap<Epoch, Duration>,
    /// The last commit of each epoch that the traces told of, on the nodes' clock.
    #[serde(default)]
    commits: BTreeMap<Epoch, u64>,
    /// The newest election that the person was told of.
    told: Option<Epoch>,
    /// A time of the console and the nodes' clock then.
    clock: Option<(Duration, u64)>,
}

/// Why a leader was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In words.
    pub words: String,
    /// What the leader was from then on.
    pub face: Face,
    /// When that was, on the nodes' clock; within the time that a message takes to the screen.
    pub at: Option<u64>,
}

impl Causes {
    /// Why the leader before an election was lost, if that is known.
    #[must_use]
    pub fn of(&self, election: &Election) -> Option<&Cause> {
        let (leader, epoch) = election.before?;
        self.known.get(&(epoch, leader))
    }

    /// The time of the console at a time of the nodes.
    #[must_use]
    pub fn console_time(&self, ns: u64) -> Option<Duration> {
        let (at, now_ns) = self.clock?;
        (at + Duration::from_nanos(ns.saturating_sub(now_ns)))
            .checked_sub(Duration::from_nanos(now_ns.saturating_sub(ns)))
    }

    /// Notes that the leader of an epoch was in touch with a quorum.
    pub(super) fn note_contact(&mut self, epoch: Epoch, at: Duration) {
        let last = self.contacts.entry(epoch).or_insert(at);
        *last = at.max(*last);
        if self.contacts.len() > CAUSES_MAX {
            self.contacts.pop_first();
        }
    }

    /// Notes the last commits of epochs.
    fn note_commits(&mut self, commits: &BTreeMap<Epoch, u64>) {
        for (epoch, at) in commits {
            let last = self.commits.entry(*epoch).or_insert(*at);
            *last = (*at).max(*last);
        }
        while self.commits.len() > CAUSES_MAX {
            self.commits.pop_first();
        }
    }

    pub(super) fn last_contact(&self, epoch: Epoch) -> Option<u64> {
        self.nodes_time(*self.contacts.get(&epoch)?)
    }

    pub(super) fn last_commit(&self, epoch: Epoch) -> Option<u64> {
        self.commits.get(&epoch).copied()
    }

    fn nodes_time(&self, at: Duration) -> Option<u64> {
        let (then, now_ns) = self.clock?;
        let since = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        now_ns.checked_add(since(at.saturating_sub(then)))?.checked_sub(since(then.saturating_sub(at)))
    }
}

/// Takes what the traces told.
pub fn on_trace(state: &mut State, now: Duration, mut portion: Portion) {
    state.causes.clock = Some((now, portion.now_ns));
    // An attached console may hear of members before it knows how many there are.
    state.causes.note_commits(&portion.commits);
    state.elections.set_nodes(state.nodes.len().max(portion.applied.len()));
    let is_news = state.elections.take(std::mem::take(&mut portion.rare));
    find_cause(state, now);
    if is_news {
        state.version += 1;
        tell(state, now);
    }
    let ago = |at: u64| Duration::from_nanos(portion.now_ns.saturating_sub(at));
    let fired = std::mem::take(&mut portion.fired).into_iter().map(|(path, at)| (path, ago(at)));
    if state.fired.take(now, state.flow.motion, fired) {
        state.version += 1;
    }
    flow::take(state, now, portion);
}

/// Looks for the cause of the newest election, until one is found.
fn find_cause(state: &mut State, now: Duration) {
    let Some((election, before)) = state.elections.back(0).and_then(|newest| Some((newest, newest.before?))) else {
        return;
    };
    let (leader, epoch) = before;
    if state.causes.known.contains_key(&(epoch, leader)) {
        return;
    }
    let is_recent = state.causes.console_time(election.until()).is_none_or(|at| at + CAUSE_TIME >= now);
    let Some(node) = state.nodes.get(leader).filter(|_| is_recent) else { return };
    let (process, name) = (&node.process, node.member);
    let since = process.desired_since;
    let noticed = state.causes.console_time(election.began).unwrap_or(now);
    let fault = state
        .faults
        .recent(now.saturating_sub(CAUSE_TIME))
        .find(|lease| lease.since <= noticed && lease.concerns(name));
    let (words, face, at) = match &process.observed {
        Observed::Exited(exit, Asked::Nothing) => (format!("{name} ended: {exit} (not you)"), Face::Down, None),
        // It served until it ended, some time after the order.
        Observed::Exited(_, Asked::Stop) => (format!("{name} was stopped by you"), Face::Down, None),
        Observed::Exited(_, Asked::KillAfterGrace) => {
            (format!("{name} was stopped by you, and killed when it did not end"), Face::Down, None)
        }
        Observed::Exited(..) => (format!("{name} was killed by you"), Face::Down, Some(since)),
        _ if process.desired == Desired::Paused && since <= noticed => {
            (format!("{name} was paused by you"), Face::Paused, Some(since))
        }
        _ => match fault {
            Some(Lease { trouble: Trouble::Pause(_), since, .. }) => {
                (format!("{name} was paused by you"), Face::Paused, Some(*since))
            }
            Some(lease) => {
                (format!("{name} was cut off by you: {}", lease.trouble.words()), Face::Cut, Some(lease.since))
            }
            None => return,
        },
    };
    let at = at.and_then(|at| state.causes.nodes_time(at));
    if state.causes.known.len() == CAUSES_MAX {
        state.causes.known.pop_first();
    }
    state.causes.known.insert((epoch, leader), Cause { words, face, at });
    state.version += 1;
}

/// Offers the view of an election that is over. A message that waits for the person stays.
fn tell(state: &mut State, now: Duration) {
    let Some(election) = state.elections.back(0).filter(|election| election.before.is_some()) else { return };
    let (Some(epoch), Some(outage), Some((_, winner))) =
        (election.epoch(), state.causes.outage(election), election.won)
    else {
        return;
    };
    // What was over before the console looked is no news.
    let is_past = election.established.is_none_or(|(at, _)| state.causes.console_time(at).is_none());
    if state.causes.told >= Some(epoch) || is_past {
        return;
    }
    let text = format!("n{} leads epoch {epoch}, {} without writes: e shows the election", winner + 1, outage.short());
    state.causes.told = Some(epoch);
    if state.toast.as_ref().is_none_or(|toast| toast.until.is_some()) {
        say(state, now, text, true);
    }
}

/// A time as a person reads it.
#[must_use]
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{}us", ns / 1_000),
        1_000_000..100_000_000 => format!("{}.{}ms", ns / 1_000_000, ns % 1_000_000 / 100_000),
        100_000_000..10_000_000_000 => format!("{}ms", ns / 1_000_000),
        _ => format!("{}s", ns / 1_000_000_000),
    }
}

impl Lease {
    /// Whether it pauses a node or cuts links of it.
    fn concerns(&self, node: Member) -> bool {
        match &self.trouble {
            Trouble::Cut(links) => links.from.contains(&node.index()) || links.to.contains(&node.index()),
            Trouble::Pause(member) => *member == node,
            Trouble::Slow(..) | Trouble::Lossy(..) | Trouble::SlowDisk(..) => false,
        }
    }
}
