//! Faults of links and disks that the person asked for: what, between whom, for how long.
//!
//! Invariants:
//! - Every fault is a lease: it ends by its time, by [`heal`], or with the console, whose connections to the nodes hold it.
//! - What is wanted of a node follows from the leases alone ([`Faults::wanted`]); the node's own words about its faults
//!   ([`Status::faults`](zw_core::wire::admin::Status)) are never taken for it.

use super::acts::{Undo, say};
use super::events::{Event, Level, Source};
use super::message::Effect;
use super::select::seconds;
use super::{Node, State, pause};
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use zw_core::ids::NodeId;
use zw_core::wire::admin::{Fault, FaultKind};

/// How long a fault lasts if nothing else is said.
pub const LEASE_TIME: Duration = Duration::from_secs(30);
/// The longest delay of a link or a disk.
pub const DELAY_MAX: Duration = Duration::from_secs(10);
/// Faults at a time.
const LEASES_MAX: usize = 16;
/// Ended faults that are remembered.
const PAST_MAX: usize = 50;
/// The time to live that a node is told of a lease without an end; it is renewed long before.
pub const ENDLESS_MS: u32 = 3_600_000;

/// What is wrong on purpose. Nodes are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// Nothing passes.
    Cut(Links),
    /// What passes is late.
    Slow(Links, Duration),
    /// Each fdatasync takes longer.
    SlowDisk(Vec<usize>, Duration),
    /// A process stands still. It is the console's supervisor that keeps it so, not a node.
    Pause(Member),
    /// What passes is late, and so many frames in a thousand are lost at first: they come when they are sent again.
    Lossy(Links, Duration, u32),
}

/// All links between two groups of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// One group.
    pub from: Vec<usize>,
    /// The other; nobody is in both.
    pub to: Vec<usize>,
    /// Whether only what goes from the first to the second is meant.
    pub is_one_way: bool,
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its number, from 1.
    pub id: u32,
    /// What.
    pub trouble: Trouble,
    /// Since when.
    pub since: Duration,
    /// Until when; none until it is healed.
    pub until: Option<Duration>,
}

/// The faults of the ensemble.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    active: Vec<Lease>,
    /// With the time at which each ended, oldest first.
    past: Vec<(Lease, Duration)>,
    last_id: u32,
}

impl Links {
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.from.iter().flat_map(|from| self.to.iter().map(move |to| (*from, *to)))
    }

    fn words(&self) -> String {
        let arrow = if self.is_one_way { ">" } else { "|" };
        format!("{}{arrow}{}", names(&self.from), names(&self.to))
    }
}

