//! The follower: what it owes its leader, from the first hello to the last record.
//!
//! Invariants:
//! - Records are accepted only of the promised epoch and its leader, and only behind the last one (D3, S3).
//! - The watermark moves this node only once its log is known to be a prefix of the leader's (`Synchronised`).

use super::effects::{Effect, Event, FetchId};
use super::holdback::Held;
use super::message::{
    Ack, AckEpoch, Append, BarrierRequest, Digest, EpochEnd, Forward, ForwardReply, Heartbeat, HeartbeatAck, Hello,
    Message, SnapshotOffer, Truncate,
};
use super::{Phase, Zab};
use crate::ids::{EPOCH_MAX, Epoch, LinkId, NodeId, SessionId, Tick, Zxid};
use crate::limits::{APPEND_BYTES_MAX, BARRIERS_MAX, TAGS_PER_FRAME_MAX, TOUCHED_SESSIONS_MAX, WAITING_DIGESTS_MAX};
use crate::log::record::{Promise, Record, SnapshotId};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The state of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Following {
    pub(super) leader: NodeId,
    stage: Stage,
    /// When the leader is given up unless it is heard before.
    give_up_at: Tick,
    timeout: Duration,
    /// The end of the log that the last ack, sent or held, testifies to.
    ack_held: Zxid,
    touched: BTreeSet<SessionId>,
    /// Barriers wanted of the leader, and those of them that it has not been asked for yet.
    pub(super) barriers: BTreeSet<u64>,
    unasked: Vec<u64>,
    digests: VecDeque<Digest>,
}

/// How far a follower has come in the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Has found the leader, and waits for its epoch.
    Joining,
    /// Has promised; the log may hold what the leader does not have.
    Promised,
    /// Fetches a snapshot; at `retry_at` it asks the runtime again, after a failure. Only the outcome of `fetch` counts.
    Fetching { fetch: FetchId, zxid: Zxid, retry_at: Option<Tick> },
    /// The log is a prefix of the leader's.
    Synchronised,
}

/// Pause before a failed snapshot is fetched again.
const FETCH_RETRY: Duration = Duration::from_millis(200);

impl Following {
    pub(super) fn next_deadline(&self) -> Tick {
        match self.stage {
            Stage::Fetching { retry_at: Some(at), .. } => at.min(self.give_up_at),
            _ => self.give_up_at,
        }
    }

    pub(super) fn is_synchronised(&self) -> bool {
        self.stage == Stage::Synchronised
    }
}

impl Zab {
    /// Joins `leader` (rule D1).
    pub(super) fn follow(&mut self, leader: NodeId, effects: &mut Vec<Effect>) {
        let timeout = self.with_jitter(self.config.timing.follower_timeout);
        self.phase = Phase::Following(Following {
            leader,
            stage: Stage::Joining,
            give_up_at: self.now.tick.after(timeout),
            timeout,
            ack_held: Zxid::ZERO,
            touched: BTreeSet::new(),
            barriers: BTreeSet::new(),
            unasked: Vec::new(),
            digests: VecDeque::new(),
        });
        self.trace_role(effects);
        if self.links.contains_key(&leader) {
            self.greet_leader(effects);
        } else {
            self.look("no connection to the elected leader", effects);
        }
    }

