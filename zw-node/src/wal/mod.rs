//! The write-ahead log: one ordered stream of records on disk (protocol decision 2; docs/wal-format.md).
//!
//! Invariants:
//! - After [`Wal::sync`] returns, everything appended is on disk; what it says is never taken back.
//! - A write or a sync that fails, for another reason than missing space, is never tried again: nobody knows what such
//!   a disk holds. The process ends and recovers.
//! - Before a byte goes to a new segment, all of the segments before it is durable.
//! - There is a spare segment, or the log says that the disk is full: what was promised before then still fits.

mod directory;
pub mod disk;
mod preparer;
pub mod writer;

pub use directory::{Owner, owner};
pub use writer::{DiskDelay, LogEvent, LogThread};

use bytes::Bytes;
use directory::{DirectoryLock, Identity, SPARE, segment_name};
use disk::{Disk, DiskFile, RealDisk, is_no_space};
use preparer::Preparation;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use zw_core::ensemble::Ensemble;
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{BATCH_BYTES_MAX, SEGMENT_BYTES};
use zw_core::log::Recovered;
use zw_core::log::block::{LogId, Start};
use zw_core::log::outline::Outline;
use zw_core::log::record::{Promise, Record, SnapshotId};
use zw_core::log::recover::{RecoverError, RecoveredLog, Recovery};
use zw_core::log::tail::{Layout, Tail};

/// How to open a log.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// Whose log it is.
    pub node: NodeId,
    /// The ensemble's members, in canonical order, as text.
    pub ensemble: String,
    /// Size of a segment. A record that is larger gets a segment of its own.
    pub segment_bytes: u64,
    /// Whether to write zeros over a new segment before its use. A waste on copy-on-write file systems.
    pub prezero: bool,
}

/// The log of one node, open for appending.
pub struct Wal {
    disk: Arc<dyn Disk>,
    options: WalOptions,
    tail: Tail,
    /// The segment of the tail.
    file: Arc<dyn DiskFile>,
    outline: Outline,
    /// Appended and not synced.
    pending: Vec<Pending>,
    buffer: Vec<u8>,
    spare: Option<Spare>,
    is_sealed: bool,
    // Last, so that the directory is given free only after the preparation has ended.
    _lock: Option<DirectoryLock>,
}

struct Pending {
    record: Record,
    bytes: Bytes,
}

struct Spare {
    file: Arc<dyn DiskFile>,
    /// Whether all of it was written once.
    is_written: bool,
    preparation: Option<Preparation>,
}

/// Why the log cannot be opened or written.
#[derive(Debug, Error)]
pub enum WalError {
    /// Another process uses the directory.
    #[error("{} is in use by another process: stop that one, or choose another directory with --data", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// There is no such directory, and it cannot be made or written to.
    #[error("{}: {source}; choose a directory that may be written to with --data", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The directory belongs to another node.
    #[error(
        "{} says that this is the log of node {found} of the ensemble {found_ensemble}, but this is node {node} of \
         {ensemble}: start with the former list of members, or choose another directory with --data",
        file.display()
    )]
    WrongNode {
        /// The identity file.
        file: PathBuf,
        /// Whose log it is.
        found: NodeId,
        /// Of which ensemble.
        found_ensemble: String,
        /// Who wanted to use it.
        node: NodeId,
        /// Of which ensemble.
        ensemble: String,
    },
    /// The identity file is damaged.
    #[error("{} is damaged: this log cannot be used. {ADVICE}", file.display())]
    Identity {
        /// The file.
        file: PathBuf,
    },
    /// There are segments, but the identity is gone.
    #[error("{} holds a log, but its file `identity` is missing: this log cannot be used. {ADVICE}", directory.display())]
    NoIdentity {
        /// The directory.
        directory: PathBuf,
    },
    /// The log is damaged.
    #[error("{}: {source}. This log cannot be used. {ADVICE}", file.display())]
    Damaged {
        /// The file that is damaged.
        file: PathBuf,
        /// What is wrong, with the offset.
        source: RecoverError,
    },
    /// The disk has no space.
    #[error("no space for {}: free some, or move the directory to a larger disk", path.display())]
    NoSpace {
        /// The file that should have grown.
        path: PathBuf,
    },
    /// Something else failed.
    #[error("{doing} {} failed: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// What a person can do about a log that is lost.
const ADVICE: &str = "The node does not start with it, because it could forget what it has acknowledged. If the other \
                      members hold a quorum without this one, move the directory away and start the node with an empty \
                      one: it gets everything from them. Never do that on several members at once";

