//! Who runs on a data directory: under an exclusive lock the console and its children, by pid and start time. The lock is the
//! keeper's that the console started, or its own if it has none.
//!
//! A console that died without a word leaves the file behind; the next one on the directory ends what still lives.
//! A pid alone proves nothing, for pids are given anew: only pid and start time together name a process.

use crate::member::Member;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long leftovers may take to vanish after SIGKILL.
const REAP_DEADLINE: Duration = Duration::from_secs(2);
const LOCK_NAME: &str = "console.lock";
const FILE_NAME: &str = "console.json";

/// Why a console cannot have a directory.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// Another console runs there.
    #[error("{directory} is in use by the console with pid {pid}; leave that one first, or give another --data")]
    InUse {
        /// The directory.
        directory: String,
        /// The other console, or `?`.
        pid: String,
    },
    /// It cannot be written.
    #[error("cannot use {path}: {error}; give another directory with --data")]
    Io {
        /// What.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// What an earlier console left does not end.
    #[error("{0} of an earlier console still runs (pid {1}) and does not end; end it by hand")]
    Leftover(String, u32),
}

/// A process, so that it is not mistaken for a later one of the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: u32,
    /// Clock ticks since the boot, from `/proc/PID/stat`.
    start: u64,
}

impl Identity {
    fn of(pid: u32) -> Option<Identity> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may hold anything.
        let after_name = &stat[stat.rfind(')')? + 1..];
        let mut fields = after_name.split_whitespace();
        let is_zombie = fields.next()? == "Z";
        let start = fields.nth(18)?.parse().ok()?;
        (!is_zombie).then_some(Identity { pid, start })
    }

    fn is_alive(self) -> bool {
        Identity::of(self.pid) == Some(self)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    console: Option<Identity>,
    children: BTreeMap<String, Identity>,
}

/// The lock and the file. The lock is held as long as this lives.
#[derive(Debug)]
pub struct RunFile {
    directory: PathBuf,
    content: Content,
    /// None once it was handed over.
    lock: Option<File>,
}

impl Drop for RunFile {
    /// Gives the directory free at once: closing the file would not, while a child that was just forked and has not
    /// begun its program still has a copy of it.
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            let _ = flock(lock, FlockOperation::Unlock);
        }
    }
}

impl RunFile {
    /// Locks `directory` (made if need be), ends what an earlier console left, and returns their names.
    ///
    /// # Errors
    /// Another console has it, it cannot be written, or a leftover does not end.
    pub fn take(directory: &Path) -> Result<(RunFile, Vec<String>), RunFileError> {
        let io = |error: io::Error| RunFileError::Io { path: directory.display().to_string(), error };
        std::fs::create_dir_all(directory).map_err(io)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(directory.join(LOCK_NAME)).map_err(io)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let pid = read(directory).console.map_or_else(|| "?".to_owned(), |console| console.pid.to_string());
                return Err(RunFileError::InUse { directory: directory.display().to_string(), pid });
            }
            Err(error) => return Err(io(error.into())),
        }
        let mut left = Vec::new();
        for (name, identity) in read(directory).children {
            if identity.is_alive() {
                end_leftover(&name, identity)?;
                left.push(name);
            }
        }
        let content = Content { console: Identity::of(std::process::id()), children: BTreeMap::new() };
        let run_file = RunFile { directory: directory.to_owned(), content, lock: Some(lock) };
        run_file.write().map_err(io)?;
        Ok((run_file, left))
    }

    /// The lock alone, for another process: it is held as long as that has it.
    pub(crate) fn hand_over(mut self) -> Option<File> {
        self.lock.take()
    }

    /// Goes on with a lock that was handed over, for this console.
    pub(crate) fn inherit(directory: &Path, lock: File, console: u32) -> RunFile {
        let content = Content { console: Identity::of(console), children: BTreeMap::new() };
        RunFile { directory: directory.to_owned(), content, lock: Some(lock) }
    }

    /// Notes who has the directory.
    pub(crate) fn belong_to(&mut self, pid: u32) {
        self.content.console = Identity::of(pid);
        self.write_or_warn();
    }

    /// Notes a child that was spawned.
    pub(crate) fn add(&mut self, member: Member, pid: u32) {
        if let Some(identity) = Identity::of(pid) {
            self.content.children.insert(member.to_string(), identity);
        }
        self.write_or_warn();
    }

    /// Forgets a child that was reaped.
    pub(crate) fn remove(&mut self, member: Member) {
        self.content.children.remove(&member.to_string());
        self.write_or_warn();
    }

    fn write_or_warn(&self) {
        // Without the file the other three layers still hold.
        if let Err(error) = self.write() {
            tracing::warn!(directory = %self.directory.display(), %error, "cannot write the run file");
        }
    }

    fn write(&self) -> io::Result<()> {
        let temporary = self.directory.join("console.json.new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(&self.content)?)?;
        std::fs::rename(&temporary, self.directory.join(FILE_NAME))
    }
}

/// What the file says; nothing if there is none or it is damaged, for then nothing can be known.
fn read(directory: &Path) -> Content {
    let bytes = std::fs::read(directory.join(FILE_NAME)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn end_leftover(name: &str, identity: Identity) -> Result<(), RunFileError> {
    let stuck = || RunFileError::Leftover(name.to_owned(), identity.pid);
    let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw).ok_or_else(stuck)?;
    // Our children lead their groups. One that is gone by now is no error.
    let _ = kill_process_group(pid, Signal::KILL);
    let end = Instant::now() + REAP_DEADLINE;
    while identity.is_alive() {
        if Instant::now() > end {
            return Err(stuck());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn a_second_console_is_refused_and_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let (first, left) = RunFile::take(directory.path()).unwrap();
        assert!(left.is_empty());
        let error = RunFile::take(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(RunFile::take(directory.path()).is_ok());
    }

    #[test]
    fn leftovers_end_and_strangers_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let sleeper = || Command::new("sleep").arg("100").process_group(0).spawn().unwrap();
        let (mut leftover, mut stranger) = (sleeper(), sleeper());
        let (mut run_file, _) = RunFile::take(directory.path()).unwrap();
        run_file.add(Member::Node(1), leftover.id());
        run_file.add(Member::Node(2), stranger.id());
        // The pid of n2 was given to another process since: its start time differs.
        run_file.content.children.get_mut("n2").unwrap().start += 1;
        run_file.write().unwrap();
        drop(run_file);

        let waiter = std::thread::spawn(move || leftover.wait().unwrap());
        let (_run_file, left) = RunFile::take(directory.path()).unwrap();
        assert_eq!(left, ["n1"]);
        assert!(!waiter.join().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none(), "a process that we do not own was ended");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn a_damaged_file_is_taken_as_none() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE_NAME), b"{ damaged").unwrap();
        assert!(RunFile::take(directory.path()).is_ok());
    }
}
