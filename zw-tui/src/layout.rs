//! Where things are, from the size of the frame alone: there is no size that is too small.

use crate::model::{Pane, State};
use ratatui::layout::Rect;

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
    /// All panes.
    Wide,
}

/// The places of one frame. A pane that is not shown has no place.
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
    /// The nodes.
    pub nodes: Option<Rect>,
    /// The brokers; a single row without frame in the compact tier and below.
    pub brokers: Option<Rect>,
    /// The tree.
    pub tree: Option<Rect>,
    /// What happened.
    pub events: Option<Rect>,
    /// The command line or a toast.
    pub prompt: Rect,
    /// The keys.
    pub hints: Rect,
}

/// The tier of a size.
#[must_use]
pub fn tier(width: u16, height: u16) -> Tier {
    match (width, height) {
        (100.., 26..) => Tier::Wide,
        (64.., 16..) => Tier::Compact,
        (34.., 9..) => Tier::Small,
        (18.., 4..) => Tier::Tiny,
        _ => Tier::Dot,
    }
}

/// Arranges a frame.
#[must_use]
pub fn arrange(area: Rect, state: &State) -> Layout {
    let tier = tier(area.width, area.height);
    let hint_rows = if tier == Tier::Wide { 2 } else { 1 };
    let mut rows = Rows { left: area };
    let none = Rect { height: 0, ..area };
    let (title, verdict, hints, prompt) = match tier {
        Tier::Dot | Tier::Tiny => (none, rows.top(1), none, none),
        Tier::Small | Tier::Compact | Tier::Wide => (rows.top(1), rows.top(1), rows.bottom(hint_rows), rows.bottom(1)),
    };
    let body = rows.left;
    let mut layout =
        Layout { tier, title, verdict, body, nodes: None, brokers: None, tree: None, events: None, prompt, hints };
    match tier {
        Tier::Wide => wide(&mut layout, state),
        Tier::Compact => compact(&mut layout, state),
        Tier::Small => small(&mut layout, state),
        Tier::Tiny | Tier::Dot => {}
    }
    layout
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

fn wide(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    let lines = count(state.nodes.len().max(state.brokers.len())).saturating_add(3);
    let top = rows.top(lines.min(layout.body.height / 2));
    if state.brokers.is_empty() {
        layout.nodes = Some(top);
    } else {
        let (nodes, brokers) = columns(top, (top.width / 3).clamp(28, 54));
        (layout.nodes, layout.brokers) = (Some(nodes), Some(brokers));
    }
    let (tree, events) = columns(rows.left, rows.left.width * 2 / 5);
    (layout.tree, layout.events) = (Some(tree), Some(events));
}

fn compact(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    let lines = count(state.nodes.len()).saturating_add(3);
    layout.nodes = Some(rows.top(lines.min(layout.body.height * 2 / 3)));
    if !state.brokers.is_empty() {
        layout.brokers = Some(rows.top(1));
    }
    match state.lower {
        Pane::Tree => layout.tree = Some(rows.left),
        _ => layout.events = Some(rows.left),
    }
}

fn small(layout: &mut Layout, state: &State) {
    let mut rows = Rows { left: layout.body };
    match state.focus {
        Pane::Tree => layout.tree = Some(rows.left),
        Pane::Events => layout.events = Some(rows.left),
        Pane::Nodes | Pane::Brokers => {
            layout.nodes = Some(rows.top(count(state.nodes.len())));
            if !state.brokers.is_empty() {
                layout.brokers = Some(rows.top(1));
            }
            layout.events = (rows.left.height > 1).then_some(rows.left);
        }
    }
}

/// The first line to show so that the cursor is in view, about the middle of a long list.
#[must_use]
pub fn first_shown(cursor: usize, count: usize, rows: usize) -> usize {
    cursor.saturating_sub(rows / 2).min(count.saturating_sub(rows))
}

/// The pane and the item at a cell.
#[must_use]
pub fn hit(layout: &Layout, state: &State, column: u16, row: u16) -> Option<(Pane, Option<usize>)> {
    let at = ratatui::layout::Position::new(column, row);
    let inside = |pane: Option<Rect>| pane.filter(|area| area.contains(at));
    let is_framed = layout.tier >= Tier::Compact;
    if let Some(area) = inside(layout.nodes) {
        let (head, rows) = if is_framed { (2, area.height.saturating_sub(3)) } else { (0, area.height) };
        let first = first_shown(state.node, state.nodes.len(), usize::from(rows));
        let line = usize::from(row - area.y).checked_sub(head).filter(|line| *line < usize::from(rows));
        return Some((Pane::Nodes, line.map(|line| first + line).filter(|node| *node < state.nodes.len())));
    }
    if let Some(area) = inside(layout.brokers) {
        let line = if layout.tier == Tier::Wide { usize::from(row - area.y).checked_sub(2) } else { None };
        return Some((Pane::Brokers, line.filter(|broker| *broker < state.brokers.len())));
    }
    if let Some(area) = inside(layout.tree) {
        let list = tree_parts(area, is_framed).0;
        if !list.contains(at) {
            return Some((Pane::Tree, None));
        }
        let count = state.tree.rows().len();
        let item = first_shown(state.tree.cursor(), count, usize::from(list.height)) + usize::from(row - list.y);
        return Some((Pane::Tree, Some(item).filter(|item| *item < count)));
    }
    inside(layout.events).map(|_| (Pane::Events, None))
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
        for focus in Pane::ALL {
            state.focus = focus;
            for width in 0..200 {
                for height in 0..60 {
                    let area = Rect::new(0, 0, width, height);
                    let layout = arrange(area, &state);
                    let panes = [layout.nodes, layout.brokers, layout.tree, layout.events].into_iter().flatten();
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
    fn a_click_finds_what_is_drawn() {
        let state = state();
        let layout = arrange(Rect::new(0, 0, 160, 45), &state);
        let nodes = layout.nodes.unwrap();
        assert_eq!(hit(&layout, &state, nodes.x + 5, nodes.y + 2), Some((Pane::Nodes, Some(0))));
        assert_eq!(hit(&layout, &state, nodes.x + 5, nodes.y + 6), Some((Pane::Nodes, Some(4))));
        assert_eq!(hit(&layout, &state, nodes.x, nodes.y), Some((Pane::Nodes, None)));
        assert_eq!(hit(&layout, &state, 0, 0), None);
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
