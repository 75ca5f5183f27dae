//! A person's own editor for a value: which program that is, the file that it gets, and what came of it.
//!
//! Invariants:
//! - The file is alone in a directory of its own that only its owner can enter, and the directory goes when the editing
//!   ends, with whatever copies the editor made. One that a sudden death left behind goes with the next editing.
//! - The editor never outlives the console, nor does what it started: a watcher ([`watch_over`]) stands between the two, and
//!   the system tells it when the console ends, however that happens. Only who kills the watcher itself sets the editor
//!   free. What still runs when the editor has ended with 0 runs on.
//! - What the watcher ends is dead before the terminal is given back ([`end_now`]).
//! - Only an editor that ends with 0 changes the value.

use super::descent;
use super::signals::is_ignored;
use crate::launch::own_program;
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal, test_kill_process};
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use zw_core::limits::ZNODE_DATA_BYTES_MAX;

/// The editor of those who chose none.
const DEFAULT: &str = "vi";
/// How the directories of the files begin; the console's pid follows.
const PREFIX: &str = "edit-";
/// What the file is called.
const FILE: &str = "value.txt";
/// What the watcher ends with if the program cannot be started, as shells do.
const NOT_STARTED_CODE: u8 = 127;
/// What is added to the number of the signal that ended the editor, as shells do.
const SIGNAL_CODE: i32 = 128;
/// The highest number of a signal.
const SIGNAL_MAX: i32 = 64;

/// The directory of the editing that is under way.
static DIRECTORY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The watcher of the editor that runs; 0 if none does.
static WATCHER: AtomicI32 = AtomicI32::new(0);

/// An editor that runs.
#[derive(Debug)]
pub struct Editing {
    child: Child,
    directory: TempDir,
    /// What the person calls it.
    name: String,
    /// What it was given.
    text: String,
}

impl Editing {
    /// Starts the editor that the environment names on a file with `text`, in a directory below `state`.
    ///
    /// # Errors
    /// There is no such program, or no place for the file; for a person.
    pub fn start(state: &Path, text: String, editor: &[String]) -> Result<Editing, String> {
        let name = editor.first().cloned().unwrap_or_default();
        let no_place = |error: io::Error| format!("cannot make a file for the editor in {}: {error}", state.display());
        std::fs::create_dir_all(state).map_err(no_place)?;
        remove_left_behind(state);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let directory = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(state)
            .map_err(no_place)?;
        *DIRECTORY.lock().unwrap_or_else(PoisonError::into_inner) = Some(directory.path().to_owned());
        let file = directory.path().join(FILE);
        write_private(&file, &text).map_err(no_place)?;
        // Through this program, which watches over it.
        let mut command = Command::new(own_program());
        command.args(["editor", "--console", &std::process::id().to_string(), "--"]).args(editor).arg(&file);
        let child = command.kill_on_drop(true).spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        WATCHER.store(child.id().map_or(0, u32::cast_signed), Ordering::SeqCst);
        Ok(Editing { child, directory, name, text })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The system does not say.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        WATCHER.store(0, Ordering::SeqCst);
        status
    }

    /// Tells it that the console leaves.
    pub fn hang_up(&self) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            descent::signal_below(pid, Signal::HUP);
        }
    }

    /// What came of it; the file goes.
    ///
    /// # Errors
    /// Why the value stays as it was, for a person.
    pub fn end(self, status: io::Result<ExitStatus>) -> Result<String, String> {
        let name = &self.name;
        let status = status.map_err(|error| format!("{name} cannot be waited for: {error}; the value is unchanged"))?;
        let of_watcher =
            status.code().map(|code| code - SIGNAL_CODE).filter(|signal| (1..=SIGNAL_MAX).contains(signal));
        if let Some(signal) = status.signal().or(of_watcher) {
            return Err(format!("{name} was ended by signal {signal}; the value is unchanged"));
        }
        if !status.success() {
            let code = status.code().unwrap_or_default();
            return Err(format!("{name} ended with exit {code}; the value is unchanged"));
        }
        let edited = read(&self.directory.path().join(FILE));
        let edited = edited.map_err(|reason| format!("{reason}; the value is unchanged"))?;
        Ok(without_added_end(&self.text, edited))
    }
}

