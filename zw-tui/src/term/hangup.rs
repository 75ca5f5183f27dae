//! Notices that the terminal is gone when no signal says so.
//!
//! A parent that ignores SIGHUP makes us ignore it too, and the library that reads the keys spins on a dead terminal.
//! So a thread of its own waits for nothing but the hang-up: an empty event mask wakes only for HUP, ERR and NVAL.

use rustix::event::{PollFd, PollFlags, poll};
use std::io;

/// Starts the thread; `gone` runs once, on it, when the terminal hangs up.
///
/// # Errors
/// The thread could not be made.
pub fn watch(gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name("hang-up".into())
        .spawn(move || {
            wait_for_hangup(&io::stdin());
            gone();
        })
        .map(|_| ())
}

fn wait_for_hangup(terminal: &impl std::os::fd::AsFd) {
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return,
            Err(error) => {
                // Without the watchdog signals still work; a false alarm would end a healthy console.
                tracing::warn!(%error, "cannot watch the terminal for a hang-up");
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    #[test]
    fn typing_does_not_wake_it_and_a_closed_terminal_does() {
        // A socket pair behaves as a terminal here: data alone does not wake, the end of the other side does.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            wait_for_hangup(&ours);
            sender.send(()).unwrap();
        });
        io::Write::write_all(&mut &theirs, b"typed").unwrap();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
        drop(theirs);
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}
