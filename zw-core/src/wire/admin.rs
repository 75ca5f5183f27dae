//! What the console and the command line ask a node about itself: status, trace, digests, faults.

use crate::ids::{Epoch, NodeId, SessionId, Zxid};
use crate::numbered;
use serde::{Deserialize, Serialize};

/// A node's answer about itself: cheap, one round trip, never waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: NodeId,
    /// Its address in the ensemble.
    pub address: String,
    /// The canonical list of the ensemble.
    pub ensemble: String,
    /// What it is.
    pub role: NodeRole,
    /// The epoch promised.
    pub epoch: Epoch,
    /// The last entry in its log.
    pub last_zxid: Zxid,
    /// The commit watermark it knows.
    pub committed_zxid: Zxid,
    /// What its tree shows.
    pub applied_zxid: Zxid,
    /// The leader, if it knows one; else 0.
    pub leader: NodeId,
    /// The other members as this one sees them.
    pub peers: Vec<PeerStatus>,
    /// Sessions of the ensemble.
    pub sessions: u64,
    /// Watches held on this node.
    pub watches: u64,
    /// Client connections of this node.
    pub connections: u64,
    /// Znodes in its tree, the root included.
    pub znodes: u64,
    /// Requests that wait on this node.
    pub queue: u64,
    /// Writes that this node applied since it started.
    pub writes: u64,
    /// Reads that this node answered since it started.
    pub reads: u64,
    /// 99th percentile of its recent fdatasync calls, in microseconds.
    pub fsync_p99_us: u64,
    /// 99th percentile of the writes that its own clients sent lately, in microseconds.
    pub write_p99_us: u64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Since the process started.
    pub uptime_ms: u64,
    /// Digest of the tree at `applied_zxid`.
    pub digest: u64,
    /// The process.
    pub pid: u32,
    /// The program's version.
    pub build: String,
    /// Whether its disk is too full for writes.
    pub disk_full: bool,
    /// Fault leases that are active, in words.
    pub faults: Vec<String>,
    /// The last entry of each of the newest epochs in its log, ascending: at most
    /// [`crate::limits::STATUS_EPOCH_ENDS_MAX`]. Two logs whose ends of one epoch differ while both have a later one,
    /// or one of them ends there, have forked (rule S1).
    pub epoch_ends: Vec<Zxid>,
}

/// What a node is, as a person reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeRole {
    /// Leading.
    Leader,
    /// Following.
    Follower,
    /// Following without a vote.
    Observer,
    /// Without a leader.
    Looking,
    /// Following, not up to date yet; or elected, not established yet.
    Syncing,
}

impl NodeRole {
    /// The word that the command line and the console print.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            NodeRole::Leader => "leader",
            NodeRole::Follower => "follower",
            NodeRole::Observer => "observer",
            NodeRole::Looking => "looking",
            NodeRole::Syncing => "syncing",
        }
    }
}

/// Another member as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// Whether a connection stands.
    pub connected: bool,
    /// Since it was last heard, in milliseconds; `u64::MAX` if never.
    pub heard_ms_ago: u64,
    /// On a leader: the last zxid that it acknowledged.
    pub acked_zxid: Zxid,
    /// Why it cannot be worked with, and what to do; empty if nothing is known against it.
    pub problem: String,
}

/// A digest and where it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestReply {
    /// The last entry applied.
    pub zxid: Zxid,
    /// The digest.
    pub digest: u64,
    /// For a subtree: its znodes.
    pub znodes: u64,
}

/// A session, for those who watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The session.
    pub session: SessionId,
    /// Its timeout.
    pub timeout_ms: u32,
    /// How often it was attached.
    pub generation: u32,
    /// Its ephemeral znodes.
    pub ephemerals: u64,
}

/// Starts trace events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStart {
    /// The first sequence number wanted; 0 for only new ones.
    pub from: u64,
    /// Leaves out what is frequent ([`TraceKind::is_frequent`]); the node then need not even record it.
    #[serde(default)]
    pub rare_only: bool,
}

/// Some trace events, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceBatch {
    /// The events.
    pub events: Vec<TraceEvent>,
    /// Events that were dropped before the first of these.
    pub dropped: u64,
    /// The machine's monotonic clock when this was made. The first batch follows a [`TraceStart`] at once, even if it has
    /// no events: by it, who asked learns how that clock stands to its own. Zero from a version that did not tell.
    #[serde(default)]
    pub now_ns: u64,
}

/// One fact of a node's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Counts the node's events from 1.
    pub sequence: u64,
    /// The machine's monotonic clock (CLOCK_MONOTONIC), the same for all processes of a host.
    pub monotonic_ns: u64,
    /// What happened.
    pub kind: TraceKind,
    /// The other member, if one is concerned; else 0.
    pub peer: NodeId,
    /// The entry concerned, or zero.
    pub zxid: Zxid,
    /// A number that goes with the kind: a round, an epoch, a session, microseconds, a write's tag. A tag counts the writes
    /// of one node's clients; together with the node it names a write before it has a zxid.
    pub number: u64,
    /// Words that go with the kind: the new role, why a vote changed, how a follower was synchronised.
    pub text: String,
}

