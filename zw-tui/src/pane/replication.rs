//! The nodes' logs side by side, aligned by zxid.

use super::canvas::{Canvas, Text, fit, fit_right};
use super::open;
use crate::layout::{Place, first_shown};
use crate::model::replication::{Cell, Strip, Strips, strips};
use crate::model::select::{node_face, seconds};
use crate::model::sight::Freshness;
use crate::model::verdict::Verdict;
use crate::model::{Pane, State};
use crate::theme::{Role, Theme};
use ratatui::layout::Rect;
use std::time::Duration;

/// Blank, id and glyph.
const LEAD_WIDTH: usize = 1 + 4 + 2;
/// The end of the log, where there is room.
const TAIL_WIDTH: usize = 18;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, verdict: &Verdict, now: Duration, place: Place) {
    let width = usize::from(place.area.width).saturating_sub(if place.is_framed { 2 } else { 0 });
    let tail = if width >= LEAD_WIDTH + TAIL_WIDTH + 32 { TAIL_WIDTH } else { 0 };
    let Some(strips) = strips(state, verdict, now, width.saturating_sub(LEAD_WIDTH + tail + 1)) else {
        let inner = open(canvas, state, Pane::Replication, place, "", &Text::new());
        return canvas.line(inner, 0, &Text::of(" No node has answered yet.", Role::Dim));
    };
    let of = state.nodes.get(strips.reference).map_or_else(String::new, |node| format!(" of {}", node.member));
    let right = Text::of(format!(" last {}{of} ", strips.scale.len()), Role::Dim);
    let inner = open(canvas, state, Pane::Replication, place, "", &right);
    canvas.line(inner, 0, &head(&strips, canvas.theme));
    let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(2), ..inner };
    let first = first_shown(state.node, strips.strips.len(), usize::from(list.height));
    for (row, strip) in (0..list.height).zip(strips.strips.iter().skip(first)) {
        let text = row_text(canvas.theme, state, strip, now, tail > 0);
        canvas.line(list, row, &text);
    }
    if inner.height > 2 {
        canvas.line(inner, inner.height - 1, &foot(&strips, state, canvas.theme));
    }
}

/// The zxids at both ends, and a mark where an epoch begins.
fn head(strips: &Strips, theme: &Theme) -> Text {
    let (Some(first), Some(last)) = (strips.scale.first(), strips.scale.last()) else { return Text::new() };
    let (first, last) = (first.to_string(), last.to_string());
    let room = strips.scale.len();
    let mark = theme.pick("┊", "|");
    let mut line: Vec<&str> =
        strips.scale.iter().map(|zxid| if zxid.counter() == 0 { mark } else { theme.pick("·", ".") }).collect();
    // The marks matter more than the ends: they are not written over.
    let is_free = |line: &[&str], from: usize, count: usize| {
        line.get(from..from + count).is_some_and(|cells| cells.iter().all(|cell| *cell != mark))
    };
    let mut texts: Vec<(usize, &str)> = Vec::new();
    if first.len() + last.len() + 3 <= room && is_free(&line, 1, first.len() - 1) {
        texts.push((0, &first));
    }
    if last.len() < room && is_free(&line, room - last.len(), last.len()) {
        texts.push((room - last.len(), &last));
    }
    let pieces: Vec<(usize, Vec<String>)> =
        texts.iter().map(|(at, text)| (*at, text.chars().map(String::from).collect())).collect();
    for (at, piece) in &pieces {
        for (cell, character) in line[*at..].iter_mut().zip(piece) {
            *cell = character;
        }
    }
    // A short strip leaves room beside it.
    let beside = if texts.iter().any(|(at, _)| *at > 0) { String::new() } else { format!(" {last}") };
    Text::of(" ".repeat(LEAD_WIDTH), Role::Dim).with(line.concat(), Role::Dim).with(beside, Role::Dim)
}

fn row_text(theme: &Theme, state: &State, strip: &Strip, now: Duration, has_tail: bool) -> Text {
    let Some(node) = state.nodes.get(strip.node) else { return Text::new() };
    let face = node_face(state, node, now);
    let mut text = Text::of(format!(" {}", fit(&node.member.to_string(), 4, theme)), Role::Strong);
    text.add(format!("{} ", theme.glyph(face)), Role::Face(face));
    let Some(last) = strip.last else { return text.with("no answer yet", Role::Dim) };
    let is_old = !matches!(strip.freshness, Freshness::Fresh) || node.process.pid().is_none();
    // Cells of a kind side by side are one piece.
    for run in strip.cells.chunk_by(|a, b| a == b) {
        let (unicode, ascii, role) = look(run[0]);
        let role = if is_old && role == Role::Text { Role::Dim } else { role };
        text.add(theme.pick(unicode, ascii).repeat(run.len()), role);
    }
    if has_tail {
        text.add(format!(" {}", fit_right(&last.to_string(), 10, theme)), if is_old { Role::Dim } else { Role::Text });
        if let Freshness::Stale(age) = strip.freshness {
            text.add(format!(" {} ago", seconds(age)), Role::Dim);
        }
    }
    text
}

fn look(cell: Cell) -> (&'static str, &'static str, Role) {
    match cell {
        Cell::Committed => ("█", "#", Role::Text),
        Cell::Logged => ("▒", "o", Role::Strong),
        Cell::Missing => ("░", "-", Role::Dim),
        Cell::Forked => ("╳", "!", Role::Bad),
    }
}

/// What is worst, or what the marks mean.
fn foot(strips: &Strips, state: &State, theme: &Theme) -> Text {
    let name = |strip: &Strip| state.nodes.get(strip.node).map_or_else(String::new, |node| node.member.to_string());
    let diverged = strips.strips.iter().find_map(|strip| Some((strip, strip.diverged?)));
    if let Some((strip, at)) = diverged {
        let text = format!(" {} DIVERGED from n{} at {}", name(strip), at.other, at.zxid);
        return Text::of(text, Role::Bad);
    }
    if let Some(strip) = strips.strips.iter().find(|strip| strip.forked > 0) {
        return Text::of(format!(" {} forked: {} of its own", name(strip), strip.forked), Role::Warning);
    }
    let mut text = Text::of(" ", Role::Dim);
    for (cell, word) in
        [(Cell::Committed, "committed"), (Cell::Logged, "logged"), (Cell::Missing, "missing"), (Cell::Forked, "other")]
    {
        let (unicode, ascii, role) = look(cell);
        text.add(theme.pick(unicode, ascii), role);
        text.add(format!(" {word} "), Role::Dim);
    }
    text
}
