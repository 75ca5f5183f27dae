//! A node: its start, its threads, its end.
//!
//! ```text
//! tokio, some workers: accept, links, clients, HTTP     core: Zab and the tree     log: fdatasync     snapshot: now and then
//! ```
//!
//! Reading order: this file, `config`, `core` (the loop), `perform` (the effects), `applier`, `duties`, `pending`; then
//! `node` (what is shared) and `inbox`.

mod applier;
pub(crate) mod clock;
mod config;
mod core;
mod duties;
pub(crate) mod faults;
pub(crate) mod fetches;
pub(crate) mod inbox;
pub(crate) mod locks;
pub(crate) mod metrics;
pub(crate) mod node;
mod pending;
mod perform;
mod snapshotter;
pub(crate) mod status;
pub(crate) mod trace;
mod traced;

pub use config::{ConfigError, NodeOptions};

use crate::command_line::{self, EXIT_USAGE};
use crate::connection;
use crate::peer::dial::{keep_connected, keep_introduced};
use crate::snapshots::{SnapshotError, SnapshotStore};
use crate::wal::{DiskDelay, LogEvent, LogThread, Wal, WalError, WalOptions};
use config::Config;
use inbox::CoreInput;
use node::{Node, View};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use zw_core::ids::{NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::tree::Tree;
use zw_core::wire::admin::TraceKind;
use zw_core::zab::effects::{Input, Now};
use zw_core::zab::{self, Limits, Timing, Zab};

/// Exit code of a node whose tree differs from its leader's.
pub const EXIT_DIGEST_MISMATCH: i32 = 3;
/// Exit code of a node one of whose threads found a defect.
const EXIT_DEFECT: i32 = 101;
/// Most threads for sockets.
const SOCKET_THREADS_MAX: usize = 4;
/// Longest wait for the core thread when the node stops; then it goes without.
const STOP_DEADLINE: Duration = Duration::from_millis(1_500);

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The flags are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] WalError),
    /// The snapshot that the log builds on cannot be used.
    #[error(
        "{}: {source}. The log builds on this snapshot, so the node does not start without it. If the other members hold \
         a quorum without this one, move the directory away and start the node with an empty one",
        directory.display()
    )]
    Snapshot {
        /// The data directory.
        directory: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listen_advice(source))]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The log level makes no sense.
    #[error("--log-level {level:?}: {reason}; use error, warn, info, debug or trace")]
    LogLevel {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refuses something that every process needs.
    #[error("{doing} failed: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl ServerError {
    /// The process's exit code: 2 for flags that are wrong, 1 for what the machine refuses.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            ServerError::Config(_) | ServerError::LogLevel { .. } => EXIT_USAGE,
            _ => 1,
        }
    }
}

fn listen_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ". Another process has this port: stop that one, or choose another with --port",
        io::ErrorKind::AddrNotAvailable => ". No interface of this machine has that address: check --advertise",
        io::ErrorKind::PermissionDenied => ". Ports below 1024 need privileges: choose another with --port",
        _ => "",
    }
}

fn system(doing: &'static str) -> impl Fn(io::Error) -> ServerError {
    move |source| ServerError::System { doing, source }
}

