//! Where load clients connect to.

use crate::cli::cluster::{self, Member, NODE_TIMEOUT};
use crate::cli::{CliError, Context};
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use zw_core::ensemble::{Address, Ensemble};
use zw_core::wire::admin::NodeRole;
use zw_core::wire::client::{Operation, Ping};

/// Which nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The clients are spread evenly over all nodes.
    Spread,
    /// The leader.
    Leader,
    /// The followers, in turn.
    Followers,
    /// Any node, chosen anew with each connection.
    Random,
    /// This node only.
    Address(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        match text {
            "spread" => Ok(Target::Spread),
            "leader" => Ok(Target::Leader),
            "followers" => Ok(Target::Followers),
            "random" => Ok(Target::Random),
            _ => match text.parse::<Address>() {
                Ok(address) => Ok(Target::Address(address.to_string())),
                Err(_) => Err("write leader, followers, random, spread or HOST:PORT".into()),
            },
        }
    }
}

/// The ensemble, and its roles as last seen: shared by the clients, so that they do not all ask.
pub(super) struct Targets {
    target: Target,
    addresses: Vec<String>,
    ensemble: Ensemble,
    seen: Mutex<Option<(Instant, Vec<Member>)>>,
}

/// How long the roles are taken as they were.
const ROLES_AGE_MAX: Duration = Duration::from_millis(50);
/// Longest wait for a node's role: a paused node must not delay the fail-over of the others.
const ROLE_TIMEOUT: Duration = Duration::from_millis(200);

impl Targets {
    pub(super) async fn new(context: &Context, target: Target) -> Result<Targets, CliError> {
        let ensemble = cluster::ensemble(context).await?;
        let addresses = ensemble.ids().filter_map(|id| ensemble.address(id).map(ToString::to_string)).collect();
        Ok(Targets { target, addresses, ensemble, seen: Mutex::new(None) })
    }

    /// Why the one node that the clients are to connect to does not answer; none if it does, or if it may be any.
    pub(super) async fn silent_target(&self) -> Option<String> {
        let Target::Address(address) = &self.target else { return None };
        match cluster::ask(address, Operation::Status(Ping), NODE_TIMEOUT).await {
            Ok(_) => None,
            Err(reason) => Some(format!("the target {address} does not answer ({reason}); name another with --target")),
        }
    }

    /// All nodes.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where client `index` connects at its `attempt`; none if there is no such node now.
    pub(super) async fn choose(&self, index: usize, attempt: usize, random: u64) -> Option<String> {
        let in_turn = |list: &[String]| list.get((index + attempt) % list.len().max(1)).cloned();
        match &self.target {
            Target::Spread => in_turn(&self.addresses),
            Target::Address(address) => Some(address.clone()),
            Target::Random => {
                let choice = usize::try_from(random >> 33).unwrap_or(0);
                self.addresses.get(choice % self.addresses.len()).cloned()
            }
            Target::Leader => {
                self.with_members(|members| cluster::leader(members).map(|(leader, _)| leader.address.clone())).await
            }
            Target::Followers => {
                let follows = |member: &&Member| member.status.as_ref().is_ok_and(|s| s.role == NodeRole::Follower);
                self.with_members(|members| {
                    in_turn(&members.iter().filter(follows).map(|member| member.address.clone()).collect::<Vec<_>>())
                })
                .await
            }
        }
    }

    /// What each node says of itself now.
    pub(super) async fn members(&self) -> Vec<Member> {
        cluster::members_of(&self.ensemble, ROLE_TIMEOUT).await
    }

    async fn with_members<T>(&self, choose: impl Fn(&[Member]) -> T) -> T {
        let mut seen = self.seen.lock().await;
        if let Some((when, members)) = &*seen
            && when.elapsed() < ROLES_AGE_MAX
        {
            return choose(members);
        }
        let members = self.members().await;
        let chosen = choose(&members);
        *seen = Some((Instant::now(), members));
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_word_or_an_address() {
        assert_eq!("leader".parse(), Ok(Target::Leader));
        assert_eq!("127.0.0.1:8081".parse(), Ok(Target::Address("127.0.0.1:8081".into())));
        assert!("follower".parse::<Target>().unwrap_err().contains("followers"));
    }
}
