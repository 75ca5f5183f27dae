//! The log's directory: its lock, the identity of its owner, and the names of its files.
//!
//! ```text
//! lock                    held by the process that uses the directory
//! identity                node, ensemble and the log's random id, as text; written last at the first start
//! 0000000000000001.wal    segments, by sequence in hexadecimal
//! spare                   space for the next segment; its content means nothing
//! ```

use super::disk::Disk;
use super::{WalError, WalOptions, io_error};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::path::Path;
use zw_core::ids::NodeId;
use zw_core::log::block::LogId;

pub(super) const SPARE: &str = "spare";
const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const IDENTITY_NEW: &str = "identity.new";
const IDENTITY_VERSION: &str = "zooweeper log 1";

/// The lock on the directory, for as long as this lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(super) fn take(directory: &Path) -> Result<DirectoryLock, WalError> {
        let path = directory.join(LOCK);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| WalError::Directory { directory: directory.to_owned(), source })?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(WalError::Locked { directory: directory.to_owned() }),
            Err(error) => Err(WalError::Io { doing: "locking", path, source: error.into() }),
        }
    }
}

/// Whose log a directory holds, for whoever wants to know before a node is started on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// The ensemble's members, in canonical order, as text.
    pub ensemble: String,
}

/// Whose log `directory` holds; makes nothing there. None if it holds no log, or one whose identity cannot be read: then
/// the node that is started on it says what is wrong.
#[must_use]
pub fn owner(directory: &Path) -> Option<Owner> {
    let bytes = std::fs::read(directory.join(IDENTITY)).ok()?;
    let Identity { node, ensemble, .. } = Identity::parse(&String::from_utf8_lossy(&bytes))?;
    Some(Owner { node, ensemble })
}

/// Whose log a directory holds, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) ensemble: String,
    pub(super) log: LogId,
}

impl Identity {
    /// Reads the identity, if the directory has one, and checks that it is that of `options`.
    pub(super) fn read(disk: &dyn Disk, options: &WalOptions) -> Result<Option<Identity>, WalError> {
        let bytes = match disk.read(IDENTITY) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(disk, "reading", IDENTITY)(source)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let found = Identity::parse(&text).ok_or_else(|| WalError::Identity { file: disk.path(IDENTITY) })?;
        if found.node != options.node || found.ensemble != options.ensemble {
            return Err(WalError::WrongNode {
                file: disk.path(IDENTITY),
                found: found.node,
                found_ensemble: found.ensemble,
                node: options.node,
                ensemble: options.ensemble.clone(),
            });
        }
        Ok(Some(found))
    }

    /// Writes the identity so that a crash leaves all of it or nothing.
    pub(super) fn write(&self, disk: &dyn Disk) -> Result<(), WalError> {
        let error = |doing| io_error(disk, doing, IDENTITY_NEW);
        let file = disk.open(IDENTITY_NEW).map_err(error("creating"))?;
        file.write_all_at(self.text().as_bytes(), 0).map_err(error("writing"))?;
        file.sync_data().map_err(error("syncing"))?;
        disk.rename(IDENTITY_NEW, IDENTITY).map_err(error("renaming"))?;
        disk.sync_directory().map_err(error("syncing the directory of"))
    }

    fn text(&self) -> String {
        let lines = self.lines();
        format!("{lines}check {:08x}\n", crc32fast::hash(lines.as_bytes()))
    }

    fn lines(&self) -> String {
        format!("{IDENTITY_VERSION}\nnode {}\nensemble {}\nlog {:016x}\n", self.node, self.ensemble, self.log.0)
    }

    fn parse(text: &str) -> Option<Identity> {
        let mut lines = text.strip_prefix(IDENTITY_VERSION)?.strip_prefix('\n')?.lines();
        let node = NodeId(lines.next()?.strip_prefix("node ")?.parse().ok()?);
        let ensemble = lines.next()?.strip_prefix("ensemble ")?.to_owned();
        let log = LogId(u64::from_str_radix(lines.next()?.strip_prefix("log ")?, 16).ok()?);
        let identity = Identity { node, ensemble, log };
        text.starts_with(&identity.text()).then_some(identity)
    }
}

/// Removes what an interrupted start may have left.
pub(super) fn remove_leftovers(disk: &dyn Disk) -> Result<(), WalError> {
    match disk.remove(IDENTITY_NEW) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(disk, "removing", IDENTITY_NEW)(error)),
        _ => Ok(()),
    }
}

/// The name of a segment's file.
pub(super) fn segment_name(sequence: u64) -> String {
    format!("{sequence:016x}.wal")
}

/// The sequences of the segments that are there, ascending.
pub(super) fn segments(disk: &dyn Disk) -> Result<Vec<u64>, WalError> {
    let names = disk.list().map_err(io_error(disk, "listing", ""))?;
    let mut sequences: Vec<u64> = names
        .iter()
        .filter_map(|name| {
            u64::from_str_radix(name.strip_suffix(".wal")?, 16).ok().filter(|s| segment_name(*s) == *name)
        })
        .collect();
    sequences.sort_unstable();
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::disk::RealDisk;

    fn identity() -> Identity {
        Identity { node: NodeId(2), ensemble: "a:8080,b:8080,[::1]:8081".into(), log: LogId(0xfeed) }
    }

    #[test]
    fn an_identity_reads_back_and_no_change_of_it_does() {
        let text = identity().text();
        assert_eq!(Identity::parse(&text), Some(identity()));
        for index in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 1;
            assert_eq!(Identity::parse(&String::from_utf8_lossy(&bytes)), None, "byte {index} of {text}");
        }
    }

    #[test]
    fn the_owner_is_known_without_a_start_and_nothing_is_made_to_find_out() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("n1");
        assert_eq!(owner(&missing), None);
        assert!(!missing.exists());
        identity().write(&RealDisk::new(directory.path()).unwrap()).unwrap();
        let Identity { node, ensemble, .. } = identity();
        assert_eq!(owner(directory.path()), Some(Owner { node, ensemble }));
        std::fs::write(directory.path().join(IDENTITY), "damaged").unwrap();
        assert_eq!(owner(directory.path()), None);
    }

    #[test]
    fn a_directory_has_one_user() {
        let directory = tempfile::tempdir().unwrap();
        let held = DirectoryLock::take(directory.path()).unwrap();
        let refused = DirectoryLock::take(directory.path()).unwrap_err();
        assert!(matches!(refused, WalError::Locked { .. }), "{refused}");
        drop(held);
        DirectoryLock::take(directory.path()).unwrap();
    }

    #[test]
    fn only_exact_names_are_segments() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["0000000000000002.wal", "000000000000000a.wal", "3.wal", "000000000000000B.wal", "spare", "x.wal"]
        {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        assert_eq!(segments(&RealDisk::new(directory.path()).unwrap()).unwrap(), [2, 10]);
    }
}
