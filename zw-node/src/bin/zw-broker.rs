//! A broker.

use clap::Parser;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use zw_node::broker::{BrokerOptions, run};

/// Takes football events over HTTP, has them ordered by the ensemble, and shows them in that order
#[derive(Parser)]
#[command(name = "zw-broker", version)]
struct Options {
    #[command(flatten)]
    broker: BrokerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(options.broker) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zw-broker: {error}");
            ExitCode::FAILURE
        }
    }
}
