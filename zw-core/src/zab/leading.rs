//! The leader's state and its deadlines; discovery, synchronisation and broadcast act on it.
//!
//! Invariants:
//! - Until `Established`, no record of the epoch exists; from then on the log ends with records of it.
//! - `followers` holds those that acknowledged the epoch, each on the link of its cursor.

use super::cursor::{Cursor, CursorState};
use super::effects::{Effect, Proposal, Rejection};
use super::message::{AckEpoch, ForwardReply, Heartbeat, Message};
use super::{Phase, Zab};
use crate::ids::{Epoch, NodeId, Tick, Zxid};
use crate::limits::TAGS_PER_FRAME_MAX;
use crate::log::record::Promise;
use std::collections::{BTreeMap, VecDeque};

/// The state of a leader, from its election on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leading {
    pub(super) stage: Stage,
    /// The promises of those that want to follow, as they said hello; this node's own is not among them.
    pub(super) hellos: BTreeMap<NodeId, Promise>,
    /// Who acknowledged the epoch; `None` for this node itself, whose log needs no comparing.
    pub(super) acks: BTreeMap<NodeId, Option<AckEpoch>>,
    pub(super) followers: BTreeMap<NodeId, Cursor>,
    /// When each member was last heard; survives its link.
    pub(super) heard: BTreeMap<NodeId, Tick>,
    pub(super) heartbeat_at: Tick,
    /// The last heartbeat round sent, and the last that each follower echoed.
    pub(super) round: u64,
    pub(super) echoed: BTreeMap<NodeId, u64>,
    /// Commands that came while the epoch was being raised.
    pub(super) waiting: VecDeque<(NodeId, Proposal)>,
    pub(super) waiting_bytes: usize,
    pub(super) barriers: super::barrier::Barriers,
    /// The epoch is not raised again before.
    pub(super) raise_after: Tick,
}

/// How far a leader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Gathers hellos of a quorum (D2).
    Gathering,
    /// Gathers promises to `epoch` (D3).
    Proposing { epoch: Epoch },
    /// Has appended its marker (D6).
    Established { epoch: Epoch },
}

impl Leading {
    pub(super) fn next_deadline(&self) -> Tick {
        self.heartbeat_at
    }

    pub(super) fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established { .. })
    }

    /// The entry up to which every follower was sent the log, or fetches a snapshot of it; none without followers.
    pub(super) fn least_sent(&self) -> Option<Zxid> {
        let needed = |cursor: &Cursor| match cursor.state {
            CursorState::Streaming => cursor.sent,
            CursorState::Snapshot { offered } => offered,
        };
        self.followers.values().map(needed).min()
    }

    /// A follower is gone.
    pub(super) fn forget(&mut self, peer: NodeId) {
        self.hellos.remove(&peer);
        self.acks.remove(&peer);
        self.followers.remove(&peer);
        self.echoed.remove(&peer);
        self.barriers.forget(peer);
    }

    /// The epoch being proposed or led.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self.stage {
            Stage::Gathering => None,
            Stage::Proposing { epoch } | Stage::Established { epoch } => Some(epoch),
        }
    }
}

impl Zab {
    /// Begins to lead: tells everybody, and waits for hellos.
    pub(super) fn lead(&mut self, effects: &mut Vec<Effect>) {
        let tick = self.now.tick;
        let heard = self.config.ensemble.others(self.config.me).map(|peer| (peer, tick)).collect();
        self.phase = Phase::Leading(Leading {
            stage: Stage::Gathering,
            hellos: BTreeMap::new(),
            acks: BTreeMap::new(),
            followers: BTreeMap::new(),
            heard,
            heartbeat_at: tick.after(self.config.timing.heartbeat),
            round: 0,
            echoed: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            barriers: super::barrier::Barriers::default(),
            raise_after: tick,
        });
        self.trace_role(effects);
        self.send_standing_to_all(effects);
        self.choose_epoch_when_gathered();
    }

    /// The leader's state; `peer` was heard now.
    pub(super) fn hear_follower(&mut self, peer: NodeId) -> Option<&mut Leading> {
        let tick = self.now.tick;
        match &mut self.phase {
            Phase::Leading(leading) => {
                leading.heard.insert(peer, tick);
                Some(leading)
            }
            _ => None,
        }
    }

