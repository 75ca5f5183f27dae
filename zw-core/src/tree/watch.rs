//! The watches of one node's connections: which event goes to whom.
//!
//! Watches are local: they belong to a connection of this node and go with it. The rules are ZooKeeper's:
//!
//! | watch | fires on |
//! |---|---|
//! | data, exists | Created, Deleted, DataChanged of the znode; once |
//! | children | ChildrenChanged, Deleted of the znode; once |
//! | persistent | all four of the znode |
//! | recursive | Created, Deleted, DataChanged of the znode and all below it |
//!
//! Invariants:
//! - An event goes to a connection once, however many of its watches match.
//! - A one-shot watch is gone with the event that it fired for; the others stay.
//! - Each connection holds at most [`WATCHES_PER_CONNECTION_MAX`] watches.

use super::command::{EventKind, TreeError, TreeEvent};
use super::{Tree, path};
use crate::ids::{ConnectionId, Zxid};
use crate::limits::WATCHES_PER_CONNECTION_MAX;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kinds of watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchKind {
    /// One-shot, from reading data: on a znode that is there.
    Data,
    /// One-shot, from asking for existence.
    Exists,
    /// One-shot, from listing children.
    Children,
    /// Stays, on one znode.
    Persistent,
    /// Stays, on a znode and all below.
    Recursive,
}

/// The kinds of watch that one connection has on one path, as bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Kinds(u8);

const DATA: u8 = 1;
const CHILDREN: u8 = 2;
const PERSISTENT: u8 = 4;
const RECURSIVE: u8 = 8;

/// See the module.
#[derive(Default)]
pub struct Watches {
    by_path: BTreeMap<Arc<str>, BTreeMap<ConnectionId, Kinds>>,
    /// Each path that a connection watches, for its end.
    by_connection: BTreeMap<ConnectionId, Held>,
    len: usize,
    recursive: usize,
}

#[derive(Default)]
struct Held {
    /// Paths, each with the number of its watches that count towards the limit.
    paths: BTreeMap<Arc<str>, usize>,
    watches: usize,
}

impl Watches {
    /// No watches.
    #[must_use]
    pub fn new() -> Watches {
        Watches::default()
    }

    /// How many watches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many watches a connection has.
    #[must_use]
    pub fn count(&self, connection: ConnectionId) -> usize {
        self.by_connection.get(&connection).map_or(0, |held| held.watches)
    }

    /// Leaves a one-shot watch on data.
    ///
    /// # Errors
    /// See [`Watches::add`].
    pub fn add_data(&mut self, connection: ConnectionId, path: &str) -> Result<(), TreeError> {
        self.add(connection, path, WatchKind::Data)
    }

    /// Leaves a one-shot watch on existence.
    ///
    /// # Errors
    /// See [`Watches::add`].
    pub fn add_exists(&mut self, connection: ConnectionId, path: &str) -> Result<(), TreeError> {
        self.add(connection, path, WatchKind::Exists)
    }

    /// Leaves a one-shot watch on the list of children.
    ///
    /// # Errors
    /// See [`Watches::add`].
    pub fn add_children(&mut self, connection: ConnectionId, path: &str) -> Result<(), TreeError> {
        self.add(connection, path, WatchKind::Children)
    }

    /// Adds a watch that stays.
    ///
    /// # Errors
    /// See [`Watches::add`].
    pub fn add_persistent(&mut self, connection: ConnectionId, path: &str, recursive: bool) -> Result<(), TreeError> {
        self.add(connection, path, if recursive { WatchKind::Recursive } else { WatchKind::Persistent })
    }

    /// Adds a watch. One that is there already is not added again.
    ///
    /// # Errors
    /// The path cannot be one, or the connection has as many watches as it may have.
    pub fn add(&mut self, connection: ConnectionId, path: &str, kind: WatchKind) -> Result<(), TreeError> {
        path::validate_lookup(path)?;
        let bit = bit(kind);
        if self.kinds(connection, path).has(bit) {
            return Ok(());
        }
        if self.count(connection) >= WATCHES_PER_CONNECTION_MAX {
            let text = format!("this connection has {WATCHES_PER_CONNECTION_MAX} watches already; remove some");
            return Err(TreeError::Invalid(text));
        }
        let path = self.by_path.get_key_value(path).map_or_else(|| Arc::from(path), |(path, _)| Arc::clone(path));
        self.by_path.entry(Arc::clone(&path)).or_default().entry(connection).or_default().0 |= bit;
        let held = self.by_connection.entry(connection).or_default();
        *held.paths.entry(path).or_default() += 1;
        held.watches += 1;
        self.len += 1;
        self.recursive += usize::from(bit == RECURSIVE);
        Ok(())
    }

