//! One write on its way through the ensemble, put together from what the nodes' traces tell.
//!
//! Invariants:
//! - Everything here was told by a node. What was not told is none, and is drawn so.
//! - Proposals, acknowledgements and watermarks are cumulative: what stands for an entry is the first one that reaches it.
//! - The earliest time counts for each fact, so that the order in which the nodes' traces come in does not matter.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::wire::admin::{TraceEvent, TraceKind};

/// A write. Nodes are counted from 0, times are nanoseconds of the clock that the nodes share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The node whose client sent it.
    pub origin: usize,
    /// That node's number for it.
    pub tag: u64,
    /// What it does.
    pub words: String,
    /// When it came in.
    pub began: u64,
    /// Its entry, once it has one.
    pub zxid: Option<Zxid>,
    /// Who gave it its place in the log, or was asked to.
    pub leader: Option<usize>,
    /// When it got its place in the log.
    pub proposed: Option<u64>,
    /// From the origin to the leader.
    pub forward: Hop,
    /// From the leader, by the follower.
    pub proposals: BTreeMap<usize, Hop>,
    /// To the leader, by the follower.
    pub acks: BTreeMap<usize, Hop>,
    /// When the leader's own log was durable so far.
    pub durable: Option<u64>,
    /// When a quorum had acknowledged it.
    pub committed: Option<u64>,
    /// The news of that, by the follower.
    pub commits: BTreeMap<usize, Hop>,
    /// When each node had applied it.
    pub applied: BTreeMap<usize, u64>,
    /// When its client was answered, and why it failed, or nothing.
    pub ended: Option<(u64, String)>,
}

/// A message's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// When it was sent.
    pub sent: Option<u64>,
    /// When it was received.
    pub received: Option<u64>,
}

/// One end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The client, whoever it is.
    Client,
    /// A node, counted from 0.
    Node(usize),
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// The client's request.
    Request,
    /// The write on its way to the leader.
    Forward,
    /// The leader's record.
    Proposal,
    /// The leader's own disk: an acknowledgement that needs no message.
    Durable,
    /// A follower's acknowledgement.
    Ack,
    /// The news of the commit.
    Commit,
    /// The answer to the client.
    Answer,
}

/// How an acknowledgement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// So many are there with it.
    Counts(usize),
    /// It made the quorum.
    Quorum(usize),
    /// The quorum was there already.
    Late,
}

/// One message of the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: MessageKind,
    /// Its sender.
    pub from: Lane,
    /// Its receiver.
    pub to: Lane,
    /// When it was sent; never after it was received.
    pub sent: u64,
    /// When it was received, if it is known to be.
    pub received: Option<u64>,
    /// For an acknowledgement that came in.
    pub tally: Option<Tally>,
}

impl Row {
    /// When it has its place among the others: an acknowledgement when it counts, anything else when it was sent.
    #[must_use]
    pub fn at(&self) -> u64 {
        if self.kind == MessageKind::Ack { self.received.unwrap_or(self.sent) } else { self.sent }
    }
}

impl Hop {
    fn sent_at(&mut self, at: u64) -> bool {
        set_min(&mut self.sent, at)
    }

    fn received_at(&mut self, at: u64) -> bool {
        set_min(&mut self.received, at)
    }

    /// Both ends, the first not after the second.
    fn ends(self) -> Option<(u64, Option<u64>)> {
        match (self.sent, self.received) {
            (Some(sent), received) => Some((sent, received.map(|received| received.max(sent)))),
            (None, Some(received)) => Some((received, Some(received))),
            (None, None) => None,
        }
    }
}

/// The earlier of two times; whether that is another one.
fn set_min(time: &mut Option<u64>, at: u64) -> bool {
    let is_news = time.is_none_or(|known| at < known);
    if is_news {
        *time = Some(at);
    }
    is_news
}

/// The node with this id, counted from 0.
#[must_use]
pub fn index_of(id: zw_core::ids::NodeId) -> Option<usize> {
    usize::from(id.0).checked_sub(1)
}

impl Transaction {
    /// A write that came in.
    #[must_use]
    pub fn new(origin: usize, write: &TraceEvent, zxid: Option<Zxid>) -> Transaction {
        Transaction {
            origin,
            tag: write.number,
            words: write.text.clone(),
            began: write.monotonic_ns,
            zxid,
            leader: None,
            proposed: None,
            forward: Hop::default(),
            proposals: BTreeMap::new(),
            acks: BTreeMap::new(),
            durable: None,
            committed: None,
            commits: BTreeMap::new(),
            applied: BTreeMap::new(),
            ended: None,
        }
    }

    /// Takes what a node told; whether that was news.
    pub fn observe(&mut self, node: usize, event: &TraceEvent) -> bool {
        let at = event.monotonic_ns;
        if at < self.began {
            return false;
        }
        let peer = index_of(event.peer);
        let is_own = node == self.origin;
        match event.kind {
            TraceKind::Forward if is_own && event.number >= self.tag => {
                self.leader = self.leader.or(peer);
                self.forward.sent_at(at)
            }
            TraceKind::ForwardReceived if peer == Some(self.origin) && event.number >= self.tag => {
                self.forward.received_at(at)
            }
            TraceKind::Written if is_own && event.number == self.tag => {
                let is_news = self.ended.is_none();
                self.ended = Some((at, event.text.clone()));
                is_news
            }
            _ if self.zxid.is_some_and(|zxid| event.zxid >= zxid) => self.observe_entry(node, peer, event),
            _ => false,
        }
    }

