//! Where things are, from the size of the frame alone: there is no size that is too small.

use crate::model::menu::Menu;
use crate::model::{Pane, State, timeline};
use ratatui::layout::Rect;
use std::time::Duration;

/// How much fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// One row, cut off.
    Dot,
    /// Verdict, glyphs, keys.
    Tiny,
    /// One list without frames.
    Small,
    /// The nodes, and one pane below.
    Compact,
    /// Nodes and brokers, and two panes below.
    Medium,
    /// All panes.
    Wide,
}

/// The place of one pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its cells, the frame's among them.
    pub area: Rect,
    /// Whether it has a frame.
    pub is_framed: bool,
    /// The panes that share the place, this one among them; none if it is alone.
    pub tabs: &'static [Pane],
}

/// The places of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How much fits.
    pub tier: Tier,
    /// What this is.
    pub title: Rect,
    /// Am I fine?
    pub verdict: Rect,
    /// Between verdict and prompt; overlays lie here.
    pub body: Rect,
    /// The command line or a toast.
    pub prompt: Rect,
    /// The keys.
    pub hints: Rect,
    places: [Option<Place>; Pane::ALL.len()],
}

impl Layout {
    /// Where a pane is; none if it is not shown.
    #[must_use]
    pub fn place(&self, pane: Pane) -> Option<Place> {
        self.places[pane as usize].filter(|place| !place.area.is_empty())
    }

    fn put(&mut self, pane: Pane, area: Rect, is_framed: bool) {
        self.places[pane as usize] = Some(Place { area, is_framed, tabs: &[] });
    }

    /// One of several panes: the one that was looked at last.
    fn put_tabs(&mut self, tabs: &'static [Pane], area: Rect, state: &State) {
        let shown = state.latest_of(tabs);
        self.places[shown as usize] = Some(Place { area, is_framed: true, tabs });
    }
}

/// The panes that share the left place of the medium tier.
const LEFT_TABS: &[Pane] = &[Pane::Flow, Pane::Metrics, Pane::Replication];
/// The panes that share the right one.
const RIGHT_TABS: &[Pane] = &[Pane::Tree, Pane::Events];

/// The tier of a size.
#[must_use]
pub fn tier(width: u16, height: u16) -> Tier {
    match (width, height) {
        (140.., 38..) => Tier::Wide,
        (100.., 28..) => Tier::Medium,
        (64.., 16..) => Tier::Compact,
        (34.., 9..) => Tier::Small,
        (18.., 4..) => Tier::Tiny,
        _ => Tier::Dot,
    }
}

/// Arranges a frame.
#[must_use]
pub fn arrange(area: Rect, state: &State) -> Layout {
    let area = inside_warning(area, state);
    let tier = tier(area.width, area.height);
    let hint_rows = if tier >= Tier::Medium { 2 } else { 1 };
    let mut rows = Rows { left: area };
    let none = Rect { height: 0, ..area };
    let (title, verdict, hints, prompt) = match tier {
        Tier::Dot | Tier::Tiny => (none, rows.top(1), none, none),
        _ => (rows.top(1), rows.top(1), rows.bottom(hint_rows), rows.bottom(1)),
    };
    let body = rows.left;
    let mut layout = Layout { tier, title, verdict, body, prompt, hints, places: [None; Pane::ALL.len()] };
    match tier {
        Tier::Tiny | Tier::Dot => {}
        _ if state.zoomed => layout.put(state.focus(), body, tier >= Tier::Compact),
        Tier::Wide => wide(&mut layout, state),
        Tier::Medium => medium(&mut layout, state),
        Tier::Compact => compact(&mut layout, state),
        Tier::Small => small(&mut layout, state),
    }
    layout
}

/// What the frame leaves that warns while a slip of the finger could harm somebody else's ensemble; all of it where there
/// is no room for one.
#[must_use]
pub fn inside_warning(area: Rect, state: &State) -> Rect {
    let inside = inside_frame(area);
    let has_room = tier(inside.width, inside.height) > Tier::Tiny;
    if state.permission.is_dangerous() && has_room { inside } else { area }
}