/// Runs a node until it is asked to end: SIGTERM, SIGINT, or the parent's death if that was asked for.
///
/// # Errors
/// The node does not start; the text says what to do.
pub fn run(options: NodeOptions) -> Result<(), ServerError> {
    start_logging(&options.log_level)?;
    if options.die_with_parent {
        crate::parent::die_with_parent().map_err(system("watching the parent process"))?;
    }
    let config = Config::new(&options)?;
    let listener = listen(&config)?;
    let (wal, recovered, store, tree) = recover(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(socket_threads())
        .thread_name("sockets")
        .enable_all()
        .build()
        .map_err(system("starting threads"))?;
    let interval_bytes = config.snapshot_interval_bytes;
    let zab = |now: Now, seed: u64| Zab::new(zab_config(&config, seed), &recovered, now);
    let (node, zab) = make_node(config.clone(), tree, zab)?;
    let snapshotter = snapshotter::Snapshotter::new(store, interval_bytes, config.me, recovered.snapshot);
    let (log, disk_delay) = start_log(&node, wal)?;
    let core = core::Core::new(node.clone(), zab, log, snapshotter);
    let core = start_core(core)?;
    let ended = runtime.block_on(serve(&node, listener, disk_delay));
    node.inbox.push(CoreInput::Shutdown);
    wait_for(core);
    node.stopping.cancel();
    // Tasks that still write a last answer get a moment; the rest is dropped.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

/// Half of the cores, for the core thread and the log's want some too. On a small machine that is one: with a second one
/// every request wakes both, which costs more than it brings.
fn socket_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(1, SOCKET_THREADS_MAX)
}

fn start_logging(level: &str) -> Result<(), ServerError> {
    command_line::start_logging(level).map_err(|reason| ServerError::LogLevel { level: level.to_owned(), reason })
}

fn listen(config: &Config) -> Result<std::net::TcpListener, ServerError> {
    let (host, port) = config.bind_address();
    let error = |source| ServerError::Listen { address: format!("{host}:{port}"), source };
    let listener = std::net::TcpListener::bind((host.as_str(), port)).map_err(error)?;
    listener.set_nonblocking(true).map_err(error)?;
    Ok(listener)
}

/// Opens the log and the snapshot that it builds on.
fn recover(config: &Config) -> Result<(Wal, Recovered, SnapshotStore, Tree), ServerError> {
    let options = WalOptions { segment_bytes: config.segment_bytes, ..WalOptions::new(config.me, &config.ensemble) };
    let (wal, recovered) = Wal::open(&config.data, options)?;
    let error = |source| ServerError::Snapshot { directory: config.data.clone(), source };
    let store = SnapshotStore::open(&config.data).map_err(error)?;
    let tree = if recovered.snapshot.zxid == Zxid::ZERO {
        Tree::new()
    } else {
        store.load(recovered.snapshot).map_err(error)?
    };
    Ok((wal, recovered, store, tree))
}

fn zab_config(config: &Config, seed: u64) -> zab::Config {
    zab::Config {
        me: config.me,
        ensemble: config.ensemble.clone(),
        timing: Timing { heartbeat: config.heartbeat, follower_timeout: config.follower_timeout, ..Timing::default() },
        seed,
        limits: Limits { retained_log_bytes: config.retained_log_bytes, ..Limits::default() },
    }
}

fn make_node(config: Config, tree: Tree, zab: impl FnOnce(Now, u64) -> Zab) -> Result<(Arc<Node>, Zab), ServerError> {
    let random = || getrandom::u64().map_err(|error| system("drawing a random number")(io::Error::other(error)));
    let (seed, first_tag) = (random()?, random()? >> 1);
    let now = Now { wall_ms: clock::wall_ms(), ..Now::default() };
    let zab = zab(now, seed);
    let view = View {
        role: zab.role(),
        leader: None,
        epoch: zab.epoch(),
        last_zxid: zab.last_zxid(),
        committed: zab.committed(),
        serving: false,
        queue: 0,
        disk_full: false,
        acked: Vec::new(),
        epoch_ends: node::newest_ends(zab.epoch_ends()),
    };
    Ok((Arc::new(Node::new(config, tree, first_tag, view)), zab))
}

fn start_log(node: &Arc<Node>, wal: Wal) -> Result<(LogThread, DiskDelay), ServerError> {
    let reported = node.clone();
    let report = move |event| match event {
        LogEvent::Durable { ticket, took, is_last } => {
            reported.metrics.fsync.record(took, reported.clock.uptime());
            reported.trace.record_if_watched(TraceKind::Fsync, || trace::Facts {
                number: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                ..trace::Facts::default()
            });
            reported.inbox.durable(ticket, is_last);
        }
        LogEvent::DiskFull(full) => reported.inbox.push(CoreInput::Zab(Input::DiskFull { full })),
    };
    let log = LogThread::spawn(wal, report).map_err(system("starting the log's thread"))?;
    let delay = log.disk_delay();
    Ok((log, delay))
}

fn start_core(core: core::Core) -> Result<JoinHandle<()>, ServerError> {
    let node = core.node.clone();
    let core = Arc::new(Mutex::new(core));
    node.inbox.lend(&core);
    let run = move || core::Core::run(&core);
    std::thread::Builder::new().name("core".into()).spawn(run).map_err(system("starting the core thread"))
}

/// Serves sockets until the process is asked to end.
async fn serve(node: &Arc<Node>, listener: std::net::TcpListener, disk_delay: DiskDelay) -> Result<(), ServerError> {
    let listener = TcpListener::from_std(listener).map_err(system("listening"))?;
    let me = node.config.me;
    let (higher, lower): (Vec<NodeId>, Vec<NodeId>) = node.config.ensemble.others(me).partition(|peer| *peer > me);
    for peer in higher {
        tokio::spawn(keep_connected(node.clone(), peer));
    }
    for peer in lower {
        tokio::spawn(keep_introduced(node.clone(), peer));
    }
    tokio::spawn({
        let node = node.clone();
        async move { node.faults.expire(|delay| disk_delay.set(delay)).await }
    });
    announce(node, listener.local_addr().map_err(system("listening"))?);
    tokio::select! {
        () = connection::accept(node.clone(), listener) => {}
        () = crate::signals::terminated() => {}
    }
    Ok(())
}

/// Says on stdout that connections are taken.
fn announce(node: &Node, listening: SocketAddr) {
    let Config { address, ensemble, me, data, .. } = &node.config;
    tracing::info!(node = %me, %address, %listening, %ensemble, data = %data.display(), "started");
    let mut out = io::stdout().lock();
    // Nobody may be listening; the log has said it too.
    let _ = writeln!(out, "listening on {listening}").and_then(|()| out.flush());
}

/// Waits for the core thread, but not for ever.
fn wait_for(core: JoinHandle<()>) {
    let (sender, ended) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let _ = core.join();
        let _ = sender.send(());
    });
    if ended.recv_timeout(STOP_DEADLINE).is_err() {
        tracing::warn!("the core thread takes too long to end; what is on disk is complete as it is");
    }
    drop(waiter);
}
