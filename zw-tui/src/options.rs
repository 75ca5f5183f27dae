//! The flags.

use crate::model::scenario::script;
use crate::motion::Motion;
use crate::term::capabilities::ColorChoice;
use crate::theme;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use zw_core::ensemble::Address;
use zw_core::limits::MEMBERS_MAX;
use zw_node::broker::BrokerOptions;
use zw_node::server::NodeOptions;

/// Most nodes of a local ensemble.
pub const NODES_MAX: u8 = 9;
/// Most brokers beside it.
pub const BROKERS_MAX: u8 = 9;
const _: () = assert!(NODES_MAX as usize <= MEMBERS_MAX);

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
    /// Look only: no key and no command writes, kills or breaks anything
    #[arg(long)]
    pub read_only: bool,
    /// Size of a segment of the nodes' logs
    #[arg(long, hide = true, value_name = "BYTES")]
    pub segment_bytes: Option<u64>,
    /// How it looks.
    #[command(flatten)]
    pub common: Common,
}

/// The flags of every console.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Without a screen: print what happens as lines, until Ctrl-C or SIGTERM
    #[arg(long)]
    pub headless: bool,
    /// Without a screen, with a prompt: what happens comes as lines, and commands are typed as lines
    #[arg(long, conflicts_with = "headless")]
    pub linear: bool,
    /// The console's own log [default: console.log in the data directory]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// How it looks.
    #[command(flatten)]
    pub look: LookOptions,
}

/// How the screen looks.
#[derive(Clone, Debug, Default, Args)]
pub struct LookOptions {
    /// Colours [default: auto]
    #[arg(long, value_enum, value_name = "NAME")]
    pub theme: Option<theme::Name>,
    /// Use colours [default: auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<ColorChoice>,
    /// Draw with ASCII only
    #[arg(long)]
    pub ascii: bool,
    /// How much moves [default: $ZW_MOTION or full]
    #[arg(long, value_enum, value_name = "HOW")]
    pub motion: Option<Motion>,
    /// Take the mouse, even if the file of settings says no; m gives it back
    #[arg(long, overrides_with = "no_mouse")]
    pub mouse: bool,
    /// Leave the mouse to the terminal; m takes it
    #[arg(long, overrides_with = "mouse")]
    pub no_mouse: bool,
    /// The file of settings [default: tui.toml in the directory zw of the user's configuration]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A console on an ensemble that it did not start.
#[derive(Clone, Debug, Args)]
pub struct Attach {
    /// Members of the ensemble, as HOST:PORT
    #[arg(required = true, value_delimiter = ',', value_name = "HOST:PORT")]
    pub servers: Vec<Address>,
    /// Let keys and commands write znodes, each after a question
    #[arg(long)]
    pub allow_writes: bool,
    /// Let keys and commands break links and disks, each after a question
    #[arg(long)]
    pub allow_faults: bool,
    /// How it looks.
    #[command(flatten)]
    pub common: Common,
}

/// What else the program does. The console starts its children from it, so that one program is all one needs.
#[derive(Clone, Debug, Subcommand)]
pub enum Child {
    /// Show an ensemble that runs already; nothing is started, and nothing changed unless it is allowed
    Attach(Attach),
    /// Print all keys and commands of the console
    Keys {
        /// As a table in Markdown, of the keys as they are without a file of settings
        #[arg(long)]
        markdown: bool,
        /// The file of settings
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show a recording that the command :record on has made
    Replay {
        /// The recording
        file: PathBuf,
        /// How it looks
        #[command(flatten)]
        look: LookOptions,
    },
    /// Make, find or check the file of settings
    Config {
        /// Which
        #[command(subcommand)]
        what: ConfigTask,
        /// The file
        #[arg(long, global = true, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print versions, paths, settings, what the terminal can do, and limits
    Info(Common),
    /// Run scenarios: each does something to an ensemble of its own and says whether it bore it
    Run(RunOptions),
    /// A node
    #[command(hide = true)]
    Node(NodeOptions),
    /// A broker
    #[command(hide = true)]
    Broker(BrokerOptions),
    /// A person's editor, which goes when the console goes
    #[command(hide = true)]
    Editor {
        /// The console's pid
        #[arg(long)]
        console: u32,
        /// Program and arguments
        #[arg(last = true, required = true)]
        line: Vec<OsString>,
    },
    /// The parent of nodes and brokers
    #[command(hide = true)]
    Keeper {
        /// The data directory
        directory: PathBuf,
    },
}

/// What is done with the file of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigTask {
    /// Write a file that has all settings as comments; one that is there stays
    Init,
    /// Print where the file is
    Path,
    /// Print what is wrong in it; exit 1 if something is
    Check,
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

impl LookOptions {
    /// Refuses a file that is not there.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn check(&self) -> Result<(), String> {
        match &self.config {
            Some(file) if !file.is_file() => {
                Err(format!("--config {}: there is no such file; zw-tui config init writes one", file.display()))
            }
            _ => Ok(()),
        }
    }
}

impl Common {
    /// Whether a screen is wanted.
    #[must_use]
    pub fn has_screen(&self) -> bool {
        !self.headless && !self.linear
    }
}

impl Attach {
    /// The addresses in the order in which an ensemble numbers them, each once.
    ///
    /// # Errors
    /// There are too many.
    pub fn addresses(&self) -> Result<Vec<String>, String> {
        let mut servers = self.servers.clone();
        servers.sort();
        servers.dedup();
        if servers.len() > MEMBERS_MAX {
            return Err(format!("an ensemble has at most {MEMBERS_MAX} members, not {}", servers.len()));
        }
        Ok(servers.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_line(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split(' '))
    }

    fn parse(line: &str) -> Result<Options, clap::Error> {
        command_line(line).map(|line| line.options)
    }

    #[test]
    fn the_flags_are_consistent_and_bounded() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
        assert!(parse("zw-tui --nodes 9 --brokers 0").is_ok_and(|options| options.check().is_ok()));
        for wrong in ["--nodes 0", "--nodes 16", "--brokers 65", "--base-port 65530", "--linear --headless"] {
            assert!(parse(&format!("zw-tui {wrong}")).is_err(), "{wrong}");
        }
        assert!(parse("zw-tui --base-port 9088").unwrap().check().unwrap_err().contains("overlap"));
        assert!(parse("zw-tui --node-bin /nonexistent").unwrap().check().unwrap_err().contains("/nonexistent"));
        let missing = parse("zw-tui --config /nonexistent").unwrap().common.look.check();
        assert!(missing.unwrap_err().contains("config init"));
    }

    #[test]
    fn the_members_to_attach_to_are_numbered_as_the_ensemble_numbers_them() {
        let attach = |line: &str| match command_line(line).map(|line| line.child) {
            Ok(Some(Child::Attach(attach))) => attach,
            other => panic!("{other:?}"),
        };
        let three = attach("zw-tui attach b:1,a:20 a:3,b:1 --allow-writes --theme dark");
        assert_eq!(three.addresses().unwrap(), ["b:1", "a:3", "a:20"]);
        assert!(three.allow_writes && !three.allow_faults);
        assert_eq!(three.common.look.theme, Some(theme::Name::Dark));
        for wrong in ["", " nowhere", " a:1 --nodes 3", " a:0"] {
            assert!(parse(&format!("zw-tui attach{wrong}")).is_err(), "{wrong}");
        }
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
