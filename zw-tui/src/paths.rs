//! Where the console keeps what outlives it, by the rules of XDG on every system.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files of one name in a directory.
const NUMBERED_MAX: u32 = 1_000;

/// The directories, as the environment has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The file of settings.
    pub config: PathBuf,
    /// Logs and dumps of the screen.
    pub state: PathBuf,
}

impl Paths {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Paths {
        Paths::from_environment(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// From the environment; a relative path in it counts as none, as the rules have it. Without a home, the current
    /// directory stands in for it.
    #[must_use]
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Paths {
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME").unwrap_or_default();
        let base = |name: &str, usual: &str| absolute(name).unwrap_or_else(|| home.join(usual));
        Paths {
            config: base("XDG_CONFIG_HOME", ".config").join("zw/tui.toml"),
            state: base("XDG_STATE_HOME", ".local/state").join("zw"),
        }
    }

    /// The log of a console that has no data directory.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("tui.log")
    }
}

/// Writes a text to a file that is not there yet; gives the file with its size, for a person.
///
/// # Errors
/// Why it is not written.
pub fn write_new(file: &str, text: &str) -> Result<String, String> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(format!("{file}, {} lines", text.lines().count())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(format!("{file} is there already: name another file"))
        }
        Err(error) => Err(format!("cannot write {file}: {error}")),
    }
}

/// Writes a text to `NAME-NUMBER.txt` in a directory, which is made if need be, with the first number that no file has;
/// gives the file. Only its owner may read it: it may hold a znode's value.
///
/// # Errors
/// Why it is not written.
pub fn write_numbered(directory: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    for number in 1..=NUMBERED_MAX {
        let path = directory.join(format!("{name}-{number}.txt"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, format!("there are {NUMBERED_MAX} files {name}-*.txt: remove some")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_there_already_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("events.jsonl").display().to_string();
        assert!(write_new(&file, "{}\n{}\n").unwrap().ends_with("events.jsonl, 2 lines"));
        assert!(write_new(&file, "").unwrap_err().contains("there already"));
        assert!(write_new("/nowhere/at/all", "").unwrap_err().contains("cannot write"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n{}\n");
    }

    #[test]
    fn numbered_files_are_new_and_their_owners() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("zw");
        let paths = ["one", "two"].map(|text| write_numbered(&state, "copied", text).unwrap());
        assert_eq!(paths, [1, 2].map(|number| state.join(format!("copied-{number}.txt"))));
        assert_eq!(paths.clone().map(|path| std::fs::read_to_string(path).unwrap()), ["one", "two"]);
        assert_eq!(std::fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_environment_says_where() {
        let paths = |variables: &'static [(&str, &str)]| {
            let get = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Paths::from_environment(get)
        };
        let usual = paths(&[("HOME", "/home/me")]);
        assert_eq!(usual.config, Path::new("/home/me/.config/zw/tui.toml"));
        assert_eq!(usual.log(), Path::new("/home/me/.local/state/zw/tui.log"));
        let other = paths(&[("HOME", "/home/me"), ("XDG_CONFIG_HOME", "/etc/x"), ("XDG_STATE_HOME", "relative")]);
        assert_eq!(other.config, Path::new("/etc/x/zw/tui.toml"));
        assert_eq!(other.state, Path::new("/home/me/.local/state/zw"));
    }
}
