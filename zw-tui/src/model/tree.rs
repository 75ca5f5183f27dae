//! The tree of one node, as far as it was opened: listings by path, and the rows they make.
//!
//! Invariants:
//! - A listing is read page by page, the next page only when the cursor comes near its end, goes to the end, or a filter
//!   looks through all of it.
//! - At most one question per listing, and one for a value, is on its way.
//! - A listing that fails keeps what it showed, and says that it is old; the node's next answer has it read again.
//! - What a key costs does not depend on how many children there are, but for the first look of a filter.

use super::matcher::Matcher;
use super::message::Effect;
pub use super::tree_rows::{Row, RowKind};
use super::tree_rows::{Rows, RowsOf};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use zw_core::ids::Zxid;
use zw_core::limits::CHILDREN_ASKED;
use zw_core::tree::command::Stat;
use zw_core::wire::client::ChildrenPage;

/// Children that one page asks for.
pub const PAGE_ROWS: u32 = CHILDREN_ASKED;
/// Rows between the cursor and the end of a listing at which the next page is fetched.
const PREFETCH_ROWS: usize = 100;
/// Open listings that are read again when the node applied something.
const REFRESH_MAX: usize = 64;
/// Rows that the view holds; further pages are not fetched.
const ROWS_MAX: usize = 1_000_000;
/// A movement that is longer goes to the end, wherever that turns out to be.
const TO_THE_END: i64 = i64::MAX / 4;
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
    filter: Option<Filter>,
    #[serde(skip)]
    rows: Rows,
    cursor: usize,
    /// Whether the cursor is on its way to the end, page by page.
    seeks_end: bool,
    value_wanted: bool,
    value_asked: bool,
    seen: Option<Zxid>,
}

/// The children of one znode, as far as they were read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Listing {
    /// In the order of their names.
    pub(super) children: Vec<(String, Stat)>,
    pub(super) stat: Stat,
    pub(super) more: bool,
    pub(super) asked: bool,
    /// Whether an answer ever came; one without children and changes is one too.
    #[serde(default)]
    pub(super) was_read: bool,
}

/// Shows of one znode's children only those whose names match.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Filter {
    pub(super) parent: String,
    matcher: Matcher,
    /// Their places among the children that were read.
    pub(super) matches: Vec<usize>,
}

/// What a filter found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Names that match.
    pub matches: usize,
    /// Names that were looked at.
    pub of: usize,
    /// Whether there are more to be read.
    pub more: bool,
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

impl Default for TreeView {
    fn default() -> TreeView {
        let mut view = TreeView {
            node: 0,
            error: None,
            value: None,
            open: BTreeSet::from(["/".to_owned()]),
            listings: BTreeMap::new(),
            filter: None,
            rows: Rows::default(),
            cursor: 0,
            seeks_end: false,
            value_wanted: false,
            value_asked: false,
            seen: None,
        };
        view.rebuild();
        view
    }
}

