//! The console's program: see the library.

use clap::Parser;
use std::process::ExitCode;
use zw_tui::options::Options;

fn main() -> ExitCode {
    ExitCode::from(zw_tui::console::run(&Options::parse()))
}
