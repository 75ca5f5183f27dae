//! The tree of one node, as far as it was opened: listings by path, and the rows they make.
//!
//! Invariants:
//! - A listing is read page by page, the next page only when the cursor comes near its end.
//! - At most one question per listing, and one for a value, is on its way.
//! - A listing that fails keeps what it showed, and says that it is old; the node's next answer has it read again.

use super::message::Effect;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use zw_core::ids::Zxid;
use zw_core::tree::command::Stat;
use zw_core::wire::client::ChildrenPage;

/// Children that one page asks for.
pub const PAGE_ROWS: u32 = 1_000;
/// Rows between the cursor and the end of a listing at which the next page is fetched.
const PREFETCH_ROWS: usize = 100;
/// Open listings that are read again when the node applied something.
const REFRESH_MAX: usize = 64;
/// Rows that the view holds; further pages are not fetched.
const ROWS_MAX: usize = 1_000_000;
/// Children that are kept for the past; of a larger view only what was open and selected is.
const CHILDREN_KEPT_MAX: usize = 10_000;

/// The view of one node's tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeView {
    /// Whose tree, from 0.
    pub node: usize,
    /// Why the newest question failed, if it did.
    pub error: Option<String>,
    /// The value at the cursor.
    pub value: Option<Value>,
    open: BTreeSet<String>,
    #[serde(serialize_with = "unless_too_many")]
    listings: BTreeMap<String, Listing>,
    #[serde(serialize_with = "rows_unless_too_many")]
    rows: Vec<Row>,
    cursor: usize,
    value_wanted: bool,
    value_asked: bool,
    seen: Option<Zxid>,
}

/// The children of one znode, as far as they were read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Listing {
    children: Vec<(String, Stat)>,
    stat: Stat,
    more: bool,
    asked: bool,
}

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The znode; for a line that stands for unread children, their parent.
    pub path: String,
    /// How deep below the root.
    pub depth: usize,
    /// What it is.
    pub kind: RowKind,
}

/// What a line stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a znode holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The znode.
    pub path: String,
    /// Its data and Stat, or why they are not known.
    pub content: Result<(Bytes, Stat), String>,
}

fn unless_too_many<S: Serializer>(listings: &BTreeMap<String, Listing>, serializer: S) -> Result<S::Ok, S::Error> {
    let children: usize = listings.values().map(|listing| listing.children.len()).sum();
    if children > CHILDREN_KEPT_MAX {
        BTreeMap::<String, Listing>::new().serialize(serializer)
    } else {
        listings.serialize(serializer)
    }
}

fn rows_unless_too_many<S: Serializer>(rows: &[Row], serializer: S) -> Result<S::Ok, S::Error> {
    if rows.len() > CHILDREN_KEPT_MAX { Vec::<Row>::new().serialize(serializer) } else { rows.serialize(serializer) }
}

impl Default for TreeView {
    fn default() -> TreeView {
        let mut view = TreeView {
            node: 0,
            error: None,
            value: None,
            open: BTreeSet::from(["/".to_owned()]),
            listings: BTreeMap::new(),
            rows: Vec::new(),
            cursor: 0,
            value_wanted: false,
            value_asked: false,
            seen: None,
        };
        view.rebuild();
        view
    }
}

impl TreeView {
    /// The lines, from the root.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The line under the cursor.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// The znode under the cursor.
    #[must_use]
    pub fn selected(&self) -> &str {
        self.rows.get(self.cursor).map_or("/", |row| row.path.as_str())
    }

    /// After it was read back: makes what was not kept.
    pub(super) fn restore(&mut self) {
        if self.rows.is_empty() {
            self.rebuild();
        }
    }

    /// Opens and selects what another view has open and selected, as far as this one knows it.
    pub(super) fn look_at(&mut self, other: &TreeView) {
        self.open = other.open.iter().filter(|path| self.listings.contains_key(*path)).cloned().collect();
        self.open.insert("/".to_owned());
        self.rebuild();
        self.select(other.selected());
    }

    /// Shows another node's tree; what was open and selected stays so.
    pub fn show(&mut self, node: usize) {
        if self.node != node {
            let selected = self.selected().to_owned();
            let open = std::mem::take(&mut self.open);
            *self = TreeView { node, open, ..TreeView::default() };
            self.rebuild();
            self.select(&selected);
        }
    }

