//! The console's end of the line to its keeper.
//!
//! Invariants:
//! - Nothing here waits for the keeper but the thread that listens to it, and whoever waits for its end.
//! - A keeper that ends takes the children along; the console learns of that as of any other end of theirs.

use super::wire::{Clocks, Down, Greeting, Kept, PROTOCOL, Standing, Up};
use super::{NAME, door, frame};
use crate::launch::{Launch, own_program};
use crate::member::Member;
use crate::supervisor::{Asked, Change, Exit, Latch, Order, Report, RunFile, SupervisorError, Told};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a keeper may take to greet. The console is not on the screen yet.
const GREETING_TIME: Duration = Duration::from_secs(5);
/// How long an order may wait for a keeper that stands still, once thousands wait already.
const ORDER_TIME: Duration = Duration::from_secs(1);

type Tell = Box<dyn Fn(Told) + Send + Sync>;

/// The line.
pub(crate) struct Line {
    to: UnixStream,
    pid: u32,
    tell: Tell,
    stopped: Arc<Latch>,
    state: Mutex<LineState>,
    is_detached: AtomicBool,
}

#[derive(Debug, Default)]
struct LineState {
    living: BTreeSet<Member>,
    /// Whether all were told to stop.
    is_stopping: bool,
    is_gone: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// Starts a keeper for `launch`, which gets the directory's lock. Must be called by a thread that lives as long as the
/// process: with it the keeper is killed.
pub(crate) fn spawn(run_file: RunFile, launch: &Launch, tell: Tell) -> Result<Arc<Line>, SupervisorError> {
    let (ours, theirs) = UnixStream::pair().map_err(SupervisorError::Keeper)?;
    let lock = run_file.hand_over().map_or_else(Stdio::null, Stdio::from);
    let keeper = Command::new(own_program())
        .arg0(NAME)
        .arg("keeper")
        .arg(&launch.data.path)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(lock)
        .stderr(Stdio::null())
        .spawn()
        .map_err(SupervisorError::Keeper)?;
    let begin = Down::Begin { launch: Box::new(launch.clone()), console: std::process::id() };
    frame::send(&ours, &begin).map_err(SupervisorError::Keeper)?;
    Line::start(ours, keeper.id(), BTreeSet::new(), tell).map_err(SupervisorError::Keeper)
}

/// Why a detached keeper cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It is of another version.
    #[error(
        "the ensemble in {directory} was detached by version {build} of the console, which this one does not understand; \
         come back with that one, or end it with kill {pid}"
    )]
    OtherVersion {
        /// The directory.
        directory: String,
        /// Its version.
        build: String,
        /// The keeper.
        pid: u32,
    },
    /// It does not answer.
    #[error("the detached ensemble in {directory} does not answer: {error}")]
    Broken {
        /// The directory.
        directory: String,
        /// Why.
        error: io::Error,
    },
}

/// A console that was let in, and what it was told. It may still go away without a trace.
#[derive(Debug)]
pub struct Caller {
    stream: UnixStream,
    pid: u32,
    /// What was kept.
    pub kept: Kept,
}

/// Asks for the detached keeper of a directory; none if there is none.
///
/// # Errors
/// There is one, and it cannot be had.
pub fn knock(directory: &Path) -> Result<Option<Caller>, AdoptError> {
    let shown = || directory.display().to_string();
    let broken = |error| AdoptError::Broken { directory: shown(), error };
    if !door::is_there(directory) {
        return Ok(None);
    }
    let stream = match door::enter(directory) {
        Ok(stream) => stream,
        // Another console was first, or whoever it was of is gone.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            return Ok(None);
        }
        Err(error) => return Err(broken(error)),
    };
    stream.set_read_timeout(Some(GREETING_TIME)).map_err(broken)?;
    let greeting: Greeting = match frame::receive(&stream) {
        Ok(Some(greeting)) => greeting,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(broken(error)),
    };
    let Greeting { protocol, build, pid } = greeting;
    if protocol != PROTOCOL {
        return Err(AdoptError::OtherVersion { directory: shown(), build, pid });
    }
    let kept = frame::receive(&stream).map_err(broken)?;
    let kept = kept.ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
    stream.set_read_timeout(None).map_err(broken)?;
    Ok(Some(Caller { stream, pid, kept }))
}

impl Caller {
    /// From now on the keeper is this console's.
    pub(crate) fn adopt(self, tell: Tell) -> io::Result<(Arc<Line>, Kept)> {
        let children = self.kept.children.iter();
        let lives = |standing: &Standing| matches!(standing, Standing::Runs { .. });
        let living = children.filter(|(_, standing)| lives(standing)).map(|(member, _)| *member).collect();
        frame::send(&self.stream, &Down::Adopt { console: std::process::id() })?;
        let line = Line::start(self.stream, self.pid, living, tell)?;
        Ok((line, self.kept))
    }
}

