//! One write's messages between its client and the nodes, as a sequence diagram.

use super::arrows::{Arrow, Lanes, Shaft};
use super::canvas::{Canvas, Text};
use super::open;
use crate::layout::Place;
use crate::model::causes::time;
use crate::model::flow::{Hindrance, Shown};
use crate::model::select::{Face, node_face, printable, short};
use crate::model::transaction::{Lane, MessageKind, Row, Tally, quorum};
use crate::model::{Pane, State};
use crate::motion::Motion;
use crate::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;

/// Cells of the times at the right.
const TIME_WIDTH: u16 = 9;
/// Narrower than this there is no room for times.
const TIMES_FROM_WIDTH: u16 = 56;
/// Of the words of a write or its failure.
const WORDS_BYTES_MAX: usize = 80;

/// A lane of the diagram: one node, or several that have no lane of their own.
struct Column {
    name: String,
    role: Role,
    lanes: Vec<Lane>,
    is_still: bool,
}

/// A message, or several of one kind and sender that share a line.
struct Line {
    first: Row,
    to: Vec<Lane>,
}

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, now: Duration, place: Place) {
    let inner = open(canvas, state, Pane::Flow, place, "", &title(state));
    let Some(shown) = &state.flow.shown else { return nothing(canvas, state, inner) };
    if inner.height == 0 {
        return;
    }
    let with_times = inner.width >= TIMES_FROM_WIDTH;
    let width = usize::from(inner.width - if with_times { TIME_WIDTH } else { 0 });
    let columns = columns(state, shown, now, Lanes::fitting(width));
    let mut lanes = Lanes::new(width, columns.len());
    lanes.is_still = columns.iter().map(|column| column.is_still).collect();
    let names: Vec<(String, Role)> = columns
        .iter()
        .map(|column| match &column.lanes[..] {
            [Lane::Node(node)] => {
                let face = state.nodes.get(*node).map_or(Face::Unknown, |node| node_face(state, node, now));
                (format!("{} {}", column.name, canvas.theme.glyph(face)), column.role)
            }
            _ => (column.name.clone(), column.role),
        })
        .collect();
    canvas.line(inner, 0, &lanes.heads(&names));
    let has_foot = inner.height >= 4;
    let body = Rect { y: inner.y + 1, height: inner.height - 1 - u16::from(has_foot), ..inner };
    let elapsed = state.flow.elapsed_ns(now);
    let lines = lines(shown, state.nodes.len(), usize::from(body.height));
    let is_there = |line: &&Line| elapsed.is_none_or(|elapsed| line.first.sent <= shown.transaction.began + elapsed);
    let lines: Vec<&Line> = lines.iter().filter(is_there).collect();
    let hidden = lines.len().saturating_sub(usize::from(body.height));
    // Its end says more than its beginning.
    for (row, line) in (0..body.height).zip(lines.into_iter().skip(hidden)) {
        let text = line_text(canvas, &lanes, &columns, shown, line, state.nodes.len(), elapsed);
        canvas.line(body, row, &text);
        if with_times {
            let since = line.first.at().saturating_sub(shown.transaction.began);
            canvas.line_right(body, row, &Text::of(format!("+{} ", time(since)), Role::Dim), width);
        }
    }
    if has_foot {
        canvas.line(inner, inner.height - 1, &foot(shown, state, hidden));
    }
}

fn nothing(canvas: &mut Canvas<'_>, state: &State, inner: Rect) {
    let words = if state.nodes.iter().all(|node| node.sight.status.is_none()) {
        "No node has answered yet."
    } else if !state.permission.writes {
        "No write was seen yet: the messages of the next one show here."
    } else {
        "No write was seen yet. W writes a znode: its messages show here."
    };
    for (row, line) in (0..).zip(super::canvas::wrap(words, usize::from(inner.width).saturating_sub(2), 4)) {
        canvas.line(inner, row, &Text::of(format!(" {line}"), Role::Dim));
    }
}

fn title(state: &State) -> Text {
    let mut title = Text::new();
    let Some(shown) = &state.flow.shown else { return title };
    if state.flow.motion == Motion::Full {
        let lens = match state.flow.slowness() {
            Some(slowness) if slowness >= 1.5 => format!(" time x1/{slowness:.0} "),
            Some(slowness) if slowness < 0.7 => format!(" time x{:.0} ", 1.0 / slowness),
            _ => " real time ".to_owned(),
        };
        title.add(lens, Role::Dim);
    }
    if state.flow.is_pinned {
        title.add(" chosen: Esc goes on ", Role::Key);
    } else {
        title.add(format!(" 1 of {} shown ", short(shown.among)), Role::Dim);
    }
    title.add(clocks(state), Role::Dim);
    if state.flow.dropped > 0 {
        title.add(format!(" {} events missed ", short(state.flow.dropped)), Role::Warning);
    }
    title
}

