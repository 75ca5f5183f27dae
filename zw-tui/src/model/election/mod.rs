//! Elections, put together from what the nodes' traces tell: who lost whom, who voted for whom and why, who won, and how
//! long nobody could write.
//!
//! Invariants:
//! - An election is the time between two leaderships: from the loss that left no quorum with the old leader to the moment
//!   at which the new one may commit.
//! - It is made anew from all events in the order of their times, so the order in which they come in does not matter.
//! - What no node told is left open, and said to be.

mod assemble;

use super::collector::Told;
use assemble::{assemble, span_of};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use zw_core::ids::{Epoch, Zxid};
use zw_core::wire::admin::TraceKind;

/// Elections that are remembered.
pub const ELECTIONS_MAX: usize = 16;
/// Events that are kept to put elections together from.
pub const EVENTS_MAX: usize = 4_096;
/// After its end an election is still followed for so long: followers come later.
const TAIL_NS: u64 = 5_000_000_000;

/// Followers of an election that was quick are waited for at least so long.
const FOLLOWERS_NS: u64 = 50_000_000;

/// What a node was, as its trace tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Looks for a leader.
    Looking,
    /// Follows, and is brought up to date.
    Syncing,
    /// Elected, and gathers its quorum.
    Elected,
    /// Leads.
    Leading,
    /// Follows.
    Following,
}

/// A stretch of a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What it was.
    pub stage: Stage,
    /// Since when.
    pub from: u64,
}

/// A vote that a node cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// When.
    pub at: u64,
    /// Who, counted from 0.
    pub node: usize,
    /// The election's round there.
    pub round: u64,
    /// For whom, counted from 0.
    pub candidate: usize,
    /// The last entry that the candidate has.
    pub zxid: Zxid,
    /// Why, in the node's words.
    pub why: String,
}

/// A loss of the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When.
    pub at: u64,
    /// Who lost it, counted from 0.
    pub node: usize,
    /// Why, in words.
    pub why: String,
}

/// How a follower was brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catch {
    /// When it began.
    pub at: u64,
    /// Who, counted from 0.
    pub node: usize,
    /// How, in the leader's words.
    pub how: String,
    /// The last entry that both had.
    pub from: Zxid,
    /// When it followed.
    pub done: Option<u64>,
}

/// One election.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Election {
    /// When the old leader was lost, or when the first was looked for.
    pub began: u64,
    /// The leader before and its epoch; none for the first election.
    pub before: Option<(usize, Epoch)>,
    /// Who lost it, first the first.
    pub losses: Vec<Loss>,
    /// What each node was, from shortly before on.
    pub lanes: Vec<Vec<Span>>,
    /// All votes, in their order.
    pub ballots: Vec<Ballot>,
    /// When each vote of another came in at the winner: by the voter, for whom.
    pub received: Vec<(u64, usize, usize)>,
    /// Who was elected, and when.
    pub won: Option<(u64, usize)>,
    /// When the winner could commit, with its epoch.
    pub established: Option<(u64, Epoch)>,
    /// How the followers were brought up to date.
    pub catches: Vec<Catch>,
    /// Who dropped entries, and what the last that stands is.
    pub truncated: Vec<(usize, Zxid)>,
    /// Whether nobody told how it began.
    pub is_partial: bool,
}

impl Election {
    /// The vote that each node had at the end, by the node.
    #[must_use]
    pub fn last_votes(&self) -> BTreeMap<usize, &Ballot> {
        self.ballots.iter().map(|ballot| (ballot.node, ballot)).collect()
    }

