//! The broker `zw-broker`: takes football events over HTTP, has them ordered by the ensemble, and shows them in that order.
//!
//! - An event is one transaction in the ensemble. Once that is answered it is durable on a majority, has its place in
//!   the one order (its zxid), and every broker in the cluster shows it there: also one that was down, for it reads on
//!   from where it was.
//! - The ensemble decides; the broker's own file is a copy, to start from and to show while no node answers.
//! - The brokers that are alive are ephemeral znodes; which brokers are in the cluster is the `Clients` list of a
//!   sender's newest event (see [`view`]).

mod event;
mod follow;
mod http;
mod layout;
mod order;
mod page;
mod register;
mod store;
mod view;

use crate::command_line::{EXIT_USAGE, addresses, start_logging};
use crate::parent;
use crate::server::metrics::Latency;
use crate::signals;
use clap::Args;
use follow::Shared;
use http::Service;
use order::Orderer;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Instant;
use store::{Store, StoreError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use view::View;
use zw_core::ensemble::EnsembleError;
use zw_core::limits::SHUTDOWN_DEADLINE;

/// The flags of a broker.
#[derive(Clone, Debug, Args)]
pub struct BrokerOptions {
    /// Listen here; the port is the broker's name in Clients lists
    #[arg(long, default_value_t = 9090, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Nodes of the ensemble
    #[arg(long, env = "ZW_SERVERS", value_name = "HOST:PORT,...", default_value = "127.0.0.1:8080")]
    #[arg(value_delimiter = ',')]
    pub servers: Vec<String>,
    /// Directory of the broker's file [default: ./zw-data/broker-<port>]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// End when the process that started it ends
    #[arg(long)]
    pub die_with_parent: bool,
    /// What to log on stderr: error, warn, info, debug or trace
    #[arg(long, env = "ZW_LOG", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
}

/// Why a broker ended.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// A server's address is wrong.
    #[error("--servers (or ZW_SERVERS): {0}")]
    Servers(#[from] EnsembleError),
    /// The log level makes no sense.
    #[error("--log-level {level:?}: {reason}; use error, warn, info, debug or trace")]
    LogLevel {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The port is taken, or may not be used.
    #[error("port {port}: {source}; choose another with --port")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The broker's file.
    #[error("{0}")]
    Store(String),
    /// Threads, standard output, or the disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BrokerError {
    /// The process's exit code: 2 for flags that are wrong, 1 for what the machine refuses.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            BrokerError::Servers(_) | BrokerError::LogLevel { .. } => EXIT_USAGE,
            _ => 1,
        }
    }
}

impl From<StoreError> for BrokerError {
    fn from(error: StoreError) -> BrokerError {
        BrokerError::Store(error.to_string())
    }
}

/// Runs a broker until SIGTERM or SIGINT. Prints `listening on HOST:PORT` once it takes connections.
///
/// # Errors
/// The port, the file or the disk.
pub fn run(mut options: BrokerOptions) -> Result<(), BrokerError> {
    options.servers = addresses(&options.servers)?;
    start_logging(&options.log_level)
        .map_err(|reason| BrokerError::LogLevel { level: options.log_level.clone(), reason })?;
    if options.die_with_parent {
        parent::die_with_parent()?;
    }
    // Two threads: one may flush the file while the other answers.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        tokio::spawn(broker(options)).await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    })
}

async fn broker(options: BrokerOptions) -> Result<(), BrokerError> {
    let terminated = tokio::spawn(signals::terminated());
    let port = options.port.to_string();
    let data = options.data.unwrap_or_else(|| PathBuf::from(format!("./zw-data/broker-{port}")));
    let failed = |source| BrokerError::Listen { port: options.port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(failed)?;
    let address = listener.local_addr()?.to_string();
    let (store, stored) = Store::open(&data)?;
    let mut view = View::new(stored.history);
    stored.events.into_iter().for_each(|event| view.push(event));
    let reached = watch::Sender::new(view.last_zxid());
    let shared = Arc::new(Shared { view: RwLock::new(view), reached });

    let (stop, stopped) = watch::channel(false);
    let service = Service {
        port: port.clone(),
        shared: Arc::clone(&shared),
        orderer: Orderer::new(port.clone(), options.servers.clone()),
        latency: Latency::default(),
        began: Instant::now(),
    };
    let http = tokio::spawn(http::serve(listener, Arc::new(service), stopped.clone()));
    let registered =
        tokio::spawn(register::run(port.clone(), address.clone(), options.servers.clone(), stopped.clone()));
    let mut following = tokio::spawn(follow::run(port, options.servers, shared, store, stopped));
    say_listening(&address)?;

    let early = tokio::select! {
        _ = terminated => None,
        ended = &mut following => Some(ended),
    };
    stop.send_replace(true);
    let _ = tokio::join!(http, registered);
    let ended = match early {
        Some(ended) => ended,
        None => match timeout(SHUTDOWN_DEADLINE, following).await {
            Ok(ended) => ended,
            // It hangs on a node; what it has taken in is on disk.
            Err(_) => return Ok(()),
        },
    };
    match ended {
        Ok(done) => done.map_err(|error| BrokerError::Store(format!("{}: {error}", data.display()))),
        Err(defect) => Err(io::Error::other(defect).into()),
    }
}

/// Tells whoever started the broker. That nobody reads it is no reason to end.
fn say_listening(address: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "listening on {address}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
