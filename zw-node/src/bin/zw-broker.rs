//! A broker.

use clap::Parser;
use std::process::ExitCode;
use zw_node::broker::{BrokerOptions, run};

/// Takes football events over HTTP, has them ordered by the ensemble, and shows them in that order
#[derive(Parser)]
#[command(name = "zw-broker", version)]
struct Options {
    #[command(flatten)]
    broker: BrokerOptions,
}

fn main() -> ExitCode {
    match run(Options::parse().broker) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zw-broker: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
