//! The files of snapshots: written whole or not at all, checked whole before they are used.
//!
//! Invariants:
//! - A file with a snapshot's name is complete and durable: it is written under another name, synced, renamed, and the
//!   directory is synced.
//! - What a file holds is what its name says, or it is not loaded: every block has a checksum, and the tree read must
//!   have the zxid and the digest of the name.
//! - The snapshot that the log builds on is never removed: besides the newest file, whose record may not be in the log
//!   yet, the two before it stay, and the one that was loaded at the start.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use thiserror::Error;
use zw_core::ids::Zxid;
use zw_core::limits::SNAPSHOT_CHUNK_BYTES;
use zw_core::log::record::SnapshotId;
use zw_core::tree::Tree;
use zw_core::tree::snapshot::{self, Decoder};

const EXTENSION: &str = ".snapshot";
const UNFINISHED_EXTENSION: &str = ".snapshot.new";
/// Files that stay: the newest and, because its record may not be durable yet, the two that the log knows.
const FILES_KEPT: usize = 3;
/// Bytes after which a file that is being written is synced, so that the log's own syncs never wait for a whole one.
const SYNC_BYTES: usize = 4 << 20;

/// The snapshots of a node, in its data directory.
#[derive(Debug)]
pub struct SnapshotStore {
    directory: PathBuf,
    /// What the log built on at the start.
    loaded: Mutex<Option<SnapshotId>>,
    /// Numbers the files that are being written.
    unfinished: AtomicU64,
}

/// A snapshot that comes from another node. Dropping it without [`Receiver::finish`] leaves everything as it was.
pub struct Receiver<'a> {
    file: Unfinished<'a>,
    decoder: Decoder,
}

/// Why a snapshot cannot be written or used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file system refused.
    #[error("{doing} {} failed: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The bytes are not a snapshot, or not a whole one.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: snapshot::SnapshotError,
    },
    /// The file holds another snapshot than its name says.
    #[error("{} holds the tree at {} with digest {:016x}: it was renamed or mixed up", path.display(), found.zxid, found.digest)]
    Another {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: SnapshotId,
    },
}

/// A file under its temporary name; removed unless it is finished.
struct Unfinished<'a> {
    store: &'a SnapshotStore,
    path: PathBuf,
    file: File,
    bytes: u64,
    unsynced: usize,
    is_finished: bool,
}

impl SnapshotStore {
    /// The snapshots in `directory`. Removes what an interrupted write has left.
    ///
    /// # Errors
    /// The directory cannot be read, or not cleaned.
    pub fn open(directory: &Path) -> Result<SnapshotStore, SnapshotError> {
        let store =
            SnapshotStore { directory: directory.to_owned(), loaded: Mutex::new(None), unfinished: AtomicU64::new(0) };
        for name in store.names()?.iter().filter(|name| name.ends_with(UNFINISHED_EXTENSION)) {
            let path = directory.join(name);
            fs::remove_file(&path).map_err(io_error("removing", &path))?;
        }
        Ok(store)
    }

    /// Writes a snapshot of the tree, durably. Returns its name and the file's size. Files that are no longer needed go.
    ///
    /// # Errors
    /// The file cannot be written; then there is none.
    pub fn write(&self, tree: Tree) -> Result<(SnapshotId, u64), SnapshotError> {
        let id = SnapshotId { zxid: tree.applied(), digest: tree.digest() };
        let mut file = self.begin()?;
        for piece in snapshot::encode(tree) {
            file.write(&piece)?;
        }
        let bytes = file.finish(id)?;
        Ok((id, bytes))
    }

