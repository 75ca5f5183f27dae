//! Puts the console together and takes it apart again, whatever happens between.

use crate::about;
use crate::arrivals::Arrivals;
use crate::cluster::Cluster;
use crate::comeback::Comeback;
use crate::ending::{Ending, Place};
use crate::headless::{self, Hands};
use crate::headless_run;
use crate::launch::{DataDirectory, Launch};
use crate::log_file::{Forgiving, LogFile};
use crate::member::Member;
use crate::model::message::Msg;
use crate::model::overlay::{Overlay, Toast};
use crate::model::permission::Permission;
use crate::model::session::Session;
use crate::model::tape::Tape;
use crate::model::text::TextPage;
use crate::model::{State, scenario};
use crate::options::{Attach, Common, LookOptions, Options, RunOptions};
use crate::paths::Paths;
use crate::preflight;
use crate::recording::Recorder;
use crate::run::{Console, World};
use crate::settings::Settings;
use crate::supervisor::{RunFile, RunFileError, Supervisor, Told, keeper};
use crate::term::capabilities::Environment;
use crate::term::signals::{Signal, Signals};
use crate::term::{editor, guard, hangup, panic};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
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

/// Which ensemble is shown.
#[derive(Clone, Copy, Debug)]
pub enum Ensemble<'o> {
    /// One that is started here.
    Local(&'o Options),
    /// One that is started here for scenarios.
    Scenarios(&'o RunOptions),
    /// One that runs already.
    Attached(&'o Attach),
}

impl<'o> Ensemble<'o> {
    fn common(self) -> &'o Common {
        match self {
            Ensemble::Local(options) => &options.common,
            Ensemble::Scenarios(run) => &run.options.common,
            Ensemble::Attached(attach) => &attach.common,
        }
    }

    /// Says why nothing is shown or run, in the form that was asked for; gives the exit code back.
    fn fail(self, code: u8, reason: &str) -> u8 {
        let json = matches!(self, Ensemble::Scenarios(run) if run.json);
        guard::say_plain(&headless_run::complaint(json, code, reason));
        code
    }

    fn check(self) -> Result<(), String> {
        self.common().look.check()?;
        match self {
            Ensemble::Local(options) => options.check(),
            Ensemble::Scenarios(run) => run.options.check(),
            Ensemble::Attached(attach) => attach.addresses().map(|_| ()),
        }
    }
}

/// Runs the console; gives the exit code.
#[must_use]
pub fn run(ensemble: Ensemble<'_>) -> u8 {
    if matches!(ensemble, Ensemble::Scenarios(run) if run.json) {
        guard::say_json();
    }
    if let Err(reason) = ensemble.check() {
        return ensemble.fail(ERROR_CODE, &reason);
    }
    if let Ensemble::Scenarios(run) = ensemble
        && let Err(reason) = run.check(has_test_hooks())
    {
        return ensemble.fail(USAGE_CODE, &reason);
    }
    let environment = Environment::of_process();
    let has_screen = ensemble.common().has_screen();
    if has_screen && !guard::is_terminal() {
        guard::say(
            "zw-tui: the screen needs a terminal on stdin and stdout; without one use --headless, --linear or \
             scripts/deployment.sh",
        );
        return USAGE_CODE;
    }
    if has_screen && !environment.has_screen() {
        let term = environment.term.as_deref().unwrap_or("not set");
        guard::say(&format!(
            "zw-tui: TERM is {term}: such a terminal has no screen to draw on. Use --linear, which prints lines and \
             takes commands, or set TERM to what the terminal is"
        ));
        return USAGE_CODE;
    }
    match start(ensemble) {
        Ok(code) => code,
        Err(reason) => {
            guard::restore_all();
            ensemble.fail(ERROR_CODE, &reason)
        }
    }
}

/// What all kinds of console need.
struct Parts {
    state: State,
    supervisor: Supervisor,
    cluster: Cluster,
    messages: Receiver<Msg>,
    recorder: Recorder,
    signals: Receiver<Signal>,
    ending: Ending,
    children: usize,
    /// What it goes on from, with the tape of it.
    comeback: Option<(Comeback, Tape)>,
    /// Runs the tasks as long as it lives.
    workers: Runtime,
}

/// Whether tests may break the console on purpose.
fn has_test_hooks() -> bool {
    std::env::var_os("ZW_TEST_HOOKS").is_some_and(|value| value == "1")
}

fn start(ensemble: Ensemble<'_>) -> Result<u8, String> {
    panic::install().map_err(|error| format!("cannot install the panic hook: {error}"))?;
    let common = ensemble.common();
    let look = Look::of(&common.look);
    let Look { settings, environment, paths } = &look;
    let mut parts = match ensemble {
        Ensemble::Local(options) => local(options, settings, environment, paths, false)?,
        Ensemble::Scenarios(run) => local(&run.options, settings, environment, paths, true)?,
        Ensemble::Attached(attach) => attached(attach, settings, environment, paths)?,
    };
    parts.state.mouse = settings.mouse;
    parts.state.flow.motion = settings.motion;
    parts.state.theme = settings.theme.name;
    parts.state.keymap = settings.keymap.clone();
    // A row of the feed is short; this one is told in full, until a key.
    parts.state.toast = settings.complaints.first().map(|complaint| {
        let more = if settings.complaints.len() > 1 { "; :info shows all" } else { "" };
        Toast { text: format!("{complaint}{more}"), until: None }
    });
    parts.state.has_test_hooks = has_test_hooks();
    if let Ensemble::Scenarios(run) = ensemble {
        parts.state.scenarios.seed = run.seed;
        scenario::begin(&mut parts.state, &run.name)?;
        parts.state.overlay = Some(Overlay::Text { page: TextPage::Scenario, top: 0 });
        if common.headless {
            return Ok(run_without_screen(parts, run));
        }
    }
    if common.has_screen() { with_screen(look, parts) } else { without_screen(common.linear, parts) }
}

/// An ensemble of one's own.
fn local(
    options: &Options,
    settings: &Settings,
    environment: &Environment,
    paths: &Paths,
    has_scenarios: bool,
) -> Result<Parts, String> {
    let data = DataDirectory::choose(options.data.as_deref()).map_err(|error| match &options.data {
        Some(path) if path.is_file() => {
            format!("--data {} is a file, and the nodes need a directory; give another with --data", path.display())
        }
        Some(path) => format!("cannot make the data directory {}: {error}; give another with --data", path.display()),
        None => format!("cannot make a temporary directory: {error}; give one with --data"),
    })?;
    let assembled = assemble_local(options, settings, environment, paths, data.clone(), has_scenarios);
    assembled.inspect_err(|_| data.clean_up())
}

fn assemble_local(
    options: &Options,
    settings: &Settings,
    environment: &Environment,
    paths: &Paths,
    data: DataDirectory,
    has_scenarios: bool,
) -> Result<Parts, String> {
    let has_keeper = options.common.has_screen() && !has_scenarios;
    let (run_file, left) = match RunFile::take(&data.path) {
        Ok(taken) => taken,
        Err(error @ RunFileError::InUse { .. }) if has_keeper => {
            return match keeper::knock(&data.path).map_err(|error| error.to_string())? {
                Some(caller) => come_back(options, settings, environment, paths, &data.path, caller),
                None => Err(instead_of(error, &data.path)),
            };
        }
        Err(error) => return Err(instead_of(error, &data.path)),
    };
    keeper::clear_door(&data.path);
    let log = options.common.log.clone().unwrap_or_else(|| data.path.join("console.log"));
    let (sender, messages) = channel(MESSAGES_MAX);
    start_log(&log, &settings.log, &sender)?;
    let launch = Launch::new(options, data.clone());
    preflight::check(&launch).map_err(|error| error.to_string())?;
    let supervisor = if has_keeper {
        Supervisor::keep(run_file, &launch, teller(&sender))
    } else {
        Supervisor::start(run_file, launch.plans, reporter(&sender))
    };
    let supervisor = supervisor.map_err(|error| error.to_string())?;
    if !left.is_empty() {
        let note = format!("ended what an earlier console left behind: {}", left.join(", "));
        let _ = sender.try_send(Msg::Note(note));
    }
    let mut state = State::new(launch.nodes, launch.brokers);
    state.has_keeper = has_keeper;
    state.permission = permission(options);
    state.about = about::gather(settings, environment, paths, Some(&log), Some(in_words(&data)));
    let place = Place::Data(data);
    connect(state, supervisor, place, (sender, messages), &options.common, has_scenarios, None)
}

fn permission(options: &Options) -> Permission {
    if options.read_only { Permission::READ_ONLY } else { Permission::ALL }
}

fn in_words(data: &DataDirectory) -> String {
    let kept = if data.is_temporary { " (removed at the end)" } else { "" };
    format!("{}{kept}", data.path.display())
}

/// An ensemble of one's own, from which a console detached. It stays so until the screen begins.
fn come_back(
    options: &Options,
    settings: &Settings,
    environment: &Environment,
    paths: &Paths,
    directory: &Path,
    caller: keeper::Caller,
) -> Result<Parts, String> {
    let log = options.common.log.clone().unwrap_or_else(|| directory.join("console.log"));
    let (sender, messages) = channel(MESSAGES_MAX);
    start_log(&log, &settings.log, &sender)?;
    let (supervisor, kept) = Supervisor::of_caller(caller, teller(&sender)).map_err(|error| error.to_string())?;
    let data = kept.launch.data.clone();
    let mut comeback = Comeback::new(kept, options);
    let (mut state, tape) = comeback.history();
    state.has_keeper = true;
    state.permission = permission(options);
    state.about = about::gather(settings, environment, paths, Some(&log), Some(in_words(&data)));
    let (place, since) = (Place::Data(data), Some(comeback.left_ns()));
    let mut parts = connect(state, supervisor, place, (sender, messages), &options.common, false, since)?;
    parts.comeback = Some((comeback, tape));
    Ok(parts)
}

/// Why the directory cannot be had; who only wants to look can look at what runs there.
fn instead_of(error: RunFileError, directory: &Path) -> String {
    let first = directory.join(Member::Node(1).to_string());
    if let (RunFileError::InUse { pid, .. }, true) = (&error, keeper::is_detached(directory)) {
        let path = directory.display();
        return format!(
            "the ensemble in {path} runs on without a console; zw-tui --data {path} on a terminal comes back to it, \
             kill {pid} ends it"
        );
    }
    match (&error, zw_node::wal::owner(&first)) {
        (RunFileError::InUse { .. }, Some(owner)) => {
            format!("{error}. To look at what runs there: zw-tui attach {}", owner.ensemble)
        }
        _ => error.to_string(),
    }
}

/// An ensemble that runs already.
fn attached(attach: &Attach, settings: &Settings, environment: &Environment, paths: &Paths) -> Result<Parts, String> {
    let addresses = attach.addresses()?;
    let (sender, messages) = channel(MESSAGES_MAX);
    let log = attach.common.log.clone().unwrap_or_else(|| paths.log());
    let begun = log.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|error| error.to_string());
    let log = match begun.and_then(|()| start_log(&log, &settings.log, &sender)) {
        Ok(()) => Some(log),
        Err(reason) if attach.common.log.is_some() => return Err(reason),
        // Nobody asked for it, and looking needs none.
        Err(reason) => {
            let _ = sender.try_send(Msg::Note(format!("no log is written: {reason}")));
            None
        }
    };
    let supervisor = Supervisor::start(None, Vec::new(), reporter(&sender)).map_err(|error| error.to_string())?;
    let permission = Permission { is_attached: true, writes: attach.allow_writes, faults: attach.allow_faults };
    let mut state = State::attached(addresses.clone(), permission);
    state.about = about::gather(settings, environment, paths, log.as_deref(), None);
    let place = Place::Elsewhere(addresses.join(","));
    connect(state, supervisor, place, (sender, messages), &attach.common, false, None)
}

