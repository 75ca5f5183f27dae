//! What clients saw, checked in linear time: every answer carries its zxid, so no search is needed.
//!
//! - A write that was acknowledged is in the committed sequence, at exactly its zxid and with exactly its reply.
//! - Real time: a write that began after an entry was delivered anywhere gets a greater zxid; a barrier read that
//!   began then sees at least that entry (2.9: linearizable).
//! - A session's reads never go back.
//! - A read returns what the committed sequence, replayed through a naive model, has at the read's zxid.
//!
//! Unknown outcomes stay unknown: such a write may appear later, once, or never.

use crate::invariants::digest_agreement::DigestAgreement;
use crate::invariants::integrity::Integrity;
use crate::invariants::{Verdict, Violation, ensure};
use crate::model::Model;
use bytes::Bytes;
use zw_core::ids::{NodeId, Zxid};
use zw_core::tree::command::{Command, Reply, Stat, TreeError};

/// The oracle of the clients' history.
#[derive(Default)]
pub struct History {
    model: Model,
    acknowledged: Vec<Zxid>,
}

/// What a read answered: data and stat, or that there is no such znode.
pub type ReadResult = Result<(Bytes, Stat), TreeError>;

impl History {
    /// An entry is committed, with the reply that the first tree gave.
    ///
    /// # Errors
    /// The model gives another reply.
    pub fn committed(&mut self, zxid: Zxid, command: &Command, reply: &Result<Reply, TreeError>) -> Verdict {
        self.model.apply(zxid, command, reply).map_err(|wrong| Violation::new("SequentialSpecification", wrong))
    }

    /// A write is acknowledged; `floor` is the greatest zxid that was delivered anywhere when it began.
    ///
    /// # Errors
    /// It is not committed so, or in the wrong order.
    pub fn acknowledged(
        &mut self,
        (node, tag): (NodeId, u64),
        zxid: Zxid,
        reply: &Result<Reply, TreeError>,
        floor: Zxid,
        (integrity, digests): (&Integrity, &DigestAgreement),
    ) -> Verdict {
        let committed = integrity.zxid_of(node, tag);
        ensure!(
            committed == Some(zxid),
            "AcknowledgedIsCommitted",
            "tag {tag:x} of {node} is acknowledged as {zxid}, committed as {committed:?}"
        );
        let known = digests.reply(zxid);
        ensure!(known == Some(reply), "AcknowledgedIsCommitted", "{zxid} is answered {reply:?}, not {known:?}");
        ensure!(zxid > floor, "RealTimeOrder", "{zxid} is acknowledged, but {floor} was delivered before it began");
        self.acknowledged.push(zxid);
        Ok(())
    }

    /// A read is answered at `zxid`; `floor` is what it must not be older than.
    ///
    /// # Errors
    /// It is older, or its content is not that of its zxid.
    pub fn read(&self, property: &'static str, path: &str, zxid: Zxid, result: &ReadResult, floor: Zxid) -> Verdict {
        ensure!(zxid >= floor, property, "a read of {path} at {zxid} must not be older than {floor}");
        let expected = self.model.at(zxid, path).map(|znode| (&znode.data, znode.version, znode.czxid, znode.mzxid));
        let found = match result {
            Ok((data, stat)) => Some((data, stat.version, stat.czxid, stat.mzxid)),
            Err(TreeError::NoNode(_)) => None,
            Err(error) => {
                ensure!(false, "ReadContent", "a read of {path} at {zxid} fails: {error}");
                None
            }
        };
        ensure!(expected == found, "ReadContent", "{path} at {zxid} is read as {found:?}, not {expected:?}");
        Ok(())
    }

    /// All writes acknowledged so far.
    #[must_use]
    pub fn acknowledged_writes(&self) -> &[Zxid] {
        &self.acknowledged
    }
}
