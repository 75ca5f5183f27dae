//! The load that the console makes through the nodes, and its live check.
//!
//! A run makes its znodes, lets its [connections](session) write and read them, and at the end reads every key again
//! behind a sync. What it has come to goes to the model a few times a second, as one report.
//!
//! Invariants:
//! - Every answer to a write or a read goes through the [`Checker`](check::Checker).
//! - A run takes its znodes away when it ends, as far as the ensemble lets it.

pub mod check;
pub mod feed;
mod session;
mod target;

use crate::cluster::READ_TIMEOUT;
use crate::model::load::{LoadPlan, LoadReport, Phase};
use crate::model::message::Msg;
use bytes::Bytes;
use check::{Checker, Found};
use session::Session;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use target::Targets;
use tokio::sync::{mpsc::Sender, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use zw_core::client::{Client, ClientError, ClientOptions};
use zw_core::ids::Zxid;
use zw_core::tree::command::{CreateMode, Stat};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Read};
use zw_node::tally::Tally;

/// Where the runs put their znodes: below `zw load`'s, so that one command takes away what was left behind.
const ROOT: &str = "/zw-load";
/// Between two reports.
const REPORT_PAUSE: Duration = Duration::from_millis(250);
/// How long the ensemble may take before its znodes can be made, and after which they are not verified any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the znodes may take to go.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(3);
/// Reasons of failures that a report carries.
const REASONS_MAX: usize = 6;

/// What the connections of a run share.
struct Shared {
    plan: LoadPlan,
    prefix: String,
    began: Instant,
    ends: Instant,
    stopped: watch::Receiver<bool>,
    targets: Targets,
    figures: Mutex<Figures>,
}

/// What a run has come to.
struct Figures {
    checker: Checker,
    tally: Tally,
    /// The number of the newest value.
    last_value: u64,
}

impl Shared {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.ends || *self.stopped.borrow()
    }

    fn path(&self, key: usize) -> String {
        format!("{}/k{key}", self.prefix)
    }

    /// The data of a value: who wrote it can be told from it.
    fn data(&self, key: usize, value: u64) -> Bytes {
        let mut data = format!("{value} {key} ").into_bytes();
        data.resize(self.plan.size.max(data.len()), b'.');
        Bytes::from(data)
    }

    /// What [`Shared::data`] made.
    fn found(&self, key: usize, data: &[u8], stat: &Stat) -> Found {
        let text = String::from_utf8_lossy(&data[..data.len().min(64)]);
        let mut words = text.split(' ').map(str::parse::<u64>);
        match (words.next(), words.next()) {
            (Some(Ok(value)), Some(Ok(of))) if of == key as u64 && value <= self.figures().last_value => {
                Found::Value { value, version: stat.version, mzxid: stat.mzxid }
            }
            _ => Found::Foreign,
        }
    }

    fn report(&self, phase: Phase, now: Instant) -> LoadReport {
        let figures = self.figures();
        let Figures { checker, tally, .. } = &*figures;
        let until = now.min(self.ends);
        let gap = match phase {
            Phase::Preparing(_) => Duration::ZERO,
            Phase::Running => tally.longest_gap_until(until.into_std()),
            // The tally was finished: what came after its end counts for nothing.
            _ => tally.longest_gap(),
        };
        let mut reasons: Vec<(String, u64)> = tally.reasons().map(|(why, count)| (why.to_owned(), count)).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons.truncate(REASONS_MAX);
        LoadReport {
            phase,
            at: until.saturating_duration_since(self.began),
            writes: tally.writes,
            reads: tally.reads,
            errors: tally.errors,
            unknown: tally.unknown,
            reconnects: tally.reconnects,
            p50: tally.quantile(0.5),
            p99: tally.quantile(0.99),
            longest: tally.longest(),
            longest_gap: gap,
            checked: checker.checked(),
            violations: checker.violations(),
            first_violation: checker.first().map(|first| format!("{}: {}", first.property, first.evidence)),
            reasons,
        }
    }
}

