//! The core: the only owner of the protocol's state and the only writer of the tree. It works in rounds, on a thread of
//! its own or on one that brings it an input while that rests (see [`super::inbox`]).
//!
//! ```text
//! sockets, log thread ──> inbox ──> Zab::step for each ──> Zab::flush ──> effects ──> log thread, links, tree
//! ```
//!
//! Invariants:
//! - Disk and sockets have threads and tasks of their own. A round waits for the disk only when the log's queue is
//!   full ([`LOG_QUEUE_MAX`](zw_core::limits::LOG_QUEUE_MAX)), for there is nowhere to put more; else for nothing but short
//!   locks.
//! - Inputs are taken in batches, and effects performed once for each batch; so a busy node writes, sends and wakes less
//!   often than it is asked.
//! - A defect (an assertion, an undecodable entry, a wrong digest) ends the process; it never answers from a state that
//!   may be wrong.

use super::clock::until;
use super::fetches::Fetches;
use super::inbox::{Batch, CoreInput, Rest, Rounds, Waiter};
use super::locks::{lock, read};
use super::node::{Node, View, newest_ends};
use super::pending::{Barrier, HeldRequest, Pending};
use super::snapshotter::Snapshotter;
use super::traced::Told;
use crate::connection::mailbox::{Mail, Mailbox, Outcome};
use crate::peer::link::Link;
use crate::wal::LogThread;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zw_core::ids::{NodeId, SessionId, Tick, Ticket, Zxid};
use zw_core::limits::{CORE_DRAIN_MAX, LOG_QUEUE_MAX, REQUEST_DEADLINE};
use zw_core::log::record::SnapshotId;
use zw_core::tree::Tree;
use zw_core::tree::expiry::{Expiry, STANDSTILL_MIN};
use zw_core::wire::client::{ErrorCode, ErrorReply};
use zw_core::zab::Zab;
use zw_core::zab::effects::{Effect, Input, Now, Proposal};

/// The longest sleep without an input.
const IDLE_MAX: Duration = Duration::from_millis(500);
const _: () = assert!(IDLE_MAX.as_millis() < STANDSTILL_MIN.as_millis(), "a rest is no standstill");
/// Entries in one round, or barriers under way, that show a node to be busy: its core thread takes many inputs at once, which is cheaper than a
/// round for each.
pub(super) const BUSY_ENTRIES: usize = 3;
/// How long it then counts as busy.
pub(super) const BUSY: Duration = Duration::from_millis(5);
/// Batches that wait for the log's thread beyond which only the core thread runs rounds: one of them may then wait for
/// the disk, and neither a socket's thread nor the log's own must. A round hands over one batch, so this is never
/// overrun by lent ones.
const LENT_BACKLOG_MAX: u64 = LOG_QUEUE_MAX as u64 / 2;
/// Longest wait of a node that stops for what its clients have under way.
const FAREWELL: Duration = Duration::from_millis(500);

/// The core's state.
pub(super) struct Core {
    pub(super) node: Arc<Node>,
    pub(super) zab: Zab,
    pub(super) log: LogThread,
    pub(super) snapshotter: Snapshotter,
    pub(super) links: BTreeMap<NodeId, Arc<Link>>,
    /// Frames for each peer, gathered during one batch.
    pub(super) outgoing: BTreeMap<NodeId, Outgoing>,
    pub(super) pending: Pending,
    /// Writes that are proposed with this batch.
    proposals: Vec<Proposal>,
    /// Who is answered with this batch, each once.
    pub(super) to_wake: Vec<Arc<Mailbox>>,
    /// The sessions bound to connections of this node.
    pub(super) sessions: BTreeMap<SessionId, Bound>,
    pub(super) expiry: Expiry,
    /// Inputs that the core makes itself, for the next round.
    pub(super) own: Vec<Input>,
    /// The leader's digests of entries that are not applied here yet.
    pub(super) digests_to_compare: Vec<(Zxid, u64)>,
    pub(super) fetches: Fetches,
    /// Snapshots that were fetched: each becomes the tree or is discarded, as the protocol answers, in their order.
    pub(super) received: Vec<(SnapshotId, Box<Tree>)>,
    /// Why no writes are taken, in words.
    pub(super) suspended: &'static str,
    /// Since when a node that took writes takes none.
    pub(super) suspended_since: Option<Tick>,
    pub(super) disk_full: bool,
    pub(super) duties: Duties,
    /// How far the trace has told of watermarks.
    pub(super) told: Told,
    stopping_since: Option<Tick>,
    /// When the latest round was.
    last_round: Tick,
    /// Until then the node counts as busy.
    pub(super) busy_until: Tick,
    /// The last batch that the log's thread was given, and the last that is durable.
    pub(super) handed_over: Ticket,
    durable: Ticket,
    /// Empty between two rounds; their memory is used again.
    inputs: Vec<CoreInput>,
    effects: Vec<Effect>,
}

