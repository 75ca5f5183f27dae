//! Read barriers (protocol.md 2.9): a zxid that is safe to read at, confirmed by a quorum.
//!
//! The leader notes its watermark, then a heartbeat round that begins after that must be echoed by a quorum: nobody
//! else can have committed anything before the round began. All barriers that come while a round is under way share
//! the next one. ZooKeeper answers `sync` without this (ZOOKEEPER-1675).
//!
//! Invariant: a barrier's zxid is noted only while the epoch's marker is committed; before, the watermark may be old.

use super::effects::{Effect, Rejection};
use super::message::{BarrierReply, Message};
use super::{Phase, Zab};
use crate::ids::{NodeId, Zxid};
use crate::limits::{BARRIERS_MAX, TAGS_PER_FRAME_MAX};
use std::collections::BTreeMap;

/// The barriers a leader has to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Barriers {
    /// For the next round: who asks, and its tag.
    fresh: Vec<(NodeId, u64)>,
    /// In the round under way.
    asked: Vec<(NodeId, u64)>,
    /// That round, and the watermark noted before it began.
    round: u64,
    zxid: Zxid,
}

impl Barriers {
    /// A follower is gone with its barriers.
    pub(super) fn forget(&mut self, peer: NodeId) {
        self.fresh.retain(|(origin, _)| *origin != peer);
        self.asked.retain(|(origin, _)| *origin != peer);
    }

    /// Takes the tags of one origin.
    pub(super) fn take_of(&mut self, origin: NodeId) -> Vec<u64> {
        let tags = self.fresh.iter().chain(&self.asked).filter(|(of, _)| *of == origin).map(|(_, tag)| *tag).collect();
        self.forget(origin);
        tags
    }

    /// A round of an earlier epoch proves nothing any more.
    pub(super) fn restart(&mut self) {
        self.fresh.append(&mut self.asked);
    }
}

impl Zab {
    /// A barrier for a client of this node.
    pub(super) fn read_barrier(&mut self, tag: u64, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Following(_) if self.serving => self.want_barrier(tag, effects),
            Phase::Leading(_) if self.serving => self.add_barrier(self.config.me, tag, effects),
            _ => Zab::reject([tag], Rejection::NoQuorum, effects),
        }
    }

    /// A barrier for a client of a follower.
    pub(super) fn receive_barrier_request(&mut self, peer: NodeId, tags: Vec<u64>, effects: &mut Vec<Effect>) {
        let takes = self.serving && self.hear_follower(peer).is_some();
        for tag in tags {
            if takes {
                self.add_barrier(peer, tag, effects);
            } else {
                self.refuse(peer, tag, Rejection::NoQuorum, effects);
            }
        }
    }

    fn add_barrier(&mut self, origin: NodeId, tag: u64, effects: &mut Vec<Effect>) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        if leading.barriers.fresh.len() >= BARRIERS_MAX {
            self.refuse(origin, tag, Rejection::Overloaded, effects);
            return;
        }
        leading.barriers.fresh.push((origin, tag));
    }

    /// Begins a round for what waits, unless one is under way.
    pub(super) fn begin_barrier_round(&mut self, effects: &mut Vec<Effect>) {
        let ready = self.is_up_to_date();
        let zxid = self.committed;
        let Phase::Leading(leading) = &mut self.phase else { return };
        if !ready || leading.barriers.fresh.is_empty() || !leading.barriers.asked.is_empty() {
            return;
        }
        leading.barriers.asked = std::mem::take(&mut leading.barriers.fresh);
        leading.barriers.zxid = zxid;
        leading.barriers.round = leading.round + 1;
        self.send_heartbeats(effects);
        self.complete_barriers(effects);
    }

    /// Answers the round under way once a quorum has echoed it.
    pub(super) fn complete_barriers(&mut self, effects: &mut Vec<Effect>) {
        let me = self.config.me;
        let Phase::Leading(leading) = &mut self.phase else { return };
        let round = leading.barriers.round;
        let echoed = leading.echoed.iter().filter(|(_, echoed)| **echoed >= round).map(|(peer, _)| *peer);
        if leading.barriers.asked.is_empty() || !self.config.ensemble.contains_quorum(echoed.chain([me])) {
            return;
        }
        let zxid = leading.barriers.zxid;
        let mut theirs: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        for (origin, tag) in std::mem::take(&mut leading.barriers.asked) {
            if origin == me {
                effects.push(Effect::Barrier { tag, zxid });
            } else {
                theirs.entry(origin).or_default().push(tag);
            }
        }
        for (origin, tags) in theirs {
            for tags in tags.chunks(TAGS_PER_FRAME_MAX) {
                self.send(origin, Message::BarrierReply(BarrierReply { tags: tags.to_vec(), zxid }), effects);
            }
        }
    }

    /// The leader's answer, at a follower.
    pub(super) fn receive_barrier_reply(&mut self, peer: NodeId, reply: &BarrierReply, effects: &mut Vec<Effect>) {
        let Phase::Following(following) = &mut self.phase else { return };
        if following.leader != peer {
            return;
        }
        for tag in reply.tags.iter().copied().filter(|tag| following.barriers.remove(tag)) {
            effects.push(Effect::Barrier { tag, zxid: reply.zxid });
        }
    }
}
