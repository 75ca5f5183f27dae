//! The nodes and the brokers.

use super::canvas::{Canvas, Text, fit, fit_right};
use super::{open, spark::spark};
use crate::layout::{Place, first_shown};
use crate::member::Member;
use crate::model::broker::{self, Order};
use crate::model::select::{self, Face, NodeLine, TREND_CELLS, node_line, or_dash};
use crate::model::sight::Freshness;
use crate::model::sort::Sort;
use crate::model::verdict::Verdict;
use crate::model::{Broker, Pane, State};
use crate::theme::{Role, Theme};
use ratatui::layout::Rect;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// A column of numbers: its head, its width, and what it shows.
struct Column {
    head: &'static str,
    width: usize,
    cell: fn(&NodeLine) -> &str,
}

/// The column that is drawn and not written.
const TREND: &str = "trend 60 s";
/// In the order of the screen.
const COLUMNS: [Column; 10] = [
    Column { head: "zxid", width: 9, cell: |line| &line.zxid },
    Column { head: "lag", width: 5, cell: |line| &line.lag },
    Column { head: "rtt", width: 5, cell: |line| &line.round_trip },
    Column { head: "hb", width: 4, cell: |line| &line.heard },
    Column { head: "w/s", width: 5, cell: |line| &line.writes },
    Column { head: "que", width: 4, cell: |line| &line.queue },
    Column { head: "p99", width: 6, cell: |line| &line.commit },
    Column { head: TREND, width: TREND_CELLS, cell: |_| "" },
    Column { head: "rss", width: 5, cell: |line| &line.memory },
    Column { head: "pid", width: 6, cell: |line| &line.pid },
];
/// Which columns go first when there is no room. The words about a node never go.
const DROPPED: [&str; 10] = ["pid", "rss", "que", "rtt", TREND, "p99", "w/s", "hb", "lag", "zxid"];
/// Mark, id, glyph and word.
const LEAD_WIDTH: usize = 2 + 3 + 2 + 8;
/// The least that the words about the nodes get.
const STATE_WIDTH: usize = 14;
/// As far as they push numbers aside: enough for `exit 137 (not you)`.
const STATE_WIDTH_MAX: usize = 18;

/// The columns that fit beside words of this width.
fn columns_for(width: usize, words: usize) -> Vec<&'static Column> {
    let words = words.clamp(STATE_WIDTH, STATE_WIDTH_MAX);
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    let mut drops = DROPPED.iter();
    let is_too_wide = |columns: &[&Column]| {
        LEAD_WIDTH + columns.iter().map(|column| column.width + 1).sum::<usize>() + 2 + words > width
    };
    while is_too_wide(&columns) {
        let Some(drop) = drops.next() else { break };
        columns.retain(|column| column.head != *drop);
    }
    columns
}

pub(super) fn nodes(canvas: &mut Canvas<'_>, state: &State, verdict: &Verdict, now: Duration, place: Place) {
    let is_focused = state.focus() == Pane::Nodes;
    let mut right = Text::new();
    if state.sort != Sort::default() {
        let way = if state.sort.is_reversed { ", turned" } else { "" };
        right.add(format!(" sort: {}{way} ", state.sort.by.word()), Role::Key);
    }
    right.append(marks(state, true));
    let mut inner = open(canvas, state, Pane::Nodes, place, &state.nodes.len().to_string(), &right);
    let lines: Vec<NodeLine> = state.nodes.iter().map(|node| node_line(state, node, verdict, now)).collect();
    let words = lines.iter().map(|line| line.state.width()).max().unwrap_or(0);
    let columns = columns_for(usize::from(inner.width), words);
    if place.is_framed {
        let mut head = fit("     role", LEAD_WIDTH, canvas.theme);
        for column in &columns {
            head.push(' ');
            head.push_str(&fit_right(column.head, column.width, canvas.theme));
        }
        head.push_str("  state");
        canvas.line(inner, 0, &Text::of(head, Role::Dim));
        inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    }
    strangers(canvas, state, inner);
    let order = state.node_order();
    let at = order.iter().position(|node| *node == state.node).unwrap_or(0);
    let first = first_shown(at, order.len(), usize::from(inner.height));
    let shown = order.into_iter().skip(first).filter_map(|index| Some((index, state.nodes.get(index)?, &lines[index])));
    for (row, (index, node, line)) in (0..inner.height).zip(shown) {
        // The mark is where the acts go.
        let is_selected = index == state.node && state.focus() != Pane::Brokers;
        let mark = mark(state, node.member, is_selected);
        let text = node_text(canvas, line, &node.member.to_string(), mark, &columns, inner.width);
        canvas.line(inner, row, &text);
        if is_selected && is_focused {
            canvas.mark(inner, row, Role::Selected);
        }
    }
}