    pub(super) fn greet_leader(&mut self, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Following(following) if following.stage == Stage::Joining => {
                let hello = Hello { promised: self.promise.epoch, to: self.promise.leader };
                self.send(following.leader, Message::Hello(hello), effects);
            }
            _ => {}
        }
    }

    /// The follower's state if `peer` is its leader; that leader was heard now.
    fn hear_leader(&mut self, peer: NodeId) -> Option<&mut Following> {
        let tick = self.now.tick;
        match &mut self.phase {
            Phase::Following(following) if following.leader == peer => {
                following.give_up_at = tick.after(following.timeout);
                Some(following)
            }
            _ => None,
        }
    }

    /// The same for what belongs to an epoch: only the promised one counts.
    fn hear_epoch(&mut self, peer: NodeId, epoch: Epoch) -> Option<&mut Following> {
        if self.promise != (Promise { epoch, leader: peer }) {
            return None;
        }
        self.hear_leader(peer).filter(|following| following.stage != Stage::Joining)
    }

    /// Rule D3.
    pub(super) fn receive_new_epoch(&mut self, peer: NodeId, epoch: Epoch, effects: &mut Vec<Effect>) {
        let promise = Promise { epoch, leader: peer };
        let acceptable = epoch > self.promise.epoch || promise == self.promise;
        if self.hear_leader(peer).is_none() {
            return;
        }
        if epoch.0 >= EPOCH_MAX {
            self.close(peer, "an epoch that cannot be", effects);
            return;
        }
        if !acceptable {
            // The leader learns of the later promise and goes above it (the stuck promise, 2.7).
            let hello = Hello { promised: self.promise.epoch, to: self.promise.leader };
            self.send(peer, Message::Hello(hello), effects);
            return;
        }
        // Each attempt to join answers once. A second answer would have the leader synchronise this node anew, from a log
        // that may have gone on, and been acknowledged, while it was on its way.
        let has_answered = !matches!(&self.phase, Phase::Following(following) if following.stage == Stage::Joining);
        if promise == self.promise && has_answered {
            return;
        }
        if promise != self.promise {
            self.write_promise(promise);
        }
        if let Phase::Following(following) = &mut self.phase {
            following.stage = Stage::Promised;
            following.ack_held = Zxid::ZERO;
            following.digests.clear();
        }
        let epoch_ends = self.log.newest_epoch_ends().iter().copied().map(EpochEnd).collect();
        let ack = AckEpoch { epoch, last_zxid: self.log.last_zxid(), epoch_ends };
        self.send_when_durable(peer, Message::AckEpoch(ack));
    }

    /// Rule S2: what the leader does not have is dropped.
    pub(super) fn receive_truncate(
        &mut self,
        peer: NodeId,
        link: LinkId,
        truncate: &Truncate,
        effects: &mut Vec<Effect>,
    ) {
        let Some(following) = self.hear_epoch(peer, truncate.epoch) else { return };
        let after = truncate.after;
        if following.stage != Stage::Promised || !self.log.contains(after) {
            let _ = link;
            self.close(peer, "a truncation out of place", effects);
            return;
        }
        assert!(after >= self.committed, "I8: the leader would truncate after {after}, below {}", self.committed);
        for entry in self.log.range(after, Zxid(u64::MAX)) {
            self.undelivered.entries -= 1;
            self.undelivered.bytes -= entry.record().len();
        }
        self.log.truncate(after);
        self.holdback.push(Record::Truncate { after });
        effects.push(Effect::Trace(Event::Truncated { after }));
    }

    /// Rule S2: this log ends before the leader's begins.
    pub(super) fn receive_snapshot_offer(&mut self, peer: NodeId, offer: &SnapshotOffer, effects: &mut Vec<Effect>) {
        let last = self.log.last_zxid();
        let Some(following) = self.hear_epoch(peer, offer.epoch) else { return };
        // What it may have acknowledged in this epoch it never gives up for a snapshot that may lack it.
        if following.is_synchronised() && offer.zxid < last {
            self.close(peer, "a snapshot of less than this node has", effects);
            return;
        }
        // S5: too far behind to serve; and what it proposed may lie inside the snapshot.
        self.suspend("this node is too far behind and fetches a snapshot", effects);
        self.fetch_snapshot(offer.zxid, effects);
    }

    fn fetch_snapshot(&mut self, zxid: Zxid, effects: &mut Vec<Effect>) {
        let Phase::Following(following) = &mut self.phase else { return };
        self.last_fetch = FetchId(self.last_fetch.0 + 1);
        let fetch = self.last_fetch;
        following.stage = Stage::Fetching { fetch, zxid, retry_at: None };
        effects.push(Effect::FetchSnapshot { fetch, peer: following.leader, zxid });
    }

    /// Rule S6: the snapshot's file is durable; now its record, then the ack.
    pub(super) fn snapshot_received(&mut self, fetched: FetchId, snapshot: SnapshotId, effects: &mut Vec<Effect>) {
        let retry_at = Some(self.now.tick.after(FETCH_RETRY));
        let (committed, promised) = (self.committed, self.promise.epoch);
        let Phase::Following(following) = &mut self.phase else {
            return effects.push(Effect::Discard { snapshot });
        };
        let (fetch, zxid) = match following.stage {
            Stage::Fetching { fetch, zxid, .. } if fetch == fetched => (fetch, zxid),
            _ => return effects.push(Effect::Discard { snapshot }),
        };
        // The peer that was asked may live in a later epoch by now. What this node has not promised it does not take
        // (I9); that peer leads it no more, which will show.
        if snapshot.zxid < zxid || snapshot.zxid <= committed || snapshot.zxid.epoch() > promised {
            following.stage = Stage::Fetching { fetch, zxid, retry_at };
            return effects.push(Effect::Discard { snapshot });
        }
        following.stage = Stage::Synchronised;
        self.log.reset(snapshot.zxid);
        self.undelivered = super::Load::default();
        self.snapshot = snapshot.zxid;
        self.committed = snapshot.zxid;
        self.delivered = snapshot.zxid;
        self.holdback.push(Record::Snapshot(snapshot));
        effects.push(Effect::Reset { snapshot });
    }

    pub(super) fn snapshot_failed(&mut self, failed: FetchId) {
        let retry = self.now.tick.after(FETCH_RETRY);
        if let Phase::Following(Following { stage: Stage::Fetching { fetch, retry_at, .. }, .. }) = &mut self.phase
            && *fetch == failed
        {
            *retry_at = Some(retry);
        }
    }

    /// Rules S3, S4, B4.
    pub(super) fn receive_append(&mut self, peer: NodeId, _: LinkId, append: Append, effects: &mut Vec<Effect>) {
        let last = self.log.last_zxid();
        let Some(following) = self.hear_epoch(peer, append.epoch) else { return };
        let contiguous = append.entries.iter().try_fold(append.previous, |previous, entry| {
            (previous.precedes(entry.zxid()) && entry.zxid().epoch() <= append.epoch).then(|| entry.zxid())
        });
        if append.previous != last || contiguous.is_none() || matches!(following.stage, Stage::Fetching { .. }) {
            self.close(peer, "records that do not follow the last one", effects);
            return;
        }
        following.stage = Stage::Synchronised;
        append.entries.into_iter().for_each(|entry| self.append_to_log(entry));
        self.learn_commit(append.commit);
    }

    /// Rule B4: the watermark, as far as this log reaches.
    fn learn_commit(&mut self, commit: Zxid) {
        let synchronised = matches!(&self.phase, Phase::Following(following) if following.is_synchronised());
        if synchronised {
            self.committed = self.committed.max(commit.min(self.log.last_zxid()));
        }
    }

    pub(super) fn receive_heartbeat(&mut self, peer: NodeId, heartbeat: &Heartbeat, effects: &mut Vec<Effect>) {
        let Heartbeat { epoch, round, commit } = *heartbeat;
        let Some(following) = self.hear_epoch(peer, epoch) else { return };
        let touched = std::mem::take(&mut following.touched).into_iter().collect();
        self.learn_commit(commit);
        self.send(peer, Message::HeartbeatAck(HeartbeatAck { epoch, round, touched }), effects);
    }

    /// Rule B2: one cumulative ack for all that this flush makes durable.
    pub(super) fn hold_ack(&mut self) {
        let last = self.log.last_zxid();
        let epoch = self.promise.epoch;
        let Phase::Following(following) = &mut self.phase else { return };
        if following.stage != Stage::Synchronised || following.ack_held == last {
            return;
        }
        following.ack_held = last;
        let leader = following.leader;
        if let Some(link) = self.links.get(&leader).copied() {
            let message = Message::Ack(Ack { epoch, zxid: last });
            self.holdback.hold(Held::Send { peer: leader, link, message });
        }
    }

    pub(super) fn receive_forward_reply(&mut self, peer: NodeId, reply: &ForwardReply, effects: &mut Vec<Effect>) {
        if let Some(following) = self.hear_leader(peer) {
            reply.tags.iter().for_each(|tag| {
                following.barriers.remove(tag);
            });
            Zab::reject(reply.tags.iter().copied(), reply.why, effects);
        }
    }

    /// Sends this node's clients' commands to the leader, in frames of bounded size.
    pub(super) fn forward(&mut self, proposals: Vec<super::effects::Proposal>, effects: &mut Vec<Effect>) {
        let Phase::Following(following) = &self.phase else { return };
        let leader = following.leader;
        let mut batch = Vec::new();
        let mut bytes = 0;
        for proposal in proposals {
            if bytes + proposal.payload.len() > APPEND_BYTES_MAX && !batch.is_empty() {
                let proposals = std::mem::take(&mut batch);
                self.send(leader, Message::Forward(Forward { proposals }), effects);
                bytes = 0;
            }
            bytes += proposal.payload.len();
            batch.push(proposal);
        }
        self.send(leader, Message::Forward(Forward { proposals: batch }), effects);
    }

    /// Notes sessions that are alive here, for the leader.
    pub(super) fn touched(&mut self, sessions: Vec<SessionId>, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Looking(_) => {}
            Phase::Following(following) => {
                let room = TOUCHED_SESSIONS_MAX.saturating_sub(following.touched.len());
                following.touched.extend(sessions.into_iter().take(room));
            }
            Phase::Leading(_) => effects.push(Effect::Touched { sessions }),
        }
    }

    pub(super) fn receive_digest(&mut self, peer: NodeId, digest: Digest) {
        if let Some(following) = self.hear_leader(peer)
            && following.is_synchronised()
        {
            following.digests.truncate(WAITING_DIGESTS_MAX - 1);
            following.digests.push_back(digest);
        }
    }

    /// Has the runtime compare the digests that it can compare now.
    pub(super) fn compare_digests(&mut self, effects: &mut Vec<Effect>) {
        let delivered = self.delivered;
        let Phase::Following(following) = &mut self.phase else { return };
        while let Some(Digest { zxid, digest }) = following.digests.pop_front_if(|digest| digest.zxid <= delivered) {
            effects.push(Effect::CompareDigest { zxid, digest });
        }
    }

    /// Notes a barrier for a client of this node.
    pub(super) fn want_barrier(&mut self, tag: u64, effects: &mut Vec<Effect>) {
        let Phase::Following(following) = &mut self.phase else { return };
        if following.barriers.len() >= BARRIERS_MAX {
            Zab::reject([tag], super::Rejection::Overloaded, effects);
            return;
        }
        following.barriers.insert(tag);
        following.unasked.push(tag);
    }

    /// Asks the leader for the barriers that came since the last flush.
    pub(super) fn ask_barriers(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Following(following) = &mut self.phase else { return };
        let leader = following.leader;
        let unasked = std::mem::take(&mut following.unasked);
        for tags in unasked.chunks(TAGS_PER_FRAME_MAX) {
            self.send(leader, Message::BarrierRequest(BarrierRequest { tags: tags.to_vec() }), effects);
        }
    }

    pub(super) fn following_deadlines(&mut self, effects: &mut Vec<Effect>) {
        let tick = self.now.tick;
        let Phase::Following(following) = &mut self.phase else { return };
        if following.give_up_at <= tick {
            let leader = following.leader;
            self.look("the leader is silent", effects);
            // Each attempt to join has a link of its own: an AckEpoch of this one that is still on its way must not be
            // taken for one of the next, or the leader would truncate what was synchronised between them.
            self.close(leader, "the leader is silent", effects);
        } else if let Stage::Fetching { zxid, retry_at: Some(at), .. } = following.stage
            && at <= tick
        {
            self.fetch_snapshot(zxid, effects);
        }
    }
}
