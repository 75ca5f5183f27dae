//! One node: the real protocol and the real tree, driven exactly as the contract of `zw_core::zab::effects` says.
//!
//! Fault model: the process takes one to many inputs before it performs the effects; it may lose power between any
//! two effects; it may stand still while its sockets and its disk go on. A process that starts again knows its disk
//! and nothing else.

use crate::clock::Micros;
use crate::disk::{Disk, Loss};
use crate::event::Event;
use crate::invariants::{Verdict, Violation, ensure, ephemerals};
use crate::prng::Prng;
use crate::sabotage::{self, Sabotage};
use crate::sessions::SessionSide;
use crate::world::World;
use std::collections::{BTreeMap, VecDeque};
use zw_core::ids::{LinkId, NodeId, Zxid};
use zw_core::log::record::{Entry, SnapshotId};
use zw_core::tree::command::Envelope;
use zw_core::tree::{Applied, Tree};
use zw_core::zab::effects::{Effect, FetchId, Input, Role};
use zw_core::zab::{Config, Zab};

/// Entries between two looks at all znodes of a node.
const EPHEMERALS_INTERVAL: u64 = 50;

/// A node: what outlives its processes, and its process while it runs.
pub struct Node {
    /// Its disk.
    pub disk: Disk,
    /// Its clocks.
    pub clock: crate::clock::Clock,
    /// The process, unless the node is down.
    pub process: Option<Process>,
    pub(crate) prng: Prng,
    pub(crate) incarnations: u32,
    pub(crate) crash_armed: bool,
}

/// What waits for the process.
#[derive(Clone, Debug)]
pub enum Work {
    /// An input of the protocol.
    Input(Input),
    /// A client's request.
    Request {
        /// The client.
        client: usize,
        /// Its number for the request.
        request: u64,
    },
}

/// A process in memory: all of it is gone after a crash.
pub struct Process {
    /// Which run of the node this is.
    pub incarnation: u32,
    /// The protocol.
    pub zab: Zab,
    /// The tree.
    pub tree: Tree,
    pub(crate) inbox: VecDeque<Work>,
    pub(crate) run_scheduled: bool,
    pub(crate) paused: bool,
    pub(crate) timer_at: Option<Micros>,
    pub(crate) last_link: u64,
    pub(crate) links: BTreeMap<usize, (u64, LinkId)>,
    pub(crate) dials: BTreeMap<usize, crate::links::Dial>,
    last_tag: u64,
    pub(crate) proposed: BTreeMap<u64, (usize, u64)>,
    pub(crate) waiting: BTreeMap<u64, (usize, u64)>,
    pub(crate) barriers: BTreeMap<u64, (usize, u64)>,
    pub(crate) reads: Vec<(Zxid, usize, u64)>,
    pub(crate) side: SessionSide,
    pub(crate) since_snapshot: u64,
    pub(crate) own_snapshot: Option<(SnapshotId, Tree)>,
    pub(crate) transfer: Option<crate::transfer::Transfer>,
    /// The fetch that began last, until the protocol has heard how it ended.
    pub(crate) fetching: Option<FetchId>,
    /// The fetch that begins then.
    pub(crate) wish: Option<crate::transfer::Transfer>,
}

impl Process {
    pub(crate) fn push(&mut self, input: Input) {
        self.inbox.push_back(Work::Input(input));
    }

    /// A tag that no process of this node ever used.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }
}

