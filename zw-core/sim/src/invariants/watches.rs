//! Watches (protocol.md 2.8), replayed from the committed history for each connection:
//!
//! - WatchFires: a one-shot watch fires exactly once, for the first matching change after its registration; a watch
//!   that stays fires for each; both before any answer of a later state, or of the change itself, is sent on that
//!   connection.
//! - WatchSpurious: no event is sent that no watch of the connection waits for, and none twice.
//! - WatchRearmed: a watch that comes back on a new connection fires at once if its znode changed since what its client
//!   had seen, and then is spent; otherwise it waits on. Only an existence watch may miss a znode that came and went.
//! - WatchLost: when a client brings a one-shot watch to a new connection, nothing has happened between the answer that
//!   armed it last and what the client says to have seen: it would never hear of that.
//!
//! The matching is written anew here: two nested loops over watches and events.

use super::{Verdict, ensure};
use crate::model::Model;
use std::collections::{BTreeMap, VecDeque};
use zw_core::ids::{ConnectionId, Zxid};
use zw_core::tree::command::{EventKind, TreeEvent};
use zw_core::tree::watch::WatchKind;

const FIRES: &str = "WatchFires";
const SPURIOUS: &str = "WatchSpurious";
const REARMED: &str = "WatchRearmed";

/// What each connection has to hear.
#[derive(Default)]
pub struct Watching {
    connections: BTreeMap<ConnectionId, Listener>,
}

/// One connection.
#[derive(Default)]
struct Listener {
    /// How many of the committed events were looked at.
    looked: usize,
    watches: Vec<(WatchKind, String)>,
    /// Must be sent next.
    owed: VecDeque<TreeEvent>,
}

impl Watching {
    /// The connection is gone, with its watches.
    pub fn closes(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
    }

    /// A client that says to have seen everything up to `seen` brings its watches, each with the zxid of the answer that
    /// armed it last.
    ///
    /// # Errors
    /// One of them has not told of something that it should have.
    pub fn brings<'a>(
        client: usize,
        seen: Zxid,
        watches: impl Iterator<Item = (WatchKind, &'a str, Zxid)>,
        events: &[TreeEvent],
    ) -> Verdict {
        for (kind, path, since) in watches {
            // A watch that stays may miss what happens between two connections, and is told so.
            if matches!(kind, WatchKind::Persistent | WatchKind::Recursive) {
                continue;
            }
            let from = events.partition_point(|event| event.zxid <= since);
            let mut between = events[from..].iter().take_while(|event| event.zxid <= seen);
            let lost = between.find(|event| matches(kind, path, event));
            ensure!(
                lost.is_none(),
                "WatchLost",
                "client {client} waits with {kind:?} for {path} since {since}, has seen {seen}, and not heard of {lost:?}"
            );
        }
        Ok(())
    }

    /// An answer that shows the state at `zxid` is sent.
    ///
    /// # Errors
    /// An event up to there was not sent before.
    pub fn answers(&mut self, connection: ConnectionId, zxid: Zxid, events: &[TreeEvent]) -> Verdict {
        let listener = self.connections.entry(connection).or_default();
        listener.look(zxid, events);
        let owed = listener.owed.front();
        ensure!(owed.is_none(), FIRES, "{connection:?} is answered at {zxid} before it has heard of {owed:?}");
        Ok(())
    }

    /// The answer that was just sent has left a watch.
    pub fn registers(&mut self, connection: ConnectionId, kind: WatchKind, path: &str) {
        self.connections.entry(connection).or_default().register(kind, path);
    }

    /// An event is sent.
    ///
    /// # Errors
    /// No watch waits for it, or another one must be heard of before it.
    pub fn fires(&mut self, connection: ConnectionId, event: &TreeEvent, events: &[TreeEvent]) -> Verdict {
        let listener = self.connections.entry(connection).or_default();
        listener.look(event.zxid, events);
        let next = listener.owed.front().map(|next| next.zxid);
        // Within an entry any order will do.
        let place = listener.owed.iter().take_while(|owed| Some(owed.zxid) == next).position(|owed| owed == event);
        let Some(place) = place else {
            let owed = listener.owed.front();
            ensure!(owed.is_some(), SPURIOUS, "{connection:?} is sent {event:?}, for which it has no watch");
            ensure!(false, FIRES, "{connection:?} is sent {event:?} instead of {owed:?}");
            return Ok(());
        };
        listener.owed.remove(place);
        Ok(())
    }

