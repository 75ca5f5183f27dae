//! What a node is started with: the flags, and what they mean together.

use crate::command_line::duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use zw_core::ensemble::{Address, Ensemble, EnsembleError};
use zw_core::ids::NodeId;
use zw_core::limits::{SEGMENT_BYTES, SNAPSHOT_INTERVAL_BYTES};

/// The flags of `zw-node`.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeOptions {
    /// The port of this node: for clients, peers and HTTP alike [default: that of --advertise, or 8080]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// All members, the same list on each: host1:8080,host2:8080,host3:8080. Without it, an ensemble of one
    #[arg(long, value_name = "LIST")]
    pub ensemble: Option<String>,
    /// Which member this node is, if the port alone does not tell; it listens on the port of that
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Dial member ID (1 is the first of the sorted list) at another address than the list's: for forwarded ports, NAT
    /// and tests. May be repeated
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = via)]
    pub via: Vec<(NodeId, Address)>,
    /// Where the log and the snapshots live [default: ./zw-data/PORT]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Lets clients cut and delay this node's links and slow its disk down
    #[arg(long)]
    pub allow_faults: bool,
    /// How often a leader shows that it is alive
    #[arg(long, default_value = "100ms", value_parser = duration, value_name = "DURATION")]
    pub heartbeat: Duration,
    /// How long a follower waits for a silent leader
    #[arg(long, default_value = "500ms", value_parser = duration, value_name = "DURATION")]
    pub follower_timeout: Duration,
    /// End when the process that started this one does
    #[arg(long)]
    pub die_with_parent: bool,
    /// What to log on stderr: error, warn, info, debug or trace
    #[arg(long, env = "ZW_LOG", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// Log bytes after which a snapshot is taken
    #[arg(long, hide = true, default_value_t = SNAPSHOT_INTERVAL_BYTES)]
    pub snapshot_interval_bytes: u64,
    /// Size of a segment of the log
    #[arg(long, hide = true, default_value_t = SEGMENT_BYTES)]
    pub segment_bytes: u64,
    /// Bytes of applied entries that are kept in memory for followers that are behind
    #[arg(long, hide = true, default_value_t = zw_core::limits::RETAINED_LOG_BYTES_MAX)]
    pub retained_log_bytes: usize,
}

/// The port of a node that is told nothing.
const PORT: u16 = 8080;

/// What a node is, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) me: NodeId,
    /// Where this node is in the ensemble.
    pub(crate) address: Address,
    pub(crate) ensemble: Ensemble,
    /// Members that are dialled at another address than the ensemble's list gives.
    via: BTreeMap<NodeId, Address>,
    pub(crate) data: PathBuf,
    pub(crate) allow_faults: bool,
    pub(crate) heartbeat: Duration,
    pub(crate) follower_timeout: Duration,
    pub(crate) snapshot_interval_bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) retained_log_bytes: usize,
}

/// Flags that do not go together.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The list of members is wrong.
    #[error("--ensemble: {0}")]
    Ensemble(EnsembleError),
    /// The own address is wrong.
    #[error("--advertise: {0}")]
    Advertise(EnsembleError),
    /// Two ports for one node.
    #[error(
        "--port {port} is not the port of --advertise {address}: a node listens on the port that its address in the list \
         has; leave --port out, or give the same one"
    )]
    Contradiction {
        /// The port.
        port: u16,
        /// The address.
        address: Address,
    },
    /// No member has this port.
    #[error("no member of {ensemble} has port {port}; add this node to --ensemble, or give its --port")]
    NotAMember {
        /// The list.
        ensemble: String,
        /// The port.
        port: u16,
    },
    /// The own address is not in the list.
    #[error("{address} is not a member of {ensemble}; --advertise names this node as it stands in --ensemble")]
    Unknown {
        /// The address.
        address: String,
        /// The list.
        ensemble: String,
    },
    /// Several members have this port.
    #[error("several members of {ensemble} have port {port}; say which one this node is with --advertise HOST:{port}")]
    Ambiguous {
        /// The list.
        ensemble: String,
        /// The port.
        port: u16,
    },
    /// Another address was given for something that this node never dials.
    #[error("--via {id}=...: {what}; {id} must be the number, from 1, of another member of {ensemble}")]
    Via {
        /// The number.
        id: NodeId,
        /// What is wrong with it.
        what: &'static str,
        /// The list.
        ensemble: String,
    },
    /// Durations that cannot work.
    #[error("--follower-timeout {follower:?} must be at least twice --heartbeat {heartbeat:?}, which is above zero")]
    Durations {
        /// The timeout.
        follower: Duration,
        /// The heartbeat.
        heartbeat: Duration,
    },
}