impl Trouble {
    /// As on the command line, without its time.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Trouble::Cut(links) => format!("cut {}", links.words()),
            Trouble::Slow(links, delay) => format!("slow {} {}ms", links.words(), delay.as_millis()),
            Trouble::Lossy(links, delay, loss) => format!("slow {} {}", links.words(), poor(*delay, *loss)),
            Trouble::SlowDisk(nodes, delay) => format!("slowdisk {} {}ms", names(nodes), delay.as_millis()),
            Trouble::Pause(member) => format!("pause {member}"),
        }
    }

    /// What it means for one node, if it concerns that; with the time that is `left`, first because rows are short.
    fn words_of(&self, node: usize, left: &str) -> Option<String> {
        let others = |links: &Links| match (links.from.contains(&node), links.to.contains(&node)) {
            (true, _) => Some(names(&links.to)),
            (_, true) => Some(names(&links.from)),
            _ => None,
        };
        match self {
            Trouble::Cut(links) if links.is_one_way && links.from.contains(&node) => {
                Some(format!("cut{left}: nothing to {}", names(&links.to)))
            }
            Trouble::Cut(links) if links.is_one_way && links.to.contains(&node) => {
                Some(format!("cut{left}: nothing from {}", names(&links.from)))
            }
            Trouble::Cut(links) => others(links).map(|others| format!("cut{left} from {others}")),
            Trouble::Slow(links, delay) => {
                others(links).map(|others| format!("{}ms late{left}: {others}", delay.as_millis()))
            }
            Trouble::Lossy(links, delay, loss) => {
                others(links).map(|others| format!("{} lost{left}: {others}", poor(*delay, *loss)))
            }
            Trouble::SlowDisk(nodes, delay) => {
                nodes.contains(&node).then(|| format!("disk +{}ms{left}", delay.as_millis()))
            }
            // The words of the process say it.
            Trouble::Pause(_) => None,
        }
    }

    /// What must be asked of each node for it, by kind and peer, with the delay in milliseconds or the loss.
    fn demands(&self) -> Vec<(usize, FaultKind, NodeId, u32)> {
        let mut demands = Vec::new();
        let mut ask = |node: usize, kind: FaultKind, peer: Option<usize>, amount: u32| {
            let peer = peer.and_then(|peer| u16::try_from(peer + 1).ok()).map_or(NodeId(0), NodeId);
            demands.push((node, kind, peer, amount));
        };
        let mut on_links = |links: &Links, kind: FaultKind, amount: u32| {
            for (from, to) in links.pairs().filter(|_| amount > 0) {
                ask(from, kind, Some(to), amount);
                if !links.is_one_way {
                    ask(to, kind, Some(from), amount);
                }
            }
        };
        match self {
            // At both ends: either may be killed, and come back without its fault, or be paused and not hear of it.
            Trouble::Cut(links) => {
                let (out, back) = match links.is_one_way {
                    true => (FaultKind::CutOut, FaultKind::CutIn),
                    false => (FaultKind::CutLink, FaultKind::CutLink),
                };
                for (from, to) in links.pairs() {
                    ask(from, out, Some(to), 0);
                    ask(to, back, Some(from), 0);
                }
            }
            Trouble::Slow(links, delay) => on_links(links, FaultKind::DelayLink, millis(*delay)),
            Trouble::Lossy(links, delay, loss) => {
                on_links(links, FaultKind::DelayLink, millis(*delay));
                on_links(links, FaultKind::LoseLink, *loss);
            }
            Trouble::SlowDisk(nodes, delay) => {
                nodes.iter().for_each(|node| ask(*node, FaultKind::SlowDisk, None, millis(*delay)));
            }
            Trouble::Pause(_) => {}
        }
        demands
    }

    /// The nodes that must be asked for it.
    #[must_use]
    pub fn nodes(&self) -> Vec<usize> {
        let mut nodes: Vec<usize> = self.demands().into_iter().map(|(node, ..)| node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    fn concerns(&self, member: Member) -> bool {
        match self {
            Trouble::Pause(paused) => *paused == member,
            _ => member.is_node() && self.words_of(member.index(), "").is_some(),
        }
    }
}

impl Lease {
    /// How long it still lasts, for a person.
    #[must_use]
    pub fn left(&self, now: Duration) -> String {
        self.until.map_or_else(|| "until healed".into(), |until| seconds_up(until.saturating_sub(now)))
    }
}

impl Faults {
    /// Those that last, oldest first.
    #[must_use]
    pub fn active(&self) -> &[Lease] {
        &self.active
    }

    /// Those that ended, with when, newest first.
    pub fn past(&self) -> impl Iterator<Item = &(Lease, Duration)> {
        self.past.iter().rev()
    }

    /// Those that last and those that ended after a time, the newest first.
    pub(super) fn recent(&self, ended_after: Duration) -> impl Iterator<Item = &Lease> {
        let past = self.past().filter(move |(_, ended)| *ended >= ended_after).map(|(lease, _)| lease);
        self.active.iter().rev().chain(past)
    }

    /// What a node must be asked for now. If two leases want the same of it, the longer and the slower one counts.
    #[must_use]
    pub fn wanted(&self, node: usize, now: Duration) -> Vec<Fault> {
        let mut wanted: BTreeMap<(FaultKind, NodeId), (u32, u32)> = BTreeMap::new();
        for lease in &self.active {
            let ttl_ms = match lease.until {
                None => ENDLESS_MS,
                Some(until) => millis(until.saturating_sub(now)).clamp(1, ENDLESS_MS),
            };
            for (_, kind, peer, amount) in lease.trouble.demands().into_iter().filter(|(whose, ..)| *whose == node) {
                let entry = wanted.entry((kind, peer)).or_default();
                *entry = (entry.0.max(ttl_ms), entry.1.max(amount));
            }
        }
        let fault = |((kind, peer), (ttl_ms, delay_ms))| Fault { kind, peer, delay_ms, ttl_ms, with_connection: true };
        wanted.into_iter().map(fault).collect()
    }

    /// What is wrong with a node on purpose, in words; and with others that it shares a link with.
    #[must_use]
    pub fn words_of(&self, node: usize, now: Duration) -> Option<String> {
        let mut words = self.active.iter().filter_map(|lease| {
            let left = lease.until.map_or_else(String::new, |_| format!(" {}", lease.left(now)));
            lease.trouble.words_of(node, &left)
        });
        let first = words.next()?;
        let more = words.count();
        Some(if more == 0 { format!("{first} (you)") } else { format!("{first} +{more} more (you)") })
    }

    /// Whether a node cannot reach enough others for a quorum of `members`.
    #[must_use]
    pub fn is_cut_off(&self, node: usize, members: usize) -> bool {
        let is_cut = |other: &usize| {
            self.active.iter().any(|lease| match &lease.trouble {
                Trouble::Cut(links) => links.pairs().any(|pair| pair == (node, *other) || pair == (*other, node)),
                Trouble::Slow(..) | Trouble::Lossy(..) | Trouble::SlowDisk(..) | Trouble::Pause(_) => false,
            })
        };
        let reached = (0..members).filter(|other| *other == node || !is_cut(other)).count();
        reached < members / 2 + 1
    }

    /// Whether nothing passes from one node to another.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.active.iter().any(|lease| match &lease.trouble {
            Trouble::Cut(links) => {
                links.pairs().any(|pair| pair == (from, to) || !links.is_one_way && pair == (to, from))
            }
            Trouble::Slow(..) | Trouble::Lossy(..) | Trouble::SlowDisk(..) | Trouble::Pause(_) => false,
        })
    }

    /// The pause of a process, if it has a time.
    #[must_use]
    pub fn pause_of(&self, member: Member) -> Option<&Lease> {
        self.active.iter().find(|lease| lease.trouble == Trouble::Pause(member))
    }

    pub(super) fn end(&mut self, now: Duration, ends: impl Fn(&Lease) -> bool) -> Vec<Lease> {
        let (ended, active): (Vec<Lease>, Vec<Lease>) = self.active.drain(..).partition(ends);
        self.active = active;
        self.past.extend(ended.iter().map(|lease| (lease.clone(), now)));
        let excess = self.past.len().saturating_sub(PAST_MAX);
        self.past.drain(..excess);
        ended
    }
}

