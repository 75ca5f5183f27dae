//! A file of lines with a bound: when it is full it becomes `*.old`, in place of the one before, and a new one begins.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Size at which a log file becomes `*.old` and a new one begins.
pub const LOG_BYTES_MAX: u64 = 8 * 1_024 * 1_024;

/// The file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl LogFile {
    /// Goes on with a file, or begins one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        LogFile::with_bound(path, LOG_BYTES_MAX)
    }

    fn with_bound(path: &Path, bytes_max: u64) -> io::Result<LogFile> {
        let file = File::options().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(LogFile { path: path.to_owned(), file, bytes, bytes_max })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let mut record = line.to_vec();
        record.push(b'\n');
        self.write_all(&record)
    }
}

impl Write for LogFile {
    /// Writes all of it, which is at least a line, into one file.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.bytes >= self.bytes_max {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            match std::fs::rename(&self.path, old) {
                // Renamed before, when no new one could be begun; or somebody took it away.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.file = File::options().create(true).append(true).open(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(record)?;
        self.bytes += record.len() as u64;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A log that never fails towards those who log: what cannot be written is lost, and that is told, once until it works
/// again.
#[derive(Debug)]
pub struct Forgiving<W, T> {
    log: W,
    tell: T,
    is_failing: bool,
}

impl<W: Write, T: Fn(Option<&io::Error>)> Forgiving<W, T> {
    /// Tells of the first failure with its error, and of the first success after it with none.
    pub fn new(log: W, tell: T) -> Forgiving<W, T> {
        Forgiving { log, tell, is_failing: false }
    }
}

impl<W: Write, T: Fn(Option<&io::Error>)> Write for Forgiving<W, T> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let error = self.log.write_all(record).err();
        if error.is_some() != self.is_failing {
            self.is_failing = error.is_some();
            (self.tell)(error.as_ref());
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Takes every third line.
    struct Moody(u32);

    impl Write for Moody {
        fn write(&mut self, record: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0.is_multiple_of(3) { Ok(record.len()) } else { Err(io::ErrorKind::StorageFull.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_is_told_of_once() {
        let told = RefCell::new(Vec::new());
        let mut log = Forgiving::new(Moody(0), |error| told.borrow_mut().push(error.map(io::Error::kind)));
        for _ in 0..4 {
            log.write_all(b"line").unwrap();
        }
        let full = Some(io::ErrorKind::StorageFull);
        assert_eq!(*told.borrow(), [full, None, full]);
    }

    #[test]
    fn two_files_of_bounded_size_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console.log");
        let mut log = LogFile::with_bound(&path, 100).unwrap();
        for number in 0..50 {
            log.write_line(format!("line {number}").as_bytes()).unwrap();
        }
        drop(log);
        let mut log = LogFile::with_bound(&path, 100).unwrap();
        log.write_line(b"after a pause").unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let (new, old) = (read("console.log"), read("console.log.old"));
        assert!(new.ends_with("line 49\nafter a pause\n") && new.len() < 120, "{new}");
        assert!(old.len() >= 100 && old.len() < 120 && old.ends_with('\n'), "{old}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_could_not_be_begun_is_begun_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("console.log");
        let mut log = LogFile::with_bound(&path, 10).unwrap();
        log.write_line(b"long enough to be full").unwrap();
        // As it is left when the rename went well and the opening failed.
        std::fs::rename(&path, directory.path().join("console.log.old")).unwrap();
        log.write_line(b"after").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
        let old = std::fs::read_to_string(directory.path().join("console.log.old")).unwrap();
        assert_eq!(old, "long enough to be full\n");
    }
}
