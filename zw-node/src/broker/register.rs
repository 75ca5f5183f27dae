//! The broker's ephemeral znode: it says that the broker is alive, and goes with it.

use super::event::timestamp;
use super::layout;
use crate::command_line::with_advice;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zw_core::client::{Client, ClientError, ClientOptions};
use zw_core::tree::command::CreateMode;
use zw_core::wire::client::ErrorCode;

/// A broker that died without a word is gone after this time.
const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
/// How often the znode is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps the broker registered until `stop`, then removes it.
pub(super) async fn run(port: String, address: String, servers: Vec<String>, mut stop: watch::Receiver<bool>) {
    let data =
        serde_json::json!({ "Address": address, "Pid": std::process::id(), "Timestamp": timestamp() }).to_string();
    let mut told = String::new();
    while !*stop.borrow() {
        let options = ClientOptions {
            servers: servers.clone(),
            session_timeout: Some(SESSION_TIMEOUT),
            ..ClientOptions::default()
        };
        let connected = tokio::select! {
            connected = Client::connect(options) => connected,
            _ = stop.changed() => return,
        };
        let error = match connected {
            Ok(client) => {
                let ended = tokio::select! {
                    error = stay(&client, &port, &address, &data) => Some(error),
                    _ = stop.changed() => None,
                };
                // Ends the session, and the znode with it.
                let _ = timeout(CLOSE_TIMEOUT, client.close()).await;
                match ended {
                    Some(error) => error,
                    None => return,
                }
            }
            Err(error) => with_advice(&error),
        };
        if told != error {
            tracing::warn!("the broker is not registered: {error}");
            told = error;
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// Registers, and looks again and again; gives why it cannot stay.
async fn stay(client: &Client, port: &str, address: &str, data: &str) -> String {
    loop {
        match register(client, port, address, data).await {
            Ok(()) => sleep(LOOK).await,
            Err(reason) => return reason,
        }
    }
}

async fn register(client: &Client, port: &str, address: &str, data: &str) -> Result<(), String> {
    let path = layout::broker(port);
    let text = |error: ClientError| error.to_string();
    let (found, stat) = match client.get(&path).await {
        Ok(found) => found,
        Err(error) if error.code() == Some(ErrorCode::NoNode) => {
            return match client.create(&path, data.as_bytes().to_vec(), CreateMode::Ephemeral).await {
                Ok(_) => Ok(()),
                Err(error) if error.code() == Some(ErrorCode::NodeExists) => Ok(()),
                Err(error) if error.code() == Some(ErrorCode::NoNode) => {
                    super::order::prepare(client).await.map_err(text)
                }
                Err(error) => Err(text(error)),
            };
        }
        Err(error) => return Err(text(error)),
    };
    if Some(stat.ephemeral_owner) == client.session() {
        return Ok(());
    }
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap_or_default();
    match found.get("Address").and_then(serde_json::Value::as_str) {
        // The same address: only one process can listen there, and that is this one. What is left is of a dead one.
        Some(other) if other == address => client.delete(&path, stat.version).await.map_err(text),
        other => Err(format!("another broker has the name {port}, at {}", other.unwrap_or("an unknown address"))),
    }
}
