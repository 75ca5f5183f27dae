//! Shows a recording: the console without anything behind it. Nothing is started, nothing is asked.

use crate::arrivals::Arrivals;
use crate::console::{ERROR_CODE, Look, USAGE_CODE, on_screen, watch_signals};
use crate::model::session::Session;
use crate::options::LookOptions;
use crate::recording::{self, Recorder};
use crate::run::Console;
use crate::term::{guard, hangup, panic};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::mpsc::channel;

/// The exit code when the terminal is gone, as shells count a hang-up.
const HANGUP_CODE: u8 = 129;

/// Shows the recording in a file; gives the exit code.
#[must_use]
pub fn run(file: &Path, options: &LookOptions) -> u8 {
    if !guard::is_terminal() {
        guard::say("zw-tui: a recording is shown on a terminal, on stdin and stdout");
        return USAGE_CODE;
    }
    match start(file, options) {
        Ok(code) => code,
        Err(reason) => {
            guard::restore_all();
            guard::say(&format!("zw-tui: {reason}"));
            ERROR_CODE
        }
    }
}

fn start(file: &Path, options: &LookOptions) -> Result<u8, String> {
    panic::install().map_err(|error| format!("cannot install the panic hook: {error}"))?;
    let (tape, left) = recording::read(file).map_err(|error| error.to_string())?;
    let mut session = Session::replay(tape).map_err(|error| error.to_string())?;
    if left > 0 {
        session.note(format!("the recording breaks off: its last {left} bytes are no whole message"));
    }
    let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let workers = workers.map_err(|error| format!("cannot start the worker thread: {error}"))?;
    let code = Arc::new(AtomicU8::new(0));
    let on_leave = Arc::clone(&code);
    let signals = watch_signals(&workers, move |number| on_leave.store(128 + number, Ordering::SeqCst))
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    let gone = || {
        guard::restore_all();
        std::process::exit(i32::from(HANGUP_CODE));
    };
    hangup::watch(gone).map_err(|error| format!("cannot watch the terminal: {error}"))?;
    let Look { settings, environment, paths } = Look::of(options);
    let (theme, is_remote) = (settings.theme, environment.is_remote);
    let (sender, messages) = channel(1);
    let recorder = Recorder::new(sender);
    let arrivals = Arrivals::start(workers.handle(), messages);
    let (world, comeback) = (None, None);
    let outcome =
        on_screen(Console { session, theme, world, arrivals, signals, recorder, paths, is_remote, comeback })?;
    guard::restore_all();
    workers.shutdown_background();
    Ok(match outcome {
        _ if panic::happened() => panic::PANIC_CODE,
        Err(_) => panic::PANIC_CODE,
        Ok(Err(_)) => HANGUP_CODE,
        Ok(Ok(())) => code.load(Ordering::SeqCst),
    })
}
