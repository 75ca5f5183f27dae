//! The replicated state machine: znodes and sessions, changed only by entries of the log, and watches on them.
//!
//! Invariants:
//! - The tree after an entry is a function of the entries up to it: same entries, same tree, on every node (I1).
//! - Every znode but the root has a parent, which is not ephemeral and counts it; every ephemeral's session exists (I10).
//! - The digest is that of the content, whatever the way to it: kept up to date by each change, it equals the sum over
//!   all znodes and sessions.
//! - A clone is a consistent snapshot. It shares what does not change later, and costs about one pointer per hundred
//!   znodes (docs/decisions/001).
//!
//! Access control lists are stored and answered, but not enforced here.
//!
//! Reading order: `command` (what can be asked), `apply` (what it does), `session`, `znode`, `path`, `store` (the map),
//! `expiry`, `watch`, `digest`, `snapshot`.

pub mod apply;
pub mod command;
mod digest;
pub mod expiry;
pub mod path;
pub mod session;
pub mod snapshot;
mod store;
pub mod watch;
mod znode;

pub use apply::Applied;
pub use session::Session;

use crate::ids::Zxid;
use crate::limits::{CHILDREN_PAGE_BYTES_MAX, CHILDREN_PAGE_MAX};
use bytes::Bytes;
use command::{Acl, Command, Reap, Stat, TreeError};
use std::fmt;
use std::sync::Arc;
use store::ChunkMap;
use znode::{AclCache, Znode};

/// See the module.
#[derive(Clone)]
pub struct Tree {
    znodes: ChunkMap<Arc<Znode>>,
    sessions: ChunkMap<Session>,
    /// Ephemerals by owner and path: derived from `znodes`.
    ephemerals: ChunkMap<()>,
    /// What may be reaped, by the time from which on and path: derived from `znodes`.
    reapable: ChunkMap<()>,
    acls: AclCache,
    applied: Zxid,
    time_ms: u64,
    digest: u64,
}

/// Some children of a znode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Their names, ascending.
    pub names: Vec<String>,
    /// Their Stats, if they were asked for.
    pub stats: Vec<Stat>,
    /// The parent's Stat.
    pub stat: Stat,
    /// Whether more children follow.
    pub more: bool,
}

/// What a Stat adds at most to a page on the wire.
const PAGE_STAT_BYTES: usize = 96;

impl Tree {
    /// The tree before every entry: only the root.
    #[must_use]
    pub fn new() -> Tree {
        let mut tree = Tree::empty();
        let acl = tree.acls.share(Acl::open());
        tree.put_znode(&path::key(path::ROOT), Some(Arc::new(Znode::root(acl))));
        tree
    }

    /// No znode at all: where the decoder of a snapshot begins.
    fn empty() -> Tree {
        Tree {
            znodes: ChunkMap::new(),
            sessions: ChunkMap::new(),
            ephemerals: ChunkMap::new(),
            reapable: ChunkMap::new(),
            acls: AclCache::new(),
            applied: Zxid::ZERO,
            time_ms: 0,
            digest: 0,
        }
    }

    /// The last entry applied.
    #[must_use]
    pub fn applied(&self) -> Zxid {
        self.applied
    }

    /// The digest of all znodes and sessions.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many znodes there are, the root included.
    #[must_use]
    pub fn znodes(&self) -> u64 {
        self.znodes.len() as u64
    }

    /// The greatest time of an entry applied, in milliseconds since 1970: the tree's clock.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Data and Stat. The data is shared, not copied.
    ///
    /// # Errors
    /// There is no such znode.
    pub fn get(&self, path: &str) -> Result<(Bytes, Stat), TreeError> {
        self.znode(path).map(|znode| (znode.data.clone(), znode.stat()))
    }

    /// Stat, or none if there is no such znode.
    ///
    /// # Errors
    /// The path cannot be one.
    pub fn stat(&self, path: &str) -> Result<Option<Stat>, TreeError> {
        path::validate_lookup(path)?;
        Ok(self.znodes.get(&path::key(path)).map(|znode| znode.stat()))
    }

