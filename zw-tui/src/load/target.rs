//! Where the connections of a load go.

use crate::model::load::LoadTarget;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use zw_core::client::Connection;
use zw_core::wire::admin::NodeRole;

/// How long the roles are taken as they were.
const ROLES_AGE_MAX: Duration = Duration::from_millis(50);
/// Longest wait for a node's role: a paused node must not delay the others.
const ROLE_TIMEOUT: Duration = Duration::from_millis(200);

/// A node's role and epoch, if it answered.
type Role = Option<(NodeRole, u64)>;

/// The nodes, and their roles as last seen: shared by the connections, so that they do not all ask.
pub(super) struct Targets {
    target: LoadTarget,
    addresses: Vec<String>,
    seen: Mutex<Option<(Instant, Vec<Role>)>>,
}

impl Targets {
    pub(super) fn new(target: LoadTarget, addresses: Vec<String>) -> Targets {
        Targets { target, addresses, seen: Mutex::new(None) }
    }

    /// Where connection `index` goes at its `attempt`; none if there is no such node now.
    pub(super) async fn choose(&self, index: usize, attempt: usize, random: u64) -> Option<&str> {
        let node = match self.target {
            LoadTarget::Node(node) => Some(node),
            LoadTarget::Random => usize::try_from(random >> 33).ok().map(|random| random % self.addresses.len().max(1)),
            LoadTarget::Leader => {
                let roles = self.roles().await;
                let leaders = roles.iter().enumerate().filter_map(|(node, role)| match role {
                    Some((NodeRole::Leader, epoch)) => Some((*epoch, node)),
                    _ => None,
                });
                // An old leader that does not know yet may say so too.
                leaders.max().map(|(_, node)| node)
            }
            LoadTarget::Followers => {
                let roles = self.roles().await;
                let follows = |node: &usize| matches!(roles.get(*node), Some(Some((NodeRole::Follower, _))));
                let followers: Vec<usize> = (0..self.addresses.len()).filter(follows).collect();
                followers.get((index + attempt) % followers.len().max(1)).copied()
            }
        };
        self.addresses.get(node?).map(String::as_str)
    }

    async fn roles(&self) -> Vec<Role> {
        let mut seen = self.seen.lock().await;
        if let Some((when, roles)) = &*seen
            && when.elapsed() < ROLES_AGE_MAX
        {
            return roles.clone();
        }
        let mut asked = JoinSet::new();
        for (node, address) in self.addresses.iter().cloned().enumerate() {
            asked.spawn(async move { (node, role(&address).await) });
        }
        let mut roles: Vec<Role> = vec![None; self.addresses.len()];
        while let Some(answer) = asked.join_next().await {
            if let Ok((node, role)) = answer {
                roles[node] = role;
            }
        }
        *seen = Some((Instant::now(), roles.clone()));
        roles
    }
}

async fn role(address: &str) -> Role {
    let ask = async { Connection::open(address, ROLE_TIMEOUT).await?.status().await };
    let status = timeout(ROLE_TIMEOUT, ask).await.ok()?.ok()?;
    Some((status.role, u64::from(status.epoch.0)))
}
