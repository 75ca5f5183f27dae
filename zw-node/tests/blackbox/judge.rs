//! The oracles: the clients' history against the committed sequence that the nodes' logs hold.
//!
//! Every answer carries its zxid, so nothing is searched: the sequence is replayed through the real tree and through the
//! simulator's naive model, which must agree on every reply, Stat and event; then each answer is looked up.
//!
//! | property | what must hold |
//! |---|---|
//! | SequentialSpecification | the tree replies to each entry as the model does |
//! | DigestAgreement | the replayed tree has the digest that all nodes had at the end |
//! | AcknowledgedIsCommitted | an acknowledged write is at its zxid, with its reply |
//! | RefusedIsNotDone | a write that was not taken is nowhere; one that the tree refused changed nothing |
//! | DeliveredOnce, OnlyWhatWasAsked | no write is there twice, none that no client sent |
//! | RealTimeOrder | a write that began after an answer has a greater zxid than that |
//! | LinearizableReads | a read after a sync is not older than any answer before the sync |
//! | SessionMonotoneReads | what a session sees never goes back |
//! | ReadContent | a read shows what the model has at its zxid |
//! | SessionOwnsEphemerals, ExpiredEarly | see below, and `zw_sim::invariants::ephemerals` |
//!
//! Unknown outcomes stay unknown: such a write may be there, once, or not.

use crate::operation::{Operation, Outcome, WatchSeen, What, told};
use crate::verdict::{Failure, ensure};
use crate::watching;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use zw_core::ids::{NodeId, SessionId, Zxid};
use zw_core::log::record::Entry;
use zw_core::tree::Tree;
use zw_core::tree::command::{Command, Envelope, EventKind, Reply, TreeError};
use zw_core::wire::client::ErrorCode;
use zw_sim::history::History;
use zw_sim::invariants::{Verdict, Violation, ephemerals};

/// Signs of life reach the leader a little after the write that they came with, or are lost with a link: an expiry may
/// be so much earlier than the session's last write would have it. A binding to a connection counts exactly.
const NEWS_MS_MAX: u64 = 2_000;

/// What the judges look at.
pub(crate) struct Evidence {
    pub(crate) operations: Vec<Operation>,
    pub(crate) watches: Vec<WatchSeen>,
    /// The committed sequence, up to what all nodes had applied at the end.
    pub(crate) sequence: Vec<Entry>,
    /// The nodes' digest there.
    pub(crate) digest: u64,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) entries: u64,
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    pub(crate) synced_reads: u64,
    pub(crate) watches_fired: u64,
    pub(crate) sessions: u64,
    pub(crate) expiries: u64,
    pub(crate) unknown_done: u64,
}

impl Checked {
    /// Each count with its name.
    pub(crate) fn lines(&self) -> [(&'static str, u64); 8] {
        [
            ("entries replayed", self.entries),
            ("writes", self.writes),
            ("writes of unknown outcome that were done", self.unknown_done),
            ("reads", self.reads),
            ("reads behind a sync", self.synced_reads),
            ("watches fired", self.watches_fired),
            ("sessions", self.sessions),
            ("sessions expired", self.expiries),
        ]
    }

    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: Checked) {
        self.entries += other.entries;
        self.writes += other.writes;
        self.unknown_done += other.unknown_done;
        self.reads += other.reads;
        self.synced_reads += other.synced_reads;
        self.watches_fired += other.watches_fired;
        self.sessions += other.sessions;
        self.expiries += other.expiries;
    }
}

/// The committed sequence, replayed.
pub(crate) struct Replayed {
    pub(crate) history: History,
    pub(crate) last: Zxid,
    replies: BTreeMap<Zxid, Result<Reply, TreeError>>,
    /// What clients sent, and where it is.
    requests: HashMap<(SessionId, Bytes), Zxid>,
    sessions: u64,
    expiries: u64,
}

