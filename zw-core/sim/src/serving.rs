//! A process's side of its clients: requests become inputs, wait, and are answered, as the runtime's contract says.
//!
//! - A write that finds no leader waits for one, for a bounded time; then it is refused, never proposed.
//! - A write that was proposed is answered when its entry is applied here; unknown if the node is suspended before.
//! - A read waits until the tree is as far as the session has seen, or as the barrier says.

use crate::client::watches::left_by;
use crate::client::{Answer, Operation, Parcel};
use crate::event::Event;
use crate::history::{Look, ReadResult};
use crate::invariants::{Verdict, Violation};
use crate::process::{Work, id_of};
use crate::sabotage::Sabotage;
use crate::world::World;
use zw_core::ids::{ConnectionId, Epoch, Zxid};
use zw_core::limits::REQUEST_DEADLINE;
use zw_core::tree::command::{Envelope, Reply, TreeError};
use zw_core::tree::watch::WatchKind;
use zw_core::zab::effects::{Input, Proposal, Role};

impl World {
    /// A client's request reaches the process: it becomes an input, is answered, or waits.
    pub(crate) fn take_request(
        &mut self,
        node: usize,
        client: usize,
        request: u64,
    ) -> Result<Option<Input>, Violation> {
        let Some(asked) = self.clients[client].requests.get(&request) else { return Ok(None) };
        let (is_barrier, is_write) =
            (matches!(asked.operation, Operation::BarrierRead(_)), matches!(asked.operation, Operation::Write(_)));
        let (seen, connection) = (asked.seen, asked.connection);
        self.touch(node, connection);
        let impatient = self.sabotaged(Sabotage::ForgetSeen);
        let process = self.nodes[node].process.as_mut().expect("a running process takes requests");
        let Some(served) = process.side.connections.get(&connection) else {
            // The node has closed the connection.
            return Ok(None);
        };
        let attached = served.session.is_some();
        if is_write && process.zab.is_serving() {
            return self.propose(node, client, request).map(Some);
        }
        if is_write {
            let tag = process.next_tag();
            process.waiting.insert(tag, (client, request));
            let incarnation = process.incarnation;
            let deadline = u64::try_from(REQUEST_DEADLINE.as_micros()).expect("some seconds");
            self.agenda.after(deadline, Event::RequestDeadline { node, incarnation, tag });
            return Ok(None);
        }
        if is_barrier {
            let tag = process.next_tag();
            process.barriers.insert(tag, (client, request));
            let (leads, committed) = (process.zab.role() == Role::Leading, process.zab.committed());
            if leads && self.sabotaged(Sabotage::BarrierWithoutEcho) {
                self.barrier_stands(node, tag, committed)?;
                return Ok(None);
            }
            if self.sabotaged(Sabotage::LocalBarrier) {
                self.barrier_stands(node, tag, Zxid::ZERO)?;
                return Ok(None);
            }
            return Ok(Some(Input::ReadBarrier { tag }));
        }
        // The entry that attached the session is later than all that its client has seen, and is applied here. A client
        // without one asks what is applied before it goes on: the wait stands for that.
        let floor = if impatient || attached { Zxid::ZERO } else { seen };
        process.reads.push((floor, client, request));
        self.answer_reads(node)?;
        Ok(None)
    }

    fn propose(&mut self, node: usize, client: usize, request: u64) -> Result<Input, Violation> {
        let early = self.sabotaged(Sabotage::AnswerEarly);
        let process = self.nodes[node].process.as_mut().expect("a running process proposes");
        let asked = &self.clients[client].requests[&request];
        let connection = asked.connection;
        let Operation::Write(command) = asked.operation.clone() else { unreachable!("only writes are proposed") };
        let tag = process.next_tag();
        process.proposed.insert(tag, (client, request));
        let (session, generation) =
            process.side.connections.get(&connection).and_then(|served| served.session).unwrap_or_default();
        let origin = id_of(node);
        self.invariants.integrity.proposes(origin, tag);
        self.invariants.sessions.proposes(origin, tag, connection);
        let envelope = Envelope { origin, tag, session, generation, command };
        if self.sabotaged(Sabotage::RefuseAndPropose) && self.fault_prng.chance(50) {
            self.reject(node, tag)?;
        }
        if early {
            let process = self.nodes[node].process.as_ref().expect("it was there");
            let zxid = process.zab.last_zxid();
            self.acknowledge(node, tag, zxid, &Err(TreeError::Invalid("answered early".into())))?;
        }
        Ok(Input::Propose { proposals: vec![Proposal { tag, payload: envelope.encode() }] })
    }

    /// Answers a request on its connection, if that is there; the answer travels back.
    pub(crate) fn answer(&mut self, client: usize, request: u64, answer: Answer) {
        let Some(asked) = self.clients[client].requests.remove(&request) else { return };
        let connection = asked.connection;
        let process = self.nodes[asked.node].process.as_ref();
        if process.is_none_or(|process| !process.side.connections.contains_key(&connection)) {
            return;
        }
        if let Some(zxid) = answer.zxid()
            && let Err(violation) = self.invariants.watches.answers(connection, zxid, self.history.events())
        {
            self.fail(violation);
        }
        self.send_back(client, connection, Parcel::Answer(request, Box::new(asked), answer));
    }