    /// Watches of a client that had seen everything up to `seen` come back at `zxid`, before anything else is sent for
    /// them.
    ///
    /// # Errors
    /// An event of the connection itself was not sent before; or the client cannot have seen what it says.
    pub fn rearms(
        &mut self,
        connection: ConnectionId,
        (seen, zxid): (Zxid, Zxid),
        watches: &[(WatchKind, String)],
        (model, events): (&Model, &[TreeEvent]),
    ) -> Verdict {
        self.answers(connection, zxid, events)?;
        ensure!(seen <= zxid, REARMED, "{connection:?} shows {zxid} to a client that has seen {seen}");
        let listener = self.connections.entry(connection).or_default();
        let mut missed: Vec<TreeEvent> = Vec::new();
        let from = events.partition_point(|event| event.zxid <= seen);
        for (kind, path) in watches {
            let znode = model.at(zxid, path);
            let changed = events[from..listener.looked].iter().any(|event| matches(*kind, path, event));
            let owed = match (kind, znode) {
                (WatchKind::Persistent | WatchKind::Recursive, _) | (WatchKind::Exists, None) => None,
                _ if !changed => None,
                (WatchKind::Exists, Some(znode)) => Some((EventKind::Created, znode.stat.czxid)),
                (WatchKind::Data, Some(znode)) => Some((EventKind::DataChanged, znode.stat.mzxid)),
                (WatchKind::Children, Some(znode)) => Some((EventKind::ChildrenChanged, znode.stat.pzxid)),
                (WatchKind::Data | WatchKind::Children, None) => Some((EventKind::Deleted, zxid)),
            };
            match owed {
                Some((kind, zxid)) => {
                    let event = TreeEvent { kind, path: path.clone(), zxid };
                    if !missed.contains(&event) {
                        missed.push(event);
                    }
                }
                None => listener.register(*kind, path),
            }
        }
        missed.sort_by_key(|event| event.zxid);
        listener.owed.extend(missed);
        Ok(())
    }
}

impl Listener {
    fn register(&mut self, kind: WatchKind, path: &str) {
        let watch = (kind, path.to_owned());
        if !self.watches.contains(&watch) {
            self.watches.push(watch);
        }
    }

    /// Lets the watches hear everything up to `zxid`.
    fn look(&mut self, zxid: Zxid, events: &[TreeEvent]) {
        if self.watches.is_empty() {
            self.looked = self.looked.max(events.partition_point(|event| event.zxid <= zxid));
        }
        while let Some(event) = events.get(self.looked).filter(|event| event.zxid <= zxid) {
            self.looked += 1;
            let before = self.watches.len();
            let mut heard = false;
            self.watches.retain(|(kind, path)| {
                let hears = matches(*kind, path, event);
                heard |= hears;
                !hears || matches!(kind, WatchKind::Persistent | WatchKind::Recursive)
            });
            assert!(heard || before == self.watches.len(), "a watch is spent only by its event");
            if heard {
                self.owed.push_back(event.clone());
            }
        }
    }
}

/// Whether a watch on `path` waits for the event.
fn matches(kind: WatchKind, path: &str, event: &TreeEvent) -> bool {
    let at = event.path == path;
    match kind {
        WatchKind::Data | WatchKind::Exists => at && event.kind != EventKind::ChildrenChanged,
        WatchKind::Children => at && matches!(event.kind, EventKind::ChildrenChanged | EventKind::Deleted),
        WatchKind::Persistent => at,
        WatchKind::Recursive => {
            let below = path == "/" || event.path.starts_with(&format!("{path}/"));
            (at || below) && event.kind != EventKind::ChildrenChanged
        }
    }
}