/// Judges a run.
pub(crate) fn judge(evidence: &Evidence) -> Result<Checked, Failure> {
    let replayed = Replayed::new(&evidence.sequence, evidence.digest)?;
    let mut checked = Checked {
        entries: evidence.sequence.len() as u64,
        sessions: replayed.sessions,
        expiries: replayed.expiries,
        ..Checked::default()
    };
    let mut asked = HashSet::new();
    let mut later: HashMap<SessionId, Zxid> = HashMap::new();
    // Backwards, so that the next answer of the same session is known.
    for operation in evidence.operations.iter().rev() {
        in_order(operation)?;
        match &operation.what {
            What::Write(command) => {
                let key = key(operation.session, command);
                if !asked.insert(key.clone()) {
                    let text = format!("the clients sent {command:?} twice: the oracles cannot tell them apart");
                    return Err(Failure::Harness(text));
                }
                let found = replayed.requests.get(&key).copied();
                written(operation, command, found, &replayed)?;
                checked.writes += 1;
                checked.unknown_done += u64::from(matches!(operation.outcome, Outcome::Unknown(_)) && found.is_some());
            }
            What::Read { path, synced, .. } => {
                let next = later.get(&operation.session).copied().unwrap_or(replayed.last);
                let was_checked = read(operation, path, next, &replayed)?;
                checked.reads += u64::from(was_checked);
                checked.synced_reads += u64::from(was_checked && *synced);
            }
        }
        if let Some(zxid) = operation.outcome.zxid() {
            later.insert(operation.session, zxid);
        }
    }
    let invented = replayed.requests.iter().find(|(key, _)| !asked.contains(*key));
    if let Some(((session, _), zxid)) = invented {
        let text = format!("no client of session {session} sent what is committed at {zxid}");
        return Err(Violation::new("OnlyWhatWasAsked", text).into());
    }
    checked.watches_fired = watching::check(&evidence.watches, &replayed)?;
    Ok(checked)
}

/// What makes a client's write recognisable in the log: the workload never sends the same twice in a session.
fn key(session: SessionId, command: &Command) -> (SessionId, Bytes) {
    let envelope =
        Envelope { origin: NodeId(0), tag: 0, session: SessionId::NONE, generation: 0, command: command.clone() };
    (session, envelope.encode())
}

impl Replayed {
    /// Replays the sequence through the tree and the model; in the end the tree must have the `digest`.
    pub(crate) fn new(sequence: &[Entry], digest: u64) -> Result<Replayed, Violation> {
        let mut tree = Tree::new();
        let mut sessions = Sessions::default();
        let (history, replies, requests) = (History::default(), BTreeMap::new(), HashMap::new());
        let mut replayed = Replayed { history, last: Zxid::ZERO, replies, requests, sessions: 0, expiries: 0 };
        for entry in sequence {
            let (zxid, time_ms) = (entry.zxid(), entry.time_ms());
            replayed.last = zxid;
            let Some((envelope, applied)) = tree.apply_entry(entry) else { continue };
            replayed.history.committed(zxid, time_ms, &envelope, &applied)?;
            sessions.committed(&envelope, time_ms, &applied.reply, &tree)?;
            if envelope.session != SessionId::NONE {
                let before = replayed.requests.insert(key(envelope.session, &envelope.command), zxid);
                let what = &envelope.command;
                ensure!(before.is_none(), "DeliveredOnce", "{what:?} is committed at {before:?} and at {zxid}");
            }
            replayed.replies.insert(zxid, applied.reply);
        }
        ephemerals::check(0, &tree)?;
        let (last, found) = (tree.applied(), tree.digest());
        ensure!(found == digest, "DigestAgreement", "the logs make {found:x} of {last}, the nodes had {digest:x}");
        (replayed.sessions, replayed.expiries) = (sessions.opened, sessions.expired);
        Ok(replayed)
    }
}

/// ExpiredEarly: by the leaders' own clocks, which are one machine's, a session is not ended for silence before its
/// timeout has passed since it was bound to a connection, nor long before that since its last write.
#[derive(Default)]
struct Sessions {
    alive: BTreeMap<SessionId, Alive>,
    opened: u64,
    expired: u64,
}

struct Alive {
    timeout_ms: u64,
    bound_ms: u64,
    wrote_ms: u64,
}

impl Sessions {
    fn committed(
        &mut self,
        envelope: &Envelope,
        time_ms: u64,
        reply: &Result<Reply, TreeError>,
        tree: &Tree,
    ) -> Verdict {
        let Ok(reply) = reply else { return Ok(()) };
        if let Reply::Session(granted) = reply {
            self.opened += u64::from(granted.generation == 1);
            let timeout_ms = u64::from(granted.timeout_ms);
            self.alive.insert(granted.session, Alive { timeout_ms, bound_ms: time_ms, wrote_ms: time_ms });
        }
        if let Some(alive) = self.alive.get_mut(&envelope.session) {
            alive.wrote_ms = time_ms;
        }
        let Command::CloseSession(close) = &envelope.command else { return Ok(()) };
        ephemerals::ended(0, tree, close.session)?;
        let Some(Alive { timeout_ms, bound_ms, wrote_ms }) = self.alive.remove(&close.session) else { return Ok(()) };
        self.expired += u64::from(close.expired);
        let least = (bound_ms + timeout_ms).max((wrote_ms + timeout_ms).saturating_sub(NEWS_MS_MAX));
        let early = close.expired && time_ms < least;
        let (session, early_ms) = (close.session, least.saturating_sub(time_ms));
        ensure!(!early, "ExpiredEarly", "session {session} is ended {early_ms} ms before its {timeout_ms} ms are over");
        Ok(())
    }
}