/// Cuts rows off an area.
struct Rows {
    left: Rect,
}

impl Rows {
    fn top(&mut self, height: u16) -> Rect {
        let height = height.min(self.left.height);
        let cut = Rect { height, ..self.left };
        self.left = Rect { y: self.left.y + height, height: self.left.height - height, ..self.left };
        cut
    }

    fn bottom(&mut self, height: u16) -> Rect {
        let height = height.min(self.left.height);
        self.left.height -= height;
        Rect { y: self.left.y + self.left.height, height, ..self.left }
    }
}

fn columns(area: Rect, right: u16) -> (Rect, Rect) {
    let right = right.min(area.width);
    let left = Rect { width: area.width - right, ..area };
    (left, Rect { x: area.x + left.width, width: right, ..area })
}

fn count(items: usize) -> u16 {
    u16::try_from(items).unwrap_or(u16::MAX)
}

/// The nodes, and the addresses that are none.
fn node_rows(state: &State) -> usize {
    state.nodes.len() + state.strangers.len()
}

/// Nodes and brokers side by side; gives the width of the right one.
fn members(layout: &mut Layout, rows: &mut Rows, state: &State) -> u16 {
    let lines = count(node_rows(state).max(state.brokers.len())).saturating_add(3);
    let top = rows.top(lines.min(layout.body.height / 2));
    let right = (top.width * 7 / 20).clamp(28, 60);
    if state.brokers.is_empty() {
        layout.put(Pane::Nodes, top, true);
    } else {
        let (nodes, brokers) = columns(top, right);
        layout.put(Pane::Nodes, nodes, true);
        layout.put(Pane::Brokers, brokers, true);
    }
    right
}

fn wide(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    let right = members(layout, &mut rows, state);
    layout.put(Pane::Timeline, rows.bottom(3), true);
    let low = rows.bottom((rows.left.height / 3).clamp(7, 9));
    let (flow, tree) = columns(rows.left, right);
    let (left, events) = columns(low, right);
    let (metrics, replication) = columns(left, left.width * 2 / 5);
    for (pane, area) in [
        (Pane::Flow, flow),
        (Pane::Tree, tree),
        (Pane::Metrics, metrics),
        (Pane::Replication, replication),
        (Pane::Events, events),
    ] {
        layout.put(pane, area, true);
    }
}

fn medium(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    members(layout, &mut rows, state);
    layout.put(Pane::Timeline, rows.bottom(1), false);
    let (left, right) = columns(rows.left, rows.left.width * 9 / 20);
    layout.put_tabs(LEFT_TABS, left, state);
    layout.put_tabs(RIGHT_TABS, right, state);
}

fn compact(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    let lines = count(node_rows(state)).saturating_add(3);
    layout.put(Pane::Nodes, rows.top(lines.min(layout.body.height * 2 / 3)), true);
    if !state.brokers.is_empty() {
        layout.put(Pane::Brokers, rows.top(1), false);
    }
    if rows.left.height > 8 || state.focus() == Pane::Timeline {
        layout.put(Pane::Timeline, rows.bottom(1), false);
    }
    layout.put_tabs(&Pane::TABS, rows.left, state);
}

fn small(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    match state.focus() {
        Pane::Nodes | Pane::Brokers => {
            if !state.brokers.is_empty() {
                let nodes = rows.left.height.saturating_sub(1).min(count(node_rows(state)));
                layout.put(Pane::Nodes, rows.top(nodes), false);
                layout.put(Pane::Brokers, rows.top(1), false);
            } else {
                layout.put(Pane::Nodes, rows.top(count(node_rows(state))), false);
            }
            if rows.left.height > 1 {
                layout.put(Pane::Events, rows.left, false);
            }
        }
        other => layout.put(other, rows.left, false),
    }
}

/// The first line to show so that the cursor is in view, about the middle of a long list.
#[must_use]
pub fn first_shown(cursor: usize, count: usize, rows: usize) -> usize {
    cursor.saturating_sub(rows / 2).min(count.saturating_sub(rows))
}

