//! Puts the console together and takes it apart again, whatever happens between.

use crate::cluster::Cluster;
use crate::ending::Ending;
use crate::headless;
use crate::headless_run;
use crate::launch::{DataDirectory, Launch};
use crate::model::message::Msg;
use crate::model::overlay::Overlay;
use crate::model::session::Session;
use crate::model::text::TextPage;
use crate::model::{State, scenario};
use crate::options::{LookOptions, Options, RunOptions};
use crate::preflight;
use crate::recording::Recorder;
use crate::run::{Console, World};
use crate::supervisor::{RunFile, Supervisor};
use crate::term::capabilities::Environment;
use crate::term::clipboard::Clipboard;
use crate::term::signals::{Signal, Signals};
use crate::term::{guard, hangup, panic};
use crate::theme::Theme;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing_subscriber::EnvFilter;

/// The exit code of a wrong use.
pub const USAGE_CODE: u8 = 2;
/// The exit code of a failure.
pub const ERROR_CODE: u8 = 1;
/// The exit code of a scenario whose expectation did not hold.
pub const EXPECTATION_CODE: u8 = 3;
/// Messages that wait for the loop. The tasks wait when it is full; the supervisor never makes so many.
const MESSAGES_MAX: usize = 1_024;
/// Signals that wait; more of them say nothing new.
const SIGNALS_MAX: usize = 16;
/// Threads of the tasks that talk to the nodes.
const WORKERS: usize = 2;

/// Runs the console, or scenarios in it; gives the exit code.
#[must_use]
pub fn run(options: &Options, scenarios: Option<&RunOptions>) -> u8 {
    if let Err(reason) = options.check() {
        guard::say(&format!("zw-tui: {reason}"));
        return ERROR_CODE;
    }
    if let Some(Err(reason)) = scenarios.map(|run| run.check(has_test_hooks())) {
        guard::say(&format!("zw-tui: {reason}"));
        return USAGE_CODE;
    }
    if !options.headless && !guard::is_terminal() {
        guard::say(
            "zw-tui: the screen needs a terminal on stdin and stdout; without one use --headless or \
             scripts/deployment.sh",
        );
        return USAGE_CODE;
    }
    match start(options, scenarios) {
        Ok(code) => code,
        Err(reason) => {
            guard::restore_all();
            guard::say(&format!("zw-tui: {reason}"));
            ERROR_CODE
        }
    }
}

/// What both kinds of console need.
struct Parts {
    state: State,
    supervisor: Supervisor,
    cluster: Cluster,
    messages: Receiver<Msg>,
    recorder: Recorder,
    signals: Receiver<Signal>,
    ending: Ending,
    children: usize,
    /// The data directory.
    directory: PathBuf,
    /// Runs the tasks as long as it lives.
    workers: Runtime,
}

/// Whether tests may break the console on purpose.
fn has_test_hooks() -> bool {
    std::env::var_os("ZW_TEST_HOOKS").is_some_and(|value| value == "1")
}

fn start(options: &Options, scenarios: Option<&RunOptions>) -> Result<u8, String> {
    panic::install().map_err(|error| format!("cannot install the panic hook: {error}"))?;
    let data = DataDirectory::choose(options.data.as_deref()).map_err(|error| match &options.data {
        Some(path) => format!("cannot make the data directory {}: {error}; give another with --data", path.display()),
        None => format!("cannot make a temporary directory: {error}; give one with --data"),
    })?;
    let mut parts = match assemble(options, data.clone(), scenarios.is_some()) {
        Ok(parts) => parts,
        Err(reason) => {
            data.clean_up();
            return Err(reason);
        }
    };
    parts.state.has_test_hooks = has_test_hooks();
    if let Some(run) = scenarios {
        parts.state.scenarios.seed = run.seed;
        scenario::begin(&mut parts.state, &run.name)?;
        parts.state.overlay = Some(Overlay::Text { page: TextPage::Scenario, top: 0 });
    }
    match (options.headless, scenarios) {
        (true, Some(run)) => Ok(run_without_screen(parts, run)),
        (true, None) => Ok(without_screen(parts)),
        (false, _) => with_screen(options, parts),
    }
}

fn assemble(options: &Options, data: DataDirectory, has_scenarios: bool) -> Result<Parts, String> {
    let (run_file, left) = RunFile::take(&data.path).map_err(|error| error.to_string())?;
    let log = options.log.clone().unwrap_or_else(|| data.path.join("console.log"));
    start_log(&log)
        .map_err(|error| format!("cannot write the log {}: {error}; give another with --log", log.display()))?;
    let launch = Launch::new(options, data.clone());
    preflight::check(&launch).map_err(|error| error.to_string())?;
    let children = launch.plans.len();
    let (sender, messages) = channel(MESSAGES_MAX);
    let reports = sender.clone();
    let report = move |report| {
        match reports.try_send(Msg::Supervisor(report)) {
            // The loop has ended already, with the terminal mostly; the children are on their way.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            // Only if the loop hangs and hundreds of children changed; then the watchdogs end it all.
            Err(TrySendError::Full(_)) => tracing::error!("a report of the supervisor is lost"),
        }
    };
    let supervisor = Supervisor::start(run_file, launch.plans, report).map_err(|error| error.to_string())?;
    let workers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the worker threads: {error}"))?;
    let directory = data.path.clone();
    let ending = Ending::new(supervisor.clone(), data);
    let ends_by_signal = options.headless && !has_scenarios;
    let on_leave = ending.clone();
    // A signal is the way to end what has no keys.
    let signals = watch_signals(&workers, move |number| on_leave.begin(if ends_by_signal { 0 } else { 128 + number }))
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    if !left.is_empty() {
        let note = format!("ended what an earlier console left behind: {}", left.join(", "));
        let _ = sender.try_send(Msg::Note(note));
    }
    let cluster = {
        let _inside = workers.enter();
        Cluster::start(&launch.nodes, &launch.brokers, sender.clone())
    };
    let state = State::new(launch.nodes, launch.brokers);
    let recorder = Recorder::new(sender);
    Ok(Parts { state, supervisor, cluster, messages, recorder, signals, ending, children, directory, workers })
}

