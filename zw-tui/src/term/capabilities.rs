//! What the terminal can show, decided from the environment and the flags; the terminal itself is asked nothing.

use crate::model::flow::Motion;
use clap::ValueEnum;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// Unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never: bold, dim, underline and reverse instead.
    Never,
}

/// The environment that matters here.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `NO_COLOR`.
    pub no_color: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
    /// The first that is set and not empty of `LC_ALL`, `LC_CTYPE`, `LANG`.
    pub locale: Option<String>,
    /// `ZW_MOTION`.
    pub motion: Option<String>,
    /// `REDUCE_MOTION`.
    pub reduce_motion: Option<String>,
    /// `SSH_TTY` or `SSH_CONNECTION`.
    pub is_remote: bool,
}

impl Environment {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Environment {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            no_color: get("NO_COLOR"),
            term: get("TERM"),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(get),
            motion: get("ZW_MOTION"),
            reduce_motion: get("REDUCE_MOTION"),
            is_remote: get("SSH_TTY").or_else(|| get("SSH_CONNECTION")).is_some(),
        }
    }

    /// Whether colours are used.
    #[must_use]
    pub fn color(&self, choice: ColorChoice) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let is_plain = matches!(self.term.as_deref(), None | Some("dumb" | "vt100" | "vt220"));
                self.no_color.is_none() && !is_plain
            }
        }
    }

    /// What moves, if no flag says it: all, but nothing over a network or if the person wants it so.
    #[must_use]
    pub fn motion(&self) -> Motion {
        let named = self.motion.as_deref().and_then(|name| Motion::from_str(name, true).ok());
        let is_reduced = self.is_remote || self.reduce_motion.as_deref().is_some_and(|value| value != "0");
        named.unwrap_or(if is_reduced { Motion::Reduced } else { Motion::Full })
    }

    /// Whether only ASCII is drawn.
    #[must_use]
    pub fn ascii(&self) -> bool {
        let locale = self.locale.as_deref().unwrap_or("C").to_ascii_lowercase();
        !(locale.contains("utf-8") || locale.contains("utf8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let plain =
            Environment { term: Some("xterm".into()), locale: Some("de_DE.UTF-8".into()), ..Default::default() };
        assert!(plain.color(ColorChoice::Auto) && !plain.ascii());
        assert_eq!(plain.motion(), Motion::Full);
        let motion = |name: &str| Environment { motion: Some(name.into()), ..plain.clone() }.motion();
        assert_eq!([motion("off"), motion("Reduced"), motion("x")], [Motion::Off, Motion::Reduced, Motion::Full]);
        let reduced = Environment { reduce_motion: Some("1".into()), ..plain.clone() };
        assert_eq!(reduced.motion(), Motion::Reduced);
        let no_color = Environment { no_color: Some("1".into()), ..plain.clone() };
        assert!(!no_color.color(ColorChoice::Auto) && no_color.color(ColorChoice::Always));
        let dumb = Environment { term: Some("dumb".into()), locale: Some("C".into()), ..plain };
        assert!(!dumb.color(ColorChoice::Auto) && dumb.ascii());
    }
}
