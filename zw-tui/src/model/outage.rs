//! How long nobody could write before a new leader served, and from which fact on that is counted.
//!
//! Invariants:
//! - The time ends when the new leader may commit. It begins with the last moment at which the old one could: with our own
//!   act, if it was that, or with the last commit if that came after.
//! - Of a loss that is not our doing only bounds are known: the first sign of it came after that moment, and the last
//!   commit and the last answer of the leader before it.

use super::causes::{Causes, time};
use super::election::Election;

/// How long nobody could write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// At least so long, in nanoseconds; exactly, but for the way of a message to the screen, if it was our own act.
    pub least_ns: u64,
    /// At most so long, if something bounds it; none of our own act.
    pub most_ns: Option<u64>,
    /// What the time is counted from.
    pub since: Since,
}

/// What the time is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Our own act.
    Act,
    /// The last commit of the leader that was lost, which came after what was noticed first.
    Commit,
    /// The first node that noticed, or the first connection that ended.
    Sign,
}

impl Outage {
    /// As a title has it.
    #[must_use]
    pub fn short(&self) -> String {
        let bound = if self.since == Since::Act { "about" } else { "at least" };
        format!("{bound} {}", time(self.least_ns))
    }

    /// Without its end, for a person: how long, and from when on.
    #[must_use]
    pub fn words(&self, causes: &Causes, election: &Election) -> String {
        let since = match (self.since, causes.of(election), election.losses.first()) {
            (Since::Act, Some(cause), _) => format!("since {}", cause.words),
            (Since::Commit, ..) => "since the last commit that was seen".to_owned(),
            (_, _, Some(loss)) => format!("since n{} noticed", loss.node + 1),
            _ => "since the first sign of it".to_owned(),
        };
        let most = self.most_ns.map_or_else(String::new, |most| {
            format!("; at most about {}, since the last sign of the leader before", time(most))
        });
        format!("{} ({since}{most})", self.short())
    }
}