/// How far times of nodes on several hosts may be wrong; nothing if they share a clock.
pub(super) fn clocks(state: &State) -> String {
    match state.flow.clock_error_ns {
        0 => String::new(),
        error => format!(" clocks +-{} ", time(error)),
    }
}

/// The client, the nodes in their order; where there is no room, those that only follow share a lane.
fn columns(state: &State, shown: &Shown, now: Duration, fitting: usize) -> Vec<Column> {
    let leader = shown.transaction.leader;
    let is_still = |node: usize| {
        let face = state.nodes.get(node).map_or(Face::Unknown, |node| node_face(state, node, now));
        matches!(face, Face::Paused | Face::Down | Face::Failed | Face::Unknown)
    };
    let one = |node: usize| Column {
        name: format!("n{}", node + 1),
        role: if Some(node) == leader { Role::Face(Face::Leader) } else { Role::Strong },
        lanes: vec![Lane::Node(node)],
        is_still: is_still(node),
    };
    let nodes: Vec<usize> = (0..state.nodes.len()).collect();
    let client = Column { name: "client".into(), role: Role::Text, lanes: vec![Lane::Client], is_still: false };
    if nodes.len() < fitting {
        return std::iter::once(client).chain(nodes.into_iter().map(one)).collect();
    }
    let is_own = |node: &usize| *node == shown.transaction.origin || Some(*node) == leader;
    let (own, others): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(is_own);
    let rest = Column {
        name: format!("{} others", others.len()),
        role: Role::Strong,
        is_still: others.iter().all(|node| is_still(*node)),
        lanes: others.into_iter().map(Lane::Node).collect(),
    };
    let columns = std::iter::once(client).chain(own.into_iter().map(one));
    columns.chain(Some(rest).filter(|rest| !rest.lanes.is_empty())).collect()
}

/// The messages as lines; if there is no room for all, those of one kind and sender share a line.
fn lines(shown: &Shown, nodes: usize, room: usize) -> Vec<Line> {
    let rows = shown.transaction.rows(nodes);
    let shares_line = rows.len() > room;
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        let arrives = |row: &Row| row.received.is_some();
        let with = lines.iter_mut().find(|line| {
            let is_same = (line.first.kind, line.first.from) == (row.kind, row.from);
            shares_line && is_same && line.first.to != row.to && arrives(&line.first) && arrives(&row)
        });
        match with {
            Some(line) => line.to.push(row.to),
            None => lines.push(Line { to: vec![row.to], first: row }),
        }
    }
    if lines.len() > room {
        // What came after the quorum says least; the last line names the slowest.
        lines.retain(|line| line.first.tally != Some(Tally::Late));
    }
    lines
}

fn line_text(
    canvas: &Canvas<'_>,
    lanes: &Lanes,
    columns: &[Column],
    shown: &Shown,
    line: &Line,
    nodes: usize,
    elapsed: Option<u64>,
) -> Text {
    let row = &line.first;
    let place = |lane: &Lane| columns.iter().position(|column| column.lanes.contains(lane)).unwrap_or(0);
    let (from, to) = (place(&row.from), line.to.iter().map(place).collect::<Vec<_>>());
    let is_folded = |lane: Lane| columns[place(&lane)].lanes.len() > 1;
    let mut label = label(shown, row, quorum(nodes));
    if let (Lane::Node(node), true) = (row.from, is_folded(row.from)) {
        label = format!("n{} {label}", node + 1);
    } else if let (Lane::Node(node), true, 1) = (row.to, is_folded(row.to), line.to.len()) {
        label = format!("{label} n{}", node + 1);
    }
    if line.to.len() > 1 {
        label = format!("{label} to {}", line.to.len());
    }
    let role = role(shown, row);
    if row.kind == MessageKind::Durable {
        return lanes.at(canvas.theme, from, &label, role);
    }
    let now = elapsed.map(|elapsed| shown.transaction.began + elapsed);
    let is_on_its_way = now.is_some_and(|now| row.received.is_some_and(|received| now < received));
    let hindrance = shown.hindrance(row);
    let shaft = match row.kind {
        _ if row.received.is_none() && hindrance != Some(Hindrance::Cut) => Shaft::Dotted,
        MessageKind::Ack => Shaft::Wave,
        MessageKind::Forward | MessageKind::Commit => Shaft::Double,
        _ => Shaft::Single,
    };
    let note = match hindrance {
        Some(Hindrance::Paused) => "held: paused",
        Some(Hindrance::Cut) => "cut",
        Some(Hindrance::Down) => "down",
        None if row.received.is_none() && row.kind != MessageKind::Answer => "no word",
        None => "",
    };
    let progress = now.filter(|_| is_on_its_way).zip(row.received).map(|(now, received)| {
        let way = received.saturating_sub(row.sent).max(1);
        usize::try_from(now.saturating_sub(row.sent).saturating_mul(100) / way).unwrap_or(100)
    });
    let is_blocked = matches!(hindrance, Some(Hindrance::Cut | Hindrance::Down));
    lanes.arrow(canvas.theme, &Arrow { from, to, shaft, label, role, note: note.into(), is_blocked, progress })
}

