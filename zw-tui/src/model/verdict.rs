//! Am I fine? One word, and why.

use super::broker::Order;
use super::faults::Trouble;
use super::replication::Divergence;
use super::sight::Freshness;
use super::time::Seen;
use super::{Desired, Node, Observed, State, broker};
use crate::member::Member;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::limits::REQUEST_DEADLINE;
use zw_core::wire::admin::{NodeRole, Status};

/// Entries that a follower may be behind before it counts as a fault.
const LAG_NOTICED: u64 = 1_000;

/// The one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// All members serve.
    Healthy,
    /// A quorum serves, something is missing.
    Degraded,
    /// Enough nodes live, none leads yet.
    Electing,
    /// We see too little to say.
    Unknown,
    /// Too few nodes live for a quorum.
    NoQuorum,
    /// Two nodes lead in one epoch: a defect.
    Split,
    /// Two nodes hold unlike trees at one zxid: a defect, or a damaged memory.
    Diverged,
}

impl Word {
    /// As it is printed.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Word::Healthy => "HEALTHY",
            Word::Degraded => "DEGRADED",
            Word::Electing => "ELECTING",
            Word::Unknown => "UNKNOWN",
            Word::NoQuorum => "NO QUORUM",
            Word::Split => "SPLIT?",
            Word::Diverged => "DIVERGED",
        }
    }
}

/// The verdict with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The word.
    pub word: Word,
    /// The leader that a quorum follows, as far as is seen.
    pub leader: Option<NodeId>,
    /// Members that serve: the leader and those that follow it.
    pub serving: usize,
    /// All members.
    pub members: usize,
    /// The newest epoch that anybody spoke of, also if that one is down by now; none if nobody has yet.
    pub epoch: Option<Epoch>,
    /// The newest commit that anybody knew of.
    pub committed: Option<Zxid>,
    /// Why it is not healthy, each with what to do.
    pub reasons: Vec<String>,
}

/// Judges the ensemble as it is seen at `now`.
#[must_use]
pub fn judge(state: &State, now: Duration) -> Verdict {
    let current: Vec<&Status> = state.nodes.iter().filter_map(|node| seen(node, now)).collect();
    let members = state.nodes.len();
    let quorum = members / 2 + 1;
    let leaders: Vec<&Status> = current.iter().copied().filter(|status| status.role == NodeRole::Leader).collect();
    let leader = leaders.iter().copied().max_by_key(|leader| leader.epoch);
    let serving = leader.map_or(0, |leader| current.iter().filter(|status| serves_under(status, leader)).count());
    let is_split = leaders.iter().filter(|other| leader.is_some_and(|leader| other.epoch == leader.epoch)).count() > 1;
    // At the very start nobody is missing: all are about to be started.
    let may_work = |node: &&Node| node.process.can_work() || node.process.observed == Observed::Unborn;
    let able = state.nodes.iter().filter(may_work).count();
    let word = if is_split {
        Word::Split
    } else if state.nodes.iter().any(|node| node.diverged.is_some()) {
        Word::Diverged
    } else if members == 0 {
        Word::Unknown
    } else if serving >= quorum {
        Word::Healthy
    } else if able < quorum {
        Word::NoQuorum
    } else if current.len() >= quorum {
        Word::Electing
    } else if current.is_empty() || current.iter().any(|status| status.role != NodeRole::Looking) {
        Word::Unknown
    } else {
        Word::NoQuorum
    };
    // Neither ever goes back: what was true when a node was last heard is the least that is true now.
    let known = || state.nodes.iter().filter_map(|node| node.sight.status.as_deref());
    let committed = known().map(|status| status.committed_zxid).max();
    let reasons = reasons(state, now, word, committed.unwrap_or(Zxid::ZERO));
    let word = if word == Word::Healthy && !reasons.is_empty() { Word::Degraded } else { word };
    Verdict {
        word,
        leader: leader.filter(|_| serving >= quorum).map(|leader| leader.node),
        serving,
        members,
        epoch: known().map(|status| status.epoch).max(),
        committed,
        reasons,
    }
}

/// The answer of a node that counts: fresh enough and of a process that can work.
fn seen(node: &Node, now: Duration) -> Option<&Status> {
    if node.process.can_work() { node.sight.current(now) } else { None }
}

fn serves_under(status: &Status, leader: &Status) -> bool {
    status.epoch == leader.epoch
        && (status.node == leader.node || (status.role == NodeRole::Follower && status.leader == leader.node))
}

/// What to do about it; nothing in a recording, in which nothing can be done.
fn advice(state: &State, words: &str) -> String {
    if state.time.seen == Seen::Replay { String::new() } else { format!(": {words}") }
}

