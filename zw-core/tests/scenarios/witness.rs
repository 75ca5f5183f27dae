//! What must hold whatever the script does. The stage tells the witness of every step; it compares with what the disks
//! really hold, never with what a node believes.
//!
//! - Agreement: what is delivered anywhere is one sequence, and the trees' digests agree at each zxid.
//! - Committed on a quorum: what is delivered lies on the disks of a quorum by then, crashed ones included.
//! - I2, I4, B2: an ack names what is durable at its sender and equal to its leader's log, and never goes back.
//! - I3, I6: a zxid has one content and one predecessor, on whichever disk.
//! - I8: what was delivered anywhere is truncated nowhere.
//! - I9: a promise is durable before it is spoken, and never forgotten. A vote tells of a durable log (E1, drain).
//! - I10: an ephemeral's session exists. D5: a leader begins with all that was ever delivered. One leader an epoch.
//! - Barriers: the answer covers all that was delivered anywhere when it was asked.

use crate::node::{Node, State};
use std::collections::BTreeMap;
use zw_core::ensemble::Ensemble;
use zw_core::ids::{Epoch, LinkId, NodeId, SessionId, Zxid};
use zw_core::log::record::{Entry, Record};
use zw_core::tree::Tree;
use zw_core::zab::message::{Ack, Message, Standing, Vote};

/// The nodes of a stage.
pub(crate) type Nodes = BTreeMap<NodeId, Node>;

/// Sees everything, forgets nothing.
#[derive(Default)]
pub(crate) struct Witness {
    /// The one sequence of deliveries.
    canon: Vec<Entry>,
    digests: BTreeMap<Zxid, u64>,
    content: BTreeMap<Zxid, (Zxid, Entry)>,
    spoken: BTreeMap<NodeId, Epoch>,
    leaders: BTreeMap<Epoch, NodeId>,
    acks: BTreeMap<(NodeId, NodeId, LinkId), (Epoch, Zxid)>,
    barriers: BTreeMap<u64, Zxid>,
    /// What did not hold.
    pub(crate) broken: Vec<String>,
}