    /// Removes all watches of a connection on a path; gives back how many those were.
    pub fn remove(&mut self, connection: ConnectionId, path: &str) -> usize {
        self.take(connection, path, u8::MAX)
    }

    /// Removes the watches of some kinds that a connection has on a path; gives back how many those were. Data and
    /// existence watches are one kind, as with ZooKeeper.
    pub fn remove_kinds(&mut self, connection: ConnectionId, path: &str, kinds: &[WatchKind]) -> usize {
        self.take(connection, path, kinds.iter().fold(0, |bits, kind| bits | bit(*kind)))
    }

    /// Whether a connection has a watch of one of these kinds on a path.
    #[must_use]
    pub fn has(&self, connection: ConnectionId, path: &str, kinds: &[WatchKind]) -> bool {
        let found = self.kinds(connection, path);
        kinds.iter().any(|kind| found.has(bit(*kind)))
    }

    /// Removes all watches of a connection.
    pub fn remove_connection(&mut self, connection: ConnectionId) {
        let Some(held) = self.by_connection.get(&connection) else { return };
        let paths: Vec<Arc<str>> = held.paths.keys().cloned().collect();
        for path in paths {
            self.take(connection, &path, u8::MAX);
        }
    }

    /// The connections that an event goes to, ascending, each once. The one-shot watches that fire are gone.
    pub fn fire(&mut self, event: &TreeEvent) -> Vec<ConnectionId> {
        let (once, stays) = match event.kind {
            EventKind::Created | EventKind::DataChanged => (DATA, PERSISTENT | RECURSIVE),
            EventKind::Deleted => (DATA | CHILDREN, PERSISTENT | RECURSIVE),
            EventKind::ChildrenChanged => (CHILDREN, PERSISTENT),
        };
        let matching = |watchers: &BTreeMap<ConnectionId, Kinds>, bits: u8| -> Vec<ConnectionId> {
            watchers.iter().filter(|(_, kinds)| kinds.has(bits)).map(|(connection, _)| *connection).collect()
        };
        let path = event.path.as_str();
        let mut connections =
            self.by_path.get(path).map(|watchers| matching(watchers, once | stays)).unwrap_or_default();
        for connection in &connections {
            self.take(*connection, path, once);
        }
        if stays & RECURSIVE != 0 && self.recursive > 0 {
            let mut below = path;
            while below != path::ROOT {
                below = path::parent(below);
                connections.extend(self.by_path.get(below).into_iter().flat_map(|found| matching(found, RECURSIVE)));
            }
            connections.sort_unstable();
            connections.dedup();
        }
        connections
    }

