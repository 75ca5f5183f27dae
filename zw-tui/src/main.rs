//! The console's program: see the library.

use clap::Parser;
use std::error::Error;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use zw_tui::options::{Child, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    match options.child {
        None => ExitCode::from(zw_tui::console::run(&options)),
        Some(Child::Node(node)) => as_child("zw-node", zw_node::server::run(node)),
        Some(Child::Broker(broker)) => {
            let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
            as_child("zw-broker", zw_node::broker::run(broker))
        }
    }
}

fn as_child(name: &str, outcome: Result<(), impl Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
