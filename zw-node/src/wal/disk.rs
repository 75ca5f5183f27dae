//! What the log asks of a disk, so that tests can take the disk's place and crash it or fill it up.
//!
//! Fault model that users of [`Disk`] must live with:
//! - What was written and not synced may be lost after a crash, wholly or by sectors in any combination.
//! - What was created, renamed or removed may be undone by a crash until the directory is synced.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One directory of files.
pub trait Disk: Send + Sync {
    /// The names of the files.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The content of a file; zeros at its end may be missing.
    ///
    /// # Errors
    /// There is no such file or it cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Opens a file for writing; makes an empty one if there is none.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing any other of the new name.
    ///
    /// # Errors
    /// The file cannot be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The file cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes what was created, renamed and removed durable.
    ///
    /// # Errors
    /// It may not be durable, and it never will be known whether it is.
    fn sync_directory(&self) -> io::Result<()>;

    /// Where a file is, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Some of it may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// It may not be durable; asking again proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes the space for the first `bytes` of the file, where the file system can do that without writing it, and
    /// makes the file at least that long.
    ///
    /// # Errors
    /// There is no space.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    directory: PathBuf,
}

impl RealDisk {
    /// The directory, made if it is not there, durably so.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(directory: &Path) -> io::Result<RealDisk> {
        let missing = directory.ancestors().take_while(|ancestor| !ancestor.exists()).count();
        fs::create_dir_all(directory)?;
        for parent in directory.canonicalize()?.ancestors().skip(1).take(missing) {
            File::open(parent)?.sync_all()?;
        }
        Ok(RealDisk { directory: directory.to_owned() })
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        let length = written_bytes(&file)?;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(self.path(name))?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl DiskFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        if self.metadata()?.len() >= bytes {
            return Ok(());
        }
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
                self.set_len(bytes)
            }
            other => Ok(other?),
        }
    }
}

/// Where the last bytes of the file that were ever written end. Space that is only reserved reads as zeros, and a start
/// need not wait for 64 MiB of them.
fn written_bytes(file: &File) -> io::Result<u64> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let mut end = 0;
    loop {
        match seek(file, SeekFrom::Data(end)).and_then(|data| seek(file, SeekFrom::Hole(data))) {
            Ok(hole) => end = hole,
            Err(Errno::NXIO) => return Ok(end),
            // The file system cannot tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(file.metadata()?.len()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an error says that there is no space: the only one after which the log goes on.
#[must_use]
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(&directory.path().join("a/b")).unwrap();
        let file = disk.open("file").unwrap();
        assert_eq!(disk.read("file").unwrap(), b"");
        file.reserve(8 << 20).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        file.write_all_at(b"last", 3 << 20).unwrap();
        for _ in 0..2 {
            let bytes = disk.read("file").unwrap();
            assert!(bytes.len() >= (3 << 20) + 4, "all of it");
            assert_eq!((&bytes[..5], &bytes[3 << 20..][..4]), (&b"first"[..], &b"last"[..]));
            let (before, after) = (&bytes[5..3 << 20], &bytes[(3 << 20) + 4..]);
            assert!(before.iter().chain(after).all(|byte| *byte == 0));
            file.sync_data().unwrap();
        }
        assert_eq!(fs::metadata(disk.path("file")).unwrap().len(), 8 << 20);
        file.reserve(1 << 20).unwrap();
        assert_eq!(fs::metadata(disk.path("file")).unwrap().len(), 8 << 20, "a reservation never shrinks a file");
    }
}
