//! Every bound of the system: sizes, counts and waits, with the relations between them checked at compile time.

use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

// The ensemble.

/// Most voters of an ensemble.
pub const MEMBERS_MAX: usize = 15;
/// Longest text of an ensemble list or of an address in it.
pub const ENSEMBLE_TEXT_BYTES_MAX: usize = 4 * KIB;

// The tree.

/// Most data of one znode.
pub const ZNODE_DATA_BYTES_MAX: usize = MIB;
/// Longest path.
pub const PATH_BYTES_MAX: usize = 4 * KIB;
/// Most entries of one access control list.
pub const ACL_ENTRIES_MAX: usize = 64;
/// Longest scheme plus id of an access control entry.
pub const ACL_ENTRY_BYTES_MAX: usize = KIB;
/// Most operations of one multi.
pub const MULTI_OPERATIONS_MAX: usize = 4_096;
/// Most children in one page of a listing.
pub const CHILDREN_PAGE_MAX: usize = 10_000;
/// Children that are asked for at once by whoever goes through all of them.
pub const CHILDREN_ASKED: u32 = 1_000;
/// Most bytes of names in one page of a listing.
pub const CHILDREN_PAGE_BYTES_MAX: usize = MIB;
/// Longest lifetime of a TTL znode, as ZooKeeper's.
pub const TTL_MS_MAX: u64 = (1 << 40) - 1;
/// Most entries in one chunk of the tree's map: what a write copies at most while a snapshot is alive.
pub const CHUNK_ENTRIES_MAX: usize = 256;
/// Most bytes of keys in one chunk of the tree's map, but for one key.
pub const CHUNK_KEY_BYTES_MAX: usize = 64 * KIB;
/// Access control lists that the tree remembers, to store equal ones once.
pub const ACL_CACHE_MAX: usize = 64;
/// Longest secret of a session.
pub const SESSION_SECRET_BYTES_MAX: usize = 64;
/// Most sessions of an ensemble.
pub const SESSIONS_MAX: usize = 100_000;
/// Most watches that one connection may hold.
pub const WATCHES_PER_CONNECTION_MAX: usize = 100_000;
/// Shortest and longest session timeout that is granted.
pub const SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// See [`SESSION_TIMEOUT_MIN`].
pub const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

// Frames.

/// Largest payload of one replicated command: the data, the path and the rest.
pub const COMMAND_BYTES_MAX: usize = ZNODE_DATA_BYTES_MAX + 64 * KIB;
/// Largest frame from a client.
pub const CLIENT_FRAME_BYTES_MAX: usize = COMMAND_BYTES_MAX + 64 * KIB;
/// Largest frame to a client: a multi of the largest number of operations, or all sessions.
pub const ANSWER_FRAME_BYTES_MAX: usize = 4 * MIB;
/// Most bytes of records that a leader puts into one `Append`, unless a single record is larger.
pub const APPEND_BYTES_MAX: usize = MIB;
/// Largest frame between peers.
pub const PEER_FRAME_BYTES_MAX: usize = 4 * MIB;
/// Largest first frame of a connection, before its kind is known.
pub const HELLO_FRAME_BYTES_MAX: usize = 8 * KIB;
/// Size of a chunk of a snapshot, on disk and on the wire.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * KIB;
/// Largest block of a snapshot: it ends with the record that makes it reach half a chunk, or with a single large znode.
pub const SNAPSHOT_BLOCK_BYTES_MAX: usize = SNAPSHOT_CHUNK_BYTES / 2
    + ZNODE_DATA_BYTES_MAX
    + PATH_BYTES_MAX
    + ACL_ENTRIES_MAX * (ACL_ENTRY_BYTES_MAX + 8)
    + KIB;
/// Buffer at which a connection's writer flushes to its socket.
pub const SOCKET_BUFFER_BYTES: usize = 256 * KIB;

// Queues.

