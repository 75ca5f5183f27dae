//! The socket in the data directory at which a detached keeper waits for a console.
//!
//! Invariant: neither side listens to another user's process ([`is_own`]), whatever the modes of files say.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const NAME: &str = "console.sock";
/// A longer path does not fit into a socket's address, on no system.
const PATH_BYTES_MAX: usize = 100;

/// A short path to the socket, and what it goes through.
fn path(directory: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = directory.join(NAME);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let open = File::open(directory)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    if !short.exists() {
        return Err(io::Error::other(format!(
            "the path {} is too long for a socket; a shorter --data helps",
            path.display()
        )));
    }
    Ok((short.join(NAME), Some(open)))
}

/// Opens the door, for this user only. Whoever holds the directory's lock may take the place of an earlier one.
pub(super) fn open(directory: &Path) -> io::Result<UnixListener> {
    close(directory);
    let (path, _open) = path(directory)?;
    let listener = UnixListener::bind(path)?;
    // The umask would be that of all threads. Who comes before this is looked at as well.
    let own = std::fs::set_permissions(directory.join(NAME), std::fs::Permissions::from_mode(0o600));
    own.inspect_err(|_| close(directory))?;
    Ok(listener)
}

/// Takes the door away. Whoever holds the directory's lock may: then it is nobody's, or one's own.
pub(super) fn close(directory: &Path) {
    let _ = std::fs::remove_file(directory.join(NAME));
}

/// Whether there is one.
pub(super) fn is_there(directory: &Path) -> bool {
    directory.join(NAME).exists()
}

/// Goes through the door.
pub(super) fn enter(directory: &Path) -> io::Result<UnixStream> {
    let (path, _open) = path(directory)?;
    UnixStream::connect(path)
}

/// Whether the other end is of this user.
#[cfg(target_os = "linux")]
pub(super) fn is_own(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// Whether the other end is of this user. Here only the modes of files tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_own(_stream: &UnixStream) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_users_own_at_paths_of_any_length() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("x".repeat(200));
        std::fs::create_dir(&long).unwrap();
        for directory in [root.path(), &long] {
            assert!(!is_there(directory) && enter(directory).is_err());
            drop(open(directory).unwrap());
            // One that was left behind is in nobody's way.
            let listener = open(directory).unwrap();
            let mode = std::fs::metadata(directory.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(is_own(&enter(directory).unwrap()));
            assert!(is_own(&listener.accept().unwrap().0));
            close(directory);
            assert!(!is_there(directory));
        }
    }
}
