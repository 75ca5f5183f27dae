//! Broadcast at the leader: commands become records, records go to everybody, a quorum commits (rules B1 to B7).
//!
//! Invariants:
//! - Only records of the leader's own epoch are committed by counting; older ones ride along (B3).
//! - The leader's own disk is one vote of the quorum, not a condition (B3).

use super::effects::{Effect, Event, Proposal, Rejection};
use super::leading::{Leading, Stage};
use super::message::{Ack, Append, HeartbeatAck, Message};
use super::{Cursor, CursorState, Phase, Zab};
use crate::ids::{Epoch, LinkId, NodeId, Zxid};
use crate::limits::{APPEND_BYTES_MAX, COMMAND_BYTES_MAX, UNCOMMITTED_BYTES_MAX};
use crate::log::record::Entry;

impl Zab {
    /// Commands of this node's own clients.
    pub(super) fn propose(&mut self, proposals: Vec<Proposal>, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Following(_) if self.serving => self.forward(proposals, effects),
            Phase::Leading(_) if self.serving => self.admit(self.config.me, proposals, effects),
            _ => Zab::reject(proposals.into_iter().map(|proposal| proposal.tag), Rejection::NoQuorum, effects),
        }
    }

    /// Commands of a follower's clients.
    pub(super) fn receive_forward(&mut self, peer: NodeId, proposals: Vec<Proposal>, effects: &mut Vec<Effect>) {
        let takes = self.serving && self.hear_follower(peer).is_some_and(|leading| leading.hellos.contains_key(&peer));
        if takes {
            self.admit(peer, proposals, effects);
        } else {
            proposals.iter().for_each(|proposal| self.refuse(peer, proposal.tag, Rejection::NoQuorum, effects));
        }
    }

    /// Rule B6: bounded here, at the edge, so that nothing inside needs to be.
    fn admit(&mut self, origin: NodeId, proposals: Vec<Proposal>, effects: &mut Vec<Effect>) {
        for proposal in proposals {
            let Phase::Leading(leading) = &mut self.phase else {
                self.refuse(origin, proposal.tag, Rejection::NoQuorum, effects);
                continue;
            };
            let entries = self.undelivered.entries + leading.waiting.len();
            let bytes = self.undelivered.bytes + leading.waiting_bytes;
            if self.disk_full {
                self.refuse(origin, proposal.tag, Rejection::DiskFull, effects);
            } else if entries >= self.config.limits.uncommitted_commands
                || bytes >= UNCOMMITTED_BYTES_MAX
                || proposal.payload.len() > COMMAND_BYTES_MAX
            {
                self.refuse(origin, proposal.tag, Rejection::Overloaded, effects);
            } else if leading.is_established() {
                self.append_command(origin, &proposal, effects);
            } else {
                leading.waiting_bytes += proposal.payload.len();
                leading.waiting.push_back((origin, proposal));
            }
        }
    }

    /// Rule B1: the next counter, into the log; every cursor and the disk see it in the next flush.
    fn append_command(&mut self, origin: NodeId, proposal: &Proposal, effects: &mut Vec<Effect>) {
        let next = self.log.last_zxid().successor();
        match next.filter(|zxid| zxid.counter() <= self.config.limits.counter_max) {
            Some(zxid) => self.append_to_log(Entry::new(zxid, self.now.wall_ms, &proposal.payload)),
            // B7: what has a counter is committed before this leader abdicates.
            None => self.refuse(origin, proposal.tag, Rejection::NoQuorum, effects),
        }
    }

    /// Rule B7: whether this node leads an epoch whose counter is exhausted, and everything in it is delivered here. A new
    /// epoch starts at counter zero. Whoever left earlier would leave its clients without an answer; if more of them come
    /// back at once than an epoch has counters, that would go on for ever.
    pub(super) fn has_used_up_its_epoch(&self) -> bool {
        let Phase::Leading(leading) = &self.phase else { return false };
        let last = self.log.last_zxid();
        leading.epoch() == Some(last.epoch())
            && last.counter() >= self.config.limits.counter_max
            && self.delivered == last
    }

    /// Appends what came while the epoch was raised.
    pub(super) fn propose_what_waited(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        leading.waiting_bytes = 0;
        for (origin, proposal) in std::mem::take(&mut leading.waiting) {
            self.admit(origin, vec![proposal], effects);
        }
    }

    /// Sends each follower what it lacks, as far as its window allows; or only the watermark, if that is news.
    pub(super) fn send_appends(&mut self, effects: &mut Vec<Effect>) {
        let (last, commit) = (self.log.last_zxid(), self.committed);
        let window_records = self.config.limits.window_records;
        let Phase::Leading(Leading { stage: Stage::Established { epoch }, followers, .. }) = &mut self.phase else {
            return;
        };
        let mut behind = Vec::new();
        for (peer, cursor) in followers.iter_mut().filter(|(_, cursor)| cursor.state == CursorState::Streaming) {
            if !self.log.contains(cursor.sent) {
                *cursor = Cursor::snapshot(cursor.link, self.log.start());
                behind.push(*peer);
                continue;
            }
            while cursor.sent < last && cursor.has_room(window_records) {
                let previous = cursor.sent;
                let entries = next_batch(self.log.range(previous, last));
                let bytes = entries.iter().map(|entry| entry.record().len()).sum();
                let end = entries.last().expect("there are entries up to the last").zxid();
                cursor.note_sent(end, bytes, entries.len());
                cursor.told_commit = commit;
                effects.push(append(*peer, cursor.link, *epoch, previous, commit, entries));
            }
            if cursor.told_commit < commit {
                cursor.told_commit = commit;
                effects.push(append(*peer, cursor.link, *epoch, cursor.sent, commit, Vec::new()));
            }
        }
        for peer in behind {
            effects.push(Effect::Trace(Event::Sync { peer, how: "snapshot", from: last }));
            self.offer_snapshot(peer, effects);
        }
    }

    /// Rule B2, at the leader.
    pub(super) fn receive_ack(&mut self, peer: NodeId, link: LinkId, ack: &Ack, effects: &mut Vec<Effect>) {
        let (in_log, start) = (self.log.contains(ack.zxid), self.log.start());
        let Some(leading) = self.hear_follower(peer) else { return };
        if leading.stage != (Stage::Established { epoch: ack.epoch }) {
            return;
        }
        let Some(cursor) = leading.followers.get_mut(&peer) else { return };
        match cursor.state {
            // The snapshot is installed, and the log goes on from it.
            CursorState::Snapshot { offered } if ack.zxid >= offered && in_log => {
                *cursor = Cursor::streaming(link, ack.zxid);
            }
            // It is installed, but the log has moved on too far meanwhile.
            CursorState::Snapshot { offered } if ack.zxid >= offered => {
                *cursor = Cursor::snapshot(link, start);
                self.offer_snapshot(peer, effects);
                return;
            }
            // Sent before the offer came.
            CursorState::Snapshot { .. } => return,
            CursorState::Streaming => {}
        }
        if !cursor.note_acked(ack.zxid) {
            self.close(peer, "an ack that goes back or beyond what was sent", effects);
        }
    }

    /// Rule B3.
    pub(super) fn advance_commit(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Leading(Leading { stage: Stage::Established { epoch }, .. }) = &self.phase else { return };
        let acknowledged = self.acknowledged();
        if acknowledged.epoch() == *epoch && acknowledged > self.committed {
            self.committed = acknowledged;
            effects.push(Effect::Trace(Event::Committed { zxid: acknowledged }));
        }
    }

    pub(super) fn receive_heartbeat_ack(&mut self, peer: NodeId, ack: HeartbeatAck, effects: &mut Vec<Effect>) {
        let Some(leading) = self.hear_follower(peer) else { return };
        if leading.epoch() != Some(ack.epoch) {
            return;
        }
        let echoed = leading.echoed.entry(peer).or_default();
        *echoed = ack.round.max(*echoed);
        if !ack.touched.is_empty() {
            effects.push(Effect::Touched { sessions: ack.touched });
        }
        self.complete_barriers(effects);
    }

    /// Tells the followers this node's digest, to compare with theirs.
    pub(super) fn announce_digest(&mut self, zxid: Zxid, digest: u64, effects: &mut Vec<Effect>) {
        let Phase::Leading(leading) = &self.phase else { return };
        for (peer, cursor) in &leading.followers {
            if cursor.state == CursorState::Streaming {
                let message = Message::Digest(super::message::Digest { zxid, digest });
                effects.push(Effect::Send { peer: *peer, link: cursor.link, message });
            }
        }
    }
}

/// As many entries as fit one frame, at least one.
fn next_batch<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        let first = bytes == 0;
        bytes += entry.record().len();
        first || bytes <= APPEND_BYTES_MAX
    };
    entries.take_while(fits).cloned().collect()
}

fn append(peer: NodeId, link: LinkId, epoch: Epoch, previous: Zxid, commit: Zxid, entries: Vec<Entry>) -> Effect {
    Effect::Send { peer, link, message: Message::Append(Append { epoch, previous, commit, entries }) }
}
