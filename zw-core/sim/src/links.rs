//! A process's side of its connections: dialing, accepting, receiving, closing; and what it writes and sends.

use crate::clock::{Micros, SECOND};
use crate::event::Event;
use crate::invariants::log_matching::LogMatching;
use crate::invariants::{Verdict, committed_immutable, ensure};
use crate::network::{Network, Packet};
use crate::process::{id_of, index_of};
use crate::sabotage::Sabotage;
use crate::world::World;
use zw_core::ids::{LinkId, NodeId, Ticket, Zxid};
use zw_core::limits::CONNECT_TIMEOUT;
use zw_core::log::record::{Promise, Record};
use zw_core::zab::effects::Input;
use zw_core::zab::message::Message;

/// A connection that a process tries to make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dial {
    /// The attempt in progress.
    connection: Option<u64>,
    /// When the next attempt is due.
    next: Micros,
    failures: u32,
}

impl World {
    pub(crate) fn dial_at(&mut self, low: usize, high: usize, at: Micros) {
        if let Some(process) = &mut self.nodes[low].process {
            process.dials.entry(high).or_default().next = at;
            self.agenda.at(at, Event::Dial { low, high });
        }
    }

    /// A dial is due, unless another one took its place.
    pub(crate) fn dial(&mut self, low: usize, high: usize) {
        let now = self.agenda.now();
        let Some(process) = &mut self.nodes[low].process else { return };
        let Some(dial) = process.dials.get_mut(&high) else { return };
        if dial.next != now || process.links.contains_key(&high) {
            return;
        }
        let opened = self.network.open(low, high, &mut self.agenda);
        if let Some(abandoned) = dial.connection.replace(opened) {
            self.network.send(abandoned, low, Packet::Close, &mut self.agenda);
        }
        let patience = u64::try_from(CONNECT_TIMEOUT.as_micros()).expect("some seconds");
        self.dial_at(low, high, now + patience);
    }

    fn redial(&mut self, low: usize, high: usize) {
        let now = self.agenda.now();
        let Some(process) = &mut self.nodes[low].process else { return };
        let dial = process.dials.entry(high).or_default();
        dial.connection = None;
        let wait = Network::back_off(dial.failures);
        dial.failures += 1;
        assert!(wait <= SECOND, "the back-off is bounded");
        self.dial_at(low, high, now + wait);
    }

    /// The head of one direction of a connection arrives.
    pub(crate) fn arrive(&mut self, connection: u64, from_dialer: bool) {
        let Some(arrival) = self.network.arrive(connection, from_dialer, &mut self.agenda) else { return };
        let (node, peer) = (arrival.node, arrival.peer);
        let process = self.nodes[node].process.as_mut();
        let current = process.as_ref().and_then(|p| p.links.get(&peer)).filter(|(c, _)| *c == connection);
        let link = current.map(|(_, link)| *link);
        let dialed =
            process.as_ref().is_some_and(|p| p.dials.get(&peer).is_some_and(|d| d.connection == Some(connection)));
        match arrival.packet {
            Packet::Open if process.is_some() => {
                self.connected(node, peer, connection);
                self.network.send(connection, node, Packet::Accept, &mut self.agenda);
            }
            Packet::Accept if dialed => {
                process.expect("only a process dials").dials.remove(&peer);
                self.connected(node, peer, connection);
            }
            Packet::Data(mut message) if link.is_some() => {
                let link = link.expect("it was just looked at");
                self.misread(node, &mut message);
                self.push(node, Input::Message { peer: id_of(peer), link, message });
            }
            Packet::Close => {
                if let Some(link) = link {
                    process.expect("only a process has links").links.remove(&peer);
                    self.push(node, Input::Disconnected { peer: id_of(peer), link });
                }
                if node < peer && (link.is_some() || dialed) {
                    self.redial(node, peer);
                }
            }
            // Nobody here knows this connection.
            _ => self.network.send(connection, node, Packet::Close, &mut self.agenda),
        }
    }

