//! The clients: sessions of the real client, each with one request at a time, on a small tree that all of them fight over.
//!
//! Fault model: a client stays with one node or takes any; it ends its session properly, or vanishes so that the session
//! must expire; it loses its session to a fault and opens another. No write is ever sent a second time, and within a
//! session no two are equal, so that each can be recognised in the log.

use crate::judge::in_order;
use crate::operation::{Micros, Operation, Outcome, WatchSeen, What};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zw_core::client::{Client, ClientError, ClientOptions, Watch};
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::Page;
use zw_core::tree::command::{Acl, CloseSession, Command, Create, CreateMode, TreeEvent};
use zw_core::tree::watch::WatchKind;
use zw_core::wire::client::{Answer, Children, Operation as Request, Ping, Read};
use zw_sim::history::{Look, ReadResult};
use zw_sim::invariants::Violation;

pub(crate) const REGISTERS: u64 = 8;
/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What all clients share: the history as it grows.
pub(crate) struct Record {
    began: Instant,
    /// The greatest zxid in any answer.
    newest: AtomicU64,
    ends: AtomicBool,
    history: Mutex<Histories>,
}

/// What was recorded.
#[derive(Default)]
pub(crate) struct Histories {
    pub(crate) operations: Vec<Operation>,
    pub(crate) watches: Vec<WatchSeen>,
    /// The first violation that could be told at once.
    pub(crate) violation: Option<Violation>,
}

