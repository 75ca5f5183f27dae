//! The console's end of the line to its keeper.
//!
//! Invariants:
//! - Who gives orders never waits for the keeper, but for [`ORDER_TIME`] once, if thousands of orders wait already: then the
//!   line is given up. Of questions only one is on its way, however long the keeper takes.
//! - Until it is adopted a detached keeper loses nothing by whatever happens here.
//! - A keeper that ends takes the children along; the console learns of that as of any other end of theirs.

use super::wire::{Clocks, Down, Greeting, Kept, PROTOCOL, Standing, Up};
use super::{ADOPTION_TIME, NAME, door, frame};
use crate::launch::{Launch, own_program};
use crate::member::Member;
use crate::supervisor::{Asked, Change, Exit, Latch, Order, Report, RunFile, SupervisorError, Told};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a keeper may take to greet; it may have to be rid of another console first. This one is not on the screen yet.
const GREETING_TIME: Duration = Duration::from_secs(15);
const _: () = assert!(GREETING_TIME.as_secs() > ADOPTION_TIME.as_secs());
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
    questions: Questions,
}

/// Questions for what a child printed.
#[derive(Debug, Default)]
struct Questions {
    is_asked: bool,
    /// The newest that came meanwhile.
    next: Option<(Member, Option<u64>)>,
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
    Line::start(ours, keeper.id(), BTreeSet::new(), false, tell).map_err(SupervisorError::Keeper)
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
    /// Another user waits there.
    #[error("what waits in {directory} for a console is another user's; give another directory with --data")]
    Foreign {
        /// The directory.
        directory: String,
    },
    /// It keeps something else.
    #[error(
        "what waits in {directory} for a console keeps the data in {keeps}; come back with --data {keeps}, or end it with \
         kill {pid}"
    )]
    Elsewhere {
        /// The directory.
        directory: String,
        /// Where it says that the data is.
        keeps: String,
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
    if !door::is_own(&stream) {
        return Err(AdoptError::Foreign { directory: shown() });
    }
    let mut timed = frame::Timed::new(&stream, GREETING_TIME);
    let greeting: Greeting = match frame::receive(&mut timed) {
        Ok(Some(greeting)) => greeting,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(broken(error)),
    };
    let Greeting { protocol, build, pid } = greeting;
    if protocol != PROTOCOL {
        return Err(AdoptError::OtherVersion { directory: shown(), build, pid });
    }
    let kept: Option<Kept> = frame::receive(&mut timed).map_err(broken)?;
    drop(timed);
    let mut kept = kept.ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
    let keeps = &kept.launch.data.path;
    if !matches!((keeps.canonicalize(), directory.canonicalize()), (Ok(one), Ok(other)) if one == other) {
        return Err(AdoptError::Elsewhere { directory: shown(), keeps: keeps.display().to_string(), pid });
    }
    // What is read and removed is where we were sent, not where somebody says.
    kept.launch.data.path = directory.to_owned();
    Ok(Some(Caller { stream, pid, kept }))
}

impl Caller {
    /// Stays, for [`ADOPTION_TIME`] at most, until it adopts.
    pub(crate) fn stay(self, tell: Tell) -> io::Result<(Arc<Line>, Kept)> {
        let children = self.kept.children.iter();
        let lives = |standing: &Standing| matches!(standing, Standing::Runs { .. });
        let living = children.filter(|(_, standing)| lives(standing)).map(|(member, _)| *member).collect();
        let line = Line::start(self.stream, self.pid, living, true, tell)?;
        Ok((line, self.kept))
    }
}

impl Line {
    fn start(
        stream: UnixStream,
        pid: u32,
        living: BTreeSet<Member>,
        is_detached: bool,
        tell: Tell,
    ) -> io::Result<Arc<Line>> {
        let from = stream.try_clone()?;
        stream.set_write_timeout(Some(ORDER_TIME))?;
        let state = Mutex::new(LineState { living, ..LineState::default() });
        let line = Arc::new(Line {
            to: stream,
            pid,
            tell,
            stopped: Arc::default(),
            state,
            is_detached: AtomicBool::new(is_detached),
        });
        let listener = Arc::clone(&line);
        std::thread::Builder::new().name("keeper".into()).spawn(move || listener.listen(&from))?;
        Ok(line)
    }

    /// From now on the keeper is this console's, and ends with it.
    pub(crate) fn adopt(&self) -> io::Result<()> {
        let _turn = self.state();
        self.is_detached.store(false, Ordering::SeqCst);
        let sent = frame::send(&self.to, &Down::Adopt { console: std::process::id() });
        sent.inspect_err(|_| self.is_detached.store(true, Ordering::SeqCst))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How many children live, as far as is known.
    pub(crate) fn living(&self) -> usize {
        self.state().living.len()
    }

    /// Whether the keeper has let this console go, or is not its own yet.
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
        let mut state = self.state();
        if state.questions.is_asked {
            state.questions.next = Some((member, known));
        } else {
            state.questions.is_asked = true;
            self.send(&Down::Printed { member, known });
        }
    }

    /// The question is answered; another may have come up.
    fn answered(&self) {
        let mut state = self.state();
        match state.questions.next.take() {
            Some((member, known)) => self.send(&Down::Printed { member, known }),
            None => state.questions.is_asked = false,
        }
    }

    pub(crate) fn detach(&self, clocks: Clocks) {
        self.say(&Down::Detach(clocks));
    }

    fn say(&self, message: &Down) {
        // One at a time: frames must not mix.
        let _turn = self.state();
        self.send(message);
    }

