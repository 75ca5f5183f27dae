//! Starts, signals, watches and ends the child processes: no orphan, ever.
//!
//! Invariants:
//! - All spawns come from one std thread that lives as long as the process: the parent-death signal of a child is tied
//!   to the thread that spawned it.
//! - Only that thread signals a child, and only before it reaped it: a pid that was given anew is never hit.
//! - Every child leads a process group of its own; what the child forked goes with it.
//! - The console's children are a keeper's ([`keeper`]) if it has a screen, so that they can outlive it; else its own.
//! - A child ends with its parent by four means, each enough alone: the ordered stop, the parent-death signal that the
//!   child asks for (`--die-with-parent`), the end of its stdin, and the run file that the next console reads.

mod child;
pub mod keeper;
mod output;
mod port;
mod run_file;
mod thread;

pub use output::Output;
pub use port::{owner_of_port, why_taken};
pub use run_file::{RunFile, RunFileError};

use crate::launch::Launch;
use crate::member::Member;
use keeper::{Caller, Clocks, Kept, Line};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a child may take to end politely.
pub const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long the ordered stop of all may take; then the process exits anyway and the kernel kills what is left.
pub const STOP_ALL_DEADLINE: Duration = Duration::from_secs(5);
/// How long the last child (the leader) is spared while the others stop.
const STOP_LAST_AFTER: Duration = Duration::from_millis(500);
/// Messages that wait for the supervisor's thread: far more than all children and keys can make at once.
const INBOX_MAX: usize = 1_024;

/// One child: how to start it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChildPlan {
    /// Its name.
    pub member: Member,
    /// The program.
    #[serde(with = "os_path")]
    pub program: PathBuf,
    /// The name under which it shows in the process list.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The port it will listen on; checked before each start.
    pub port: u16,
    /// Where its stderr goes.
    #[serde(with = "os_path")]
    pub log: PathBuf,
}

/// Paths of any bytes, where serde itself takes only text.
pub(crate) mod os_path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().to_owned().serialize(serializer)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}

/// What the console asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start it, or start it again.
    Start(Member),
    /// SIGKILL, to its group.
    Kill(Member),
    /// SIGTERM, and SIGKILL after [`STOP_GRACE`].
    Stop(Member),
    /// SIGSTOP, to its group.
    Pause(Member),
    /// SIGCONT, to its group.
    Resume(Member),
    /// Stop all of them, this one last.
    StopAll {
        /// The leader, if one is known.
        last: Option<Member>,
    },
    /// SIGKILL to all, now.
    KillAll,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether the process itself had something to complain about. Signals that people and systems send to end processes
    /// say nothing about it; SIGABRT and its kin do.
    #[must_use]
    pub fn is_own_error(self) -> bool {
        match self {
            Exit::Code(code) => code != 0,
            Exit::Signal(signal) => ![Signal::HUP, Signal::INT, Signal::QUIT, Signal::KILL, Signal::TERM]
                .iter()
                .any(|sent| sent.as_raw() == signal),
        }
    }
}

impl fmt::Display for Exit {
    /// As shells count: a signal is 128 and its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit {code}"),
            Exit::Signal(signal) => write!(f, "exit {}", 128 + signal),
        }
    }
}

/// What we had asked of a child before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// Nothing: it ended by itself or by somebody else.
    Nothing,
    /// To stop.
    Stop,
    /// We killed it.
    Kill,
    /// It did not stop in time, so we killed it.
    KillAfterGrace,
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It was spawned.
    Spawned {
        /// Its process id.
        pid: u32,
    },
    /// It says that it accepts connections.
    Listening,
    /// SIGTERM was sent.
    Stopping,
    /// It was stopped with SIGSTOP.
    Paused,
    /// It goes on.
    Resumed,
    /// It did not stop in time; SIGKILL was sent.
    GraceOver,
    /// It is gone and reaped.
    Exited {
        /// How.
        exit: Exit,
        /// Whether that was our wish.
        asked: Asked,
        /// What it said last, if the end is an error of its own.
        words: Option<String>,
    },
    /// It could not be started; for a person.
    Failed(String),
    /// The order makes no sense now; for a person.
    Refused(String),
    /// The ordered stop is over; this many could not be ended in time.
    AllStopped {
        /// How many are left to the kernel.
        left: usize,
    },
    /// The keeper goes on without the console.
    LetGo,
    /// The keeper cannot go on without the console; for a person.
    Held(String),
    /// The keeper ended, and the children with it.
    KeeperGone {
        /// Its process id.
        pid: u32,
    },
}

/// A change, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The child; none for what concerns all of them.
    pub member: Option<Member>,
    /// What happened.
    pub change: Change,
}

/// What comes from a supervisor that is another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A child changed.
    Report(Report),
    /// What a child printed.
    Printed {
        /// Which.
        member: Member,
        /// The lines that are kept, oldest first.
        lines: Vec<String>,
        /// Lines that it ever printed.
        total: u64,
    },
}

/// Why the supervisor could not start.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// See [`RunFileError`].
    #[error(transparent)]
    RunFile(#[from] RunFileError),
    /// The thread could not be made.
    #[error("cannot start the supervisor's thread: {0}")]
    Thread(std::io::Error),
    /// There is no keeper.
    #[error("cannot start the processes' keeper: {0}")]
    Keeper(std::io::Error),
    /// The keeper is not to be had.
    #[error("cannot come back to the detached processes: {0}; another try may help")]
    Adoption(std::io::Error),
}

