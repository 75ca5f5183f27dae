//! The whole session in one line: what happened when, and where in it the panes are.

use super::canvas::{Canvas, Text};
use super::open;
use crate::action::table::takes_all_keys;
use crate::layout::{Place, timeline_cells};
use crate::model::select::{clock, seconds};
use crate::model::time::Seen;
use crate::model::time_marks::MarkKind;
use crate::model::timeline::{self, Cell, Scale};
use crate::model::{Pane, State};
use crate::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::Epoch;

/// What the letters mean, the gravest first.
const LEGEND: [(MarkKind, &str); 8] = [
    (MarkKind::Election, "leader lost, or another epoch"),
    (MarkKind::Ended, "a process ended"),
    (MarkKind::Paused, "a process was paused"),
    (MarkKind::Cut, "links were cut"),
    (MarkKind::Slow, "links or disks became slow"),
    (MarkKind::Revived, "a process was started again or goes on"),
    (MarkKind::Healed, "a fault ended"),
    (MarkKind::Away, "the console was detached, or came back"),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, now: Duration, place: Place) {
    let cells = timeline_cells(place);
    let scale = timeline::scale(state, now, cells.width);
    let (start, end) = (clock(scale.start), clock(scale.end));
    let times = format!("{start} - {end}  a cell is {}", seconds(scale.slice));
    let keys = match (state.time.seen, state.focus() == Pane::Timeline) {
        // They are typed into something.
        _ if takes_all_keys(state) => "",
        (Seen::Now, true) => " { mark before  Left 1 s back ",
        (Seen::Now, false) if state.marks.iter().len() > 0 => " { mark before ",
        (Seen::Now, false) => "",
        (_, true) => " { } marks  Left Right step  . now ",
        (_, false) => " { } marks  . now ",
    };
    let inner = open(canvas, state, Pane::Timeline, place, &times, &Text::of(keys, Role::Dim));
    let line = line(state, &scale, now);
    let used = line.width() + usize::from(cells.x - inner.x);
    canvas.line(Rect { width: cells.width + 1, ..cells }, 0, &line);
    if !place.is_framed {
        canvas.line_right(inner, 0, &Text::of(keys.trim_start(), Role::Dim), used + 2);
    }
    if inner.height > 2 {
        legend(canvas, Rect { y: inner.y + 2, height: inner.height - 2, ..inner });
    }
}

fn line(state: &State, scale: &Scale, now: Duration) -> Text {
    let mut text = Text::new();
    let here = state.time.is_past().then(|| scale.cell_of(now));
    for (index, cell) in timeline::cells(state, scale).into_iter().enumerate() {
        let (letter, role) = look(cell);
        text.add(letter.to_string(), if here == Some(index) { Role::Cursor } else { role });
    }
    let end = if state.time.seen == Seen::Replay { "|" } else { ">" };
    text.with(end, Role::Strong)
}

fn look(cell: Cell) -> (char, Role) {
    match (cell.mark, cell.epoch) {
        (Some(kind), _) => (kind.letter(), mark_role(kind)),
        (None, Some(Epoch(epoch))) => (char::from_digit(epoch % 10, 10).unwrap_or('?'), Role::Epoch(epoch)),
        (None, None) => ('.', Role::Dim),
    }
}

fn mark_role(kind: MarkKind) -> Role {
    match kind {
        MarkKind::Ended | MarkKind::Election => Role::Bad,
        MarkKind::Paused | MarkKind::Cut | MarkKind::Slow => Role::Warning,
        MarkKind::Revived | MarkKind::Healed | MarkKind::Away => Role::Strong,
    }
}

fn legend(canvas: &mut Canvas<'_>, area: Rect) {
    let head = Text::of("  0-9  the last digit of the epoch that ruled", Role::Dim);
    let letters = LEGEND.iter().map(|(kind, words)| {
        Text::of("  ", Role::Text)
            .with(kind.letter().to_string(), mark_role(*kind))
            .with(format!("    {words}"), Role::Dim)
    });
    for (row, line) in (0..area.height).zip(std::iter::once(head).chain(letters)) {
        canvas.line(area, row, &line);
    }
}
