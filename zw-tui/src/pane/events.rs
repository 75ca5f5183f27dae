//! The feed.

use super::canvas::{Canvas, Text, fit};
use super::open;
use super::overlay::level_role;
use crate::layout::Place;
use crate::model::events::Source;
use crate::model::select::{clock, printable};
use crate::model::{Pane, State};
use crate::theme::Role;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, place: Place) {
    let right = if state.events.is_following() {
        Text::new()
    } else if state.events.unseen() > 0 {
        Text::of(format!(" {} new, G follows ", state.events.unseen()), Role::Key)
    } else {
        Text::of(" G follows ", Role::Key)
    };
    let inner = open(canvas, state, Pane::Events, place, "", &right);
    for (row, event) in (0..inner.height).zip(state.events.window(usize::from(inner.height))) {
        let role = level_role(event.level);
        let source = if event.source == Source::You { Role::Strong } else { Role::Text };
        let text = Text::of(format!(" {} ", clock(event.at)), Role::Dim)
            .with(fit(&event.source.to_string(), 4, canvas.theme), source)
            .with(printable(event.text.as_bytes(), 512), role);
        canvas.line(inner, row, &text);
    }
}