    fn observe_entry(&mut self, node: usize, peer: Option<usize>, event: &TraceEvent) -> bool {
        let at = event.monotonic_ns;
        match (event.kind, peer) {
            (TraceKind::Proposed, _) => {
                // The place is given once; a later event is of later entries, of a later leader perhaps.
                let is_news = set_min(&mut self.proposed, at);
                if is_news {
                    self.leader = Some(node);
                }
                is_news
            }
            (TraceKind::ProposalSent, Some(peer)) => self.proposals.entry(peer).or_default().sent_at(at),
            (TraceKind::ProposalReceived, _) => self.proposals.entry(node).or_default().received_at(at),
            (TraceKind::AckSent, _) => self.acks.entry(node).or_default().sent_at(at),
            (TraceKind::AckReceived, Some(peer)) => self.acks.entry(peer).or_default().received_at(at),
            (TraceKind::Durable, _) => set_min(&mut self.durable, at),
            (TraceKind::Commit, _) => set_min(&mut self.committed, at),
            (TraceKind::CommitSent, Some(peer)) => self.commits.entry(peer).or_default().sent_at(at),
            (TraceKind::CommitReceived, _) => self.commits.entry(node).or_default().received_at(at),
            (TraceKind::Apply, _) => {
                let mut applied = self.applied.get(&node).copied();
                let is_news = set_min(&mut applied, at);
                self.applied.extend(applied.map(|at| (node, at)));
                is_news
            }
            _ => false,
        }
    }

    /// Its messages in the order in which they were sent, acknowledgements as they count, in an ensemble of so many nodes.
    #[must_use]
    pub fn rows(&self, nodes: usize) -> Vec<Row> {
        let tallies = self.tallies(nodes);
        let mut rows = vec![Row {
            kind: MessageKind::Request,
            from: Lane::Client,
            to: Lane::Node(self.origin),
            sent: self.began,
            received: Some(self.began),
            tally: None,
        }];
        let mut add = |kind, from, to, ends: Option<(u64, Option<u64>)>, tally| {
            if let Some((sent, received)) = ends {
                rows.push(Row { kind, from, to, sent, received, tally });
            }
        };
        let leader = self.leader.map(Lane::Node);
        if let Some(leader) = leader {
            if leader != Lane::Node(self.origin) {
                add(MessageKind::Forward, Lane::Node(self.origin), leader, self.forward.ends(), None);
            }
            let durable = self.durable.map(|at| (at, Some(at)));
            add(MessageKind::Durable, leader, leader, durable, tallies.get(&None).copied());
            for (follower, hop) in self.followers(&self.proposals) {
                add(MessageKind::Proposal, leader, Lane::Node(follower), hop.ends(), None);
            }
            for (follower, hop) in self.followers(&self.acks) {
                let tally = tallies.get(&Some(follower)).copied();
                add(MessageKind::Ack, Lane::Node(follower), leader, hop.ends(), tally);
            }
            for (follower, hop) in self.followers(&self.commits) {
                add(MessageKind::Commit, leader, Lane::Node(follower), hop.ends(), None);
            }
        }
        if let Some((at, _)) = &self.ended {
            let ends = Some((*at, Some(*at)));
            add(MessageKind::Answer, Lane::Node(self.origin), Lane::Client, ends, None);
        }
        rows.sort_by_key(|row| (row.at(), row.kind, row.to, row.from));
        rows
    }

    fn followers<'a>(&'a self, hops: &'a BTreeMap<usize, Hop>) -> impl Iterator<Item = (usize, Hop)> + 'a {
        hops.iter().filter(|(node, _)| Some(**node) != self.leader).map(|(node, hop)| (*node, *hop))
    }

    /// How each acknowledgement counts, in the order in which the leader had them; its own disk is none.
    fn tallies(&self, nodes: usize) -> BTreeMap<Option<usize>, Tally> {
        let own = self.durable.map(|at| (at, None));
        let others = self.followers(&self.acks).filter_map(|(node, hop)| hop.received.map(|at| (at, Some(node))));
        let mut all: Vec<(u64, Option<usize>)> = own.into_iter().chain(others).collect();
        all.sort_unstable();
        let quorum = quorum(nodes);
        let tally = |count: usize| match count.cmp(&quorum) {
            std::cmp::Ordering::Less => Tally::Counts(count),
            std::cmp::Ordering::Equal => Tally::Quorum(count),
            std::cmp::Ordering::Greater => Tally::Late,
        };
        all.into_iter().zip(1..).map(|((_, who), count)| (who, tally(count))).collect()
    }

    /// The last time that is known of it.
    #[must_use]
    pub fn until(&self) -> u64 {
        let hops = [&self.proposals, &self.acks, &self.commits].into_iter().flat_map(|hops| hops.values());
        let hops = hops.chain([&self.forward]).flat_map(|hop| [hop.sent, hop.received]).flatten();
        let rest = [self.durable, self.committed, self.ended.as_ref().map(|(at, _)| *at)].into_iter().flatten();
        hops.chain(rest).max().unwrap_or(self.began).max(self.began)
    }

    /// From the commit to the last node's apply, of those that applied it.
    #[must_use]
    pub fn commit_to_apply(&self) -> Option<u64> {
        let last = self.applied.values().max()?;
        Some(last.saturating_sub(self.committed?))
    }

    /// The last acknowledgement that came in, and whose it is.
    #[must_use]
    pub fn slowest(&self) -> Option<(usize, u64)> {
        let acks = self.followers(&self.acks).filter_map(|(node, hop)| Some((node, hop.received?)));
        acks.max_by_key(|(node, at)| (*at, *node))
    }
}

/// How many of so many nodes are a quorum.
#[must_use]
pub fn quorum(nodes: usize) -> usize {
    nodes / 2 + 1
}