/// What is sent to one peer with one batch.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    pub(super) frames: usize,
}

/// A session that a connection of this node has.
pub(super) struct Bound {
    pub(super) generation: u32,
    pub(super) timeout_ms: u32,
    pub(super) mailbox: Arc<Mailbox>,
}

/// When the periodic duties are due.
#[derive(Default)]
pub(super) struct Duties {
    pub(super) touch: Tick,
    pub(super) reap: Tick,
}

impl Core {
    pub(super) fn new(node: Arc<Node>, zab: Zab, log: LogThread, snapshotter: Snapshotter) -> Core {
        Core {
            last_round: node.clock.tick(),
            busy_until: Tick::default(),
            handed_over: Ticket::default(),
            durable: Ticket::default(),
            node,
            zab,
            log,
            snapshotter,
            links: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            pending: Pending::default(),
            proposals: Vec::new(),
            to_wake: Vec::new(),
            sessions: BTreeMap::new(),
            expiry: Expiry::default(),
            own: Vec::new(),
            digests_to_compare: Vec::new(),
            fetches: Fetches::default(),
            received: Vec::new(),
            suspended: "no leader was elected yet",
            suspended_since: None,
            disk_full: false,
            duties: Duties::default(),
            told: Told::default(),
            stopping_since: None,
            inputs: Vec::with_capacity(CORE_DRAIN_MAX),
            effects: Vec::new(),
        }
    }

    /// The core thread: works until the node stops.
    pub(super) fn run(core: &Mutex<Core>) {
        // A defect must not leave a process behind that looks alive.
        let defect = ExitOnPanic;
        let node = lock(core).node.clone();
        loop {
            let mut own = lock(core);
            let rest = own.round();
            if own.is_done(node.clock.tick()) {
                break;
            }
            drop(own);
            if let Some(rest) = rest {
                node.inbox.rest(rest);
            }
        }
        node.peers.close_all();
        lock(core).log.stop();
        std::mem::forget(defect);
    }

    /// When the next round is, if nothing is left to do at once.
    fn rest(&self) -> Option<Rest> {
        let has_work = !self.own.is_empty() || (self.zab.is_serving() && self.pending.has_held());
        if has_work {
            return None;
        }
        let (now, tick) = (Instant::now(), self.node.clock.tick());
        // The core thread looks after each of its rounds whether the node that stops has done what it can.
        let is_lent =
            self.stopping_since.is_none() && self.handed_over.0.saturating_sub(self.durable.0) < LENT_BACKLOG_MAX;
        let lent_from = is_lent.then(|| now + until(self.busy_until, tick));
        Some(Rest { due: now + self.idle_for(tick), lent_from })
    }

    /// How long to wait if no input comes.
    fn idle_for(&self, now: Tick) -> Duration {
        let mut next = self.zab.next_deadline().min(self.duties.touch).min(now.after(IDLE_MAX));
        next = self.expiry.next_deadline().map_or(next, |deadline| deadline.min(next));
        next = self.pending.next_deadline().map_or(next, |deadline| deadline.min(next));
        if self.stopping_since.is_some() {
            next = next.min(now.after(Duration::from_millis(10)));
        }
        until(next, now)
    }

    fn notice_pause(&mut self, last: Tick, now: Tick) {
        let gap = until(now, last);
        if self.expiry.notice_gap(gap) {
            tracing::warn!(?gap, "this process stood still");
        }
    }

