//! The tree of the selected node, and the znode under its cursor.

use super::canvas::{Canvas, Text, fit, wrap};
use super::open;
use crate::layout::{Place, first_shown, tree_parts, without_last_row};
use crate::model::select::{node_absence, printable, seconds, short};
use crate::model::sight::Freshness;
use crate::model::strip::{Seen, Standing, seen};
use crate::model::tree::{Row, RowKind, Value, name_of};
use crate::model::{Pane, State, value};
use crate::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;

/// Bytes of a value that are drawn; the rest is counted.
const VALUE_SHOWN: usize = 4_096;
/// Rows of the value that the strip of all nodes leaves.
const STRIP_BELOW: u16 = 3;
/// Levels that are indented; deeper ones stay in line.
const INDENT_MAX: usize = 16;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, now: Duration, place: Place) {
    let tree = &state.tree;
    let is_focused = state.focus() == Pane::Tree;
    let name = state.nodes.get(tree.node).map_or_else(String::new, |node| format!("of {}", node.member));
    let mut right = freshness(state, now);
    if let Some((text, found)) = tree.found() {
        let reading = if found.more { ", reading" } else { "" };
        let text = printable(text.as_bytes(), 40);
        right = Text::of(format!(" /{text}  {} of {}{reading} ", found.matches, found.of), Role::Key);
    }
    open(canvas, state, Pane::Tree, place, &name, &right);
    let (list, value) = tree_parts(place.area, place.is_framed);
    let unread = unread(state);
    let first = first_shown(tree.cursor(), tree.count(), usize::from(list.height));
    for (row, (index, line)) in (0..list.height).zip((first..).zip(tree.window(first, usize::from(list.height)))) {
        let is_selected = index == tree.cursor();
        let is_fired = match line.kind {
            RowKind::Znode { is_open, .. } => state.fired.is_marked(&line.path, is_open, now),
            RowKind::Unread { .. } => false,
        };
        let text = row_text(canvas, &line, (is_selected, is_fired), list.width, &unread);
        canvas.line(list, row, &text);
        if is_selected && is_focused {
            canvas.mark(list, row, Role::Selected);
        }
    }
    if !value.is_empty() {
        let (value, last) = without_last_row(value);
        match strip(state, now, usize::from(last.width).saturating_sub(1)).filter(|_| value.height >= STRIP_BELOW) {
            Some(strip) => {
                draw_value(canvas, state, value);
                canvas.line(Rect { x: last.x + 1, width: last.width.saturating_sub(1), ..last }, 0, &strip);
            }
            None => draw_value(canvas, state, Rect { height: value.height + last.height, ..value }),
        }
    }
}

/// The selected znode as every node has it, in one line; where there is no room for all, those that have the same are
/// counted. None of a znode that is not known itself.
fn strip(state: &State, now: Duration, width: usize) -> Option<Text> {
    let is_known = matches!(&state.tree.value, Some(Value { path, content: Ok(_) }) if *path == state.tree.selected());
    if !is_known || state.nodes.len() < 2 {
        return None;
    }
    let cells: Vec<(String, Seen)> =
        (0..state.nodes.len()).map(|node| (state.nodes[node].member.to_string(), seen(state, node, now))).collect();
    let cell = |text: &mut Text, name: &str, seen: &Seen| {
        let role = match seen.standing {
            _ if seen.is_stale => Role::Dim,
            Standing::Unknown => Role::Dim,
            Standing::Equal => Role::Text,
            Standing::Older(_) | Standing::Newer(_) | Standing::Missing => Role::Warning,
        };
        let stale = if seen.is_stale { " stale" } else { "" };
        text.add(format!("{name} "), Role::Dim);
        text.add(format!("{}{stale}  ", seen.standing.words()), role);
    };
    let mut whole = Text::new();
    cells.iter().for_each(|(name, seen)| cell(&mut whole, name, seen));
    if whole.width() <= width + 2 {
        return Some(whole);
    }
    let is_plain = |seen: &Seen| *seen == Seen { standing: Standing::Equal, is_stale: false };
    let same = cells.iter().filter(|(_, seen)| is_plain(seen)).count();
    let mut short = Text::of(format!("{same} of {} =  ", cells.len()), Role::Text);
    let others: Vec<_> = cells.iter().filter(|(_, seen)| !is_plain(seen)).collect();
    for (place, (name, seen)) in others.iter().enumerate() {
        let (mut longer, left) = (short.clone(), others.len() - place);
        cell(&mut longer, name, seen);
        // Half a word says nothing: what does not fit is counted.
        // The blanks at the end may be lost, but not between the cells.
        let room = if left > 1 { width.saturating_sub(format!("+{} more", left - 1).len()) } else { width + 2 };
        if longer.width() > room {
            short.add(format!("+{left} more"), Role::Warning);
            break;
        }
        short = longer;
    }
    Some(short)
}

