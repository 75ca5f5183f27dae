//! What can be known to go wrong before anything is started: taken ports, and data of another ensemble.
//!
//! Without it some of the children would run and some not, and the flags that are wrong would be named by nodes that
//! never saw them.

use crate::launch::Launch;
use crate::member::Member;
use crate::supervisor::why_taken;
use std::path::PathBuf;
use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::NodeId;
use zw_node::wal::{Owner, owner};

/// Why nothing is started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// Ports that the children need are not to be had.
    #[error("{reason}{}; free {}, or choose {}", also(others), it(others), flags(*nodes, *brokers))]
    Ports {
        /// Why the first cannot be had.
        reason: String,
        /// The others that cannot.
        others: Vec<u16>,
        /// Whether a node wants one of them.
        nodes: bool,
        /// Whether a broker does.
        brokers: bool,
    },
    /// The data was written by an ensemble of another size or at other ports.
    #[error(
        "{} is the data of an ensemble of {}, and the flags ask for {now}: {}, or give another directory with --data",
        directory.display(),
        ensemble_in_words(former),
        way_back(former)
    )]
    OtherEnsemble {
        /// The console's data directory.
        directory: PathBuf,
        /// The members that wrote it, as text.
        former: String,
        /// What the flags mean now, in words.
        now: String,
    },
    /// A node's data is that of another.
    #[error(
        "{} is the data of node {found}, not of {member}: name the directories as they were, or give another directory \
         with --data",
        directory.display()
    )]
    OtherNode {
        /// The node's directory.
        directory: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who wants it.
        member: Member,
    },
}

/// Looks for what would keep the children of `launch` from starting. Starts and changes nothing.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check(launch: &Launch) -> Result<(), PreflightError> {
    for index in 0..launch.nodes.len() {
        check_data(launch, index)?;
    }
    check_ports(launch)
}

fn check_data(launch: &Launch, index: usize) -> Result<(), PreflightError> {
    let Some(plan) = launch.plans.get(index) else { return Ok(()) };
    let directory = launch.data.path.join(plan.member.to_string());
    let Some(Owner { node, ensemble }) = owner(&directory) else { return Ok(()) };
    let now = launch.nodes.join(",");
    if ensemble != now {
        let (directory, now) = (launch.data.path.clone(), ensemble_in_words(&now));
        return Err(PreflightError::OtherEnsemble { directory, former: ensemble, now });
    }
    if usize::from(node.0) != index + 1 {
        return Err(PreflightError::OtherNode { directory, found: node, member: plan.member });
    }
    Ok(())
}

fn check_ports(launch: &Launch) -> Result<(), PreflightError> {
    let taken: Vec<_> =
        launch.plans.iter().filter_map(|plan| Some((plan.member, plan.port, why_taken(plan.port)?))).collect();
    let Some((_, _, reason)) = taken.first() else { return Ok(()) };
    Err(PreflightError::Ports {
        reason: reason.clone(),
        others: taken[1..].iter().map(|(_, port, _)| *port).collect(),
        nodes: taken.iter().any(|(member, ..)| member.is_node()),
        brokers: taken.iter().any(|(member, ..)| !member.is_node()),
    })
}

fn also(others: &[u16]) -> String {
    let list: Vec<String> = others.iter().map(u16::to_string).collect();
    match &list[..] {
        [] => String::new(),
        [one] => format!(", and so is {one}"),
        list => format!(", and so are {}", list.join(", ")),
    }
}

fn it(others: &[u16]) -> &'static str {
    if others.is_empty() { "it" } else { "them" }
}

fn flags(nodes: bool, brokers: bool) -> &'static str {
    match (nodes, brokers) {
        (true, true) => "other ports with --base-port and --broker-base-port",
        (false, true) => "other ports with --broker-base-port",
        (_, false) => "other ports with --base-port",
    }
}

/// How many nodes at which ports, if a console could have started them.
fn local(list: &str) -> Option<(usize, u16)> {
    let ensemble: Ensemble = list.parse().ok()?;
    let members: Vec<&Address> = ensemble.ids().filter_map(|id| ensemble.address(id)).collect();
    let first = members.first()?.port();
    let follows = |(address, port): (&&Address, u16)| address.is_loopback() && address.port() == port;
    members.iter().zip(first..).all(follows).then_some((members.len(), first))
}

fn ensemble_in_words(list: &str) -> String {
    match local(list) {
        Some((1, port)) => format!("1 node at port {port}"),
        Some((count, port)) => format!("{count} nodes from port {port}"),
        None => list.to_owned(),
    }
}

fn way_back(former: &str) -> String {
    match local(former) {
        Some((count, port)) => format!("start it with --nodes {count} --base-port {port}"),
        None => "start its nodes one by one with zw-node".to_owned(),
    }
}
