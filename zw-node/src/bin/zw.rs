//! The command line.

use clap::Parser;
use std::process::ExitCode;
use zw_node::cli::{CliOptions, run};

fn main() -> ExitCode {
    run(CliOptions::parse())
}