impl Drop for Editing {
    fn drop(&mut self) {
        forget();
    }
}

/// Ends the editor that runs, if one does, with all that it started, from whichever thread ends the console.
pub fn end_now() {
    if let Some(watcher) = Pid::from_raw(WATCHER.swap(0, Ordering::SeqCst)) {
        descent::end(watcher);
    }
}

/// Ends the editing that is under way and removes its file, from whichever thread ends the console.
pub fn forget() {
    end_now();
    if let Some(directory) = DIRECTORY.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = std::fs::remove_dir_all(directory);
    }
}

/// The words of the editor's command: of `$VISUAL`, else of `$EDITOR`, else [`DEFAULT`].
///
/// # Errors
/// It makes no words, or its program is nowhere; for a person.
pub fn command_of(variable: impl Fn(&str) -> Option<OsString>) -> Result<Vec<String>, String> {
    let set = |name: &str| variable(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    let (name, value) = match (set("VISUAL"), set("EDITOR")) {
        (Some(value), _) => ("$VISUAL", value),
        (None, Some(value)) => ("$EDITOR", value),
        (None, None) => ("$EDITOR", DEFAULT.into()),
    };
    let text = value.into_string().map_err(|_| format!("{name} is no text"))?;
    let words = words(&text).map_err(|reason| format!("{name}: {reason}"))?;
    let program = words.first().cloned().unwrap_or_default();
    if is_program(&program, variable("PATH").as_deref()) {
        Ok(words)
    } else {
        Err(format!("there is no program {program:?}: set EDITOR or VISUAL to your editor before zw-tui is started"))
    }
}

/// Splits as a shell would: by blanks, with quotes and backslashes; nothing else has a meaning.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match characters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("ends with a backslash".into()),
            },
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    if words.is_empty() { Err("names no program".into()) } else { Ok(words) }
}

fn is_program(name: &str, path: Option<&OsStr>) -> bool {
    if name.contains('/') {
        return Path::new(name).is_file();
    }
    path.is_some_and(|path| std::env::split_paths(path).any(|folder| folder.join(name).is_file()))
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

/// The text of a file, as far as a znode holds it.
fn read(file: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let most = u64::try_from(ZNODE_DATA_BYTES_MAX).unwrap_or(u64::MAX);
    let opened = std::fs::File::open(file).map_err(|error| format!("the editor's file cannot be read: {error}"))?;
    opened.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("the editor's file: {error}"))?;
    if bytes.len() > ZNODE_DATA_BYTES_MAX {
        return Err(format!("the editor's file is larger than {ZNODE_DATA_BYTES_MAX} bytes, the most of a znode"));
    }
    String::from_utf8(bytes).map_err(|_| "the editor's file is no UTF-8 text; :write PATH @FILE writes any file".into())
}

/// Most editors end the last line. Who gave a text without that end did not ask for it.
fn without_added_end(given: &str, mut edited: String) -> String {
    if !given.ends_with('\n') && edited.ends_with('\n') {
        edited.pop();
    }
    edited
}

