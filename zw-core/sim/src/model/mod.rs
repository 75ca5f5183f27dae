//! An independent, naive model of the tree: maps and clones, written from ZooKeeper's documented behaviour and not
//! from the product's code. The history oracle replays the committed sequence through it.
//!
//! It shares the types of commands and replies with the product, and nothing else. It gives the whole reply of every
//! command, Stats included, and its events; and it answers reads at every zxid of the past.

mod commands;
mod sessions;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::Applied;
use zw_core::tree::command::{Acl, Envelope, EventKind, Reply, Stat, TreeError, TreeEvent};

/// A znode of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelZnode {
    /// Its data.
    pub data: Bytes,
    /// What a reader is told of it.
    pub stat: Stat,
    acl: Arc<Vec<Acl>>,
    /// Every child it ever had: the number of the next sequential one.
    children_ever: u64,
    end: End,
}

/// What ends a znode's life, beside a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nothing,
    Session,
    LastChild,
    SilenceMs(u64),
}

/// A session of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSession {
    /// The timeout that was granted.
    pub timeout_ms: u32,
    generation: u32,
    secret: Bytes,
}

/// The tree, and what each znode was at every zxid.
pub struct Model {
    znodes: BTreeMap<String, ModelZnode>,
    sessions: BTreeMap<SessionId, ModelSession>,
    time_ms: u64,
    past: BTreeMap<String, Vec<(Zxid, Option<ModelZnode>)>>,
    /// Of the entry at work: what stood where it changed something, in order.
    before: Vec<(String, Option<ModelZnode>)>,
    /// Of the entry at work.
    events: Vec<TreeEvent>,
}

/// What came of a command, by the model.
type Outcome = Result<Reply, TreeError>;

impl Default for Model {
    fn default() -> Model {
        let root = ModelZnode {
            data: Bytes::new(),
            stat: Stat::default(),
            acl: Arc::new(Acl::open()),
            children_ever: 0,
            end: End::Nothing,
        };
        Model {
            past: BTreeMap::from([("/".to_owned(), vec![(Zxid::ZERO, Some(root.clone()))])]),
            znodes: BTreeMap::from([("/".to_owned(), root)]),
            sessions: BTreeMap::new(),
            time_ms: 0,
            before: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Model {
    /// Applies the command committed at `zxid`, and compares what the real tree made of it.
    ///
    /// # Errors
    /// A text that says how the real tree is wrong.
    pub fn apply(&mut self, zxid: Zxid, time_ms: u64, envelope: &Envelope, real: &Applied) -> Result<(), String> {
        self.time_ms = self.time_ms.max(time_ms);
        self.before.clear();
        self.events.clear();
        let expected = self.command(zxid, envelope);
        if expected.is_err() {
            self.events.clear();
            for (path, znode) in std::mem::take(&mut self.before).into_iter().rev() {
                self.restore(path, znode);
            }
        }
        let what = &envelope.command;
        if !same(&expected, &real.reply) {
            return Err(format!("{what:?} at {zxid}: {:?}, expected {expected:?}", real.reply));
        }
        let mut events = real.events.clone();
        sort(&mut events);
        sort(&mut self.events);
        if events != self.events {
            return Err(format!("{what:?} at {zxid} has the events {events:?}, expected {:?}", self.events));
        }
        let changed: BTreeSet<String> = std::mem::take(&mut self.before).into_iter().map(|(path, _)| path).collect();
        for path in changed {
            let after = self.znodes.get(&path).cloned();
            self.past.entry(path).or_default().push((zxid, after));
        }
        Ok(())
    }

    /// What the znode was after the entry `zxid`.
    #[must_use]
    pub fn at(&self, zxid: Zxid, path: &str) -> Option<&ModelZnode> {
        was(self.past.get(path)?, zxid)
    }

    /// The names of the children that the znode had after the entry `zxid`, ascending.
    #[must_use]
    pub fn children_at(&self, zxid: Zxid, path: &str) -> Vec<&str> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let below =
            self.past.range(prefix.clone()..).map_while(|(path, past)| Some((path.strip_prefix(&prefix)?, past)));
        let children =
            below.filter(|(name, past)| !name.is_empty() && !name.contains('/') && was(past, zxid).is_some());
        children.map(|(name, _)| name).collect()
    }

    /// A session as it is now.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&ModelSession> {
        self.sessions.get(&id)
    }

    fn restore(&mut self, path: String, znode: Option<ModelZnode>) {
        match znode {
            Some(znode) => self.znodes.insert(path, znode),
            None => self.znodes.remove(&path),
        };
    }

    /// Notes what stands at `path`, before it is changed.
    fn remember(&mut self, path: &str) {
        self.before.push((path.to_owned(), self.znodes.get(path).cloned()));
    }

    fn event(&mut self, kind: EventKind, path: &str, zxid: Zxid) {
        self.events.push(TreeEvent { kind, path: path.to_owned(), zxid });
    }
}

fn was(past: &[(Zxid, Option<ModelZnode>)], zxid: Zxid) -> Option<&ModelZnode> {
    let at = past.partition_point(|(changed, _)| *changed <= zxid);
    past[..at].last().and_then(|(_, znode)| znode.as_ref())
}

/// The order of the events within an entry is not promised.
fn sort(events: &mut [TreeEvent]) {
    events.sort_by(|a, b| (&a.path, a.kind as u8).cmp(&(&b.path, b.kind as u8)));
}

/// Equal, but for texts that are only for people.
fn same(expected: &Outcome, real: &Outcome) -> bool {
    match (expected, real) {
        (Err(expected), Err(real)) => same_error(expected, real),
        (expected, real) => expected == real,
    }
}

fn same_error(expected: &TreeError, real: &TreeError) -> bool {
    match (expected, real) {
        (TreeError::Invalid(_), TreeError::Invalid(_)) => true,
        (TreeError::Multi { index, cause }, TreeError::Multi { index: i, cause: c }) => {
            index == i && same_error(cause, c)
        }
        (expected, real) => expected == real,
    }
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}