    fn connected(&mut self, node: usize, peer: usize, connection: u64) {
        let process = self.nodes[node].process.as_mut().expect("a running process connects");
        process.last_link += 1;
        let link = LinkId(process.last_link);
        process.links.insert(peer, (connection, link));
        self.counts.add("connection");
        self.disturb();
        self.push(node, Input::Connected { peer: id_of(peer), link });
    }

    /// The protocol closes a connection.
    pub(crate) fn close(&mut self, node: usize, peer: usize, link: LinkId, reason: &'static str) {
        self.note(node, || format!("closes the link to {}: {reason}", peer + 1));
        let home = &mut self.nodes[node];
        let process = home.process.as_mut().expect("a running process closes");
        let Some((connection, _)) = process.links.get(&peer).copied().filter(|(_, current)| *current == link) else {
            return;
        };
        process.links.remove(&peer);
        self.counts.add("connection closed by the protocol");
        // The socket's own end may be reported to the protocol as well, or not.
        if home.prng.chance(500) {
            process.push(Input::Disconnected { peer: id_of(peer), link });
        }
        self.network.send(connection, node, Packet::Close, &mut self.agenda);
        if node < peer {
            self.redial(node, peer);
        }
    }

    /// The protocol sends a message.
    pub(crate) fn send(&mut self, node: usize, peer: NodeId, link: LinkId, mut message: Message) -> Verdict {
        self.alter(node, &mut message);
        let home = &self.nodes[node];
        crate::invariants::ack_implies_durable::check(id_of(node), peer, &message, home.disk.durable())?;
        let process = home.process.as_ref().expect("a running process sends");
        if let Some((connection, current)) = process.links.get(&index_of(peer)).copied()
            && current == link
        {
            self.note(node, || format!("-> {peer}: {message:?}"));
            self.count_message(&message);
            self.network.send(connection, node, Packet::Data(message), &mut self.agenda);
        }
        Ok(())
    }

    /// Changes a message that arrives, as the sabotage wants.
    fn misread(&mut self, node: usize, message: &mut Message) {
        let (Some(Sabotage::IgnorePrevious), Message::Append(append)) = (self.options.sabotage, message) else {
            return;
        };
        // A marker may follow anything, so only what is missing before one is not noticed by the counters.
        let marker = append.entries.iter().position(|entry| entry.is_marker()).unwrap_or_default();
        if marker > 0 && self.fault_prng.chance(300) {
            append.entries.drain(..marker);
            let process = self.nodes[node].process.as_ref();
            append.previous = process.map_or(append.previous, |process| process.zab.last_zxid());
        }
    }

    /// Changes a message as the sabotage wants.
    fn alter(&self, node: usize, message: &mut Message) {
        let Some(sabotage) = self.options.sabotage else { return };
        let disk = &self.nodes[node].disk;
        match (sabotage, message) {
            (Sabotage::AckReceived, Message::Ack(ack)) => ack.zxid = disk.appended().last_zxid(),
            (Sabotage::EarlyCommit, Message::Append(append)) => append.commit = disk.appended().last_zxid(),
            (Sabotage::EarlyCommit, Message::Heartbeat(beat)) => beat.commit = disk.appended().last_zxid(),
            (Sabotage::LoseTouches, Message::HeartbeatAck(ack)) => ack.touched.clear(),
            (Sabotage::UnderstateLog, Message::AckEpoch(ack)) => ack.last_zxid = disk.durable().snapshot.zxid,
            _ => {}
        }
    }

    /// The protocol writes records.
    pub(crate) fn persist(&mut self, node: usize, ticket: Ticket, records: Vec<Record>) -> Verdict {
        for record in &records {
            self.check_record(node, record)?;
        }
        self.counts.add_many("record written", records.len() as u64);
        if self.sabotaged(Sabotage::ApplyUncommitted) {
            self.apply_uncommitted(node, &records);
        }
        self.nodes[node].disk.append(ticket, records);
        if self.sabotaged(Sabotage::EarlyDurable) {
            self.push(node, Input::Durable { ticket });
        }
        self.start_write(node);
        Ok(())
    }

