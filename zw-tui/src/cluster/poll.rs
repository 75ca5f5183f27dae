//! Asks one node for its status, again and again.

use super::{Pace, READ_TIMEOUT};
use crate::model::message::Msg;
use crate::model::{POLL_INTERVAL, POLL_INTERVAL_CALM, POLL_INTERVAL_QUIET};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};
use zw_core::client::{ClientError, Connection};

/// Ends when the console does.
pub(super) async fn poll(node: usize, address: String, mut pace: Pace, messages: Sender<Msg>) {
    loop {
        let Err(error) = conversation(node, &address, &mut pace, &messages).await else { return };
        if messages.send(Msg::Silent { node, reason: reason(&error) }).await.is_err() {
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
