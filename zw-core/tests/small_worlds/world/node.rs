//! A node of a small world: its process, and its disk with what waits for it.

use super::{Budget, NODES};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::{LinkId, NodeId, Tick, Ticket};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Record};
use zw_core::zab::effects::{Now, Role};
use zw_core::zab::{Config, Limits, Timing, Zab};

/// The time of all steps but a heartbeat and the end of a wait.
pub(crate) const AT_REST: Now = Now { tick: Tick(0), wall_ms: 0 };
/// Every wait is over.
pub(crate) const AT_THE_END: Now = Now { tick: Tick(u64::MAX), wall_ms: 0 };

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// Who it is.
    pub(crate) me: NodeId,
    /// The protocol, unless the node is down.
    pub(crate) zab: Option<Zab>,
    /// The process's connection to each node.
    pub(crate) links: [Option<LinkId>; NODES],
    /// The number of its last one.
    pub(crate) last_link: LinkId,
    /// What survives a crash.
    pub(crate) disk: Recovered,
    /// What was handed to the disk since.
    pub(crate) pending: VecDeque<(Ticket, Vec<Record>)>,
}

impl Node {
    /// A node that is down.
    pub(crate) fn new(index: usize, disk: Recovered) -> Node {
        let me = id(index);
        Node { me, zab: None, links: [None; NODES], last_link: LinkId(0), disk, pending: VecDeque::new() }
    }

    /// What the node is, if it runs.
    pub(crate) fn role(&self) -> Option<Role> {
        self.zab.as_ref().map(Zab::role)
    }

    /// Whether it leads or wants to.
    pub(crate) fn is_leading(&self) -> bool {
        matches!(self.role(), Some(Role::Leading | Role::Discovering))
    }

    /// Whether it looks for a leader and has its log drained: before, only its disk can move it.
    pub(crate) fn is_voting(&self) -> bool {
        let drained = |zab: &Zab| zab.next_deadline() < AT_THE_END.tick;
        self.role() == Some(Role::Looking) && self.zab.as_ref().is_some_and(drained)
    }

    /// The log as the process sees it; that of the disk if there is no process.
    pub(crate) fn log(&self) -> Vec<Entry> {
        match &self.zab {
            Some(zab) => zab.log_entries().cloned().collect(),
            None => self.disk.entries.clone(),
        }
    }

    /// How many records wait for the disk.
    pub(crate) fn pending_records(&self) -> usize {
        self.pending.iter().map(|(_, records)| records.len()).sum()
    }
}

/// The id of the node numbered `index` here.
pub(crate) fn id(index: usize) -> NodeId {
    NodeId(u16::try_from(index + 1).expect("a few nodes"))
}

/// The number here of the node `id`.
pub(crate) fn index(id: NodeId) -> usize {
    usize::from(id.0) - 1
}

/// The waits of these worlds: see the essay in `world/mod.rs`.
pub(crate) fn config(me: NodeId) -> Config {
    let members = (0..3).map(|i| Address::new("localhost", 8080 + i)).collect();
    let ensemble = Ensemble::new(members).expect("three members");
    // So long that every deadline saturates to the end of time, with room for the jitter that is added.
    let for_ever = Duration::from_secs(u64::MAX / 4);
    let timing = Timing {
        heartbeat: Duration::from_micros(1),
        follower_timeout: for_ever,
        settle: Duration::ZERO,
        settle_at_start: Duration::ZERO,
    };
    Config { me, ensemble, timing, seed: 1, limits: Limits::default() }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { elections, proposals, silences, crashes, cuts, connects, beats } = *self;
        let counts = [elections, proposals, silences, crashes, cuts, connects, beats];
        let names = ["elections", "proposals", "silences", "crashes", "cuts", "connects", "beats"];
        let any = names.iter().zip(counts).filter(|(_, count)| *count > 0);
        f.write_str(&any.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", "))
    }
}

impl Budget {
    /// Takes one of what `pick` shows; false if none is left.
    pub(crate) fn take(&mut self, pick: impl FnOnce(&mut Budget) -> &mut u8) -> bool {
        let left = pick(self);
        let any = *left > 0;
        *left -= u8::from(any);
        any
    }
}