/// What a trace event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TraceKind {
    /// The role changed; `text` is the new one, `number` the epoch, `peer` the leader. A node that was elected and gathers
    /// its quorum is "syncing" with itself.
    Role,
    /// The vote changed; `peer` is the candidate, `zxid` its last entry, `number` the round, `text` why.
    Vote,
    /// A vote came in; `peer` sent it; `zxid` is the candidate's, `number` the round, `text` the sender's standing and the
    /// candidate.
    VoteReceived,
    /// A proposal was sent to `peer`; `zxid` is the last of the batch, `number` its entries.
    ProposalSent,
    /// A proposal came in.
    ProposalReceived,
    /// An acknowledgement was sent: of all up to `zxid`.
    AckSent,
    /// An acknowledgement came in from `peer`: of all up to `zxid`.
    AckReceived,
    /// On the leader: the commit watermark moved to `zxid`; the acknowledgement before it made the quorum.
    Commit,
    /// Clients' writes were forwarded to the leader; `number` is the last one's tag.
    Forward,
    /// Entries were applied; `number` of them.
    Apply,
    /// A snapshot was taken or installed.
    Snapshot,
    /// A follower is brought up to date; `text` says how.
    Sync,
    /// A session opened.
    SessionOpened,
    /// A session was closed by its client.
    SessionClosed,
    /// A session expired.
    SessionExpired,
    /// Watches on the znode `text` fired; `number` of them. A sample: not every one is told.
    Watch,
    /// An fdatasync ended; `number` is its microseconds.
    Fsync,
    /// A connection to `peer` came or went; `text` says which.
    Link,
    /// A fault lease began or ended; `text` says which.
    Fault,
    /// The log truncated after `zxid`.
    Truncate,
    /// The leader told `peer` that all up to `zxid` is committed.
    CommitSent,
    /// The leader said so.
    CommitReceived,
    /// A client's write came in; `number` is its tag, `text` what it does. A sample: not every write is told.
    Write,
    /// A write that was told of has its answer; `number` is its tag, `zxid` its entry (zero if there is none), `text`
    /// why it failed, or nothing.
    Written,
    /// The leader gave writes their place in the log; `zxid` is the last one's, `peer` and `number` its origin and tag.
    Proposed,
    /// On the leader: its own log is durable up to `zxid`, which counts as an acknowledgement.
    Durable,
    /// The leader has forwarded writes of `peer`; `number` is the last one's tag.
    ForwardReceived,
    /// The node gave up the leader `peer`, or its own leadership; `text` says why.
    Lost,
}

impl TraceKind {
    /// Whether a busy node has so many of them that they are only recorded for those who want to see them.
    #[must_use]
    pub fn is_frequent(self) -> bool {
        match self {
            TraceKind::ProposalSent
            | TraceKind::ProposalReceived
            | TraceKind::AckSent
            | TraceKind::AckReceived
            | TraceKind::Commit
            | TraceKind::Forward
            | TraceKind::Apply
            | TraceKind::SessionOpened
            | TraceKind::SessionClosed
            | TraceKind::Watch
            | TraceKind::Fsync
            | TraceKind::CommitSent
            | TraceKind::CommitReceived
            | TraceKind::Write
            | TraceKind::Written
            | TraceKind::Proposed
            | TraceKind::Durable
            | TraceKind::ForwardReceived => true,
            TraceKind::Role
            | TraceKind::Vote
            | TraceKind::VoteReceived
            | TraceKind::Snapshot
            | TraceKind::Sync
            | TraceKind::SessionExpired
            | TraceKind::Link
            | TraceKind::Fault
            | TraceKind::Truncate
            | TraceKind::Lost => false,
        }
    }
}

/// Asks for a fault, as a lease: it ends by itself, and with the connection if `with_connection`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// For the link faults: the peer; 0 for all.
    pub peer: NodeId,
    /// For the delays: how long. For the loss: of how many frames in a thousand.
    pub delay_ms: u32,
    /// When it ends; 0 clears the fault.
    pub ttl_ms: u32,
    /// End it too when this connection closes.
    pub with_connection: bool,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Nothing goes out to the peer nor comes in from it.
    CutLink,
    /// Nothing goes out.
    CutOut,
    /// Nothing comes in.
    CutIn,
    /// What goes out is late by `delay_ms`.
    DelayLink,
    /// Each fdatasync takes `delay_ms` longer.
    SlowDisk,
    /// Of what goes out, `delay_ms` frames in a thousand are lost at first: each comes late by
    /// [`LOSS_DELAY`](crate::limits::LOSS_DELAY), as over TCP, and what follows waits behind it.
    LoseLink,
}

numbered!(NodeRole { 1 => Leader, 2 => Follower, 3 => Observer, 4 => Looking, 5 => Syncing });
numbered!(TraceKind {
    1 => Role, 2 => Vote, 3 => VoteReceived, 4 => ProposalSent, 5 => ProposalReceived, 6 => AckSent, 7 => AckReceived,
    8 => Commit, 9 => Forward, 10 => Apply, 11 => Snapshot, 12 => Sync, 13 => SessionOpened, 14 => SessionClosed,
    15 => SessionExpired, 16 => Watch, 17 => Fsync, 18 => Link, 19 => Fault, 20 => Truncate,
    21 => CommitSent, 22 => CommitReceived, 23 => Write, 24 => Written, 25 => Proposed, 26 => Durable,
    27 => ForwardReceived, 28 => Lost
});
numbered!(FaultKind { 1 => CutLink, 2 => CutOut, 3 => CutIn, 4 => DelayLink, 5 => SlowDisk, 6 => LoseLink });