/// The pane and the item at a cell.
#[must_use]
pub fn hit(layout: &Layout, state: &State, now: Duration, column: u16, row: u16) -> Option<(Pane, Option<usize>)> {
    let at = ratatui::layout::Position::new(column, row);
    let inside = |pane: &Pane| layout.place(*pane).filter(|place| place.area.contains(at)).map(|place| (*pane, place));
    let (pane, place) = Pane::ALL.iter().find_map(inside)?;
    let Place { area, is_framed, .. } = place;
    let item = match pane {
        Pane::Nodes => {
            let (head, rows) = if is_framed { (2, area.height.saturating_sub(3)) } else { (0, area.height) };
            let order = state.node_order();
            let at = order.iter().position(|node| *node == state.node).unwrap_or(0);
            let first = first_shown(at, order.len(), usize::from(rows));
            let line = usize::from(row - area.y).checked_sub(head).filter(|line| *line < usize::from(rows));
            line.and_then(|line| order.get(first + line)).copied()
        }
        Pane::Brokers => {
            let line = if is_framed { usize::from(row - area.y).checked_sub(2) } else { None };
            line.filter(|broker| *broker < state.brokers.len())
        }
        Pane::Tree => {
            let list = tree_parts(area, is_framed).0;
            let count = state.tree.count();
            let first = first_shown(state.tree.cursor(), count, usize::from(list.height));
            let item = list.contains(at).then(|| first + usize::from(row - list.y));
            item.filter(|item| *item < count)
        }
        Pane::Events => {
            let inner = if is_framed { inside_frame(area) } else { area };
            let places = state.events.places(usize::from(inner.height));
            let line = inner.contains(at).then(|| places.start + usize::from(row - inner.y));
            line.filter(|line| places.contains(line))
        }
        Pane::Timeline => {
            let cells = timeline_cells(place);
            let scale = timeline::scale(state, now, cells.width);
            let cell = cells.contains(at).then(|| usize::from(column - cells.x)).filter(|cell| *cell < scale.cells());
            // The end of the cell: what happened in it is shown.
            let time = cell.map(|cell| scale.times(cell).1.saturating_sub(Duration::from_millis(1)));
            time.and_then(|time| usize::try_from(time.as_millis()).ok())
        }
        Pane::Flow | Pane::Metrics | Pane::Replication => None,
    };
    Some((pane, item))
}

/// Columns of a menu, if there is room.
const MENU_WIDTH: u16 = 72;

/// Where a menu lies: at the cell that was clicked, or in the middle; moved and cut so that it stays inside the body.
#[must_use]
pub fn menu_area(body: Rect, menu: &Menu) -> Rect {
    let width = MENU_WIDTH.min(body.width);
    let height = count(menu.actions().len()).saturating_add(2).min(body.height);
    let (free_x, free_y) = (body.width - width, body.height - height);
    let (x, y) = match menu.at {
        Some((column, row)) => (column.saturating_sub(body.x).min(free_x), row.saturating_sub(body.y).min(free_y)),
        None => (free_x / 2, free_y / 2),
    };
    Rect { x: body.x + x, y: body.y + y, width, height }
}

/// The lines of a menu inside its frame, and the first of them that is shown.
#[must_use]
pub fn menu_lines(body: Rect, menu: &Menu) -> (Rect, usize) {
    let list = inside_frame(menu_area(body, menu));
    (list, first_shown(menu.cursor, menu.actions().len(), usize::from(list.height)))
}

/// What a click meets while a menu is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MenuHit {
    /// A line of it.
    Line(usize),
    /// Its frame, or where it has no line.
    Frame,
    /// The world outside.
    Beside,
}

/// What a click at a cell meets.
#[must_use]
pub fn menu_hit(body: Rect, menu: &Menu, column: u16, row: u16) -> MenuHit {
    let at = ratatui::layout::Position::new(column, row);
    let (list, first) = menu_lines(body, menu);
    if list.contains(at) {
        let line = first + usize::from(row - list.y);
        return if line < menu.actions().len() { MenuHit::Line(line) } else { MenuHit::Frame };
    }
    if menu_area(body, menu).contains(at) { MenuHit::Frame } else { MenuHit::Beside }
}