    /// Arms a client's watches on its new connection. Those that would have fired since `seen` are spent instead; gives
    /// their events, in the order of their entries and each once. See [`missed`].
    ///
    /// # Errors
    /// The first of the watches that cannot be armed; the others are.
    pub fn rearm<'a>(
        &mut self,
        tree: &Tree,
        connection: ConnectionId,
        seen: Zxid,
        watches: impl Iterator<Item = (WatchKind, &'a str)>,
    ) -> (Vec<TreeEvent>, Result<(), TreeError>) {
        let mut events: Vec<TreeEvent> = Vec::new();
        let mut result = Ok(());
        for (kind, path) in watches {
            match missed(tree, seen, kind, path) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => result = result.and(self.add(connection, path, kind)),
                Err(error) => result = result.and(Err(error)),
            }
        }
        // Two watches may have missed the same event, with others of the same entry between them.
        events.sort_by(|a, b| (a.zxid, &a.path, a.kind as u8).cmp(&(b.zxid, &b.path, b.kind as u8)));
        events.dedup();
        (events, result)
    }

    /// The watched paths with their connections, for a report to a person.
    pub fn paths(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = ConnectionId>)> {
        self.by_path.iter().map(|(path, watchers)| (&**path, watchers.keys().copied()))
    }

    fn kinds(&self, connection: ConnectionId, path: &str) -> Kinds {
        self.by_path.get(path).and_then(|watchers| watchers.get(&connection)).copied().unwrap_or_default()
    }

    /// Takes away those of `bits` that the connection has on the path; gives back how many.
    fn take(&mut self, connection: ConnectionId, path: &str, bits: u8) -> usize {
        let taken = self.kinds(connection, path).0 & bits;
        if taken == 0 {
            return 0;
        }
        let count = taken.count_ones() as usize;
        let watchers = self.by_path.get_mut(path).expect("the connection was found under the path");
        let kinds = watchers.get_mut(&connection).expect("the connection was found under the path");
        kinds.0 &= !taken;
        if kinds.0 == 0 {
            watchers.remove(&connection);
        }
        if watchers.is_empty() {
            self.by_path.remove(path);
        }
        let held = self.by_connection.get_mut(&connection).expect("both sides know every watch");
        held.watches -= count;
        let on_path = held.paths.get_mut(path).expect("both sides know every watch");
        *on_path -= count;
        if *on_path == 0 {
            held.paths.remove(path);
        }
        if held.watches == 0 {
            self.by_connection.remove(&connection);
        }
        self.len -= count;
        self.recursive -= usize::from(taken & RECURSIVE != 0);
        count
    }
}

