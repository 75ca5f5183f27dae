//! From the flags to a console's parts: an ensemble that is started, come back to, or only looked at.

use super::{MESSAGES_MAX, Parts, connect};
use crate::about;
use crate::comeback::Comeback;
use crate::ending::Place;
use crate::launch::{DataDirectory, Launch};
use crate::log_file::{Forgiving, LogFile};
use crate::member::Member;
use crate::model::State;
use crate::model::message::Msg;
use crate::model::permission::Permission;
use crate::options::{Attach, Options};
use crate::paths::Paths;
use crate::preflight;
use crate::settings::Settings;
use crate::supervisor::{RunFile, RunFileError, Supervisor, Told, keeper};
use crate::term::capabilities::Environment;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};
use tracing_subscriber::EnvFilter;

/// An ensemble of one's own.
pub(super) fn local(
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
pub(super) fn attached(
    attach: &Attach,
    settings: &Settings,
    environment: &Environment,
    paths: &Paths,
) -> Result<Parts, String> {
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