/// Removes the directories of consoles that live no more.
fn remove_left_behind(state: &Path) {
    for entry in std::fs::read_dir(state).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if pid.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_err()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Runs the editor, and ends it with all that it started when the console of this pid ends. Gives the exit code.
#[must_use]
pub fn watch_over(console: u32, line: &[OsString]) -> u8 {
    let Some((program, arguments)) = line.split_first() else { return NOT_STARTED_CODE };
    let not_started = |error: io::Error| {
        super::guard::say(&format!("zw-tui: cannot start {}: {error}", program.display()));
        NOT_STARTED_CODE
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let watched = runtime.and_then(|runtime| runtime.block_on(watch(console, program, arguments)));
    watched.unwrap_or_else(not_started)
}

async fn watch(console: u32, program: &OsStr, arguments: &[OsString]) -> io::Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    // They are meant for the editor. Caught and not ignored, for what is ignored the editor would ignore too.
    let of_keyboard = [Signal::INT, Signal::QUIT, Signal::HUP].into_iter().filter(|signal| !is_ignored(*signal));
    let _caught =
        of_keyboard.map(|caught| signal(SignalKind::from_raw(caught.as_raw()))).collect::<io::Result<Vec<_>>>()?;
    descent::adopt()?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // The console may have ended before.
    if getppid().map(|parent| parent.as_raw_nonzero().get().cast_unsigned()) != Some(console) {
        return Ok(NOT_STARTED_CODE);
    }
    let mut editor = Command::new(program).args(arguments).spawn()?;
    let status = tokio::select! {
        biased;
        _ = terminate.recv() => {
            // Whoever edits has nothing saved that the console would still take.
            descent::end_below(getpid());
            return Ok(NOT_STARTED_CODE);
        }
        status = editor.wait() => status?,
    };
    if !status.success() {
        // What hung up may have taken only the wrapper. Behind one that ended well something may run on by its own will.
        descent::end_below(getpid());
    }
    let code = status.code().or_else(|| Some(SIGNAL_CODE + status.signal()?));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_STARTED_CODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_split_as_a_shell_would() {
        let split = |text: &str| words(text).unwrap();
        assert_eq!(split("vim"), ["vim"]);
        assert_eq!(split("  code   --wait "), ["code", "--wait"]);
        assert_eq!(
            split(r#"sh -c 'echo "a b" > "$1"' "x y"'z' a\ b"#),
            ["sh", "-c", r#"echo "a b" > "$1""#, "x yz", "a b"]
        );
        assert_eq!(split("e ''"), ["e", ""]);
        for (wrong, reason) in [("a 'b", "not closed"), ("a \\", "backslash"), ("  ", "no program")] {
            assert!(words(wrong).unwrap_err().contains(reason), "{wrong}");
        }
    }

    #[test]
    fn visual_comes_before_editor_and_a_missing_program_is_named() {
        let of = |visual: Option<&'static str>, editor: Option<&'static str>| {
            command_of(move |name| match name {
                "VISUAL" => visual.map(OsString::from),
                "EDITOR" => editor.map(OsString::from),
                "PATH" => Some("/nonexistent:/bin:/usr/bin".into()),
                _ => None,
            })
        };
        assert_eq!(of(Some("sh -x"), Some("cat")).unwrap(), ["sh", "-x"]);
        assert_eq!(of(Some(" "), Some("cat")).unwrap(), ["cat"]);
        assert!(of(None, Some("/bin/sh")).is_ok());
        let missing = of(None, Some("no-such-editor -x")).unwrap_err();
        assert!(missing.contains("\"no-such-editor\"") && missing.contains("set EDITOR"), "{missing}");
        assert!(of(Some("'x"), None).unwrap_err().contains("$VISUAL"));
    }

    #[test]
    fn a_file_is_read_as_far_as_a_znode_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        assert!(read(&file).unwrap_err().contains("cannot be read"));
        std::fs::write(&file, vec![b'x'; ZNODE_DATA_BYTES_MAX]).unwrap();
        assert_eq!(read(&file).unwrap().len(), ZNODE_DATA_BYTES_MAX);
        std::fs::write(&file, vec![b'x'; ZNODE_DATA_BYTES_MAX + 1]).unwrap();
        assert!(read(&file).unwrap_err().contains("larger than"));
        std::fs::write(&file, b"\xff").unwrap();
        assert!(read(&file).unwrap_err().contains("no UTF-8"));
    }

    #[test]
    fn an_end_of_line_that_the_editor_added_is_not_taken() {
        let after = |given: &str, edited: &str| without_added_end(given, edited.to_owned());
        assert_eq!(after("7", "8\n"), "8");
        assert_eq!(after("7\n", "8\n"), "8\n");
        assert_eq!(after("7", "8\n\n"), "8\n");
        assert_eq!(after("", "\n"), "");
    }

    #[test]
    fn the_file_is_private_and_what_the_dead_left_goes() {
        let state = tempfile::tempdir().unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let gone = dead.id();
        dead.wait().unwrap();
        let left = state.path().join(format!("{PREFIX}{gone}-x"));
        let living = state.path().join(format!("{PREFIX}{}-x", std::process::id()));
        let other = state.path().join("edit-notes");
        [&left, &living, &other].iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        remove_left_behind(state.path());
        assert!(!left.exists() && living.exists() && other.exists());
        let file = living.join(FILE);
        write_private(&file, "secret").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
