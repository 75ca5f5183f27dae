//! What one event does to one node: the node after it, and what it says to the world. Properties that one node can break
//! alone are checked here.

use super::node::{AT_REST, AT_THE_END, Node, config, id, index};
use super::{Plan, Sabotage, Sight, Violation, Votes, ensure};
use std::panic::{AssertUnwindSafe, catch_unwind};
use zw_core::ids::{Epoch, LinkId, NodeId, Zxid};
use zw_core::log::record::{Entry, Promise, Record};
use zw_core::zab::Zab;
use zw_core::zab::effects::{Effect, Event as Trace, Input, Now, Proposal, Role};
use zw_core::zab::message::{Append, Candidate, Message, Standing, Vote};

/// Something that happens to one node. Messages are numbers, so that an event is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A message comes in.
    Message { from: usize, message: u32 },
    /// A connection stands.
    Connected { peer: usize },
    /// A connection is gone.
    Disconnected { peer: usize },
    /// The disk has completed its oldest batch.
    Disk,
    /// The adversary's votes make it leader.
    Elected { by: usize },
    /// The adversary's votes make it follow.
    Joins { leader: usize },
    /// It has heard nothing for too long.
    Silence,
    /// Its heartbeat is due.
    Beat,
    /// It loses power; so many of the records that wait have reached the disk.
    Crash { kept: usize },
    /// It starts.
    Start,
    /// A client proposes its next command.
    Propose { number: u8 },
}

/// What a node says to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Emit {
    /// A message, if the link still stands.
    Send { to: usize, message: Message },
    /// The node closes its link.
    Close { peer: usize },
    /// It delivers entries after `before`, in `epoch`.
    Deliver { epoch: Epoch, before: Zxid, entries: Vec<Entry> },
    /// It writes the marker of `epoch` behind `log`.
    Establish { epoch: Epoch, log: Vec<Entry> },
    /// It drops entries.
    Drop { entries: Vec<Entry> },
    /// It writes entries.
    Wrote,
    /// Something worth counting.
    Sight(Sight),
}

/// The node after an event, and what it said.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    plan: &'a Plan,
    pub(crate) node: Node,
    pub(crate) emits: Vec<Emit>,
}

/// Does `event` to `node`; `message` is what an [`Event::Message`] brings.
pub(crate) fn step(
    plan: &Plan,
    node: &Node,
    event: Event,
    message: Option<&Message>,
) -> Result<(Node, Vec<Emit>), Violation> {
    let mut step = Step { plan, node: node.clone(), emits: Vec::new() };
    // The protocol's own assertions are a property like the others.
    let result = catch_unwind(AssertUnwindSafe(|| step.take(event, message)));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let detail = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        Err(Violation { property: "Assertion", detail: format!("node {}: {detail}", node.me) })
    });
    result.map(|()| (step.node, step.emits))
}