fn reasons(state: &State, now: Duration, word: Word, committed: Zxid) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    let patience = REQUEST_DEADLINE.as_secs();
    match word {
        Word::Split => reasons.push("two nodes lead in one epoch: a defect, keep the data and report it".into()),
        Word::NoQuorum => {
            let missing = || state.nodes.iter().map(|node| &node.process).filter(|process| !process.can_work());
            let advice = if state.time.seen == Seen::Replay {
                ""
            } else if missing().any(|process| process.failure().is_none()) {
                "; R revives or resumes nodes"
            } else if missing().next().is_some() {
                "; mend what follows, then R starts a node again"
            } else {
                ""
            };
            reasons.push(format!("too few nodes for a quorum: writes are refused after {patience} s{advice}"));
        }
        Word::Electing => {
            reasons
                .push(format!("no leader with a quorum yet: writes wait for one, and are refused after {patience} s"));
        }
        Word::Unknown => reasons.push("too few nodes answer the console to say more".into()),
        // The nodes that differ say so below.
        Word::Diverged | Word::Healthy | Word::Degraded => {}
    }
    reasons.append(&mut defects(state));
    // What is wrong with an address says nothing of the ensemble, once that is known.
    if state.nodes.is_empty() {
        reasons.extend(state.stranger_words());
    }
    reasons.extend(state.nodes.iter().filter_map(difference));
    reasons.extend(state.nodes.iter().filter_map(|node| complaint(state, node, now, committed)));
    // A pause is told with whom it concerns.
    for lease in state.faults.active().iter().filter(|lease| !matches!(lease.trouble, Trouble::Pause(_))) {
        let time = lease.until.map_or_else(String::new, |_| format!(", {} more", lease.left(now)));
        reasons.push(format!("{} by you{time}{}", lease.trouble.words(), advice(state, "H heals all, U the newest")));
    }
    for broker in &state.brokers {
        if broker::order(state, broker, now) == Order::Differs {
            reasons.push(format!("{} shows other events than a broker at the same one: a defect", broker.member));
        }
        if let Some(failure) = broker.process.failure() {
            reasons.push(failure.words(broker.member));
            continue;
        }
        match &broker.process.observed {
            Observed::Exited(exit, _) => {
                reasons.push(format!("{} is down ({exit}){}", broker.member, advice(state, "R revives it")))
            }
            _ if broker.process.desired == Desired::Paused => {
                reasons.push(paused(state, broker.member, now));
            }
            _ => {}
        }
    }
    reasons
}

/// What the checks found: it stays, however well the ensemble is now.
#[must_use]
pub fn defects(state: &State) -> Vec<String> {
    let mut defects = Vec::new();
    if let Some(evidence) = state.loads.report().and_then(|report| report.first_violation.as_deref()) {
        let advice = "unless somebody else wrote below /zw-load this is a defect, keep the data and report it";
        defects.push(format!("the load's check failed: {evidence}: {advice}"));
    }
    if let Some(evidence) = state.measured.digests.first() {
        defects.push(format!("{evidence}: a defect, keep the data and report it"));
    }
    defects
}

/// What a node holds that others do not, if it does.
fn difference(node: &Node) -> Option<String> {
    let name = node.member;
    if let Some(Divergence { zxid, other }) = node.diverged {
        return Some(format!(
            "{name} DIVERGED: at {zxid} its tree is not that of n{other}, a defect or a damaged memory: = shows the \
             difference; keep both data directories and report it"
        ));
    }
    let (entries, they) = if node.forked == 1 { ("entry", "it") } else { ("entries", "them") };
    (node.forked > 0).then(|| {
        format!("{name} holds {} {entries} that the others went on without: it drops {they} when it joins", node.forked)
    })
}

fn paused(state: &State, member: Member, now: Duration) -> String {
    match state.faults.pause_of(member) {
        Some(lease) => format!("{member} is paused by you, {} more: P resumes it sooner", lease.left(now)),
        None => format!("{member} is paused by you until P resumes it"),
    }
}

/// What is wrong with a node, if something is.
fn complaint(state: &State, node: &Node, now: Duration, committed: Zxid) -> Option<String> {
    let name = node.member;
    let process = &node.process;
    if let Some(failure) = process.failure() {
        return Some(failure.words(name));
    }
    match &process.observed {
        Observed::Unborn => return Some(format!("{name} is not started yet")),
        Observed::Exited(exit, _) => return Some(format!("{name} is down ({exit}){}", advice(state, "R revives it"))),
        Observed::Stopping(_) => return Some(format!("{name} is stopping")),
        Observed::Failed(_) | Observed::Starting(_) | Observed::Running(_) | Observed::Foreign => {}
    }
    if process.desired == Desired::Paused {
        return Some(paused(state, name, now));
    }
    let Some(status) = node.sight.current(now) else {
        let reason = node.sight.silence.as_deref().unwrap_or("no answer yet");
        return Some(match node.sight.freshness(now) {
            Freshness::Never => match &node.sight.silence {
                Some(reason) if process.observed == Observed::Foreign => format!("{name} does not answer: {reason}"),
                _ => format!("{name} has not answered yet"),
            },
            _ => format!("{name} does not answer: {reason}"),
        });
    };
    let behind = status.committed_zxid.epoch() == committed.epoch()
        && committed.counter().saturating_sub(status.applied_zxid.counter()) > LAG_NOTICED;
    if status.disk_full {
        Some(format!("{name} has no disk space: make some, it goes on by itself"))
    } else if matches!(status.role, NodeRole::Looking) {
        Some(format!("{name} looks for a leader"))
    } else if matches!(status.role, NodeRole::Syncing) {
        Some(format!("{name} is being brought up to date"))
    } else if !status.faults.is_empty() && state.faults.words_of(name.index(), now).is_none() {
        Some(format!("{name} has faults: {}", status.faults.join(", ")))
    } else if behind {
        Some(format!("{name} is far behind"))
    } else {
        None
    }
}
