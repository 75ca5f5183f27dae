//! Watches against a plain list of them, over the events of real trees.

use crate::{World, generate};
use proptest::prelude::*;
use zw_core::ids::{ConnectionId, Zxid};
use zw_core::tree::command::{EventKind, TreeEvent};
use zw_core::tree::watch::{WatchKind, Watches, missed};

const KINDS: [WatchKind; 5] =
    [WatchKind::Data, WatchKind::Exists, WatchKind::Children, WatchKind::Persistent, WatchKind::Recursive];

/// The oracle: every watch on its own.
#[derive(Default)]
struct Listed {
    watches: Vec<(ConnectionId, String, WatchKind)>,
}

/// ZooKeeper's table of what a watch fires on, read row by row.
fn fires(kind: WatchKind, watched: &str, event: &TreeEvent) -> bool {
    use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
    let same = watched == event.path;
    let below = watched == "/" || event.path.starts_with(&format!("{watched}/"));
    match kind {
        WatchKind::Data | WatchKind::Exists => same && matches!(event.kind, Created | Deleted | DataChanged),
        WatchKind::Children => same && matches!(event.kind, ChildrenChanged | Deleted),
        WatchKind::Persistent => same,
        WatchKind::Recursive => (same || below) && event.kind != ChildrenChanged,
    }
}

/// Data and existence watches on one path are one watch.
fn one_kind(kind: WatchKind) -> WatchKind {
    if kind == WatchKind::Exists { WatchKind::Data } else { kind }
}

impl Listed {
    fn add(&mut self, connection: ConnectionId, path: &str, kind: WatchKind) {
        let watch = (connection, path.to_owned(), one_kind(kind));
        if !self.watches.contains(&watch) {
            self.watches.push(watch);
        }
    }

    fn fire(&mut self, event: &TreeEvent) -> Vec<ConnectionId> {
        let hit = |(_, path, kind): &&(ConnectionId, String, WatchKind)| fires(*kind, path, event);
        let mut connections: Vec<ConnectionId> = self.watches.iter().filter(hit).map(|watch| watch.0).collect();
        connections.sort();
        connections.dedup();
        let stays = |kind: WatchKind| matches!(kind, WatchKind::Persistent | WatchKind::Recursive);
        self.watches.retain(|(_, path, kind)| stays(*kind) || !fires(*kind, path, event));
        connections
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn events_go_where_the_list_says(
        steps in generate::steps(100),
        calls in prop::collection::vec((0u64..4, generate::path(), 0usize..5, 0u8..12), 100),
    ) {
        let (mut world, mut watches, mut listed) = (World::new(), Watches::new(), Listed::default());
        for (step, (connection, path, kind, what)) in steps.iter().zip(calls) {
            let (connection, kind) = (ConnectionId(connection), KINDS[kind]);
            match what {
                0 => {
                    watches.remove_connection(connection);
                    listed.watches.retain(|watch| watch.0 != connection);
                }
                1 => {
                    let before = listed.watches.len();
                    listed.watches.retain(|watch| watch.0 != connection || watch.1 != path);
                    prop_assert_eq!(watches.remove(connection, &path), before - listed.watches.len());
                }
                2 => {
                    let before = listed.watches.len();
                    listed.watches.retain(|watch| *watch != (connection, path.clone(), one_kind(kind)));
                    prop_assert_eq!(watches.remove_kinds(connection, &path, &[kind]), before - listed.watches.len());
                }
                _ if watches.add(connection, &path, kind).is_ok() => listed.add(connection, &path, kind),
                _ => prop_assert!(!path.starts_with('/') || path.contains('\0')),
            }
            for event in world.step(step).1 {
                prop_assert_eq!(watches.fire(&event), listed.fire(&event), "{:?}", event);
            }
            prop_assert_eq!(watches.len(), listed.watches.len());
        }
    }

    /// A client that comes back hears of what its watches would have told it, and of nothing else.
    #[test]
    fn a_watch_that_comes_back_fires_if_it_missed_something(before in generate::steps(60), after in generate::steps(30)) {
        let mut world = World::new();
        before.iter().for_each(|step| world.feed(step));
        let seen: Zxid = world.tree.applied();
        let paths: Vec<String> =
            world.model.nodes.keys().cloned().chain(["/a", "/b", "/a/b", "/c!", "/b/a0"].map(str::to_owned)).collect();
        let there: Vec<bool> = paths.iter().map(|path| world.model.nodes.contains_key(path)).collect();
        let events: Vec<TreeEvent> = after.iter().flat_map(|step| world.step(step).1).collect();
        for (path, there) in paths.iter().zip(there) {
            let kinds = if there { vec![WatchKind::Data, WatchKind::Children] } else { vec![WatchKind::Exists] };
            for kind in kinds {
                let live = events.iter().any(|event| fires(kind, path, event));
                let told = missed(&world.tree, seen, kind, path).unwrap();
                // As in ZooKeeper, a znode that came and went again left no trace for an existence watch.
                let came_and_went = kind == WatchKind::Exists && !world.model.nodes.contains_key(path);
                prop_assert!(told.is_some() == (live && !came_and_went), "{kind:?} on {path}: {told:?}, live {live}");
                if let Some(event) = told {
                    prop_assert!(event.zxid > seen && fires(kind, path, &event));
                }
            }
            prop_assert_eq!(missed(&world.tree, seen, WatchKind::Persistent, path), Ok(None));
        }
    }
}
