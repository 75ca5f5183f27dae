//! Getting an event ordered: one transaction that changes the Clients list if needed, notes the request and makes the
//! event.
//!
//! - A request that was sent twice, by the producer or by this retry loop, fails the second time because its note exists:
//!   no event is doubled. So an unknown outcome is simply tried again.
//! - The transaction checks the version of the sender's list, so the list that the event was sent with is the newest one
//!   at the event's place in the order.

use super::event::{AddScore, ClientsRow, Event, timestamp};
use super::layout;
use crate::command_line::with_advice;
use bytes::Bytes;
use std::collections::BTreeMap;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zw_core::client::{Client, ClientError, ClientOptions};
use zw_core::ids::Zxid;
use zw_core::limits::{BROKER_CLIENTS_VERSIONS_MAX, BROKER_ORDER_DEADLINE, MEMBERS_MAX};
use zw_core::tree::command::{Acl, Check, Command, Create, CreateMode, Delete, Reply, SetData};
use zw_core::wire::client::ErrorCode;

/// Why an event was not ordered.
#[derive(Debug, Error)]
pub(super) enum OrderError {
    /// The request names what does not exist.
    #[error("{0}")]
    Invalid(String),
    /// It is certainly not ordered.
    #[error("the event was not ordered: {0}; send it again")]
    NotDone(String),
    /// It may be ordered, now or a little later.
    #[error("it is not known whether the event was ordered: {0}; send it again with the same RequestId")]
    Unknown(String),
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) zxid: Zxid,
    /// The request was done before: this is the place that it got then.
    pub(super) repeated: bool,
}

/// Writes events for one broker.
pub(super) struct Orderer {
    port: String,
    servers: Vec<String>,
    /// One for each node that a producer asked for, and one for any node (the empty key).
    clients: Mutex<BTreeMap<String, Client>>,
}

impl Orderer {
    pub(super) fn new(port: String, servers: Vec<String>) -> Orderer {
        Orderer { port, servers, clients: Mutex::new(BTreeMap::new()) }
    }

    /// Orders the event; gives its place, within the deadline.
    pub(super) async fn order(&self, request: &AddScore, request_id: &str) -> Result<Place, OrderError> {
        let deadline = Instant::now() + BROKER_ORDER_DEADLINE;
        let mut unknown = None;
        loop {
            let mut sent = false;
            let attempt = self.attempt(request, request_id, &mut sent);
            let reason = match tokio::time::timeout_at(deadline, attempt).await {
                Ok(Ok(place)) => return Ok(place),
                Ok(Err(Failed::Final(error))) => return Err(error),
                Ok(Err(Failed::Again)) => continue,
                Ok(Err(Failed::Client(error))) if error.outcome_is_known() => with_advice(&error),
                Ok(Err(Failed::Client(error))) => {
                    unknown = Some(error.to_string());
                    continue;
                }
                Err(_) => {
                    let reason = "no answer in time".to_owned();
                    if sent {
                        unknown.get_or_insert_with(|| reason.clone());
                    }
                    reason
                }
            };
            return Err(match unknown {
                Some(reason) => OrderError::Unknown(reason),
                None => OrderError::NotDone(reason),
            });
        }
    }

    /// Ends the connections.
    pub(super) async fn close(&self) {
        // Without a session nothing is lost, and an attempt that was given up is not waited for.
        self.clients.lock().await.clear();
    }

