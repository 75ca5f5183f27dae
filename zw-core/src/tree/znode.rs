//! One znode as the tree stores it.
//!
//! Invariants:
//! - `data_hash` is the hash of `data`; so the digest of a znode does not read its data again at every child.
//! - `created_children` counts every child ever made: it numbers sequential children, and is never below `num_children`.
//! - Only [`Kind::Ephemeral`] has an owner, and it has no children.

use super::command::{Acl, Stat, TreeError};
use super::digest::Hasher;
use crate::ids::{SessionId, Zxid};
use crate::limits::{ACL_CACHE_MAX, ACL_ENTRIES_MAX, ACL_ENTRY_BYTES_MAX};
use bytes::Bytes;
use std::sync::Arc;

/// See the module. Field order and sizes are chosen for memory: a million of these is the design point.
#[derive(Clone)]
pub(super) struct Znode {
    pub(super) data: Bytes,
    pub(super) data_hash: u64,
    pub(super) acl: Arc<AclList>,
    pub(super) kind: Kind,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime_ms: u64,
    pub(super) mtime_ms: u64,
    pub(super) created_children: u64,
    pub(super) num_children: u32,
    pub(super) version: i32,
    pub(super) cversion: i32,
    pub(super) aversion: i32,
}

/// What ends a znode's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A delete.
    Persistent,
    /// The end of the session.
    Ephemeral(SessionId),
    /// Having lost its last child.
    Container,
    /// So many milliseconds without a change, and no children.
    Ttl(u64),
}

/// An access control list, stored once for the znodes that have the same.
pub(super) struct AclList {
    pub(super) hash: u64,
    pub(super) entries: Box<[Acl]>,
}

impl Znode {
    /// The znode that is always there.
    pub(super) fn root(acl: Arc<AclList>) -> Znode {
        Znode::new(Kind::Persistent, Bytes::new(), acl, Zxid::ZERO, 0)
    }

    /// A new one. `data` must be of exact size, as for [`Znode::put_data`].
    pub(super) fn new(kind: Kind, data: Bytes, acl: Arc<AclList>, zxid: Zxid, time_ms: u64) -> Znode {
        Znode {
            data_hash: hash_of(&data),
            data,
            acl,
            kind,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime_ms: time_ms,
            mtime_ms: time_ms,
            created_children: 0,
            num_children: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
        }
    }

    /// Stores data, which must be a copy of exact size: a slice of a received batch would keep the batch in memory.
    pub(super) fn put_data(&mut self, data: Bytes) {
        self.data_hash = hash_of(&data);
        self.data = data;
    }

    pub(super) fn stat(&self) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime_ms: self.ctime_ms,
            mtime_ms: self.mtime_ms,
            version: self.version,
            cversion: self.cversion,
            aversion: self.aversion,
            ephemeral_owner: self.owner().unwrap_or(SessionId::NONE),
            data_length: u32::try_from(self.data.len()).expect("data is at most 1 MiB"),
            num_children: self.num_children,
            pzxid: self.pzxid,
        }
    }

    pub(super) fn owner(&self) -> Option<SessionId> {
        match self.kind {
            Kind::Ephemeral(owner) => Some(owner),
            Kind::Persistent | Kind::Container | Kind::Ttl(_) => None,
        }
    }

    /// The time from which on the leader may reap the znode, if it may as it is now.
    pub(super) fn reapable_from_ms(&self) -> Option<u64> {
        match self.kind {
            _ if self.num_children > 0 => None,
            Kind::Container if self.created_children > 0 => Some(0),
            // As ZooKeeper: more than its TTL after the last change of its data.
            Kind::Ttl(ttl_ms) => Some(self.mtime_ms.saturating_add(ttl_ms).saturating_add(1)),
            Kind::Container | Kind::Persistent | Kind::Ephemeral(_) => None,
        }
    }
}

fn hash_of(data: &[u8]) -> u64 {
    Hasher::new().bytes(data).finish()
}

/// The version after `version`: never -1, which means "any" in a command (ZooKeeper does the same since 3.9).
pub(super) fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}

/// The lists that were used last. Equal lists are mostly stored once; the memory it takes is bounded, and it has no
/// influence on what the tree answers.
#[derive(Clone)]
pub(super) struct AclCache {
    recent: Vec<Arc<AclList>>,
}

