//! The keeper: a process of its own that is the children's parent, so that they can outlive the console.
//!
//! ```text
//! console ── socket ── keeper: Supervisor ── children        Q: the console leaves, the keeper waits at console.sock
//! ```
//!
//! Invariants:
//! - Until the console detaches the keeper ends with it, and the children with the keeper: by its parent-death signal, which
//!   holds even for a keeper that stands still, and by the end of the socket. A console that came back is not its parent,
//!   so then only the socket tells, and a keeper that stands still ends when it goes on.
//! - It holds the lock of the data directory as long as it lives, from before the first child.
//! - One console at a time. It has the keeper only once it has said that it understood what it was told.
//! - Detached it ends, and with it everything else, by SIGTERM.

mod door;
mod frame;
mod line;
mod mailbox;
mod wire;

pub use line::{AdoptError, Caller, knock};
pub(super) use line::{Line, spawn};
pub use wire::{Clocks, Kept, Stamped, Standing};

use super::{Order, RunFile, Supervisor};
use crate::clock::monotonic_ns;
use crate::launch::Launch;
use crate::log_file::{Forgiving, LogFile};
use mailbox::Mailbox;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use wire::{Down, Greeting, PROTOCOL, Up};

/// What the keeper is called in the process list.
pub const NAME: &str = "zw-keeper";
/// The file with the history of a console that left.
const HISTORY_NAME: &str = "console.zwrec";
const LOG_NAME: &str = "keeper.log";
/// How long a console may take to understand the greeting, and to get ready.
const ADOPTION_TIME: Duration = Duration::from_secs(10);
/// How long the last reports may take to their console.
const LAST_REPORTS_TIME: Duration = Duration::from_secs(1);
/// How long a console that leaves may take to hear that it may.
const LEAVING_TIME: Duration = Duration::from_secs(5);
/// Between two tries to let somebody in while the system refuses that.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where a console that leaves writes its history, and one that comes back reads it.
#[must_use]
pub fn history_path(directory: &Path) -> PathBuf {
    directory.join(HISTORY_NAME)
}

/// Whether the keeper of a directory waits for a console; only if somebody has its lock.
#[must_use]
pub fn is_detached(directory: &Path) -> bool {
    door::is_there(directory)
}

/// Takes away the door of a keeper that ended without doing so. Only for who has the directory's lock.
pub fn clear_door(directory: &Path) {
    door::close(directory);
}

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It was started by a person.
    #[error("this is started by the console, and by nobody else")]
    NoConsole,
    /// The console ended before it said anything.
    #[error("the console is gone")]
    ConsoleGone,
    /// The system refuses something.
    #[error("cannot {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The supervisor cannot begin.
    #[error(transparent)]
    Supervisor(#[from] super::SupervisorError),
}

fn system(what: &'static str) -> impl Fn(io::Error) -> KeeperError {
    move |error| KeeperError::System { what, error }
}

/// How a conversation with a console ended.
enum End {
    /// It is gone without a word.
    Gone,
    /// It detached; this is where the next one comes in.
    Left(Clocks, UnixListener),
}

/// Runs as the keeper of the console at the other end of stdin, with the directory's lock as stdout. Returns only if it
/// cannot begin or go on; else the process ends.
///
/// # Errors
/// See [`KeeperError`].
pub fn run(directory: &Path) -> Result<(), KeeperError> {
    // The main thread does this and undoes it: the parent-death signal is a thread's own.
    die_with_parent(true).map_err(system("ask for the end of the console"))?;
    // A signal that the terminal sends to the console is not for the children.
    let _ = rustix::process::setsid();
    let console = io::stdin().as_fd().try_clone_to_owned().map_err(|_| KeeperError::NoConsole)?;
    let lock = io::stdout().as_fd().try_clone_to_owned().map_err(|_| KeeperError::NoConsole)?;
    let console = UnixStream::from(console);
    let first = frame::receive(&console).map_err(|_| KeeperError::NoConsole)?;
    let Some(Down::Begin { launch, console: pid }) = first else { return Err(KeeperError::ConsoleGone) };
    start_log(&directory.join(LOG_NAME));
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "the keeper panicked");
        // With it the children: who keeps them halfway keeps them badly.
        std::process::exit(101);
    }));
    let run_file = RunFile::inherit(directory, File::from(lock), pid);
    let mailbox = Arc::new(Mailbox::default());
    let reports = Arc::clone(&mailbox);
    let report = move |report| reports.report(monotonic_ns(), report);
    let supervisor = Supervisor::start(run_file, launch.plans.clone(), report)?;
    let keeper = Arc::new(Keeper { launch: *launch, supervisor, mailbox, is_detached: AtomicBool::new(false) });
    let (signalled, ender) = (keeper.supervisor.clone(), Arc::clone(&keeper));
    thread("signals", move || stop_on_signal(&signalled)).map_err(system("start a thread"))?;
    thread("ender", move || ender.end_when_stopped()).map_err(system("start a thread"))?;
    keeper.keep(console)
}

struct Keeper {
    launch: Launch,
    supervisor: Supervisor,
    mailbox: Arc<Mailbox>,
    /// Whether no console has it.
    is_detached: AtomicBool,
}

impl Keeper {
    fn directory(&self) -> &Path {
        &self.launch.data.path
    }

