//! A process's side of its clients: requests become inputs, wait, and are answered, as the runtime's contract says.
//!
//! - A write that finds no leader waits for one, for a bounded time; then it is refused, never proposed.
//! - A write that was proposed is answered when its entry is applied here; unknown if the node is suspended before.
//! - A read waits until the tree is as far as the session has seen, or as the barrier says.

use crate::client::{Answer, Operation};
use crate::event::Event;
use crate::invariants::{Verdict, Violation};
use crate::process::id_of;
use crate::sabotage::Sabotage;
use crate::world::World;
use zw_core::ids::{Epoch, SessionId, Zxid};
use zw_core::limits::REQUEST_DEADLINE;
use zw_core::tree::command::{Envelope, Reply, TreeError};
use zw_core::zab::effects::{Input, Proposal};

impl World {
    /// A client's request reaches the process: it becomes an input, is answered, or waits.
    pub(crate) fn take_request(
        &mut self,
        node: usize,
        client: usize,
        request: u64,
    ) -> Result<Option<Input>, Violation> {
        let Some(asked) = self.clients[client].outstanding.get(&request) else { return Ok(None) };
        let (operation, seen) = (asked.operation.clone(), asked.seen);
        let impatient = self.sabotaged(Sabotage::ForgetSeen);
        let home = &mut self.nodes[node];
        let process = home.process.as_mut().expect("a running process takes requests");
        match operation {
            Operation::Write(_) if process.zab.is_serving() => {
                let input = self.propose(node, client, request)?;
                self.push(node, input);
                Ok(None)
            }
            Operation::Write(_) => {
                let tag = process.next_tag();
                process.waiting.insert(tag, (client, request));
                let incarnation = process.incarnation;
                let deadline = u64::try_from(REQUEST_DEADLINE.as_micros()).expect("some seconds");
                self.agenda.after(deadline, Event::RequestDeadline { node, incarnation, tag });
                Ok(None)
            }
            Operation::Read(_) => {
                let floor = if impatient { Zxid::ZERO } else { seen };
                process.reads.push((floor, client, request));
                self.answer_reads(node)?;
                Ok(None)
            }
            Operation::BarrierRead(_) => {
                let tag = process.next_tag();
                process.barriers.insert(tag, (client, request));
                if self.sabotaged(Sabotage::LocalBarrier) {
                    self.barrier_stands(node, tag, Zxid::ZERO)?;
                    return Ok(None);
                }
                Ok(Some(Input::ReadBarrier { tag }))
            }
        }
    }

    fn propose(&mut self, node: usize, client: usize, request: u64) -> Result<Input, Violation> {
        let early = self.sabotaged(Sabotage::AnswerEarly);
        let process = self.nodes[node].process.as_mut().expect("a running process proposes");
        let asked = &self.clients[client].outstanding[&request];
        let Operation::Write(command) = asked.operation.clone() else { unreachable!("only writes are proposed") };
        let tag = process.next_tag();
        process.proposed.insert(tag, (client, request));
        self.invariants.integrity.proposes(id_of(node), tag);
        let envelope = Envelope { origin: id_of(node), tag, session: SessionId::NONE, generation: 0, command };
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

    pub(crate) fn acknowledge(
        &mut self,
        node: usize,
        tag: u64,
        zxid: Zxid,
        reply: &Result<Reply, TreeError>,
    ) -> Verdict {
        let process = self.nodes[node].process.as_mut().expect("a running process answers");
        let Some((client, request)) = process.proposed.remove(&tag) else { return Ok(()) };
        let Some(asked) = self.clients[client].outstanding.get(&request) else { return Ok(()) };
        let checkers = (&self.invariants.integrity, &self.invariants.digests);
        self.history.acknowledged((id_of(node), tag), zxid, reply, asked.floor, checkers)?;
        self.answer(client, request, Answer::Written(zxid, reply.clone()));
        Ok(())
    }

    pub(crate) fn open_for_writes(&mut self, node: usize, epoch: Epoch) -> Verdict {
        let process = self.nodes[node].process.as_mut().expect("a running process serves");
        crate::invariants::monotonic::Monotonic::serves(node, epoch, process.zab.delivered())?;
        let waiting = std::mem::take(&mut process.waiting);
        for (client, request) in waiting.into_values() {
            if self.clients[client].outstanding.contains_key(&request) {
                let input = self.propose(node, client, request)?;
                self.push(node, input);
            }
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
            let Some(asked) = self.clients[client].outstanding.get(&request) else { continue };
            let (property, path, floor) = match &asked.operation {
                Operation::Read(path) => ("SessionMonotonicReads", path, asked.seen),
                Operation::BarrierRead(path) => ("LinearizableReads", path, asked.floor.max(asked.seen)),
                Operation::Write(_) => unreachable!("writes do not wait as reads"),
            };
            let tree = &self.nodes[node].process.as_ref().expect("it was there").tree;
            let result = tree.get(path);
            self.history.read(property, path, applied, &result, floor)?;
            self.answer(client, request, Answer::Read(applied, result));
        }
        Ok(())
    }
}
