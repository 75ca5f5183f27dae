//! Reads the terminal on a thread of its own.
//!
//! The terminal library's own reader takes at most 1,024 bytes when new ones come and then waits for newer ones: the rest
//! of a burst stays unread until the next key. Here every read is preceded by a question whether there is something.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes of one read: what a terminal's queue holds.
const READ_BYTES: usize = 4_096;
/// Reads that wait for the loop; the terminal's own queue holds the rest.
const READS_MAX: usize = 16;

/// What is typed.
#[derive(Debug)]
pub struct Keys {
    /// What was read; it ends with the terminal.
    pub typed: Receiver<Vec<u8>>,
    /// Holds the thread back.
    pub gate: Arc<Gate>,
}

/// Keeps the thread from reading while another program has the terminal.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// A byte in it wakes the thread.
    bell: PipeWriter,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    /// Whether the thread is waiting for bytes or reading them.
    is_reading: bool,
}

impl Gate {
    /// From the return on nothing is read.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let _ = (&self.bell).write_all(&[0]);
        while state.is_reading {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads again.
    pub fn open(&self) {
        self.lock().is_closed = false;
        self.changed.notify_all();
    }

    /// Waits until the gate is open, and goes through.
    fn enter(&self) {
        let mut state = self.lock();
        while state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_reading = true;
    }

    fn leave(&self) {
        self.lock().is_reading = false;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread.
///
/// # Errors
/// The thread could not be made.
pub fn start() -> io::Result<Keys> {
    follow(io::stdin())
}

fn follow(terminal: impl AsFd + Send + 'static) -> io::Result<Keys> {
    let (sender, typed) = channel(READS_MAX);
    let (heard, bell) = io::pipe()?;
    let gate = Arc::new(Gate { state: Mutex::default(), changed: Condvar::new(), bell });
    let inner = Arc::clone(&gate);
    std::thread::Builder::new().name("keys".into()).spawn(move || {
        loop {
            inner.enter();
            let read = next(&terminal, &heard);
            inner.leave();
            let Some(bytes) = read else { return };
            if !bytes.is_empty() && sender.blocking_send(bytes).is_err() {
                return;
            }
        }
    })?;
    Ok(Keys { typed, gate })
}

/// Waits for bytes; gives none at all if the bell rang, and nothing when the terminal is gone.
fn next(terminal: &impl AsFd, heard: &PipeReader) -> Option<Vec<u8>> {
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN), PollFd::new(heard, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return None,
            Ok(_) => {}
        }
        if !fds[1].revents().is_empty() {
            let _ = read(heard, &mut [0; 64]);
            return Some(Vec::new());
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
    use std::os::unix::net::UnixStream;

    #[test]
    fn all_that_was_typed_comes_and_then_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let typed: Vec<u8> = (0..20_000_u32).map(|index| index.to_le_bytes()[0]).collect();
        let expected = typed.clone();
        let writer = std::thread::spawn(move || (&theirs).write_all(&typed).unwrap());
        let mut keys = follow(ours).unwrap();
        let mut came = Vec::new();
        while let Some(bytes) = keys.typed.blocking_recv() {
            came.extend(bytes);
        }
        writer.join().unwrap();
        assert_eq!(came, expected);
    }

    #[test]
    fn behind_a_closed_gate_nothing_is_read() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let other = ours.try_clone().unwrap();
        let mut keys = follow(ours).unwrap();
        for _ in 0..100 {
            keys.gate.close();
            (&theirs).write_all(b"x").unwrap();
            // Somebody else gets it: a thread that read would have it.
            assert_eq!(read(&other, &mut [0; 8]), Ok(1));
            keys.gate.open();
            (&theirs).write_all(b"y").unwrap();
            assert_eq!(keys.typed.blocking_recv().as_deref(), Some(&b"y"[..]));
        }
    }
}