impl World {
    /// Starts the node's next process from its disk.
    pub(crate) fn start(&mut self, node: usize) -> Verdict {
        let now = self.agenda.now();
        let reuse_tags = self.sabotaged(Sabotage::ReuseTags);
        let home = &mut self.nodes[node];
        assert!(home.process.is_none(), "a node runs one process at a time");
        home.disk.read_snapshot().map_err(|wrong| Violation::new("SnapshotDamage", wrong))?;
        if let Some(refusal) = home.disk.refusal() {
            let text = format!("does not start: {refusal}");
            self.counts.add("start refused because of damage");
            self.note(node, || text);
            return Ok(());
        }
        home.incarnations += 1;
        let incarnation = home.incarnations;
        let recovered = home.disk.durable().clone();
        let Some(tree) = home.disk.snapshot(recovered.snapshot) else {
            let text = format!("node {} has no snapshot file {:?}", node + 1, recovered.snapshot);
            return Err(Violation::new("SnapshotDurable", text));
        };
        ensure!(
            tree.digest() == recovered.snapshot.digest || recovered.snapshot.zxid == Zxid::ZERO,
            "SnapshotDurable",
            "node {}'s snapshot {:?} has digest {:x}",
            node + 1,
            recovered.snapshot,
            tree.digest()
        );
        self.invariants.monotonic.starts(node, &recovered)?;
        self.invariants.agreement.starts(node, recovered.snapshot.zxid)?;
        let config = Config {
            me: id_of(node),
            ensemble: self.ensemble.clone(),
            timing: self.options.timing,
            limits: self.options.limits,
            seed: home.prng.draw(),
        };
        let zab = Zab::new(config, &recovered, home.clock.read(now));
        let first_tag = if reuse_tags { 1 << 32 } else { u64::from(incarnation) << 32 };
        home.process = Some(Process {
            incarnation,
            zab,
            tree,
            inbox: VecDeque::new(),
            run_scheduled: false,
            paused: false,
            timer_at: None,
            last_link: 0,
            links: BTreeMap::new(),
            dials: BTreeMap::new(),
            last_tag: first_tag,
            proposed: BTreeMap::new(),
            waiting: BTreeMap::new(),
            barriers: BTreeMap::new(),
            reads: Vec::new(),
            side: SessionSide::default(),
            since_snapshot: 0,
            own_snapshot: None,
            transfer: None,
            fetching: None,
            wish: None,
        });
        self.counts.add("process start");
        self.note(node, || format!("starts from {:?} at {}", recovered.promise, recovered.last_zxid()));
        self.push(node, Input::Tick);
        (node + 1..self.nodes.len()).for_each(|peer| self.dial_at(node, peer, now + 1));
        Ok(())
    }

    /// The node loses power.
    pub(crate) fn crash(&mut self, node: usize, why: &'static str) -> bool {
        let home = &mut self.nodes[node];
        if home.process.take().is_none() {
            return false;
        }
        home.crash_armed = false;
        match home.disk.lose_power() {
            Ok(Loss::Whole) => {}
            Ok(Loss::Torn) => self.counts.add("torn write"),
            Ok(Loss::Refused) => self.counts.add("damage noticed"),
            Ok(Loss::LooksTorn) => self.counts.add("damage that looks torn"),
            Err(error) => self.fail(Violation::new("LogRecovery", format!("node {}: {error}", node + 1))),
        }
        self.disturb();
        self.note(node, || format!("crashes: {why}"));
        self.network.node_died(node, &mut self.fault_prng, &mut self.agenda);
        self.break_clients_of(node);
        let pause = self.fault_prng.exponential(self.options.restart_mean).max(1);
        let incarnation = self.nodes[node].incarnations;
        self.agenda.after(pause, Event::Restart { node, incarnation });
        true
    }

    /// Gives the process an input, if it runs.
    pub(crate) fn push(&mut self, node: usize, input: Input) {
        if let Some(process) = &mut self.nodes[node].process {
            process.push(input);
            self.schedule_run(node);
        }
    }

    pub(crate) fn schedule_run(&mut self, node: usize) {
        let home = &mut self.nodes[node];
        let Some(process) = &mut home.process else { return };
        let has_work = !process.inbox.is_empty() || process.side.has_work();
        if !process.run_scheduled && !process.paused && has_work {
            process.run_scheduled = true;
            let incarnation = process.incarnation;
            self.agenda.after(home.prng.exponential(self.options.run_delay), Event::Run { node, incarnation });
        }
    }