/// The addresses behind which no member is known, below the nodes if there is room.
fn strangers(canvas: &mut Canvas<'_>, state: &State, inner: Rect) {
    let first = u16::try_from(state.nodes.len()).unwrap_or(u16::MAX);
    for (row, words) in (first..inner.height).zip(state.stranger_words()) {
        let glyph = canvas.theme.glyph(Face::Unknown);
        let text = Text::of(format!("  {glyph} "), Role::Face(Face::Unknown)).with(words, Role::Warning);
        canvas.line(inner, row, &text);
    }
}

fn node_text(canvas: &Canvas<'_>, line: &NodeLine, name: &str, mark: &str, columns: &[&Column], width: u16) -> Text {
    let theme = canvas.theme;
    let face = Role::Face(line.face);
    let mut text = Text::of(mark, Role::Strong);
    text.add(fit(name, 3, theme), Role::Strong);
    text.add(format!("{} {}", theme.glyph(line.face), fit(line.face.word(), 8, theme)), face);
    let is_gone = matches!(line.face, Face::Down | Face::Failed | Face::Paused | Face::Unknown);
    let is_old = is_gone || !matches!(line.freshness, Freshness::Fresh);
    for column in columns {
        let role = if is_old && column.head != "pid" { Role::Dim } else { Role::Text };
        let drawn = match column.head {
            TREND => spark(&line.trend.0, line.trend.1, theme),
            _ => fit_right((column.cell)(line), column.width, theme),
        };
        text.add(format!(" {drawn}"), role);
    }
    let left = usize::from(width).saturating_sub(text.width() + 2);
    let role = if line.is_bad { Role::Warning } else { Role::Text };
    // Blanks are not underlined: the words are cut to their own length.
    let words = fit(&line.state, left, theme);
    text.add("  ", Role::Text);
    text.add(words.trim_end(), role);
    text
}

/// The two cells before a member: where the keys go, and whether it is marked.
fn mark(state: &State, member: Member, is_selected: bool) -> &'static str {
    match (is_selected, state.marked.has(member)) {
        (true, true) => ">*",
        (true, false) => "> ",
        (false, true) => " *",
        (false, false) => "  ",
    }
}

/// How many are marked, for the title.
fn marks(state: &State, are_nodes: bool) -> Text {
    match state.marked.count(are_nodes) {
        0 => Text::new(),
        count => {
            let range = if state.marked.is_range() { ", v ends the range" } else { "" };
            Text::of(format!(" mark {count}{range} "), Role::Key)
        }
    }
}

fn title_role(is_focused: bool) -> Role {
    if is_focused { Role::Focus } else { Role::Strong }
}

/// A column of a broker's numbers: its head and its width. Those in front are dropped first.
const BROKER_COLUMNS: [(&str, usize); 5] = [("pid", 6), ("p99", 6), ("via", 4), ("events", 6), ("order", 7)];
/// In the order of the screen.
const BROKER_ORDER: [&str; 5] = ["via", "events", "order", "p99", "pid"];

/// The columns that fit beside the name, each with its width.
fn broker_columns(width: usize) -> Vec<(&'static str, usize)> {
    let mut kept = &BROKER_COLUMNS[..];
    while LEAD_WIDTH + kept.iter().map(|(_, width)| width + 1).sum::<usize>() > width && !kept.is_empty() {
        kept = &kept[1..];
    }
    BROKER_ORDER.iter().filter_map(|head| kept.iter().find(|(other, _)| other == head)).copied().collect()
}

