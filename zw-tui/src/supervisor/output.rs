//! What a child prints: kept in a log file of bounded size and, its last lines, in memory for the screen.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines of a child that stay in memory.
pub(super) const LINES_MAX: usize = 1_000;
/// Longest line; what follows is taken as the next line.
pub(super) const LINE_BYTES_MAX: usize = 4 * 1_024;
/// Size at which a log file becomes `*.old` and a new one begins.
pub(super) const LOG_BYTES_MAX: u64 = 8 * 1_024 * 1_024;

/// The output of one child over all its lives.
#[derive(Clone, Debug)]
pub struct Output {
    log: PathBuf,
    lines: Arc<Mutex<VecDeque<String>>>,
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
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Reads `from` to its end, line by line, into the file and the memory. A file that cannot be written costs the
    /// file, not the child.
    pub(crate) fn pump(&self, from: impl Read) {
        let mut file = LogFile::open(&self.log);
        each_line(from, |line| {
            if let Some(log) = &mut file
                && let Err(error) = log.write_line(line)
            {
                tracing::warn!(path = %self.log.display(), %error, "cannot write the log of a child");
                file = None;
            }
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(line).into_owned());
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

struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl LogFile {
    fn open(path: &Path) -> Option<LogFile> {
        let open = || -> io::Result<LogFile> {
            let file = File::options().create(true).append(true).open(path)?;
            let bytes = file.metadata()?.len();
            Ok(LogFile { path: path.to_owned(), file, bytes })
        };
        open().map_err(|error| tracing::warn!(path = %path.display(), %error, "no log of a child")).ok()
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes >= LOG_BYTES_MAX {
            std::fs::rename(&self.path, self.path.with_extension("log.old"))?;
            self.file = File::options().create(true).append(true).open(&self.path)?;
            self.bytes = 0;
        }
        let mut record = line.to_vec();
        record.push(b'\n');
        self.file.write_all(&record)?;
        self.bytes += record.len() as u64;
        Ok(())
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
    fn a_line_without_end_is_cut() {
        let mut sizes = Vec::new();
        each_line([b'x'; LINE_BYTES_MAX + 1].as_slice(), |line| sizes.push(line.len()));
        assert_eq!(sizes, [LINE_BYTES_MAX, 1]);
    }
}