impl WalOptions {
    /// The usual options of `node` in `ensemble`.
    #[must_use]
    pub fn new(node: NodeId, ensemble: &Ensemble) -> WalOptions {
        WalOptions { node, ensemble: ensemble.to_string(), segment_bytes: SEGMENT_BYTES, prezero: true }
    }
}

impl Wal {
    /// Opens the log in `directory`, or makes a new one there, and recovers what it holds.
    ///
    /// # Errors
    /// The directory is in use, belongs to another node, cannot be read or written, or its log is damaged.
    pub fn open(directory: &Path, options: WalOptions) -> Result<(Wal, Recovered), WalError> {
        let error = |source| WalError::Directory { directory: directory.to_owned(), source };
        let disk = RealDisk::new(directory).map_err(error)?;
        let lock = DirectoryLock::take(directory)?;
        let (mut wal, recovered) = Wal::open_on(Arc::new(disk), options)?;
        wal._lock = Some(lock);
        Ok((wal, recovered))
    }

    /// Opens the log on a disk that nobody else uses.
    ///
    /// # Errors
    /// As [`Wal::open`].
    pub fn open_on(disk: Arc<dyn Disk>, options: WalOptions) -> Result<(Wal, Recovered), WalError> {
        directory::remove_leftovers(&*disk)?;
        let identity = match Identity::read(&*disk, &options)? {
            Some(identity) => identity,
            None => first_start(&*disk, &options)?,
        };
        let (log, unproven) = recover(&*disk, &identity)?;
        let tail = Tail::after(&log, identity.log, options.node);
        let RecoveredLog { recovered, outline, .. } = log;
        let name = segment_name(tail.sequence());
        let file = disk.open(&name).map_err(io_error(&*disk, "opening", &name))?;
        // What the last life wrote may never have reached the disk, even if it can be read: it is written once more,
        // because a sync alone proves nothing after one that failed.
        let from = tail.offset() - unproven.len() as u64;
        file.write_all_at(&unproven, from).map_err(io_error(&*disk, "writing", &name))?;
        file.sync_data().map_err(io_error(&*disk, "syncing", &name))?;
        disk.sync_directory().map_err(io_error(&*disk, "syncing the directory of", &name))?;
        let (pending, buffer) = (Vec::new(), Vec::new());
        let mut wal =
            Wal { disk, options, tail, file, outline, pending, buffer, spare: None, is_sealed: true, _lock: None };
        wal.ensure_spare()?;
        Ok((wal, recovered))
    }

    /// Takes records into the next batch, in order. Returns their bytes.
    pub fn append(&mut self, records: &[Record]) -> usize {
        let before = self.pending.len();
        self.pending.extend(records.iter().map(|record| Pending { record: record.clone(), bytes: record.encode() }));
        self.pending[before..].iter().map(|pending| pending.bytes.len()).sum()
    }

    /// Makes everything that was appended durable: one write and one fdatasync, unless it reaches into a new segment.
    /// Drops the segments that the two newest snapshots have made superfluous.
    ///
    /// # Errors
    /// [`WalError::NoSpace`]: part of it may be durable; call again when there is space. After any other error the log
    /// must not be used any more.
    pub fn sync(&mut self) -> Result<(), WalError> {
        let mut purge = false;
        while !self.pending.is_empty() {
            let bytes: Vec<Bytes> = self.pending.iter().map(|pending| pending.bytes.clone()).collect();
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let layout = self.tail.lay_out(&bytes, self.options.segment_bytes, &self.outline, buffer);
            if layout.records == 0 {
                self.begin_segment()?;
                continue;
            }
            let is_start = self.tail.offset() == 0;
            self.write_and_sync(&layout)?;
            self.tail.advance(&layout);
            if is_start {
                self.outline.begin_segment(self.tail.sequence());
            }
            for pending in self.pending.drain(..layout.records) {
                purge |= matches!(pending.record, Record::Snapshot(_));
                self.outline.apply(&pending.record);
            }
            self.buffer = layout.bytes;
            self.buffer.shrink_to(2 * BATCH_BYTES_MAX);
            self.is_sealed = false;
        }
        if let Some(second) = self.outline.second_snapshot().filter(|_| purge) {
            self.purge(second)?;
        }
        self.prepare();
        Ok(())
    }