impl Causes {
    /// How long nobody could write; none before the new leader serves, or if nobody led before.
    #[must_use]
    pub fn outage(&self, election: &Election) -> Option<Outage> {
        let ((end, _), (_, before)) = election.established.zip(election.before)?;
        let commit = self.last_commit(before).filter(|at| *at < end);
        // Some still wrote when others had noticed already.
        let (sign, since) = match commit.filter(|at| *at > election.began) {
            Some(at) => (at, Since::Commit),
            None => (election.began, Since::Sign),
        };
        if let Some(at) = self.of(election).and_then(|cause| cause.at).filter(|at| *at <= election.began) {
            let (at, since) = match commit.filter(|commit| *commit > at) {
                Some(commit) => (commit, Since::Commit),
                None => (at, Since::Act),
            };
            return Some(Outage { least_ns: end.saturating_sub(at), most_ns: None, since });
        }
        let last_sign = self.last_contact(before).into_iter().chain(commit).filter(|at| *at < sign).max();
        let most_ns = last_sign.map(|at| end.saturating_sub(at)).filter(|_| since == Since::Sign);
        Some(Outage { least_ns: end.saturating_sub(sign), most_ns, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::member::Member;
    use crate::model::State;
    use crate::model::collector::{Portion, Told};
    use crate::model::message::Msg;
    use crate::model::update::update;
    use crate::supervisor::{Change, Report};
    use std::collections::BTreeMap;
    use std::time::Duration;
    use zw_core::ids::{Epoch, NodeId, Zxid};
    use zw_core::wire::admin::{TraceEvent, TraceKind};

    const SECOND: u64 = 1_000_000_000;
    /// Of the nodes' clock when the console starts.
    const START: u64 = 100 * SECOND;

    fn told(node: usize, millis: u64, kind: TraceKind, peer: u16, epoch: u64, text: &str) -> Told {
        let (monotonic_ns, peer, text) = (START + millis * 1_000_000, NodeId(peer), text.to_owned());
        Told {
            node,
            event: TraceEvent { sequence: millis, monotonic_ns, kind, peer, zxid: Zxid::ZERO, number: epoch, text },
        }
    }

    /// Three nodes that run; n3 leads epoch 1 from 100 ms on, is not heard from 3 s on, and n2 leads from 4.05 s on.
    fn lost(act: Option<char>, commit_ms: u64) -> (State, Outage) {
        let mut state = State::new((0..3).map(|i| format!("127.0.0.1:{}", 8080 + i)).collect(), Vec::new());
        let at = Duration::from_millis;
        for number in 1..=3 {
            for change in [Change::Spawned { pid: 41_200 }, Change::Listening] {
                let member = Some(Member::Node(number));
                update(&mut state, at(0), Msg::Supervisor(Report { member, change }));
            }
        }
        let commits = BTreeMap::from([(Epoch(1), START + commit_ms * 1_000_000)]);
        let portion = |millis: u64, rare: Vec<Told>, state: &mut State| {
            let (now_ns, applied) = (START + millis * 1_000_000, vec![0; 3]);
            let portion = Portion { now_ns, rare, applied, commits: commits.clone(), ..Portion::default() };
            update(state, at(millis), Msg::Trace(Box::new(portion)));
        };
        portion(200, vec![told(2, 100, TraceKind::Role, 3, 1, "leader")], &mut state);
        state.causes.note_contact(Epoch(1), at(2_900));
        state.node = 2;
        if let Some(key) = act {
            update(&mut state, at(3_000), Msg::Key(Key::char(key)));
        }
        let silent = |node| told(node, 4_000, TraceKind::Lost, 3, 1, "silent");
        let vote = told(1, 4_001, TraceKind::Vote, 2, 2, "own vote");
        let won = [told(1, 4_020, TraceKind::Role, 2, 2, "syncing"), told(1, 4_050, TraceKind::Role, 2, 2, "leader")];
        portion(4_060, [silent(0), silent(1), vote].into_iter().chain(won).collect(), &mut state);
        let outage = state.causes.outage(state.elections.back(0).unwrap()).unwrap();
        (state, outage)
    }

    #[test]
    fn a_pause_counts_from_the_pause_and_not_from_when_it_was_noticed() {
        let (state, outage) = lost(Some('P'), 500);
        assert_eq!((outage.least_ns / 1_000_000, outage.most_ns, outage.since), (1_050, None, Since::Act));
        let words = outage.words(&state.causes, state.elections.back(0).unwrap());
        assert_eq!(words, "about 1050ms (since n3 was paused by you)");
        let toast = state.toast.unwrap().text;
        assert!(toast.contains("about 1050ms without writes"), "{toast}");
    }

    #[test]
    fn what_was_committed_after_our_act_is_what_the_time_is_counted_from() {
        let (state, outage) = lost(Some('P'), 3_500);
        assert_eq!((outage.least_ns, outage.most_ns, outage.since), (550_000_000, None, Since::Commit));
        let words = outage.words(&state.causes, state.elections.back(0).unwrap());
        assert_eq!(words, "at least 550ms (since the last commit that was seen)");
    }

    #[test]
    fn a_loss_that_is_not_ours_has_bounds() {
        let (state, outage) = lost(None, 500);
        assert_eq!((outage.least_ns, outage.most_ns), (50_000_000, Some(1_150_000_000)), "since it was heard at 2.9 s");
        assert_eq!(outage.short(), "at least 50.0ms");
        assert!(state.causes.of(state.elections.back(0).unwrap()).is_none());
        let (_, outage) = lost(None, 3_500);
        assert_eq!(outage.most_ns, Some(550_000_000), "it committed after it was heard last");
        let (_, outage) = lost(None, 4_030);
        assert_eq!((outage.least_ns, outage.most_ns, outage.since), (20_000_000, None, Since::Commit));
    }

    #[test]
    fn an_election_before_the_console_is_not_announced() {
        let (mut state, _) = lost(None, 500);
        let told = state.toast.take().unwrap().text;
        assert!(told.contains("leads epoch 2"), "{told}");
        // The same to a console that came five seconds later.
        let events = state.elections.clone();
        let mut late = State::new(state.nodes.iter().map(|node| node.address.clone()).collect(), Vec::new());
        late.elections = events;
        let portion = Portion { now_ns: START + 9 * SECOND, applied: vec![0; 3], ..Portion::default() };
        let rare = vec![told_late()];
        update(&mut late, Duration::from_secs(2), Msg::Trace(Box::new(Portion { rare, ..portion })));
        assert!(late.toast.is_none(), "{:?}", late.toast);
    }

    /// A follower that comes back after the election.
    fn told_late() -> Told {
        told(0, 4_500, TraceKind::Role, 2, 2, "follower")
    }

    #[test]
    fn what_nobody_told_is_not_made_up() {
        let (mut state, _) = lost(None, 0);
        state.causes = Causes::default();
        let outage = state.causes.outage(state.elections.back(0).unwrap()).unwrap();
        assert_eq!((outage.least_ns, outage.most_ns, outage.since), (50_000_000, None, Since::Sign));
    }
}