/// Where the slices of time are inside the timeline's pane; the end of the session is behind the last.
#[must_use]
pub fn timeline_cells(place: Place) -> Rect {
    let inner = if place.is_framed { inside_frame(place.area) } else { place.area };
    let margin = inner.width.min(1);
    Rect { x: inner.x + margin, width: inner.width.saturating_sub(3), height: inner.height.min(1), ..inner }
}

/// The list and the value inside the tree's pane, without its frame.
#[must_use]
pub fn tree_parts(area: Rect, is_framed: bool) -> (Rect, Rect) {
    let inner = if is_framed { inside_frame(area) } else { area };
    if inner.height < 6 {
        return (inner, Rect { height: 0, ..inner });
    }
    if inner.width >= 72 {
        return columns(inner, inner.width / 2);
    }
    let mut rows = Rows { left: inner };
    let value = rows.bottom((inner.height / 3).clamp(2, 8));
    (rows.left, value)
}

/// All but the last row, and the last row.
#[must_use]
pub fn without_last_row(area: Rect) -> (Rect, Rect) {
    let mut rows = Rows { left: area };
    let last = rows.bottom(1);
    (rows.left, last)
}

/// What a frame of one cell leaves.
#[must_use]
pub fn inside_frame(area: Rect) -> Rect {
    if area.width < 2 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new((0..5).map(|i| format!("a:{i}")).collect(), (0..3).map(|i| format!("b:{i}")).collect())
    }

    #[test]
    fn no_place_leaves_the_frame_or_covers_another() {
        let mut state = state();
        for (focus, zoomed) in Pane::ALL.into_iter().flat_map(|pane| [(pane, false), (pane, true)]) {
            state.focus_on(focus);
            state.zoomed = zoomed;
            for width in 0..200 {
                for height in 0..60 {
                    let area = Rect::new(0, 0, width, height);
                    let layout = arrange(area, &state);
                    let panes = Pane::ALL.iter().filter_map(|pane| layout.place(*pane)).map(|place| place.area);
                    let fixed = [layout.title, layout.verdict, layout.prompt, layout.hints];
                    let places: Vec<Rect> = panes.chain(fixed).filter(|place| !place.is_empty()).collect();
                    for (index, place) in places.iter().enumerate() {
                        assert_eq!(place.intersection(area), *place, "{width}x{height}");
                        let clash = places[index + 1..].iter().find(|other| other.intersects(*place));
                        assert_eq!(clash, None, "{width}x{height} {place}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_pane_that_takes_the_keys_is_always_shown() {
        let mut state = state();
        for focus in Pane::ALL {
            state.focus_on(focus);
            for (width, height) in [(160, 45), (140, 38), (120, 30), (100, 28), (80, 24), (64, 16), (40, 12), (34, 9)] {
                let layout = arrange(Rect::new(0, 0, width, height), &state);
                assert!(layout.place(focus).is_some(), "{focus:?} at {width}x{height}");
            }
        }
    }

    #[test]
    fn a_click_finds_what_is_drawn() {
        let state = state();
        let layout = arrange(Rect::new(0, 0, 160, 45), &state);
        let nodes = layout.place(Pane::Nodes).unwrap().area;
        assert_eq!(hit(&layout, &state, Duration::ZERO, nodes.x + 5, nodes.y + 2), Some((Pane::Nodes, Some(0))));
        assert_eq!(hit(&layout, &state, Duration::ZERO, nodes.x + 5, nodes.y + 6), Some((Pane::Nodes, Some(4))));
        assert_eq!(hit(&layout, &state, Duration::ZERO, nodes.x, nodes.y), Some((Pane::Nodes, None)));
        assert_eq!(hit(&layout, &state, Duration::ZERO, 0, 0), None);
    }

    #[test]
    fn the_cursor_is_always_in_view() {
        for rows in 1..20 {
            for count in 1..40 {
                for cursor in 0..count {
                    let first = first_shown(cursor, count, rows);
                    assert!((first..first + rows).contains(&cursor));
                    assert!(first + rows <= count.max(rows));
                }
            }
        }
    }
}