    /// One console after another.
    fn keep(&self, mut console: UnixStream) -> Result<(), KeeperError> {
        loop {
            let to = console.try_clone().map_err(system("talk to the console"))?;
            let mailbox = Arc::clone(&self.mailbox);
            let sender = thread("to-console", move || mailbox.send_to(to)).map_err(system("start a thread"))?;
            match self.serve(&console) {
                End::Gone => {
                    tracing::info!("the console is gone");
                    // Nobody is left who could remove what was only for it.
                    self.is_detached.store(true, Ordering::SeqCst);
                    self.supervisor.order(Order::KillAll);
                    loop {
                        std::thread::park();
                    }
                }
                End::Left(clocks, listener) => {
                    // All that it was to know goes before the word that it may leave.
                    self.mailbox.wait_sent(LEAVING_TIME);
                    // One that stands still holds nobody up: nothing is written any more.
                    let _ = console.shutdown(Shutdown::Both);
                    let _ = sender.join();
                    console = self.wait_for_console(&listener, clocks);
                }
            }
        }
    }

    /// Until the console is gone or leaves.
    fn serve(&self, console: &UnixStream) -> End {
        loop {
            match frame::receive(console) {
                Ok(Some(Down::Order(order))) => self.supervisor.order(order),
                Ok(Some(Down::Printed { member, known })) => {
                    let news = self.supervisor.printed(member, known);
                    let answer = news.map(|(lines, total)| Up::Printed { member, lines, total });
                    self.mailbox.put(answer.unwrap_or(Up::NothingNew));
                }
                Ok(Some(Down::Detach(clocks))) => match self.let_go() {
                    Ok(listener) => return End::Left(clocks, listener),
                    Err(error) => self.mailbox.put(Up::Held(error.to_string())),
                },
                Ok(Some(other @ (Down::Begin { .. } | Down::Adopt { .. }))) => {
                    tracing::warn!(?other, "the console repeats itself");
                }
                Ok(None) => return End::Gone,
                Err(error) => {
                    tracing::warn!(%error, "the console cannot be understood");
                    return End::Gone;
                }
            }
        }
    }

    /// From now on the children do without a console.
    fn let_go(&self) -> io::Result<UnixListener> {
        let listener = door::open(self.directory())?;
        // A door that leads to nobody would be taken for one that does.
        die_with_parent(false).inspect_err(|_| door::close(self.directory()))?;
        self.is_detached.store(true, Ordering::SeqCst);
        self.supervisor.belong_to(std::process::id());
        self.mailbox.put(Up::LetGo);
        tracing::info!("detached");
        Ok(listener)
    }

    /// Waits for one that understands what it is told.
    fn wait_for_console(&self, listener: &UnixListener, clocks: Clocks) -> UnixStream {
        let mut is_told = false;
        loop {
            let console = match listener.accept() {
                Ok((console, _)) => console,
                Err(error) => {
                    if !is_told {
                        tracing::warn!(%error, "nobody can come in");
                    }
                    is_told = true;
                    std::thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            is_told = false;
            match self.greet(&console, clocks) {
                Ok(()) => {
                    door::close(self.directory());
                    return console;
                }
                Err(error) => tracing::warn!(%error, "who came did not stay"),
            }
        }
    }

    fn greet(&self, console: &UnixStream, clocks: Clocks) -> io::Result<()> {
        if !door::is_own(console) {
            return Err(io::Error::other("it is another user's"));
        }
        let mut timed = frame::Timed::new(console, ADOPTION_TIME);
        let build = env!("CARGO_PKG_VERSION").to_owned();
        frame::send(&mut timed, &Greeting { protocol: PROTOCOL, build, pid: std::process::id() })?;
        let (reports, lost, children) = self.mailbox.look();
        let count = reports.len();
        frame::send(&mut timed, &Kept { launch: self.launch.clone(), clocks, reports, lost, children })?;
        let Some(Down::Adopt { console: pid }) = frame::receive(&mut timed)? else {
            return Err(io::Error::other("it does not adopt"));
        };
        drop(timed);
        self.mailbox.forget(count, lost);
        self.supervisor.belong_to(pid);
        self.is_detached.store(false, Ordering::SeqCst);
        tracing::info!(pid, "a console came back");
        Ok(())
    }

    /// The end of the process, once all children are stopped.
    fn end_when_stopped(&self) {
        while !self.supervisor.wait_stopped(Duration::from_secs(3_600)) {}
        if !self.is_detached.load(Ordering::SeqCst) {
            self.mailbox.wait_sent(LAST_REPORTS_TIME);
        }
        door::close(self.directory());
        let _ = std::fs::remove_file(history_path(self.directory()));
        if self.is_detached.load(Ordering::SeqCst) {
            self.launch.data.clean_up();
        }
        std::process::exit(0);
    }
}

/// Whether this process is killed when its parent ends. SIGKILL, because a process that stands still must die too; that
/// the parent has ended already, the socket tells.
fn die_with_parent(dies: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(dies.then_some(rustix::process::Signal::KILL))?;
    Ok(())
}

/// SIGTERM stops everything in its order.
fn stop_on_signal(supervisor: &Supervisor) {
    let signals = async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("a signal asks to stop");
            supervisor.order(Order::StopAll { last: None });
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let outcome: io::Result<()> = runtime.and_then(|runtime| runtime.block_on(signals));
    if let Err(error) = outcome {
        // Then a signal ends the keeper at once, and the kernel the children.
        tracing::error!(%error, "cannot handle signals");
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// A log that cannot be written costs the log.
fn start_log(path: &Path) {
    let Ok(file) = LogFile::open(path) else { return };
    let file = Forgiving::new(file, |_| {});
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(file)).finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
