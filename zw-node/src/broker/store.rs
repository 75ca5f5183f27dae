//! The broker's own file: the events that it has seen, in order, one JSON object a line.
//!
//! The ensemble is what decides; the file lets a broker start with what it had, without reading it all again, and show
//! it while no node answers. Invariants:
//! - The first line names the history. A file of another history is set aside as `events.old`, never mixed in.
//! - Lines are appended and flushed to disk before the events are shown. A torn last line is cut at the next start.
//! - The file is written anew when it holds much more than what the ensemble keeps, so it stays bounded.

use super::event::Ordered;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zw_core::limits::BROKER_EVENTS_MAX;

/// The file.
pub(super) struct Store {
    dir: PathBuf,
    file: File,
    lines: usize,
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// The directory or the file in it cannot be made or opened.
    #[error("{path}: {source}; choose a directory that may be written to with --data")]
    Directory {
        /// Which directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk, later.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another broker has it open.
    #[error("{0} is in use by another broker; give each its own --data")]
    InUse(PathBuf),
    /// A line that is not the last is wrong.
    #[error(
        "{path}: line {line} is damaged ({reason}); move the file away, the broker gets its events from the ensemble"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    format: u32,
    history: String,
}

const FORMAT: u32 = 1;

/// What a file held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Empty for a new file.
    pub(super) history: String,
    pub(super) events: Vec<Ordered>,
}

impl Store {
    /// Opens or makes the file in `dir`, and reads it.
    pub(super) fn open(dir: &Path) -> Result<(Store, Stored), StoreError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Directory { path, source }
        };
        std::fs::create_dir_all(dir).map_err(unusable(dir))?;
        let path = dir.join("events.jsonl");
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(unusable(&path))?;
        lock(&file, dir)?;
        let (stored, valid_bytes) = read(&mut file, &path)?;
        file.set_len(valid_bytes).map_err(|source| StoreError::Io { path, source })?;
        let lines = stored.events.len();
        Ok((Store { dir: dir.to_owned(), file, lines }, stored))
    }

    /// Appends events; they are on disk when it returns.
    pub(super) fn append(&mut self, events: &[Ordered]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for event in events {
            serde_json::to_writer(&mut bytes, event)?;
            bytes.push(b'\n');
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.lines += events.len();
        Ok(())
    }

    /// Whether the file should be written anew.
    pub(super) fn is_bloated(&self) -> bool {
        self.lines > 2 * BROKER_EVENTS_MAX
    }

    /// Writes the file anew for `history` with `events` only. `set_aside` keeps the former one as `events.old`.
    pub(super) fn rewrite<'a>(
        &mut self,
        history: &str,
        events: impl Iterator<Item = &'a Ordered>,
        set_aside: bool,
    ) -> io::Result<()> {
        let (path, new) = (self.dir.join("events.jsonl"), self.dir.join("events.new"));
        let mut out = BufWriter::new(File::create(&new)?);
        serde_json::to_writer(&mut out, &Header { format: FORMAT, history: history.to_owned() })?;
        out.write_all(b"\n")?;
        let mut lines = 0;
        for event in events {
            serde_json::to_writer(&mut out, event)?;
            out.write_all(b"\n")?;
            lines += 1;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let file = OpenOptions::new().read(true).append(true).open(&new)?;
        lock(&file, &self.dir).map_err(io::Error::other)?;
        if set_aside {
            std::fs::rename(&path, self.dir.join("events.old"))?;
        }
        std::fs::rename(&new, &path)?;
        File::open(&self.dir)?.sync_all()?;
        (self.file, self.lines) = (file, lines);
        Ok(())
    }
}

fn lock(file: &File, dir: &Path) -> Result<(), StoreError> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StoreError::InUse(dir.to_owned()))
}

/// Reads the lines, and how many bytes of them are whole.
fn read(file: &mut File, path: &Path) -> Result<(Stored, u64), StoreError> {
    let mut stored = Stored::default();
    let mut reader = BufReader::new(file);
    let mut valid_bytes = 0;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let bytes =
            reader.read_until(b'\n', &mut line).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        if line.last() != Some(&b'\n') {
            break; // The end, or a line that was torn by a crash.
        }
        take_line(&mut stored, number, &line).map_err(|reason| StoreError::Damaged {
            path: path.to_owned(),
            line: number,
            reason,
        })?;
        valid_bytes += bytes as u64;
    }
    Ok((stored, valid_bytes))
}

fn take_line(stored: &mut Stored, number: usize, line: &[u8]) -> Result<(), String> {
    if number == 1 {
        let header: Header = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if header.format != FORMAT {
            return Err(format!("format {} is not known", header.format));
        }
        stored.history = header.history;
        return Ok(());
    }
    let event: Ordered = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if stored.events.last().is_some_and(|last| last.name >= event.name || last.zxid > event.zxid) {
        return Err("out of order".into());
    }
    stored.events.push(event);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Ordered {
        let text = format!(
            r#"{{"Name":"e{number:010}","Zxid":{number},"Minute":1,"Player":"P","Club":"C","Score":"1-0","SenderIp":"9090",
            "ReceiverIp":"8080","Clients":"9090","Timestamp":"","RequestId":"r"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn reopened(dir: &Path) -> Stored {
        Store::open(dir).map(|(_, stored)| stored).unwrap()
    }

    #[test]
    fn what_was_appended_is_there_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, stored) = Store::open(dir.path()).unwrap();
        assert_eq!(stored, Stored::default());
        store.rewrite("h1", std::iter::empty(), false).unwrap();
        store.append(&[event(1), event(2)]).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse(_))));
        drop(store);
        assert_eq!(reopened(dir.path()), Stored { history: "h1".into(), events: vec![event(1), event(2)] });
    }

    #[test]
    fn a_torn_last_line_is_cut_and_a_damaged_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let (mut store, _) = Store::open(dir.path()).unwrap();
        store.rewrite("h1", std::iter::empty(), false).unwrap();
        store.append(&[event(1)]).unwrap();
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn.extend_from_slice(b"{\"Name\":\"e00");
        std::fs::write(&path, &torn).unwrap();
        let (mut store, stored) = Store::open(dir.path()).unwrap();
        assert_eq!(stored.events, [event(1)]);
        store.append(&[event(2)]).unwrap();
        drop(store);
        assert_eq!(reopened(dir.path()).events, [event(1), event(2)]);
        torn.extend_from_slice(b"\n");
        std::fs::write(&path, &torn).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Damaged { line: 3, .. })));
    }

    #[test]
    fn another_history_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        store.rewrite("h1", [event(1)].iter(), false).unwrap();
        store.rewrite("h2", std::iter::empty(), true).unwrap();
        store.append(&[event(7)]).unwrap();
        drop(store);
        assert_eq!(reopened(dir.path()), Stored { history: "h2".into(), events: vec![event(7)] });
        assert!(std::fs::read_to_string(dir.path().join("events.old")).unwrap().contains("h1"));
    }
}
