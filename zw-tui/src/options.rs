//! The flags.

use crate::term::capabilities::ColorChoice;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use zw_node::broker::BrokerOptions;
use zw_node::server::NodeOptions;

/// Most nodes of a local ensemble.
pub const NODES_MAX: u8 = 9;
/// Most brokers beside it.
pub const BROKERS_MAX: u8 = 9;
const _: () = assert!(NODES_MAX as usize <= zw_core::limits::MEMBERS_MAX);

/// Starts a ZooWeeper ensemble on this machine and shows it: roles, trees, events. Lets you write to it and break it.
#[derive(Clone, Debug, Parser)]
#[command(name = "zw-tui", version, about, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What this process is, if not the console.
    #[command(subcommand)]
    pub child: Option<Child>,
    /// Nodes of the ensemble
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    pub nodes: u8,
    /// Brokers beside it
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=i64::from(BROKERS_MAX)))]
    pub brokers: u8,
    /// Port of n1; the others follow
    #[arg(long, default_value_t = 8080, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..65_472))]
    pub base_port: u16,
    /// Port of b1; the others follow
    #[arg(long, default_value_t = 9090, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..65_472))]
    pub broker_base_port: u16,
    /// Where the nodes keep their data [default: a temporary directory that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Start the nodes from this program instead of from the console itself
    #[arg(long, value_name = "PATH")]
    pub node_bin: Option<PathBuf>,
    /// Without a screen: print what happens as lines, until Ctrl-C or SIGTERM
    #[arg(long)]
    pub headless: bool,
    /// How it looks
    #[command(flatten)]
    pub look: LookOptions,
    /// Size of a segment of the nodes' logs
    #[arg(long, hide = true, value_name = "BYTES")]
    pub segment_bytes: Option<u64>,
    /// The console's own log [default: console.log in the data directory]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// How the screen looks.
#[derive(Clone, Debug, Args)]
pub struct LookOptions {
    /// Draw with ASCII only
    #[arg(long)]
    pub ascii: bool,
    /// Use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Leave the mouse to the terminal; m takes it
    #[arg(long)]
    pub no_mouse: bool,
}

/// What else the program does. The console starts its children from it, so that one program is all one needs.
#[derive(Clone, Debug, Subcommand)]
pub enum Child {
    /// Print all keys and commands of the console
    Keys {
        /// As a table in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Show a recording that the command :record on has made
    Replay {
        /// The recording
        file: PathBuf,
        /// How it looks
        #[command(flatten)]
        look: LookOptions,
    },
    /// A node
    #[command(hide = true)]
    Node(NodeOptions),
    /// A broker
    #[command(hide = true)]
    Broker(BrokerOptions),
}

impl Options {
    /// Refuses flags that do not go together.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn check(&self) -> Result<(), String> {
        let nodes = self.base_port..self.base_port + u16::from(self.nodes);
        let brokers = self.broker_base_port..self.broker_base_port + u16::from(self.brokers);
        if nodes.start < brokers.end && brokers.start < nodes.end {
            return Err("the ports of nodes and brokers overlap; move --base-port or --broker-base-port".into());
        }
        match &self.node_bin {
            Some(program) if !program.is_file() => {
                Err(format!("--node-bin {}: there is no such program", program.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent_and_bounded() {
        use clap::CommandFactory;
        Options::command().debug_assert();
        let parse = |line: &str| Options::try_parse_from(line.split(' '));
        assert!(parse("zw-tui --nodes 9 --brokers 0").is_ok_and(|options| options.check().is_ok()));
        for wrong in ["--nodes 0", "--nodes 16", "--brokers 65", "--base-port 65530"] {
            assert!(parse(&format!("zw-tui {wrong}")).is_err(), "{wrong}");
        }
        assert!(parse("zw-tui --base-port 9088").unwrap().check().unwrap_err().contains("overlap"));
        assert!(parse("zw-tui --node-bin /nonexistent").unwrap().check().unwrap_err().contains("/nonexistent"));
    }
}