impl AclCache {
    pub(super) fn new() -> AclCache {
        AclCache { recent: Vec::new() }
    }

    /// The list in shared form. The entries must have passed [`checked_acl`].
    pub(super) fn share(&mut self, entries: Vec<Acl>) -> Arc<AclList> {
        if let Some(at) = self.recent.iter().position(|list| *list.entries == *entries) {
            self.recent[..=at].rotate_right(1);
            return Arc::clone(&self.recent[0]);
        }
        let hash = entries.iter().fold(Hasher::new(), |hasher, entry| {
            hasher.word(u64::from(entry.permissions)).bytes(entry.scheme.as_bytes()).bytes(entry.id.as_bytes())
        });
        let list = Arc::new(AclList { hash: hash.finish(), entries: entries.into_boxed_slice() });
        self.recent.truncate(ACL_CACHE_MAX - 1);
        self.recent.insert(0, Arc::clone(&list));
        list
    }
}

/// The list as it is stored: without repetitions. Lists are stored and answered, not enforced.
///
/// # Errors
/// [`TreeError::InvalidAcl`].
pub(super) fn checked_acl(acl: &[Acl]) -> Result<Vec<Acl>, TreeError> {
    let invalid = |text: String| Err(TreeError::InvalidAcl(text));
    if acl.is_empty() {
        return invalid("it has no entries".into());
    }
    if acl.len() > ACL_ENTRIES_MAX {
        return invalid(format!("{} entries, at most {ACL_ENTRIES_MAX}", acl.len()));
    }
    let mut list: Vec<Acl> = Vec::with_capacity(acl.len());
    for entry in acl {
        if entry.permissions > 31 {
            return invalid(format!("permissions {:#x} have unknown bits; all known ones are 0x1f", entry.permissions));
        }
        if entry.scheme.len() + entry.id.len() > ACL_ENTRY_BYTES_MAX {
            return invalid(format!("an entry is over {ACL_ENTRY_BYTES_MAX} bytes"));
        }
        if !list.contains(entry) {
            list.push(entry.clone());
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(permissions: u32, id: &str) -> Acl {
        Acl { permissions, scheme: "digest".into(), id: id.into() }
    }

    #[test]
    fn versions_never_become_any() {
        assert_eq!([0, -3, -2, i32::MAX].map(next_version), [1, -2, 0, i32::MIN]);
    }

    #[test]
    fn equal_lists_are_stored_once_and_the_cache_is_bounded() {
        let mut cache = AclCache::new();
        let first = cache.share(Acl::open());
        for number in 0..2 * ACL_CACHE_MAX {
            cache.share(vec![entry(1, &number.to_string())]);
            assert!(Arc::ptr_eq(&first, &cache.share(Acl::open())));
        }
        assert_eq!(cache.recent.len(), ACL_CACHE_MAX);
        assert_ne!(first.hash, cache.share(vec![entry(1, "7")]).hash);
    }

    #[test]
    fn wrong_lists_are_refused_and_repetitions_dropped() {
        assert_eq!(checked_acl(&[entry(1, "a"), entry(2, "a"), entry(1, "a")]), Ok(vec![entry(1, "a"), entry(2, "a")]));
        let too_many: Vec<Acl> = (0..=ACL_ENTRIES_MAX).map(|number| entry(1, &number.to_string())).collect();
        for wrong in [vec![], vec![entry(32, "a")], vec![entry(1, &"x".repeat(ACL_ENTRY_BYTES_MAX))], too_many] {
            assert!(matches!(checked_acl(&wrong), Err(TreeError::InvalidAcl(_))), "{wrong:?}");
        }
    }

    #[test]
    fn lists_and_entries_as_large_as_their_limits_pass() {
        let most: Vec<Acl> = (0..ACL_ENTRIES_MAX).map(|number| entry(1, &number.to_string())).collect();
        assert_eq!(checked_acl(&most), Ok(most));
        let longest = "x".repeat(ACL_ENTRY_BYTES_MAX - "digest".len());
        assert!(checked_acl(&[entry(31, &longest)]).is_ok());
        assert!(checked_acl(&[entry(31, &format!("{longest}x"))]).is_err());
    }
}
