//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    zw_node::cli::main()
}