/// On the workers, so that a signal counts even if the screen hangs.
pub(crate) fn watch_signals(workers: &Runtime, on_leave: impl Fn(u8) + Send + 'static) -> io::Result<Receiver<Signal>> {
    let (sender, receiver): (Sender<Signal>, _) = channel(SIGNALS_MAX);
    let mut signals = {
        let _inside = workers.enter();
        Signals::new()?
    };
    workers.spawn(async move {
        loop {
            let signal = signals.next().await;
            if let Signal::Leave(number) = signal {
                tracing::info!(number, "a signal asks to leave");
                on_leave(number);
            }
            if sender.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

fn with_screen(options: &Options, parts: Parts) -> Result<u8, String> {
    let Parts { mut state, supervisor, cluster, messages, recorder, signals, ending, children, directory, workers } =
        parts;
    let (theme, is_remote) = look(&options.look);
    state.mouse = !options.look.no_mouse;
    state.flow.motion = options.look.motion.unwrap_or_else(|| Environment::of_process().motion());
    state.has_test_hooks = std::env::var_os("ZW_TEST_HOOKS").is_some_and(|value| value == "1");
    let on_hangup = ending.clone();
    hangup::watch(move || on_hangup.hung_up()).map_err(|error| format!("cannot watch the terminal: {error}"))?;
    let world = Some(World { supervisor, cluster, ending: ending.clone() });
    let session = Session::new(state);
    let clipboard = clipboard(directory);
    let console = Console { session, theme, world, messages, signals, recorder, is_remote, clipboard };
    let outcome = on_screen(console)?;
    Ok(finish(&ending, children, outcome, workers))
}

/// Where copied texts go; what is too long for a terminal, into a directory.
pub(crate) fn clipboard(directory: PathBuf) -> Clipboard {
    Clipboard { in_tmux: std::env::var_os("TMUX").is_some(), directory, files: 0 }
}

/// The theme that the flags and the terminal make, and whether the terminal is far away.
pub(crate) fn look(options: &LookOptions) -> (Theme, bool) {
    let environment = Environment::of_process();
    let theme = Theme { color: environment.color(options.color), ascii: options.ascii || environment.ascii() };
    // We decide about colour ourselves; the library's own decision would write resets instead.
    ratatui::crossterm::style::force_color_output(true);
    (theme, environment.is_remote)
}

/// Runs a console on the terminal until it is left.
pub(crate) fn on_screen(console: Console) -> Result<std::thread::Result<io::Result<()>>, String> {
    let screen = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let screen = screen.map_err(|error| format!("cannot start the screen: {error}"))?;
    let mouse = console.session.shown().mouse;
    Ok(catch_unwind(AssertUnwindSafe(|| {
        guard::enter(mouse)?;
        screen.block_on(console.run())
    })))
}

fn without_screen(parts: Parts) -> u8 {
    let Parts { state, supervisor, messages, signals, ending, children, workers, cluster, .. } = parts;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        workers.block_on(headless::run(state, &supervisor, &ending, messages, signals))
    }));
    drop(cluster);
    finish(&ending, children, outcome, workers)
}

fn run_without_screen(parts: Parts, options: &RunOptions) -> u8 {
    let Parts { state, supervisor, messages, signals, ending, children, workers, cluster, .. } = parts;
    let run = headless_run::Parts { state, supervisor, cluster, messages, signals, ending: ending.clone() };
    let outcome = catch_unwind(AssertUnwindSafe(|| workers.block_on(headless_run::run(run, options))));
    finish(&ending, children, outcome, workers)
}

fn finish(ending: &Ending, children: usize, outcome: std::thread::Result<io::Result<()>>, workers: Runtime) -> u8 {
    match outcome {
        _ if panic::happened() => ending.begin(panic::PANIC_CODE),
        Err(_) => ending.begin(panic::PANIC_CODE),
        // The terminal is gone, mostly; the hang-up watchdog is about to see it too.
        Ok(Err(error)) => {
            tracing::info!(%error, "the terminal is gone, the console ends");
            ending.begin(129);
        }
        Ok(Ok(())) => {}
    }
    let code = ending.finish(children);
    workers.shutdown_background();
    code
}

fn start_log(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(PathBuf::from(path))?;
    let filter = EnvFilter::try_from_env("ZW_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter).with_writer(Mutex::new(file)).finish();
    // A second console in one process is only a test's; the first one's log serves both.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
