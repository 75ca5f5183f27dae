//! Election: who should try to lead (rules E1 to E6).
//!
//! Nothing here is trusted by what follows: a wrong, lost or late vote costs time, never data (E5). Safety is
//! discovery's (D5) and the marker's.
//!
//! Invariants:
//! - A node votes only when everything it ever wrote is durable: no writer of an old epoch overlaps a new one (the
//!   drain rule), and its vote tells the truth about its log (E1).
//! - Within a round a node's vote only gets better.

use super::effects::{Effect, Event};
use super::message::{Candidate, Goodbye, Message, Reason, Standing, Vote};
use super::{Phase, Zab};
use crate::ids::{NodeId, Tick};
use std::collections::BTreeMap;

/// No honest round comes near: beyond it a round is not followed, so that counting on never overflows.
const ROUND_MAX: u64 = u64::MAX / 2;

/// The state of a node without a leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Looking {
    /// None until the log is drained.
    pub(super) vote: Option<Candidate>,
    /// The votes of others in this round.
    votes: BTreeMap<NodeId, Candidate>,
    /// When a quorum's agreement will have stood long enough (E4).
    settled_at: Option<Tick>,
    resend_at: Tick,
}

impl Looking {
    pub(super) fn next_deadline(&self) -> Tick {
        match self.vote {
            // Only the disk can move a node that drains.
            None => Tick(u64::MAX),
            Some(_) => self.resend_at.min(self.settled_at.unwrap_or(Tick(u64::MAX))),
        }
    }

    /// A connection is gone, and with it the vote that came by it.
    pub(super) fn forget(&mut self, peer: NodeId) {
        self.votes.remove(&peer);
        self.settled_at = None;
    }
}

impl Zab {
    /// Leaves whatever this node was doing and looks for a leader.
    pub(super) fn look(&mut self, reason: &'static str, effects: &mut Vec<Effect>) {
        effects.push(Effect::Trace(Event::Lost { leader: self.leader(), why: reason }));
        self.suspend(reason, effects);
        self.reject_what_waits(effects);
        if let Phase::Following(following) = &self.phase {
            let goodbye = Goodbye { reason: Reason::Left };
            self.send(following.leader, Message::Goodbye(goodbye), effects);
        }
        self.holdback.forget_held();
        self.round += 1;
        self.phase = Phase::Looking(Looking::default());
        self.trace_role(effects);
    }

