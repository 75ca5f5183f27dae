//! Performing the protocol's effects, in their order.

use super::core::{Core, Outgoing};
use super::fetches::Wish;
use super::locks::{lock, read, write};
use super::trace::Facts;
use crate::peer::bulk;
use crate::peer::link::Link;
use zw_core::ids::{LinkId, NodeId, Zxid};
use zw_core::log::record::{Record, SnapshotId};
use zw_core::wire::admin::TraceKind;
use zw_core::wire::client::ErrorCode;
use zw_core::wire::frame;
use zw_core::zab::effects::{Effect, Now, Rejection};
use zw_core::zab::message::Message;

impl Core {
    /// Performs and removes all effects.
    pub(super) fn perform(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Persist { ticket, records } => self.persist(ticket, records),
                Effect::Send { peer, link, message } => self.send(peer, link, &message),
                Effect::Close { peer, link, reason } => self.close(peer, link, reason),
                Effect::Deliver { entries } => {
                    // Applying takes long compared with sending, and the peers need not wait for it.
                    self.send_outgoing();
                    self.apply(now, &entries);
                }
                Effect::Reset { snapshot } => self.reset(snapshot),
                Effect::Discard { snapshot } => self.discard(snapshot),
                Effect::Serve { leader, epoch } => self.serve(now, leader, epoch),
                Effect::Suspend { reason } => self.suspend(now, reason),
                Effect::FetchSnapshot { fetch, peer, zxid } => self.fetches.want(Wish { fetch, peer, zxid }),
                Effect::Barrier { tag, zxid } => self.pending.barrier_stands(tag, zxid),
                Effect::Reject { tag, why } => self.reject(tag, why),
                Effect::Touched { sessions } => {
                    sessions.into_iter().for_each(|session| self.expiry.touched(session, now.tick));
                }
                Effect::CompareDigest { zxid, digest } => self.digests_to_compare.push((zxid, digest)),
                Effect::Trace(event) => self.trace_event(event),
            }
        }
        self.send_outgoing();
        self.compare_digests();
        self.answer_synced();
        // After the files of earlier fetches were dealt with: the same snapshot may come again, under the same name.
        if let Some((wish, until)) = self.fetches.begin() {
            bulk::fetch_in_background(&self.node, self.snapshotter.store(), wish, until);
        }
    }

    fn persist(&mut self, ticket: zw_core::ids::Ticket, records: Vec<Record>) {
        let bytes: u64 = records.iter().map(record_bytes).sum();
        self.node.metrics.log_bytes.add(bytes);
        self.handed_over = ticket;
        self.trace_persisted(&records);
        self.log.persist(ticket, records);
        if self.snapshotter.logged(bytes) {
            self.snapshotter.ask(&self.node, None);
        }
    }

    fn send(&mut self, peer: NodeId, link: LinkId, message: &Message) {
        if self.links.get(&peer).is_some_and(|current| current.id == link) {
            self.trace_sent(peer, message);
            let outgoing = self.outgoing.entry(peer).or_default();
            frame::append(&mut outgoing.bytes, |out| message.encode_frame(out));
            outgoing.frames += 1;
        }
    }

    fn send_outgoing(&mut self) {
        for (peer, outgoing) in &mut self.outgoing {
            if let Some(link) = self.links.get(peer).filter(|_| outgoing.frames > 0) {
                link.send(&mut outgoing.bytes, outgoing.frames, &self.node.faults);
            }
            outgoing.clear();
        }
    }

    fn close(&mut self, peer: NodeId, id: LinkId, reason: &'static str) {
        let is_it = |link: &std::sync::Arc<Link>| link.id == id;
        if self.links.get(&peer).is_some_and(is_it) {
            self.send_outgoing();
            tracing::info!(%peer, reason, "link closed");
            if let Some(link) = self.links.remove(&peer) {
                link.close();
            }
        }
    }

    /// The received snapshot becomes the tree. Its changes fired no watches, so the clients must come again and re-arm.
    fn reset(&mut self, snapshot: SnapshotId) {
        let place = self.received.iter().position(|(id, _)| *id == snapshot);
        let (_, tree) = self.received.remove(place.expect("a reset follows the snapshot's receipt"));
        assert_eq!((tree.applied(), tree.digest()), (snapshot.zxid, snapshot.digest), "the snapshot was verified");
        // The clients go before anybody can read the new tree: they would see data whose watches have not fired.
        let mut shown = write(&self.node.tree);
        self.node.clients.close_all("this node was brought up to date with a snapshot; connect again");
        *shown = *tree;
        drop(shown);
        lock(&self.node.digests).clear();
        self.digests_to_compare.retain(|(zxid, _)| *zxid > snapshot.zxid);
        self.snapshotter.installed(snapshot);
        let facts = Facts { zxid: snapshot.zxid, text: "installed".into(), ..Facts::default() };
        self.node.trace.record(TraceKind::Snapshot, facts);
        tracing::info!(zxid = %snapshot.zxid, "brought up to date with a snapshot");
    }

    fn discard(&mut self, snapshot: SnapshotId) {
        let place = self.received.iter().position(|(id, _)| *id == snapshot);
        self.received.remove(place.expect("what is discarded was received"));
        self.snapshotter.discard(snapshot);
    }

    fn serve(&mut self, now: Now, leader: NodeId, epoch: zw_core::ids::Epoch) {
        tracing::info!(%leader, %epoch, "serving");
        self.node.served.cancel();
        self.suspended_since = None;
        self.expiry.clear();
        if leader == self.node.config.me {
            let tree = read(&self.node.tree);
            for (id, session) in tree.sessions() {
                self.expiry.opened(id, zw_core::tree::expiry::patience(session.timeout_ms), now.tick);
            }
        }
    }

    fn suspend(&mut self, now: Now, reason: &'static str) {
        tracing::info!(reason, "not serving");
        self.suspended_since = Some(now.tick);
        self.suspended = reason;
        self.node.metrics.suspensions.add(1);
        self.expiry.clear();
        self.node.trace.writes_lost(reason);
        for waiter in self.pending.suspended() {
            let message =
                format!("the leader was lost ({reason}) while the write was under way: it may be done or not");
            self.answer_refused(&waiter, ErrorCode::OutcomeUnknown, message);
        }
    }

    fn reject(&mut self, tag: u64, why: Rejection) {
        let Some(waiter) = self.pending.rejected(tag) else { return };
        self.node.trace.written(tag, Zxid::ZERO, || format!("refused: {}", rejection_words(why)));
        let (code, message) = match why {
            Rejection::NoQuorum => (ErrorCode::NoQuorum, "no leader with a quorum took it; nothing was changed"),
            Rejection::Overloaded => (ErrorCode::Overloaded, "the leader has too much to do; try again in a moment"),
            Rejection::DiskFull => (ErrorCode::DiskFull, "the leader's disk is full; make space on it"),
        };
        self.answer_refused(&waiter, code, message);
    }

    fn answer_synced(&mut self) {
        let applied = read(&self.node.tree).applied();
        for waiter in self.pending.synced(applied) {
            self.answer(&waiter, applied, crate::connection::mailbox::Outcome::Synced);
        }
    }

    /// Compares the leader's digests with this node's own; a difference ends the process.
    fn compare_digests(&mut self) {
        if self.digests_to_compare.is_empty() {
            return;
        }
        let applied = read(&self.node.tree).applied();
        let own = lock(&self.node.digests);
        self.digests_to_compare.retain(|(zxid, theirs)| {
            let ours = own.at(*zxid);
            if ours.is_some_and(|ours| ours != *theirs) {
                tracing::error!(%zxid, leader = theirs, own = ours, "DIGEST MISMATCH: this node's tree differs from the \
                    leader's; it stops rather than answer wrongly. Keep its data directory for a report, then start it \
                    with an empty one");
                std::process::exit(super::EXIT_DIGEST_MISMATCH);
            }
            *zxid > applied
        });
    }
}

impl Outgoing {
    fn clear(&mut self) {
        self.bytes.clear();
        self.frames = 0;
        // A large batch must not hold its memory for ever.
        self.bytes.shrink_to(zw_core::limits::SOCKET_BUFFER_BYTES);
    }
}

fn rejection_words(why: Rejection) -> &'static str {
    match why {
        Rejection::NoQuorum => "no quorum",
        Rejection::Overloaded => "overloaded",
        Rejection::DiskFull => "disk full",
    }
}

fn record_bytes(record: &Record) -> u64 {
    match record {
        Record::Entry(entry) => entry.record().len() as u64,
        _ => 0,
    }
}
