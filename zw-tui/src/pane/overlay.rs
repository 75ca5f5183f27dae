//! What lies over the panes: help, write form, explanation.

use super::canvas::{Canvas, Text, fit, wrap};
use super::{composer, question};
use crate::action::command::line_of;
use crate::action::table::{Class, enabled};
use crate::layout::first_shown;
use crate::model::State;
use crate::model::events::Level;
use crate::model::overlay::{Input, Overlay, Printed};
use crate::model::page::Line;
use crate::model::scenario::{Verdict, list_lines};
use crate::model::select::printable;
use crate::model::text::TextPage;
use crate::model::update::help_lines;
use crate::theme::{Role, Theme};
use ratatui::layout::Rect;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How much of an input before and after its cursor is looked at.
const SHOWN_BEFORE: usize = 2_048;
/// How much of a printed line is drawn.
const OUTPUT_BYTES_MAX: usize = 1_024;
/// Rows of one line of a text. What a node says of a damaged log takes six in the widest box.
const LINE_ROWS_MAX: usize = 24;
/// Wider lines are hard to read.
const TEXT_WIDTH_MAX: u16 = 120;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, now: Duration, overlay: &Overlay, body: Rect) {
    match overlay {
        Overlay::Help { filter, cursor } => help(canvas, state, filter, *cursor, body),
        Overlay::Menu(menu) => super::menu::draw(canvas, state, menu, body),
        Overlay::Write(form) => composer::draw(canvas, state, form, body),
        Overlay::Scenarios { cursor } => scenarios(canvas, state, *cursor, body),
        Overlay::Text { page, top } => text(canvas, state, now, *page, *top, body),
        Overlay::Output(printed) => output(canvas, state, printed, body),
        Overlay::Election { back, top } => super::election::draw(canvas, state, now, *back, *top, body),
        Overlay::Question(asked) => question::draw(canvas, asked, body),
        // Drawn in the prompt's row.
        Overlay::Command { .. } => {}
    }
}

/// A box in the middle of the body; all of it if the body is small.
pub(super) fn modal(canvas: &mut Canvas<'_>, body: Rect, width: u16, height: u16, left: &Text, right: &Text) -> Rect {
    let (width, height) = (width.min(body.width), height.min(body.height));
    let area = Rect { x: body.x + (body.width - width) / 2, y: body.y + (body.height - height) / 2, width, height };
    canvas.clear(area);
    canvas.frame(area, true, left, right)
}

fn help(canvas: &mut Canvas<'_>, state: &State, filter: &Input, cursor: usize, body: Rect) {
    let title = Text::of(" Help: all actions ", Role::Focus);
    let keys = Text::of(" Enter runs  Esc closes ", Role::Dim);
    let inner = modal(canvas, body, 110, u16::MAX, &title, &keys);
    let mut text = Text::of("search: ", Role::Dim);
    text.append(input_text(canvas.theme, filter, usize::from(inner.width).saturating_sub(9), true));
    canvas.line(inner, 0, &text);
    let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let lines = help_lines(state, filter.text());
    // What is cut off in the selected line is told in full.
    let whole = lines.get(cursor).map(|action| match enabled(action.id, state) {
        Ok(()) => action.sentence.to_owned(),
        Err(reason) => format!("{}  [{reason}]", action.sentence),
    });
    let list = below(canvas, list, &whole.unwrap_or_default());
    let first = first_shown(cursor, lines.len(), usize::from(list.height));
    for (row, (index, action)) in (0..list.height).zip(lines.iter().enumerate().skip(first)) {
        let names = state.keymap.names(action);
        let able = enabled(action.id, state);
        let role = if able.is_ok() { Role::Text } else { Role::Dim };
        let acts = matches!(action.class, Class::Fault | Class::Data);
        let mut text = Text::of(if index == cursor { "> " } else { "  " }, Role::Strong);
        text.add(fit(&names.join(" "), if list.width > 30 { 16 } else { 4 }, canvas.theme), Role::Key);
        if list.width > 70 {
            text.add(fit(&line_of(action.id), 15, canvas.theme), Role::Dim);
        }
        if list.width > 30 {
            text.add(if acts { "acts  " } else { "      " }, Role::Strong);
        }
        text.add(action.sentence, role);
        if let Err(reason) = able {
            text.add(format!("  [{reason}]"), Role::Dim);
        }
        canvas.line(list, row, &text);
        if index == cursor {
            canvas.mark(list, row, Role::Selected);
        }
    }
    if lines.is_empty() {
        canvas.line(list, 0, &Text::of("  nothing is called so", Role::Dim));
    }
}

