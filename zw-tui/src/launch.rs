//! From the flags to what the supervisor starts: directories, addresses, arguments.

use crate::member::Member;
use crate::options::Options;
use crate::supervisor::{ChildPlan, os_path};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Segments of nodes whose data goes with the console: a sandbox need not fill the disk with room for a long life.
const TEMPORARY_SEGMENT_BYTES: u64 = 16 << 20;

/// All that the flags ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// Where everything is kept.
    pub data: DataDirectory,
    /// The children, nodes first.
    pub plans: Vec<ChildPlan>,
    /// The nodes' addresses, n1 first.
    pub nodes: Vec<String>,
    /// The brokers' addresses, b1 first.
    pub brokers: Vec<String>,
}

/// The data directory, and whether it goes with the console.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataDirectory {
    /// The directory.
    #[serde(with = "os_path")]
    pub path: PathBuf,
    /// Whether it is removed at the end.
    pub is_temporary: bool,
}

impl DataDirectory {
    /// The directory of the flags, or a new temporary one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn choose(given: Option<&Path>) -> io::Result<DataDirectory> {
        if let Some(path) = given {
            std::fs::create_dir_all(path)?;
            return Ok(DataDirectory { path: path.canonicalize()?, is_temporary: false });
        }
        let path = tempfile::Builder::new().prefix("zw-tui-").tempdir()?.keep();
        Ok(DataDirectory { path, is_temporary: true })
    }

    /// Removes a temporary one; twice does no harm.
    pub fn clean_up(&self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the temporary directory");
        }
    }
}

impl Launch {
    /// Plans the children of `options`.
    #[must_use]
    pub fn new(options: &Options, data: DataDirectory) -> Launch {
        let addresses = |base: u16, count: u8| -> Vec<String> {
            (0..u16::from(count)).map(|offset| format!("127.0.0.1:{}", base + offset)).collect()
        };
        let nodes = addresses(options.base_port, options.nodes);
        let brokers = addresses(options.broker_base_port, options.brokers);
        let ensemble = nodes.join(",");
        let temporary = data.is_temporary.then_some(TEMPORARY_SEGMENT_BYTES);
        let segment_bytes = options.segment_bytes.or(temporary);
        let mut plans = Vec::new();
        for number in 1..=options.nodes {
            let port = options.base_port + u16::from(number - 1);
            let member = Member::Node(number);
            let directory = data.path.join(member.to_string());
            let mut arguments = Vec::new();
            if options.node_bin.is_none() {
                arguments.push("node".into());
            }
            arguments.extend(["--port".into(), port.to_string().into()]);
            arguments.extend(["--ensemble".into(), OsString::from(&ensemble)]);
            arguments.extend(["--advertise".into(), format!("127.0.0.1:{port}").into()]);
            arguments.extend(["--data".into(), directory.into()]);
            arguments.extend(["--allow-faults".into(), "--die-with-parent".into()]);
            if let Some(bytes) = segment_bytes {
                arguments.extend(["--segment-bytes".into(), bytes.to_string().into()]);
            }
            let program = options.node_bin.clone().unwrap_or_else(own_program);
            plans.push(plan(&data, member, program, "zw-node", arguments, port));
        }
        for number in 1..=options.brokers {
            let port = options.broker_base_port + u16::from(number - 1);
            let member = Member::Broker(number);
            let directory = data.path.join(member.to_string());
            let mut arguments: Vec<OsString> = vec!["broker".into(), "--port".into(), port.to_string().into()];
            arguments.extend(["--servers".into(), OsString::from(&ensemble)]);
            arguments.extend(["--data".into(), directory.into(), "--die-with-parent".into()]);
            plans.push(plan(&data, member, own_program(), "zw-broker", arguments, port));
        }
        Launch { data, plans, nodes, brokers }
    }
}

fn plan(
    data: &DataDirectory,
    member: Member,
    program: PathBuf,
    name: &str,
    arguments: Vec<OsString>,
    port: u16,
) -> ChildPlan {
    let log = data.path.join(format!("{member}.log"));
    ChildPlan { member, program, name: name.into(), arguments, port, log }
}

/// The console's own program. Not by its path: that may have been built anew since we started.
pub(crate) fn own_program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap_or(running) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::CommandLine;
    use clap::Parser;

    #[test]
    fn every_child_has_its_own_port_directory_and_log() {
        let flags = ["zw-tui", "--nodes", "3", "--brokers", "2", "--base-port", "7000"];
        let options = CommandLine::parse_from(flags).options;
        let data = DataDirectory::choose(None).unwrap();
        let launch = Launch::new(&options, data.clone());
        assert_eq!(launch.nodes, ["127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"]);
        assert_eq!(launch.plans.len(), 5);
        let text = |plan: &ChildPlan| format!("{:?}", plan.arguments);
        for plan in &launch.plans {
            assert!(text(plan).contains(&plan.port.to_string()) && text(plan).contains("--die-with-parent"));
            assert!(text(plan).contains("127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002"));
            assert!(text(plan).contains(&data.path.join(plan.member.to_string()).display().to_string()));
            assert!(plan.log.starts_with(&data.path));
        }
        data.clean_up();
        data.clean_up();
        assert!(!data.path.exists());
    }

    #[test]
    fn a_given_directory_stays() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDirectory::choose(Some(&directory.path().join("a/b"))).unwrap();
        data.clean_up();
        assert!(data.path.exists());
    }
}