/// What can be told from an operation alone, while the run goes on.
pub(crate) fn in_order(operation: &Operation) -> Verdict {
    let Operation { floor, seen, .. } = operation;
    match (&operation.outcome, &operation.what) {
        (Outcome::Written(zxid, _), _) => {
            ensure!(zxid > floor, "RealTimeOrder", "a write that began after an answer of {floor} is done at {zxid}");
            ensure!(zxid > seen, "SessionMonotoneReads", "a session that has seen {seen} writes at {zxid}");
        }
        (Outcome::Read(zxid, _), What::Read { path, synced, .. }) => {
            ensure!(zxid >= seen, "SessionMonotoneReads", "{path} is read at {zxid} by one who has seen {seen}");
            let fresh = !synced || zxid >= floor;
            ensure!(fresh, "LinearizableReads", "{path} is read at {zxid} though {floor} was seen before the sync");
        }
        _ => {}
    }
    Ok(())
}

fn written(operation: &Operation, command: &Command, found: Option<Zxid>, replayed: &Replayed) -> Verdict {
    let reply = found.map(|zxid| &replayed.replies[&zxid]);
    match &operation.outcome {
        Outcome::Written(zxid, answer) => {
            let same = found == Some(*zxid);
            ensure!(same, "AcknowledgedIsCommitted", "{command:?} is acknowledged as {zxid}, committed as {found:?}");
            let same = reply.is_some_and(|reply| reply.as_ref() == Ok(answer));
            ensure!(same, "AcknowledgedIsCommitted", "{zxid} is answered {answer:?}, its entry makes {reply:?}");
        }
        Outcome::RefusedByTree(code, text) => {
            let ends = matches!(code, ErrorCode::SessionExpired | ErrorCode::SessionMoved);
            let as_told = match reply {
                Some(Err(error)) => told(error) == (*code, text.clone()) || (ends && told(error).0 == *code),
                Some(Ok(_)) => false,
                // A connection that lost its session is told so without an entry.
                None => ends,
            };
            ensure!(as_told, "RefusedIsNotDone", "{command:?} is refused with {text:?}, its entry makes {reply:?}");
        }
        Outcome::NotDone(text) => {
            ensure!(found.is_none(), "RefusedIsNotDone", "{command:?} was not taken ({text}), but is at {found:?}");
        }
        _ => {}
    }
    let later = found.is_none_or(|zxid| zxid > operation.floor);
    ensure!(later, "RealTimeOrder", "{command:?} began after {} and is at {found:?}", operation.floor);
    Ok(())
}

/// Whether there was something to check.
fn read(operation: &Operation, path: &str, next: Zxid, replayed: &Replayed) -> Result<bool, Violation> {
    let What::Read { look, synced, .. } = &operation.what else { return Ok(false) };
    let floor = if *synced { operation.floor.max(operation.seen) } else { operation.seen };
    match &operation.outcome {
        Outcome::Read(zxid, result) => {
            let last = replayed.last;
            ensure!(*zxid <= last, "ReadContent", "{path} is read at {zxid}, the committed sequence ends at {last}");
            let property = if *synced { "LinearizableReads" } else { "SessionMonotoneReads" };
            replayed.history.read(property, (path, look), *zxid, result, floor)?;
            Ok(true)
        }
        Outcome::Missing => {
            let events = replayed.history.events();
            let from = events.partition_point(|event| event.zxid <= floor);
            let mut until = events[from..].iter().take_while(|event| event.zxid <= next);
            let was_missing = replayed.history.model().at(floor, path).is_none()
                || until.any(|event| event.kind == EventKind::Deleted && event.path == path);
            ensure!(was_missing, "ReadContent", "{path} is said to be missing, but is there from {floor} to {next}");
            Ok(true)
        }
        _ => Ok(false),
    }
}