    /// Writes down that all of the log is durable, so that damage to its last batch can be told from a torn write. Does
    /// nothing if that is known, or if there is no room.
    ///
    /// # Errors
    /// As [`Wal::sync`].
    pub fn seal(&mut self) -> Result<(), WalError> {
        if self.is_sealed || !self.pending.is_empty() {
            return Ok(());
        }
        if let Some(layout) = self.tail.lay_out_seal(self.options.segment_bytes) {
            self.write_and_sync(&layout)?;
            self.tail.advance(&layout);
        }
        self.is_sealed = true;
        Ok(())
    }

    /// Drops the segments that are not needed to recover everything after `snapshot`, which must be durable. One of
    /// them becomes the spare.
    ///
    /// # Errors
    /// A file could not be removed, or not durably.
    pub fn purge(&mut self, snapshot: SnapshotId) -> Result<(), WalError> {
        for sequence in self.outline.purgeable(snapshot) {
            let name = segment_name(sequence);
            let error = |doing| io_error(&*self.disk, doing, &name);
            if self.spare.as_ref().is_some_and(|spare| spare.is_written) {
                self.disk.remove(&name).map_err(error("removing"))?;
            } else {
                self.spare = None;
                self.disk.rename(&name, SPARE).map_err(error("recycling"))?;
                let file = self.disk.open(SPARE).map_err(error("opening"))?;
                self.spare = Some(Spare { file, is_written: true, preparation: None });
            }
            // One by one: after a crash the segments that are left have no hole between them.
            self.disk.sync_directory().map_err(error("syncing the directory of"))?;
            self.outline.forget(sequence);
        }
        Ok(())
    }

    /// Makes sure that there is a spare segment; says whether there is one. There is none if the disk is full.
    ///
    /// # Errors
    /// The spare could not be made for another reason.
    pub fn ensure_spare(&mut self) -> Result<bool, WalError> {
        if self.spare.is_some() {
            return Ok(true);
        }
        match self.disk.open(SPARE).and_then(|file| file.reserve(self.options.segment_bytes).map(|()| file)) {
            Ok(file) => {
                self.spare = Some(Spare { file, is_written: false, preparation: None });
                Ok(true)
            }
            Err(error) if is_no_space(&error) => {
                // A part of a spare is of no use to the log, and perhaps to others.
                self.disk.remove(SPARE).map_err(io_error(&*self.disk, "removing", SPARE))?;
                Ok(false)
            }
            Err(error) => Err(io_error(&*self.disk, "making", SPARE)(error)),
        }
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.outline.last()
    }

    /// How many segments the log has.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.outline.segments().len()
    }

    /// The bytes of the whole stream, including what was dropped.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.tail.position()
    }

    /// Goes over to the spare. All that was written before is durable.
    fn begin_segment(&mut self) -> Result<(), WalError> {
        if !self.ensure_spare()? {
            return Err(WalError::NoSpace { path: self.disk.path(SPARE) });
        }
        let spare = self.spare.take().expect("there is a spare");
        drop(spare.preparation);
        let name = segment_name(self.tail.sequence() + 1);
        self.disk.rename(SPARE, &name).map_err(io_error(&*self.disk, "renaming", SPARE))?;
        self.disk.sync_directory().map_err(io_error(&*self.disk, "syncing the directory of", &name))?;
        self.tail.begin_segment();
        self.file = spare.file;
        self.ensure_spare()?;
        Ok(())
    }

    /// Has the spare filled with zeros once half of the active segment is used: an idle node writes nothing.
    fn prepare(&mut self) {
        let is_due = self.options.prezero && self.tail.offset() > self.options.segment_bytes / 2;
        let Some(spare) = self.spare.as_mut().filter(|spare| is_due && !spare.is_written) else {
            return;
        };
        spare.is_written = true;
        match Preparation::start(Arc::clone(&spare.file), self.options.segment_bytes) {
            Ok(preparation) => spare.preparation = Some(preparation),
            Err(error) => tracing::warn!(%error, "the next log segment could not be prepared"),
        }
    }

    fn write_and_sync(&self, layout: &Layout) -> Result<(), WalError> {
        let error = |doing| io_error(&*self.disk, doing, &segment_name(self.tail.sequence()));
        self.file.write_all_at(&layout.bytes, self.tail.offset()).map_err(error("writing"))?;
        self.file.sync_data().map_err(error("syncing"))
    }
}

