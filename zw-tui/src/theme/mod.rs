//! Roles instead of colours: what a thing means decides how it looks, with or without colour, Unicode or ASCII.
//!
//! Colour never carries meaning alone: every role also has a glyph, a word or a text attribute. The theme `auto` uses the
//! sixteen named colours and the terminal's own background, so the person's palette decides. Without colour no colour is
//! ever set, only attributes: the terminal library writes a full reset for a colour under `NO_COLOR`.

mod glyphs;
mod palettes;
mod roles;

pub use palettes::Depth;
pub use roles::Role;

use crate::model::select::Face;
use palettes::Palette;
use ratatui::style::{Modifier, Style};
use ratatui::symbols::border;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The themes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Name {
    /// The terminal's own sixteen colours and background
    #[default]
    Auto,
    /// Light text on a dark background
    Dark,
    /// Dark text on a white background
    Light,
    /// No colours
    Mono,
    /// At least 7:1 between text and background
    HighContrast,
    /// For eyes that do not tell red from green
    Deuteranopia,
    /// For eyes that do not tell blue from yellow
    Tritanopia,
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 7] =
        [Name::Auto, Name::Dark, Name::Light, Name::Mono, Name::HighContrast, Name::Deuteranopia, Name::Tritanopia];

    /// As it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Name::Auto => "auto",
            Name::Dark => "dark",
            Name::Light => "light",
            Name::Mono => "mono",
            Name::HighContrast => "high-contrast",
            Name::Deuteranopia => "deuteranopia",
            Name::Tritanopia => "tritanopia",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The text is no theme's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such theme; there are auto, dark, light, mono, high-contrast, deuteranopia and tritanopia")]
pub struct ParseNameError;

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Name, ParseNameError> {
        Name::ALL.into_iter().find(|name| name.text() == text).ok_or(ParseNameError)
    }
}

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Which colours.
    pub name: Name,
    /// How many of them the terminal has.
    pub depth: Depth,
    /// Whether the terminal's background is known to be light.
    pub on_light: bool,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

impl Theme {
    /// The theme `auto` in the sixteen colours of a dark terminal, or without colour.
    #[must_use]
    pub const fn basic(color: bool, ascii: bool) -> Theme {
        let depth = if color { Depth::Sixteen } else { Depth::Mono };
        Theme { name: Name::Auto, depth, on_light: false, ascii }
    }

    /// The colours in use; none if there are none.
    fn palette(&self) -> Option<Palette> {
        let of_terminal = |palette: Palette| Palette { base: None, ..palette };
        Some(match self.name {
            _ if self.depth == Depth::Mono => return None,
            Name::Mono => return None,
            Name::Auto if self.on_light => of_terminal(palettes::LIGHT),
            Name::Auto => of_terminal(palettes::DARK),
            Name::Dark => palettes::DARK,
            Name::Light => palettes::LIGHT,
            Name::HighContrast => palettes::HIGH_CONTRAST,
            Name::Deuteranopia => palettes::DEUTERANOPIA,
            Name::Tritanopia => palettes::TRITANOPIA,
        })
    }

    /// What an empty cell looks like.
    #[must_use]
    pub fn base(&self) -> Style {
        match self.palette().and_then(|palette| palette.base) {
            Some(base) => Style::new().fg(base.text.at(self.depth)).bg(base.background.at(self.depth)),
            None => Style::new(),
        }
    }

    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        let Some(palette) = self.palette() else { return Style::new().add_modifier(role.modifier(false)) };
        // The sixteen are the person's own choice; what is only near to it is none.
        let depth = if self.name == Name::Auto { Depth::Sixteen } else { self.depth };
        let modifier = role.modifier(true);
        match palette.ink(role) {
            // What has a colour of its own for it is not dimmed as well.
            Some(ink) => Style::new().fg(ink.at(depth)).add_modifier(modifier.difference(Modifier::DIM)),
            None => Style::new().add_modifier(modifier),
        }
    }

    /// The glyph of a member.
    #[must_use]
    pub fn glyph(&self, face: Face) -> &'static str {
        let (unicode, ascii) = glyphs::face(face);
        self.pick(unicode, ascii)
    }

    /// One of two texts.
    #[must_use]
    pub fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }

    /// The lines of a pane's frame.
    #[must_use]
    pub fn border(&self) -> border::Set<'static> {
        if self.ascii { glyphs::ASCII_BORDER } else { border::PLAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Color;

    fn faces() -> impl Iterator<Item = Face> {
        Role::ALL.into_iter().filter_map(|role| match role {
            Role::Face(face) => Some(face),
            _ => None,
        })
    }

    #[test]
    fn faces_differ_without_colour_and_every_glyph_is_one_cell() {
        for ascii in [false, true] {
            let theme = Theme::basic(false, ascii);
            let mut glyphs: Vec<&str> = faces().map(|face| theme.glyph(face)).collect();
            assert!(glyphs.iter().all(|glyph| unicode_width::UnicodeWidthStr::width(*glyph) == 1));
            assert!(!ascii || glyphs.iter().all(|glyph| glyph.is_ascii()));
            glyphs.sort_unstable();
            glyphs.dedup();
            assert_eq!(glyphs.len(), faces().count());
        }
    }

    #[test]
    fn without_colour_no_colour_is_set() {
        for name in Name::ALL {
            let mono = if name == Name::Mono { Depth::True } else { Depth::Mono };
            let theme = Theme { name, depth: mono, ..Theme::basic(true, false) };
            for style in Role::ALL.map(|role| theme.style(role)).into_iter().chain([theme.base()]) {
                assert_eq!((style.fg, style.bg), (None, None), "{name}");
            }
        }
    }

    #[test]
    fn auto_leaves_the_colours_to_the_terminal() {
        for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
            for on_light in [false, true] {
                let theme = Theme { depth, on_light, ..Theme::basic(true, false) };
                assert_eq!(theme.base(), Style::new());
                for role in Role::ALL {
                    let color = theme.style(role).fg;
                    assert!(!matches!(color, Some(Color::Rgb(..) | Color::Indexed(_))), "{role:?}");
                }
            }
        }
    }

    #[test]
    fn a_theme_with_colours_of_its_own_has_a_background_in_each_depth() {
        for name in [Name::Dark, Name::Light, Name::HighContrast, Name::Deuteranopia, Name::Tritanopia] {
            for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
                let theme = Theme { name, depth, ..Theme::basic(true, false) };
                let base = theme.base();
                assert!(base.bg.is_some() && base.fg != base.bg, "{name} {depth:?}");
                for role in Role::ALL {
                    assert_ne!(theme.style(role).fg, base.bg, "{name} {role:?} {depth:?}");
                    assert!(!theme.style(role).add_modifier.contains(Modifier::DIM), "{name} {role:?}");
                }
            }
        }
    }

    #[test]
    fn names_read_back() {
        for name in Name::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!("purple".parse::<Name>(), Err(ParseNameError));
    }
}