fn label(shown: &Shown, row: &Row, quorum: usize) -> String {
    let write = &shown.transaction;
    let zxid = write.zxid.map_or_else(String::new, |zxid| format!(" {zxid}"));
    match row.kind {
        MessageKind::Request => printable(write.words.as_bytes(), WORDS_BYTES_MAX),
        MessageKind::Forward => "FORWARD".into(),
        MessageKind::Proposal => format!("PROP{zxid}"),
        MessageKind::Durable => format!("own disk{}", tally(row, quorum)),
        MessageKind::Ack => format!("ACK{}", tally(row, quorum)),
        MessageKind::Commit => format!("COMMIT{zxid}"),
        MessageKind::Answer => match &write.ended {
            Some((at, why)) if why.is_empty() => format!("ok {}", time(at.saturating_sub(write.began))),
            Some((_, why)) => printable(why.as_bytes(), WORDS_BYTES_MAX),
            None => String::new(),
        },
    }
}

/// How many acknowledgements there are with this one, of how many that are needed.
fn tally(row: &Row, quorum: usize) -> String {
    match row.tally {
        Some(Tally::Counts(count)) => format!(" {count}/{quorum}"),
        Some(Tally::Quorum(count)) => format!(" {count}/{quorum} quorum"),
        Some(Tally::Late) | None => String::new(),
    }
}

fn role(shown: &Shown, row: &Row) -> Role {
    match (row.kind, row.tally) {
        (_, Some(Tally::Quorum(_))) => Role::Key,
        (_, Some(Tally::Late)) => Role::Dim,
        (MessageKind::Answer, _) if shown.transaction.ended.as_ref().is_some_and(|(_, why)| !why.is_empty()) => {
            Role::Bad
        }
        (MessageKind::Request | MessageKind::Answer, _) => Role::Strong,
        _ => Role::Text,
    }
}

/// When the quorum was there, who was slowest, who said nothing.
fn foot(shown: &Shown, state: &State, hidden: usize) -> Text {
    let write = &shown.transaction;
    let since = |at: u64| format!("+{}", time(at.saturating_sub(write.began)));
    let nodes = state.nodes.len();
    let mut foot = Text::new();
    if hidden > 0 {
        foot.add(format!(" {hidden} rows above (+ zooms) "), Role::Warning);
    }
    match (write.committed, &write.ended) {
        (Some(at), _) => foot.add(format!(" quorum {} of {nodes} {}", quorum(nodes), since(at)), Role::Strong),
        (None, Some((_, why))) if !why.is_empty() => foot.add(" never committed as far as is known", Role::Bad),
        (None, Some(_)) => foot.add(" the commit was not seen", Role::Dim),
        (None, None) => foot.add(" waits", Role::Warning),
    }
    if let Some((node, at)) = write.slowest() {
        foot.add(format!("  slowest n{} {}", node + 1, since(at)), Role::Text);
    }
    let heard = |node: &usize| Some(*node) == write.leader || write.acks.contains_key(node);
    let silent: Vec<String> = (0..nodes).filter(|node| !heard(node)).map(|node| format!("n{}", node + 1)).collect();
    if !silent.is_empty() && write.leader.is_some() {
        foot.add(format!("  no ack {}", silent.join(" ")), Role::Warning);
    }
    if let Some(ns) = write.commit_to_apply() {
        foot.add(format!("  commit to apply {}", time(ns)), Role::Text);
    }
    if let Some(p99) = state.flow.commit_to_apply_p99() {
        foot.add(format!(" p99 {}", time(u64::try_from(p99.as_nanos()).unwrap_or(u64::MAX))), Role::Dim);
    }
    foot
}
