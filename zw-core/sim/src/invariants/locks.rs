//! Fencing (Jepsen on etcd 3.4.3: a lock without it is unsafe): in the order of the zxids a lock has one holder at a
//! time, the first of its queue.
//!
//! - LockHolder: who finds itself first at a zxid is first there; hence no two hold the lock at the same zxid.
//! - FencedWrite: a write that checks its author's place in the queue takes effect only while the author is the first.
//! - FencingToken: the zxids of the holders' places ascend with the zxids of what they write.
//!
//! The queue is taken from the committed replies and events alone.

use super::{Verdict, ensure};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::tree::Applied;
use zw_core::tree::command::{Command, Envelope, EventKind, Reply};

/// The znode whose children are the queue.
pub const LOCK: &str = "/lock";
/// What the lock guards.
pub const GUARDED: &str = "/guarded";

/// The queue, and who was first in it when.
#[derive(Default)]
pub struct Locks {
    queue: BTreeMap<String, (String, Zxid)>,
    holders: Vec<(Zxid, Option<String>)>,
    token: Zxid,
}

impl Locks {
    /// An entry is committed.
    ///
    /// # Errors
    /// It is a fenced write of one who is not the first.
    pub fn committed(&mut self, zxid: Zxid, envelope: &Envelope, applied: &Applied) -> Verdict {
        if let (Command::Multi(multi), Ok(_)) = (&envelope.command, &applied.reply)
            && let [Command::Check(check), Command::SetData(set)] = multi.operations.as_slice()
            && set.path == GUARDED
        {
            let first = self.queue.values().next();
            let is_first = first.is_some_and(|(path, _)| *path == check.path);
            ensure!(is_first, "FencedWrite", "{zxid} is written by {}, but {first:?} is first", check.path);
            let token = first.map_or(Zxid::ZERO, |(_, czxid)| *czxid);
            ensure!(token >= self.token, "FencingToken", "{zxid} is written with {token} after {}", self.token);
            self.token = token;
        }
        if let Ok(Reply::Created(created)) = &applied.reply
            && let Some(number) = number(&created.path)
        {
            self.queue.insert(number.to_owned(), (created.path.clone(), zxid));
        }
        for event in applied.events.iter().filter(|event| event.kind == EventKind::Deleted) {
            if let Some(number) = number(&event.path) {
                self.queue.remove(number);
            }
        }
        let first = self.queue.values().next().map(|(path, _)| path.clone());
        if self.holders.last().is_none_or(|(_, holder)| *holder != first) {
            self.holders.push((zxid, first));
        }
        Ok(())
    }

    /// A client finds its place `path` first in the queue as it was at `zxid`.
    ///
    /// # Errors
    /// It was not.
    pub fn claims(&self, zxid: Zxid, path: &str) -> Verdict {
        let at = self.holders.partition_point(|(since, _)| *since <= zxid);
        let holder = self.holders[..at].last().and_then(|(_, holder)| holder.as_deref());
        ensure!(holder == Some(path), "LockHolder", "{path} believes to be first at {zxid}, but that was {holder:?}");
        Ok(())
    }
}

/// The number of a place in the queue.
#[must_use]
pub fn number(path: &str) -> Option<&str> {
    let name = path.strip_prefix(LOCK)?.strip_prefix('/')?;
    name.len().checked_sub(10).map(|at| &name[at..])
}
