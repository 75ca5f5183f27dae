//! The flags.

use crate::model::flow::Motion;
use crate::model::scenario::script;
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
pub struct CommandLine {
    /// What this process is, if not the console.
    #[command(subcommand)]
    pub child: Option<Child>,
    #[allow(missing_docs, reason = "a comment here would stand in the help")]
    #[command(flatten)]
    pub options: Options,
}

// Comments on these two would stand in the help, in the place of the program's.
#[allow(missing_docs, reason = "see above")]
#[derive(Clone, Debug, Args)]
pub struct Options {
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
    /// What moves: nothing (off, reduced), or a write's messages (full) [default: $ZW_MOTION or full; reduced over ssh]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub motion: Option<Motion>,
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
    /// Run scenarios: each does something to an ensemble of its own and says whether it bore it
    Run(RunOptions),
    /// A node
    #[command(hide = true)]
    Node(NodeOptions),
    /// A broker
    #[command(hide = true)]
    Broker(BrokerOptions),
}

#[allow(missing_docs, reason = "see above")]
#[derive(Clone, Debug, Args)]
#[command(after_help = after_help())]
pub struct RunOptions {
    /// The scenario, or all
    #[arg(value_name = "NAME|all")]
    pub name: String,
    /// With --headless: a line of JSON for each scenario
    #[arg(long, requires = "headless")]
    pub json: bool,
    /// Chooses the follower that is killed, the minority that is cut off, the keys that are written
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    #[allow(missing_docs, reason = "see above")]
    #[command(flatten)]
    pub options: Options,
}

fn after_help() -> String {
    let shown = script::all().iter().filter(|script| !script.is_hidden);
    let lines = shown.map(|script| format!("  {:<23} {}\n", script.name, script.sentence));
    let codes = "Exit codes: 0 all passed, 3 an expectation failed, 2 wrong use, 1 anything else";
    format!("Scenarios:\n{}\n{codes}", lines.collect::<String>())
}

impl RunOptions {
    /// Refuses a scenario that there is not, or that this ensemble is too small for.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn check(&self, has_test_hooks: bool) -> Result<(), String> {
        if self.name == "all" {
            return Ok(());
        }
        let script = script::by_name(&self.name, has_test_hooks)?;
        for (flag, is, needs) in
            [("nodes", self.options.nodes, script.nodes), ("brokers", self.options.brokers, script.brokers)]
        {
            if usize::from(is) < needs {
                return Err(format!("{} needs at least --{flag} {needs}", script.name));
            }
        }
        Ok(())
    }
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
        CommandLine::command().debug_assert();
        let parse = |line: &str| CommandLine::try_parse_from(line.split(' ')).map(|line| line.options);
        assert!(parse("zw-tui --nodes 9 --brokers 0").is_ok_and(|options| options.check().is_ok()));
        for wrong in ["--nodes 0", "--nodes 16", "--brokers 65", "--base-port 65530"] {
            assert!(parse(&format!("zw-tui {wrong}")).is_err(), "{wrong}");
        }
        assert!(parse("zw-tui --base-port 9088").unwrap().check().unwrap_err().contains("overlap"));
        assert!(parse("zw-tui --node-bin /nonexistent").unwrap().check().unwrap_err().contains("/nonexistent"));
    }

    #[test]
    fn a_run_takes_the_flags_of_the_ensemble() {
        let parse = |line: &str| match CommandLine::try_parse_from(line.split(' ')).map(|line| line.child) {
            Ok(Some(Child::Run(run))) => Ok(run),
            other => Err(format!("{other:?}")),
        };
        let run = parse("zw-tui run kill-leader --nodes 3 --brokers 1 --headless --json --seed 7").unwrap();
        assert_eq!((run.options.nodes, run.options.brokers, run.seed, run.json), (3, 1, 7, true));
        assert_eq!(run.check(false), Ok(()));
        assert!(parse("zw-tui run all --json").is_err(), "JSON is for those who have no screen");
        assert!(parse("zw-tui run x").unwrap().check(false).unwrap_err().contains("there is no scenario"));
        let few = parse("zw-tui run split --nodes 2").unwrap().check(false).unwrap_err();
        assert_eq!(few, "split needs at least --nodes 3");
    }
}