    /// Access control list and Stat.
    ///
    /// # Errors
    /// There is no such znode.
    pub fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), TreeError> {
        self.znode(path).map(|znode| (znode.acl.entries.to_vec(), znode.stat()))
    }

    /// Children with names greater than `after` (all, if it is empty), at most `limit` (0 for what a page holds).
    ///
    /// # Errors
    /// There is no such znode.
    pub fn children(&self, path: &str, after: &str, limit: usize, with_stat: bool) -> Result<Page, TreeError> {
        let stat = self.znode(path)?.stat();
        let limit = if limit == 0 { CHILDREN_PAGE_MAX } else { limit.min(CHILDREN_PAGE_MAX) };
        let prefix = path::children_prefix(path);
        let from = [&prefix, after.as_bytes()].concat();
        let mut page = Page { stat, ..Page::default() };
        let mut bytes = 0;
        let children = self.znodes.range_from(&from).take_while(|(key, _)| key.starts_with(&prefix));
        // The root's own key is its children's prefix; and `after` itself is not wanted again.
        for (key, child) in children.skip_while(|(key, _)| **key == *from) {
            let name = &key[prefix.len()..];
            bytes += name.len() + if with_stat { PAGE_STAT_BYTES } else { 0 };
            if page.names.len() == limit || (bytes > CHILDREN_PAGE_BYTES_MAX && !page.names.is_empty()) {
                page.more = true;
                break;
            }
            page.names.push(String::from_utf8(name.to_vec()).expect("keys are made from text"));
            if with_stat {
                page.stats.push(child.stat());
            }
        }
        Ok(page)
    }

    /// Digest and number of the znodes at and below `path`. Reads each of them: on a large subtree, of a clone.
    ///
    /// # Errors
    /// There is no such znode.
    pub fn subtree_digest(&self, path: &str) -> Result<(u64, u64), TreeError> {
        let top = self.znode(path)?;
        let key = path::key(path);
        let (children, descendants) = (path::children_prefix(path), path::descendants_prefix(path));
        let below = self.znodes.with_prefix(&children).chain(self.znodes.with_prefix(&descendants));
        let start = (digest::of_znode(&key, top), 1);
        Ok(below
            .filter(|(below, _)| **below != *key)
            .fold(start, |(sum, count), (key, znode)| (sum.wrapping_add(digest::of_znode(key, znode)), count + 1)))
    }

    /// Containers and TTL znodes that a leader should reap at `time_ms`, at most `limit`; those due longest first.
    #[must_use]
    pub fn reapable(&self, time_ms: u64, limit: usize) -> Vec<String> {
        let due = |key: &[u8]| u64::from_be_bytes(key[..8].try_into().expect("eight bytes")) <= time_ms;
        let keys = self.reapable.iter().map(|(key, ())| key).take_while(|key| due(key));
        keys.take(limit).map(|key| path::of_key(&key[8..])).collect()
    }

    /// What a serving leader whose wall clock shows `wall_ms` proposes now: the end of what may be reaped, at most `limit`.
    #[must_use]
    pub fn reaping(&self, wall_ms: u64, limit: usize) -> Vec<Command> {
        let paths = self.reapable(wall_ms.max(self.time_ms), limit);
        paths.into_iter().map(|path| Command::Reap(Reap { path })).collect()
    }

    fn znode(&self, path: &str) -> Result<&Arc<Znode>, TreeError> {
        path::validate_lookup(path)?;
        self.znodes.get(&path::key(path)).ok_or_else(|| TreeError::NoNode(path.to_owned()))
    }

    /// Puts a znode in place of the one under that key, or takes it out. Keeps the digest and what is derived; the
    /// parent is the caller's business.
    fn put_znode(&mut self, key: &[u8], znode: Option<Arc<Znode>>) -> Option<Arc<Znode>> {
        if let Some(new) = &znode {
            self.digest = self.digest.wrapping_add(digest::of_znode(key, new));
            if let Some(owner) = new.owner() {
                self.ephemerals.insert(&session::ephemeral_key(owner, key), ());
            }
        }
        let due = znode.as_ref().and_then(|new| new.reapable_from_ms());
        let old = match znode {
            Some(new) => self.znodes.insert(key, new),
            None => self.znodes.remove(key),
        };
        if let Some(old) = &old {
            self.digest = self.digest.wrapping_sub(digest::of_znode(key, old));
            if let Some(owner) = old.owner().filter(|_| !self.znodes.get(key).is_some_and(|new| new.kind == old.kind)) {
                self.ephemerals.remove(&session::ephemeral_key(owner, key));
            }
        }
        self.note_reapable(key, old.as_ref().and_then(|old| old.reapable_from_ms()), due);
        old
    }

    /// Changes a znode, if there is one: in place where no snapshot shares it. Keeps the digest and what is derived.
    /// The change must leave its kind alone.
    fn change_znode<T>(&mut self, key: &[u8], change: impl FnOnce(&mut Znode) -> T) -> Option<T> {
        let znode = self.znodes.get_mut(key)?;
        let (old_hash, old_due) = (digest::of_znode(key, znode), znode.reapable_from_ms());
        let znode = Arc::make_mut(znode);
        let result = change(znode);
        let due = znode.reapable_from_ms();
        self.digest = self.digest.wrapping_sub(old_hash).wrapping_add(digest::of_znode(key, znode));
        self.note_reapable(key, old_due, due);
        Some(result)
    }

    fn note_reapable(&mut self, key: &[u8], old: Option<u64>, new: Option<u64>) {
        let reap_key = |due_ms: u64| [&due_ms.to_be_bytes(), key].concat();
        if old != new {
            old.map(|due_ms| self.reapable.remove(&reap_key(due_ms)));
            new.map(|due_ms| self.reapable.insert(&reap_key(due_ms), ()));
        }
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (znodes, sessions) = (self.znodes.len(), self.sessions.len());
        write!(f, "Tree({znodes} znodes and {sessions} sessions at {}, digest {:016x})", self.applied, self.digest)
    }
}
