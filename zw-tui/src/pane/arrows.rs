//! Lanes and arrows: one row of a sequence diagram as text.

use super::canvas::Text;
use crate::theme::{Role, Theme};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where the lanes are in a row of `width` cells.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    width: usize,
    columns: Vec<usize>,
    /// Whether the lane's line is broken: its member does nothing.
    pub(super) is_still: Vec<bool>,
}

/// What an arrow looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shaft {
    /// A record, a request or an answer.
    Single,
    /// Something that moves the write on: a forward, a commit.
    Double,
    /// An acknowledgement.
    Wave,
    /// On its way, or held back.
    Dotted,
}

/// One arrow.
#[derive(Clone, Debug)]
pub(super) struct Arrow {
    /// The sender's lane.
    pub(super) from: usize,
    /// The receivers' lanes.
    pub(super) to: Vec<usize>,
    pub(super) shaft: Shaft,
    /// Along the shaft, near the sender.
    pub(super) label: String,
    pub(super) role: Role,
    /// Near the receiver: why it does not arrive.
    pub(super) note: String,
    /// Whether it stops half-way.
    pub(super) is_blocked: bool,
    /// How much of the way the head has gone, in hundredths; none if it is there.
    pub(super) progress: Option<usize>,
}

/// Cells left and right of the outer lanes.
const MARGIN: usize = 4;
/// Cells between two lanes, at least.
pub(super) const LANE_WIDTH_MIN: usize = 9;

impl Lanes {
    /// So many lanes in so many cells.
    pub(super) fn new(width: usize, count: usize) -> Lanes {
        let room = width.saturating_sub(2 * MARGIN + 1);
        let gaps = count.saturating_sub(1).max(1);
        let columns = (0..count).map(|lane| MARGIN + lane * room / gaps).map(|x| x.min(width.saturating_sub(1)));
        Lanes { width, columns: columns.collect(), is_still: vec![false; count] }
    }

    /// How many lanes fit.
    pub(super) fn fitting(width: usize) -> usize {
        width.saturating_sub(2 * MARGIN + 1) / LANE_WIDTH_MIN + 1
    }

    /// The names over their lanes.
    pub(super) fn heads(&self, names: &[(String, Role)]) -> Text {
        let mut row = Strip::new(self.width);
        let room = self.columns.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(self.width);
        for (column, (name, role)) in self.columns.iter().zip(names) {
            let shown: String = name.chars().take(room.saturating_sub(1)).collect();
            let start = column.saturating_sub(shown.width() / 2);
            row.put(start.min(self.width.saturating_sub(shown.width())), &shown, *role);
        }
        row.into_text()
    }

    fn empty(&self, theme: &Theme) -> Strip {
        let mut row = Strip::new(self.width);
        for (column, is_still) in self.columns.iter().zip(&self.is_still) {
            row.put(*column, if *is_still { theme.pick("┊", ":") } else { theme.pick("│", "|") }, Role::Dim);
        }
        row
    }

    /// A row with a word at a lane.
    pub(super) fn at(&self, theme: &Theme, lane: usize, words: &str, role: Role) -> Text {
        let mut row = self.empty(theme);
        let Some(column) = self.columns.get(lane).copied() else { return row.into_text() };
        let right = column + 2;
        let start = if right + words.width() <= self.width { right } else { column.saturating_sub(words.width() + 1) };
        row.put(start, words, role);
        row.into_text()
    }

    /// A row with an arrow.
    pub(super) fn arrow(&self, theme: &Theme, arrow: &Arrow) -> Text {
        let mut row = self.empty(theme);
        let Some(from) = self.columns.get(arrow.from).copied() else { return row.into_text() };
        let ends: Vec<usize> = arrow.to.iter().filter_map(|lane| self.columns.get(*lane).copied()).collect();
        let left = ends.iter().copied().filter(|end| *end < from).min();
        let right = ends.iter().copied().filter(|end| *end > from).max();
        // The label stands once, where there is more room.
        let is_left = left.map_or(0, |end| from - end) >= right.map_or(0, |end| end - from);
        let bare = Arrow { label: String::new(), ..arrow.clone() };
        for (end, has_label) in [(left, is_left), (right, !is_left)] {
            if let Some(end) = end {
                self.shaft(&mut row, theme, if has_label { arrow } else { &bare }, from, end, &ends);
            }
        }
        row.into_text()
    }

