//! Recordings on the disk: written by a thread of their own, so that a slow or full disk never holds up the screen; and
//! read back.
//!
//! A file is a line that says what it is, then the tape as it is in memory. It grows with each message, so a console that
//! dies leaves a recording up to then.

use crate::model::State;
use crate::model::message::{Msg, Recording, TapeOrder};
use crate::model::tape::{Tape, TapeError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::Sender;

/// The beginning of the first line; the number rises when the frames mean something else.
const MAGIC: &str = "ZooWeeper recording 1, ";
/// The longest first line.
const HEAD_BYTES_MAX: usize = 100;
/// Pieces that wait for the disk. The first is all that was kept, the others are messages.
const QUEUE_MAX: usize = 4_096;
/// The largest file that is opened: twice what is ever written.
const FILE_BYTES_MAX: u64 = 2 << 30;
/// How long the end of the console waits for the disk.
const FINISH_TIME: Duration = Duration::from_secs(1);

/// Why a recording cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("cannot read the recording {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is something else.
    #[error("{} is no recording; the command :record on makes one", .0.display())]
    Foreign(PathBuf),
    /// It is larger than any that is written.
    #[error("{} is too large for a recording", .0.display())]
    TooLarge(PathBuf),
    /// Its frames cannot be played.
    #[error("cannot show the recording {} ({by}): {error}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Who wrote it.
        by: String,
        /// Why.
        error: TapeError,
    },
}

/// Reads a recording, and says how many bytes at its end are no whole message.
///
/// # Errors
/// See [`ReplayError`].
pub fn read(path: &Path) -> Result<(Tape, usize), ReplayError> {
    read_and_play(path).map(|(tape, _, left)| (tape, left))
}

/// As [`read`], with the state at its end.
///
/// # Errors
/// See [`ReplayError`].
pub fn read_and_play(path: &Path) -> Result<(Tape, State, usize), ReplayError> {
    let unreadable = |error| ReplayError::Unreadable { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ReplayError::TooLarge(path.to_owned()));
    }
    let foreign = || ReplayError::Foreign(path.to_owned());
    let end = bytes.iter().take(HEAD_BYTES_MAX).position(|byte| *byte == b'\n').ok_or_else(foreign)?;
    let by = std::str::from_utf8(&bytes[..end]).ok().and_then(|line| line.strip_prefix(MAGIC)).ok_or_else(foreign)?;
    let broken = |error| ReplayError::Broken { path: path.to_owned(), by: by.to_owned(), error };
    let (tape, left) = Tape::from_bytes(&bytes[end + 1..]).map_err(broken)?;
    // Played to its end once: what is shown first is there, and the frames mean something.
    let state = tape.state_at(tape.newest()).map_err(broken)?;
    Ok((tape, state, left))
}

/// The recording that is being written, if one is.
#[derive(Debug)]
pub struct Recorder {
    messages: Sender<Msg>,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    queue: SyncSender<Vec<u8>>,
    /// Closed when the file is whole.
    done: Receiver<()>,
}

impl Recorder {
    /// Tells how it goes through `messages`.
    #[must_use]
    pub fn new(messages: Sender<Msg>) -> Recorder {
        Recorder { messages, writer: None }
    }

    /// Carries an order out. Never waits.
    pub fn perform(&mut self, order: TapeOrder) {
        match order {
            TapeOrder::Begin { file, bytes } => self.begin(file, bytes),
            TapeOrder::Append(bytes) => {
                if let Some(writer) = &self.writer
                    && let Err(TrySendError::Full(_)) = writer.queue.try_send(bytes)
                {
                    self.writer = None;
                    self.report(Recording::Failed("the disk is too slow for a recording".into()));
                }
            }
            TapeOrder::End => self.writer = None,
        }
    }

    /// Waits a little until the file is whole.
    pub fn finish(&mut self) {
        let Some(Writer { queue, done }) = self.writer.take() else { return };
        drop(queue);
        if done.recv_timeout(FINISH_TIME) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the end of the recording is not on the disk");
        }
    }

    fn begin(&mut self, file: Option<String>, bytes: Vec<u8>) {
        // A directory that somebody misspelt is not made.
        let makes_directory = file.is_none();
        let path = file.map_or_else(new_path, PathBuf::from);
        let (queue, pieces) = sync_channel(QUEUE_MAX);
        let (finished, done) = sync_channel::<()>(1);
        let messages = self.messages.clone();
        let thread = std::thread::Builder::new().name("recording".into()).spawn(move || {
            let made = path.parent().filter(|_| makes_directory).map_or(Ok(()), std::fs::create_dir_all);
            let outcome = made.and_then(|()| write(&path, &bytes, &pieces, &messages));
            let outcome = outcome.unwrap_or_else(|error| {
                Recording::Failed(format!("cannot write {}: {error}; record on FILE names another", path.display()))
            });
            // A console that has ended does not want to know.
            let _ = messages.try_send(Msg::Recording(outcome));
            drop(finished);
        });
        match thread {
            Ok(_) => self.writer = Some(Writer { queue, done }),
            Err(error) => self.report(Recording::Failed(format!("cannot start a thread: {error}"))),
        }
    }

    fn report(&self, recording: Recording) {
        let _ = self.messages.try_send(Msg::Recording(recording));
    }
}