/// Begins a fault; none for `lasts` means until it is healed.
pub fn begin(state: &mut State, now: Duration, trouble: Trouble, lasts: Option<Duration>) -> Vec<Effect> {
    match lease(state, now, trouble, lasts) {
        Ok(words) => {
            say(state, now, format!("{words}  (U undoes, H heals all)"), true);
            demand(state, now)
        }
        Err(reason) => {
            say(state, now, reason, false);
            Vec::new()
        }
    }
}

/// Notes a fault with its time, and how to undo it. Gives its words.
///
/// # Errors
/// There are too many already.
pub(super) fn lease(
    state: &mut State,
    now: Duration,
    trouble: Trouble,
    lasts: Option<Duration>,
) -> Result<String, String> {
    // The same again lasts longer, it does not become worse, nor one more.
    if state.faults.active.iter().filter(|lease| lease.trouble != trouble).count() >= LEASES_MAX {
        return Err(format!("{LEASES_MAX} faults are enough: H heals all of them"));
    }
    state.faults.active.retain(|lease| lease.trouble != trouble);
    state.faults.last_id += 1;
    let id = state.faults.last_id;
    let lease = Lease { id, trouble, since: now, until: lasts.map(|lasts| now + lasts) };
    let time = lasts.map_or_else(|| "until healed".to_owned(), |lasts| format!("for {}", seconds_up(lasts)));
    let words = format!("{} {time}", lease.trouble.words());
    state.faults.active.push(lease);
    note(state, now, Source::You, words.clone());
    state.remember(Undo::Fault(id));
    Ok(words)
}

/// Ends the faults that `ends` says; says so, or why not.
pub fn heal(state: &mut State, now: Duration, ends: impl Fn(&Lease) -> bool) -> Vec<Effect> {
    let ended = state.faults.end(now, ends);
    if ended.is_empty() {
        let words =
            if state.faults.active().is_empty() { "there are no faults" } else { "no such fault; faults shows all" };
        say(state, now, words.into(), true);
        return Vec::new();
    }
    let words: Vec<String> = ended.iter().map(|lease| lease.trouble.words()).collect();
    let text = format!("heal {}", words.join(", "));
    note(state, now, Source::You, text.clone());
    say(state, now, text, true);
    let mut effects = pause::go_on(state, now, &ended);
    effects.append(&mut demand(state, now));
    effects
}

/// Ends the faults that concern these.
pub fn heal_members(state: &mut State, now: Duration, members: &[Member]) -> Vec<Effect> {
    heal(state, now, |lease| members.iter().any(|member| lease.trouble.concerns(*member)))
}