    /// Begins to take in a snapshot from another node.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn receive(&self) -> Result<Receiver<'_>, SnapshotError> {
        Ok(Receiver { file: self.begin()?, decoder: Decoder::new() })
    }

    /// Reads a snapshot. The first that is loaded is the one that the log builds on: later ones, which the log does not
    /// know, were left by a crash and are removed.
    ///
    /// # Errors
    /// There is no such file, or it is damaged.
    pub fn load(&self, id: SnapshotId) -> Result<Tree, SnapshotError> {
        let path = self.path(id);
        let mut file = File::open(&path).map_err(io_error("opening", &path))?;
        let mut decoder = Decoder::new();
        let mut piece = vec![0; SNAPSHOT_CHUNK_BYTES];
        loop {
            let length = file.read(&mut piece).map_err(io_error("reading", &path))?;
            if length == 0 {
                break;
            }
            decoder.push(&piece[..length]).map_err(content_error(&path))?;
        }
        let tree = decoder.finish().map_err(content_error(&path))?;
        let found = SnapshotId { zxid: tree.applied(), digest: tree.digest() };
        if found != id {
            return Err(SnapshotError::Another { path, found });
        }
        let is_first = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).replace(id).is_none();
        if is_first {
            for later in self.list()?.into_iter().filter(|other| other.zxid > id.zxid) {
                self.remove(later)?;
            }
        }
        Ok(tree)
    }

    /// The newest snapshot there is a file of.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn newest(&self) -> Result<Option<SnapshotId>, SnapshotError> {
        Ok(self.list()?.pop())
    }

    /// Removes a snapshot that is of no use.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, id: SnapshotId) -> Result<(), SnapshotError> {
        let path = self.path(id);
        fs::remove_file(&path).map_err(io_error("removing", &path))
    }

    /// The snapshots there are files of, oldest first.
    fn list(&self) -> Result<Vec<SnapshotId>, SnapshotError> {
        let mut found: Vec<SnapshotId> = self.names()?.iter().filter_map(|name| parse(name)).collect();
        found.sort_unstable_by_key(|id| (id.zxid, id.digest));
        Ok(found)
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let names = fs::read_dir(&self.directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        let names = names.map_err(io_error("listing", &self.directory))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn path(&self, id: SnapshotId) -> PathBuf {
        self.directory.join(format!("{:016x}-{:016x}{EXTENSION}", id.zxid.0, id.digest))
    }

    fn begin(&self) -> Result<Unfinished<'_>, SnapshotError> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{number}{UNFINISHED_EXTENSION}"));
        let file = File::create(&path).map_err(io_error("creating", &path))?;
        Ok(Unfinished { store: self, path, file, bytes: 0, unsynced: 0, is_finished: false })
    }

    /// Removes the files that nobody can need. A file that cannot be removed costs only space.
    fn remove_old(&self) {
        let loaded = *self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.list().and_then(|files| {
            let old = files.len().saturating_sub(FILES_KEPT);
            files[..old].iter().filter(|id| Some(**id) != loaded).try_for_each(|id| self.remove(*id))
        });
        if let Err(error) = result {
            tracing::warn!(%error, "an old snapshot stays");
        }
    }
}

impl Receiver<'_> {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// They cannot be part of a snapshot, or cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.decoder.push(bytes).map_err(content_error(&self.file.path))?;
        self.file.write(bytes)
    }

    /// All has come: makes it a durable snapshot (rule S6).
    ///
    /// # Errors
    /// It is not whole, or cannot be made durable; then everything is as before.
    pub fn finish(self) -> Result<(SnapshotId, Tree), SnapshotError> {
        let Receiver { file, decoder } = self;
        let tree = decoder.finish().map_err(content_error(&file.path))?;
        let id = SnapshotId { zxid: tree.applied(), digest: tree.digest() };
        file.finish(id)?;
        Ok((id, tree))
    }
}

impl Unfinished<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.file.write_all(bytes).map_err(io_error("writing", &self.path))?;
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.unsynced > SYNC_BYTES {
            self.file.sync_data().map_err(io_error("syncing", &self.path))?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn finish(mut self, id: SnapshotId) -> Result<u64, SnapshotError> {
        self.file.sync_all().map_err(io_error("syncing", &self.path))?;
        let path = self.store.path(id);
        fs::rename(&self.path, &path).map_err(io_error("renaming", &self.path))?;
        self.is_finished = true;
        let directory = &self.store.directory;
        File::open(directory).and_then(|file| file.sync_all()).map_err(io_error("syncing", directory))?;
        self.store.remove_old();
        Ok(self.bytes)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "an unfinished snapshot stays until the next start");
        }
    }
}

