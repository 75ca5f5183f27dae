//! What the console and the command line ask a node about itself.

use super::client::Connection;
use crate::server::locks::{lock, read};
use crate::server::trace::Facts;
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{DIGEST_INTERVAL, TRACE_SUBSCRIBERS_MAX};
use zw_core::wire::admin::{DigestReply, Fault, TraceKind};
use zw_core::wire::client::{Answer, ErrorCode, ErrorReply, Operation, Ping};

impl Connection {
    /// Answers at once, without the core.
    pub(super) fn administer(&mut self, id: u32, operation: Operation) {
        // These answers carry no zxid of their own: they are given without regard to the watch events on their way, and
        // a client must not take them for a sign that it has seen those.
        match operation {
            Operation::Status(_) => {
                let status = self.node.status();
                self.answer(id, Zxid::ZERO, Answer::Status(Box::new(status)));
            }
            Operation::Sessions(_) => {
                let sessions = self.node.sessions();
                self.answer(id, Zxid::ZERO, Answer::Sessions(sessions));
            }
            Operation::TraceStart(start) => {
                if let Some(subscription) = self.trace.take() {
                    self.node.trace.unsubscribe(&subscription);
                }
                self.trace = self.node.trace.subscribe(start);
                if self.trace.is_some() {
                    self.answer(id, Zxid::ZERO, Answer::Done(Ping));
                } else {
                    let message = format!("{TRACE_SUBSCRIBERS_MAX} others read this node's trace already");
                    self.refuse(id, ErrorCode::Overloaded, message);
                }
            }
            Operation::SubtreeDigest(subtree) => {
                // Reading a large subtree takes long; a clone does not keep the writer waiting.
                let tree = read(&self.node.tree).clone();
                let answer = match tree.subtree_digest(&subtree.path) {
                    Ok((digest, znodes)) => Answer::Digest(DigestReply { zxid: tree.applied(), digest, znodes }),
                    Err(error) => Answer::Error(ErrorReply::from(&error)),
                };
                self.answer(id, Zxid::ZERO, answer);
            }
            Operation::DigestAt(zxid) => self.digest_at(id, zxid),
            Operation::Fault(fault) => self.set_fault(id, fault),
            _ => self.refuse(id, ErrorCode::Invalid, "not a question to a node"),
        }
    }

    fn digest_at(&mut self, id: u32, zxid: Zxid) {
        let (applied, own, znodes) = {
            let tree = read(&self.node.tree);
            (tree.applied(), tree.digest(), tree.znodes())
        };
        if zxid == Zxid::ZERO || zxid == applied {
            return self.answer(id, Zxid::ZERO, Answer::Digest(DigestReply { zxid: applied, digest: own, znodes }));
        }
        let remembered = lock(&self.node.digests).at(zxid);
        match remembered {
            Some(digest) => self.answer(id, Zxid::ZERO, Answer::Digest(DigestReply { zxid, digest, znodes: 0 })),
            None => {
                let message = format!(
                    "no digest of {zxid} is remembered here: ask for a recent zxid whose counter is a multiple of \
                     {DIGEST_INTERVAL}, or for zero"
                );
                self.refuse(id, ErrorCode::Invalid, message);
            }
        }
    }

    fn set_fault(&mut self, id: u32, fault: Fault) {
        let config = &self.node.config;
        if !config.allow_faults {
            let message = "faults are not allowed on this node; start it with --allow-faults";
            return self.refuse(id, ErrorCode::NotAllowed, message);
        }
        let is_peer = config.ensemble.contains(fault.peer) && fault.peer != config.me;
        if fault.peer != NodeId(0) && !is_peer {
            let message = format!("{} is not another member of {}", fault.peer, config.ensemble);
            return self.refuse(id, ErrorCode::Invalid, message);
        }
        let facts = Facts {
            peer: fault.peer,
            number: fault.delay_ms.into(),
            text: format!("{:?} for {} ms", fault.kind, fault.ttl_ms),
            ..Facts::default()
        };
        if self.node.faults.set(fault, self.mailbox.id) {
            self.node.trace.record(TraceKind::Fault, facts);
            self.answer(id, Zxid::ZERO, Answer::Done(Ping));
        } else {
            self.refuse(id, ErrorCode::Overloaded, "there are too many faults already; clear some");
        }
    }
}
