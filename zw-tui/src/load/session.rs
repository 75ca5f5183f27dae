//! One connection of a load: a window of requests under way, at its share of the rate, with fail-over.
//!
//! - An operation is due by the rate alone, and its latency counts from then: an outage shows at its full length.
//! - Answers come in the order of the requests; anything else ends the connection.

use super::Shared;
use super::check::Found;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use zw_core::client::Connection;
use zw_core::ids::Zxid;
use zw_core::tree::command::{Command, Reply, SetData};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Ping, Read, Response};

/// Requests under way.
const WINDOW: usize = 32;
/// A connection without an answer for so long is given up.
const SILENCE: Duration = Duration::from_secs(2);
/// Pause before the next try to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// What is overdue by more than this is left out, so that an outage is not followed by a flood.
const OVERDUE_MAX: Duration = Duration::from_secs(2);

/// A request that was sent.
struct Pending {
    id: u32,
    due: Instant,
    sent: Instant,
    key: usize,
    what: What,
}

enum What {
    /// The number of its value, and the floor when it was sent.
    Write(u64, Zxid),
    /// The floor when the sync before it was sent, if there was one.
    Read(Option<Zxid>),
    Sync,
}

/// Whether the connection goes on.
enum Next {
    GoOn,
    /// Another one is better.
    Leave(&'static str),
}

/// One connection's run.
pub(super) struct Session {
    shared: Arc<Shared>,
    index: usize,
    pending: VecDeque<Pending>,
    /// When the next operation is due.
    due: Instant,
    /// Between two operations; none for as soon as there is room.
    step: Option<Duration>,
    random: u64,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, index: usize) -> Session {
        let (rate, connections) = (shared.plan.rate, u32::try_from(shared.plan.connections).unwrap_or(u32::MAX));
        let step = (rate > 0).then(|| Duration::from_secs(1) * connections / rate);
        // The connections take turns.
        let share = u32::try_from(index).unwrap_or(0);
        let due = shared.began + step.map_or(Duration::ZERO, |step| step * share / connections.max(1));
        let random = (shared.plan.seed ^ (index as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Session { shared, index, pending: VecDeque::new(), due, step, random }
    }

    /// Runs until the load is over and all is answered.
    pub(super) async fn run(mut self) {
        let mut attempt = 0;
        while !self.shared.is_over(Instant::now()) {
            let random = self.random_number();
            let shared = Arc::clone(&self.shared);
            let server = shared.targets.choose(self.index, attempt, random).await;
            attempt += 1;
            if let Some(server) = server
                && let Ok(connection) = Connection::open(server, SILENCE).await
            {
                shared.figures().checker.connected(self.index);
                match self.drive(connection).await {
                    None => return,
                    Some(reason) => self.lost(reason),
                }
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Uses the connection until the load is over (none), or until it is lost (why).
    async fn drive(&mut self, mut connection: Connection) -> Option<&'static str> {
        let mut stopped = self.shared.stopped.clone();
        loop {
            if let Some(reason) = self.fill(&mut connection).await {
                return Some(reason);
            }
            let now = Instant::now();
            let is_over = self.shared.is_over(now);
            if is_over && self.pending.is_empty() {
                return None;
            }
            let oldest = self.pending.front().map(|pending| pending.sent + SILENCE);
            let has_room = !is_over && self.pending.len() < WINDOW;
            let next = self.due.max(now).min(self.shared.ends);
            let received = tokio::select! {
                received = connection.recv() => Some(received),
                () = sleep_until(next), if has_room => None,
                () = sleep_until(oldest.unwrap_or(now)), if oldest.is_some() => return Some("no answer in time"),
                _ = stopped.changed(), if !is_over => None,
            };
            let mut answer = match received {
                Some(Ok(response)) => Some(response),
                Some(Err(_)) => return Some("the connection broke"),
                None => None,
            };
            // What is there already costs no further wait.
            while let Some(response) = answer.take() {
                match self.take(response) {
                    Ok(Next::GoOn) => {}
                    Ok(Next::Leave(reason)) | Err(reason) => return Some(reason),
                }
                answer = timeout_at(now, connection.recv()).await.ok().and_then(Result::ok);
            }
        }
    }

    /// Sends what is due, as far as there is room.
    async fn fill(&mut self, connection: &mut Connection) -> Option<&'static str> {
        let mut now = Instant::now();
        while self.pending.len() < WINDOW && !self.shared.is_over(now) && (self.step.is_none() || self.due <= now) {
            self.due = self.due.max(now.checked_sub(OVERDUE_MAX).unwrap_or(now));
            let due = if self.step.is_some() { self.due } else { now };
            if self.send(connection, due).await.is_err() {
                return Some("the connection broke");
            }
            self.due += self.step.unwrap_or_default();
            now = Instant::now();
        }
        None
    }

    async fn send(&mut self, connection: &mut Connection, due: Instant) -> Result<(), ()> {
        let choice = self.random_number();
        let shared = Arc::clone(&self.shared);
        let key = usize::try_from(choice >> 40).unwrap_or(0) % shared.plan.keys.max(1);
        let sent = Instant::now();
        let path = shared.path(key);
        let (operation, what) = if (choice >> 8) % 100 < u64::from(shared.plan.reads) {
            // Every other read is behind a sync of its own, and so must be fresh.
            let synced = choice & 1 == 0;
            let floor = synced.then(|| shared.figures().checker.floor());
            if synced {
                let id = connection.send(Operation::Sync(Ping)).await.map_err(drop)?;
                self.pending.push_back(Pending { id, due, sent, key, what: What::Sync });
            }
            (Operation::Get(Read { path, watch: false }), What::Read(floor))
        } else {
            let (value, floor) = {
                let mut figures = shared.figures();
                figures.last_value += 1;
                figures.checker.sent(key);
                (figures.last_value, figures.checker.floor())
            };
            let set = SetData { path, data: shared.data(key, value), version: -1 };
            (Operation::Write(Command::SetData(set)), What::Write(value, floor))
        };
        // It is pending before it is sent: who knows how much of it went out when sending fails.
        self.pending.push_back(Pending { id: 0, due, sent, key, what });
        let id = connection.send(operation).await.map_err(drop)?;
        if let Some(last) = self.pending.back_mut() {
            last.id = id;
        }
        Ok(())
    }

    fn take(&mut self, response: Response) -> Result<Next, &'static str> {
        let pending = self.pending.pop_front().ok_or("an answer to nothing came")?;
        if pending.id != response.id {
            return Err("the answers are out of order");
        }
        let zxid = response.zxid;
        let now = Instant::now().into_std();
        let due = pending.due.into_std();
        let found = match (&pending.what, &response.answer) {
            (What::Read(_), Answer::Data(data)) => Some(self.shared.found(pending.key, &data.data, &data.stat)),
            (What::Read(_), Answer::Error(error)) if error.code == ErrorCode::NoNode => Some(Found::Nothing),
            _ => None,
        };
        let mut figures = self.shared.figures();
        match (pending.what, response.answer) {
            (What::Write(value, floor), Answer::Written(Reply::Stat(stat))) => {
                figures.tally.answered(due, now, true);
                figures.checker.written(self.index, pending.key, floor, zxid, (value, stat.version));
            }
            (What::Read(floor), _) if found.is_some() => {
                figures.tally.answered(due, now, false);
                figures.checker.read(self.index, pending.key, floor, zxid, found.unwrap_or(Found::Foreign));
            }
            (What::Sync, Answer::Done(_)) => {}
            (What::Write(..), Answer::Error(error)) if error.code == ErrorCode::OutcomeUnknown => {
                figures.tally.unknown("the leader was lost under way");
            }
            (What::Sync, Answer::Error(_)) => return Ok(Next::Leave("a sync was refused")),
            (_, Answer::Error(error)) => {
                figures.tally.refused(&format!("{:?}", error.code));
                if error.code == ErrorCode::NoQuorum {
                    return Ok(Next::Leave("the node has no quorum"));
                }
            }
            _ => return Err("an answer that does not fit came"),
        }
        Ok(Next::GoOn)
    }

    /// Writes under way are unknown, reads are errors.
    fn lost(&mut self, reason: &'static str) {
        let mut figures = self.shared.figures();
        figures.tally.reconnects += 1;
        for pending in self.pending.drain(..) {
            match pending.what {
                What::Write(..) => figures.tally.unknown(reason),
                What::Read(_) => figures.tally.refused(reason),
                What::Sync => {}
            }
        }
    }

    /// xorshift64: good enough to choose keys.
    fn random_number(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