    fn check_record(&mut self, node: usize, record: &Record) -> Verdict {
        let home = &mut self.nodes[node];
        let log = home.disk.appended();
        let incarnation = home.incarnations;
        let mut established = false;
        let mut before = Vec::new();
        match record {
            Record::Entry(entry) => {
                let previous = log.last_zxid();
                self.invariants.log_matching.writes(node, previous, entry)?;
                let epoch = entry.zxid().epoch();
                if entry.is_marker() && log.promise == (Promise { epoch, leader: id_of(node) }) {
                    let (leadership, agreement) = (&mut self.invariants.leadership, &self.invariants.agreement);
                    leadership.established(node, incarnation, epoch, log, agreement)?;
                    established = true;
                }
            }
            Record::Truncate { after } => {
                committed_immutable::truncates(node, *after, self.invariants.agreement.delivered_by(node))?;
                before = log.entries.clone();
                self.counts.add("truncation");
            }
            Record::Snapshot(snapshot) => {
                self.invariants.digests.claims(node, snapshot.zxid, snapshot.digest)?;
                before = log.entries.clone();
                self.counts.add("snapshot recorded");
            }
            Record::Promise(_) => {}
        }
        if established {
            self.leader_established(node, incarnation);
        }
        self.note(node, || format!("writes {record:?}"));
        let home = &mut self.nodes[node];
        home.disk.expect(record).map_err(|error| LogMatching::hole(node, &error))?;
        committed_immutable::check(node, &before, home.disk.appended(), &self.invariants.agreement)
    }

    fn apply_uncommitted(&mut self, node: usize, records: &[Record]) {
        let process = self.nodes[node].process.as_mut().expect("a running process writes");
        for record in records {
            if let Record::Entry(entry) = record
                && process.tree.applied().precedes(entry.zxid())
            {
                process.tree.apply_entry(entry);
            }
        }
    }

    pub(crate) fn start_write(&mut self, node: usize) {
        let home = &mut self.nodes[node];
        if let Some(takes) = home.disk.start_write(self.agenda.now()) {
            let incarnation = home.incarnations;
            self.agenda.after(takes.max(1), Event::Synced { node, incarnation });
        }
    }

    /// The write in progress is on disk.
    pub(crate) fn synced(&mut self, node: usize) -> Verdict {
        ensure!(!self.sabotaged(Sabotage::Canary), "Canary", "this sabotage fails at the first write");
        if self.nodes[node].disk.has_failed() {
            // Whatever the kernel kept of it: the process must not go on.
            self.counts.add("process ended by a disk error");
            self.crash(node, "a write of the log failed");
            return Ok(());
        }
        let ticket = self.nodes[node].disk.finish_write().map_err(|error| LogMatching::hole(node, &error))?;
        self.counts.add("write synced");
        self.note(node, || format!("has everything up to ticket {ticket} on disk"));
        if !self.sabotaged(Sabotage::EarlyDurable) {
            self.push(node, Input::Durable { ticket });
        }
        self.start_write(node);
        Ok(())
    }

    fn count_message(&mut self, message: &Message) {
        self.counts.add(match message {
            Message::Vote(_) => "message Vote",
            Message::Hello(_) => "message Hello",
            Message::NewEpoch(_) => "message NewEpoch",
            Message::AckEpoch(_) => "message AckEpoch",
            Message::Truncate(_) => "message Truncate",
            Message::SnapshotOffer(_) => "message SnapshotOffer",
            Message::Append(_) => "message Append",
            Message::Ack(_) => "message Ack",
            Message::Heartbeat(_) => "message Heartbeat",
            Message::HeartbeatAck(_) => "message HeartbeatAck",
            Message::Forward(_) => "message Forward",
            Message::ForwardReply(_) => "message ForwardReply",
            Message::BarrierRequest(_) => "message BarrierRequest",
            Message::BarrierReply(_) => "message BarrierReply",
            Message::Goodbye(_) => "message Goodbye",
            Message::Digest(_) => "message Digest",
        });
    }

    /// The end of the log that a node has handed to its disk.
    #[must_use]
    pub fn appended_zxid(&self, node: usize) -> Zxid {
        self.nodes[node].disk.appended().last_zxid()
    }
}