/// Inputs that wait for the core.
pub const CORE_INBOX_MAX: usize = 16 * KIB;
/// Inputs that the core takes before it performs the effects.
pub const CORE_DRAIN_MAX: usize = 1_024;
/// Commands that the tree applies under one write lock.
pub const APPLY_BATCH_MAX: usize = 64;
/// Frames that wait for one peer's socket; beyond it the link is closed as too slow.
pub const PEER_OUTBOX_FRAMES_MAX: usize = 4 * KIB;
/// Requests of one connection that are not answered yet; beyond it the node stops reading that socket.
pub const CONNECTION_REQUESTS_MAX: usize = 1_024;
/// Bytes of its clients' writes that a node has under way; beyond it further ones are refused.
pub const CLIENT_WRITES_BYTES_MAX: usize = 128 * MIB;
/// Connections that a node has open, of all kinds.
pub const SOCKETS_MAX: usize = CONNECTIONS_MAX + 1_000;
/// Bytes of replies and events that wait for one client's socket; beyond it the connection is closed as too slow.
pub const CONNECTION_OUTBOX_BYTES_MAX: usize = 16 * MIB;
/// Open client connections of a node.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Largest head of an HTTP request.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * KIB;
/// Most header lines of an HTTP request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Trace events that wait for one subscriber; beyond it they are counted as dropped.
pub const TRACE_QUEUE_MAX: usize = 8 * KIB;
/// Who reads a node's trace at the same time; each costs the node a copy of what it tells.
pub const TRACE_SUBSCRIBERS_MAX: usize = 64;
/// Trace events of one frame.
pub const TRACE_BATCH_MAX: usize = 1_024;
/// Bytes that wait for one peer's socket; beyond it the link is closed as too slow.
pub const PEER_OUTBOX_BYTES_MAX: usize = 32 * MIB;
/// Snapshots that a node sends at the same time.
pub const SNAPSHOT_TRANSFERS_MAX: usize = 2;
/// Fault leases that a node holds.
pub const FAULT_LEASES_MAX: usize = 64;
/// How late a frame is that a lossy link loses at first: the least time after which TCP on Linux sends again.
pub const LOSS_DELAY: Duration = Duration::from_millis(200);
/// Nodes that are no members and greet as such, of which a node remembers why it refused them.
pub const STRANGERS_MAX: usize = 16;
/// Commands or barriers that one frame between peers refuses, asks for or answers.
pub const TAGS_PER_FRAME_MAX: usize = 64 * KIB;
/// Digests of its own past that a node remembers, one each [`DIGEST_INTERVAL`].
pub const DIGESTS_REMEMBERED_MAX: usize = 256;

/// Requests that wait in a client for a place on its connection; beyond it they are refused, or their senders wait.
pub const CLIENT_QUEUE_MAX: usize = 64 * KIB;
/// Events that wait in a client for the reader of one persistent watch; beyond it that watch ends.
pub const WATCH_STREAM_EVENTS_MAX: usize = 8 * KIB;
/// Bytes of paths in one request that re-arms watches.
pub const REARM_BYTES_MAX: usize = 256 * KIB;
/// Read buffer of a client's connection; it grows for a larger frame.
pub const CLIENT_BUFFER_BYTES: usize = 64 * KIB;

// The protocol.

/// Commands and bytes that a leader holds uncommitted before it refuses more (rule B6).
pub const UNCOMMITTED_COMMANDS_MAX: usize = 64 * KIB;
/// See [`UNCOMMITTED_COMMANDS_MAX`].
pub const UNCOMMITTED_BYTES_MAX: usize = 64 * MIB;
/// Bytes that a leader sends to one follower ahead of its acks (rule B5).
pub const WINDOW_BYTES_MAX: usize = 8 * MIB;
/// Records that a leader sends to one follower ahead of its acks (rule B5).
pub const WINDOW_RECORDS_MAX: usize = 16 * KIB;
/// Read barriers that wait for a quorum's echo.
pub const BARRIERS_MAX: usize = 64 * KIB;
/// Epoch ends that a node reports (rule D4), and keeps beyond those of its retained log.
pub const EPOCH_ENDS_MAX: usize = 256;
/// Epoch ends that a node's status tells.
pub const STATUS_EPOCH_ENDS_MAX: usize = 4;
/// Applied records that stay in memory for followers that are behind; beyond it they get a snapshot.
pub const RETAINED_LOG_BYTES_MAX: usize = 16 * MIB;
/// The same while a connected follower was not sent them yet, or fetches a snapshot that they follow.
pub const PINNED_LOG_BYTES_MAX: usize = 256 * MIB;
/// Entries that one flush delivers; the rest follows at once.
pub const DELIVER_BATCH_MAX: usize = 4 * KIB;
/// Digests of the leader that wait for this node to apply as far.
pub const WAITING_DIGESTS_MAX: usize = 64;
/// Sessions that one heartbeat answer reports as alive.
pub const TOUCHED_SESSIONS_MAX: usize = 16 * KIB;
/// Sessions whose expiry a leader proposes with one batch.
pub const EXPIRIES_AT_ONCE_MAX: usize = 256;
/// Entries between two comparisons of the nodes' digests.
pub const DIGEST_INTERVAL: u64 = 1_024;

// The log on disk.

/// Size of a segment.
pub const SEGMENT_BYTES: u64 = 64 * MIB as u64;
/// Most bytes of records that one batch of the log thread takes, unless a single record is larger.
pub const BATCH_BYTES_MAX: usize = MIB;
/// Most records that one batch of the log thread takes, unless they are handed over together.
pub const BATCH_RECORDS_MAX: usize = 4 * KIB;
/// Batches that wait for the log thread; beyond it the core waits for the disk.
pub const LOG_QUEUE_MAX: usize = 16 * KIB;
/// Log bytes after which a node takes a snapshot.
pub const SNAPSHOT_INTERVAL_BYTES: u64 = 64 * MIB as u64;

// The brokers.

/// Events that the ensemble keeps for the brokers; older ones are deleted.
pub const BROKER_EVENTS_MAX: usize = 100_000;
/// Events by which [`BROKER_EVENTS_MAX`] is exceeded before the oldest are deleted together.
pub const BROKER_EVENTS_SLACK: usize = 1_000;
/// Versions of a sender's Clients list that are kept beside the first.
pub const BROKER_CLIENTS_VERSIONS_MAX: usize = 1_000;
/// Most brokers in a Clients list.
pub const BROKER_CLIENTS_MAX: usize = 64;
/// Largest body of a request to a broker.
pub const BROKER_REQUEST_BYTES_MAX: usize = MIB;
/// Open connections of a broker.
pub const BROKER_CONNECTIONS_MAX: usize = 1_024;