impl Step<'_> {
    fn take(&mut self, event: Event, message: Option<&Message>) -> Result<(), Violation> {
        match event {
            Event::Message { from, .. } => {
                let message = self.altered(message.expect("the event brings a message").clone());
                let input = self.from(from, message);
                self.inputs(AT_REST, [input])
            }
            Event::Connected { peer } => {
                self.node.last_link.0 += 1;
                let link = self.node.last_link;
                self.node.links[peer] = Some(link);
                self.inputs(AT_REST, [Input::Connected { peer: id(peer), link }])
            }
            Event::Disconnected { peer } => {
                let link = self.node.links[peer].take().expect("a link that breaks was there");
                self.inputs(AT_REST, [Input::Disconnected { peer: id(peer), link }])
            }
            Event::Disk => {
                let (ticket, records) = self.node.pending.pop_front().expect("the disk has something to do");
                self.write(records)?;
                self.inputs(AT_REST, [Input::Durable { ticket }])
            }
            Event::Elected { by } => {
                let own = Candidate { zxid: self.zab().last_zxid(), node: self.node.me };
                let vote = self.from(by, forged(own, Standing::Looking));
                self.inputs(AT_REST, [vote])
            }
            Event::Joins { leader } => {
                // The first vote, worse than any, only brings the node's round to the adversary's, so that rounds tell no
                // states apart.
                let worst = Candidate { zxid: Zxid::ZERO, node: NodeId(0) };
                let votes = [Standing::Looking, Standing::Leading].map(|standing| forged(worst, standing));
                let votes = votes.map(|vote| self.from(leader, vote));
                self.inputs(AT_REST, votes)
            }
            Event::Silence => self.inputs(AT_THE_END, [Input::Tick]),
            Event::Beat => {
                let now = Now { tick: self.zab().next_deadline(), ..AT_REST };
                self.inputs(now, [Input::Tick])
            }
            Event::Crash { kept } => self.crash(kept),
            Event::Start => self.start(),
            Event::Propose { number } => {
                let proposal = Proposal { tag: u64::from(number), payload: vec![number].into() };
                self.inputs(AT_REST, [Input::Propose { proposals: vec![proposal] }])
            }
        }
    }

    fn zab(&self) -> &Zab {
        self.node.zab.as_ref().expect("this happens to a node that runs")
    }

    fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.plan.sabotage == Some(sabotage)
    }

    fn from(&self, peer: usize, message: Message) -> Input {
        let link = self.node.links[peer].expect("messages come by a link");
        Input::Message { peer: id(peer), link, message }
    }

    /// Inputs at `now`, and the flush after them, at rest again.
    fn inputs(&mut self, now: Now, inputs: impl IntoIterator<Item = Input>) -> Result<(), Violation> {
        let zab = self.node.zab.as_mut().expect("this happens to a node that runs");
        let led = zab.role() == Role::Leading;
        let before = (zab.promise(), zab.delivered(), zab.committed());
        let log: Vec<Entry> = zab.log_entries().cloned().collect();
        let mut effects = Vec::new();
        inputs.into_iter().for_each(|input| zab.step(now, input, &mut effects));
        zab.flush(AT_REST, &mut effects);
        let after = (zab.promise(), zab.delivered(), zab.committed());
        let kept = after.0 == before.0 || after.0.epoch > before.0.epoch;
        ensure!(kept, "MonotonicPromise", "node {} goes from {:?} to {:?}", self.node.me, before.0, after.0);
        let forward = after.1 >= before.1 && after.2 >= before.2 && after.1 <= after.2;
        ensure!(forward, "MonotonicCommit", "node {} goes from {before:?} to {after:?}", self.node.me);
        for effect in effects {
            self.perform(effect, before.1, &log, led)?;
        }
        if self.sabotaged(Sabotage::EarlyDurable) || self.sabotaged(Sabotage::EarlyDurableUnchecked) {
            self.report_early()?;
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect, delivered: Zxid, log: &[Entry], led: bool) -> Result<(), Violation> {
        match effect {
            Effect::Persist { ticket, records } => {
                self.look_at(&records, log, led);
                self.node.pending.push_back((ticket, records));
            }
            Effect::Send { peer, link, message } => self.send(peer, link, message)?,
            Effect::Close { peer, link, .. } if self.node.links[index(peer)] == Some(link) => {
                self.node.links[index(peer)] = None;
                self.emits.push(Emit::Close { peer: index(peer) });
            }
            Effect::Deliver { entries } => {
                let epoch = self.zab().epoch();
                if entries.iter().any(|entry| !entry.is_marker()) {
                    self.emits.push(Emit::Sight(Sight::CommandDelivered));
                }
                if entries.iter().any(|entry| !entry.is_marker() && entry.zxid().epoch() < epoch) {
                    self.emits.push(Emit::Sight(Sight::OldCommandDelivered));
                }
                self.emits.push(Emit::Deliver { epoch, before: delivered, entries });
            }
            Effect::Serve { epoch, .. } => {
                let applied = self.zab().delivered() >= Zxid::marker(epoch);
                ensure!(applied, "ServeImpliesApplied", "node {} serves too early in {epoch}", self.node.me);
            }
            Effect::Trace(Trace::Truncated { .. }) => self.emits.push(Emit::Sight(Sight::Truncated)),
            _ => {}
        }
        Ok(())
    }

    /// What a batch for the disk tells about the protocol.
    fn look_at(&mut self, records: &[Record], log: &[Entry], led: bool) {
        let me = self.node.me;
        let promise = self.zab().promise();
        for record in records {
            match record {
                Record::Entry(entry) if entry.is_marker() && promise == own(entry.zxid().epoch(), me) => {
                    self.emits.push(Emit::Establish { epoch: promise.epoch, log: log.to_vec() });
                }
                Record::Truncate { after } => {
                    let dropped = log.iter().filter(|entry| entry.zxid() > *after).cloned();
                    self.emits.push(Emit::Drop { entries: dropped.collect() });
                }
                Record::Promise(promise) if led && promise.leader == me => {
                    self.emits.push(Emit::Sight(Sight::Raised));
                }
                _ => {}
            }
        }
        if records.iter().any(|record| matches!(record, Record::Entry(_))) {
            self.emits.push(Emit::Wrote);
        }
    }

    fn send(&mut self, peer: NodeId, link: LinkId, mut message: Message) -> Result<(), Violation> {
        if self.node.links[index(peer)] != Some(link) {
            return Ok(());
        }
        self.alter_watermark(&mut message);
        if !self.sabotaged(Sabotage::EarlyDurableUnchecked) {
            self.testify(peer, &message)?;
        }
        match message {
            Message::Vote(_) if self.plan.votes == Votes::Forged => {}
            Message::Append(append) => {
                for message in in_records(append) {
                    self.emits.push(Emit::Send { to: index(peer), message });
                }
            }
            message => self.emits.push(Emit::Send { to: index(peer), message }),
        }
        Ok(())
    }

    /// AckImpliesDurable and PromiseBeforeSpeech (I2, I9): the disk holds what the message claims.
    fn testify(&self, peer: NodeId, message: &Message) -> Result<(), Violation> {
        let (me, disk) = (self.node.me, &self.node.disk);
        let holds = |zxid| zxid == Zxid::ZERO || disk.entries.iter().any(|entry| entry.zxid() == zxid);
        let spoken = match message {
            Message::Ack(ack) => {
                ensure!(holds(ack.zxid), "AckImpliesDurable", "node {me} acks {}, has {disk:?}", ack.zxid);
                Some(Promise { epoch: ack.epoch, leader: peer })
            }
            Message::AckEpoch(ack) => {
                let there = holds(ack.last_zxid);
                ensure!(there, "AckImpliesDurable", "node {me} reports {}, has {disk:?}", ack.last_zxid);
                Some(Promise { epoch: ack.epoch, leader: peer })
            }
            Message::Vote(vote) if vote.standing == Standing::Looking && vote.candidate.node == me => {
                let zxid = vote.candidate.zxid;
                ensure!(holds(zxid), "AckImpliesDurable", "node {me} votes with {zxid}, has {disk:?}");
                None
            }
            Message::Hello(hello) => {
                let there = disk.promise.epoch >= hello.promised;
                ensure!(there, "PromiseBeforeSpeech", "node {me} tells {hello:?}, has {:?}", disk.promise);
                None
            }
            Message::NewEpoch(new) => Some(own(new.epoch, me)),
            Message::Truncate(truncate) => Some(own(truncate.epoch, me)),
            Message::Append(append) => Some(own(append.epoch, me)),
            Message::Heartbeat(heartbeat) => Some(own(heartbeat.epoch, me)),
            _ => None,
        };
        let kept = spoken.is_none_or(|spoken| disk.promise == spoken || disk.promise.epoch > spoken.epoch);
        ensure!(kept, "PromiseBeforeSpeech", "node {me} speaks of {spoken:?}, its disk of {:?}", disk.promise);
        Ok(())
    }

    fn write(&mut self, records: Vec<Record>) -> Result<(), Violation> {
        for record in records {
            let written = self.node.disk.replay(record).map_err(|error| error.to_string());
            ensure!(written.is_ok(), "LogContiguity", "node {}: {written:?}", self.node.me);
        }
        Ok(())
    }

    fn crash(&mut self, kept: usize) -> Result<(), Violation> {
        if kept > 0 && kept < self.node.pending_records() {
            self.emits.push(Emit::Sight(Sight::PartOnDisk));
        }
        let mut left = kept;
        for (_, mut records) in std::mem::take(&mut self.node.pending) {
            records.truncate(left);
            left -= records.len();
            self.write(records)?;
        }
        self.node = Node { pending: Default::default(), ..Node::new(index(self.node.me), self.node.disk.clone()) };
        Ok(())
    }

    fn start(&mut self) -> Result<(), Violation> {
        let last = self.node.disk.last_zxid().epoch();
        if self.sabotaged(Sabotage::ForgetPromise) && self.node.disk.promise.epoch > last {
            self.node.disk.promise = Promise { epoch: last, leader: NodeId(0) };
        }
        self.node.zab = Some(Zab::new(config(self.node.me), &self.node.disk, AT_REST));
        self.inputs(AT_REST, [Input::Tick])
    }

    /// The disk is said to have what it was only handed.
    fn report_early(&mut self) -> Result<(), Violation> {
        let Some(ticket) = self.node.pending.back().map(|(ticket, _)| *ticket) else { return Ok(()) };
        let zab = self.node.zab.as_mut().expect("this happens to a node that runs");
        let (delivered, log) = (zab.delivered(), zab.log_entries().cloned().collect::<Vec<_>>());
        let mut effects = Vec::new();
        zab.step(AT_REST, Input::Durable { ticket }, &mut effects);
        zab.flush(AT_REST, &mut effects);
        let again = effects.iter().any(|effect| matches!(effect, Effect::Persist { .. }));
        for effect in effects {
            self.perform(effect, delivered, &log, false)?;
        }
        if again { self.report_early() } else { Ok(()) }
    }

    /// What sabotage makes of a message that arrives.
    fn altered(&mut self, mut message: Message) -> Message {
        let last = self.zab().last_zxid();
        if let Message::AckEpoch(ack) = &mut message
            && ack.last_zxid > last
        {
            if self.sabotaged(Sabotage::SkipD5) {
                ack.last_zxid = last;
            } else if self.node.is_leading() && ack.epoch == self.zab().epoch() && last.epoch() < ack.epoch {
                self.emits.push(Emit::Sight(Sight::Overtaken));
            }
        }
        message
    }

    /// What sabotage makes of the watermark that a leader tells.
    fn alter_watermark(&self, message: &mut Message) {
        let commit = match message {
            Message::Append(append) => &mut append.commit,
            Message::Heartbeat(heartbeat) => &mut heartbeat.commit,
            _ => return,
        };
        let zab = self.zab();
        if self.sabotaged(Sabotage::EarlyCommit) {
            *commit = zab.last_zxid();
        } else if self.sabotaged(Sabotage::CountOldEpoch) {
            let ensemble = config(self.node.me).ensemble;
            let peers = ensemble.others(self.node.me).filter_map(|peer| Some((peer, zab.acked_by(peer)?)));
            let acks: Vec<_> = peers.chain([(self.node.me, zab.durable_zxid())]).collect();
            *commit = ensemble.acknowledged_by_quorum(acks).max(*commit);
        }
    }
}

fn own(epoch: Epoch, leader: NodeId) -> Promise {
    Promise { epoch, leader }
}

/// A vote of the adversary: its round is above all, and the node takes the greatest round that it allows.
fn forged(candidate: Candidate, standing: Standing) -> Message {
    Message::Vote(Vote { round: u64::MAX, candidate, standing })
}

/// The same records in as many messages: a leader with small frames would send them so. Between any two of them a
/// follower may be interrupted.
fn in_records(append: Append) -> Vec<Message> {
    if append.entries.is_empty() {
        return vec![Message::Append(append)];
    }
    let Append { epoch, mut previous, commit, entries } = append;
    let single = entries.into_iter().map(|entry| {
        let before = std::mem::replace(&mut previous, entry.zxid());
        Message::Append(Append { epoch, previous: before, commit, entries: vec![entry] })
    });
    single.collect()
}
