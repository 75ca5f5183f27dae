//! The flags.

use crate::motion::Motion;
use crate::term::capabilities::ColorChoice;
use crate::theme;
use clap::{Args, Parser, Subcommand};
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
    /// How much moves [default: full]
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
    /// A node
    #[command(hide = true)]
    Node(NodeOptions),
    /// A broker
    #[command(hide = true)]
    Broker(BrokerOptions),
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

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_flags_are_consistent_and_bounded() {
        use clap::CommandFactory;
        Options::command().debug_assert();
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
        let attach = |line: &str| match parse(line).map(|options| options.child) {
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
}
