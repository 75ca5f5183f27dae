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
    let events = &state.events;
    let mut right = Text::new();
    if let Some(filter) = events.filter() {
        let filter = printable(filter.text().as_bytes(), 40);
        right.add(format!(" /{filter}  {} of {}", events.shown().count(), events.iter().len()), Role::Key);
    }
    if !events.is_following() {
        let new = if events.unseen() > 0 { format!("{} new, ", events.unseen()) } else { String::new() };
        right.add(format!(" {new}f follows "), Role::Key);
    } else if events.filter().is_some() {
        right.add(" ", Role::Text);
    }
    let inner = open(canvas, state, Pane::Events, place, "", &right);
    let is_focused = state.focus() == Pane::Events;
    if events.shown().next().is_none() {
        let words = if events.filter().is_some() { " No event matches." } else { " Nothing has happened yet." };
        canvas.line(inner, 0, &Text::of(words, Role::Dim));
    }
    let window = events.window(usize::from(inner.height));
    for (row, (is_selected, event)) in (0..inner.height).zip(window) {
        let role = level_role(event.level);
        let source = if event.source == Source::You { Role::Strong } else { Role::Text };
        let mark = if is_selected && is_focused && !events.is_following() { ">" } else { " " };
        let mut text = Text::of(mark, Role::Strong)
            .with(format!("{} ", clock(event.at)), Role::Dim)
            .with(fit(&event.source.to_string(), 4, canvas.theme), source);
        text.add_found(&printable(event.text.as_bytes(), 512), role, events.filter());
        canvas.line(inner, row, &text);
        if is_selected && is_focused && !events.is_following() {
            canvas.mark(inner, row, Role::Selected);
        }
    }
}