    /// The node applied entries up to `zxid`: what is shown may be old. Gives the questions to ask.
    pub fn refresh(&mut self, zxid: Zxid) -> Vec<Effect> {
        if self.seen == Some(zxid) || self.listings.values().any(|listing| listing.asked) {
            return Vec::new();
        }
        self.seen = Some(zxid);
        self.refresh_now()
    }

    /// The node begins a new life: what is shown is old until it answers.
    pub fn begin_life(&mut self) {
        self.seen = None;
        self.error = None;
    }

    /// Reads again all that is shown.
    pub fn refresh_now(&mut self) -> Vec<Effect> {
        let shown: Vec<String> = self.open.iter().filter(|path| self.is_visible(path)).cloned().collect();
        let mut effects = Vec::new();
        for path in shown.into_iter().take(REFRESH_MAX) {
            // A long listing would lose its place; it is read again when it is opened again.
            if self.listings.get(&path).is_none_or(|listing| listing.children.len() <= PAGE_ROWS as usize) {
                effects.extend(self.ask(&path, String::new()));
            }
        }
        self.value_wanted = true;
        effects.extend(self.ask_value());
        effects
    }

    /// Moves the cursor by `rows`, stopping at the ends.
    pub fn move_by(&mut self, rows: i64) -> Vec<Effect> {
        let last = self.rows.len().saturating_sub(1);
        let to = i64::try_from(self.cursor).unwrap_or(i64::MAX).saturating_add(rows).max(0);
        self.move_to(usize::try_from(to).unwrap_or(0).min(last))
    }

    /// Moves the cursor to a line.
    pub fn move_to(&mut self, row: usize) -> Vec<Effect> {
        self.cursor = row.min(self.rows.len().saturating_sub(1));
        self.value_wanted = true;
        let mut effects = self.ask_value();
        effects.extend(self.read_ahead());
        effects
    }

    /// Opens the znode under the cursor.
    pub fn unfold(&mut self) -> Vec<Effect> {
        match self.rows.get(self.cursor) {
            Some(Row { path, kind: RowKind::Znode { is_open: false, .. }, .. }) => {
                let path = path.clone();
                self.open.insert(path.clone());
                let effects = self.ask(&path, String::new());
                self.rebuild();
                effects.into_iter().collect()
            }
            Some(_) => self.move_by(1),
            None => Vec::new(),
        }
    }

    /// Closes the znode under the cursor, or goes to its parent.
    pub fn fold(&mut self) -> Vec<Effect> {
        match self.rows.get(self.cursor) {
            Some(Row { path, kind: RowKind::Znode { is_open: true, .. }, .. }) => {
                self.open.remove(&path.clone());
                self.rebuild();
                Vec::new()
            }
            Some(row) => {
                let parent = match row.kind {
                    RowKind::Znode { .. } => parent_of(&row.path).to_owned(),
                    RowKind::Unread { .. } => row.path.clone(),
                };
                self.select(&parent);
                self.move_to(self.cursor)
            }
            None => Vec::new(),
        }
    }

    /// Opens or closes the znode under the cursor.
    pub fn toggle(&mut self) -> Vec<Effect> {
        match self.rows.get(self.cursor).map(|row| &row.kind) {
            Some(RowKind::Znode { is_open: true, .. }) => self.fold(),
            _ => self.unfold(),
        }
    }

    /// Takes a page of children, or the reason why there is none.
    pub fn take_children(&mut self, path: &str, after: &str, result: Result<ChildrenPage, String>) -> Vec<Effect> {
        let selected = self.selected().to_owned();
        let Some(listing) = self.listings.get_mut(path) else { return Vec::new() };
        listing.asked = false;
        match result {
            Ok(page) => {
                if after.is_empty() {
                    listing.children.clear();
                }
                let stats = page.stats.into_iter().chain(std::iter::repeat(Stat::default()));
                listing.children.extend(page.names.into_iter().zip(stats));
                listing.stat = page.stat;
                listing.more = page.more;
                self.error = None;
            }
            Err(reason) => {
                // A znode that was deleted is not open any more; the root always is.
                if listing.children.is_empty() && path != "/" {
                    self.listings.remove(path);
                    self.open.remove(path);
                }
                self.error = Some(reason);
                self.seen = None;
            }
        }
        self.rebuild();
        self.select(&selected);
        self.read_ahead()
    }

