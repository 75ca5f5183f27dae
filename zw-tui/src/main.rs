//! The console's program: see the library.

use clap::Parser;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use zw_node::broker::{self, BrokerError};
use zw_node::server::{self, ServerError};
use zw_tui::action::manual;
use zw_tui::options::{Child, CommandLine};

fn main() -> ExitCode {
    let CommandLine { child, options } = CommandLine::parse();
    match child {
        None => ExitCode::from(zw_tui::console::run(&options, None)),
        Some(Child::Run(run)) => ExitCode::from(zw_tui::console::run(&run.options, Some(&run))),
        Some(Child::Keys { markdown }) => {
            let text = if markdown { manual::markdown() } else { manual::text() };
            // Whoever reads only the beginning has what was wanted.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Some(Child::Replay { file, look }) => ExitCode::from(zw_tui::replay::run(&file, &look)),
        Some(Child::Node(node)) => as_child("zw-node", || server::run(node), ServerError::exit_code),
        Some(Child::Broker(options)) => as_child("zw-broker", || broker::run(options), BrokerError::exit_code),
    }
}

fn as_child<E: Error>(name: &str, run: impl FnOnce() -> Result<(), E>, exit_code: impl Fn(&E) -> u8) -> ExitCode {
    // A child runs the console's program through a link, and ps and top would call it by the link's name. Threads take
    // the name over from here. It is for people only, so a system without it is as good.
    let _ = std::fs::write("/proc/self/comm", name);
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}