/// Writes a whole tape, in place of the one before.
///
/// # Errors
/// It cannot be written; then there is none.
pub fn keep(path: &Path, tape: &Tape) -> io::Result<()> {
    let _ = std::fs::remove_file(path);
    let bytes = [head().as_bytes(), &tape.to_bytes()].concat();
    std::fs::write(path, bytes).inspect_err(|_| drop(std::fs::remove_file(path)))
}

fn head() -> String {
    format!("{MAGIC}zw-tui {}\n", env!("CARGO_PKG_VERSION"))
}

/// Until nobody sends any more.
fn write(path: &Path, first: &[u8], pieces: &Receiver<Vec<u8>>, messages: &Sender<Msg>) -> io::Result<Recording> {
    let file = File::create_new(path)?;
    let shown = path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string();
    let bytes = copy(file, first, pieces, || {
        let _ = messages.try_send(Msg::Recording(Recording::Began(shown.clone())));
    })?;
    Ok(Recording::Ended { file: shown, bytes })
}

/// Gives how many bytes it were; `began` is called when the first are in the file.
fn copy(file: File, first: &[u8], pieces: &Receiver<Vec<u8>>, began: impl FnOnce()) -> io::Result<u64> {
    let mut file = io::BufWriter::new(file);
    let head = head();
    file.write_all(head.as_bytes())?;
    file.write_all(first)?;
    file.flush()?;
    began();
    let mut bytes = (head.len() + first.len()) as u64;
    while let Ok(piece) = pieces.recv() {
        for piece in std::iter::once(piece).chain(pieces.try_iter()) {
            file.write_all(&piece)?;
            bytes += piece.len() as u64;
        }
        file.flush()?;
    }
    file.into_inner()?.sync_all()?;
    Ok(bytes)
}

/// A new file where programs keep what they make: the data directory may go with the console.
fn new_path() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let directory = state.or_else(home).unwrap_or_else(std::env::temp_dir).join("zw");
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "-");
    directory.join(format!("recording-{time}.zwrec"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;
    use tokio::sync::mpsc::channel;

    fn tape(messages: usize) -> Tape {
        let mut tape = Tape::default();
        let state = State::new(vec!["localhost:1".into()], Vec::new());
        for number in 0..messages {
            tape.record(&state, Duration::from_millis(number as u64), &Msg::Note(format!("note {number}")));
        }
        tape
    }

    fn written(pieces: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.zwrec");
        let (sender, mut messages) = channel(8);
        let mut recorder = Recorder::new(sender);
        recorder.perform(TapeOrder::Begin { file: Some(path.display().to_string()), bytes: pieces[0].to_vec() });
        for piece in &pieces[1..] {
            recorder.perform(TapeOrder::Append(piece.to_vec()));
        }
        recorder.finish();
        assert!(matches!(messages.try_recv(), Ok(Msg::Recording(Recording::Began(_)))));
        let length = std::fs::metadata(&path).unwrap().len();
        assert!(matches!(messages.try_recv(), Ok(Msg::Recording(Recording::Ended { bytes, .. })) if bytes == length));
        (directory, path)
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_end_is_left_out() {
        let bytes = tape(20).to_bytes();
        let (_directory, path) = written(&[&bytes[..100], &bytes[100..300], &bytes[300..]]);
        let (read_back, left) = read(&path).unwrap();
        assert_eq!((read_back.to_bytes(), left), (bytes.clone(), 0));
        let state = read_back.state_at(read_back.newest()).unwrap();
        assert_eq!(state.events.total(), 20);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let (torn, left) = read(&path).unwrap();
        assert!(left > 0 && torn.state_at(torn.newest()).unwrap().events.total() == 19);
    }

    #[test]
    fn what_is_no_recording_is_refused_with_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert!(matches!(read(&path), Err(ReplayError::Unreadable { .. })));
        for foreign in
            [&b""[..], b"\x7fELF and more", b"hello\n", "x".repeat(1_000).as_bytes(), b"ZooWeeper recording 2, y\n"]
        {
            std::fs::write(&path, foreign).unwrap();
            assert!(matches!(read(&path), Err(ReplayError::Foreign(_))), "{foreign:?}");
        }
        let (_directory, path) = written(&[&tape(20).to_bytes()]);
        let whole = std::fs::read(&path).unwrap();
        let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for at in [head + 10, whole.len() / 2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.to_string().contains("damaged at byte") && error.to_string().contains("zw-tui"), "{error}");
        }
        std::fs::write(&path, &whole[..head]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("nothing was recorded"));
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("there");
        std::fs::write(&path, "x").unwrap();
        let (sender, mut messages) = channel(8);
        let mut recorder = Recorder::new(sender);
        recorder.perform(TapeOrder::Begin { file: Some(path.display().to_string()), bytes: Vec::new() });
        recorder.finish();
        assert!(
            matches!(messages.try_recv(), Ok(Msg::Recording(Recording::Failed(reason))) if reason.contains("there"))
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"x", "nothing is overwritten");
        let full_disk = File::options().write(true).open("/dev/full").unwrap();
        let error = copy(full_disk, b"x", &sync_channel(1).1, || panic!("it began")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