pub(super) fn brokers(canvas: &mut Canvas<'_>, state: &State, now: Duration, place: Place) {
    let is_focused = state.focus() == Pane::Brokers;
    let up = state.brokers.iter().filter(|broker| select::broker_face(&broker.process) == Face::Up).count();
    let total = state.brokers.len();
    if !place.is_framed {
        return strip(canvas, state, place.area, is_focused);
    }
    let registered = or_dash(broker::registered(state, now)).replace('-', "?");
    let mut right = Text::of(format!(" registered {registered}/{total} "), Role::Dim);
    right.append(marks(state, false));
    let mut inner = open(canvas, state, Pane::Brokers, place, &format!("{up}/{total}"), &right);
    let columns = broker_columns(usize::from(inner.width));
    let mut head = fit("     state", LEAD_WIDTH, canvas.theme);
    for (name, width) in &columns {
        head.push_str(&format!(" {}", fit_right(name, *width, canvas.theme)));
    }
    canvas.line(inner, 0, &Text::of(head, Role::Dim));
    inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let first = first_shown(state.broker, total, usize::from(inner.height));
    for (row, (index, broker)) in (0..inner.height).zip(state.brokers.iter().enumerate().skip(first)) {
        let face = select::broker_face(&broker.process);
        let is_selected = index == state.broker && is_focused;
        let mut text = Text::of(mark(state, broker.member, is_selected), Role::Strong);
        text.add(fit(&broker.member.to_string(), 3, canvas.theme), Role::Strong);
        text.add(format!("{} {}", canvas.theme.glyph(face), fit(face.word(), 8, canvas.theme)), Role::Face(face));
        text.append(broker_text(
            canvas.theme,
            state,
            broker,
            now,
            &columns,
            usize::from(inner.width) - LEAD_WIDTH.min(usize::from(inner.width)),
        ));
        canvas.line(inner, row, &text);
        if is_selected {
            canvas.mark(inner, row, Role::Selected);
        }
    }
}

/// The numbers of a broker that runs; of one that does not, its pid and what is with it.
fn broker_text(
    theme: &Theme,
    state: &State,
    broker: &Broker,
    now: Duration,
    columns: &[(&'static str, usize)],
    width: usize,
) -> Text {
    if let Some((words, is_bad)) = select::process_words(state, broker.member, now) {
        let text = Text::of(format!(" {}  ", fit_right(&select::pid(&broker.process), 6, theme)), Role::Text);
        let left = width.saturating_sub(text.width());
        return text.with(fit(&words, left, theme).trim_end(), if is_bad { Role::Warning } else { Role::Text });
    }
    let status = broker.current(now);
    let known = |value: Option<String>| value.unwrap_or_else(|| "?".into());
    let mut text = Text::new();
    for (head, width) in columns {
        let (cell, role) = match *head {
            "via" => match status {
                // Its events are its own file's.
                Some(status) if !status.in_touch => ("none".into(), Role::Warning),
                status => (known(status.and_then(|status| Some(broker::via(state, status)?.to_string()))), Role::Text),
            },
            "events" => (known(status.map(|status| select::short(status.events))), Role::Text),
            "p99" => (known(status.map(|status| select::percentile(status.order_p99_us))), Role::Text),
            "order" => match broker::order(state, broker, now) {
                Order::Same => ("ok".into(), Role::Text),
                Order::Differs => ("DIFFERS".into(), Role::Bad),
                Order::Alone => ("-".into(), Role::Dim),
                Order::Unknown => ("?".into(), Role::Text),
            },
            _ => (select::pid(&broker.process), Role::Text),
        };
        text.add(" ", Role::Text);
        let blanks = width.saturating_sub(cell.chars().count());
        text.add(" ".repeat(blanks), Role::Text);
        text.add(cell, role);
    }
    text.add("  ", Role::Text);
    let left = width.saturating_sub(text.width());
    text.with(if left >= broker.address.len() { broker.address.as_str() } else { "" }, Role::Dim)
}

/// All brokers in one row; from a later one on if else the selected one would not be seen.
fn strip(canvas: &mut Canvas<'_>, state: &State, area: Rect, is_focused: bool) {
    let mut text = Text::of(if area.width >= 60 { " 2 Brokers " } else { "  " }, title_role(is_focused));
    let items: Vec<Text> = state
        .brokers
        .iter()
        .enumerate()
        .map(|(index, broker)| {
            let face = select::broker_face(&broker.process);
            let is_selected = is_focused && index == state.broker;
            let role = if is_selected { Role::Selected } else { Role::Face(face) };
            let mark = if is_selected { ">" } else { " " };
            let mut item = Text::of(" ", Role::Text);
            item.add(format!("{mark}{} {}", broker.member, canvas.theme.glyph(face)), role);
            if face != Face::Up && area.width >= 60 {
                item.add(format!(" {}", face.word()), Role::Face(face));
            }
            item.add(" ", Role::Text);
            item
        })
        .collect();
    let room = usize::from(area.width).saturating_sub(text.width());
    let needed = |first: usize| items.iter().take(state.broker + 1).skip(first).map(Text::width).sum::<usize>();
    let first = (0..state.broker).find(|first| needed(*first) <= room).unwrap_or(state.broker);
    for item in items.into_iter().skip(first) {
        text.append(item);
    }
    canvas.line(area, 0, &text);
}