/// Ends what has had its time. The nodes end it by themselves; who was paused must be told to go on.
pub fn expire(state: &mut State, now: Duration) -> Vec<Effect> {
    let ended = state.faults.end(now, |lease| lease.until.is_some_and(|until| until <= now));
    for lease in &ended {
        note(state, now, Source::Console, format!("{} has had its time", lease.trouble.words()));
    }
    pause::go_on(state, now, &ended)
}

/// The next time at which the age of a fault on the screen is another.
#[must_use]
pub fn next_change(state: &State, now: Duration) -> Option<Duration> {
    let tick = |until: Duration| {
        let left = until.saturating_sub(now);
        let whole = Duration::from_secs(left.as_secs());
        until - if whole == left && !left.is_zero() { left - Duration::from_secs(1) } else { whole }
    };
    state.faults.active.iter().filter_map(|lease| lease.until.map(tick)).min()
}

/// What every node is asked for from now on.
fn demand(state: &mut State, now: Duration) -> Vec<Effect> {
    state.version += 1;
    (0..state.nodes.len()).map(|node| Effect::Faults { node, faults: state.faults.wanted(node, now) }).collect()
}

/// A node that was started anew knows nothing of its faults.
pub(super) fn begin_life(state: &State, now: Duration, node: usize) -> Option<Effect> {
    let faults = state.faults.wanted(node, now);
    (!faults.is_empty()).then_some(Effect::Faults { node, faults })
}

/// A node took what was asked of it, or did not.
pub fn on_set(state: &mut State, now: Duration, node: usize, refused: Option<&str>) {
    let Some(Node { member, process, .. }) = state.nodes.get(node) else { return };
    let (Some(reason), true) = (refused, process.can_work()) else { return };
    let text = format!("takes no faults now, it is asked again: {reason}");
    state.events.push(Event::new(now, Source::Member(*member), Level::Warning, text));
    state.version += 1;
}

fn note(state: &mut State, at: Duration, source: Source, text: String) {
    state.events.push(Event::new(at, source, Level::Info, text));
    state.version += 1;
}

fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(",")
}