    pub(crate) fn acknowledge(
        &mut self,
        node: usize,
        tag: u64,
        zxid: Zxid,
        reply: &Result<Reply, TreeError>,
    ) -> Verdict {
        let process = self.nodes[node].process.as_mut().expect("a running process answers");
        let Some((client, request)) = process.proposed.remove(&tag) else { return Ok(()) };
        let Some(asked) = self.clients[client].requests.get(&request) else { return Ok(()) };
        let checkers = (&self.invariants.integrity, &self.invariants.digests);
        let verdict = self.history.acknowledged((id_of(node), tag), zxid, reply, asked.floor, checkers);
        self.oracles.by_zxids(verdict)?;
        self.answer(client, request, Answer::Written(zxid, reply.clone()));
        Ok(())
    }

    pub(crate) fn open_for_writes(&mut self, node: usize, epoch: Epoch) -> Verdict {
        let process = self.nodes[node].process.as_mut().expect("a running process serves");
        crate::invariants::monotonic::Monotonic::serves(node, epoch, process.zab.delivered())?;
        // What waited comes before what came later.
        for (client, request) in std::mem::take(&mut process.waiting).into_values().rev() {
            process.inbox.push_front(Work::Request { client, request });
        }
        Ok(())
    }

    pub(crate) fn suspend(&mut self, node: usize) {
        let process = self.nodes[node].process.as_mut().expect("a running process suspends");
        let unknown = std::mem::take(&mut process.proposed);
        let barriers = std::mem::take(&mut process.barriers);
        for (client, request) in unknown.into_values() {
            self.answer(client, request, Answer::Unknown);
        }
        for (client, request) in barriers.into_values() {
            self.answer(client, request, Answer::Refused);
        }
    }

    pub(crate) fn reject(&mut self, node: usize, tag: u64) -> Verdict {
        let process = self.nodes[node].process.as_mut().expect("a running process rejects");
        if let Some((client, request)) = process.barriers.remove(&tag) {
            self.answer(client, request, Answer::Refused);
            return Ok(());
        }
        if let Some((client, request)) = process.proposed.remove(&tag) {
            self.answer(client, request, Answer::Refused);
        }
        if !self.invariants.integrity.knows(id_of(node), tag) {
            return Ok(());
        }
        self.counts.add("write rejected");
        self.invariants.integrity.refuses(id_of(node), tag)
    }

    /// A write found no leader in time: refused, unless it was proposed meanwhile.
    pub(crate) fn request_deadline(&mut self, node: usize, tag: u64) {
        if let Some(process) = &mut self.nodes[node].process
            && let Some((client, request)) = process.waiting.remove(&tag)
        {
            self.answer(client, request, Answer::Refused);
        }
    }

    pub(crate) fn barrier_stands(&mut self, node: usize, tag: u64, zxid: Zxid) -> Verdict {
        let impatient = self.sabotaged(Sabotage::ImpatientBarrier);
        let process = self.nodes[node].process.as_mut().expect("a running process answers barriers");
        if let Some((client, request)) = process.barriers.remove(&tag) {
            process.reads.push((if impatient { Zxid::ZERO } else { zxid }, client, request));
        }
        self.answer_reads(node)
    }

    /// Answers the reads whose zxid is applied.
    pub(crate) fn answer_reads(&mut self, node: usize) -> Verdict {
        let process = self.nodes[node].process.as_mut().expect("a running process answers reads");
        let applied = process.tree.applied();
        let ready: Vec<_> = process.reads.extract_if(.., |(wanted, ..)| *wanted <= applied).collect();
        for (_, client, request) in ready {
            let Some(asked) = self.clients[client].requests.get(&request) else { continue };
            let (seen, floor, connection) = (asked.seen, asked.floor, asked.connection);
            let operation = asked.operation.clone();
            let process = self.nodes[node].process.as_mut().expect("it was there");
            let (property, path, look, floor, leaves) = match operation {
                Operation::Read { path, look, watch } => ("SessionMonotonicReads", path, look, seen, watch),
                Operation::BarrierRead(path) => ("LinearizableReads", path, Look::Get, floor.max(seen), false),
                Operation::SetWatches(seen, watches) => {
                    self.rearm(node, (client, request), seen, &watches)?;
                    continue;
                }
                Operation::AddWatch(kind, path) => {
                    self.answer(client, request, Answer::Done(applied));
                    self.leave_watch(node, connection, kind, &path);
                    continue;
                }
                Operation::Ping => {
                    self.answer(client, request, Answer::Done(applied));
                    continue;
                }
                Operation::Write(_) => unreachable!("writes do not wait as reads"),
            };
            let tree = &process.tree;
            let result = match &look {
                Look::Get => ReadResult::Data(tree.get(&path)),
                Look::Exists => ReadResult::Stat(tree.stat(&path)),
                Look::Children { after, limit } => ReadResult::Children(tree.children(&path, after, *limit, false)),
            };
            self.oracles.by_zxids(self.history.read(property, (&path, &look), applied, &result, floor))?;
            let left = left_by(&look, &result).filter(|_| leaves);
            self.answer(client, request, Answer::Read(applied, result));
            if let Some(kind) = left {
                self.leave_watch(node, connection, kind, &path);
            }
        }
        Ok(())
    }

    /// The answer that was just sent has left a watch.
    fn leave_watch(&mut self, node: usize, connection: ConnectionId, kind: WatchKind, path: &str) {
        let side = &mut self.nodes[node].process.as_mut().expect("a running process answers").side;
        if side.connections.contains_key(&connection) && side.watches.add(connection, path, kind).is_ok() {
            self.counts.add("watch");
            self.invariants.watches.registers(connection, kind, path);
        }
    }
}
