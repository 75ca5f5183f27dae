//! Where the console keeps what outlives it, by the rules of XDG on every system.

use std::io::Write;
use std::path::PathBuf;

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

    /// Where the picture of a screen goes that was taken then.
    #[must_use]
    pub fn dump(&self, seconds: u64) -> PathBuf {
        self.state.join(format!("screen-{seconds}.txt"))
    }
}

/// Writes a text to a file that is not there yet; gives the file with its size, for a person.
///
/// # Errors
/// Why it is not written.
pub fn write_new(file: &str, text: &str) -> Result<String, String> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(format!("{file}, {} lines", text.lines().count())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(format!("{file} is there already: name another file"))
        }
        Err(error) => Err(format!("cannot write {file}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

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
