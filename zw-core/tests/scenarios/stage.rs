//! The stage: real nodes, and between them links, disks and a clock that do what the script says.
//!
//! Everything happens in one order. What is not held by the script happens at once, the oldest first, until all is
//! quiet; time passes only when told, and wakes a node only at the deadline that it named.

use crate::node::{Node, State};
use crate::witness::{Nodes, Witness};
use crate::words;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::{LinkId, NodeId, SessionId, Tick, Zxid};
use zw_core::log::record::Record;
use zw_core::tree::command::{Command, Envelope};
use zw_core::zab::effects::{Effect, Event, Input, Now, Rejection, Role};
use zw_core::zab::message::{Message, Vote};
use zw_core::zab::{Config, Limits, Timing, Zab};

/// How long after a node closed a link it is connected anew.
const REDIAL: std::time::Duration = std::time::Duration::from_millis(100);
/// More events than any scenario has: beyond it, the nodes talk in circles.
const EVENTS_MAX: usize = 100_000;

/// What travels on a link, in order.
#[derive(Clone)]
pub(crate) enum Packet {
    Message(Message),
    /// The sender has closed the link.
    End,
}

/// One direction of a link.
#[derive(Default)]
pub(crate) struct Wire {
    /// Whether the script holds it.
    pub(crate) held: bool,
    pub(crate) queue: VecDeque<(u64, LinkId, Packet)>,
}

/// The link of two nodes.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) id: Option<LinkId>,
    /// Cut by the script: nothing connects them again but the script.
    pub(crate) cut: bool,
    redial_at: Option<Tick>,
}

/// The answers that clients got.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) refused: BTreeMap<String, Rejection>,
    pub(crate) barriers: BTreeMap<String, Zxid>,
}

/// See the module.
pub(crate) struct Stage {
    pub(crate) ensemble: Ensemble,
    pub(crate) nodes: Nodes,
    pub(crate) wires: BTreeMap<(NodeId, NodeId), Wire>,
    pub(crate) links: BTreeMap<(NodeId, NodeId), Link>,
    pub(crate) now: Now,
    limits: Limits,
    next_link: u64,
    next_event: u64,
    pub(crate) next_tag: u64,
    /// What clients' requests are called, by their tag.
    pub(crate) names: BTreeMap<u64, String>,
    pub(crate) sessions: BTreeMap<String, SessionId>,
    pub(crate) answers: Answers,
    /// All that was sent since the last `mark`, in words.
    pub(crate) sent: Vec<(NodeId, NodeId, Message, String)>,
    pub(crate) closed: Vec<(NodeId, NodeId)>,
    /// What is printed under the command, unless it is quiet.
    pub(crate) lines: Vec<String>,
    pub(crate) quiet: bool,
    /// Whether heartbeats are left out: while time passes. A vote that repeats the last one always is.
    pub(crate) terse: bool,
    last_votes: BTreeMap<(NodeId, NodeId), Vote>,
    pub(crate) witness: Witness,
}

impl Stage {
    /// A stage of `size` nodes that are not connected yet.
    pub(crate) fn new(size: u16, limits: Limits) -> Result<Stage, String> {
        let members = (0..size).map(|i| Address::new("localhost", 8080 + i)).collect();
        let ensemble = Ensemble::new(members).map_err(|error| error.to_string())?;
        let mut stage = Stage {
            nodes: ensemble.ids().map(|id| (id, Node::new())).collect(),
            ensemble,
            wires: BTreeMap::new(),
            links: BTreeMap::new(),
            now: Now::default(),
            limits,
            next_link: 0,
            next_event: 0,
            next_tag: 0,
            names: BTreeMap::new(),
            sessions: BTreeMap::new(),
            answers: Answers::default(),
            sent: Vec::new(),
            closed: Vec::new(),
            lines: Vec::new(),
            quiet: false,
            terse: false,
            last_votes: BTreeMap::new(),
            witness: Witness::default(),
        };
        let ids: Vec<NodeId> = stage.nodes.keys().copied().collect();
        for id in ids {
            stage.start(id)?;
        }
        Ok(stage)
    }

    pub(crate) fn print(&mut self, line: String) {
        if !self.quiet {
            self.lines.push(line);
        }
    }

    pub(crate) fn node(&mut self, id: NodeId) -> Result<&mut Node, String> {
        self.nodes.get_mut(&id).ok_or_else(|| format!("there is no node {id}"))
    }

    pub(crate) fn zab(&self, id: NodeId) -> Result<&Zab, String> {
        self.nodes.get(&id).and_then(|node| node.zab.as_ref()).ok_or_else(|| format!("{id} does not run"))
    }

