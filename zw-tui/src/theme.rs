//! Roles instead of colours: what a thing means decides how it looks, with or without colour, Unicode or ASCII.
//!
//! Colour never carries meaning alone: every role also has a glyph, a word or a text attribute. The sixteen named
//! colours and the terminal's own background are used, so the person's palette decides. Without colour no colour is
//! ever set, only attributes: the terminal library writes a full reset for a colour under `NO_COLOR`.

use crate::model::select::Face;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// The colours that epochs take in turn.
const EPOCHS: [Color; 6] = [Color::Cyan, Color::Blue, Color::Magenta, Color::Green, Color::Yellow, Color::White];

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Whether colours are used.
    pub color: bool,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

/// What a piece of the screen means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Less important, or late.
    Dim,
    /// Important.
    Strong,
    /// The frame of a pane.
    Border,
    /// The frame of the pane that takes the keys.
    Focus,
    /// The selected line.
    Selected,
    /// A key that can be pressed.
    Key,
    /// Worth a look.
    Warning,
    /// Broken.
    Bad,
    /// What a search found in a line.
    Found,
    /// The cursor of an input.
    Cursor,
    /// A member, by what it is.
    Face(Face),
    /// An epoch; its number is always beside it.
    Epoch(u32),
}

impl Theme {
    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        let plain = Style::new();
        let colored = |color: Color| if self.color { plain.fg(color) } else { plain };
        match role {
            Role::Text => plain,
            Role::Dim | Role::Border => plain.add_modifier(Modifier::DIM),
            Role::Strong => plain.add_modifier(Modifier::BOLD),
            Role::Focus => colored(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Selected => plain.add_modifier(Modifier::REVERSED),
            Role::Key => colored(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Warning => colored(Color::Yellow).add_modifier(Modifier::UNDERLINED),
            Role::Bad => colored(Color::LightRed).add_modifier(Modifier::BOLD),
            Role::Found => colored(Color::Yellow).add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            Role::Cursor => plain.add_modifier(Modifier::REVERSED),
            Role::Face(face) => self.face(face),
            Role::Epoch(epoch) => colored(EPOCHS[epoch as usize % EPOCHS.len()]),
        }
    }

    fn face(&self, face: Face) -> Style {
        let (color, modifier) = match face {
            Face::Leader => (Color::Yellow, Modifier::BOLD),
            Face::Follower | Face::Observer | Face::Up => (Color::Cyan, Modifier::empty()),
            Face::Looking => (Color::Magenta, Modifier::REVERSED),
            Face::Syncing => (Color::Blue, Modifier::UNDERLINED),
            Face::Cut => (Color::LightMagenta, Modifier::UNDERLINED),
            Face::Paused => (Color::Gray, Modifier::DIM.union(Modifier::REVERSED)),
            Face::Down => (Color::Red, Modifier::DIM),
            Face::Failed => (Color::LightRed, Modifier::BOLD),
            Face::Unknown => (Color::DarkGray, Modifier::DIM),
        };
        if self.color { Style::new().fg(color) } else { Style::new() }.add_modifier(match (self.color, face) {
            // With colour the attributes of the monochrome table would shout.
            (true, Face::Looking | Face::Syncing | Face::Cut | Face::Down | Face::Unknown) => Modifier::empty(),
            (true, Face::Paused) => Modifier::REVERSED,
            _ => modifier,
        })
    }

    /// The glyph of a member.
    #[must_use]
    pub fn glyph(&self, face: Face) -> &'static str {
        let (unicode, ascii) = match face {
            Face::Leader => ("★", "L"),
            Face::Follower => ("●", "f"),
            Face::Observer => ("○", "o"),
            Face::Looking => ("◐", "?"),
            Face::Syncing => ("↻", "s"),
            Face::Cut => ("⌿", "/"),
            Face::Paused => ("‖", "="),
            Face::Down => ("✗", "x"),
            Face::Failed => ("!", "!"),
            Face::Unknown => ("·", "~"),
            Face::Up => ("▲", "+"),
        };
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
        const ASCII: border::Set<'static> = border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        };
        if self.ascii { ASCII } else { border::PLAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACES: [Face; 11] = [
        Face::Leader,
        Face::Follower,
        Face::Observer,
        Face::Looking,
        Face::Syncing,
        Face::Cut,
        Face::Paused,
        Face::Down,
        Face::Failed,
        Face::Unknown,
        Face::Up,
    ];

    #[test]
    fn faces_differ_without_colour_and_every_glyph_is_one_cell() {
        for ascii in [false, true] {
            let theme = Theme { color: false, ascii };
            let mut glyphs: Vec<&str> = FACES.iter().map(|face| theme.glyph(*face)).collect();
            assert!(glyphs.iter().all(|glyph| unicode_width::UnicodeWidthStr::width(*glyph) == 1));
            assert!(!ascii || glyphs.iter().all(|glyph| glyph.is_ascii()));
            glyphs.sort_unstable();
            glyphs.dedup();
            assert_eq!(glyphs.len(), FACES.len());
        }
    }

    #[test]
    fn without_colour_no_colour_is_set() {
        let theme = Theme { color: false, ascii: false };
        let roles = [
            Role::Text,
            Role::Dim,
            Role::Strong,
            Role::Border,
            Role::Focus,
            Role::Selected,
            Role::Key,
            Role::Warning,
            Role::Bad,
            Role::Cursor,
            Role::Epoch(7),
        ];
        for role in roles.into_iter().chain(FACES.map(Role::Face)) {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }
}