    /// How many votes each candidate had at the end, the most first.
    #[must_use]
    pub fn tally(&self) -> Vec<(usize, usize)> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for ballot in self.ballots.iter() {
            counts.entry(ballot.candidate).or_default();
        }
        for ballot in self.last_votes().values() {
            *counts.entry(ballot.candidate).or_default() += 1;
        }
        let mut tally: Vec<(usize, usize)> = counts.into_iter().collect();
        tally.sort_by_key(|(node, count)| (std::cmp::Reverse(*count), *node));
        tally
    }

    /// What a node was at a time, if that is known.
    #[must_use]
    pub fn stage_at(&self, node: usize, at: u64) -> Option<Stage> {
        let lane = self.lanes.get(node)?;
        lane.iter().take_while(|span| span.from <= at).last().map(|span| span.stage)
    }

    /// The last time that belongs to it: followers that came much later did not take part.
    #[must_use]
    pub fn until(&self) -> u64 {
        let Some((established, _)) = self.established else {
            let last = self.ballots.last().map(|ballot| ballot.at);
            return last.into_iter().chain(self.won.map(|(at, _)| at)).fold(self.began, u64::max);
        };
        let limit = established + (established - self.began).max(FOLLOWERS_NS);
        let done = self.catches.iter().filter_map(|catch| catch.done).filter(|done| *done <= limit);
        done.fold(established, u64::max)
    }

    /// What it is called by: the epoch before and the one after.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.established.map(|(_, epoch)| epoch)
    }
}

/// All elections that were seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Elections {
    nodes: usize,
    /// In the order of their times.
    events: Vec<Told>,
    /// Who led before the first of these events, and what everybody was.
    base: Base,
    finished: VecDeque<Election>,
    current: Vec<Election>,
}

/// Where the events begin.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Base {
    leadership: Option<(usize, Epoch)>,
    stages: BTreeMap<usize, Span>,
}

impl Elections {
    /// Of so many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Elections {
        Elections { nodes, ..Elections::default() }
    }

    /// Of so many nodes, as is known now.
    pub fn set_nodes(&mut self, nodes: usize) {
        self.nodes = nodes;
    }

    /// All elections, oldest first; the last one may not be over.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Election> {
        self.finished.iter().chain(&self.current)
    }

    /// The one that is so many before the newest.
    #[must_use]
    pub fn back(&self, count: usize) -> Option<&Election> {
        self.iter().rev().nth(count)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.finished.len() + self.current.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes what nodes told; whether an election is another by it.
    pub fn take(&mut self, told: Vec<Told>) -> bool {
        let concerns = |told: &Told| {
            matches!(
                told.event.kind,
                TraceKind::Role
                    | TraceKind::Vote
                    | TraceKind::VoteReceived
                    | TraceKind::Lost
                    | TraceKind::Link
                    | TraceKind::Sync
                    | TraceKind::Truncate
            )
        };
        let before = self.events.len();
        self.events.extend(told.into_iter().filter(concerns));
        if self.events.len() == before {
            return false;
        }
        self.events.sort_by_key(|told| (told.event.monotonic_ns, told.node, told.event.sequence));
        if self.events.len() > EVENTS_MAX {
            // Of a search for a leader without end the first rounds are of least use.
            self.events.drain(..self.events.len() - EVENTS_MAX);
        }
        let elections = assemble(self.nodes, &self.base, &self.events);
        let is_news = elections != self.current;
        self.current = elections;
        self.finish();
        is_news
    }

    /// Puts elections away that no later event can change.
    fn finish(&mut self) {
        let Some(newest) = self.events.last().map(|told| told.event.monotonic_ns) else { return };
        while let [_, second, ..] = self.current.as_slice()
            && second.began + TAIL_NS < newest
        {
            let end = second.began;
            self.base.leadership = second.before.or(self.base.leadership);
            let split = self.events.iter().position(|told| told.event.monotonic_ns >= end).unwrap_or(0);
            for told in self.events.drain(..split) {
                if let Some(span) = span_of(&told) {
                    self.base.stages.insert(told.node, span);
                }
            }
            if self.finished.len() == ELECTIONS_MAX {
                self.finished.pop_front();
            }
            self.finished.push_back(self.current.remove(0));
        }
    }
}
