//! A disk in memory that crashes, fills up and fails.
//!
//! Fault model: a crash keeps what was synced, any sectors of what was written since, and any of the changes to the
//! directory since its last sync. Writes may fail for want of space, or altogether.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use zw_node::wal::disk::{Disk, DiskFile};

const SECTOR_BYTES: usize = 512;

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct TestDisk {
    state: Arc<Mutex<State>>,
}

/// What is on it, and what is to go wrong.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) files: Vec<Content>,
    pub(crate) names: BTreeMap<String, usize>,
    /// The directory when it was last synced, and its changes since.
    synced_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    /// How many more operations succeed.
    pub(crate) operations_left: Option<u64>,
    /// Bytes of all files that there is space for.
    pub(crate) capacity: Option<usize>,
    /// Every write is an input/output error.
    pub(crate) fails: bool,
}

/// A file's content: as it can be read, and as it was when last synced.
#[derive(Clone, Default)]
pub(crate) struct Content {
    pub(crate) now: Vec<u8>,
    synced: Vec<u8>,
}

/// A change of the directory.
#[derive(Clone)]
enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

struct TestFile {
    disk: TestDisk,
    index: usize,
}

impl TestDisk {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What a restart of the machine finds.
    pub(crate) fn crash(&self, mut random: impl FnMut(usize) -> usize) {
        let mut state = self.state();
        let changes = std::mem::take(&mut state.changes);
        let mut names = state.synced_names.clone();
        changes.iter().filter(|_| random(2) == 1).for_each(|change| change.apply(&mut names));
        state.synced_names = names.clone();
        state.names = names;
        for file in &mut state.files {
            let mut found = file.synced.clone();
            if random(2) == 1 {
                found.resize(found.len().max(file.now.len()), 0);
            }
            for from in (0..found.len()).step_by(SECTOR_BYTES) {
                let to = (from + SECTOR_BYTES).min(found.len()).min(file.now.len());
                if from < to && found[from..to] != file.now[from..to] && random(2) == 1 {
                    found[from..to].copy_from_slice(&file.now[from..to]);
                }
            }
            *file = Content { now: found.clone(), synced: found };
        }
        state.operations_left = None;
    }

    /// What the next process finds after only the process has ended: all that was written.
    pub(crate) fn kill(&self) {
        self.state().operations_left = None;
    }

    /// An operation begins; it fails if the crash has come.
    fn begin(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match &mut state.operations_left {
            Some(0) => return Err(io::Error::other("the machine has crashed")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }
}

impl State {
    fn index(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn grow(&mut self, index: usize, length: usize) -> io::Result<()> {
        let others: usize = self.names.values().filter(|i| **i != index).map(|i| self.files[*i].now.len()).sum();
        let length = length.max(self.files[index].now.len());
        if self.capacity.is_some_and(|capacity| others + length > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.files[index].now.resize(length, 0);
        Ok(())
    }

    fn write(&mut self, index: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.grow(index, offset + bytes.len())?;
        self.files[index].now[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

impl Change {
    /// Does nothing if an earlier change that this one needs was lost.
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Change::Create(name, index) => {
                names.entry(name.clone()).or_insert(*index);
            }
            Change::Rename(from, to) => {
                if let Some(index) = names.remove(from) {
                    names.insert(to.clone(), index);
                }
            }
            Change::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk for TestDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.begin()?.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.begin()?;
        Ok(state.files[state.index(name)?].now.clone())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.begin()?;
        let index = state.index(name).unwrap_or(state.files.len());
        if index == state.files.len() {
            state.files.push(Content::default());
            state.change(Change::Create(name.to_owned(), index));
        }
        Ok(Arc::new(TestFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.begin()?;
        state.index(from)?;
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.begin()?;
        state.index(name)?;
        state.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.begin()?;
        state.synced_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/test").join(name)
    }
}

impl DiskFile for TestFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.disk.begin() {
            Ok(state) if state.fails => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
            Ok(mut state) => state.write(self.index, bytes, offset),
            Err(crash) => {
                // The write in which the machine crashed may have come a part of its way.
                self.disk.state().write(self.index, &bytes[..bytes.len() / 2], offset)?;
                Err(crash)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.begin()?;
        let file = &mut state.files[self.index];
        file.synced = file.now.clone();
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.disk.begin()?.grow(self.index, usize::try_from(bytes).unwrap())
    }
}