    pub(super) fn leading_deadlines(&mut self, effects: &mut Vec<Effect>) {
        let tick = self.now.tick;
        let Phase::Leading(leading) = &mut self.phase else { return };
        if leading.heartbeat_at > tick {
            return;
        }
        leading.heartbeat_at = tick.after(self.config.timing.heartbeat);
        let timeout = self.config.timing.follower_timeout;
        let heard = leading.heard.iter().filter(|(_, heard)| heard.after(timeout) > tick).map(|(peer, _)| *peer);
        if !self.config.ensemble.contains_quorum(heard.chain([self.config.me])) {
            self.abdicate("the quorum is silent", effects);
            return;
        }
        self.raise_epoch_for_the_stuck();
        self.send_heartbeats(effects);
        self.tell_strangers(effects);
    }

    /// Who does not follow may not know who leads; and a connection that is dead at its other end shows only when
    /// something is sent.
    fn tell_strangers(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Leading(leading) = &self.phase else { return };
        let knows = |peer: &NodeId| leading.hellos.contains_key(peer) || leading.followers.contains_key(peer);
        let strangers: Vec<NodeId> = self.links.keys().copied().filter(|peer| !knows(peer)).collect();
        strangers.into_iter().for_each(|peer| self.send_standing(peer, effects));
    }

    /// Starts a new round of heartbeats.
    pub(super) fn send_heartbeats(&mut self, effects: &mut Vec<Effect>) {
        let commit = self.committed;
        let me = self.config.me;
        let Phase::Leading(leading) = &mut self.phase else { return };
        let Some(epoch) = leading.epoch() else { return };
        // D2: nobody hears of the epoch before this node's own promise to it is durable.
        if matches!(leading.stage, Stage::Proposing { .. }) && !leading.acks.contains_key(&me) {
            return;
        }
        leading.round += 1;
        let message = Message::Heartbeat(Heartbeat { epoch, round: leading.round, commit });
        let peers: Vec<NodeId> = leading.hellos.keys().chain(leading.followers.keys()).copied().collect();
        let mut sent = None;
        for peer in peers.into_iter().collect::<std::collections::BTreeSet<_>>() {
            debug_assert!(sent < Some(peer), "each follower gets one heartbeat a round");
            sent = Some(peer);
            self.send(peer, message.clone(), effects);
        }
    }

    /// Whatever waited in this node for the leader is refused: it was certainly not done.
    pub(super) fn reject_what_waits(&mut self, effects: &mut Vec<Effect>) {
        let me = self.config.me;
        match &mut self.phase {
            Phase::Looking(_) => {}
            Phase::Following(following) => {
                let barriers = std::mem::take(&mut following.barriers);
                Zab::reject(barriers, Rejection::NoQuorum, effects);
            }
            Phase::Leading(leading) => {
                let waiting = std::mem::take(&mut leading.waiting);
                let barriers = leading.barriers.take_of(me);
                for (peer, proposal) in waiting {
                    self.refuse(peer, proposal.tag, Rejection::NoQuorum, effects);
                }
                Zab::reject(barriers, Rejection::NoQuorum, effects);
            }
        }
    }

    /// Refuses a command or a barrier to whoever sent it: at once here, with the next flush at a follower.
    pub(super) fn refuse(&mut self, origin: NodeId, tag: u64, why: Rejection, effects: &mut Vec<Effect>) {
        if origin == self.config.me {
            effects.push(Effect::Reject { tag, why });
        } else {
            self.refusals.entry((origin, why)).or_default().push(tag);
        }
    }

    /// Tells the followers what was refused since the last flush.
    pub(super) fn send_refusals(&mut self, effects: &mut Vec<Effect>) {
        for ((peer, why), tags) in std::mem::take(&mut self.refusals) {
            for tags in tags.chunks(TAGS_PER_FRAME_MAX) {
                self.send(peer, Message::ForwardReply(ForwardReply { tags: tags.to_vec(), why }), effects);
            }
        }
    }

    /// Where the followers of an established leader are, itself included.
    pub(super) fn acknowledged(&self) -> Zxid {
        let Phase::Leading(leading) = &self.phase else { return Zxid::ZERO };
        let acked = leading.followers.iter().map(|(peer, cursor)| (*peer, cursor.acked));
        self.config.ensemble.acknowledged_by_quorum(acked.chain([(self.config.me, self.durable_zxid())]))
    }
}
