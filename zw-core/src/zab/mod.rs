//! Zab as a pure state machine: inputs in, effects out; no clock, no socket, no file, no thread, no random source.
//!
//! Read it in this order: [`effects`] (the contract with the runtime), [`message`] (what peers say), this file (who
//! handles what), then the phases as a node lives through them:
//!
//! ```text
//!            election (E)            discovery (D)              sync (S)            broadcast (B)
//! Looking ── votes, a quorum ──┬─> Leading: Hello ── NewEpoch ── AckEpoch ── marker ── Append/Ack ── commit
//!    ^           agrees        └─> Following: Hello ── promise ── Truncate/Snapshot ── Append ── deliver
//!    └──────────── leader silent or gone; quorum silent; a vote for another epoch ───────────────┘
//! ```
//!
//! The idea that removes most of what is hard in Zab: **the log carries its own epochs**. The leader of epoch `e`
//! writes a marker `(e, 0)` at the end of its initial history. NEWLEADER *is* that record, its acknowledgement is an
//! ordinary one, `currentEpoch` is the epoch of the last record, and one rule, "commit a record of my own epoch once
//! a quorum has it durable", covers synchronisation and broadcast alike.
//!
//! Invariants (numbers as in `docs/protocol.md`): I2 an ack implies durable, I4 acks are cumulative, I6 logs are
//! contiguous, I8 nothing at or below the known commit is truncated, I9 a promise is durable before it is spoken.

mod barrier;
mod broadcast;
mod cursor;
mod discovery;
pub mod effects;
mod election;
mod following;
mod holdback;
mod leading;
pub mod message;
mod sync;

use crate::ensemble::Ensemble;
use crate::ids::{COUNTER_MAX, Epoch, LinkId, NodeId, Tick, Zxid};
use crate::limits::{
    DELIVER_BATCH_MAX, PINNED_LOG_BYTES_MAX, RETAINED_LOG_BYTES_MAX, UNCOMMITTED_COMMANDS_MAX, WINDOW_RECORDS_MAX,
};
use crate::log::Recovered;
use crate::log::memory::MemoryLog;
use crate::log::record::{Entry, Promise, Record, SnapshotId};
use cursor::{Cursor, CursorState};
use effects::{Effect, Event, FetchId, Input, Now, Rejection, Role};
use election::Looking;
use following::Following;
use holdback::{Held, Holdback};
use leading::Leading;
use message::{Candidate, Message, Standing, Vote};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who a node is, and how patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// All voters.
    pub ensemble: Ensemble,
    /// How long it waits.
    pub timing: Timing,
    /// Seeds the jitter of time-outs.
    pub seed: u64,
    /// How much is kept and admitted.
    pub limits: Limits,
}

/// The bounds of the protocol. The simulator makes them tiny, because most mistakes live at an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Applied entries kept for followers that come back, in bytes.
    pub retained_log_bytes: usize,
    /// The same while a connected follower has not been sent them, or fetches a snapshot that they follow.
    pub pinned_log_bytes: usize,
    /// Entries sent to a follower ahead of its acks (B5).
    pub window_records: usize,
    /// Commands taken but not delivered (B6).
    pub uncommitted_commands: usize,
    /// The last counter of an epoch (B7).
    pub counter_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            retained_log_bytes: RETAINED_LOG_BYTES_MAX,
            pinned_log_bytes: PINNED_LOG_BYTES_MAX,
            window_records: WINDOW_RECORDS_MAX,
            uncommitted_commands: UNCOMMITTED_COMMANDS_MAX,
            counter_max: COUNTER_MAX,
        }
    }
}

/// The waits of the protocol (protocol.md 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// A leader that was silent for so long, plus up to half of it, is given up; so is a quorum.
    pub follower_timeout: Duration,
    /// How long an agreed vote must stand while some member has not voted (rule E4).
    pub settle: Duration,
    /// The same while some member was never heard of since the start: processes rarely start all at once. At most half
    /// of `follower_timeout` counts.
    pub settle_at_start: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            heartbeat: Duration::from_millis(100),
            follower_timeout: Duration::from_millis(500),
            settle: Duration::from_millis(10),
            settle_at_start: Duration::from_millis(200),
        }
    }
}

