//! Keeps a node's faults as they are wanted: over one connection, with which they end.

use super::READ_TIMEOUT;
use super::ask::Line;
use super::poll::reason;
use crate::model::message::Msg;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use zw_core::client::ClientError;
use zw_core::wire::admin::Fault;
use zw_core::wire::client::Operation;

/// Between two times that a node is asked for the same: one that was started anew has forgotten.
const RENEWAL: Duration = Duration::from_secs(2);
/// After a node could not be asked.
const RETRY: Duration = Duration::from_millis(200);

/// The faults that a node is to have, and when that was said.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) faults: Vec<Fault>,
    pub(super) since: Instant,
}

impl Wanted {
    pub(super) fn nothing() -> Wanted {
        Wanted { faults: Vec::new(), since: Instant::now() }
    }

    /// What still has time, with the time that is left.
    fn left(&self) -> Vec<Fault> {
        let passed = u32::try_from(self.since.elapsed().as_millis()).unwrap_or(u32::MAX);
        let left = |fault: &Fault| Fault { ttl_ms: fault.ttl_ms.saturating_sub(passed), ..fault.clone() };
        self.faults.iter().map(left).filter(|fault| fault.ttl_ms > 0).collect()
    }
}

/// Ends when the console does, and the faults with it.
pub(super) async fn keep(
    node: usize,
    address: String,
    mut wanted: watch::Receiver<Wanted>,
    messages: mpsc::Sender<Msg>,
) {
    let mut line = Line::new(address, READ_TIMEOUT);
    let mut had: Vec<Fault> = Vec::new();
    let mut refused: Option<String> = None;
    loop {
        let faults = wanted.borrow_and_update().left();
        if faults.is_empty() && had.is_empty() {
            // The last one with them, so that the node keeps nothing of ours.
            line.hang_up();
            refused = None;
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let result = match timeout(READ_TIMEOUT * 2, set(&mut line, &had, &faults)).await {
            Ok(result) => result.map_err(|error| reason(&error)),
            Err(_) => Err("no answer".to_owned()),
        };
        let pause = if result.is_ok() { RENEWAL } else { RETRY };
        let now_refused = result.err();
        if now_refused.is_some() {
            // With the connection the node's faults end, and what comes next is asked of nobody who has any.
            line.hang_up();
            had.clear();
        } else {
            had = faults;
        }
        if now_refused.is_some() != refused.is_some() {
            let message = Msg::Faults { node, refused: now_refused.clone() };
            if messages.send(message).await.is_err() {
                return;
            }
        }
        refused = now_refused;
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

/// Ends what the node has and should not have, and asks for the rest.
async fn set(line: &mut Line, had: &[Fault], faults: &[Fault]) -> Result<(), ClientError> {
    let is_wanted = |old: &Fault| faults.iter().any(|fault| (fault.kind, fault.peer) == (old.kind, old.peer));
    let ended = had.iter().filter(|old| !is_wanted(old)).map(|old| Fault { ttl_ms: 0, ..old.clone() });
    for fault in ended.chain(faults.iter().cloned()) {
        line.request(Operation::Fault(fault)).await?;
    }
    Ok(())
}
