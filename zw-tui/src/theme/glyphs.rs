//! What is drawn of a member and a frame, in Unicode and in ASCII.

use crate::model::select::Face;
use ratatui::symbols::border;

/// A frame of ASCII.
pub(super) const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// The glyph of a member, in Unicode and in ASCII; each takes one cell.
pub(super) fn face(face: Face) -> (&'static str, &'static str) {
    match face {
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
    }
}