    /// Starts `id` from its disk.
    pub(crate) fn start(&mut self, id: NodeId) -> Result<(), String> {
        let config =
            Config { me: id, ensemble: self.ensemble.clone(), timing: Timing::default(), seed: 7, limits: self.limits };
        let now = self.now;
        let node = self.node(id)?;
        node.state = node.recovered_state()?;
        node.zab = Some(Zab::new(config, &node.disk.durable, now));
        self.witness.starts(id, &self.nodes[&id]);
        self.queue_input(id, Input::Tick);
        Ok(())
    }

    pub(crate) fn queue_input(&mut self, id: NodeId, input: Input) {
        self.next_event += 1;
        if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.zab.is_some()) {
            node.inbox.push_back((self.next_event, input));
        }
    }

    pub(crate) fn link(&mut self, a: NodeId, b: NodeId) -> &mut Link {
        self.links.entry((a.min(b), a.max(b))).or_default()
    }

    pub(crate) fn wire(&mut self, from: NodeId, to: NodeId) -> &mut Wire {
        self.wires.entry((from, to)).or_default()
    }

    fn runs(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.zab.is_some())
    }

    /// Ends a cut: two nodes are connected, now or when both run.
    pub(crate) fn join(&mut self, a: NodeId, b: NodeId) {
        let link = self.link(a, b);
        link.cut = false;
        let stands = link.id.is_some();
        let absent = |id: NodeId| self.nodes.get(&id).is_some_and(|node| node.zab.is_none());
        if !stands && !absent(a) && !absent(b) {
            self.connect(a, b);
        }
    }

    /// Connects two nodes that run. Who is not of the ensemble may knock as well.
    fn connect(&mut self, a: NodeId, b: NodeId) {
        self.next_link += 1;
        let id = LinkId(self.next_link);
        *self.link(a, b) = Link { id: Some(id), cut: false, redial_at: None };
        self.last_votes.remove(&(a, b));
        self.last_votes.remove(&(b, a));
        self.queue_input(a, Input::Connected { peer: b, link: id });
        self.queue_input(b, Input::Connected { peer: a, link: id });
    }

    /// Breaks a link; what was on its way is lost.
    pub(crate) fn disconnect(&mut self, a: NodeId, b: NodeId) {
        self.wire(a, b).queue.clear();
        self.wire(b, a).queue.clear();
        if let Some(link) = self.link(a, b).id.take() {
            self.queue_input(a, Input::Disconnected { peer: b, link });
            self.queue_input(b, Input::Disconnected { peer: a, link });
        }
    }

    /// Connects `id` with every running node from which the script has not cut it.
    pub(crate) fn connect_with_all(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            let link = self.link(id, other);
            if !link.cut && link.id.is_none() && self.runs(other) {
                self.connect(id, other);
            }
        }
    }

    /// Lets everything happen that needs neither time nor the script.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..EVENTS_MAX {
            let awake = |id: &NodeId| self.nodes.get(id).is_some_and(Node::is_awake);
            let from_inbox = self
                .nodes
                .iter()
                .filter(|(id, _)| awake(id))
                .filter_map(|(id, node)| node.inbox.front().map(|(event, _)| (*event, None, *id)));
            let open = self.wires.iter().filter(|((_, to), wire)| !wire.held && awake(to));
            let from_wires =
                open.filter_map(|((from, to), wire)| wire.queue.front().map(|(event, ..)| (*event, Some(*from), *to)));
            match from_inbox.chain(from_wires).min() {
                None => return Ok(()),
                Some((_, Some(from), to)) => self.arrive(from, to)?,
                Some((_, None, id)) => {
                    let input = self.node(id)?.inbox.pop_front();
                    input.into_iter().try_for_each(|(_, input)| self.step(id, input))?;
                }
            }
        }
        Err("the nodes talk in circles".into())
    }

    /// The first packet of a wire arrives.
    pub(crate) fn arrive(&mut self, from: NodeId, to: NodeId) -> Result<(), String> {
        match self.wire(from, to).queue.pop_front() {
            Some((_, link, Packet::Message(message))) => self.step(to, Input::Message { peer: from, link, message }),
            Some((_, link, Packet::End)) => self.step(to, Input::Disconnected { peer: from, link }),
            None => Ok(()),
        }
    }

    /// One input to one node, and all its effects.
    pub(crate) fn step(&mut self, id: NodeId, input: Input) -> Result<(), String> {
        let now = self.now;
        let Some(zab) = self.node(id)?.zab.as_mut() else { return Ok(()) };
        let mut last = zab.last_zxid();
        let mut effects = Vec::new();
        zab.step(now, input, &mut effects);
        zab.flush(now, &mut effects);
        effects.into_iter().try_for_each(|effect| self.perform(id, effect, &mut last))
    }

    /// Passes a millisecond: who has a deadline by then is woken.
    pub(crate) fn pass_millisecond(&mut self) -> Result<(), String> {
        self.now.tick = Tick(self.now.tick.0 + 1_000);
        self.now.wall_ms += 1;
        let due = |link: &Link, now: Tick| link.redial_at.is_some_and(|at| at <= now) && !link.cut && link.id.is_none();
        let now = self.now.tick;
        let redial: Vec<(NodeId, NodeId)> =
            self.links.iter().filter(|(_, link)| due(link, now)).map(|(pair, _)| *pair).collect();
        for (a, b) in redial {
            if self.runs(a) && self.runs(b) {
                self.connect(a, b);
                self.print(format!("{a} and {b} are connected again"));
            }
        }
        let awake = self.nodes.iter().filter(|(_, node)| node.is_awake());
        let due = awake.filter(|(_, node)| node.zab.as_ref().is_some_and(|zab| zab.next_deadline() <= now));
        let due: Vec<NodeId> = due.map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.queue_input(id, Input::Tick));
        self.settle()
    }

    fn perform(&mut self, id: NodeId, effect: Effect, last: &mut Zxid) -> Result<(), String> {
        match effect {
            Effect::Persist { ticket, records } => {
                self.witness.writes(id, &self.nodes[&id], last, &records);
                let node = self.node(id)?;
                node.disk.write(ticket, &records)?;
                let slow = node.disk.slow;
                self.print_records(id, "writes", if slow { ", not durable yet" } else { "" }, &records);
                if !slow {
                    self.sync(id, usize::MAX, true)?;
                }
            }
            Effect::Send { peer, link, message } => self.send(id, peer, link, message),
            Effect::Close { peer, link, reason } => self.close(id, peer, link, reason),
            Effect::Deliver { entries } => {
                let labels: Vec<String> =
                    entries.iter().map(|e| format!("{} {}", e.zxid(), self.label(&e.payload()))).collect();
                self.print(format!("{id} delivers {}", labels.join(", ").replace(" marker", "")));
                let state = &mut self.node(id)?.state;
                let from = state.applied.len();
                for entry in entries {
                    state.tree.apply_entry(&entry);
                    state.applied.push(entry);
                }
                self.note_sessions(id, from);
                self.witness.delivered(id, &self.nodes, &self.ensemble, from);
            }
            Effect::Reset { snapshot } => {
                let node = self.node(id)?;
                node.state = node.disk.read_file(snapshot)?;
                self.print(format!("{id} replaces its tree by the snapshot of {}", snapshot.zxid));
                self.witness.delivered(id, &self.nodes, &self.ensemble, 0);
            }
            Effect::FetchSnapshot { fetch, peer, zxid } => {
                self.print(format!("{id} fetches a snapshot at or after {zxid} from {peer}"));
                let node = self.node(id)?;
                node.fetching = Some((fetch, peer, zxid));
                if !node.slow_fetch {
                    self.fetch(id, None)?;
                }
            }
            other => self.tell(id, &other),
        }
        Ok(())
    }

    /// Effects that only tell something.
    fn tell(&mut self, id: NodeId, effect: &Effect) {
        match effect {
            Effect::Discard { snapshot } => self.print(format!("{id} discards the snapshot of {}", snapshot.zxid)),
            Effect::Serve { leader, epoch } => {
                let delivered = self.nodes[&id].state.last();
                self.witness.serves(id, delivered, *epoch);
                let what = if *leader == id { "leads".into() } else { format!("follows {leader} in") };
                self.print(format!("{id} {what} epoch {epoch}"));
            }
            Effect::Suspend { reason } => self.print(format!("{id} stops serving: {reason}")),
            Effect::Barrier { tag, zxid } => {
                self.witness.answers_barrier(id, *tag, *zxid);
                let name = self.names[tag].clone();
                self.print(format!("{id} may answer the read {name} at {zxid}"));
                self.answers.barriers.insert(name, *zxid);
            }
            Effect::Reject { tag, why } => {
                let name = self.names[tag].clone();
                self.print(format!("{id} refuses {name}: {why:?}"));
                self.answers.refused.insert(name, *why);
            }
            Effect::Trace(Event::Role { role: Role::Looking, .. }) => self.print(format!("{id} looks for a leader")),
            Effect::Trace(Event::Role { role: Role::Discovering, .. }) => self.print(format!("{id} is elected")),
            Effect::Trace(Event::Role { role: Role::Syncing, leader: Some(leader), .. }) => {
                self.print(format!("{id} joins {leader}"));
            }
            Effect::Trace(Event::Committed { zxid }) => self.print(format!("{id} commits {zxid}")),
            _ => {}
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, link: LinkId, message: Message) {
        self.witness.sends(&self.nodes, (from, to, link), &message);
        let text = words::message(&message, &|payload| self.label(payload));
        let repeated = match &message {
            Message::Vote(vote) => self.last_votes.insert((from, to), vote.clone()).as_ref() == Some(vote),
            Message::Heartbeat(_) | Message::HeartbeatAck(_) => self.terse,
            _ => false,
        };
        self.next_event += 1;
        let event = self.next_event;
        let stands = self.link(from, to).id == Some(link);
        let wire = self.wire(from, to);
        if stands {
            wire.queue.push_back((event, link, Packet::Message(message.clone())));
        }
        let wire_held = wire.held;
        let held = if wire_held && stands { " (held)" } else { "" };
        let lost = if stands { "" } else { " (lost)" };
        if !repeated || (wire_held && stands && !self.terse) {
            self.print(format!("{from} -> {to} {text}{held}{lost}"));
        }
        self.sent.push((from, to, message, text));
    }

    fn close(&mut self, id: NodeId, peer: NodeId, link: LinkId, reason: &str) {
        self.print(format!("{id} closes the link to {peer}: {reason}"));
        self.closed.push((id, peer));
        if self.link(id, peer).id != Some(link) {
            return;
        }
        *self.link(id, peer) = Link { id: None, cut: false, redial_at: Some(self.now.tick.after(REDIAL)) };
        self.wire(peer, id).queue.clear();
        self.next_event += 1;
        let event = self.next_event;
        self.wire(id, peer).queue.push_back((event, link, Packet::End));
    }

    /// Makes `count` records durable, and reports it to the node or not.
    pub(crate) fn sync(&mut self, id: NodeId, count: usize, report: bool) -> Result<(), String> {
        let node = self.node(id)?;
        let slow = node.disk.slow;
        let records = node.disk.sync(count)?;
        let ticket = if report { node.disk.report() } else { None };
        if slow && !records.is_empty() {
            self.print_records(id, "has", " on disk", &records);
        }
        if let Some(ticket) = ticket {
            self.queue_input(id, Input::Durable { ticket });
        }
        Ok(())
    }

    fn print_records(&mut self, id: NodeId, verb: &str, end: &str, records: &[Record]) {
        let records = words::list(records.iter().map(words::record));
        self.print(format!("{id} {verb} {records}{end}"));
    }

    /// Completes a fetch: with the peer's state of now, through the real snapshot format. With `cut`, only so many
    /// bytes arrive.
    pub(crate) fn fetch(&mut self, id: NodeId, cut: Option<usize>) -> Result<(), String> {
        let Some((fetch, peer, zxid)) = self.node(id)?.fetching.take() else {
            return Err(format!("{id} fetches nothing"));
        };
        let state = self.nodes.get(&peer).filter(|node| node.zab.is_some()).map(|node| node.state.clone());
        let Some(state) = state.filter(|state| state.last() >= zxid) else {
            self.print(format!("{id} gets no snapshot from {peer}"));
            self.queue_input(id, Input::SnapshotFailed { fetch });
            return Ok(());
        };
        let bytes = words::snapshot_bytes(&state.tree);
        let arrived = &bytes[..cut.unwrap_or(bytes.len()).min(bytes.len())];
        match words::read_snapshot(arrived) {
            Ok(tree) => {
                let snapshot = self.node(id)?.disk.put_file(State { tree, applied: state.applied });
                self.print(format!("{id} has the file of snapshot {} on disk", snapshot.zxid));
                self.queue_input(id, Input::SnapshotReceived { fetch, snapshot });
            }
            Err(error) => {
                self.print(format!("{id} has {} of {} bytes: {error}", arrived.len(), bytes.len()));
                self.queue_input(id, Input::SnapshotFailed { fetch });
            }
        }
        Ok(())
    }

    /// A command in a word or two.
    pub(crate) fn label(&self, payload: &Bytes) -> String {
        let Ok(envelope) = Envelope::decode(payload) else { return "marker".into() };
        self.names.get(&envelope.tag).cloned().unwrap_or_else(|| "strange".into())
    }

    /// Learns the ids of the sessions that these entries opened.
    fn note_sessions(&mut self, id: NodeId, from: usize) {
        for entry in &self.nodes[&id].state.applied[from..] {
            let Ok(envelope) = Envelope::decode(&entry.payload()) else { continue };
            if let (Command::OpenSession(_), Some(name)) = (&envelope.command, self.names.get(&envelope.tag)) {
                let name = name.trim_start_matches("session-").to_owned();
                self.sessions.entry(name).or_insert(SessionId(entry.zxid().0));
            }
        }
    }

    /// The nodes that lead now.
    pub(crate) fn leaders(&self) -> BTreeSet<NodeId> {
        let leads = |node: &&Node| node.zab.as_ref().is_some_and(|zab| zab.role() == Role::Leading);
        self.nodes.iter().filter(|(_, node)| leads(node)).map(|(id, _)| *id).collect()
    }
}