/// Writes the sentence of the selected line into the last rows, if there is room for both; gives what is left.
fn below(canvas: &mut Canvas<'_>, inner: Rect, sentence: &str) -> Rect {
    const ROWS: u16 = 2;
    if inner.height < 2 * ROWS + 1 {
        return inner;
    }
    let list = Rect { height: inner.height - ROWS, ..inner };
    let width = usize::from(inner.width).saturating_sub(2);
    for (row, line) in (list.height..inner.height).zip(wrap(sentence, width, usize::from(ROWS))) {
        canvas.line(inner, row, &Text::of(format!(" {line}"), Role::Dim));
    }
    list
}

fn scenarios(canvas: &mut Canvas<'_>, state: &State, cursor: usize, body: Rect) {
    let lines = list_lines(state);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let title = Text::of(" Scenarios ", Role::Focus);
    let keys = Text::of(" Enter runs  Esc closes ", Role::Dim);
    let inner = modal(canvas, body, TEXT_WIDTH_MAX + 20, height, &title, &keys);
    // Where the sentences do not fit, that of the selected one has rows of its own.
    let sentence = lines.get(cursor).map_or("", |(_, sentence, _)| *sentence);
    let list = if inner.width < 100 { below(canvas, inner, sentence) } else { inner };
    let first = first_shown(cursor, lines.len(), usize::from(list.height));
    let rows = (0..list.height).zip(lines.iter().enumerate().skip(first));
    for (row, (index, (name, sentence, outcome))) in rows {
        let mut text = Text::of(if index == cursor { "> " } else { "  " }, Role::Strong);
        text.add(fit(name, 23, canvas.theme), Role::Key);
        let (word, role) = match outcome.map(|outcome| &outcome.verdict) {
            None => ("", Role::Dim),
            Some(verdict @ Verdict::Passed) => (verdict.word(), Role::Text),
            Some(verdict @ Verdict::Skipped(_)) => (verdict.word(), Role::Dim),
            Some(verdict @ Verdict::Failed(_)) => (verdict.word(), Role::Bad),
        };
        text.add(fit(word, 8, canvas.theme), role);
        let room = usize::from(inner.width).saturating_sub(text.width());
        text.add(fit(sentence, room, canvas.theme), Role::Text);
        canvas.line(list, row, &text);
        if index == cursor {
            canvas.mark(list, row, Role::Selected);
        }
    }
}

/// A text in a box that is as high as it needs; what is too long for a row goes on in the next.
fn text(canvas: &mut Canvas<'_>, state: &State, now: Duration, page: TextPage, top: usize, body: Rect) {
    let width = TEXT_WIDTH_MAX.min(body.width);
    let room = usize::from(width).saturating_sub(4);
    let lines = page.lines(state, now);
    let rows = |from: usize| -> Vec<Text> {
        let wrapped = |(line, level): &Line| {
            let role = level_role(*level);
            let hang = if line.starts_with(' ') { "    " } else { "  " };
            let pieces = wrap(line, room, LINE_ROWS_MAX).into_iter().enumerate();
            let rows = pieces.map(|(index, piece)| (if index == 0 { "" } else { hang }, piece));
            let found = |(hang, piece): (&str, String)| {
                let mut text = Text::of(format!(" {hang}"), role);
                text.add_found(&piece, role, state.search.in_text.as_ref());
                text
            };
            let rows: Vec<Text> = rows.map(found).collect();
            if rows.is_empty() { vec![Text::new()] } else { rows }
        };
        lines.iter().skip(from).flat_map(wrapped).collect()
    };
    let mut shown = rows(0);
    let height = u16::try_from(shown.len() + 2).unwrap_or(u16::MAX);
    let scroll = if height > body.height { "j k scroll  " } else { "" };
    if height > body.height {
        shown = rows(top.min(lines.len() - 1));
    }
    let title = Text::of(format!(" {} ", page.title(state, now)), Role::Focus);
    let keys = Text::of(format!(" {}{scroll}Esc closes ", page.keys(state)), Role::Dim);
    let inner = modal(canvas, body, width, height, &title, &keys);
    for (row, line) in (0..inner.height).zip(shown) {
        canvas.line(inner, row, &line);
    }
}

