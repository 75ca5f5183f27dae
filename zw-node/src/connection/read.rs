//! Requests that the connection's task answers itself, from the local tree.
//!
//! Invariant: a read takes its mail while it holds the tree's read lock. So every event up to the state that it shows is
//! in the output before it, and a watch that it leaves is only heard of after its answer.

use super::client::Connection;
use crate::server::inbox::CoreInput;
use crate::server::locks::{lock, read};
use crate::server::node::Node;
use crate::server::status::role_of;
use std::io;
use std::time::Instant;
use tokio::time::timeout;
use zw_core::limits::{APPLY_BATCH_MAX, CONNECTION_REQUESTS_MAX, REQUEST_DEADLINE, SOCKET_BUFFER_BYTES};
use zw_core::tree::Tree;
use zw_core::tree::command::TreeError;
use zw_core::tree::watch::WatchKind;
use zw_core::wire::client::{
    AclReply, AddWatch, Answer, Children, ChildrenPage, Data, ErrorCode, ErrorReply, Operation, Ping, Read, Request,
    SetWatches,
};

impl Connection {
    /// Begins a request; gives it back if it must wait: for those before it, or until the tree may be read.
    pub(super) async fn begin(&mut self, request: Request) -> io::Result<Option<Request>> {
        let Request { id, operation } = request;
        let may_begin = !shows_tree(&operation) || self.may_show_tree();
        let must_wait = if matches!(operation, Operation::Write(_) | Operation::Sync(_) | Operation::Snapshot(_)) {
            self.is_connecting()
        } else {
            !self.under_way.is_empty()
        };
        if must_wait || (!may_begin && !self.has_waited_in_vain()) {
            return Ok(Some(Request { id, operation }));
        }
        if self.has_waited_in_vain() && (shows_tree(&operation) || needs_leader(&operation)) {
            self.refuse_in_order(id, ErrorCode::NoQuorum, not_served(&self.node));
            return Ok(None);
        }
        match operation {
            Operation::Write(command) => self.begin_write(id, command),
            Operation::Connect(connect) => self.begin_connect(id, connect),
            Operation::Sync(_) => self.begin_other(id, CoreInput::Barrier).await,
            Operation::Snapshot(_) => self.begin_other(id, CoreInput::SnapshotNow).await,
            Operation::Status(_)
            | Operation::Sessions(_)
            | Operation::TraceStart(_)
            | Operation::Fault(_)
            | Operation::SubtreeDigest(_)
            | Operation::DigestAt(_) => self.administer(id, operation),
            operation => self.read_some(id, operation)?,
        }
        Ok(None)
    }

    /// Whether the node is up to date with what it once answered: one that has just started shows nothing before. If
    /// it is not, the patience with it begins now.
    ///
    /// All that waits on the connection shares one patience, for the requests may have come together: a client that
    /// sends a read and a sign of life must not wait for the one and then as long for the other.
    fn may_show_tree(&mut self) -> bool {
        self.may_read = self.may_read || self.node.served.is_cancelled();
        if self.may_read {
            self.reads_wait_since = None;
        } else {
            self.reads_wait_since.get_or_insert_with(Instant::now);
        }
        self.may_read
    }

    /// Whether a read waits for the node to be up to date, and may go on to.
    pub(super) fn waits_to_read(&self) -> bool {
        self.reads_wait_since.is_some_and(|since| since.elapsed() < REQUEST_DEADLINE)
    }

    fn has_waited_in_vain(&self) -> bool {
        self.reads_wait_since.is_some() && !self.waits_to_read()
    }

    /// Answers this read and those right behind it under one read lock, up to a bound: writers wait meanwhile.
    fn read_some(&mut self, id: u32, operation: Operation) -> io::Result<()> {
        let node = self.node.clone();
        let tree = read(&node.tree);
        self.take_mail()?;
        let mut count = 1;
        self.read_one(&tree, id, operation);
        while count < APPLY_BATCH_MAX && self.output.len() < SOCKET_BUFFER_BYTES && self.decode_next()? {
            match self.next.take() {
                Some(Request { id, operation }) if self.may_read && is_read(&operation) => {
                    self.read_one(&tree, id, operation)
                }
                other => {
                    self.next = other;
                    break;
                }
            }
            count += 1;
        }
        drop(tree);
        node.metrics.reads.add(count as u64);
        assert!(self.under_way.len() <= CONNECTION_REQUESTS_MAX, "requests under way are bounded");
        Ok(())
    }

