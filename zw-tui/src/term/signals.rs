//! The signals that concern a console, as a stream.

use std::io;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Leave; the exit code is 128 and this number.
    Leave(u8),
    /// Give the terminal back and stop.
    Suspend,
    /// We go on after a stop: the terminal may be in any state.
    Continue,
    /// The terminal has another size.
    Resize,
}

/// All of them.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    quit: Stream,
    /// None if whoever started us wants it ignored, as `nohup` does.
    hangup: Option<Stream>,
    stop: Stream,
    go_on: Stream,
    resize: Stream,
}

impl Signals {
    /// Takes the signals over from their defaults. Inside a runtime.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: if is_ignored(rustix::process::Signal::HUP) { None } else { Some(signal(SignalKind::hangup())?) },
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            go_on: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.terminate.recv() => Signal::Leave(15),
            Some(()) = self.interrupt.recv() => Signal::Leave(2),
            Some(()) = self.quit.recv() => Signal::Leave(3),
            Some(()) = hangup => Signal::Leave(1),
            Some(()) = self.stop.recv() => Signal::Suspend,
            Some(()) = self.go_on.recv() => Signal::Continue,
            Some(()) = self.resize.recv() => Signal::Resize,
            else => std::future::pending().await,
        }
    }
}

/// Whether this process was started with the signal ignored; unknown counts as no.
pub(super) fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.as_raw() - 1) & 1 == 1
}

/// Stops this process and its job, as the shell's Ctrl-Z would; returns when it goes on.
pub fn stop_self() {
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
}