/// The handle on the supervisor. Dropping it does not stop the children.
#[derive(Clone, Debug)]
pub struct Supervisor(Place);

/// Where it is.
#[derive(Clone, Debug)]
enum Place {
    /// A thread of this process.
    Here { inbox: SyncSender<thread::Message>, stopped: Arc<Latch>, outputs: Arc<BTreeMap<Member, Output>> },
    /// A keeper.
    Kept(Arc<Line>),
}

impl Supervisor {
    /// Takes the run file (none if there is nothing to start), and waits for orders on a thread of this process. `report` must
    /// not block.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(
        run_file: impl Into<Option<RunFile>>,
        plans: Vec<ChildPlan>,
        report: impl Fn(Report) + Send + 'static,
    ) -> Result<Supervisor, SupervisorError> {
        let (inbox, messages) = sync_channel(INBOX_MAX);
        let stopped = Arc::new(Latch::default());
        let outputs: BTreeMap<Member, Output> =
            plans.iter().map(|plan| (plan.member, Output::new(plan.log.clone()))).collect();
        let outputs = Arc::new(outputs);
        let thread = thread::Thread::new(
            run_file.into(),
            plans,
            thread::Links {
                report: Box::new(report),
                outputs: Arc::clone(&outputs),
                inbox: inbox.clone(),
                stopped: Arc::clone(&stopped),
            },
        );
        std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || thread.run(&messages))
            .map_err(SupervisorError::Thread)?;
        Ok(Supervisor(Place::Here { inbox, stopped, outputs }))
    }

    /// Starts a keeper. Only from the main thread: the keeper is killed with the thread that started it. `tell` must not block.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn keep(
        run_file: RunFile,
        launch: &Launch,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> Result<Supervisor, SupervisorError> {
        keeper::spawn(run_file, launch, Box::new(tell)).map(|line| Supervisor(Place::Kept(line)))
    }

    /// A detached keeper that is about to be taken over by [`Supervisor::adopt`]: until then no order does anything, and it
    /// stays detached whatever happens. `tell` must not block.
    ///
    /// # Errors
    /// The system refuses something.
    pub fn of_caller(
        caller: Caller,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> Result<(Supervisor, Kept), SupervisorError> {
        let (line, kept) = caller.stay(Box::new(tell)).map_err(SupervisorError::Adoption)?;
        Ok((Supervisor(Place::Kept(line)), kept))
    }

    /// Takes the detached keeper over: from now on the children are this console's, and end with it.
    ///
    /// # Errors
    /// It is gone, or waited for too long.
    pub fn adopt(&self) -> Result<(), SupervisorError> {
        match &self.0 {
            Place::Here { .. } => Ok(()),
            Place::Kept(line) => line.adopt().map_err(SupervisorError::Adoption),
        }
    }

    /// Gives an order. It is carried out soon; the outcome comes as a report.
    pub fn order(&self, order: Order) {
        match &self.0 {
            Place::Here { inbox, stopped, .. } => {
                // The thread ends only with the process, so the only failure is a panic of it, and then the children are gone.
                if inbox.send(thread::Message::Order(order)).is_err() {
                    tracing::error!(?order, "the supervisor's thread is gone");
                    stopped.open();
                }
            }
            Place::Kept(line) => line.order(order),
        }
    }

    /// Waits until the ordered stop is over, and with it the keeper; false if that took longer than `deadline`.
    #[must_use]
    pub fn wait_stopped(&self, deadline: Duration) -> bool {
        match &self.0 {
            Place::Here { stopped, .. } => stopped.wait(deadline),
            Place::Kept(line) => line.wait_stopped(deadline),
        }
    }

    /// What a child of this process printed.
    #[must_use]
    pub fn output(&self, member: Member) -> Option<&Output> {
        match &self.0 {
            Place::Here { outputs, .. } => outputs.get(&member),
            Place::Kept(_) => None,
        }
    }

    /// What a child printed, and how many lines that ever were. None if that is `known`, or if it is told later.
    #[must_use]
    pub fn printed(&self, member: Member, known: Option<u64>) -> Option<(Vec<String>, u64)> {
        match &self.0 {
            Place::Here { outputs, .. } => outputs.get(&member)?.news(known),
            Place::Kept(line) => {
                line.ask_printed(member, known);
                None
            }
        }
    }

    /// Lets the children go on without this console; the answer comes as a report. Nothing happens without a keeper.
    pub fn detach(&self, clocks: Clocks) {
        if let Place::Kept(line) = &self.0 {
            line.detach(clocks);
        }
    }

    /// If the children go on without this console: their keeper's pid, and how many they are.
    #[must_use]
    pub fn detached(&self) -> Option<(u32, usize)> {
        match &self.0 {
            Place::Kept(line) if line.is_detached() => Some((line.pid(), line.living())),
            Place::Here { .. } | Place::Kept(_) => None,
        }
    }

    /// Notes which process the children belong to, for whoever asks for their directory.
    pub(crate) fn belong_to(&self, pid: u32) {
        if let Place::Here { inbox, .. } = &self.0 {
            let _ = inbox.send(thread::Message::BelongTo(pid));
        }
    }
}

/// Opens once; threads can wait for it.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_open {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            is_open = self.opened.wait_timeout(is_open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