impl Record {
    pub(crate) fn new() -> Record {
        Record {
            began: Instant::now(),
            newest: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            history: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, Histories> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clients end after what they are at.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    fn newest(&self) -> Zxid {
        Zxid(self.newest.load(Ordering::SeqCst))
    }

    fn answered(&self, operation: Operation) {
        if let Some(zxid) = operation.outcome.zxid() {
            self.newest.fetch_max(zxid.0, Ordering::SeqCst);
        }
        let mut history = self.history();
        if let Err(violation) = in_order(&operation) {
            history.violation.get_or_insert(violation);
        }
        history.operations.push(operation);
    }
}

/// How a client's session is opened.
pub(crate) fn options(servers: &[String], timeout: Duration) -> ClientOptions {
    ClientOptions { request_timeout: REQUEST_TIMEOUT, ..ClientOptions::to(servers).with_session(timeout) }
}

/// One session of a client.
pub(crate) struct Actor<'a> {
    pub(crate) record: &'a Record,
    client: Client,
    session: SessionId,
    seen: Zxid,
    watches: Vec<Armed>,
    /// The session, or the client, is of no more use.
    pub(crate) is_over: bool,
}

/// A watch that has not fired.
struct Armed {
    seen: WatchSeen,
    fires: std::pin::Pin<Box<dyn Future<Output = Result<TreeEvent, ClientError>> + Send>>,
}

impl<'a> Actor<'a> {
    /// Opens a session.
    pub(crate) async fn open(record: &'a Record, options: ClientOptions) -> Result<Actor<'a>, ClientError> {
        let client = Client::connect(options).await?;
        let session = client.session().ok_or(ClientError::SessionExpired)?;
        Ok(Actor { record, client, session, seen: Zxid::ZERO, watches: Vec::new(), is_over: false })
    }

    /// Sends a request and records what came of it.
    async fn request(&mut self, what: What, request: Request, floor: Zxid) -> Outcome {
        let (start, seen) = (self.record.now(), self.seen);
        let answer = self.client.request(request).await;
        let outcome = match (answer, &what) {
            (Ok((zxid, answer)), _) => outcome(zxid, answer),
            (Err(error), What::Write(_)) => {
                self.is_over |= ends(&error);
                Outcome::of_write(&error)
            }
            (Err(error), What::Read { .. }) => {
                self.is_over |= ends(&error);
                Outcome::of_read(&error)
            }
        };
        let (session, end) = (self.session, self.record.now());
        let operation = Operation { session, start, end, floor, seen, what, outcome: outcome.clone() };
        self.record.answered(operation);
        if let Some(zxid) = outcome.zxid() {
            self.saw(zxid);
        }
        outcome
    }

    /// The client was answered at `zxid`: what its watches should have told is there.
    fn saw(&mut self, zxid: Zxid) {
        self.seen = self.seen.max(zxid);
        let armed = std::mem::take(&mut self.watches);
        for mut watch in armed {
            match futures_util::FutureExt::now_or_never(&mut watch.fires) {
                Some(Ok(event)) => {
                    watch.seen.event = Some(event);
                    self.record.history().watches.push(watch.seen);
                }
                Some(Err(_)) => self.record.history().watches.push(watch.seen),
                None => {
                    watch.seen.quiet_until = watch.seen.quiet_until.max(zxid);
                    self.watches.push(watch);
                }
            }
        }
    }

    /// A write.
    pub(crate) async fn write(&mut self, command: Command) -> Outcome {
        let floor = self.record.newest();
        self.request(What::Write(command.clone()), Request::Write(command), floor).await
    }

    /// A read, behind a sync if it must be linearizable.
    pub(crate) async fn read(&mut self, path: &str, look: Look, synced: bool) -> Outcome {
        let floor = self.record.newest();
        if synced {
            match self.client.request(Request::Sync(Ping)).await {
                Ok((zxid, _)) => self.saw(zxid),
                Err(error) => {
                    self.is_over |= ends(&error);
                    return Outcome::Failed(error.to_string());
                }
            }
        }
        let path = path.to_owned();
        let read = Read { path: path.clone(), watch: false };
        let request = match &look {
            Look::Get => Request::Get(read),
            Look::Exists => Request::Exists(read),
            Look::Children { .. } => Request::Children(Children {
                path: path.clone(),
                watch: false,
                after: String::new(),
                limit: 0,
                with_stat: false,
            }),
        };
        self.request(What::Read { path, look, synced }, request, floor).await
    }

    /// Leaves a one-shot watch, and reads once more so that its place in the order is known.
    pub(crate) async fn watch(&mut self, path: &str, kind: WatchKind) {
        let after = self.seen;
        let left: Result<(WatchKind, Watch), ClientError> = match kind {
            WatchKind::Exists => self.client.exists_watch(path).await.map(|(stat, watch)| {
                // On a znode that is there, it is a watch of the data.
                (if stat.is_some() { WatchKind::Data } else { kind }, watch)
            }),
            WatchKind::Children => self.client.children_watch(path).await.map(|(_, watch)| (kind, watch)),
            _ => self.client.get_watch(path).await.map(|(_, _, watch)| (kind, watch)),
        };
        let Ok((kind, watch)) = left else { return };
        if let Outcome::Read(armed_by, _) = self.read(path, Look::Exists, false).await {
            let path = path.to_owned();
            let seen = WatchSeen { kind, path, after, armed_by, quiet_until: Zxid::ZERO, event: None };
            self.watches.push(Armed { seen, fires: Box::pin(watch.fired()) });
        }
    }

    /// Ends the session.
    pub(crate) async fn close(&mut self) {
        let close = CloseSession { session: self.session, expired: false, generation: 0 };
        self.write(Command::CloseSession(close)).await;
        self.is_over = true;
    }

    /// Notes the watches that never fired.
    pub(crate) fn leave(&mut self) {
        let watches = std::mem::take(&mut self.watches).into_iter().map(|watch| watch.seen);
        self.record.history().watches.extend(watches);
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    pub(crate) fn watches(&self) -> usize {
        self.watches.len()
    }
}

/// Whether a client cannot go on after this error.
fn ends(error: &ClientError) -> bool {
    matches!(error, ClientError::SessionExpired | ClientError::Closed)
}

fn outcome(zxid: Zxid, answer: Answer) -> Outcome {
    match answer {
        Answer::Written(reply) => Outcome::Written(zxid, reply),
        Answer::Data(data) => Outcome::Read(zxid, ReadResult::Data(Ok((data.data, data.stat)))),
        Answer::Stat(stat) => Outcome::Read(zxid, ReadResult::Stat(Ok(stat))),
        Answer::Children(page) => {
            let page = Page { names: page.names, stats: page.stats, stat: page.stat, more: page.more };
            Outcome::Read(zxid, ReadResult::Children(Ok(page)))
        }
        other => Outcome::Unknown(format!("an answer of kind {}", other.kind())),
    }
}

/// A create of a znode that everybody may change.
pub(crate) fn create(path: String, data: impl Into<Bytes>, mode: CreateMode) -> Command {
    Command::Create(Create { path, data: data.into(), acl: Acl::open(), mode, ttl_ms: 0 })
}

/// What all clients work on.
pub(crate) fn foundation() -> Vec<Command> {
    let fixed = ["/t", "/t/e", "/t/q"].map(str::to_owned).into_iter();
    let registers = (0..REGISTERS).map(|number| format!("/t/r{number}"));
    fixed.chain(registers).map(|path| create(path, "0", CreateMode::Persistent)).collect()
}
