//! Puts the console together and takes it apart again, whatever happens between.

mod assemble;

use crate::arrivals::Arrivals;
use crate::cluster::Cluster;
use crate::comeback::Comeback;
use crate::ending::{Ending, Place};
use crate::headless::{self, Hands};
use crate::headless_run;
use crate::model::message::Msg;
use crate::model::overlay::{Overlay, Toast};
use crate::model::session::Session;
use crate::model::tape::Tape;
use crate::model::text::TextPage;
use crate::model::{State, scenario};
use crate::options::{Attach, Common, LookOptions, Options, RunOptions};
use crate::paths::Paths;
use crate::recording::Recorder;
use crate::run::{Console, World};
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::term::capabilities::Environment;
use crate::term::signals::{Signal, Signals};
use crate::term::{editor, guard, hangup, panic};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};

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
        Ensemble::Local(options) => assemble::local(options, settings, environment, paths, false)?,
        Ensemble::Scenarios(run) => assemble::local(&run.options, settings, environment, paths, true)?,
        Ensemble::Attached(attach) => assemble::attached(attach, settings, environment, paths)?,
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
