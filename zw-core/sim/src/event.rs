//! Everything that can happen in the world, as one small enum: what the heap holds and the trace prints.

#![expect(missing_docs, reason = "the fields are explained where the enum is")]

use crate::fault::Fault;
use zw_core::ids::ConnectionId;
use zw_core::zab::effects::FetchId;

/// One event. Nodes are numbered from 0 here; an `incarnation` names one run of a node's process, so that what was
/// scheduled for a process that crashed is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// The node takes inputs from its inbox.
    Run { node: usize, incarnation: u32 },
    /// The protocol's deadline may have come.
    Timer { node: usize, incarnation: u32 },
    /// The lower-numbered node of the pair tries to connect.
    Dial { low: usize, high: usize },
    /// The head of one direction of a connection arrives.
    Arrive { connection: u64, from_dialer: bool },
    /// The log's write in progress is on disk.
    Synced { node: usize, incarnation: u32 },
    /// The node's own snapshot is on disk.
    SnapshotWritten { node: usize, incarnation: u32 },
    /// A snapshot transfer makes its next step.
    Transfer { node: usize, incarnation: u32, fetch: FetchId },
    /// A client considers what to do.
    Wake { client: usize },
    /// A client's request reaches its node.
    Request { client: usize, request: u64 },
    /// The next of what was sent back reaches its client.
    Return { client: usize, connection: ConnectionId },
    /// A node learns that a client has left its connection.
    Detached { node: usize, incarnation: u32, connection: ConnectionId },
    /// A client gives up on a request.
    ClientTimeout { client: usize, request: u64 },
    /// A node refuses what still waits for a leader.
    RequestDeadline { node: usize, incarnation: u32, tag: u64 },
    /// A fault begins.
    Fault(Fault),
    /// A fault with this number ends.
    Heal { fault: u64 },
    /// A leader that was just established loses power.
    LeaderDies { node: usize, incarnation: u32 },
    /// A crashed node starts again.
    Restart { node: usize, incarnation: u32 },
    /// A paused node goes on.
    Resume { node: usize, incarnation: u32 },
    /// The liveness phase looks whether the ensemble has recovered.
    Probe,
}
