//! The order in which the nodes are shown.

use super::{Node, State};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// What the nodes are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SortBy {
    /// Their ids.
    #[default]
    Id,
    /// Leader first.
    Role,
    /// What their tree shows, newest first; by it they are ordered by how far they lag, too.
    Zxid,
    /// Writes a second, most first.
    Writes,
    /// Their fdatasync, slowest first.
    Fsync,
    /// Their memory, most first.
    Memory,
}

impl SortBy {
    /// For the pane's title.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SortBy::Id => "id",
            SortBy::Role => "role",
            SortBy::Zxid => "zxid",
            SortBy::Writes => "writes",
            SortBy::Fsync => "fsync",
            SortBy::Memory => "memory",
        }
    }

    /// What orders a node; what is not known comes last.
    fn rank(self, node: &Node) -> Reverse<Option<u64>> {
        let status = node.sight.status.as_deref();
        Reverse(match self {
            SortBy::Id => None,
            SortBy::Role => status.map(|status| u64::from(status.leader == status.node)),
            SortBy::Zxid => status.map(|status| status.applied_zxid.0),
            SortBy::Writes => node.sight.rates().map(|(writes, _)| writes),
            SortBy::Fsync => status.map(|status| status.fsync_p99_us),
            SortBy::Memory => status.map(|status| status.rss_bytes),
        })
    }
}

/// The order of the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// Whether the other way round.
    pub is_reversed: bool,
}

impl Sort {
    /// Chooses a column; once more, and it is the other way round.
    pub fn choose(&mut self, by: SortBy) {
        *self = Sort { by, is_reversed: self.by == by && !self.is_reversed };
    }
}

impl State {
    /// The nodes' places, from 0, in the order in which they are shown.
    #[must_use]
    pub fn node_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|at| self.sort.by.rank(&self.nodes[*at]));
        if self.sort.is_reversed {
            order.reverse();
        }
        order
    }
}