    fn read_one(&mut self, tree: &Tree, id: u32, operation: Operation) {
        let answer = match operation {
            // A read of nothing: it tells what this node has applied, after the events up to there. A sign of life, so it
            // is answered even by a node that has not served.
            Operation::Ping(_) => Ok(Answer::Done(Ping)),
            Operation::Get(get) => self.get(tree, &get),
            Operation::Exists(exists) => self.exists(tree, &exists),
            Operation::Children(children) => self.children(tree, &children),
            Operation::GetAcl(get) => tree.acl(&get.path).map(|(acl, stat)| Answer::Acl(AclReply { acl, stat })),
            Operation::AddWatch(add) => self.add_watch(&add),
            Operation::RemoveWatches(remove) => {
                lock(&self.node.watches).remove(self.mailbox.id, &remove.path);
                Ok(Answer::Done(Ping))
            }
            Operation::SetWatches(set) => return self.set_watches(tree, id, set),
            _ => Err(TreeError::Invalid("not a read".to_owned())),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Error(ErrorReply::from(&error)));
        self.answer(id, tree.applied(), answer);
    }

    fn get(&self, tree: &Tree, get: &Read) -> Result<Answer, TreeError> {
        let (data, stat) = tree.get(&get.path)?;
        if get.watch {
            lock(&self.node.watches).add_data(self.mailbox.id, &get.path)?;
        }
        Ok(Answer::Data(Data { data, stat }))
    }

    fn exists(&self, tree: &Tree, exists: &Read) -> Result<Answer, TreeError> {
        let stat = tree.stat(&exists.path)?;
        if exists.watch {
            lock(&self.node.watches).add_exists(self.mailbox.id, &exists.path)?;
        }
        Ok(Answer::Stat(stat))
    }

    fn children(&self, tree: &Tree, children: &Children) -> Result<Answer, TreeError> {
        let Children { path, watch, after, limit, with_stat } = children;
        let page = tree.children(path, after, usize::try_from(*limit).unwrap_or(usize::MAX), *with_stat)?;
        if *watch {
            lock(&self.node.watches).add_children(self.mailbox.id, path)?;
        }
        let zw_core::tree::Page { names, stats, stat, more } = page;
        Ok(Answer::Children(ChildrenPage { names, stats, stat, more }))
    }

    fn add_watch(&self, add: &AddWatch) -> Result<Answer, TreeError> {
        lock(&self.node.watches).add_persistent(self.mailbox.id, &add.path, add.recursive)?;
        Ok(Answer::Done(Ping))
    }

    /// Re-arms a client's watches; those that would have fired meanwhile fire at once, in the order of their entries.
    fn set_watches(&mut self, tree: &Tree, id: u32, set: SetWatches) {
        let SetWatches { seen, data, exists, children, persistent, recursive } = set;
        if seen > tree.applied() {
            let message = "this node is behind what the client has seen; sync first, or try another node";
            return self.refuse(id, ErrorCode::NoQuorum, message);
        }
        let kinds = [
            (WatchKind::Data, data),
            (WatchKind::Exists, exists),
            (WatchKind::Children, children),
            (WatchKind::Persistent, persistent),
            (WatchKind::Recursive, recursive),
        ];
        let all = kinds.iter().flat_map(|(kind, paths)| paths.iter().map(|path| (*kind, path.as_str())));
        let (events, result) = lock(&self.node.watches).rearm(tree, self.mailbox.id, seen, all);
        for event in events {
            self.answer(0, event.zxid, Answer::Event(event));
        }
        let answer = result.map_or_else(|error| Answer::Error(ErrorReply::from(&error)), |()| Answer::Done(Ping));
        self.answer(id, tree.applied(), answer);
    }
}

/// Returns when the node's tree may be read, or when a read has waited for that for too long.
pub(super) async fn readable_or_overdue(node: &Node, since: Option<Instant>) {
    let left = since.map_or(REQUEST_DEADLINE, |since| REQUEST_DEADLINE.saturating_sub(since.elapsed()));
    // Either way the request is looked at again.
    let _ = timeout(left, node.served.cancelled()).await;
}

/// Why a node that has not served since its start shows nothing.
fn not_served(node: &Node) -> String {
    let role = role_of(lock(&node.view).role).word();
    let advice = node.problem().unwrap_or_else(|| "start the other members, or ask another node".to_owned());
    format!(
        "no leader with a quorum within {} s: this node is {role} and was in no quorum since it started, so its tree \
         may be of the past and is not shown; {advice}",
        REQUEST_DEADLINE.as_secs()
    )
}

/// Whether the operation tells what the tree holds.
fn shows_tree(operation: &Operation) -> bool {
    is_read(operation) && !matches!(operation, Operation::Ping(_))
}

fn needs_leader(operation: &Operation) -> bool {
    matches!(operation, Operation::Write(_) | Operation::Connect(_) | Operation::Sync(_))
}

fn is_read(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Ping(_)
            | Operation::Get(_)
            | Operation::Exists(_)
            | Operation::Children(_)
            | Operation::GetAcl(_)
            | Operation::AddWatch(_)
            | Operation::RemoveWatches(_)
            | Operation::SetWatches(_)
    )
}
