//! The lines of a tree, without a copy of what they show: runs of closed znodes, open ones, and unread ones.
//!
//! Invariant: making them costs as much as there are open znodes, not as there are children.

use super::tree::{Filter, Listing, join, name_of, parent_of};
use std::collections::{BTreeMap, BTreeSet};
use zw_core::tree::command::Stat;

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The znode; for a line that stands for unread children, their parent.
    pub path: String,
    /// How deep below the root.
    pub depth: usize,
    /// What it is.
    pub kind: RowKind,
}

/// What a line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A znode.
    Znode {
        /// Its Stat, if it was read.
        stat: Option<Stat>,
        /// Whether its children are shown.
        is_open: bool,
    },
    /// Children that were not read yet.
    Unread {
        /// How many; none if not even that is known.
        count: Option<usize>,
    },
}

/// What the lines are made of.
pub(super) struct RowsOf<'a> {
    pub(super) open: &'a BTreeSet<String>,
    pub(super) listings: &'a BTreeMap<String, Listing>,
    pub(super) filter: Option<&'a Filter>,
}

impl RowsOf<'_> {
    /// The places of the shown children among those that were read; none for all.
    fn matches(&self, parent: &str) -> Option<&[usize]> {
        self.filter.filter(|filter| filter.parent == parent).map(|filter| &filter.matches[..])
    }

    /// The place of a child among those that are shown.
    fn place(&self, parent: &str, name: &str) -> Option<usize> {
        let children = &self.listings.get(parent)?.children;
        let at = children.binary_search_by(|(child, _)| child.as_str().cmp(name)).ok()?;
        match self.matches(parent) {
            Some(matches) => matches.binary_search(&at).ok(),
            None => Some(at),
        }
    }

    /// The child at a place.
    fn child(&self, parent: &str, place: usize) -> Option<&(String, Stat)> {
        let at = match self.matches(parent) {
            Some(matches) => *matches.get(place)?,
            None => place,
        };
        self.listings.get(parent)?.children.get(at)
    }
}

/// Consecutive lines of one kind.
#[derive(Clone, Debug)]
struct Piece {
    /// The first of them.
    first: usize,
    depth: usize,
    kind: PieceKind,
}

#[derive(Clone, Debug)]
enum PieceKind {
    /// An open znode, or the root.
    Znode { path: String, stat: Option<Stat>, is_open: bool },
    /// Closed children, from this place on.
    Closed { parent: String, from: usize },
    /// Children that were not read.
    Unread { parent: String, count: Option<usize> },
}

/// The lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pieces: Vec<Piece>,
    count: usize,
}

impl Rows {
    /// Makes them.
    pub(super) fn of(parts: &RowsOf<'_>) -> Rows {
        let mut rows = Rows::default();
        let stat = parts.listings.get("/").map(|listing| listing.stat).filter(|stat| *stat != Stat::default());
        rows.add(parts, "/".to_owned(), 0, stat);
        rows
    }

    fn push(&mut self, depth: usize, kind: PieceKind, lines: usize) {
        if lines > 0 {
            self.pieces.push(Piece { first: self.count, depth, kind });
            self.count += lines;
        }
    }

    fn add(&mut self, parts: &RowsOf<'_>, path: String, depth: usize, stat: Option<Stat>) {
        let is_open = parts.open.contains(&path);
        self.push(depth, PieceKind::Znode { path: path.clone(), stat, is_open }, 1);
        if !is_open {
            return;
        }
        let Some(listing) = parts.listings.get(&path).filter(|listing| listing.was_read) else {
            return self.push(depth + 1, PieceKind::Unread { parent: path, count: None }, 1);
        };
        let shown = parts.matches(&path).map_or(listing.children.len(), <[usize]>::len);
        let prefix = join(&path, "");
        let below = parts.open.range(prefix.clone()..).take_while(|open| open.starts_with(&prefix));
        let open = below.filter(|open| *open != "/" && parent_of(open) == path);
        let mut open: Vec<usize> = open.filter_map(|open| parts.place(&path, name_of(open))).collect();
        open.sort_unstable();
        let mut from = 0;
        for place in open {
            self.push(depth + 1, PieceKind::Closed { parent: path.clone(), from }, place - from);
            if let Some((name, stat)) = parts.child(&path, place) {
                self.add(parts, join(&path, name), depth + 1, Some(*stat));
            }
            from = place + 1;
        }
        self.push(depth + 1, PieceKind::Closed { parent: path.clone(), from }, shown - from);
        let is_unread = listing.more || (listing.asked && listing.children.is_empty() && listing.stat.num_children > 0);
        if is_unread {
            let total = usize::try_from(listing.stat.num_children).unwrap_or(usize::MAX);
            let count = Some(total.saturating_sub(listing.children.len()));
            self.push(depth + 1, PieceKind::Unread { parent: path, count }, 1);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn piece_of(&self, index: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.first <= index);
        self.pieces.get(after.checked_sub(1)?).filter(|_| index < self.count)
    }

    /// One line.
    pub(super) fn row(&self, index: usize, parts: &RowsOf<'_>) -> Option<Row> {
        let piece = self.piece_of(index)?;
        let (path, kind) = match &piece.kind {
            PieceKind::Znode { path, stat, is_open } => {
                (path.clone(), RowKind::Znode { stat: *stat, is_open: *is_open })
            }
            PieceKind::Closed { parent, from } => {
                let (name, stat) = parts.child(parent, from + index - piece.first)?;
                (join(parent, name), RowKind::Znode { stat: Some(*stat), is_open: false })
            }
            PieceKind::Unread { parent, count } => (parent.clone(), RowKind::Unread { count: *count }),
        };
        Some(Row { path, depth: piece.depth, kind })
    }

    /// The line of a znode.
    pub(super) fn find(&self, path: &str, parts: &RowsOf<'_>) -> Option<usize> {
        let place = parts.place(parent_of(path), name_of(path));
        self.pieces.iter().enumerate().find_map(|(index, piece)| match &piece.kind {
            PieceKind::Znode { path: open, .. } if open == path => Some(piece.first),
            PieceKind::Closed { parent, from } if path != "/" && parent == parent_of(path) => {
                let end = self.pieces.get(index + 1).map_or(self.count, |next| next.first);
                let row = piece.first + place?.checked_sub(*from)?;
                (row < end).then_some(row)
            }
            _ => None,
        })
    }

    /// The parent of the first unread children among so many lines from one on.
    pub(super) fn unread_within(&self, first: usize, lines: usize) -> Option<&str> {
        let from = self.pieces.partition_point(|piece| piece.first < first);
        let near = self.pieces[from..].iter().take_while(|piece| piece.first < first + lines);
        near.clone().find_map(|piece| match &piece.kind {
            // What was never read is asked for when it is opened, and again when the node has answered.
            PieceKind::Unread { parent, count: Some(_) } => Some(parent.as_str()),
            _ => None,
        })
    }
}
