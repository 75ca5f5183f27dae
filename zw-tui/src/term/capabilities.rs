//! What the terminal can show, decided from the environment and the flags; the terminal itself is asked nothing.

use crate::theme::Depth;

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
    /// `COLORTERM`.
    pub color_term: Option<String>,
    /// `COLORFGBG`.
    pub colors: Option<String>,
    /// The first that is set and not empty of `LC_ALL`, `LC_CTYPE`, `LANG`.
    pub locale: Option<String>,
    /// `SSH_TTY` or `SSH_CONNECTION`.
    pub is_remote: bool,
    /// `ZW_MOTION`.
    pub motion: Option<String>,
    /// `REDUCE_MOTION`, unless it says no.
    pub reduces_motion: bool,
    /// `ZW_LOG`.
    pub log: Option<String>,
}

impl Environment {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Environment {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            no_color: get("NO_COLOR"),
            term: get("TERM"),
            color_term: get("COLORTERM"),
            colors: get("COLORFGBG"),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(get),
            is_remote: get("SSH_TTY").or_else(|| get("SSH_CONNECTION")).is_some(),
            motion: get("ZW_MOTION"),
            reduces_motion: get("REDUCE_MOTION").is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no")),
            log: get("ZW_LOG"),
        }
    }

    /// How many colours are used.
    #[must_use]
    pub fn depth(&self, choice: ColorChoice) -> Depth {
        let term = self.term.as_deref().unwrap_or("dumb");
        let is_plain = matches!(term, "dumb" | "vt52" | "vt100" | "vt102" | "vt220");
        match choice {
            ColorChoice::Never => return Depth::Mono,
            ColorChoice::Auto if is_plain || self.no_color.is_some() => return Depth::Mono,
            ColorChoice::Always if is_plain => return Depth::Sixteen,
            ColorChoice::Auto | ColorChoice::Always => {}
        }
        let exact = ["-direct", "kitty", "alacritty", "ghostty", "wezterm", "foot"];
        let is_exact = matches!(self.color_term.as_deref(), Some("truecolor" | "24bit"));
        if is_exact || exact.iter().any(|part| term.contains(part)) {
            Depth::True
        } else if term.contains("256color") {
            Depth::Indexed
        } else {
            Depth::Sixteen
        }
    }

    /// Whether the terminal says that its background is light.
    #[must_use]
    pub fn on_light(&self) -> bool {
        let background = self.colors.as_deref().and_then(|colors| colors.rsplit(';').next());
        matches!(background, Some("7" | "15"))
    }

    /// Whether only ASCII is drawn: by the locale, or because the terminal has few glyphs.
    #[must_use]
    pub fn ascii(&self) -> bool {
        let locale = self.locale.as_deref().unwrap_or("C").to_ascii_lowercase();
        let has_few = matches!(self.term.as_deref(), Some("linux" | "vt52" | "vt100" | "vt102" | "vt220"));
        has_few || !(locale.contains("utf-8") || locale.contains("utf8"))
    }

    /// Whether the terminal can show a screen at all: a dumb one cannot place the cursor.
    #[must_use]
    pub fn has_screen(&self) -> bool {
        !matches!(self.term.as_deref(), None | Some("dumb"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let plain =
            Environment { term: Some("xterm".into()), locale: Some("de_DE.UTF-8".into()), ..Default::default() };
        assert_eq!(plain.depth(ColorChoice::Auto), Depth::Sixteen);
        assert!(!plain.ascii() && plain.has_screen());
        let no_color = Environment { no_color: Some("1".into()), ..plain.clone() };
        assert_eq!(no_color.depth(ColorChoice::Auto), Depth::Mono);
        assert_eq!(no_color.depth(ColorChoice::Always), Depth::Sixteen);
        let dumb = Environment { term: Some("dumb".into()), locale: Some("C".into()), ..plain };
        assert_eq!(dumb.depth(ColorChoice::Auto), Depth::Mono);
        assert!(dumb.ascii() && !dumb.has_screen());
    }

    #[test]
    fn terminals_have_as_many_colours_as_they_say() {
        let of = |term: &str, color_term: Option<&str>| Environment {
            term: Some(term.into()),
            color_term: color_term.map(str::to_owned),
            locale: Some("C.UTF-8".into()),
            ..Default::default()
        };
        for (term, color_term, depth, ascii) in [
            ("vt100", None, Depth::Mono, true),
            ("linux", None, Depth::Sixteen, true),
            ("tmux-256color", None, Depth::Indexed, false),
            ("xterm-direct", None, Depth::True, false),
            ("xterm-256color", Some("truecolor"), Depth::True, false),
            ("xterm-kitty", None, Depth::True, false),
        ] {
            let environment = of(term, color_term);
            assert_eq!(environment.depth(ColorChoice::Auto), depth, "{term}");
            assert_eq!(environment.ascii(), ascii, "{term}");
            assert!(environment.has_screen(), "{term}");
        }
    }

    #[test]
    fn a_light_background_is_believed_when_it_is_told() {
        let of = |colors: &str| Environment { colors: Some(colors.into()), ..Default::default() };
        assert!(of("0;15").on_light() && of("0;default;7").on_light());
        assert!(!of("15;0").on_light() && !of("").on_light() && !Environment::default().on_light());
    }
}
