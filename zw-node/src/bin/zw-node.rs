//! A member of the ensemble.

use clap::Parser;
use std::process::ExitCode;
use zw_node::server::{NodeOptions, run};

/// ZooWeeper's node: a member of an ensemble that keeps a tree of znodes, durable on a majority and in one order
#[derive(Parser)]
#[command(name = "zw-node", version)]
struct Command {
    #[command(flatten)]
    options: NodeOptions,
}

fn main() -> ExitCode {
    match run(Command::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zw-node: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