    /// Casts the first vote of a round, for this node itself, once the log is drained.
    pub(super) fn begin_election_when_drained(&mut self, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Looking(looking) if looking.vote.is_none() && self.holdback.is_drained() => {
                self.round = self.round.max(1);
                self.vote_for(self.own_candidacy(), "own vote", effects);
            }
            _ => {}
        }
    }

    fn own_candidacy(&self) -> Candidate {
        Candidate { zxid: self.log.last_zxid(), node: self.config.me }
    }

    fn vote_for(&mut self, candidate: Candidate, why: &'static str, effects: &mut Vec<Effect>) {
        let resend_at = self.now.tick.after(self.config.timing.heartbeat);
        let Phase::Looking(looking) = &mut self.phase else { return };
        looking.vote = Some(candidate);
        looking.settled_at = None;
        looking.resend_at = resend_at;
        let Candidate { zxid, node } = candidate;
        effects.push(Effect::Trace(Event::Vote { round: self.round, candidate: node, zxid, why }));
        self.send_standing_to_all(effects);
        self.count_votes(effects);
    }

    pub(super) fn receive_vote(&mut self, peer: NodeId, vote: Vote, effects: &mut Vec<Effect>) {
        match (&self.phase, vote.standing) {
            // E3: only the leader itself says who leads. If the claim is stale, discovery will show.
            (Phase::Looking(looking), Standing::Leading) if looking.vote.is_some() => self.follow(peer, effects),
            (Phase::Looking(looking), Standing::Looking) if looking.vote.is_some() => {
                self.compare_votes(peer, &vote, effects);
            }
            (Phase::Looking(_), _) => {}
            (Phase::Following(following), Standing::Leading) if following.leader == peer => {
                self.greet_leader(effects);
            }
            (_, Standing::Looking) => self.send_standing(peer, effects),
            (_, _) => {}
        }
    }

    /// Rule E2.
    fn compare_votes(&mut self, peer: NodeId, vote: &Vote, effects: &mut Vec<Effect>) {
        if vote.round < self.round {
            self.send_standing(peer, effects);
            return;
        }
        // Whom this node cannot reach it cannot follow: to vote for it, and then to begin a new round for that reason,
        // would keep all others from ever agreeing.
        let reachable = vote.candidate.node == self.config.me || self.links.contains_key(&vote.candidate.node);
        if vote.round > self.round {
            self.round = vote.round.min(ROUND_MAX);
            let own = self.own_candidacy();
            if let Phase::Looking(looking) = &mut self.phase {
                looking.votes.clear();
                looking.vote = None;
                looking.votes.insert(peer, vote.candidate);
            }
            let better = reachable && vote.candidate > own;
            let why = if better { "a better vote in a later round" } else { "own vote in a later round" };
            self.vote_for(if better { vote.candidate } else { own }, why, effects);
            return;
        }
        let Phase::Looking(looking) = &mut self.phase else { return };
        let Some(mine) = looking.vote else { return };
        looking.votes.insert(peer, vote.candidate);
        if vote.candidate > mine && reachable {
            let why = if vote.candidate.zxid.epoch() > mine.zxid.epoch() {
                "higher epoch"
            } else if vote.candidate.zxid > mine.zxid {
                "higher zxid"
            } else {
                "higher id"
            };
            self.vote_for(vote.candidate, why, effects);
        } else {
            // The peer may have missed mine: without an answer it would not learn of a better one.
            if vote.candidate < mine {
                self.send_standing(peer, effects);
            }
            self.count_votes(effects);
        }
    }

    /// Starts or ends the settling of an agreement (E4). At once if every member agrees.
    fn count_votes(&mut self, effects: &mut Vec<Effect>) {
        let everybody = self.config.ensemble.size();
        let all_met = self.met.len() + 1 == everybody;
        let timing = self.config.timing;
        // Those that have met everybody settle soon and follow. A candidate that started since and waits for a member
        // that is gone must lead before their patience is over, or they come and go for ever.
        let at_start = timing.settle_at_start.min(timing.follower_timeout / 2);
        let settle = if all_met { timing.settle } else { timing.settle.max(at_start) };
        let Phase::Looking(looking) = &mut self.phase else { return };
        let Some(mine) = looking.vote else { return };
        let agreeing = looking.votes.iter().filter(|(_, vote)| **vote == mine).map(|(peer, _)| *peer);
        let agreeing: Vec<NodeId> = agreeing.chain([self.config.me]).collect();
        if agreeing.len() == everybody {
            self.act_on_vote(mine, effects);
        } else if self.config.ensemble.contains_quorum(agreeing) {
            looking.settled_at.get_or_insert(self.now.tick.after(settle));
        } else {
            looking.settled_at = None;
        }
    }

    fn act_on_vote(&mut self, vote: Candidate, effects: &mut Vec<Effect>) {
        if vote.node == self.config.me {
            self.lead(effects);
        } else {
            self.follow(vote.node, effects);
        }
    }

    pub(super) fn looking_deadlines(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Looking(looking) = &self.phase else { return };
        let Some(vote) = looking.vote else { return };
        if looking.settled_at.is_some_and(|at| at <= self.now.tick) {
            self.act_on_vote(vote, effects);
        } else if looking.resend_at <= self.now.tick {
            let resend_at = self.now.tick.after(self.config.timing.heartbeat);
            if let Phase::Looking(looking) = &mut self.phase {
                looking.resend_at = resend_at;
            }
            self.send_standing_to_all(effects);
        }
    }

    pub(super) fn receive_goodbye(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Following(following) if following.leader == peer => {
                self.look("the leader said goodbye", effects);
            }
            Phase::Leading(leading) => leading.forget(peer),
            _ => {}
        }
    }

    /// Says goodbye and looks for a leader (rule B7).
    pub(super) fn abdicate(&mut self, reason: &'static str, effects: &mut Vec<Effect>) {
        // Whoever has left this node hears no refusals of it any more.
        self.reject_what_waits(effects);
        self.send_refusals(effects);
        let goodbye = Goodbye { reason: Reason::Abdicated };
        let peers: Vec<NodeId> = self.links.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.send(peer, Message::Goodbye(goodbye.clone()), effects));
        self.look(reason, effects);
    }
}