impl Witness {
    fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(otherwise());
        }
    }

    fn delivered_anywhere(&self) -> Zxid {
        self.canon.last().map_or(Zxid::ZERO, Entry::zxid)
    }

    /// `node` starts.
    pub(crate) fn starts(&mut self, id: NodeId, node: &Node) {
        let (promised, spoken) = (node.disk.durable.promise.epoch, self.spoken.get(&id).copied().unwrap_or_default());
        self.check(promised >= spoken, || format!("I9: {id} promised epoch {spoken} and remembers only {promised}"));
    }

    /// `node` hands records to its disk.
    pub(crate) fn writes(&mut self, id: NodeId, node: &Node, last: &mut Zxid, records: &[Record]) {
        for record in records {
            match record {
                Record::Entry(entry) => {
                    let known = self.content.entry(entry.zxid()).or_insert_with(|| (*last, entry.clone())).clone();
                    self.check(known == (*last, entry.clone()), || {
                        format!(
                            "I3: {id} has {} after {last}; elsewhere it comes after {} or differs",
                            entry.zxid(),
                            known.0
                        )
                    });
                    let leads = node.zab.as_ref().is_some_and(|zab| zab.leader() == Some(id));
                    if entry.is_marker() && leads {
                        self.leads(id, node, entry.zxid().epoch());
                    }
                    *last = entry.zxid();
                }
                Record::Truncate { after } => {
                    let lost = self.canon.iter().find(|entry| entry.zxid() > *after && entry.zxid() <= *last);
                    let lost = lost.map(Entry::zxid);
                    self.check(lost.is_none(), || format!("I8: {id} truncates {lost:?}, which was delivered"));
                    *last = *after;
                }
                Record::Snapshot(snapshot) => *last = snapshot.zxid.max(*last),
                Record::Promise(_) => {}
            }
        }
    }

    fn leads(&mut self, id: NodeId, node: &Node, epoch: Epoch) {
        let leader = *self.leaders.entry(epoch).or_insert(id);
        self.check(leader == id, || format!("{leader} and {id} both lead epoch {epoch}"));
        let Some(zab) = &node.zab else { return };
        let has = |entry: &&Entry| entry.zxid() <= zab.log_start() || zab.log_entries().any(|own| own == *entry);
        let lacks = self.canon.iter().find(|entry| !has(entry)).map(Entry::zxid);
        self.check(lacks.is_none(), || format!("D5: {id} leads epoch {epoch} without {lacks:?}, which was delivered"));
    }

    /// `node` delivered; `state` holds it already.
    pub(crate) fn delivered(&mut self, id: NodeId, nodes: &Nodes, ensemble: &Ensemble, from: usize) {
        let state = &nodes[&id].state;
        for (index, entry) in state.applied.iter().enumerate().skip(from) {
            match self.canon.get(index).map(|known| (known.zxid(), known == entry)) {
                Some((known, same)) => {
                    self.check(same, || format!("Agreement: {id} delivers {}, not {known}", entry.zxid()));
                }
                None => {
                    let holders = nodes.iter().filter(|(_, node)| node.disk.holds(entry.zxid())).map(|(id, _)| *id);
                    let holders: Vec<NodeId> = holders.collect();
                    self.check(ensemble.contains_quorum(holders.iter().copied()), || {
                        format!("{id} delivers {}, which is on the disks of {holders:?} only", entry.zxid())
                    });
                    self.canon.push(entry.clone());
                }
            }
        }
        self.same_digest(id, state);
        for (path, owner) in ephemerals(&state.tree, "/") {
            self.check(state.tree.session(owner).is_some(), || format!("I10: {path} outlives its session at {id}"));
        }
    }

    fn same_digest(&mut self, id: NodeId, state: &State) {
        let digest = *self.digests.entry(state.last()).or_insert(state.tree.digest());
        let same = digest == state.tree.digest() && state.tree.applied() == state.last();
        self.check(same, || {
            format!("I1: {id} has another tree at {} than the node that was there first", state.last())
        });
    }

    /// `from` sends.
    pub(crate) fn sends(&mut self, nodes: &Nodes, way: (NodeId, NodeId, LinkId), message: &Message) {
        let (from, _, _) = way;
        let Some(node) = nodes.get(&from) else { return };
        let durable = node.disk.durable.last_zxid();
        match message {
            Message::Vote(Vote { candidate, standing: Standing::Looking, .. }) => {
                let truth = candidate.node != from || candidate.zxid == durable;
                let drained = node.zab.as_ref().is_none_or(|zab| zab.last_zxid() == durable);
                self.check(truth && drained, || format!("drain: {from} votes before its log is durable ({durable})"));
            }
            Message::Hello(hello) => self.speaks(from, node, hello.promised),
            Message::NewEpoch(new) => self.speaks(from, node, new.epoch),
            Message::Heartbeat(heartbeat) => self.speaks(from, node, heartbeat.epoch),
            Message::Append(append) => self.speaks(from, node, append.epoch),
            Message::AckEpoch(ack) => {
                self.speaks(from, node, ack.epoch);
                let truth = ack.last_zxid == durable;
                self.check(truth, || format!("D3: {from} says {}, its disk ends at {durable}", ack.last_zxid));
            }
            Message::Ack(ack) => self.acks(nodes, way, ack),
            _ => {}
        }
    }

    fn speaks(&mut self, id: NodeId, node: &Node, epoch: Epoch) {
        let promised = node.disk.durable.promise.epoch;
        self.check(promised >= epoch, || format!("I9: {id} speaks of epoch {epoch}; its disk promises {promised}"));
        let spoken = self.spoken.entry(id).or_default();
        *spoken = epoch.max(*spoken);
    }

    fn acks(&mut self, nodes: &Nodes, way: (NodeId, NodeId, LinkId), ack: &Ack) {
        let (from, to, _) = way;
        let (node, zxid) = (&nodes[&from], ack.zxid);
        self.speaks(from, node, ack.epoch);
        let durable = node.disk.durable.last_zxid();
        self.check(node.disk.holds(zxid), || format!("I2: {from} acknowledges {zxid}; its disk ends at {durable}"));
        let before = self.acks.insert(way, (ack.epoch, zxid)).unwrap_or_default();
        self.check(before <= (ack.epoch, zxid), || format!("I4: {from} acknowledges {zxid} after {before:?}"));
        let Some(leader) = nodes.get(&to).and_then(|leader| leader.zab.as_ref()) else { return };
        if leader.leader() == Some(to) && leader.last_zxid().epoch() == ack.epoch {
            let of_leader = |entry: &Entry| leader.log_entries().any(|own| own == entry);
            let entries =
                node.disk.durable.entries.iter().filter(|e| e.zxid() <= zxid && e.zxid() > leader.log_start());
            let differs = entries.map(|entry| (entry.zxid(), of_leader(entry))).find(|(_, same)| !same);
            self.check(differs.is_none(), || format!("B2: {from} acknowledges {zxid}, {to} does not have {differs:?}"));
        }
    }

    /// A node opens for clients.
    pub(crate) fn serves(&mut self, id: NodeId, delivered: Zxid, epoch: Epoch) {
        let caught_up = delivered >= Zxid::marker(epoch);
        self.check(caught_up, || format!("S5: {id} serves in epoch {epoch}, having delivered {delivered} only"));
    }

    /// A barrier is asked anywhere.
    pub(crate) fn asks_barrier(&mut self, tag: u64) {
        self.barriers.insert(tag, self.delivered_anywhere());
    }

    /// It is answered.
    pub(crate) fn answers_barrier(&mut self, id: NodeId, tag: u64, zxid: Zxid) {
        let needed = self.barriers.get(&tag).copied().unwrap_or_default();
        self.check(zxid >= needed, || format!("stale read: {id} may read at {zxid}; {needed} was delivered before"));
    }
}

/// All ephemeral znodes at and below `path`, with their owners.
pub(crate) fn ephemerals(tree: &Tree, path: &str) -> Vec<(String, SessionId)> {
    paths(tree, path).into_iter().filter(|(_, owner)| *owner != SessionId::NONE).collect()
}

/// All znodes below `path`, with their owners.
pub(crate) fn paths(tree: &Tree, path: &str) -> Vec<(String, SessionId)> {
    let Ok(page) = tree.children(path, "", 0, true) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, stat) in page.names.iter().zip(&page.stats) {
        let child = format!("{}/{name}", path.trim_end_matches('/'));
        found.push((child.clone(), stat.ephemeral_owner));
        found.extend(paths(tree, &child));
    }
    found
}