/// Whether what is shown is as good as now.
fn freshness(state: &State, now: Duration) -> Text {
    let sight = state.nodes.get(state.tree.node).map(|node| node.sight.freshness(now));
    if let Some(words) = absence(state) {
        return Text::of(format!(" {words} "), Role::Warning);
    }
    match (sight, &state.tree.error) {
        (Some(Freshness::Stale(age)), _) => Text::of(format!(" as of {} ago ", seconds(age)), Role::Warning),
        (Some(Freshness::Never) | None, _) => Text::of(" no answer yet ", Role::Dim),
        (_, Some(error)) => Text::of(format!(" {} ", printable(error.as_bytes(), 60)), Role::Warning),
        _ => Text::new(),
    }
}

/// Why the tree's node cannot answer, whatever the error of the newest question was.
fn absence(state: &State) -> Option<String> {
    state.nodes.get(state.tree.node).and_then(node_absence)
}

/// What stands for what is not known.
fn unread(state: &State) -> String {
    match &state.tree.error {
        _ if state.time.is_past() => "not read then".to_owned(),
        error => {
            absence(state).or_else(|| Some(printable(error.as_ref()?.as_bytes(), 200))).unwrap_or("reading".into())
        }
    }
}

/// A line; in its gutter the cursor, and a mark if its watches fired.
fn row_text(canvas: &Canvas<'_>, row: &Row, gutter: (bool, bool), width: u16, unread: &str) -> Text {
    let theme = canvas.theme;
    let indent = "  ".repeat(row.depth.min(INDENT_MAX));
    let (is_selected, is_fired) = gutter;
    let mut text = Text::of(if is_selected { ">" } else { " " }, Role::Strong);
    let (mark, role) = if is_fired { ("*", Role::Warning) } else { (" ", Role::Strong) };
    text.add(mark, role);
    let (stat, is_open) = match &row.kind {
        RowKind::Unread { count: None } => {
            text.add(format!("{indent}  {unread}"), Role::Dim);
            return text;
        }
        RowKind::Unread { count: Some(count) } => {
            text.add(format!("{indent}  {count} more"), Role::Dim);
            return text;
        }
        RowKind::Znode { stat, is_open } => (stat, *is_open),
    };
    let children = stat.map_or(0, |stat| stat.num_children);
    let fold = match (is_open, children > 0) {
        (true, _) => theme.pick("▾ ", "v "),
        (false, true) => theme.pick("▸ ", "> "),
        (false, false) => "  ",
    };
    text.add(format!("{indent}{fold}"), Role::Dim);
    let mut tail = String::new();
    if let Some(stat) = stat {
        if stat.ephemeral_owner.0 != 0 {
            tail.push_str(" eph");
        }
        if children > 0 {
            tail.push_str(&format!(" {} ch", short(u64::from(children))));
        }
        tail.push_str(&format!(" v{}", stat.version));
    }
    let room = usize::from(width).saturating_sub(text.width() + tail.len() + 1);
    text.add(fit(&printable(name_of(&row.path).as_bytes(), 512), room, theme), Role::Text);
    text.add(tail, Role::Dim);
    text
}

fn draw_value(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    let selected = state.tree.selected();
    let mut lines = vec![Text::of(printable(selected.as_bytes(), 512), Role::Strong)];
    match &state.tree.value {
        Some(Value { path, content }) if *path == selected => match content {
            Err(reason) => {
                let reason = absence(state).unwrap_or_else(|| printable(reason.as_bytes(), 200));
                lines.push(Text::of(reason, Role::Warning));
            }
            Ok((data, stat)) => {
                let mut facts =
                    format!("v{}  {} B  mzxid {}  czxid {}", stat.version, stat.data_length, stat.mzxid, stat.czxid);
                if stat.num_children > 0 {
                    facts.push_str(&format!("  {} children", stat.num_children));
                }
                if stat.ephemeral_owner.0 != 0 {
                    facts.push_str(&format!("  ephemeral of {}", stat.ephemeral_owner));
                }
                lines.push(Text::of(facts, Role::Dim));
                let width = usize::from(area.width).saturating_sub(1);
                let rows = usize::from(area.height);
                let shown = value::lines(data, VALUE_SHOWN);
                let shown = shown.iter().take(rows).flat_map(|line| match line.as_str() {
                    "" => vec![String::new()],
                    line => wrap(line, width, rows),
                });
                lines.extend(shown.map(|line| Text::of(line, Role::Text)));
            }
        },
        _ => lines.push(Text::of(unread(state), Role::Dim)),
    }
    let text_area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    for (row, line) in (0..area.height).zip(&lines) {
        canvas.line(text_area, row, line);
    }
}