    /// Only for who has the state. A keeper that is gone has been heard of by the thread that listens.
    fn send(&self, message: &Down) {
        if let Err(error) = frame::send(&self.to, message) {
            tracing::warn!(%error, "the keeper hears nothing");
            // Half a frame may be on its way: nothing after it would be understood.
            let _ = self.to.shutdown(Shutdown::Both);
        }
    }

    fn listen(&self, from: &UnixStream) {
        loop {
            match frame::receive(from) {
                Ok(Some(Up::Report(stamped))) => {
                    self.note(&stamped.report);
                    (self.tell)(Told::Report(stamped.report));
                }
                Ok(Some(Up::Printed { member, lines, total })) => {
                    (self.tell)(Told::Printed { member, lines, total });
                    self.answered();
                }
                Ok(Some(Up::NothingNew)) => self.answered(),
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

    /// The keeper is gone, or cannot be understood.
    fn end(&self) {
        // Then it ends by this.
        let _ = self.to.shutdown(Shutdown::Both);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::DataDirectory;
    use crate::options::CommandLine;
    use clap::Parser;
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    const N1: Member = Member::Node(1);

    fn line(is_detached: bool) -> (Arc<Line>, UnixStream, Receiver<Told>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (sender, told) = channel();
        let tell = move |told| drop(sender.send(told));
        (Line::start(ours, 7, BTreeSet::from([N1]), is_detached, Box::new(tell)).unwrap(), theirs, told)
    }

    /// What a keeper in `directory` leads to that says that it keeps the data in `keeps`.
    fn knock_at(directory: &Path, keeps: PathBuf) -> Result<Option<Caller>, AdoptError> {
        let listener = door::open(directory).unwrap();
        let options = CommandLine::parse_from(["zw-tui", "--nodes", "1", "--brokers", "0"]).options;
        let launch = Launch::new(&options, DataDirectory { path: keeps, is_temporary: true });
        let (clocks, children) = (Clocks::default(), BTreeMap::new());
        let kept = Kept { launch, clocks, reports: Vec::new(), lost: 0, children };
        let keeper = std::thread::spawn(move || {
            let (console, _) = listener.accept().unwrap();
            frame::send(&console, &Greeting { protocol: PROTOCOL, build: "x".into(), pid: 7 }).unwrap();
            frame::send(&console, &kept).unwrap();
        });
        let outcome = knock(directory);
        keeper.join().unwrap();
        outcome
    }

    #[test]
    fn a_keeper_of_another_directory_is_refused() {
        let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for keeps in [there.path().to_owned(), there.path().join("gone")] {
            let error = knock_at(here.path(), keeps).unwrap_err();
            assert!(matches!(error, AdoptError::Elsewhere { pid: 7, .. }), "{error}");
        }
        // Another way to the same place is none.
        let link = there.path().join("link");
        std::os::unix::fs::symlink(here.path(), &link).unwrap();
        let caller = knock_at(here.path(), link).unwrap().unwrap();
        assert_eq!(caller.kept.launch.data.path, here.path());
    }

    #[test]
    fn a_keeper_that_cannot_be_understood_hears_of_the_end() {
        let (line, theirs, told) = line(false);
        frame::send(&theirs, &"?").unwrap();
        assert!(line.wait_stopped(Duration::from_secs(30)));
        assert!(frame::receive::<Down>(&theirs).unwrap().is_none());
        let gone = told.iter().next().unwrap();
        assert_eq!(gone, Told::Report(Report { member: None, change: Change::KeeperGone { pid: 7 } }));
    }

    #[test]
    fn of_questions_one_is_on_its_way_and_the_newest_waits() {
        let (line, theirs, _told) = line(false);
        let next = || match frame::receive(&theirs).unwrap() {
            Some(Down::Printed { known, .. }) => known,
            other => panic!("{other:?}"),
        };
        // More than any socket holds.
        (0..20_000).for_each(|known| line.ask_printed(N1, Some(known)));
        assert_eq!(next(), Some(0));
        frame::send(&theirs, &Up::NothingNew).unwrap();
        assert_eq!(next(), Some(19_999));
        frame::send(&theirs, &Up::Printed { member: N1, lines: Vec::new(), total: 1 }).unwrap();
        // The end of the line tells that nothing more was asked.
        line.to.shutdown(Shutdown::Write).unwrap();
        assert!(frame::receive::<Down>(&theirs).unwrap().is_none());
    }

    #[test]
    fn a_keeper_that_stands_still_holds_up_orders_once() {
        let (line, theirs, _told) = line(false);
        // Nobody reads this.
        let mut full = line.to.try_clone().unwrap();
        full.set_nonblocking(true).unwrap();
        while full.write(&[0; 4_096]).is_ok() {}
        full.set_nonblocking(false).unwrap();
        line.order(Order::Kill(N1));
        assert!(line.wait_stopped(Duration::from_secs(30)), "the line is given up");
        drop(theirs);
    }

    #[test]
    fn a_console_that_has_not_adopted_ends_nothing() {
        let (line, theirs, told) = line(true);
        line.order(Order::StopAll { last: None });
        // What is not the word of one who adopts lets the keeper hang up.
        assert!(matches!(frame::receive(&theirs).unwrap(), Some(Down::Order(_))));
        drop(theirs);
        assert!(line.wait_stopped(Duration::from_secs(30)) && line.is_detached());
        assert!(line.adopt().is_err() && line.is_detached());
        drop(line);
        assert!(told.iter().next().is_none(), "of an end that is none");
    }
}