    /// Takes a value; asks again if the cursor has moved on since.
    pub fn take_value(&mut self, path: String, content: Result<(Bytes, Stat), String>) -> Vec<Effect> {
        self.value_asked = false;
        if content.is_err() {
            self.seen = None;
        }
        if path == self.selected() {
            self.value = Some(Value { path, content });
        }
        self.ask_value()
    }

    fn ask(&mut self, path: &str, after: String) -> Option<Effect> {
        let listing = self.listings.entry(path.to_owned()).or_default();
        if std::mem::replace(&mut listing.asked, true) {
            return None;
        }
        Some(Effect::Children { node: self.node, path: path.to_owned(), after })
    }

    fn ask_value(&mut self) -> Vec<Effect> {
        if self.value_asked || !std::mem::take(&mut self.value_wanted) {
            return Vec::new();
        }
        self.value_asked = true;
        vec![Effect::Value { node: self.node, path: self.selected().to_owned() }]
    }

    /// Asks for the next page if the cursor is near unread children.
    fn read_ahead(&mut self) -> Vec<Effect> {
        let near = self.rows.iter().skip(self.cursor).take(PREFETCH_ROWS);
        let unread = near.filter(|row| matches!(row.kind, RowKind::Unread { .. })).map(|row| row.path.clone()).next();
        let Some(path) = unread.filter(|_| self.rows.len() < ROWS_MAX) else { return Vec::new() };
        let after = self.listings.get(&path).and_then(|listing| listing.children.last()).map(|(name, _)| name.clone());
        self.ask(&path, after.unwrap_or_default()).into_iter().collect()
    }

    fn is_visible(&self, path: &str) -> bool {
        let mut path = path;
        while path != "/" {
            path = parent_of(path);
            if !self.open.contains(path) {
                return false;
            }
        }
        true
    }

    fn select(&mut self, path: &str) {
        let mut path = path;
        loop {
            if let Some(row) = self.rows.iter().position(|row| row.path == path) {
                self.cursor = row;
                return;
            }
            if path == "/" {
                self.cursor = 0;
                return;
            }
            path = parent_of(path);
        }
    }

    fn rebuild(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let stat = self.listings.get("/").map(|listing| listing.stat).filter(|stat| *stat != Stat::default());
        self.add_rows(&mut rows, "/".to_owned(), 0, stat);
        self.rows = rows;
        self.cursor = self.cursor.min(self.rows.len() - 1);
    }

    fn add_rows(&self, rows: &mut Vec<Row>, path: String, depth: usize, stat: Option<Stat>) {
        let is_open = self.open.contains(&path);
        rows.push(Row { path: path.clone(), depth, kind: RowKind::Znode { stat, is_open } });
        if !is_open {
            return;
        }
        let Some(listing) = self.listings.get(&path) else {
            rows.push(Row { path, depth: depth + 1, kind: RowKind::Unread { count: None } });
            return;
        };
        for (name, stat) in &listing.children {
            self.add_rows(rows, join(&path, name), depth + 1, Some(*stat));
        }
        let is_unread = listing.more || (listing.asked && listing.children.is_empty() && listing.stat.num_children > 0);
        if is_unread {
            let total = usize::try_from(listing.stat.num_children).unwrap_or(usize::MAX);
            let count = Some(total.saturating_sub(listing.children.len()));
            rows.push(Row { path, depth: depth + 1, kind: RowKind::Unread { count } });
        }
    }
}

