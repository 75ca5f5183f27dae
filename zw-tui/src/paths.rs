//! Where the console keeps what outlives it, by the rules of XDG on every system.

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

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