impl TreeView {
    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.count()
    }

    /// A line, counted from the root's.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<Row> {
        self.rows.row(index, &self.parts())
    }

    /// Lines from one on.
    pub fn window(&self, first: usize, rows: usize) -> impl Iterator<Item = Row> {
        (first..first.saturating_add(rows)).map_while(|index| self.row(index))
    }

    /// The line under the cursor.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// The znode under the cursor; for a line of unread children, their parent.
    #[must_use]
    pub fn selected(&self) -> String {
        self.row(self.cursor).map_or_else(|| "/".to_owned(), |row| row.path)
    }

    /// The znode under the cursor; none if the line is not one.
    #[must_use]
    pub fn selected_znode(&self) -> Option<String> {
        let row = self.row(self.cursor)?;
        matches!(row.kind, RowKind::Znode { .. }).then_some(row.path)
    }

    /// The znodes of a path's listing, as far as they were read, whose path begins with it.
    pub fn beginning_with(&self, path: &str) -> impl Iterator<Item = String> {
        let parent = parent_of(path).to_owned();
        let name = path.rsplit_once('/').map_or("", |(_, name)| name).to_owned();
        let children = self.listings.get(&parent).map_or(&[][..], |listing| &listing.children);
        let from = children.partition_point(|(child, _)| *child < name);
        let named = children[from..].iter().take_while(move |(child, _)| child.starts_with(&name));
        named.map(move |(child, _)| join(&parent, child))
    }

    /// After it was read back: makes what was not kept.
    pub(super) fn restore(&mut self) {
        // Of a view that was too large nothing is there to be filtered.
        self.filter.take_if(|filter| !self.listings.contains_key(&filter.parent) && !filter.matches.is_empty());
        self.rebuild();
    }

    /// Opens and selects what another view has open and selected, as far as this one knows it.
    pub(super) fn look_at(&mut self, other: &TreeView) {
        self.open = other.open.iter().filter(|path| self.listings.contains_key(*path)).cloned().collect();
        self.open.insert("/".to_owned());
        self.rebuild();
        self.select(&other.selected());
    }

    /// Shows another node's tree; what was open and selected stays so.
    pub fn show(&mut self, node: usize) {
        if self.node != node {
            self.node = node;
            self.ask_anew();
        }
    }

    /// Forgets what was read and asked; what was open and selected stays so.
    pub(super) fn ask_anew(&mut self) {
        let selected = self.selected();
        let (node, open) = (self.node, std::mem::take(&mut self.open));
        *self = TreeView { node, open, ..TreeView::default() };
        self.rebuild();
        self.select(&selected);
    }

    /// Whose children a filter would look through: those of the open znode under the cursor, else those beside it.
    #[must_use]
    pub fn filterable(&self) -> String {
        match self.row(self.cursor) {
            Some(Row { path, kind: RowKind::Znode { is_open: true, .. } | RowKind::Unread { .. }, .. }) => path,
            Some(row) => parent_of(&row.path).to_owned(),
            None => "/".to_owned(),
        }
    }

    /// What the filter found, if there is one.
    #[must_use]
    pub fn found(&self) -> Option<(String, Found)> {
        let filter = self.filter.as_ref()?;
        let listing = self.listings.get(&filter.parent);
        let (of, more) = listing.map_or((0, false), |listing| (listing.children.len(), listing.more));
        Some((filter.matcher.text(), Found { matches: filter.matches.len(), of, more }))
    }

    /// Shows of the children of `parent` only those that match; all of them without a matcher. Unread ones are read.
    pub fn set_filter(&mut self, parent: &str, matcher: Option<Matcher>) -> Vec<Effect> {
        let selected = self.selected();
        let old = self.filter.take();
        if let Some(matcher) = matcher {
            let listing = self.listings.get(parent);
            let names = listing.map_or(&[][..], |listing| &listing.children);
            let is_match = |at: &usize| matcher.is_match(&names[*at].0);
            let matches = match old {
                Some(old) if old.parent == parent && matcher.narrows(&old.matcher) => {
                    old.matches.into_iter().filter(is_match).collect()
                }
                _ => (0..names.len()).filter(is_match).collect(),
            };
            self.filter = Some(Filter { parent: parent.to_owned(), matcher, matches });
        }
        self.rebuild();
        self.select(&selected);
        if let Some(filter) = self.filter.as_ref()
            && self.selected_znode().is_none_or(|path| path == filter.parent)
            && !filter.matches.is_empty()
        {
            let parent = filter.parent.clone();
            self.select(&parent);
            return self.move_to(self.cursor + 1);
        }
        self.move_to(self.cursor)
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

    /// Moves the cursor by `rows`, stopping at the ends; a far end is read page by page.
    pub fn move_by(&mut self, rows: i64) -> Vec<Effect> {
        let last = self.count().saturating_sub(1);
        let to = i64::try_from(self.cursor).unwrap_or(i64::MAX).saturating_add(rows).max(0);
        let to = usize::try_from(to).unwrap_or(0).min(last);
        self.seeks_end = rows > TO_THE_END;
        self.put_cursor(to)
    }

    /// Moves the cursor to a line.
    pub fn move_to(&mut self, row: usize) -> Vec<Effect> {
        self.seeks_end = false;
        self.put_cursor(row)
    }

    fn put_cursor(&mut self, row: usize) -> Vec<Effect> {
        self.cursor = row.min(self.count().saturating_sub(1));
        self.value_wanted = true;
        let mut effects = self.ask_value();
        effects.extend(self.read_ahead());
        effects
    }

    /// Opens the znode under the cursor.
    pub fn unfold(&mut self) -> Vec<Effect> {
        match self.row(self.cursor) {
            Some(Row { path, kind: RowKind::Znode { is_open: false, .. }, .. }) => {
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
        match self.row(self.cursor) {
            Some(Row { path, kind: RowKind::Znode { is_open: true, .. }, .. }) => {
                self.open.remove(&path);
                self.rebuild();
                Vec::new()
            }
            Some(row) => {
                let parent = match row.kind {
                    RowKind::Znode { .. } => parent_of(&row.path).to_owned(),
                    RowKind::Unread { .. } => row.path,
                };
                self.select(&parent);
                self.move_to(self.cursor)
            }
            None => Vec::new(),
        }
    }

    /// Opens or closes the znode under the cursor.
    pub fn toggle(&mut self) -> Vec<Effect> {
        match self.row(self.cursor).map(|row| row.kind) {
            Some(RowKind::Znode { is_open: true, .. }) => self.fold(),
            _ => self.unfold(),
        }
    }

    /// Takes a page of children, or the reason why there is none.
    pub fn take_children(&mut self, path: &str, after: &str, result: Result<ChildrenPage, String>) -> Vec<Effect> {
        // On a line of unread children the cursor stays where it is: what was read takes that place.
        let selected = self.selected_znode();
        let Some(listing) = self.listings.get_mut(path) else { return Vec::new() };
        listing.asked = false;
        // What failed at once would fail at once again, and again: a key or a change asks anew.
        let goes_on = result.is_ok();
        match result {
            Ok(page) => {
                if after.is_empty() {
                    listing.children.clear();
                }
                // A page of nothing would be asked for again and again.
                listing.more = page.more && !page.names.is_empty();
                let known = listing.children.len();
                let stats = page.stats.into_iter().chain(std::iter::repeat(Stat::default()));
                listing.children.extend(page.names.into_iter().zip(stats));
                listing.stat = page.stat;
                listing.was_read = true;
                if let Some(filter) = self.filter.as_mut().filter(|filter| filter.parent == path) {
                    filter.matches.retain(|at| *at < known);
                    let news = listing.children.iter().enumerate().skip(known);
                    let matches = news.filter(|(_, (name, _))| filter.matcher.is_match(name));
                    filter.matches.extend(matches.map(|(at, _)| at));
                }
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
                self.seeks_end = false;
            }
        }
        self.rebuild();
        match &selected {
            _ if self.seeks_end => self.cursor = self.count() - 1,
            Some(selected) => self.select(selected),
            None => {}
        }
        let now_selected = self.selected_znode();
        self.value_wanted |= now_selected.is_some() && now_selected != selected;
        let mut effects = self.ask_value();
        if goes_on {
            effects.extend(self.read_ahead());
        }
        effects
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
        // The lines follow from the listings at any time: so a view that is read back shows the same.
        self.rebuild();
        Some(Effect::Children { node: self.node, path: path.to_owned(), after })
    }

    fn ask_value(&mut self) -> Vec<Effect> {
        if self.value_asked || !std::mem::take(&mut self.value_wanted) {
            return Vec::new();
        }
        let Some(path) = self.selected_znode() else { return Vec::new() };
        self.value_asked = true;
        vec![Effect::Value { node: self.node, path }]
    }

    /// Asks for the next page if the cursor is near unread children, or a filter wants them.
    fn read_ahead(&mut self) -> Vec<Effect> {
        let near = || self.rows.unread_within(self.cursor, PREFETCH_ROWS).map(str::to_owned);
        let wanted = self.filter.as_ref().map(|filter| filter.parent.clone());
        let wanted = wanted.filter(|parent| self.listings.get(parent).is_some_and(|listing| listing.more));
        let held: usize = self.listings.values().map(|listing| listing.children.len()).sum();
        let Some(path) = wanted.or_else(near).filter(|_| held < ROWS_MAX) else { return Vec::new() };
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
            if let Some(row) = self.rows.find(path, &self.parts()) {
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

    fn parts(&self) -> RowsOf<'_> {
        RowsOf { open: &self.open, listings: &self.listings, filter: self.filter.as_ref() }
    }

    fn rebuild(&mut self) {
        self.rows = Rows::of(&self.parts());
        self.cursor = self.cursor.min(self.count() - 1);
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
#[path = "tree_tests.rs"]
mod tests;
