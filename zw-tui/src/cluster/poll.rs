//! Asks one node for its status, again and again.

use super::{Pace, READ_TIMEOUT, brokers};
use crate::model::message::Msg;
use crate::model::{POLL_INTERVAL, POLL_INTERVAL_CALM, POLL_INTERVAL_QUIET};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};
use zw_core::client::{ClientError, Connection};

/// Who takes the port of a broker for that of a node.
const BROKER_WORDS: &str = "this is a broker, not a node: give the address of a node";

/// Ends when the console does.
pub(super) async fn poll(node: usize, address: String, mut pace: Pace, messages: Sender<Msg>) {
    let mut is_broker = None;
    loop {
        let Err(error) = conversation(node, &address, &mut pace, &messages).await else { return };
        // Somebody listens who is no node: one look says whether it is what people mix up with one.
        if is_broker.is_none() && !matches!(error, ClientError::NotConnected { .. }) {
            is_broker = Some(brokers::is_broker(&address).await);
        }
        let reason = if is_broker == Some(true) { BROKER_WORDS.to_owned() } else { reason(&error) };
        if messages.send(Msg::Silent { node, reason }).await.is_err() {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Until the connection breaks; `Ok` when nobody listens to us any more.
async fn conversation(node: usize, address: &str, pace: &mut Pace, messages: &Sender<Msg>) -> Result<(), ClientError> {
    let mut connection = Connection::open(address, READ_TIMEOUT).await?;
    let mut last = None;
    loop {
        let asked = Instant::now();
        let status = Box::new(connection.status().await?);
        let signs = (status.role, status.epoch, status.last_zxid, status.applied_zxid, status.reads, status.sessions);
        let is_quiet = last.replace(signs) == Some(signs);
        if messages.send(Msg::Status { node, status, round_trip: asked.elapsed() }).await.is_err() {
            return Ok(());
        }
        let calm = if is_quiet { POLL_INTERVAL_CALM } else { POLL_INTERVAL };
        pace.wait(if is_quiet { POLL_INTERVAL_QUIET } else { POLL_INTERVAL }, calm).await;
    }
}

/// Why a node is silent, short enough for its line.
pub(super) fn reason(error: &ClientError) -> String {
    let words = match error {
        ClientError::NotConnected { tried } => {
            tried.first().map_or_else(|| error.to_string(), |(_, reason)| reason.clone())
        }
        error => error.to_string(),
    };
    // The system's number for what the words say already.
    words.split_once(" (os error").map_or(words.clone(), |(words, _)| words.to_owned())
}
