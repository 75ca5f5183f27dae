//! The oracle of one-shot watches (protocol.md 2.8), by what clients saw:
//!
//! - WatchFires: once a client was answered at a zxid at or after the first matching change, its watch has fired. After
//!   a reconnect too; only an existence watch may miss a znode that came and went meanwhile.
//! - WatchSpurious: a watch fires only after a matching change since its registration.
//!
//! A client is not told the zxid of the registration, only of the answers before and after it; what happened between
//! these two may or may not count.

use crate::judge::Replayed;
use crate::operation::WatchSeen;
use crate::verdict::ensure;
use std::collections::HashMap;
use zw_core::ids::Zxid;
use zw_core::tree::command::{EventKind, TreeEvent};
use zw_core::tree::watch::WatchKind;
use zw_sim::invariants::Violation;

/// Checks all watches; gives how many fired.
pub(crate) fn check(watches: &[WatchSeen], replayed: &Replayed) -> Result<u64, Violation> {
    let mut events: HashMap<&str, Vec<&TreeEvent>> = HashMap::new();
    for event in replayed.history.events() {
        events.entry(event.path.as_str()).or_default().push(event);
    }
    let mut fired = 0;
    for watch in watches {
        let WatchSeen { kind, path, after, armed_by, quiet_until, event } = watch;
        let changes = events.get(path.as_str()).map_or(&[][..], Vec::as_slice);
        let change = |from: Zxid, to: Zxid| {
            changes.iter().find(|event| event.zxid > from && event.zxid <= to && matches(*kind, event)).copied()
        };
        if let Some(event) = event {
            let cause = change(*after, event.zxid);
            ensure!(cause.is_some(), "WatchSpurious", "a watch of {kind:?} left after {after} gives {event:?}");
            fired += 1;
        }
        let missed = change(*armed_by, *quiet_until);
        let was_there = replayed.history.model().at(*quiet_until, path).is_some();
        let may_miss = *kind == WatchKind::Exists && !was_there;
        ensure!(
            missed.is_none() || may_miss,
            "WatchFires",
            "a watch of {kind:?} left by {armed_by} is silent at {quiet_until} about {missed:?}"
        );
    }
    Ok(fired)
}

fn matches(kind: WatchKind, event: &TreeEvent) -> bool {
    match kind {
        WatchKind::Children => matches!(event.kind, EventKind::ChildrenChanged | EventKind::Deleted),
        _ => event.kind != EventKind::ChildrenChanged,
    }
}