fn output(canvas: &mut Canvas<'_>, state: &State, printed: &Printed, body: Rect) {
    let title = Text::of(format!(" Output of {} ", printed.member), Role::Focus);
    let keys = match printed.behind {
        0 => Text::of(" following  k scrolls  / searches  Esc closes ", Role::Dim),
        behind => Text::of(format!(" {behind} below, G follows  Esc closes "), Role::Key),
    };
    let inner = modal(canvas, body, u16::MAX, u16::MAX, &title, &keys);
    let lines = printed.window(usize::from(inner.height));
    if lines.is_empty() {
        let words = if printed.lines.is_some() { " It has printed nothing." } else { " ..." };
        canvas.line(inner, 0, &Text::of(words, Role::Dim));
    }
    for (row, line) in (0..inner.height).zip(lines) {
        let role = match line {
            line if line.contains(" ERROR ") || line.contains("panicked at") => Role::Bad,
            line if line.contains(" WARN ") => Role::Warning,
            _ => Role::Text,
        };
        let shown = fit(&printable(line.as_bytes(), OUTPUT_BYTES_MAX), usize::from(inner.width), canvas.theme);
        let mut text = Text::new();
        text.add_found(&shown, role, state.search.in_text.as_ref());
        canvas.line(inner, row, &text);
    }
}

pub(super) fn level_role(level: Level) -> Role {
    match level {
        Level::Info => Role::Text,
        Level::Warning => Role::Warning,
        Level::Bad => Role::Bad,
    }
}

/// An input with its cursor, cut so that the cursor is in view, with a mark where something is cut off.
pub(super) fn input_text(theme: &Theme, input: &Input, width: usize, is_active: bool) -> Text {
    let (before, after) = input.split();
    input_parts(theme, before, after, width, is_active)
}

/// The same of a text before and after a cursor.
pub(super) fn input_parts(theme: &Theme, before: &str, after: &str, width: usize, is_active: bool) -> Text {
    let skipped = before.char_indices().rev().nth(SHOWN_BEFORE).map_or(0, |(at, _)| at);
    let before = printable(&before.as_bytes()[skipped..], usize::MAX);
    let after: String = after.chars().take(SHOWN_BEFORE).collect();
    let after = printable(after.as_bytes(), usize::MAX);
    // The cursor takes a cell of its own at the end.
    let room = width.saturating_sub(1);
    let excess = before.width().saturating_sub(room);
    let mut text = Text::new();
    if excess > 0 {
        // One more gives way to the mark.
        text.add(theme.pick("…", "~"), Role::Dim);
    }
    let mut passed = 0;
    let is_over = |character: &char| {
        let is_passed = excess > 0 && passed <= excess;
        passed += character.width().unwrap_or(0);
        is_passed
    };
    text.add(before.chars().skip_while(is_over).collect::<String>(), Role::Text);
    let after = match width.saturating_sub(text.width()) {
        // The cell of the cursor shows what is there.
        left if after.width() > left && (left > 1 || !is_active) => fit(&after, left, theme),
        _ => after,
    };
    if is_active {
        let mut rest = after.chars();
        text.add(rest.next().unwrap_or(' '), Role::Cursor);
        text.add(rest.as_str(), Role::Text);
    } else {
        text.add(after, Role::Text);
    }
    text
}