fn parse(name: &str) -> Option<SnapshotId> {
    let (zxid, digest) = name.strip_suffix(EXTENSION)?.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    Some(SnapshotId { zxid: Zxid(number(zxid)?), digest: number(digest)? })
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> SnapshotError + use<> {
    let path = path.to_owned();
    move |source| SnapshotError::Io { doing, path: path.clone(), source }
}

fn content_error(path: &Path) -> impl Fn(snapshot::SnapshotError) -> SnapshotError + use<> {
    let path = path.to_owned();
    move |source| SnapshotError::Content { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::{Epoch, NodeId, SessionId};
    use zw_core::tree::command::{Acl, Command, Create, CreateMode, Envelope};

    /// A tree with `znodes` znodes besides the root.
    fn tree(znodes: u64) -> Tree {
        let mut tree = Tree::new();
        for number in 1..=znodes {
            let create = Create {
                path: format!("/znode-{number}"),
                data: vec![b'd'; 1_000].into(),
                acl: Acl::open(),
                mode: CreateMode::Persistent,
                ttl_ms: 0,
            };
            let command = Command::Create(create);
            let envelope =
                Envelope { origin: NodeId(1), tag: number, session: SessionId::NONE, generation: 0, command };
            assert!(tree.apply(Zxid::new(Epoch(1), number), number, &envelope).reply.is_ok());
        }
        tree
    }

    fn stream(tree: &Tree) -> Vec<u8> {
        snapshot::encode(tree.clone()).flat_map(|piece| piece.to_vec()).collect()
    }

    fn files(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_snapshot_reads_back_and_three_stay() {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(directory.path()).unwrap();
        let written: Vec<SnapshotId> = [1, 600, 700, 800].map(|znodes| store.write(tree(znodes)).unwrap().0).into();
        assert_eq!(store.list().unwrap(), written[1..]);
        assert_eq!(store.newest().unwrap(), Some(written[3]));
        let loaded = store.load(written[1]).unwrap();
        assert_eq!((loaded.digest(), loaded.znodes()), (tree(600).digest(), tree(600).znodes()));
    }

    #[test]
    fn what_the_log_builds_on_stays_and_what_it_does_not_know_goes() {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(directory.path()).unwrap();
        let ids: Vec<SnapshotId> = [1, 2, 3].map(|znodes| store.write(tree(znodes)).unwrap().0).into();
        let store = SnapshotStore::open(directory.path()).unwrap();
        store.load(ids[1]).unwrap();
        assert_eq!(store.list().unwrap(), ids[..2], "the third was never recorded");
        let later: Vec<SnapshotId> = [5, 6, 7, 8].map(|znodes| store.write(tree(znodes)).unwrap().0).into();
        assert_eq!(store.list().unwrap(), [&ids[1..2], &later[1..]].concat());
    }

    #[test]
    fn a_received_snapshot_is_whole_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(directory.path()).unwrap();
        let (old, _) = store.write(tree(3)).unwrap();
        let before = files(directory.path());
        let bytes = stream(&tree(900));
        for length in [0, 1, 40, bytes.len() / 2, bytes.len() - 1] {
            let mut receiver = store.receive().unwrap();
            receiver.push(&bytes[..length]).unwrap();
            assert!(receiver.finish().is_err(), "cut at {length}");
            assert_eq!(files(directory.path()), before);
        }
        drop(store.receive().unwrap());
        assert_eq!(files(directory.path()), before);
        let mut receiver = store.receive().unwrap();
        bytes.chunks(10_000).for_each(|chunk| receiver.push(chunk).unwrap());
        let (id, received) = receiver.finish().unwrap();
        assert_eq!((id.digest, received.digest()), (tree(900).digest(), tree(900).digest()));
        assert_eq!(store.list().unwrap(), [old, id]);
        assert_eq!(stream(&store.load(id).unwrap()), bytes);
    }

    #[test]
    fn damage_and_other_content_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(directory.path()).unwrap();
        let (id, bytes) = store.write(tree(20)).unwrap();
        let path = store.path(id);
        let good = fs::read(&path).unwrap();
        assert_eq!(good.len() as u64, bytes);
        for at in (0..good.len()).step_by(97).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, bad).unwrap();
            let error = store.load(id).expect_err("damage was accepted");
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(matches!(store.load(id), Err(SnapshotError::Content { .. })));
        fs::write(&path, stream(&tree(21))).unwrap();
        assert!(matches!(store.load(id), Err(SnapshotError::Another { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(store.load(id), Err(SnapshotError::Io { .. })));
    }

    #[test]
    fn leftovers_go_at_the_start_and_strange_files_stay() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["7.snapshot.new", "notes.txt", "12-13.snapshot", "0000000000000001.wal"] {
            fs::write(directory.path().join(name), b"x").unwrap();
        }
        let store = SnapshotStore::open(directory.path()).unwrap();
        assert_eq!(store.newest().unwrap(), None);
        assert_eq!(files(directory.path()), ["0000000000000001.wal", "12-13.snapshot", "notes.txt"]);
    }
}
