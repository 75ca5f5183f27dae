//! The form of a write.

use super::canvas::{Canvas, Text, fit, wrap};
use super::overlay::{input_parts, input_text, modal};
use crate::layout::first_shown;
use crate::model::State;
use crate::model::composer::{Composer, Field};
use crate::model::select::printable;
use crate::theme::Role;
use ratatui::layout::Rect;

/// Cells of the widest box.
const WIDTH: u16 = 96;
/// Cells before a field.
const NAME_WIDTH: usize = 9;
/// Rows that the value takes at most.
const VALUE_ROWS: usize = 10;
/// How much of an answer or a line of `zw` is shown.
const WORDS_BYTES: usize = 400;
/// Rows of an answer.
const WORDS_ROWS: usize = 3;

/// A row of the form, and how soon it gives way in a low box.
struct Line {
    text: Text,
    rank: usize,
}

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, form: &Composer, body: Rect) {
    let width = WIDTH.min(body.width);
    let room = usize::from(width).saturating_sub(4);
    let mut lines = fields(canvas, state, form, room);
    let words = |text: &str, role, rank| {
        let text = printable(text.as_bytes(), WORDS_BYTES);
        let rows = wrap(&text, room, WORDS_ROWS).into_iter();
        rows.map(move |row| Line { text: Text::of(format!(" {row}"), role), rank }).collect::<Vec<_>>()
    };
    lines.extend(match (&form.error, form.is_sent) {
        _ if form.is_edited => words("the editor has the value", Role::Dim, 1),
        (_, true) => words("waiting for the answer", Role::Dim, 1),
        (Some(error), false) => words(error, Role::Bad, 1),
        (None, false) => words(&form.mode_sentence(), Role::Dim, 4),
    });
    if let (Some(_), Ok(order)) = (form.mode, form.order()) {
        lines.extend(words(&format!("= {}", order.line(state)), Role::Dim, 5));
    }
    let most = usize::from(body.height).saturating_sub(2);
    while lines.len() > most {
        let Some(last) = lines.iter().map(|line| line.rank).max() else { break };
        let Some(at) = lines.iter().rposition(|line| line.rank == last) else { break };
        lines.remove(at);
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let title = Text::of(" Write ", Role::Focus);
    let keys = match form.field {
        Field::Mode | Field::Node => " Left Right choose  Tab next field  Enter writes  Esc closes ",
        Field::Value => " Ctrl-j new line  Ctrl-x editor  Tab next  Enter writes  Esc closes ",
        Field::Path | Field::Count => " Tab next field  Enter next, then writes  Esc closes ",
    };
    let inner = modal(canvas, body, width, height, &title, &Text::of(keys, Role::Dim));
    for (row, line) in (0..inner.height).zip(&lines) {
        canvas.line(inner, row, &line.text);
    }
}

fn fields(canvas: &Canvas<'_>, state: &State, form: &Composer, room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let inner = room.saturating_sub(NAME_WIDTH);
    let (left, right) = (canvas.theme.pick("◂ ", "< "), canvas.theme.pick(" ▸", " >"));
    for field in Field::ALL {
        let is_active = field == form.field;
        let takes_keys = is_active && !form.is_sent && !form.is_edited;
        let choice = |text: String| {
            let role = if takes_keys { Role::Cursor } else { Role::Text };
            Text::of(left, Role::Dim).with(text, role).with(right, Role::Dim)
        };
        let node = || state.nodes.get(form.node).map_or_else(|| "?".to_owned(), |node| node.member.to_string());
        let contents = match field {
            Field::Path => vec![input_text(canvas.theme, &form.path, inner, takes_keys)],
            Field::Value => value(canvas, form, inner, takes_keys),
            Field::Mode => vec![choice(form.mode_words().to_owned())],
            Field::Node => vec![choice(node())],
            Field::Count => vec![input_text(canvas.theme, &form.count, inner, takes_keys)],
        };
        for (row, content) in contents.into_iter().enumerate() {
            let name = if row == 0 { field.name() } else { "" };
            let role = if is_active { Role::Key } else { Role::Dim };
            let mut text = Text::of(format!(" {}", fit(name, NAME_WIDTH - 1, canvas.theme)), role);
            text.append(content);
            let rank = match (is_active, row, field) {
                (true, 0, _) => 0,
                (true, _, _) => 2,
                (false, 0, Field::Path | Field::Value) => 2,
                (false, _, Field::Value) => 6,
                _ => 3,
            };
            lines.push(Line { text, rank });
        }
    }
    lines
}

/// The value's lines about its cursor.
fn value(canvas: &Canvas<'_>, form: &Composer, width: usize, is_active: bool) -> Vec<Text> {
    let (before, after) = form.value.split();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = after.find('\n').unwrap_or(after.len());
    let above = before[..start].bytes().filter(|byte| *byte == b'\n').count();
    let below = after.bytes().filter(|byte| *byte == b'\n').count();
    let first = first_shown(above, above + 1 + below, VALUE_ROWS);
    let lines = form.value.text().split('\n').skip(first).take(VALUE_ROWS).enumerate();
    lines
        .map(|(row, line)| {
            if first + row == above {
                input_parts(canvas.theme, &before[start..], &after[..end], width, is_active)
            } else {
                let bytes = line.len().min(width * 4);
                Text::of(
                    fit(&printable(&line.as_bytes()[..bytes], usize::MAX), width, canvas.theme).trim_end(),
                    Role::Text,
                )
            }
        })
        .collect()
}