/// One member's protocol state. Same state and input give the same state and effects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Zab {
    config: Config,
    now: Now,
    jitter: u64,
    links: BTreeMap<NodeId, LinkId>,
    /// Members that were connected at some time since the start.
    met: BTreeSet<NodeId>,
    log: MemoryLog,
    holdback: Holdback,
    promise: Promise,
    /// The newest snapshot in the log.
    snapshot: Zxid,
    committed: Zxid,
    delivered: Zxid,
    /// Bytes and number of entries appended but not delivered yet (rule B6).
    undelivered: Load,
    /// What is refused with the next flush: one frame for all of a peer, not one for each.
    refusals: BTreeMap<(NodeId, Rejection), Vec<u64>>,
    last_fetch: FetchId,
    round: u64,
    phase: Phase,
    serving: bool,
    disk_full: bool,
}

/// An amount of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Load {
    entries: usize,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Looking(Looking),
    Following(Following),
    Leading(Leading),
}

impl Zab {
    /// A node that starts from what its log holds. The tree must be that of `recovered.snapshot`; entries after it are
    /// delivered once a leader says that they are committed.
    ///
    /// # Panics
    /// If the node is no member, or the log holds an epoch that was never promised.
    #[must_use]
    pub fn new(config: Config, recovered: &Recovered, now: Now) -> Zab {
        assert!(config.ensemble.contains(config.me), "node {} is no member of {}", config.me, config.ensemble);
        let log = MemoryLog::new(recovered);
        let last = log.last_zxid();
        assert!(last.epoch() <= recovered.promise.epoch, "I9: {last} is in the log, {:?} promised", recovered.promise);
        let undelivered = recovered.entries.iter().map(|entry| entry.record().len());
        let undelivered = Load { entries: undelivered.len(), bytes: undelivered.sum() };
        let jitter = config.seed ^ u64::from(config.me.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Zab {
            now,
            jitter,
            links: BTreeMap::new(),
            met: BTreeSet::new(),
            log,
            holdback: Holdback::new(last),
            promise: recovered.promise,
            snapshot: recovered.snapshot.zxid,
            committed: recovered.snapshot.zxid,
            delivered: recovered.snapshot.zxid,
            undelivered,
            refusals: BTreeMap::new(),
            last_fetch: FetchId::default(),
            round: 0,
            phase: Phase::Looking(Looking::default()),
            serving: false,
            disk_full: false,
            config,
        }
    }

    /// Takes in one input. Effects that can wait for the end of a batch come with the next [`flush`](Zab::flush).
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        self.now = now;
        match input {
            Input::Tick => {}
            Input::Connected { peer, link } => self.connected(peer, link, effects),
            Input::Disconnected { peer, link } => self.disconnected(peer, link, effects),
            Input::Message { peer, link, message } if self.links.get(&peer) == Some(&link) => {
                self.receive(peer, link, message, effects);
            }
            Input::Message { .. } => {}
            Input::Durable { ticket } => self.holdback.durable(ticket),
            Input::Propose { proposals } => self.propose(proposals, effects),
            Input::ReadBarrier { tag } => self.read_barrier(tag, effects),
            Input::Touched { sessions } => self.touched(sessions, effects),
            Input::Digest { zxid, digest } => self.announce_digest(zxid, digest, effects),
            Input::SnapshotTaken { snapshot } => self.snapshot_taken(snapshot),
            Input::SnapshotReceived { fetch, snapshot } => self.snapshot_received(fetch, snapshot, effects),
            Input::SnapshotFailed { fetch } => self.snapshot_failed(fetch),
            Input::DiskFull { full } => self.disk_full = full,
        }
        self.pass_deadlines(effects);
    }