impl Line {
    fn start(stream: UnixStream, pid: u32, living: BTreeSet<Member>, tell: Tell) -> io::Result<Arc<Line>> {
        let from = stream.try_clone()?;
        stream.set_write_timeout(Some(ORDER_TIME))?;
        let state = Mutex::new(LineState { living, ..LineState::default() });
        let line = Arc::new(Line {
            to: stream,
            pid,
            tell,
            stopped: Arc::default(),
            state,
            is_detached: AtomicBool::new(false),
        });
        let listener = Arc::clone(&line);
        std::thread::Builder::new().name("keeper".into()).spawn(move || listener.listen(&from))?;
        Ok(line)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How many children live, as far as is known.
    pub(crate) fn living(&self) -> usize {
        self.state().living.len()
    }

    /// Whether the keeper has let this console go.
    pub(crate) fn is_detached(&self) -> bool {
        self.is_detached.load(Ordering::SeqCst)
    }

    pub(crate) fn wait_stopped(&self, limit: Duration) -> bool {
        self.stopped.wait(limit)
    }

    pub(crate) fn order(&self, order: Order) {
        let stops_all = matches!(order, Order::StopAll { .. } | Order::KillAll);
        let is_gone = {
            let mut state = self.state();
            state.is_stopping |= stops_all;
            state.is_gone
        };
        if !is_gone {
            return self.say(&Down::Order(order));
        }
        if self.is_detached() {
            return;
        }
        let change = if stops_all {
            Change::AllStopped { left: 0 }
        } else {
            Change::Refused("the processes' keeper is gone: leave, and start the ensemble again".into())
        };
        let member = match order {
            Order::Start(member)
            | Order::Kill(member)
            | Order::Stop(member)
            | Order::Pause(member)
            | Order::Resume(member) => Some(member),
            Order::StopAll { .. } | Order::KillAll => None,
        };
        self.report(member, change);
    }

    pub(crate) fn ask_printed(&self, member: Member, known: Option<u64>) {
        self.say(&Down::Printed { member, known });
    }

    pub(crate) fn detach(&self, clocks: Clocks) {
        self.say(&Down::Detach(clocks));
    }

    /// A keeper that is gone has been heard of by the thread that listens.
    fn say(&self, message: &Down) {
        // One at a time: frames must not mix.
        let _turn = self.state();
        if let Err(error) = frame::send(&self.to, message) {
            tracing::warn!(%error, "the keeper hears nothing");
        }
    }

    fn listen(&self, from: &UnixStream) {
        loop {
            match frame::receive(from) {
                Ok(Some(Up::Report(stamped))) => {
                    self.note(&stamped.report);
                    (self.tell)(Told::Report(stamped.report));
                }
                Ok(Some(Up::Printed { member, lines, total })) => (self.tell)(Told::Printed { member, lines, total }),
                Ok(Some(Up::LetGo)) => {
                    self.is_detached.store(true, Ordering::SeqCst);
                    self.report(None, Change::LetGo);
                }
                Ok(Some(Up::Held(reason))) => self.report(None, Change::Held(reason)),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the keeper cannot be understood");
                    break;
                }
            }
        }
        self.end();
    }

    fn note(&self, report: &Report) {
        if let Some(member) = report.member {
            tracing::info!(%member, change = ?report.change, "child");
        }
        let mut state = self.state();
        match (report.member, &report.change) {
            (Some(member), Change::Spawned { .. }) => {
                state.living.insert(member);
            }
            (Some(member), Change::Exited { .. }) => {
                state.living.remove(&member);
            }
            (None, Change::AllStopped { .. }) => state.living.clear(),
            _ => {}
        }
    }

    /// The keeper is gone.
    fn end(&self) {
        let (living, is_stopping) = {
            let mut state = self.state();
            state.is_gone = true;
            (state.living.clone(), state.is_stopping)
        };
        if !self.is_detached() {
            if !is_stopping {
                self.report(None, Change::KeeperGone { pid: self.pid });
            }
            // The kernel kills them with their parent.
            let exit = Exit::Signal(Signal::KILL.as_raw());
            for member in living {
                self.report(Some(member), Change::Exited { exit, asked: Asked::Nothing, words: None });
            }
            if is_stopping {
                self.report(None, Change::AllStopped { left: 0 });
            }
        }
        self.stopped.open();
    }

    fn report(&self, member: Option<Member>, change: Change) {
        (self.tell)(Told::Report(Report { member, change }));
    }

    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
