//! Looking at every node of the ensemble: the list from a welcome, then each node asked for itself, without fail-over.

use super::{CliError, Context};
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;
use zw_core::client::{ClientError, Connection};
use zw_core::ensemble::Ensemble;
use zw_core::ids::NodeId;
use zw_core::wire::admin::{NodeRole, Status};
use zw_core::wire::client::{Answer, Operation, Ping};

/// Longest wait for one node: a paused one takes the connection and never answers.
pub(super) const NODE_TIMEOUT: Duration = Duration::from_secs(1);

/// A member, and what it said of itself or why it did not.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) address: String,
    pub(super) status: Result<Status, String>,
}

impl Member {
    /// The word for its role; an unreachable one has none of the protocol's.
    pub(super) fn role_word(&self) -> &'static str {
        self.status.as_ref().map_or("unreachable", |status| status.role.word())
    }
}

/// The ensemble that the first server that answers is a member of.
pub(super) async fn ensemble(context: &Context) -> Result<Ensemble, CliError> {
    let limit = context.timeout.min(NODE_TIMEOUT);
    let mut reasons = Vec::new();
    for server in &context.servers {
        match open(server, limit).await {
            Ok(connection) => match connection.welcome().ensemble.parse() {
                Ok(ensemble) => return Ok(ensemble),
                Err(error) => reasons.push(format!("{server}: its list of members is wrong: {error}")),
            },
            Err(reason) => reasons.push(format!("{server}: {reason}")),
        }
    }
    Err(CliError::NoServer(reasons))
}

/// Asks every member for its status, all at once.
pub(super) async fn members(context: &Context) -> Result<Vec<Member>, CliError> {
    let ensemble = ensemble(context).await?;
    Ok(members_of(&ensemble, context.timeout.min(NODE_TIMEOUT)).await)
}

/// The same for a list that is known, with at most `limit` for each.
pub(super) async fn members_of(ensemble: &Ensemble, limit: Duration) -> Vec<Member> {
    each(ensemble, |id, address| async move {
        let status = match ask(&address, Operation::Status(Ping), limit).await {
            Ok(Answer::Status(status)) => Ok(*status),
            Ok(Answer::Error(error)) => Err(error.message),
            Ok(other) => Err(format!("it answered with kind {} to a status request", other.kind())),
            Err(reason) => Err(reason),
        };
        Member { id, address, status }
    })
    .await
}

/// Runs `question` for every member at once; the results are in order of id.
pub(super) async fn each<T, F>(ensemble: &Ensemble, question: impl Fn(NodeId, String) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let addresses = ensemble.ids().filter_map(|id| Some((id, ensemble.address(id)?.to_string())));
    futures_util::future::join_all(addresses.map(|(id, address)| question(id, address))).await
}

/// One question to one node.
pub(super) async fn ask(address: &str, operation: Operation, limit: Duration) -> Result<Answer, String> {
    let mut connection = open(address, limit).await?;
    let asked = async { connection.request(operation).await.map_err(|error| error.to_string()) };
    match timeout(limit, asked).await {
        Ok(answer) => answer.map(|(_, answer)| answer),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

async fn open(address: &str, limit: Duration) -> Result<Connection, String> {
    match timeout(limit, Connection::open(address, limit)).await {
        Ok(Err(ClientError::NotConnected { mut tried })) if tried.len() == 1 => Err(tried.remove(0).1),
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

/// Names the members that were not reached, each with its reason: `1 of 3 members unreachable: a:8080 (refused)`.
pub(super) fn unreachable(silent: &[(&str, &str)], members: usize) -> String {
    let named: Vec<String> = silent.iter().map(|(address, reason)| format!("{address} ({reason})")).collect();
    format!("{} of {members} members unreachable: {}", silent.len(), named.join(", "))
}

/// The member that says it leads, in the highest epoch: an old leader that does not know yet may say so too.
pub(super) fn leader(members: &[Member]) -> Option<(&Member, &Status)> {
    let leads = |member: &&Member| member.status.as_ref().is_ok_and(|status| status.role == NodeRole::Leader);
    let epoch = |member: &&Member| member.status.as_ref().map_or(0, |status| status.epoch.0);
    let member = members.iter().filter(leads).max_by_key(epoch)?;
    member.status.as_ref().ok().map(|status| (member, status))
}