impl Config {
    /// Checks the flags.
    pub(crate) fn new(options: &NodeOptions) -> Result<Config, ConfigError> {
        let (address, ensemble) = members(options)?;
        let me = ensemble.id_of(&address).expect("the own address was found in the list");
        let via = detours(&options.via, me, &ensemble)?;
        let (heartbeat, follower) = (options.heartbeat, options.follower_timeout);
        if heartbeat.is_zero() || follower < heartbeat * 2 {
            return Err(ConfigError::Durations { follower, heartbeat });
        }
        Ok(Config {
            me,
            data: options.data.clone().unwrap_or_else(|| PathBuf::from(format!("zw-data/{}", address.port()))),
            address,
            ensemble,
            via,
            allow_faults: options.allow_faults,
            heartbeat,
            follower_timeout: follower,
            snapshot_interval_bytes: options.snapshot_interval_bytes,
            segment_bytes: options.segment_bytes,
            retained_log_bytes: options.retained_log_bytes,
        })
    }

    /// Where to dial a member.
    pub(crate) fn dials(&self, peer: NodeId) -> Option<&Address> {
        self.via.get(&peer).or_else(|| self.ensemble.address(peer))
    }

    /// Where to listen: the loopback unless the ensemble has other hosts.
    pub(crate) fn bind_address(&self) -> (String, u16) {
        let all_local = self.ensemble.ids().filter_map(|id| self.ensemble.address(id)).all(Address::is_loopback);
        let host = match self.address.host() {
            "localhost" => "127.0.0.1",
            own if all_local => own,
            own if own.contains(':') => "::",
            _ => "0.0.0.0",
        };
        (host.to_owned(), self.address.port())
    }
}

/// Reads `ID=HOST:PORT`.
fn via(text: &str) -> Result<(NodeId, Address), String> {
    let wrong = || format!("{text:?} is not ID=HOST:PORT, such as 2=127.0.0.1:9002");
    let (id, address) = text.split_once('=').ok_or_else(wrong)?;
    let id = id.parse().map_err(|_| wrong())?;
    let address = address.parse::<Address>().map_err(|error| error.to_string())?;
    Ok((NodeId(id), address))
}

/// The other addresses by member; each must be one that this node may dial.
fn detours(
    via: &[(NodeId, Address)],
    me: NodeId,
    ensemble: &Ensemble,
) -> Result<BTreeMap<NodeId, Address>, ConfigError> {
    let mut detours = BTreeMap::new();
    for (id, address) in via {
        let what = match ensemble.address(*id) {
            None => Some("there is no such member"),
            Some(_) if *id == me => Some("this is the node itself"),
            Some(_) => detours.insert(*id, address.clone()).map(|_| "it is given twice"),
        };
        if let Some(what) = what {
            return Err(ConfigError::Via { id: *id, what, ensemble: ensemble.to_string() });
        }
    }
    Ok(detours)
}

