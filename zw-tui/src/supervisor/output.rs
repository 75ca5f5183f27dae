//! What a child prints: kept in a log file of bounded size and, its last lines, in memory for the screen.

use crate::log_file::{Forgiving, LogFile};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines of a child that stay in memory.
pub(super) const LINES_MAX: usize = 1_000;
/// Longest line; what follows is taken as the next line.
pub(super) const LINE_BYTES_MAX: usize = 4 * 1_024;
/// How the line begins that Rust prints below each panic: it says nothing of the reason.
const PANIC_NOTE: &str = "note: ";

/// The output of one child over all its lives.
#[derive(Clone, Debug)]
pub struct Output {
    log: PathBuf,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    /// The last ones.
    kept: VecDeque<String>,
    /// How many of them are of this life.
    of_this_life: usize,
    /// How many there ever were.
    total: u64,
}

impl Output {
    pub(crate) fn new(log: PathBuf) -> Output {
        Output { log, lines: Arc::default() }
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last `count` lines, oldest first.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let kept = &self.lock().kept;
        kept.iter().skip(kept.len().saturating_sub(count)).cloned().collect()
    }

    /// All lines that are kept, oldest first, and how many there ever were; none if that is `known`.
    #[must_use]
    pub fn news(&self, known: Option<u64>) -> Option<(Vec<String>, u64)> {
        let lines = self.lock();
        (known != Some(lines.total)).then(|| (lines.kept.iter().cloned().collect(), lines.total))
    }

    /// A new process begins to print.
    pub(crate) fn begin_life(&self) {
        self.lock().of_this_life = 0;
    }

    /// The newest line of this life that tells something: why a process ended by itself is mostly there. Without what
    /// every line of `name` begins with.
    pub(crate) fn last_words(&self, name: &str) -> Option<String> {
        let lines = self.lock();
        let tells = |line: &&String| !line.trim().is_empty() && !line.starts_with(PANIC_NOTE);
        let line = lines.kept.iter().rev().take(lines.of_this_life).find(tells)?;
        let line = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
        // A line of the log: the time is in the file.
        let message = line.split_once(" ERROR ").filter(|(time, _)| !time.trim().contains(' '));
        Some(message.map_or(line, |(_, message)| message).trim().to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `from` to its end, line by line, into the file and the memory. A file that cannot be written costs the
    /// file, not the child.
    pub(crate) fn pump(&self, from: impl Read) {
        let complain = |error: io::Error| tracing::warn!(path = %self.log.display(), %error, "no log of a child");
        let tell = |error: Option<&io::Error>| match error {
            Some(error) => tracing::warn!(path = %self.log.display(), %error, "cannot write the log of a child"),
            None => tracing::info!(path = %self.log.display(), "the log of a child is written again"),
        };
        let mut file = LogFile::open(&self.log).map_err(complain).ok().map(|file| Forgiving::new(file, tell));
        each_line(from, |line| {
            if let Some(log) = &mut file {
                // It never fails: what cannot be written is told of.
                let _ = log.write_all(&[line, b"\n"].concat());
            }
            let mut lines = self.lock();
            if lines.kept.len() == LINES_MAX {
                lines.kept.pop_front();
            }
            lines.kept.push_back(String::from_utf8_lossy(line).into_owned());
            lines.of_this_life += 1;
            lines.total += 1;
        });
    }
}

/// Calls `each` with every line of `from`, without its end, in pieces of at most [`LINE_BYTES_MAX`].
pub(crate) fn each_line(from: impl Read, mut each: impl FnMut(&[u8])) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => each(line.trim_ascii_end()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_the_file_has_all() {
        let directory = tempfile::tempdir().unwrap();
        let output = Output::new(directory.path().join("n1.log"));
        let text: String = (0..LINES_MAX + 5).map(|number| format!("line {number}\n")).collect();
        output.pump(text.as_bytes());
        assert_eq!(output.tail(2), ["line 1003", "line 1004"]);
        assert_eq!(output.tail(usize::MAX).len(), LINES_MAX);
        assert_eq!(std::fs::read_to_string(output.log()).unwrap(), text);
    }

    #[test]
    fn the_last_words_are_of_this_life_and_without_their_trimmings() {
        let output = Output::new(tempfile::tempdir().unwrap().path().join("gone/n1.log"));
        let words = |text: &str| {
            output.begin_life();
            output.pump(text.as_bytes());
            output.last_words("zw-node")
        };
        assert_eq!(words("INFO started\nzw-node: the log is damaged: 7\n\n").as_deref(), Some("the log is damaged: 7"));
        assert_eq!(words(""), None, "what an earlier life said is over");
        let panic = "thread 'core' panicked at x.rs:1:2:\nit is odd\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(words(panic).as_deref(), Some("it is odd"));
        let logged = "2026-11-20T14:14:25.1Z ERROR the log failed: an ERROR here\n";
        assert_eq!(words(logged).as_deref(), Some("the log failed: an ERROR here"));
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut sizes = Vec::new();
        each_line([b'x'; LINE_BYTES_MAX + 1].as_slice(), |line| sizes.push(line.len()));
        assert_eq!(sizes, [LINE_BYTES_MAX, 1]);
    }
}