    fn take(&mut self, now: Now, input: CoreInput, effects: &mut Vec<Effect>) {
        match input {
            CoreInput::Zab(input) => {
                self.trace_input(&input);
                match input {
                    Input::DiskFull { full } => self.disk_full = full,
                    Input::Durable { ticket } => self.durable = ticket,
                    // The socket closes with the last of its owners: the peer must see the end of the link.
                    Input::Disconnected { peer, link } if self.links.get(&peer).is_some_and(|own| own.id == link) => {
                        self.links.remove(&peer);
                    }
                    _ => {}
                }
                let is_durable = matches!(input, Input::Durable { .. });
                self.zab.step(now, input, effects);
                if is_durable {
                    self.trace_durable();
                }
            }
            CoreInput::Connected(link) => {
                let (peer, id) = (link.peer, link.id);
                self.trace_link(peer, id, "connected");
                self.links.insert(peer, link);
                self.zab.step(now, Input::Connected { peer, link: id }, effects);
            }
            CoreInput::Propose(batch) => self.take_writes(now, batch),
            CoreInput::Barrier(waiter) if self.zab.is_serving() => {
                self.ask_barrier(now, Barrier::new(waiter, now.tick), effects);
            }
            CoreInput::Barrier(waiter) => self.pending.hold_barrier(Barrier::new(waiter, now.tick)),
            CoreInput::SnapshotNow(waiter) => self.snapshotter.ask(&self.node, Some(waiter)),
            CoreInput::Detached(session, generation) => {
                if self.sessions.get(&session).is_some_and(|bound| bound.generation == generation) {
                    self.sessions.remove(&session);
                }
            }
            CoreInput::SnapshotTaken(taken) => {
                let waiters = self.snapshotter.taken(&taken);
                self.answer_snapshot(&waiters, &taken);
                if let Ok((snapshot, _)) = taken {
                    self.zab.step(now, Input::SnapshotTaken { snapshot }, effects);
                }
            }
            CoreInput::Fetched(fetch, received) => {
                self.fetches.ended(fetch);
                let input = match received {
                    Some((snapshot, tree)) => {
                        self.received.push((snapshot, tree));
                        Input::SnapshotReceived { fetch, snapshot }
                    }
                    None => Input::SnapshotFailed { fetch },
                };
                self.zab.step(now, input, effects);
            }
            CoreInput::Shutdown => {
                tracing::info!("stopping");
                self.stopping_since.get_or_insert(now.tick);
            }
        }
    }

    fn take_writes(&mut self, now: Now, batch: Batch) {
        if self.zab.is_serving() && !self.pending.has_held() {
            self.pending.propose(batch, &mut self.proposals);
        } else {
            self.pending.hold(batch, now.tick);
        }
    }

    fn ask_barrier(&mut self, now: Now, barrier: Barrier, effects: &mut Vec<Effect>) {
        let tag = self.node.take_tags(1);
        self.pending.barrier_asked(tag, barrier);
        // What was proposed before the barrier must not come after it.
        self.propose_now(now, effects);
        self.zab.step(now, Input::ReadBarrier { tag }, effects);
    }

    /// Proposes what was held, as far as there is a leader, and what came with this batch.
    ///
    /// What was held goes in portions: all of it at once could be more than the leader admits.
    fn propose(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.zab.is_serving() {
            for request in self.pending.release(CORE_DRAIN_MAX) {
                match request {
                    HeldRequest::Write(waiter, proposal) => {
                        self.pending.proposed(proposal.tag, waiter);
                        self.proposals.push(proposal);
                    }
                    HeldRequest::Barrier(barrier) => self.ask_barrier(now, barrier, effects),
                }
            }
        }
        self.propose_now(now, effects);
    }

    fn propose_now(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.proposals.is_empty() {
            let proposals = std::mem::take(&mut self.proposals);
            self.zab.step(now, Input::Propose { proposals }, effects);
        }
    }

    /// Refuses what was held for too long.
    pub(super) fn refuse_overdue(&mut self, now: Tick) {
        for request in self.pending.overdue(now) {
            if let HeldRequest::Write(_, proposal) = &request {
                self.node.trace.written(proposal.tag, Zxid::ZERO, || "refused: no leader in time".into());
            }
            let problem = self.node.problem().map(|problem| format!("; {problem}")).unwrap_or_default();
            let message = format!(
                "no leader with a quorum within {} s: {}; this node is {}{problem}",
                REQUEST_DEADLINE.as_secs(),
                self.suspended,
                super::status::role_of(self.zab.role()).word()
            );
            self.answer_refused(request.waiter(), ErrorCode::NoQuorum, message);
        }
    }