    /// The process takes some of its work, and performs what the protocol wants.
    pub(crate) fn run(&mut self, node: usize) -> Verdict {
        let home = &mut self.nodes[node];
        let Some(process) = &mut home.process else { return Ok(()) };
        process.run_scheduled = false;
        if process.paused {
            return Ok(());
        }
        let most = home.prng.between(1, self.options.drain_max);
        let mut effects = std::mem::take(&mut self.effects);
        for input in self.begin_round(node) {
            self.counts.add("protocol step");
            let home = &mut self.nodes[node];
            let process = home.process.as_mut().expect("a round begins with a process");
            process.zab.step(home.clock.read(self.agenda.now()), input, &mut effects);
        }
        for _ in 0..most {
            let Some(process) = &mut self.nodes[node].process else { break };
            let input = match process.inbox.pop_front() {
                Some(Work::Input(input)) => Some(input),
                Some(Work::Request { client, request }) => self.take_request(node, client, request)?,
                None => break,
            };
            let home = &mut self.nodes[node];
            if let (Some(input), Some(process)) = (input, &mut home.process) {
                process.note_end_of_fetch(&input);
                self.counts.add("protocol step");
                process.zab.step(home.clock.read(self.agenda.now()), input, &mut effects);
            }
        }
        let home = &mut self.nodes[node];
        let process = home.process.as_mut().expect("taking requests does not end the process");
        process.zab.flush(home.clock.read(self.agenda.now()), &mut effects);
        let (durable, appended) = (home.disk.durable(), home.disk.appended());
        self.invariants.monotonic.stepped(node, &process.zab, durable, appended)?;
        let crash_after = (home.crash_armed && !effects.is_empty()).then(|| home.prng.index(effects.len()));
        for (index, effect) in effects.drain(..).enumerate() {
            if crash_after == Some(index) {
                self.counts.add("crashed between effects");
                self.crash(node, "between effects");
                break;
            }
            self.trace.note(&effect);
            self.perform(node, effect)?;
        }
        self.effects = effects;
        self.effects.clear();
        // After what came of the fetch before was dealt with, as in the node: two of one snapshot write one file.
        self.begin_fetch(node);
        self.perform_duties(node)?;
        self.set_timer(node);
        self.schedule_run(node);
        Ok(())
    }

    fn set_timer(&mut self, node: usize) {
        let now = self.agenda.now();
        let home = &mut self.nodes[node];
        let Some(process) = &mut home.process else { return };
        let deadline = process.zab.next_deadline().min(process.side.next_deadline());
        let at = home.clock.time_of(deadline).max(now + 1);
        if process.timer_at.is_none_or(|set| at < set) {
            process.timer_at = Some(at);
            let incarnation = process.incarnation;
            self.agenda.at(at, Event::Timer { node, incarnation });
        }
    }

    /// The timer fires, unless another one took its place.
    pub(crate) fn timer(&mut self, node: usize) {
        let now = self.agenda.now();
        if let Some(process) = &mut self.nodes[node].process
            && process.timer_at == Some(now)
        {
            process.timer_at = None;
            self.push(node, Input::Tick);
        }
    }

    fn perform(&mut self, node: usize, effect: Effect) -> Verdict {
        match effect {
            Effect::Persist { ticket, records } => self.persist(node, ticket, records)?,
            Effect::Send { peer, link, message } => self.send(node, peer, link, message)?,
            Effect::Close { peer, link, reason } => self.close(node, index_of(peer), link, reason),
            Effect::Deliver { entries } => self.deliver(node, &entries)?,
            Effect::Reset { snapshot } => self.reset_tree(node, snapshot)?,
            Effect::Discard { snapshot } => {
                self.counts.add("snapshot discarded");
                self.nodes[node].disk.discard_snapshot(snapshot);
            }
            Effect::Serve { leader, epoch } => {
                self.serve_sessions(node, leader, epoch);
                self.open_for_writes(node, epoch)?;
            }
            Effect::Suspend { reason } => {
                self.note(node, || format!("suspends: {reason}"));
                self.suspend_sessions(node);
                self.suspend(node);
            }
            Effect::FetchSnapshot { fetch, peer, zxid } => self.fetch_snapshot(node, fetch, index_of(peer), zxid),
            Effect::Barrier { tag, zxid } => self.barrier_stands(node, tag, zxid)?,
            Effect::Reject { tag, why } => {
                self.note(node, || format!("rejects {tag:x}: {why:?}"));
                self.reject(node, tag)?;
            }
            Effect::Touched { sessions } => self.sessions_touched(node, &sessions),
            Effect::CompareDigest { zxid, digest } => {
                self.counts.add("digest comparison");
                self.invariants.digests.claims(node, zxid, digest)?;
            }
            Effect::Trace(event) => self.observe(node, &event),
        }
        Ok(())
    }

    fn deliver(&mut self, node: usize, entries: &[Entry]) -> Verdict {
        for entry in entries {
            let zxid = entry.zxid();
            self.note(node, || format!("delivers {zxid}"));
            let first = self.invariants.agreement.delivers(node, entry)?;
            if first {
                let epoch = self.nodes[node].process.as_ref().map(|process| process.zab.epoch()).unwrap_or_default();
                self.invariants.leadership.delivers(epoch, zxid);
                let disks = self.nodes.iter().map(|node| node.disk.durable());
                crate::invariants::committed_on_quorum::check(entry, &self.ensemble, disks)?;
            }
            self.apply(node, entry, first)?;
        }
        self.answer_reads(node)?;
        self.consider_snapshot(node);
        Ok(())
    }

