//! Enters and leaves the terminal. Leaving is idempotent and resets every mode that could have been set.
//!
//! Invariants:
//! - [`restore_all`] never panics, never fails and never waits long: it serves the normal exit, panics, signals and the
//!   hang-up watchdog alike, from any thread.
//! - After it nothing is painted any more, until [`enter`].
//! - Nobody whom the terminal is lent to has it any more when it is restored.
//! - While the terminal is lent to another program ([`lend`]), its settings from before us are kept: whatever the program
//!   leaves behind, and however it ends, they are what is given back.
//! - The terminal is asked nothing, so no late answer can show up as text.

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::{OptionalActions, QueueSelector, Termios, isatty, tcflush, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::json;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// Alternate screen, hidden cursor, bracketed paste, focus reports.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[2J\x1b[H";
/// Button events in SGR form. Not 1003: reports of every motion cost more than they give.
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1002h\x1b[?1006h";
/// Every variant, whoever set it.
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l";
/// End of a synchronized update, mouse off, paste off, focus off, plain text, cursor on, normal screen.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?2004l\x1b[?1004l\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?25h";
/// Undoes what another program can leave behind if it is killed: its screen, margins, modes of keys, character set. The
/// cursor, which new margins would send home, stays below what the shell printed.
const AFTER_STRANGER: &[u8] =
    b"\x1b[?1049l\x1b[!p\x1b7\x1b[?1l\x1b>\x1b[4l\x1b[?6l\x1b[?7h\x1b[r\x1b8\x1b(B\x1b[>4m\x1b[0 q\x1b[0m";
/// After the terminal came back, a Ctrl-C that was typed before may still be on its way as a signal.
const LATE_SIGNALS: Duration = Duration::from_millis(500);
/// How long a restore waits for a frame that is being written; a terminal that takes none must not hold it up.
const RESTORE_PATIENCE: Duration = Duration::from_millis(200);

static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal { original: None, is_entered: false, is_lent: false });
/// Until when signals of the keyboard are meant for the program that has or had the terminal.
static LENT_UNTIL: Mutex<Lent> = Mutex::new(Lent::Never);

/// Whether the next restore panics, on purpose.
static PANICS: AtomicBool = AtomicBool::new(false);

struct Terminal {
    /// The terminal's settings before us.
    original: Option<Termios>,
    is_entered: bool,
    is_lent: bool,
}

#[derive(Clone, Copy)]
enum Lent {
    Never,
    Now,
    Until(Instant),
}

/// Whether keys can be read from stdin and frames be painted to stdout.
#[must_use]
pub fn is_terminal() -> bool {
    isatty(io::stdin()) && isatty(io::stdout())
}

/// The size of the terminal in cells; nothing if it does not say.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Takes the terminal: raw mode, alternate screen, and the mouse if `mouse`.
///
/// # Errors
/// The terminal is gone or none.
pub fn enter(mouse: bool) -> io::Result<()> {
    let mut terminal = lock();
    let current = tcgetattr(io::stdin())?;
    let mut raw = terminal.original.get_or_insert(current).clone();
    if std::mem::take(&mut terminal.is_lent) {
        set_lent(Lent::Until(Instant::now() + LATE_SIGNALS));
        block(&io::stdin());
        write_all(AFTER_STRANGER)?;
        write_all(MOUSE_OFF)?;
    }
    raw.make_raw();
    tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
    terminal.is_entered = true;
    write_all(ENTER)?;
    if mouse { write_all(MOUSE_ON) } else { Ok(()) }
}

/// Gives the terminal to another program until [`enter`]. What was typed ahead is for that program.
pub fn lend() {
    let mut terminal = lock();
    if !std::mem::take(&mut terminal.is_entered) {
        return;
    }
    terminal.is_lent = true;
    set_lent(Lent::Now);
    let _ = write_all(LEAVE);
    if let Some(original) = &terminal.original {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, original);
    }
}

/// Whether what is typed to interrupt or quit is meant for the program that has the terminal, or just had it.
#[must_use]
pub fn is_lent() -> bool {
    match *LENT_UNTIL.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Lent::Never => false,
        Lent::Now => true,
        Lent::Until(end) => Instant::now() < end,
    }
}

fn set_lent(lent: Lent) {
    *LENT_UNTIL.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = lent;
}

/// Some programs leave the terminal so that reads and writes do not wait.
fn block(terminal: &impl std::os::fd::AsFd) {
    if let Ok(flags) = fcntl_getfl(terminal) {
        let _ = fcntl_setfl(terminal, flags - OFlags::NONBLOCK);
    }
}