    /// Posts an outcome and remembers to wake its receiver.
    pub(super) fn answer(&mut self, waiter: &Waiter, zxid: Zxid, outcome: Outcome) {
        // Here and not with the connection: that may be gone long before the write is.
        self.node.finish_write(waiter.bytes);
        if waiter.mailbox.post(Mail::Outcome { sequence: waiter.sequence, zxid, outcome }) {
            self.to_wake.push(waiter.mailbox.clone());
        }
    }

    pub(super) fn answer_refused(&mut self, waiter: &Waiter, code: ErrorCode, message: impl Into<String>) {
        let refused = Outcome::Refused(ErrorReply { code, message: message.into() });
        self.answer(waiter, Zxid::ZERO, refused);
    }

    fn answer_snapshot(&mut self, waiters: &[Waiter], taken: &Result<(SnapshotId, u64), String>) {
        for waiter in waiters {
            match taken {
                Ok((snapshot, _)) => self.answer(waiter, snapshot.zxid, Outcome::Snapshot(*snapshot)),
                Err(error) => self.answer_refused(waiter, ErrorCode::NotAllowed, format!("no snapshot: {error}")),
            }
        }
    }

    fn wake_clients(&mut self) {
        self.to_wake.drain(..).for_each(|mailbox| mailbox.wake());
    }

    /// Tells the other threads where this one stands.
    fn publish(&self) {
        let acked = self.node.config.ensemble.others(self.node.config.me);
        let acked = acked.filter_map(|peer| self.zab.acked_by(peer).map(|zxid| (peer, zxid))).collect();
        *lock(&self.node.view) = View {
            role: self.zab.role(),
            leader: self.zab.leader(),
            epoch: self.zab.epoch(),
            last_zxid: self.zab.last_zxid(),
            committed: self.zab.committed(),
            serving: self.zab.is_serving(),
            queue: self.pending.len(),
            disk_full: self.disk_full,
            acked,
            epoch_ends: newest_ends(self.zab.epoch_ends()),
        };
    }

    /// Whether the node that stops has answered what it can.
    fn is_done(&mut self, now: Tick) -> bool {
        let Some(since) = self.stopping_since else { return false };
        let patience_is_over = now >= since.after(FAREWELL);
        patience_is_over || (self.pending.len() == 0 && read(&self.node.tree).applied() >= self.zab.last_zxid())
    }
}

impl Rounds for Core {
    fn round(&mut self) -> Option<Rest> {
        // A defect must not leave a process behind that looks alive, whichever thread finds it.
        let defect = ExitOnPanic;
        let (mut inputs, mut effects) = (std::mem::take(&mut self.inputs), std::mem::take(&mut self.effects));
        self.node.inbox.take(&mut inputs, CORE_DRAIN_MAX);
        let now = self.node.clock.now();
        self.notice_pause(self.last_round, now.tick);
        self.pending.begin_round();
        for input in std::mem::take(&mut self.own) {
            self.zab.step(now, input, &mut effects);
        }
        for input in inputs.drain(..) {
            self.take(now, input, &mut effects);
        }
        self.propose(now, &mut effects);
        if now.tick >= self.zab.next_deadline() {
            self.zab.step(now, Input::Tick, &mut effects);
        }
        self.zab.flush(now, &mut effects);
        self.perform(now, &mut effects);
        self.perform_duties(now);
        self.publish();
        self.wake_clients();
        (self.last_round, self.inputs, self.effects) = (now.tick, inputs, effects);
        if self.pending.count_barriers() >= BUSY_ENTRIES {
            self.busy_until = now.tick.after(BUSY);
        }
        let rest = self.rest();
        std::mem::forget(defect);
        rest
    }
}

/// Ends the process when a panic unwinds through it; the panic's message is on stderr already.
struct ExitOnPanic;

impl Drop for ExitOnPanic {
    fn drop(&mut self) {
        std::process::exit(super::EXIT_DEFECT);
    }
}