    /// Applies one committed entry; `first` if no node has delivered it before.
    fn apply(&mut self, node: usize, entry: &Entry, first: bool) -> Verdict {
        let zxid = entry.zxid();
        let skip = self.sabotaged(Sabotage::SkipApply) && node == 0 && zxid.counter() % 100 == 99;
        let early = self.sabotaged(Sabotage::ApplyUncommitted);
        let process = self.nodes[node].process.as_mut().expect("a running process delivers");
        process.since_snapshot += 1;
        let skip = skip || (early && process.tree.applied() >= zxid);
        let applied =
            if skip { None } else { sabotage::apply_entry(self.options.sabotage, node, &mut process.tree, entry) };
        let digest = process.tree.digest();
        let reply = applied.as_ref().map(|(_, applied)| &applied.reply);
        if let Some((envelope, applied)) = &applied {
            if first {
                self.first_applied(entry, envelope, applied)?;
            }
            self.fire(node, &applied.events);
            self.sessions_changed(node, envelope, applied)?;
        }
        if zxid.counter().is_multiple_of(EPHEMERALS_INTERVAL) {
            let process = self.nodes[node].process.as_ref().expect("it was there");
            ephemerals::check(node, &process.tree)?;
        }
        self.invariants.digests.applied(node, zxid, digest, reply)?;
        if zxid.counter().is_multiple_of(self.options.digest_interval) {
            self.push(node, Input::Digest { zxid, digest });
        }
        if let Some((envelope, applied)) = applied
            && envelope.origin == id_of(node)
        {
            self.acknowledge(node, envelope.tag, zxid, &applied.reply)?;
        }
        Ok(())
    }

    /// The first node has applied the entry: it is compared with what must come of it.
    fn first_applied(&mut self, entry: &Entry, envelope: &Envelope, applied: &Applied) -> Verdict {
        let zxid = entry.zxid();
        self.counts.add("entry committed");
        self.count_command(envelope, applied);
        self.invariants.integrity.commits(envelope.origin, envelope.tag, zxid)?;
        let leader = self.invariants.leadership.leader_of(zxid.epoch()).map(id_of);
        self.invariants.sessions.committed(zxid, envelope, &applied.reply, leader)?;
        self.invariants.locks.committed(zxid, envelope, applied)?;
        self.history.committed(zxid, entry.time_ms(), envelope, applied)
    }

    /// The tree becomes that of a snapshot that was received.
    fn reset_tree(&mut self, node: usize, snapshot: SnapshotId) -> Verdict {
        let home = &mut self.nodes[node];
        let Some(tree) = home.disk.snapshot(snapshot) else {
            let text = format!("node {} resets to {snapshot:?}, which is not on its disk", node + 1);
            return Err(Violation::new("SnapshotDurable", text));
        };
        ensure!(
            tree.applied() == snapshot.zxid && tree.digest() == snapshot.digest,
            "SnapshotDurable",
            "node {} resets to {snapshot:?}, its tree is at {}",
            node + 1,
            tree.applied()
        );
        // Its changes fire no watches: the clients must come again, before anybody can read it.
        self.close_clients(node);
        ephemerals::check(node, &tree)?;
        let process = self.nodes[node].process.as_mut().expect("a running process resets");
        process.tree = tree;
        process.since_snapshot = 0;
        self.counts.add("snapshot installed");
        self.note(node, || format!("installs the snapshot {snapshot:?}"));
        self.invariants.agreement.starts(node, snapshot.zxid)?;
        // What was proposed may lie inside the snapshot: nobody will ever know here.
        self.suspend(node);
        self.answer_reads(node)
    }

    /// What this node is.
    pub(crate) fn role(&self, node: usize) -> Option<Role> {
        self.nodes[node].process.as_ref().map(|process| process.zab.role())
    }
}

/// The member's id of the node numbered `node` here.
#[must_use]
pub fn id_of(node: usize) -> NodeId {
    NodeId(u16::try_from(node + 1).expect("few nodes"))
}

/// The number here of the member `id`.
#[must_use]
pub fn index_of(id: NodeId) -> usize {
    usize::from(id.0) - 1
}