/// Runs a load to its end, or until `stopped` says so; tells `messages` what it comes to.
pub async fn run(
    run: u32,
    plan: LoadPlan,
    addresses: Vec<String>,
    stopped: watch::Receiver<bool>,
    messages: Sender<Msg>,
) {
    // Any number that another console does not have too.
    let prefix = format!("{ROOT}/{:016x}", RandomState::new().hash_one(run));
    let now = Instant::now();
    let figures = Figures {
        checker: Checker::new(plan.keys, plan.connections),
        tally: Tally::new(now.into_std()),
        last_value: 0,
    };
    let mut shared = Shared {
        ends: now + plan.lasts,
        began: now,
        targets: Targets::new(plan.target, addresses.clone()),
        plan,
        prefix,
        stopped,
        figures: Mutex::new(figures),
    };
    let tell = async |shared: &Shared, phase: Phase| {
        let report = Box::new(shared.report(phase, Instant::now()));
        messages.send(Msg::Load { run, report }).await.is_ok()
    };
    if !tell(&shared, Phase::Preparing(None)).await {
        return;
    }
    let mut stopping = shared.stopped.clone();
    let made = tokio::select! {
        made = timeout(PATIENCE, prepare(&shared, &addresses)) => match made {
            Ok(made) => made,
            Err(_) => Err(format!("its znodes could not be made within {} s", PATIENCE.as_secs())),
        },
        _ = stopping.wait_for(|stopped| *stopped) => Err("it was stopped before it ran".into()),
    };
    if let Err(reason) = made {
        tell(&shared, Phase::Failed(reason)).await;
        return;
    }
    // The preparation is not measured.
    shared.began = Instant::now();
    shared.ends = shared.began + shared.plan.lasts;
    shared.figures().tally = Tally::new(shared.began.into_std());
    let mut shared = Arc::new(shared);
    let mut sessions = JoinSet::new();
    for index in 0..shared.plan.connections {
        sessions.spawn(Session::new(Arc::clone(&shared), index).run());
    }
    while !sessions.is_empty() {
        let is_heard = tell(&shared, Phase::Running).await;
        if !is_heard {
            return;
        }
        let all_ended = async { while sessions.join_next().await.is_some() {} };
        let _ = timeout(REPORT_PAUSE, all_ended).await;
    }
    finish(&mut shared);
    tell(&shared, Phase::Verifying).await;
    let verified = match timeout(PATIENCE, verify(&shared, &addresses)).await {
        Ok(verified) => verified.map_err(|error| error.to_string()),
        Err(_) => Err(format!("its keys could not be read again within {} s", PATIENCE.as_secs())),
    };
    let phase = verified.map_or_else(Phase::Failed, |()| Phase::Verified);
    let _ = timeout(REMOVAL_PATIENCE, remove(&shared, &addresses)).await;
    tell(&shared, phase).await;
}

/// The time between the last write and the end counts as a gap too.
fn finish(shared: &mut Arc<Shared>) {
    let end = Instant::now().min(shared.ends);
    if let Some(shared) = Arc::get_mut(shared) {
        shared.ends = end;
    }
    shared.figures().tally.finish(end.into_std());
}

/// A client that waits through elections.
async fn patient_client(addresses: &[String]) -> Result<Client, ClientError> {
    let options = ClientOptions { request_timeout: PATIENCE, ..ClientOptions::to(addresses) };
    Client::connect(options).await
}

async fn prepare(shared: &Shared, addresses: &[String]) -> Result<(), String> {
    let mut paths = vec![ROOT.to_owned(), shared.prefix.clone()];
    paths.extend((0..shared.plan.keys).map(|key| shared.path(key)));
    let client = patient_client(addresses).await.map_err(|error| error.to_string())?;
    for (place, path) in paths.iter().enumerate() {
        let data = place.checked_sub(2).map_or_else(Bytes::new, |key| shared.data(key, 0));
        loop {
            match client.create(path, data.clone(), CreateMode::Persistent).await {
                Ok(_) => break,
                // A create whose answer was lost may be done already.
                Err(error) if error.code() == Some(ErrorCode::NodeExists) => break,
                Err(error) if is_passing(&error) => sleep(REPORT_PAUSE).await,
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    Ok(())
}

/// Whether it may be otherwise a moment later.
fn is_passing(error: &ClientError) -> bool {
    let codes = [ErrorCode::NoQuorum, ErrorCode::Overloaded, ErrorCode::OutcomeUnknown];
    matches!(error, ClientError::NotConnected { .. } | ClientError::Timeout { .. })
        || error.code().is_some_and(|code| codes.contains(&code))
}

/// Reads every key behind a sync, until it has come to an end.
async fn verify(shared: &Shared, addresses: &[String]) -> Result<(), ClientError> {
    loop {
        match verify_once(shared, addresses).await {
            Err(error) if is_passing(&error) => sleep(REPORT_PAUSE).await,
            ended => return ended,
        }
    }
}

async fn verify_once(shared: &Shared, addresses: &[String]) -> Result<(), ClientError> {
    let client = patient_client(addresses).await?;
    let floor = shared.figures().checker.floor();
    client.sync().await?;
    // The connections of the run are gone; this one takes the place of the first.
    shared.figures().checker.connected(0);
    for key in 0..shared.plan.keys {
        let read = Operation::Get(Read { path: shared.path(key), watch: false });
        let (zxid, found) = match client.request(read).await {
            Ok((zxid, Answer::Data(data))) => (zxid, shared.found(key, &data.data, &data.stat)),
            Ok((zxid, _)) => (zxid, Found::Foreign),
            Err(error) if error.code() == Some(ErrorCode::NoNode) => (floor.max(Zxid(1)), Found::Nothing),
            Err(error) => return Err(error),
        };
        let mut figures = shared.figures();
        figures.checker.read(0, key, Some(floor), zxid, found);
        if let Found::Value { version, .. } = found {
            figures.checker.last(key, version);
        }
    }
    Ok(())
}

/// Nothing depends on it: what stays is below [`ROOT`].
async fn remove(shared: &Shared, addresses: &[String]) {
    let options = ClientOptions { request_timeout: READ_TIMEOUT, ..ClientOptions::to(addresses) };
    let Ok(client) = Client::connect(options).await else { return };
    for key in 0..shared.plan.keys {
        let _ = client.delete(&shared.path(key), -1).await;
    }
    let _ = client.delete(&shared.prefix, -1).await;
}