/// The path of a child.
#[must_use]
pub fn join(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// The path of the parent; of the root, the root.
#[must_use]
pub fn parent_of(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// The last part of a path; of the root, `/`.
#[must_use]
pub fn name_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name,
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: std::ops::Range<u32>, total: u32) -> ChildrenPage {
        let stat = Stat { num_children: total, ..Stat::default() };
        let more = names.end < total;
        let names: Vec<String> = names.map(|number| format!("z{number:06}")).collect();
        ChildrenPage { stats: vec![Stat::default(); names.len()], names, stat, more }
    }

    fn open_root(total: u32) -> TreeView {
        let mut view = TreeView::default();
        let effects = view.refresh(Zxid(1));
        assert!(effects.contains(&Effect::Children { node: 0, path: "/".into(), after: String::new() }));
        assert!(effects.contains(&Effect::Value { node: 0, path: "/".into() }));
        view.take_children("/", "", Ok(page(0..total.min(PAGE_ROWS), total)));
        view
    }

    #[test]
    fn opening_reads_and_closing_hides() {
        let mut view = open_root(3);
        assert_eq!(view.rows().len(), 4);
        view.move_by(2);
        assert_eq!(view.selected(), "/z000001");
        let effects = view.unfold();
        assert_eq!(effects, [Effect::Children { node: 0, path: "/z000001".into(), after: String::new() }]);
        view.take_children("/z000001", "", Ok(page(0..2, 2)));
        assert_eq!(view.rows().len(), 6);
        assert_eq!(view.rows()[3].path, "/z000001/z000000");
        view.move_by(1);
        view.fold();
        assert_eq!(view.selected(), "/z000001", "a leaf's fold goes to its parent");
        view.fold();
        assert_eq!(view.rows().len(), 4);
    }

    #[test]
    fn a_long_listing_is_read_page_by_page() {
        let mut view = open_root(2_500);
        assert_eq!(view.rows().len(), 1 + 1_000 + 1);
        assert!(view.move_by(10).iter().all(|effect| matches!(effect, Effect::Value { .. })), "far from the end");
        let effects = view.move_by(i64::MAX);
        assert!(effects.contains(&Effect::Children { node: 0, path: "/".into(), after: "z000999".into() }));
        assert!(view.move_by(-1).is_empty(), "one question at a time");
        view.take_children("/", "z000999", Ok(page(1_000..2_000, 2_500)));
        assert_eq!(view.rows().len(), 1 + 2_000 + 1);
        assert!(matches!(view.rows().last().unwrap().kind, RowKind::Unread { count: Some(500) }));
    }

    #[test]
    fn the_selection_survives_a_refresh_and_another_node() {
        let mut view = open_root(5);
        view.move_by(4);
        view.refresh(Zxid(2));
        view.take_children("/", "", Ok(page(2..5, 5)));
        assert_eq!(view.selected(), "/z000003");
        view.show(2);
        assert_eq!(view.selected(), "/", "nothing of the other node is known yet");
        view.refresh(Zxid(2));
        view.take_children("/", "", Ok(page(0..5, 5)));
        assert_eq!(view.rows().len(), 6);
    }

    #[test]
    fn a_failure_keeps_what_was_shown() {
        let mut view = open_root(3);
        view.refresh(Zxid(2));
        view.take_children("/", "", Err("no answer".into()));
        assert_eq!((view.rows().len(), view.error.as_deref()), (4, Some("no answer")));
        view.refresh(Zxid(3));
        view.take_children("/", "", Ok(page(0..3, 3)));
        assert_eq!(view.error, None);
    }

    #[test]
    fn what_failed_is_read_again_with_the_next_answer() {
        let mut view = open_root(3);
        view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
        assert!(view.refresh(Zxid(1)).is_empty(), "nothing happened");
        view.refresh_now();
        view.take_children("/", "", Err("the server closed the connection".into()));
        view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
        assert_eq!(view.refresh(Zxid(1)).len(), 2, "the node has applied nothing since, and answers");
        view.take_children("/", "", Ok(page(0..4, 4)));
        assert_eq!((view.rows().len(), view.error.as_deref()), (5, None));
        view.take_value("/".into(), Err("no answer".into()));
        assert!(view.refresh(Zxid(1)).contains(&Effect::Value { node: 0, path: "/".into() }));
    }

    #[test]
    fn a_value_of_a_row_that_was_left_is_not_shown() {
        let mut view = open_root(3);
        view.move_by(1);
        let effects = view.take_value("/".into(), Ok((Bytes::new(), Stat::default())));
        assert_eq!(view.value, None);
        assert_eq!(effects, [Effect::Value { node: 0, path: "/z000000".into() }]);
    }
}