/// This node's address and the list that it stands in.
fn members(options: &NodeOptions) -> Result<(Address, Ensemble), ConfigError> {
    let advertise =
        options.advertise.as_deref().map(str::parse::<Address>).transpose().map_err(ConfigError::Advertise)?;
    if let (Some(port), Some(address)) = (options.port, &advertise)
        && port != address.port()
    {
        return Err(ConfigError::Contradiction { port, address: address.clone() });
    }
    let port = options.port.unwrap_or(PORT);
    let Some(list) = &options.ensemble else {
        let address = advertise.unwrap_or_else(|| Address::new("127.0.0.1", port));
        let ensemble = Ensemble::new(vec![address.clone()]).map_err(ConfigError::Ensemble)?;
        return Ok((address, ensemble));
    };
    let ensemble: Ensemble = list.parse().map_err(ConfigError::Ensemble)?;
    if let Some(address) = advertise {
        return match ensemble.id_of(&address) {
            Some(_) => Ok((address, ensemble)),
            None => Err(ConfigError::Unknown { address: address.to_string(), ensemble: ensemble.to_string() }),
        };
    }
    let mine = ensemble.ids().filter_map(|id| ensemble.address(id)).filter(|address| address.port() == port);
    let mine: Vec<Address> = mine.cloned().collect();
    match &mine[..] {
        [address] => Ok((address.clone(), ensemble)),
        [] => Err(ConfigError::NotAMember { ensemble: ensemble.to_string(), port }),
        _ => Err(ConfigError::Ambiguous { ensemble: ensemble.to_string(), port }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: NodeOptions,
    }

    fn config(flags: &[&str]) -> Result<Config, ConfigError> {
        let command = Command::try_parse_from(["zw-node"].iter().chain(flags)).unwrap();
        Config::new(&command.options)
    }

    #[test]
    fn a_node_finds_itself_by_its_port_or_by_advertise() {
        let alone = config(&["--port", "9000"]).unwrap();
        assert_eq!((alone.me, alone.ensemble.to_string().as_str()), (NodeId(1), "127.0.0.1:9000"));
        assert!(alone.data.ends_with("zw-data/9000"));
        let list = "127.0.0.1:8082,127.0.0.1:8080,127.0.0.1:8081";
        assert_eq!(config(&["--port", "8081", "--ensemble", list]).unwrap().me, NodeId(2));
        let hosts = "a:8080,b:8080";
        assert!(matches!(config(&["--ensemble", hosts]), Err(ConfigError::Ambiguous { .. })));
        assert_eq!(config(&["--ensemble", hosts, "--advertise", "b:8080"]).unwrap().me, NodeId(2));
        assert_eq!(config(&["--advertise", "127.0.0.1:9001"]).unwrap().bind_address().1, 9001);
    }

    #[test]
    fn wrong_flags_are_refused_with_what_to_do() {
        let list = "127.0.0.1:8080,127.0.0.1:8081";
        for (flags, help) in [
            (vec!["--port", "9999", "--ensemble", list], "add this node to --ensemble"),
            (vec!["--ensemble", "a:1,a:1"], "twice"),
            (vec!["--ensemble", "nonsense"], "HOST:PORT"),
            (vec!["--ensemble", list, "--advertise", "c:8080"], "not a member"),
            (vec!["--port", "9000", "--advertise", "127.0.0.1:9001"], "leave --port out"),
            (vec!["--heartbeat", "400ms"], "at least twice"),
            (vec!["--ensemble", list, "--via", "1=a:1"], "the node itself"),
            (vec!["--ensemble", list, "--via", "3=a:1"], "no such member"),
            (vec!["--ensemble", list, "--via", "2=a:1", "--via", "2=b:1"], "twice"),
        ] {
            let error = config(&flags).unwrap_err().to_string();
            assert!(error.contains(help), "{flags:?}: {error}");
        }
    }

    #[test]
    fn a_member_is_dialled_where_via_says() {
        let list = "127.0.0.1:8080,127.0.0.1:8081,127.0.0.1:8082";
        let config = config(&["--ensemble", list, "--via", "2=127.0.0.1:9"]).unwrap();
        let dialled = |id| config.dials(NodeId(id)).map(Address::to_string);
        assert_eq!((dialled(2).unwrap(), dialled(3).unwrap()), ("127.0.0.1:9".into(), "127.0.0.1:8082".into()));
        assert_eq!(dialled(4), None);
        assert_eq!(config.ensemble.to_string(), list, "the list, which the members compare, is the same");
        for wrong in ["2", "x=127.0.0.1:9", "2=nonsense", "=127.0.0.1:9"] {
            let error = Command::try_parse_from(["zw-node", "--via", wrong]).err().unwrap().to_string();
            assert!(error.contains("HOST:PORT"), "{wrong}: {error}");
        }
    }

    #[test]
    fn only_an_ensemble_of_several_hosts_is_reachable_from_outside() {
        assert_eq!(config(&["--port", "9000"]).unwrap().bind_address(), ("127.0.0.1".into(), 9000));
        let hosts = config(&["--ensemble", "10.0.0.1:8080,10.0.0.2:8081"]).unwrap();
        assert_eq!(hosts.bind_address(), ("0.0.0.0".into(), 8080));
        let hosts = config(&["--ensemble", "[fd00::1]:8080,[fd00::2]:8081"]).unwrap();
        assert_eq!(hosts.bind_address(), ("::".into(), 8080));
    }
}
