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
use zw_core::tree::command::{Envelope, Reply, Stat, TreeError, TreeEvent};
use zw_core::tree::{Applied, Page};

/// The oracle of the clients' history.
#[derive(Default)]
pub struct History {
    model: Model,
    events: Vec<TreeEvent>,
    acknowledged: Vec<Zxid>,
}

/// What a read looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Data and Stat.
    Get,
    /// Stat, or that there is no such znode.
    Exists,
    /// Children after a name, at most so many (0: as many as a page holds).
    Children {
        /// The name.
        after: String,
        /// How many.
        limit: usize,
    },
}

/// What a read answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadResult {
    /// To [`Look::Get`].
    Data(Result<(Bytes, Stat), TreeError>),
    /// To [`Look::Exists`].
    Stat(Result<Option<Stat>, TreeError>),
    /// To [`Look::Children`].
    Children(Result<Page, TreeError>),
}

impl History {
    /// An entry is committed, with what the first tree made of it.
    ///
    /// # Errors
    /// The model makes something else of it.
    pub fn committed(&mut self, zxid: Zxid, time_ms: u64, envelope: &Envelope, applied: &Applied) -> Verdict {
        self.events.extend(applied.events.iter().cloned());
        let verdict = self.model.apply(zxid, time_ms, envelope, applied);
        verdict.map_err(|wrong| Violation::new("SequentialSpecification", wrong))
    }

    /// The naive tree with its past.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All events of all committed entries, in their order.
    #[must_use]
    pub fn events(&self) -> &[TreeEvent] {
        &self.events
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

    /// A read of `path` is answered at `zxid`; `floor` is what it must not be older than.
    ///
    /// # Errors
    /// It is older, or its content is not that of its zxid.
    pub fn read(
        &self,
        property: &'static str,
        (path, look): (&str, &Look),
        zxid: Zxid,
        result: &ReadResult,
        floor: Zxid,
    ) -> Verdict {
        ensure!(zxid >= floor, property, "a read of {path} at {zxid} must not be older than {floor}");
        let expected = self.expected(path, look, zxid);
        ensure!(expected == *result, "ReadContent", "{path} at {zxid} is read as {result:?}, not {expected:?}");
        Ok(())
    }

    fn expected(&self, path: &str, look: &Look, zxid: Zxid) -> ReadResult {
        let znode = self.model.at(zxid, path);
        let found = || znode.ok_or_else(|| TreeError::NoNode(path.to_owned()));
        match look {
            Look::Get => ReadResult::Data(found().map(|znode| (znode.data.clone(), znode.stat))),
            Look::Exists => ReadResult::Stat(Ok(znode.map(|znode| znode.stat))),
            Look::Children { after, limit } => ReadResult::Children(found().map(|znode| {
                let later = self.model.children_at(zxid, path).into_iter().filter(|name| *name > after.as_str());
                let mut names: Vec<String> = later.map(str::to_owned).collect();
                let most = if *limit == 0 { usize::MAX } else { *limit };
                let more = names.len() > most;
                names.truncate(most);
                Page { names, stats: Vec::new(), stat: znode.stat, more }
            })),
        }
    }

    /// All writes acknowledged so far.
    #[must_use]
    pub fn acknowledged_writes(&self) -> &[Zxid] {
        &self.acknowledged
    }
}