    /// Ends a batch of steps: writes, sends, commits and deliveries that the steps made possible.
    pub fn flush(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.now = now;
        if self.has_used_up_its_epoch() {
            self.abdicate("the epoch's counter is exhausted", effects);
        }
        self.begin_election_when_drained(effects);
        self.release_held(effects);
        self.advance_commit(effects);
        self.begin_barrier_round(effects);
        self.ask_barriers(effects);
        self.hold_ack();
        self.holdback.seal(self.log.last_zxid(), effects);
        self.send_appends(effects);
        // What was held in this flush may wait for nothing: an ack for records that are durable already.
        self.release_held(effects);
        self.send_refusals(effects);
        self.deliver(effects);
    }

    /// When `step(Input::Tick)` and `flush` are wanted next, if nothing comes in before.
    #[must_use]
    pub fn next_deadline(&self) -> Tick {
        if self.delivered < self.committed || self.has_used_up_its_epoch() {
            return self.now.tick;
        }
        match &self.phase {
            Phase::Looking(looking) => looking.next_deadline(),
            Phase::Following(following) => following.next_deadline(),
            Phase::Leading(leading) => leading.next_deadline(),
        }
    }

    fn pass_deadlines(&mut self, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Looking(_) => self.looking_deadlines(effects),
            Phase::Following(_) => self.following_deadlines(effects),
            Phase::Leading(_) => self.leading_deadlines(effects),
        }
    }

    fn connected(&mut self, peer: NodeId, link: LinkId, effects: &mut Vec<Effect>) {
        if !self.config.ensemble.contains(peer) || peer == self.config.me {
            effects.push(Effect::Close { peer, link, reason: "not another member of the ensemble" });
            return;
        }
        if let Some(old) = self.links.get(&peer).copied() {
            assert!(link > old, "link numbers rise: {link} after {old}");
            self.disconnected(peer, old, effects);
        }
        self.links.insert(peer, link);
        self.met.insert(peer);
        self.send_standing(peer, effects);
    }

    fn disconnected(&mut self, peer: NodeId, link: LinkId, effects: &mut Vec<Effect>) {
        if self.links.get(&peer) != Some(&link) {
            return;
        }
        self.links.remove(&peer);
        self.refusals.retain(|(to, _), _| *to != peer);
        match &mut self.phase {
            Phase::Looking(looking) if looking.vote.is_some_and(|vote| vote.node == peer) => {
                self.round += 1;
                *looking = Looking::default();
            }
            Phase::Looking(looking) => looking.forget(peer),
            Phase::Following(following) if following.leader == peer => {
                self.look("the connection to the leader is gone", effects);
            }
            Phase::Following(_) => {}
            Phase::Leading(leading) => leading.forget(peer),
        }
    }

    fn receive(&mut self, peer: NodeId, link: LinkId, message: Message, effects: &mut Vec<Effect>) {
        match message {
            Message::Vote(vote) => self.receive_vote(peer, vote, effects),
            // To a leader.
            Message::Hello(hello) => self.receive_hello(peer, &hello, effects),
            Message::AckEpoch(ack) => self.receive_ack_epoch(peer, ack, effects),
            Message::Ack(ack) => self.receive_ack(peer, link, &ack, effects),
            Message::HeartbeatAck(ack) => self.receive_heartbeat_ack(peer, ack, effects),
            Message::Forward(forward) => self.receive_forward(peer, forward.proposals, effects),
            Message::BarrierRequest(request) => self.receive_barrier_request(peer, request.tags, effects),
            // To a follower.
            Message::NewEpoch(new) => self.receive_new_epoch(peer, new.epoch, effects),
            Message::Truncate(truncate) => self.receive_truncate(peer, link, &truncate, effects),
            Message::SnapshotOffer(offer) => self.receive_snapshot_offer(peer, &offer, effects),
            Message::Append(append) => self.receive_append(peer, link, append, effects),
            Message::Heartbeat(heartbeat) => self.receive_heartbeat(peer, &heartbeat, effects),
            Message::ForwardReply(reply) => self.receive_forward_reply(peer, &reply, effects),
            Message::BarrierReply(reply) => self.receive_barrier_reply(peer, &reply, effects),
            Message::Digest(digest) => self.receive_digest(peer, digest),
            Message::Goodbye(_) => self.receive_goodbye(peer, effects),
        }
    }

    /// Tells `peer` where this node stands (rules E1, E3).
    fn send_standing(&mut self, peer: NodeId, effects: &mut Vec<Effect>) {
        let own = Candidate { zxid: self.log.last_zxid(), node: self.config.me };
        let (candidate, standing) = match &self.phase {
            Phase::Looking(looking) => match looking.vote {
                Some(vote) => (vote, Standing::Looking),
                None => return,
            },
            Phase::Following(following) => (Candidate { node: following.leader, ..own }, Standing::Following),
            Phase::Leading(_) => (own, Standing::Leading),
        };
        self.send(peer, Message::Vote(Vote { round: self.round, candidate, standing }), effects);
    }

    fn send_standing_to_all(&mut self, effects: &mut Vec<Effect>) {
        let peers: Vec<NodeId> = self.links.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.send_standing(peer, effects));
    }

    fn send(&self, peer: NodeId, message: Message, effects: &mut Vec<Effect>) {
        if let Some(link) = self.links.get(&peer) {
            effects.push(Effect::Send { peer, link: *link, message });
        }
    }

    /// Sends once everything written so far is durable.
    fn send_when_durable(&mut self, peer: NodeId, message: Message) {
        if let Some(link) = self.links.get(&peer).copied() {
            self.holdback.hold(Held::Send { peer, link, message });
        }
    }

    fn release_held(&mut self, effects: &mut Vec<Effect>) {
        while let Some(held) = self.holdback.release() {
            match held {
                Held::Send { peer, link, message } if self.links.get(&peer) == Some(&link) => {
                    effects.push(Effect::Send { peer, link, message });
                }
                Held::Send { .. } => {}
                Held::OwnPromise { epoch } => self.own_promise_is_durable(epoch, effects),
            }
        }
    }

    fn close(&mut self, peer: NodeId, reason: &'static str, effects: &mut Vec<Effect>) {
        if let Some(link) = self.links.get(&peer).copied() {
            effects.push(Effect::Close { peer, link, reason });
            self.disconnected(peer, link, effects);
        }
    }

    fn append_to_log(&mut self, entry: Entry) {
        self.undelivered.entries += 1;
        self.undelivered.bytes += entry.record().len();
        self.holdback.push(Record::Entry(entry.clone()));
        self.log.append(entry);
    }

    fn write_promise(&mut self, promise: Promise) {
        assert!(promise.epoch > self.promise.epoch, "I9: {promise:?} after {:?}", self.promise);
        self.promise = promise;
        self.holdback.push(Record::Promise(promise));
    }

    /// Delivers what is committed, opens for clients once that includes the epoch's marker (S5), and forgets what
    /// nobody needs.
    fn deliver(&mut self, effects: &mut Vec<Effect>) {
        assert!(self.committed <= self.log.last_zxid(), "B4: {} is beyond the log", self.committed);
        if self.delivered < self.committed {
            let entries = self.log.range(self.delivered, self.committed).take(DELIVER_BATCH_MAX);
            let entries: Vec<Entry> = entries.cloned().collect();
            let last = entries.last().expect("what is committed but not delivered is in the log").zxid();
            self.undelivered.entries -= entries.len();
            self.undelivered.bytes -= entries.iter().map(|entry| entry.record().len()).sum::<usize>();
            self.delivered = last;
            effects.push(Effect::Deliver { entries });
        }
        let everything = self.delivered == self.log.last_zxid();
        assert!(!everything || self.undelivered == Load::default(), "B6: {:?} are delivered already", self.undelivered);
        self.compare_digests(effects);
        if !self.serving && self.delivered == self.committed && self.is_up_to_date() {
            self.serving = true;
            let leader = self.leader().expect("only a node with a leader is up to date");
            effects.push(Effect::Serve { leader, epoch: self.promise.epoch });
            self.trace_role(effects);
        }
        self.trim_log();
    }

    /// Forgets applied entries. A follower that takes what it is sent as fast as its disk and its link can is not sent
    /// to a snapshot for being a moment slower than a quorum: what it was not sent yet stays, up to a greater bound.
    fn trim_log(&mut self) {
        let Limits { retained_log_bytes, pinned_log_bytes, .. } = self.config.limits;
        let needed = match &self.phase {
            Phase::Leading(leading) => leading.least_sent().unwrap_or(self.delivered),
            Phase::Looking(_) | Phase::Following(_) => self.delivered,
        };
        self.log.trim(self.delivered.min(needed), retained_log_bytes);
        self.log.trim(self.delivered, pinned_log_bytes.max(retained_log_bytes));
    }

    /// Whether this node has committed the marker of the epoch it lives in.
    fn is_up_to_date(&self) -> bool {
        let established = match &self.phase {
            Phase::Looking(_) => false,
            Phase::Following(following) => following.is_synchronised(),
            Phase::Leading(leading) => leading.is_established(),
        };
        established && self.committed >= Zxid::marker(self.promise.epoch)
    }

    fn suspend(&mut self, reason: &'static str, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.serving) {
            effects.push(Effect::Suspend { reason });
        }
    }

    fn snapshot_taken(&mut self, snapshot: SnapshotId) {
        assert!(snapshot.zxid <= self.delivered, "a snapshot of {} was taken before its delivery", snapshot.zxid);
        // One that was installed meanwhile may be newer; the log's snapshots only rise.
        if snapshot.zxid > self.snapshot {
            self.snapshot = snapshot.zxid;
            self.holdback.push(Record::Snapshot(snapshot));
        }
    }

    fn reject(tags: impl IntoIterator<Item = u64>, why: Rejection, effects: &mut Vec<Effect>) {
        effects.extend(tags.into_iter().map(|tag| Effect::Reject { tag, why }));
    }

    fn trace_role(&self, effects: &mut Vec<Effect>) {
        let event = Event::Role { role: self.role(), leader: self.leader(), epoch: self.promise.epoch };
        effects.push(Effect::Trace(event));
    }

    /// A duration of up to half of `base` more than `base`, different at each call.
    fn with_jitter(&mut self, base: Duration) -> Duration {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let base_us = u64::try_from(base.as_micros()).unwrap_or(u64::MAX / 2);
        base + Duration::from_micros((self.jitter >> 33) % (base_us / 2).max(1))
    }

    /// What this node is.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.phase {
            Phase::Looking(_) => Role::Looking,
            Phase::Following(_) if self.serving => Role::Following,
            Phase::Following(_) => Role::Syncing,
            Phase::Leading(_) if self.serving => Role::Leading,
            Phase::Leading(_) => Role::Discovering,
        }
    }

    /// The leader that this node follows, or itself.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.phase {
            Phase::Looking(_) => None,
            Phase::Following(following) => Some(following.leader),
            Phase::Leading(_) => Some(self.config.me),
        }
    }

    /// The epoch promised.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.promise.epoch
    }

    /// The promise.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// The end of the log.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.log.last_zxid()
    }

    /// The end of the durable log.
    #[must_use]
    pub fn durable_zxid(&self) -> Zxid {
        self.holdback.durable_zxid()
    }

    /// The watermark known to this node.
    #[must_use]
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The last entry given to the runtime.
    #[must_use]
    pub fn delivered(&self) -> Zxid {
        self.delivered
    }

    /// The zxid before the retained log.
    #[must_use]
    pub fn log_start(&self) -> Zxid {
        self.log.start()
    }

    /// The retained log, in order.
    pub fn log_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.log.entries()
    }

    /// The last zxid of each of the newest epochs in the log, ascending.
    #[must_use]
    pub fn epoch_ends(&self) -> &[Zxid] {
        self.log.newest_epoch_ends()
    }

    /// Whether clients' writes are taken.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// On a leader: what `peer` has acknowledged in this epoch.
    #[must_use]
    pub fn acked_by(&self, peer: NodeId) -> Option<Zxid> {
        match &self.phase {
            Phase::Leading(leading) => leading.followers.get(&peer).map(|cursor| cursor.acked),
            _ => None,
        }
    }
}
