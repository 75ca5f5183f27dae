//! What a piece of the screen means, and how that is said without colour.

use crate::model::select::Face;
use ratatui::style::Modifier;

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

impl Role {
    /// All of them.
    pub const ALL: [Role; 28] = [
        Role::Text,
        Role::Dim,
        Role::Strong,
        Role::Border,
        Role::Focus,
        Role::Selected,
        Role::Key,
        Role::Warning,
        Role::Bad,
        Role::Found,
        Role::Cursor,
        Role::Face(Face::Leader),
        Role::Face(Face::Follower),
        Role::Face(Face::Observer),
        Role::Face(Face::Looking),
        Role::Face(Face::Syncing),
        Role::Face(Face::Cut),
        Role::Face(Face::Paused),
        Role::Face(Face::Down),
        Role::Face(Face::Failed),
        Role::Face(Face::Unknown),
        Role::Face(Face::Up),
        Role::Epoch(0),
        Role::Epoch(1),
        Role::Epoch(2),
        Role::Epoch(3),
        Role::Epoch(4),
        Role::Epoch(5),
    ];

    /// The attributes that say it, beside a colour or without one.
    pub(super) fn modifier(self, has_color: bool) -> Modifier {
        let face = match self {
            Role::Text | Role::Epoch(_) => return Modifier::empty(),
            Role::Dim | Role::Border => return Modifier::DIM,
            Role::Strong | Role::Focus | Role::Key | Role::Bad => return Modifier::BOLD,
            Role::Selected | Role::Cursor => return Modifier::REVERSED,
            Role::Found => return Modifier::BOLD.union(Modifier::UNDERLINED),
            Role::Warning => return Modifier::UNDERLINED,
            Role::Face(face) => face,
        };
        match (has_color, face) {
            (_, Face::Leader | Face::Failed) => Modifier::BOLD,
            (_, Face::Follower | Face::Observer | Face::Up) => Modifier::empty(),
            (true, Face::Paused) | (false, Face::Looking) => Modifier::REVERSED,
            // With colour the attributes of the monochrome table would shout.
            (true, Face::Looking | Face::Syncing | Face::Cut | Face::Down | Face::Unknown) => Modifier::empty(),
            (false, Face::Syncing | Face::Cut) => Modifier::UNDERLINED,
            (false, Face::Paused) => Modifier::DIM.union(Modifier::REVERSED),
            (false, Face::Down | Face::Unknown) => Modifier::DIM,
        }
    }
}
