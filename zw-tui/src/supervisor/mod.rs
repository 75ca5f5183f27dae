//! Starts, signals, watches and ends the child processes: no orphan, ever.
//!
//! Invariants:
//! - All spawns come from one std thread that lives as long as the process: the parent-death signal of a child is tied
//!   to the thread that spawned it.
//! - Only that thread signals a child, and only before it reaped it: a pid that was given anew is never hit.
//! - Every child leads a process group of its own; what the child forked goes with it.
//! - A child ends with the console by four means, each enough alone: the ordered stop, the parent-death signal that the
//!   child asks for (`--die-with-parent`), the end of its stdin, and the run file that the next console reads.

mod child;
mod output;
mod port;
mod run_file;
mod thread;

pub use output::Output;
pub use port::{owner_of_port, why_taken};
pub use run_file::{RunFile, RunFileError};

use crate::member::Member;
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
#[derive(Clone, Debug)]
pub struct ChildPlan {
    /// Its name.
    pub member: Member,
    /// The program.
    pub program: PathBuf,
    /// The name under which it shows in the process list.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The port it will listen on; checked before each start.
    pub port: u16,
    /// Where its stderr goes.
    pub log: PathBuf,
}

/// What the console asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// A change, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The child; none for [`Change::AllStopped`].
    pub member: Option<Member>,
    /// What happened.
    pub change: Change,
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
}

/// The handle on the supervisor's thread. Dropping it does not stop the children.
#[derive(Clone, Debug)]
pub struct Supervisor {
    inbox: SyncSender<thread::Message>,
    stopped: Arc<Latch>,
    outputs: Arc<BTreeMap<Member, Output>>,
}

impl Supervisor {
    /// Takes the run file (none if there is nothing to start), ends what an earlier console left behind, and waits for orders. `report` must not block.
    ///
    /// # Errors
    /// Another console owns the directory, or it cannot be written.
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
        Ok(Supervisor { inbox, stopped, outputs })
    }

    /// Gives an order. It is carried out soon; the outcome comes as a report.
    pub fn order(&self, order: Order) {
        // The thread ends only with the process, so the only failure is a panic of it, and then the children are gone.
        if self.inbox.send(thread::Message::Order(order)).is_err() {
            tracing::error!(?order, "the supervisor's thread is gone");
            self.stopped.open();
        }
    }

    /// Waits until the ordered stop is over; false if that took longer than `deadline`.
    #[must_use]
    pub fn wait_stopped(&self, deadline: Duration) -> bool {
        self.stopped.wait(deadline)
    }

    /// What a child printed.
    #[must_use]
    pub fn output(&self, member: Member) -> Option<&Output> {
        self.outputs.get(&member)
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