// Waits.

/// Longest duration that a command line takes.
pub const DURATION_FLAG_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Longest time in which a broker tries to have an event ordered.
pub const BROKER_ORDER_DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for the first frame of a connection.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a lost peer is dialled again; it doubles with each failure in a row up to [`REDIAL_PAUSE_MAX`].
pub const REDIAL_PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`REDIAL_PAUSE_MIN`].
pub const REDIAL_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Between two introductions of a member to one that should dial it and does not.
pub const INTRODUCTION_PAUSE: Duration = Duration::from_secs(1);
/// A problem with a peer that does not come again for so long is taken for mended.
pub const PROBLEM_LAPSE: Duration = Duration::from_secs(10);
/// Between two lines of the log about one who greets as a member and cannot be worked with, in milliseconds.
pub const PROBLEM_PAUSE_MS: u64 = 1_000;
/// A peer's host that acknowledges nothing for so long is taken for dead.
pub const DEAD_HOST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait of a dial to a peer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest silence of either side in the transfer of a snapshot.
pub const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);
/// A write that no leader took by then is refused with the reason.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(3);
/// How long a client bears a node that owes it an answer and says nothing. Above [`REQUEST_DEADLINE`], so that a node
/// without a quorum can say so; a short session timeout makes it shorter.
pub const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How long a client that was told of no quorum by one node waits for another, which answers at once if it has one.
pub const SECOND_OPINION_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a client without a session shows that it lives.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);
/// First and longest pause of a client between two rounds over its servers.
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(10);
/// See [`RECONNECT_PAUSE_MIN`].
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often a full disk is looked at again.
pub const DISK_FULL_POLL: Duration = Duration::from_millis(250);
/// Quiet time after which the log writes down that all of it is durable.
pub const LOG_SEAL_AFTER: Duration = Duration::from_secs(1);
/// Longest wait for the children and threads of a process at its end.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

const _: () = {
    assert!(COMMAND_BYTES_MAX > ZNODE_DATA_BYTES_MAX + PATH_BYTES_MAX, "a full znode with a full path is a command");
    assert!(CLIENT_FRAME_BYTES_MAX > COMMAND_BYTES_MAX, "every command fits a client's frame");
    assert!(APPEND_BYTES_MAX + COMMAND_BYTES_MAX < PEER_FRAME_BYTES_MAX, "every append fits a peer's frame");
    assert!(WINDOW_BYTES_MAX > APPEND_BYTES_MAX + COMMAND_BYTES_MAX, "a window holds an append");
    assert!(PINNED_LOG_BYTES_MAX > RETAINED_LOG_BYTES_MAX, "pinning keeps more");
    assert!(UNCOMMITTED_BYTES_MAX > WINDOW_BYTES_MAX, "admission never starves a window");
    assert!(TAGS_PER_FRAME_MAX * 9 + KIB < PEER_FRAME_BYTES_MAX, "a full frame of tags fits");
    assert!(SEGMENT_BYTES > 4 * (BATCH_BYTES_MAX + COMMAND_BYTES_MAX) as u64, "a segment holds several batches");
    assert!(CHILDREN_ASKED as usize <= CHILDREN_PAGE_MAX, "a page is as long as it was asked for");
    assert!(CHILDREN_PAGE_BYTES_MAX + CHILDREN_PAGE_MAX * 8 < CLIENT_FRAME_BYTES_MAX, "a page fits a frame");
    assert!(
        CLIENT_FRAME_BYTES_MAX + MULTI_OPERATIONS_MAX * 128 < ANSWER_FRAME_BYTES_MAX,
        "a multi's answer fits a frame"
    );
    assert!(SESSIONS_MAX * 40 < ANSWER_FRAME_BYTES_MAX, "all sessions fit a frame");
    assert!(PEER_OUTBOX_BYTES_MAX > WINDOW_BYTES_MAX + PEER_FRAME_BYTES_MAX, "a window fits a peer's outbox");
    assert!(REARM_BYTES_MAX + PATH_BYTES_MAX + 64 * KIB < CLIENT_FRAME_BYTES_MAX, "a re-arming fits a frame");
    assert!(
        PROBLEM_LAPSE.as_millis() > 2 * (INTRODUCTION_PAUSE.as_millis() + CONNECT_TIMEOUT.as_millis()),
        "a problem that stands is met again before it lapses"
    );
    assert!(SILENCE_MAX.as_millis() > REQUEST_DEADLINE.as_millis(), "a node without a quorum can say so");
    assert!(4 * (PATH_BYTES_MAX + 8) < CHUNK_KEY_BYTES_MAX, "a full chunk can be cut in two");
    assert!(SNAPSHOT_CHUNK_BYTES < PEER_FRAME_BYTES_MAX, "a chunk fits a frame");
};