impl Kinds {
    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

fn bit(kind: WatchKind) -> u8 {
    match kind {
        WatchKind::Data | WatchKind::Exists => DATA,
        WatchKind::Children => CHILDREN,
        WatchKind::Persistent => PERSISTENT,
        WatchKind::Recursive => RECURSIVE,
    }
}

/// The event that a watch missed, if it would have fired between `seen`, the greatest zxid its client had seen, and
/// what the tree has applied; the watch is then spent. Otherwise it is to be added (ZooKeeper's SetWatches).
///
/// As there: `Exists` is for paths where the client had found nothing (an existence watch on a znode that was there is
/// a `Data` watch); and the watches that stay are added without an event.
///
/// # Errors
/// The path cannot be one.
pub fn missed(tree: &Tree, seen: Zxid, kind: WatchKind, path: &str) -> Result<Option<TreeEvent>, TreeError> {
    let event = |kind, zxid| Some(TreeEvent { kind, path: path.to_owned(), zxid });
    Ok(match (kind, tree.stat(path)?) {
        (WatchKind::Data | WatchKind::Children, None) => event(EventKind::Deleted, tree.applied()),
        (WatchKind::Data, Some(stat)) if stat.mzxid > seen => event(EventKind::DataChanged, stat.mzxid),
        (WatchKind::Exists, Some(stat)) => event(EventKind::Created, stat.czxid),
        (WatchKind::Children, Some(stat)) if stat.pzxid > seen => event(EventKind::ChildrenChanged, stat.pzxid),
        (WatchKind::Data | WatchKind::Children, Some(_)) => None,
        (WatchKind::Exists, None) | (WatchKind::Persistent | WatchKind::Recursive, _) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn event(kind: EventKind, path: &str) -> TreeEvent {
        TreeEvent { kind, path: path.into(), zxid: Zxid(1) }
    }

    #[test]
    fn a_connection_hears_of_an_event_once_and_one_shot_watches_are_spent() {
        let mut watches = Watches::new();
        for kind in [WatchKind::Data, WatchKind::Children, WatchKind::Persistent, WatchKind::Recursive] {
            watches.add(A, "/a", kind).unwrap();
        }
        watches.add_persistent(A, "/", true).unwrap();
        watches.add_children(B, "/a").unwrap();
        assert_eq!((watches.len(), watches.count(A)), (6, 5));
        assert_eq!(watches.fire(&event(EventKind::Deleted, "/a")), [A, B]);
        assert_eq!((watches.len(), watches.count(B)), (3, 0));
        assert_eq!(watches.fire(&event(EventKind::Created, "/a/b/c")), [A]);
        assert_eq!(watches.fire(&event(EventKind::ChildrenChanged, "/a/b")), []);
        assert_eq!(watches.fire(&event(EventKind::Created, "/ab")), [A], "by the watch on the root");
        watches.remove(A, "/");
        assert_eq!(watches.fire(&event(EventKind::Created, "/ab")), []);
        watches.remove_connection(A);
        assert!(watches.is_empty() && watches.by_path.is_empty() && watches.by_connection.is_empty());
        assert_eq!(watches.recursive, 0);
    }

    #[test]
    fn a_watch_counts_once_and_can_be_removed_by_kind() {
        let mut watches = Watches::new();
        watches.add_data(A, "/a").unwrap();
        watches.add_exists(A, "/a").unwrap();
        watches.add_children(A, "/a").unwrap();
        assert_eq!(watches.len(), 2);
        assert_eq!(watches.remove_kinds(A, "/a", &[WatchKind::Exists, WatchKind::Persistent]), 1);
        assert!(watches.has(A, "/a", &[WatchKind::Children]) && !watches.has(A, "/a", &[WatchKind::Data]));
        assert_eq!((watches.remove(A, "/a"), watches.remove(A, "/a")), (1, 0));
    }

    #[test]
    fn an_existence_watch_is_one_by_itself() {
        let mut watches = Watches::new();
        assert!(watches.is_empty());
        watches.add_exists(A, "/a").unwrap();
        assert!(!watches.is_empty() && watches.has(A, "/a", &[WatchKind::Exists]));
        assert_eq!(watches.fire(&event(EventKind::Created, "/a")), [A]);
        assert!(watches.is_empty());
    }

    /// They are one kind: that both are named must not keep the watch.
    #[test]
    fn data_and_existence_watches_are_removed_together() {
        let mut watches = Watches::new();
        watches.add_data(A, "/a").unwrap();
        assert_eq!(watches.remove_kinds(A, "/a", &[WatchKind::Data, WatchKind::Exists]), 1);
        assert!(watches.is_empty());
    }

    /// Otherwise a connection that lives long would hold every path that it ever watched: the limit counts watches.
    #[test]
    fn a_spent_watch_leaves_no_path_behind() {
        let mut watches = Watches::new();
        watches.add_data(A, "/stays").unwrap();
        watches.add_data(A, "/a").unwrap();
        watches.add_children(A, "/a").unwrap();
        watches.fire(&event(EventKind::DataChanged, "/a"));
        assert_eq!(watches.by_connection[&A].paths, BTreeMap::from([("/a".into(), 1), ("/stays".into(), 1)]));
        watches.fire(&event(EventKind::ChildrenChanged, "/a"));
        assert_eq!(watches.by_connection[&A].paths, BTreeMap::from([("/stays".into(), 1)]));
        assert_eq!((watches.len(), watches.count(A)), (1, 1));
    }

    #[test]
    fn a_missed_event_comes_once_however_many_watches_missed_it() {
        let mut tree = Tree::new();
        tree.apply_entry(&crate::log::record::Entry::new(Zxid::marker(crate::ids::Epoch(1)), 0, b""));
        let gone = ["/a", "/b"];
        let kinds = [WatchKind::Data, WatchKind::Children];
        let lost = kinds.into_iter().flat_map(|kind| gone.map(|path| (kind, path)));
        let mut watches = Watches::new();
        let (events, result) = watches.rearm(&tree, A, Zxid::ZERO, lost.chain([(WatchKind::Exists, "/c")]));
        let expected = gone.map(|path| TreeEvent { kind: EventKind::Deleted, path: path.into(), zxid: tree.applied() });
        assert_eq!((events.as_slice(), result), (&expected[..], Ok(())));
        assert!(watches.len() == 1 && watches.has(A, "/c", &[WatchKind::Exists]));
    }

    #[test]
    fn a_connection_cannot_hold_watches_without_end() {
        let mut watches = Watches::new();
        for number in 0..WATCHES_PER_CONNECTION_MAX {
            watches.add_data(A, &format!("/{number}")).unwrap();
        }
        assert!(watches.add_data(A, "/more").is_err());
        watches.add_data(A, "/7").unwrap();
        watches.add_data(B, "/more").unwrap();
        watches.fire(&event(EventKind::DataChanged, "/7"));
        watches.add_data(A, "/more").unwrap();
    }
}
