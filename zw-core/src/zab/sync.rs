//! Synchronisation at the leader: from what does a follower's log go on (rules S1, S2).
//!
//! ZooKeeper chooses between DIFF, TRUNC and SNAP in five cases. Here there is one point, the end of the common
//! prefix, and one stream from it.

use super::effects::{Effect, Event};
use super::message::{AckEpoch, Append, Message, SnapshotOffer, Truncate};
use super::{Cursor, CursorState, Phase, Zab};
use crate::ids::{NodeId, Zxid};
use crate::limits::EPOCH_ENDS_MAX;

impl Zab {
    /// Sets the cursor of a follower that acknowledged the epoch.
    pub(super) fn start_sync(&mut self, peer: NodeId, ack: &AckEpoch, effects: &mut Vec<Effect>) {
        let Some(link) = self.links.get(&peer).copied() else { return };
        let ends: Vec<Zxid> = ack.epoch_ends.iter().map(|end| end.0).collect();
        let common = self.log.common_point(&ends);
        let epoch = ack.epoch;
        // A follower tells of so many epochs only; with none of them in common, earlier ones may be.
        let is_known = common > Zxid::ZERO || ends.len() < EPOCH_ENDS_MAX;
        let (cursor, how) = if !is_known || !self.log.contains(common) {
            (Cursor::snapshot(link, self.log.start()), "snapshot")
        } else if ack.last_zxid > common {
            self.send(peer, Message::Truncate(Truncate { epoch, after: common }), effects);
            (Cursor::streaming(link, common), "truncate")
        } else {
            (Cursor::streaming(link, common), "append")
        };
        effects.push(Effect::Trace(Event::Sync { peer, how, from: common }));
        if cursor.state != CursorState::Streaming {
            self.offer_snapshot(peer, effects);
        }
        if cursor.state == CursorState::Streaming {
            // Even if there is nothing to send: a follower acknowledges only what it knows to be equal.
            self.send_join(peer, common, effects);
        }
        if let Phase::Leading(leading) = &mut self.phase {
            leading.followers.insert(peer, cursor);
        }
    }

    /// Tells a follower that its log is equal up to `common`, and that records go on from there.
    fn send_join(&self, peer: NodeId, common: Zxid, effects: &mut Vec<Effect>) {
        let append = Append { epoch: self.promise.epoch, previous: common, commit: Zxid::ZERO, entries: Vec::new() };
        self.send(peer, Message::Append(append), effects);
    }

    /// Tells a follower to fetch a snapshot that this log can continue.
    pub(super) fn offer_snapshot(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let offer = SnapshotOffer { epoch: self.promise.epoch, zxid: self.log.start() };
        self.send(peer, Message::SnapshotOffer(offer), effects);
    }
}