/// Makes a log with nothing in it. The identity comes last: before it is there, the first start has not happened.
fn first_start(disk: &dyn Disk, options: &WalOptions) -> Result<Identity, WalError> {
    let name = segment_name(1);
    for sequence in directory::segments(disk)? {
        // What an interrupted first start leaves is one segment with nothing but its start.
        let bytes = disk.read(&segment_name(sequence)).map_err(io_error(disk, "reading", &segment_name(sequence)))?;
        if sequence != 1 || bytes.iter().skip(zw_core::log::block::START_BYTES).any(|byte| *byte != 0) {
            return Err(WalError::NoIdentity { directory: disk.path("") });
        }
        disk.remove(&name).map_err(io_error(disk, "removing", &name))?;
    }
    let number = getrandom::u64()
        .map_err(|error| io_error(disk, "drawing a random number for", "identity")(io::Error::other(error)))?;
    let identity = Identity { node: options.node, ensemble: options.ensemble.clone(), log: LogId(number) };
    let start =
        Start { node: options.node, promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
    let file = disk.open(&name).map_err(io_error(disk, "creating", &name))?;
    file.reserve(options.segment_bytes).map_err(io_error(disk, "making", &name))?;
    let layout =
        Tail::new(identity.log, options.node).lay_out(&[], options.segment_bytes, &Outline::new(1, &start), Vec::new());
    file.write_all_at(&layout.bytes, 0).map_err(io_error(disk, "writing", &name))?;
    file.sync_data().map_err(io_error(disk, "syncing", &name))?;
    disk.sync_directory().map_err(io_error(disk, "syncing the directory of", &name))?;
    identity.write(disk)?;
    Ok(identity)
}

/// Reads all segments. Also returns the bytes at the end of the log that are not known to be on disk.
fn recover(disk: &dyn Disk, identity: &Identity) -> Result<(RecoveredLog, Vec<u8>), WalError> {
    let damaged = |source: RecoverError| {
        let file = source.place().map_or_else(String::new, |(sequence, _)| segment_name(sequence));
        WalError::Damaged { file: disk.path(&file), source }
    };
    let mut recovery = Recovery::new(identity.log, identity.node);
    let sequences = directory::segments(disk)?;
    let mut tail = Vec::new();
    for &sequence in &sequences {
        let name = segment_name(sequence);
        let bytes = disk.read(&name).map_err(io_error(disk, "reading", &name))?;
        recovery.segment(sequence, &bytes).map_err(damaged)?;
        if recovery.end().is_some_and(|end| end.sequence == sequence) {
            tail = bytes;
        }
    }
    let log = recovery.finish().map_err(damaged)?;
    let end = log.end;
    // A segment after the end was made by a rotation that did not come to its first write. One before the first from
    // which the log can be replayed is what an interrupted purge has left.
    let first = log.outline.segments()[0].sequence;
    for &sequence in sequences.iter().filter(|sequence| !(first..=end.sequence).contains(*sequence)) {
        let name = segment_name(sequence);
        disk.remove(&name).map_err(io_error(disk, "removing", &name))?;
        disk.sync_directory().map_err(io_error(disk, "syncing the directory of", &name))?;
    }
    let offset = usize::try_from(end.offset).expect("a segment that was read fits in memory");
    let unproven = usize::try_from(end.position.saturating_sub(log.durable)).expect("it is part of the segment");
    tail.truncate(offset);
    tail.drain(..offset - unproven);
    Ok((log, tail))
}

fn io_error(disk: &dyn Disk, doing: &'static str, name: &str) -> impl Fn(io::Error) -> WalError + use<> {
    let path = disk.path(name);
    move |source| {
        let path = path.clone();
        if is_no_space(&source) { WalError::NoSpace { path } } else { WalError::Io { doing, path, source } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;
    use zw_core::log::record::Entry;

    fn options() -> WalOptions {
        WalOptions { node: NodeId(1), ensemble: "a:8080".into(), segment_bytes: 4_096, prezero: true }
    }

    fn entry(counter: u64) -> Record {
        Record::Entry(Entry::new(Zxid::new(Epoch(1), counter), 7, if counter == 0 { b"" } else { b"some payload" }))
    }

    fn last(recovered: &Recovered) -> Option<u64> {
        recovered.entries.last().map(|entry| entry.zxid().counter())
    }

    #[test]
    fn what_was_synced_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/log");
        for life in 0..5_u64 {
            let (mut wal, recovered) = Wal::open(&path, options()).unwrap();
            assert_eq!(last(&recovered), (life * 100).checked_sub(1));
            for counter in life * 100..(life + 1) * 100 {
                wal.append(&[entry(counter)]);
                wal.sync().unwrap();
            }
            wal.append(&[entry((life + 1) * 100)]);
        }
        let (wal, recovered) = Wal::open(&path, options()).unwrap();
        assert_eq!(recovered.entries.len(), 500);
        assert!(wal.segments() > 5);
    }
}