    fn shaft(&self, row: &mut Strip, theme: &Theme, arrow: &Arrow, from: usize, end: usize, ends: &[usize]) {
        let is_right = end > from;
        // The cells between the two lanes, in the direction of the arrow.
        let way: Vec<usize> = if is_right { (from + 1..end).collect() } else { (end + 1..from).rev().collect() };
        let length = match (arrow.is_blocked, arrow.progress) {
            (true, _) => way.len() / 2,
            (_, Some(percent)) => (way.len() * percent.min(100) / 100).max(1),
            _ => way.len(),
        };
        let glyph = match arrow.shaft {
            Shaft::Single => theme.pick("─", "-"),
            Shaft::Double => theme.pick("═", "="),
            Shaft::Wave => "~",
            Shaft::Dotted => theme.pick("┄", "."),
        };
        for cell in way.iter().take(length) {
            row.put(*cell, glyph, arrow.role);
        }
        let head = match (is_right, arrow.shaft) {
            (true, Shaft::Dotted) => theme.pick("▷", ">"),
            (true, _) => theme.pick("▶", ">"),
            (false, Shaft::Dotted) => theme.pick("◁", "<"),
            (false, _) => theme.pick("◀", "<"),
        };
        match way.get(length.saturating_sub(1)) {
            Some(cell) if arrow.is_blocked => row.put(*cell, theme.pick("╳", "X"), Role::Bad),
            Some(cell) => row.put(*cell, head, arrow.role),
            None => {}
        }
        // Receivers on the way have a head of their own.
        for other in ends.iter().filter(|other| way.contains(other)) {
            row.put(if is_right { other - 1 } else { other + 1 }, head, arrow.role);
        }
        let room = length.saturating_sub(3);
        let label = cut(&arrow.label, room);
        if !label.is_empty() {
            let width = label.width() + 2;
            let start = if is_right { from + 2 } else { from.saturating_sub(1 + width) };
            row.put(start, &format!(" {label} "), arrow.role);
        }
        let left = way.len().saturating_sub(if label.is_empty() { 2 } else { label.width() + 5 });
        if !arrow.note.is_empty() && arrow.note.width() <= left {
            let start = if is_right { end - 1 - arrow.note.width() } else { end + 2 };
            row.put(start, &arrow.note, Role::Warning);
        }
    }
}

/// As many words of a label as fit whole.
fn cut(label: &str, width: usize) -> String {
    let mut shown = String::new();
    for word in label.split(' ') {
        let with = if shown.is_empty() { word.to_owned() } else { format!("{shown} {word}") };
        if with.width() > width {
            break;
        }
        shown = with;
    }
    shown
}

/// A row in the making, cell by cell.
struct Strip(Vec<(char, Role)>);

impl Strip {
    fn new(width: usize) -> Strip {
        Strip(vec![(' ', Role::Text); width])
    }

    /// What does not fit is left out; a wide character becomes a question mark, for it would move what follows.
    fn put(&mut self, start: usize, text: &str, role: Role) {
        let cells = self.0.iter_mut().skip(start);
        for (cell, character) in cells.zip(text.chars()) {
            *cell = (if character.width() == Some(1) { character } else { '?' }, role);
        }
    }

    fn into_text(self) -> Text {
        let mut text = Text::new();
        let mut piece = String::new();
        let mut role = Role::Text;
        for (character, of) in self.0 {
            if of != role && !piece.is_empty() {
                text.add(std::mem::take(&mut piece), role);
            }
            role = of;
            piece.push(character);
        }
        text.add(piece, role);
        text
    }
}
