//! Reads the terminal on a thread of its own.
//!
//! The terminal library's own reader takes at most 1,024 bytes when new ones come and then waits for newer ones: the rest
//! of a burst stays unread until the next key. Here every read is preceded by a question whether there is something.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use std::io;
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes of one read: what a terminal's queue holds.
const READ_BYTES: usize = 4_096;
/// Reads that wait for the loop; the terminal's own queue holds the rest.
const READS_MAX: usize = 16;

/// Starts the thread. The receiver gets what is typed, and ends with the terminal.
///
/// # Errors
/// The thread could not be made.
pub fn start() -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = channel(READS_MAX);
    std::thread::Builder::new().name("keys".into()).spawn(move || {
        let terminal = io::stdin();
        while let Some(bytes) = next(&terminal) {
            if sender.blocking_send(bytes).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Waits for bytes; none when the terminal is gone.
fn next(terminal: &impl std::os::fd::AsFd) -> Option<Vec<u8>> {
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return None,
            Ok(_) => {}
        }
        let mut bytes = vec![0; READ_BYTES];
        match read(terminal, &mut bytes) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => return None,
            Ok(length) => {
                bytes.truncate(length);
                return Some(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn all_that_was_typed_comes_and_then_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let typed: Vec<u8> = (0..20_000_u32).map(|index| index.to_le_bytes()[0]).collect();
        let expected = typed.clone();
        let writer = std::thread::spawn(move || (&theirs).write_all(&typed).unwrap());
        let mut came = Vec::new();
        while let Some(bytes) = next(&ours) {
            came.extend(bytes);
        }
        writer.join().unwrap();
        assert_eq!(came, expected);
    }
}
