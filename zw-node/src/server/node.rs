//! What all parts of a node share.
//!
//! Invariants:
//! - Only the core writes the tree, whichever thread runs its round. It fires watches and posts their events before it lets go of the write lock.
//! - Locks are taken in this order: tree, watches, mailbox; none is held across an await.

use super::clock::Clock;
use super::config::Config;
use super::faults::Faults;
use super::inbox::Inbox;
use super::locks::lock;
use super::metrics::Metrics;
use super::trace::Trace;
use crate::connection::mailbox::Mailbox;
use crate::peer::Peers;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use zw_core::ids::{ConnectionId, Epoch, NodeId, SessionId, Zxid};
use zw_core::limits::{
    CLIENT_WRITES_BYTES_MAX, CONNECTIONS_MAX, DIGESTS_REMEMBERED_MAX, SOCKETS_MAX, STATUS_EPOCH_ENDS_MAX,
    TOUCHED_SESSIONS_MAX,
};
use zw_core::tree::Tree;
use zw_core::tree::watch::Watches;
use zw_core::zab::effects::Role;

/// A running node.
pub(crate) struct Node {
    /// What it was started with.
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// The replicated state, as far as this node has applied the log.
    pub(crate) tree: RwLock<Tree>,
    /// The watches of this node's clients.
    pub(crate) watches: Mutex<Watches>,
    /// What waits for the core.
    pub(crate) inbox: Inbox,
    pub(crate) peers: Peers,
    pub(crate) clients: Clients,
    /// What the core last said about itself.
    pub(crate) view: Mutex<View>,
    pub(crate) digests: Mutex<Digests>,
    /// Sessions that gave a sign of life since the core last asked.
    pub(crate) touches: Mutex<Vec<SessionId>>,
    pub(crate) metrics: Metrics,
    pub(crate) trace: Trace,
    pub(crate) faults: Faults,
    /// Bytes of this node's clients' writes that are under way.
    pub(crate) writes_bytes: AtomicUsize,
    /// Places for connections of all kinds.
    pub(crate) sockets: Arc<Semaphore>,
    /// Snapshots that are being sent.
    pub(crate) transfers: AtomicUsize,
    /// The next tag of a write. It starts at a random number, so that an entry of a former process of this node is
    /// never taken for the answer to a request of this one.
    tags: AtomicU64,
    /// Cancelled when the node has, for the first time since its start, applied what a leader began with. Before that
    /// its tree is older than what it has answered in its former life.
    pub(crate) served: CancellationToken,
    /// Cancelled when the node stops: nothing new is begun.
    pub(crate) stopping: CancellationToken,
}

/// The protocol's state as others may see it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) leader: Option<NodeId>,
    pub(crate) epoch: Epoch,
    pub(crate) last_zxid: Zxid,
    pub(crate) committed: Zxid,
    pub(crate) serving: bool,
    /// Requests that wait for the core or the ensemble.
    pub(crate) queue: usize,
    pub(crate) disk_full: bool,
    /// On a leader: what each peer has acknowledged.
    pub(crate) acked: Vec<(NodeId, Zxid)>,
    /// The last zxid of each of the newest epochs in the log, ascending; zeros before them. An array, because it is
    /// told after every round of the core.
    pub(crate) epoch_ends: [Zxid; STATUS_EPOCH_ENDS_MAX],
}

/// The newest of these, with zeros before them.
pub(crate) fn newest_ends(ends: &[Zxid]) -> [Zxid; STATUS_EPOCH_ENDS_MAX] {
    let mut newest = [Zxid::ZERO; STATUS_EPOCH_ENDS_MAX];
    for (slot, end) in newest.iter_mut().rev().zip(ends.iter().rev()) {
        *slot = *end;
    }
    newest
}

/// The digests of this node's own past, one each interval.
#[derive(Default)]
pub(crate) struct Digests(VecDeque<(Zxid, u64)>);

impl Digests {
    pub(crate) fn remember(&mut self, zxid: Zxid, digest: u64) {
        if self.0.len() == DIGESTS_REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((zxid, digest));
    }

    pub(crate) fn at(&self, zxid: Zxid) -> Option<u64> {
        self.0.iter().rev().find(|(at, _)| *at == zxid).map(|(_, digest)| *digest)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Node {
    pub(crate) fn new(config: Config, tree: Tree, first_tag: u64, view: View) -> Node {
        Node {
            config,
            clock: Clock::start(),
            tree: RwLock::new(tree),
            watches: Mutex::default(),
            inbox: Inbox::default(),
            peers: Peers::default(),
            clients: Clients::default(),
            view: Mutex::new(view),
            digests: Mutex::default(),
            touches: Mutex::default(),
            metrics: Metrics::default(),
            trace: Trace::default(),
            faults: Faults::default(),
            writes_bytes: AtomicUsize::new(0),
            sockets: Arc::new(Semaphore::new(SOCKETS_MAX)),
            transfers: AtomicUsize::new(0),
            tags: AtomicU64::new(first_tag),
            served: CancellationToken::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Takes `count` tags that nobody else has, and gives the first.
    pub(crate) fn take_tags(&self, count: u64) -> u64 {
        self.tags.fetch_add(count, Ordering::Relaxed)
    }

    /// Makes room for a client's write of `bytes`; false if too much is under way on this node, of clients that are here
    /// and of those that have left. Each success needs one [`Node::finish_write`].
    pub(crate) fn admit_write(&self, bytes: usize) -> bool {
        let admitted = self.writes_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= CLIENT_WRITES_BYTES_MAX;
        if !admitted {
            self.finish_write(bytes);
        }
        admitted
    }

    /// A client's write of `bytes` was answered, or will not be proposed.
    pub(crate) fn finish_write(&self, bytes: usize) {
        let before = self.writes_bytes.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "a write is finished once");
    }

    /// A session gave a sign of life on this node.
    pub(crate) fn touch(&self, session: SessionId) {
        let mut touches = lock(&self.touches);
        if touches.len() < TOUCHED_SESSIONS_MAX {
            touches.push(session);
        }
    }
}

/// The clients of a node.
#[derive(Default)]
pub(crate) struct Clients {
    last: AtomicU64,
    mailboxes: Mutex<BTreeMap<ConnectionId, Arc<Mailbox>>>,
}

impl Clients {
    /// Takes in a new client, unless there are too many.
    pub(crate) fn enter(&self) -> Option<Arc<Mailbox>> {
        let id = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let mut mailboxes = lock(&self.mailboxes);
        if mailboxes.len() >= CONNECTIONS_MAX {
            return None;
        }
        let mailbox = Arc::new(Mailbox::new(id));
        mailboxes.insert(id, mailbox.clone());
        Some(mailbox)
    }

    /// Forgets a client that has left.
    pub(crate) fn leave(&self, id: ConnectionId) {
        lock(&self.mailboxes).remove(&id);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.mailboxes).len()
    }

    /// Runs `act` with the mailboxes of these clients.
    pub(crate) fn with_each(&self, ids: &[ConnectionId], mut act: impl FnMut(&Arc<Mailbox>)) {
        let mailboxes = lock(&self.mailboxes);
        ids.iter().filter_map(|id| mailboxes.get(id)).for_each(&mut act);
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self, why: &'static str) {
        lock(&self.mailboxes).values().for_each(|mailbox| mailbox.close(why));
    }
}