/// What the supervisor's thread tells its changes to.
fn reporter(sender: &Sender<Msg>) -> impl Fn(crate::supervisor::Report) + Send + Sync + 'static {
    let reports = sender.clone();
    move |report| {
        match reports.try_send(Msg::Supervisor(report)) {
            // The loop has ended already, with the terminal mostly; the children are on their way.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            // Only if the loop hangs and hundreds of children changed; then the watchdogs end it all.
            Err(TrySendError::Full(_)) => tracing::error!("a report of the supervisor is lost"),
        }
    }
}

/// What the keeper tells its console.
fn teller(sender: &Sender<Msg>) -> impl Fn(Told) + Send + Sync + 'static {
    let (report, printed) = (reporter(sender), sender.clone());
    move |told| match told {
        Told::Report(change) => report(change),
        // Asked for again with the next answer of a node.
        Told::Printed { member, lines, total } => {
            let _ = printed.try_send(Msg::Output { member, lines, total });
        }
    }
}

/// Starts the tasks that talk to the nodes, and takes the signals.
fn connect(
    state: State,
    supervisor: Supervisor,
    place: Place,
    (sender, messages): (Sender<Msg>, Receiver<Msg>),
    common: &Common,
    has_scenarios: bool,
    known_until_ns: Option<u64>,
) -> Result<Parts, String> {
    let workers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the worker threads: {error}"))?;
    let ending = Ending::new(supervisor.clone(), place);
    let ends_by_signal = common.headless && !has_scenarios;
    let on_leave = ending.clone();
    // A signal is the way to end what has no keys.
    let signals = watch_signals(&workers, move |number| on_leave.begin(if ends_by_signal { 0 } else { 128 + number }))
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    for complaint in &state.about.complaints {
        let _ = sender.try_send(Msg::Note(complaint.clone()));
    }
    let mut cluster = {
        let _inside = workers.enter();
        let own = || state.nodes.iter().map(|node| node.address.clone()).collect();
        let nodes: Vec<String> = if state.permission.is_attached { state.lines.clone() } else { own() };
        let brokers: Vec<String> = state.brokers.iter().map(|broker| broker.address.clone()).collect();
        Cluster::start(&nodes, &brokers, sender.clone())
    };
    cluster.read_traces(known_until_ns.unwrap_or(0));
    let recorder = Recorder::new(sender);
    let (children, comeback) = (state.members().count(), None);
    Ok(Parts { state, supervisor, cluster, messages, recorder, signals, ending, children, comeback, workers })
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
            // Who interrupts an editor means the editor.
            if matches!(signal, Signal::Leave(2 | 3)) && guard::is_lent() {
                continue;
            }
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

fn with_screen(look: Look, parts: Parts) -> Result<u8, String> {
    let Parts { state, supervisor, cluster, messages, recorder, signals, ending, children, comeback, workers } = parts;
    let on_hangup = ending.clone();
    let gone = move || {
        editor::forget();
        on_hangup.hung_up();
    };
    hangup::watch(gone).map_err(|error| format!("cannot watch the terminal: {error}"))?;
    let (session, comeback) = match comeback {
        Some((comeback, tape)) => {
            // Who was told to leave meanwhile leaves it as it is.
            if ending.code() != 0 {
                return Ok(finish(&ending, children, Ok(Ok(())), workers));
            }
            supervisor.adopt().map_err(|error| error.to_string())?;
            comeback.remove_history();
            (Session::resume(state, tape), Some(comeback))
        }
        None => (Session::new(state), None),
    };
    let world = Some(World { supervisor, cluster, ending: ending.clone() });
    let arrivals = Arrivals::start(workers.handle(), messages);
    let (theme, paths, is_remote) = (look.settings.theme, look.paths, look.environment.is_remote);
    let outcome =
        on_screen(Console { session, theme, world, arrivals, signals, recorder, paths, is_remote, comeback })?;
    Ok(finish(&ending, children, outcome, workers))
}

/// How the console looks, and from what that follows.
pub(crate) struct Look {
    pub(crate) settings: Settings,
    pub(crate) environment: Environment,
    pub(crate) paths: Paths,
}

impl Look {
    /// What the flags, the environment and the person's file make; mistakes in these are told.
    pub(crate) fn of(options: &LookOptions) -> Look {
        let (environment, paths) = (Environment::of_process(), Paths::of_process());
        let file = options.config.clone().unwrap_or_else(|| paths.config.clone());
        let settings = Settings::read(file, &environment, options);
        for complaint in &settings.complaints {
            guard::say(&format!("zw-tui: {complaint}"));
        }
        Look { settings, environment, paths }
    }
}

/// Runs a console on the terminal until it is left.
pub(crate) fn on_screen(console: Console) -> Result<std::thread::Result<io::Result<()>>, String> {
    // We decide about colour ourselves; the library's own decision would write resets instead.
    ratatui::crossterm::style::force_color_output(true);
    let screen = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let screen = screen.map_err(|error| format!("cannot start the screen: {error}"))?;
    let mouse = console.session.shown().mouse;
    Ok(catch_unwind(AssertUnwindSafe(|| {
        guard::enter(mouse)?;
        screen.block_on(console.run())
    })))
}

fn without_screen(is_linear: bool, parts: Parts) -> Result<u8, String> {
    let Parts { state, supervisor, messages, signals, ending, children, workers, cluster, .. } = parts;
    let lines = if is_linear {
        Some(headless::read_lines().map_err(|error| format!("cannot read commands: {error}"))?)
    } else {
        None
    };
    let hands = Hands { supervisor, cluster, ending: ending.clone() };
    let outcome =
        catch_unwind(AssertUnwindSafe(|| workers.block_on(headless::run(state, hands, messages, signals, lines))));
    Ok(finish(&ending, children, outcome, workers))
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
    // Also one on the very last steps.
    if panic::happened() { panic::PANIC_CODE } else { code }
}

/// What cannot be written later is told to the console: the library would print it over the screen.
fn start_log(path: &Path, level: &str, sender: &Sender<Msg>) -> Result<(), String> {
    let file = LogFile::open(path)
        .map_err(|error| format!("cannot write the log {}: {error}; give another with --log", path.display()))?;
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (sender, name) = (sender.clone(), path.display().to_string());
    let file = Forgiving::new(file, move |error: Option<&io::Error>| {
        let note = match error {
            Some(error) => format!("the log cannot be written: {error}; the console goes on without {name}"),
            None => format!("the log is written again: {name}"),
        };
        // Never waits: whoever logs may be the one that empties the queue.
        let _ = sender.try_send(Msg::Note(note));
    });
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter).with_writer(Mutex::new(file)).finish();
    // A second console in one process is only a test's; the first one's log serves both.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