/// A delay, if there is one, and a loss.
fn poor(delay: Duration, loss: u32) -> String {
    let delay = if delay.is_zero() { String::new() } else { format!("{}ms ", delay.as_millis()) };
    let tenths = if loss.is_multiple_of(10) { String::new() } else { format!(".{}", loss % 10) };
    format!("{delay}{}{tenths}%", loss / 10)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Rounded up: the last second is not "0s".
fn seconds_up(left: Duration) -> String {
    seconds(left + Duration::from_nanos(999_999_999))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn state() -> State {
        State::new((0..5).map(|node| format!("localhost:{}", 8080 + node)).collect(), Vec::new())
    }

    fn cut(from: &[usize], to: &[usize]) -> Trouble {
        Trouble::Cut(Links { from: from.to_vec(), to: to.to_vec(), is_one_way: false })
    }

    fn asked(effects: &[Effect], of: usize) -> Vec<(FaultKind, u16, u32)> {
        let faults = effects.iter().find_map(|effect| match effect {
            Effect::Faults { node, faults } if *node == of => Some(faults),
            _ => None,
        });
        let short = |fault: &Fault| (fault.kind, fault.peer.0, fault.ttl_ms);
        faults.map(|faults| faults.iter().map(short).collect()).unwrap_or_default()
    }

    #[test]
    fn both_ends_of_a_cut_are_asked_and_it_ends_by_its_time() {
        let mut state = state();
        let effects = begin(&mut state, SECOND, cut(&[0], &[1, 2]), Some(20 * SECOND));
        assert_eq!(asked(&effects, 0), [(FaultKind::CutLink, 2, 20_000), (FaultKind::CutLink, 3, 20_000)]);
        assert_eq!(asked(&effects, 1), [(FaultKind::CutLink, 1, 20_000)]);
        assert_eq!(asked(&effects, 4), []);
        assert_eq!(state.faults.words_of(2, 2 * SECOND).as_deref(), Some("cut 19s from n1 (you)"));
        assert_eq!(next_change(&state, 2 * SECOND), Some(3 * SECOND));
        expire(&mut state, 20 * SECOND);
        assert_eq!(state.faults.active().len(), 1);
        expire(&mut state, 21 * SECOND);
        assert!(state.faults.active().is_empty() && state.faults.wanted(0, 21 * SECOND).is_empty());
        assert_eq!(state.faults.past().count(), 1);
    }

    #[test]
    fn one_way_faults_and_delays_are_told_apart() {
        let one_way = Links { from: vec![0], to: vec![4], is_one_way: true };
        let mut state = state();
        let effects = begin(&mut state, SECOND, Trouble::Cut(one_way.clone()), None);
        assert_eq!(asked(&effects, 0), [(FaultKind::CutOut, 5, ENDLESS_MS)]);
        assert_eq!(asked(&effects, 4), [(FaultKind::CutIn, 1, ENDLESS_MS)]);
        let effects = begin(&mut state, SECOND, Trouble::Slow(one_way, 80 * SECOND / 1_000), Some(SECOND));
        assert_eq!(asked(&effects, 4), [(FaultKind::CutIn, 1, ENDLESS_MS)], "only the sender is late");
        assert_eq!(asked(&effects, 0).len(), 2);
        assert_eq!(state.faults.words_of(0, SECOND).as_deref(), Some("cut: nothing to n5 +1 more (you)"));
    }

    #[test]
    fn a_lossy_link_is_asked_of_who_sends_and_may_be_slow_too() {
        let mut state = state();
        let one_way = Links { from: vec![1], to: vec![4], is_one_way: true };
        let effects = begin(&mut state, SECOND, Trouble::Lossy(one_way.clone(), Duration::ZERO, 50), Some(SECOND));
        assert_eq!(asked(&effects, 1), [(FaultKind::LoseLink, 5, 1_000)]);
        assert_eq!(asked(&effects, 4), []);
        assert_eq!(state.faults.words_of(1, SECOND).as_deref(), Some("5% lost 1s: n5 (you)"));
        heal(&mut state, SECOND, |_| true);
        let both = Trouble::Lossy(Links { is_one_way: false, ..one_way }, Duration::from_millis(80), 5);
        assert_eq!(both.words(), "slow n2|n5 80ms 0.5%");
        let effects = begin(&mut state, SECOND, both, Some(SECOND));
        assert_eq!(asked(&effects, 4), [(FaultKind::DelayLink, 2, 1_000), (FaultKind::LoseLink, 2, 1_000)]);
        assert_eq!(state.faults.words_of(4, SECOND).as_deref(), Some("80ms 0.5% lost 1s: n2 (you)"));
    }

    #[test]
    fn two_leases_for_one_thing_are_one_demand_and_healing_one_leaves_the_other() {
        let mut state = state();
        begin(&mut state, SECOND, Trouble::SlowDisk(vec![1], 5 * SECOND / 1_000), Some(9 * SECOND));
        let effects = begin(&mut state, SECOND, Trouble::SlowDisk(vec![1, 2], 50 * SECOND / 1_000), Some(3 * SECOND));
        assert_eq!(asked(&effects, 1), [(FaultKind::SlowDisk, 0, 9_000)]);
        let effects = heal(&mut state, 2 * SECOND, |lease| lease.id == 1);
        assert_eq!(asked(&effects, 1), [(FaultKind::SlowDisk, 0, 2_000)]);
        assert_eq!(heal(&mut state, 2 * SECOND, |lease| lease.id == 1), []);
        assert!(asked(&heal_members(&mut state, 2 * SECOND, &[Member::Node(3)]), 1).is_empty());
    }

    #[test]
    fn who_cannot_reach_a_majority_is_cut_off() {
        let mut state = state();
        begin(&mut state, SECOND, cut(&[0, 1], &[2, 3, 4]), None);
        let cut_off: Vec<usize> = (0..5).filter(|node| state.faults.is_cut_off(*node, 5)).collect();
        assert_eq!(cut_off, [0, 1]);
    }

    #[test]
    fn faults_are_bounded_and_the_same_twice_is_one() {
        let mut state = state();
        for time in 1..=100 {
            begin(&mut state, SECOND * time, Trouble::SlowDisk(vec![1], Duration::from_millis(time.into())), None);
            begin(&mut state, SECOND * time, cut(&[0], &[1]), None);
            let count = state.faults.active().len();
            heal(&mut state, SECOND * time, |lease| lease.id % 3 == 0 && count == LEASES_MAX);
        }
        assert!(state.faults.active().len() <= LEASES_MAX && state.faults.past().count() <= PAST_MAX);
        let cuts = state.faults.active().iter().filter(|lease| matches!(lease.trouble, Trouble::Cut(_))).count();
        assert!(cuts <= 1);
    }
}