    /// `sent` tells, also of an attempt that is given up, whether its write may have gone out.
    async fn attempt(&self, request: &AddScore, request_id: &str, sent: &mut bool) -> Result<Place, Failed> {
        let client = self.client(request.metadata.receiver_ip.as_deref()).await?;
        let newest = newest_row(&client, &self.port).await?;
        let receiver = client.connected_to().unwrap_or_default();
        let receiver_ip = receiver.rsplit(':').next().unwrap_or_default().to_owned();
        let event = Event {
            game_results: request.game_results.clone(),
            sender_ip: self.port.clone(),
            receiver_ip: receiver_ip.clone(),
            clients: request.metadata.clients.clone(),
            timestamp: timestamp(),
            request_id: request_id.to_owned(),
        };
        let mut commands = self.clients_commands(&event, newest);
        commands.push(create(layout::request(request_id), Bytes::new(), CreateMode::Persistent));
        commands.push(create(layout::EVENT_PREFIX.to_owned(), to_json(&event), CreateMode::PersistentSequential));
        *sent = true;
        match client.multi(commands).await {
            Ok(replies) => match replies.last() {
                Some(Reply::Created(created)) => Ok(Place { zxid: created.stat.czxid, repeated: false }),
                _ => Err(Failed::Final(OrderError::Unknown("the node answered something else".into()))),
            },
            Err(error) if error.code() == Some(ErrorCode::MultiFailed) => {
                // Done before, or the list changed meanwhile, or the parents are missing.
                client.sync().await?;
                match client.exists(&layout::request(request_id)).await? {
                    Some(stat) => Ok(Place { zxid: stat.czxid, repeated: true }),
                    None => {
                        *sent = false;
                        prepare(&client).await?;
                        Err(Failed::Again)
                    }
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What makes the sender's newest list the one of this event, or checks that it is.
    fn clients_commands(&self, event: &Event, newest: Option<(ClientsRow, i32)>) -> Vec<Command> {
        let sender = layout::sender(&self.port);
        let row = |version| {
            to_json(&ClientsRow {
                sender_ip: event.sender_ip.clone(),
                receiver_ip: event.receiver_ip.clone(),
                clients: event.clients.clone(),
                version,
                timestamp: event.timestamp.clone(),
            })
        };
        let version_path = |version| layout::sender_version(&self.port, version);
        match newest {
            None => vec![
                create(sender, row(0), CreateMode::Persistent),
                create(version_path(0), row(0), CreateMode::Persistent),
            ],
            Some((newest, version)) if newest.clients == event.clients => {
                vec![Command::Check(Check { path: sender, version })]
            }
            Some((_, version)) => {
                let next = version + 1;
                let mut commands = vec![
                    Command::SetData(SetData { path: sender, data: row(next), version }),
                    create(version_path(next), row(next), CreateMode::Persistent),
                ];
                let kept = i32::try_from(BROKER_CLIENTS_VERSIONS_MAX).unwrap_or(i32::MAX);
                if next > kept {
                    // Never the first one: the others name it as their parent.
                    commands.push(Command::Delete(Delete { path: version_path(next - kept), version: -1 }));
                }
                commands
            }
        }
    }

    /// The client whose first choice is the node that the producer named.
    async fn client(&self, receiver: Option<&str>) -> Result<Client, Failed> {
        let mut clients = self.clients.lock().await;
        let any = match clients.get("") {
            Some(client) => client.clone(),
            None => {
                let client = connect(self.servers.clone(), None).await?;
                clients.insert(String::new(), client.clone());
                client
            }
        };
        let Some(receiver) = receiver.filter(|receiver| !receiver.is_empty()) else { return Ok(any) };
        if let Some(client) = clients.get(receiver) {
            return Ok(client.clone());
        }
        let ensemble: Vec<String> = any.status().await?.ensemble.split(',').map(str::to_owned).collect();
        let named = |server: &&String| {
            server.as_str() == receiver || server.rsplit(':').next() == Some(receiver.rsplit(':').next().unwrap_or(""))
        };
        let Some(server) = ensemble.iter().find(named).cloned() else {
            let reason = format!(
                "metadata.ReceiverIp is {receiver:?}, which is no node; write a node's port alone, for example {:?}, or \
                 leave it out; the nodes are {}",
                ensemble[0].rsplit(':').next().unwrap_or_default(),
                ensemble.join(", ")
            );
            return Err(Failed::Final(OrderError::Invalid(reason)));
        };
        let client = connect(ensemble, Some(server)).await?;
        if clients.len() <= MEMBERS_MAX {
            clients.insert(receiver.to_owned(), client.clone());
        }
        Ok(client)
    }
}

/// Why an attempt brought nothing.
enum Failed {
    /// To be told to the producer.
    Final(OrderError),
    /// Something changed meanwhile.
    Again,
    Client(ClientError),
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Failed {
        Failed::Client(error)
    }
}

/// A client without a session.
pub(super) async fn connect(servers: Vec<String>, prefer: Option<String>) -> Result<Client, ClientError> {
    let options = ClientOptions {
        servers,
        session_timeout: None,
        prefer,
        request_timeout: BROKER_ORDER_DEADLINE,
        ..ClientOptions::default()
    };
    Client::connect(options).await
}

/// The newest list of a sender, and the version of its znode.
async fn newest_row(client: &Client, port: &str) -> Result<Option<(ClientsRow, i32)>, Failed> {
    match client.get(&layout::sender(port)).await {
        Ok((data, stat)) => match serde_json::from_slice(&data) {
            Ok(row) => Ok(Some((row, stat.version))),
            Err(error) => {
                let reason =
                    format!("{} holds no Clients list ({error}); delete it with zw delete -r", layout::sender(port));
                Err(Failed::Final(OrderError::NotDone(reason)))
            }
        },
        Err(error) if error.code() == Some(ErrorCode::NoNode) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the parents that are missing.
pub(super) async fn prepare(client: &Client) -> Result<(), ClientError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| ClientError::Protocol(format!("no random numbers: {error}")))?;
    let history = serde_json::json!({ "Id": hex(&id) }).to_string();
    for (path, data) in
        [(layout::BROKERS, ""), (layout::CLIENTS, ""), (layout::REQUESTS, ""), (layout::EVENTS, history.as_str())]
    {
        match client.create(path, data.as_bytes().to_vec(), CreateMode::Persistent).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(ErrorCode::NodeExists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn create(path: String, data: Bytes, mode: CreateMode) -> Command {
    Command::Create(Create { path, data, acl: Acl::open(), mode, ttl_ms: 0 })
}

fn to_json(value: &impl serde::Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("encoding strings and numbers cannot fail"))
}

/// A request id for a producer that gave none.
pub(super) fn random_request_id() -> Result<String, OrderError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| OrderError::NotDone(format!("no random numbers: {error}")))?;
    Ok(hex(&id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::event::GameResults;

    fn event(clients: &str) -> Event {
        let game = GameResults { minute: 1, player: "P".into(), club: "C".into(), score: "1-0".into() };
        Event {
            game_results: game,
            sender_ip: "9090".into(),
            receiver_ip: "8081".into(),
            clients: clients.into(),
            timestamp: "now".into(),
            request_id: "r".into(),
        }
    }

    fn newest(clients: &str, version: i32) -> Option<(ClientsRow, i32)> {
        let row = ClientsRow {
            sender_ip: "9090".into(),
            receiver_ip: "8081".into(),
            clients: clients.into(),
            version,
            timestamp: String::new(),
        };
        Some((row, version))
    }

    #[test]
    fn a_list_is_written_only_when_it_changes() {
        let orderer = Orderer::new("9090".into(), vec![]);
        let first = orderer.clients_commands(&event("9090"), None);
        assert_eq!(first.len(), 2);
        let same = orderer.clients_commands(&event("9090"), newest("9090", 4));
        assert_eq!(same, [Command::Check(Check { path: "/clients/9090".into(), version: 4 })]);
        let changed = orderer.clients_commands(&event("9090,9091"), newest("9090", 4));
        let Command::SetData(set) = &changed[0] else { panic!("{changed:?}") };
        assert_eq!((set.version, changed.len()), (4, 2));
        let Command::Create(create) = &changed[1] else { panic!("{changed:?}") };
        assert_eq!(create.path, "/clients/9090/v0000000005");
        let row: ClientsRow = serde_json::from_slice(&create.data).unwrap();
        assert_eq!((row.version, row.clients.as_str()), (5, "9090,9091"));
    }

    #[test]
    fn old_versions_go_but_never_the_first() {
        let orderer = Orderer::new("9090".into(), vec![]);
        let kept = i32::try_from(BROKER_CLIENTS_VERSIONS_MAX).unwrap();
        let deleted = |version| {
            let commands = orderer.clients_commands(&event("9091"), newest("9090", version));
            commands.into_iter().find_map(|command| match command {
                Command::Delete(delete) => Some(delete.path),
                _ => None,
            })
        };
        assert_eq!(deleted(kept - 1), None, "version {kept} would be the one after; the first stays");
        assert_eq!(deleted(kept).as_deref(), Some("/clients/9090/v0000000001"));
    }
}