/// Takes or gives back the mouse.
///
/// # Errors
/// The terminal is gone.
pub fn set_mouse(mouse: bool) -> io::Result<()> {
    let terminal = lock();
    if !terminal.is_entered {
        return Ok(());
    }
    write_all(if mouse { MOUSE_ON } else { MOUSE_OFF })
}

/// Paints a frame, in one write. Nothing happens outside of the terminal's time.
///
/// # Errors
/// The terminal is gone.
pub fn write_frame(frame: &[u8]) -> io::Result<()> {
    let terminal = lock();
    if terminal.is_entered { write_all(frame) } else { Ok(()) }
}

/// Gives the terminal back as it was. Harmless at any time, any number of times.
pub fn restore_all() {
    // Whatever went wrong on the way, the second attempt does what the first one left undone.
    if catch_unwind(restore).is_err() {
        let _ = catch_unwind(restore);
    }
}

/// For tests: the next restore panics, at its worst moment.
pub fn panic_in_restore() {
    PANICS.store(true, Ordering::SeqCst);
}

fn restore() {
    let mut terminal = match patient_lock() {
        Some(terminal) => terminal,
        None => {
            // Somebody is stuck in a write to a terminal that takes nothing: what waits there is worthless now.
            let _ = tcflush(io::stdout(), QueueSelector::OFlush);
            match patient_lock() {
                Some(terminal) => terminal,
                None => return,
            }
        }
    };
    assert!(!PANICS.swap(false, Ordering::SeqCst), "the restore panics on purpose");
    let is_lent = std::mem::take(&mut terminal.is_lent);
    if !std::mem::take(&mut terminal.is_entered) && !is_lent {
        return;
    }
    if is_lent {
        // Whoever has the terminal would write behind what is written here.
        super::editor::end_now();
        let _ = write_all(AFTER_STRANGER);
    }
    let _ = write_all(LEAVE);
    // What was typed ahead was meant for the console, not for the shell.
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    if let Some(original) = terminal.original.take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &original);
    }
}

fn write_all(bytes: &[u8]) -> io::Result<()> {
    // Not through `io::stdout`: its buffer would split a frame.
    let stdout = io::stdout();
    let mut left = bytes;
    while !left.is_empty() {
        match rustix::io::write(&stdout, left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = &left[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn lock() -> MutexGuard<'static, Terminal> {
    TERMINAL.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn patient_lock() -> Option<MutexGuard<'static, Terminal>> {
    let end = Instant::now() + RESTORE_PATIENCE;
    loop {
        match TERMINAL.try_lock() {
            Ok(terminal) => return Some(terminal),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Whether what is said is read by a program.
static SAYS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on [`say`] prints objects of JSON.
pub fn say_json() {
    SAYS_JSON.store(true, Ordering::SeqCst);
}

/// Prints a line on the normal screen; a terminal that is gone is no error any more.
pub fn say(line: &str) {
    if SAYS_JSON.load(Ordering::SeqCst) {
        say_plain(&json!({ "note": line.trim_start_matches("zw-tui: ") }).to_string());
    } else {
        say_plain(line);
    }
}

/// Prints a line that has its form already.
pub fn say_plain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_resets_all_that_entering_and_the_mouse_set() {
        let sets = |bytes: &[u8], end: char| -> Vec<String> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let modes = text.split("\x1b[?").filter(|mode| mode.contains(end));
            modes.filter_map(|mode| mode.split_once(end).map(|(number, _)| number.to_owned())).collect()
        };
        let leave = sets(LEAVE, 'l');
        for mode in sets(ENTER, 'h').into_iter().chain(sets(MOUSE_ON, 'h')) {
            assert!(leave.contains(&mode), "mode {mode} is not reset");
        }
        assert!(sets(LEAVE, 'h').contains(&"25".to_owned()), "the cursor is not shown");
        for mode in sets(MOUSE_ON, 'h') {
            assert!(sets(MOUSE_OFF, 'l').contains(&mode));
        }
    }

    #[test]
    fn the_cursor_stays_where_the_shell_left_it() {
        let mut screen = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        screen.process(b"a\r\nb\r\nc");
        let before = screen.screen().cursor_position();
        for bytes in [ENTER, LEAVE, AFTER_STRANGER, ENTER, LEAVE] {
            screen.process(bytes);
        }
        assert_eq!((before, screen.screen().cursor_position()), ((2, 1), (2, 1)));
    }

    #[test]
    fn restoring_what_was_not_entered_is_harmless() {
        restore_all();
        restore_all();
        write_frame(b"not painted").unwrap();
    }
}
