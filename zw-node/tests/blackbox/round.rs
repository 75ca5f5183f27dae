//! One run: an ensemble, clients and faults; then everything heals, and the oracles judge.
//!
//! Liveness: once healed, within a generous time there is one leader that all follow, each node takes a fresh write and
//! gives a linearizable read, and all nodes come to the same digest at the same zxid.

use crate::availability::Timeline;
use crate::clients::Habits;
use crate::faults::Nemesis;
use crate::judge::{Evidence, judge};
use crate::logs;
use crate::operation::{Micros, Operation, Outcome};
use crate::report::Report;
use crate::small_disk::SmallDisks;
use crate::supervisor::{Cluster, no_panics};
use crate::verdict::{Failure, harness};
use crate::workload::{Actor, Histories, Record, create, foundation, options};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use zw_core::client::ClientOptions;
use zw_core::ids::{NodeId, Zxid};
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::NodeRole;
use zw_sim::history::Look;
use zw_sim::invariants::Violation;
use zw_sim::prng::Prng;

/// Longest wait for a healed ensemble. Far above what it needs: the machine may be busy.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(120);
/// Longest time without an acknowledged write while a majority is up and connected. The same.
const GAP_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const SESSION_TIMEOUT: Duration = Duration::from_secs(8);

/// What kind of run it is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) size: usize,
    /// How long faults are injected.
    pub(crate) faults: Duration,
    pub(crate) clients: usize,
    /// Mean pause of a client between two requests.
    pub(crate) think_ms: u64,
    pub(crate) flavour: Flavour,
    /// Whether to print each fault.
    pub(crate) says: bool,
}

/// How the nodes are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// As a user starts them.
    Plain,
    /// Snapshots often, and little of the log in memory: who was away needs a snapshot.
    Snapshots,
    /// Small disks and small segments, so that the disk can be full.
    SmallDisk,
}

/// Runs a plan in `directory`, which keeps the nodes' data and logs.
pub(crate) async fn run(plan: &Plan, directory: &Path) -> Result<Report, Failure> {
    let prng = Prng::new(plan.seed);
    std::fs::create_dir_all(directory).map_err(harness("the directory of a run"))?;
    let small_disks = match plan.flavour {
        Flavour::SmallDisk => match SmallDisks::mount(directory, plan.size) {
            Ok(disks) => Some(disks),
            Err(reason) => {
                println!("without full disks: {reason}");
                None
            }
        },
        _ => None,
    };
    let flags = flags(plan.flavour).iter().map(|flag| (*flag).to_owned()).collect();
    let mut cluster = Cluster::new(plan.size, flags, directory, small_disks, &mut prng.split("ports", 0)).await?;
    for index in 0..plan.size {
        cluster.start(index).await?;
    }
    let record = Arc::new(Record::new());
    let result = run_with(plan, &mut cluster, &prng, &record).await;
    if result.is_err() {
        keep(&cluster, directory);
        let lines: Vec<String> = record.history().operations.iter().map(Operation::line).collect();
        let written = std::fs::write(directory.join("history"), lines.join("\n"));
        written.map_err(harness("keeping the history"))?;
    }
    result
}

fn flags(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::Plain => &[],
        Flavour::Snapshots => &["--snapshot-interval-bytes", "100000", "--retained-log-bytes", "50000"],
        Flavour::SmallDisk => &["--segment-bytes", "60000", "--snapshot-interval-bytes", "1000000000"],
    }
}

async fn run_with(plan: &Plan, cluster: &mut Cluster, prng: &Prng, record: &Arc<Record>) -> Result<Report, Failure> {
    found(record, cluster).await?;
    let clients: Vec<_> = (1..=plan.clients)
        .map(|number| {
            let habits = Habits::new(number, &cluster.addresses, plan.think_ms, prng.split("client", number as u64));
            let record = Arc::clone(record);
            tokio::spawn(async move { habits.live(&record).await })
        })
        .collect();
    let mut nemesis = Nemesis::new(cluster, record, prng.split("faults", 0), plan.says);
    let injected = nemesis.run(plan.faults).await;
    let (timeline, mut faults, archive) = nemesis.finish();
    injected?;
    let healed = Instant::now();
    recovered(record, cluster, healed).await?;
    let end = record.now();
    record.end();
    for client in clients {
        client.await.map_err(harness("a client"))?;
    }
    let (last, digest) = settled(cluster, healed).await?;
    let recovery = healed.elapsed();
    cluster.all_live()?;
    no_panics(cluster)?;
    faults.insert("snapshots sent to nodes that were behind".to_owned(), cluster.count("snapshot sent"));
    let logs = read_logs(cluster)?;
    conclude(record, faults, &timeline, end, recovery, (logs, archive, last, digest))
}

/// Makes what the clients work on.
async fn found(record: &Record, cluster: &Cluster) -> Result<(), Failure> {
    let options = ClientOptions { request_timeout: RECOVERY_DEADLINE, ..options(&cluster.addresses, SESSION_TIMEOUT) };
    let unready = |why: String| Failure::Harness(format!("the ensemble did not begin to work: {why}"));
    let mut actor = Actor::open(record, options).await.map_err(|error| unready(error.to_string()))?;
    for command in foundation() {
        let outcome = actor.write(command).await;
        if !matches!(outcome, Outcome::Written(..)) {
            return Err(unready(format!("{outcome:?}")));
        }
    }
    actor.close().await;
    Ok(())
}

/// Waits until the healed ensemble works as a whole.
async fn recovered(record: &Record, cluster: &mut Cluster, since: Instant) -> Result<(), Failure> {
    let mut number = 0;
    for index in 0..cluster.size() {
        let only = [cluster.addresses[index].clone()];
        loop {
            cluster.all_live()?;
            if let Ok(mut actor) = Actor::open(record, options(&only, SESSION_TIMEOUT)).await {
                number += 1;
                let command = create(format!("/t/fresh-{index}-{number}"), "", CreateMode::Persistent);
                let written = matches!(actor.write(command).await, Outcome::Written(..));
                let read = matches!(actor.read("/t", Look::Exists, true).await, Outcome::Read(..));
                actor.close().await;
                if written && read {
                    break;
                }
            }
            in_time(cluster, since, &format!("node {} takes writes and reads again", index + 1)).await?;
        }
    }
    Ok(())
}

/// Waits until one leads, all follow and have applied all there is; gives the zxid and the digest that all have.
async fn settled(cluster: &mut Cluster, since: Instant) -> Result<(Zxid, u64), Failure> {
    loop {
        cluster.all_live()?;
        let mut states = Vec::new();
        let (mut leaders, mut followers) = (0, 0);
        for index in 0..cluster.size() {
            let Some(status) = cluster.status(index).await else { continue };
            leaders += usize::from(status.role == NodeRole::Leader);
            followers += usize::from(status.role == NodeRole::Follower);
            states.push((status.applied_zxid, status.digest, status.last_zxid));
        }
        let at_rest = states.windows(2).all(|pair| pair[0].0 == pair[1].0);
        if leaders == 1 && leaders + followers == cluster.size() && at_rest {
            let (applied, digest, last) = states[0];
            if states.iter().any(|state| state.1 != digest) {
                let text = format!("after {applied} the nodes have the digests {states:x?}");
                return Err(Violation::new("DigestAgreement", text).into());
            }
            if applied == last {
                return Ok((applied, digest));
            }
        }
        in_time(cluster, since, "all nodes have the same tree").await?;
    }
}

async fn in_time(cluster: &Cluster, since: Instant, what: &str) -> Result<(), Failure> {
    if since.elapsed() < RECOVERY_DEADLINE {
        sleep(POLL).await;
        return Ok(());
    }
    let mut text = format!("not within {RECOVERY_DEADLINE:?} after everything healed: {what}\n");
    for index in 0..cluster.size() {
        text += &format!("{:?}\n{}", cluster.status(index).await, cluster.tail(index));
    }
    Err(Violation::new("Liveness", text).into())
}

/// Kills all nodes and reads what they have written.
fn read_logs(cluster: &mut Cluster) -> Result<Vec<logs::NodeLog>, Failure> {
    (0..cluster.size()).try_for_each(|index| cluster.kill(index))?;
    let node = |index: usize| NodeId(u16::try_from(index + 1).unwrap_or(u16::MAX));
    (0..cluster.size()).map(|index| logs::read(&cluster.data(index), node(index))).collect()
}

fn conclude(
    record: &Record,
    faults: BTreeMap<String, u64>,
    timeline: &Timeline,
    end: Micros,
    recovery: Duration,
    (logs, archive, last, digest): (Vec<logs::NodeLog>, logs::Archive, Zxid, u64),
) -> Result<Report, Failure> {
    let mut history = record.history();
    if let Some(violation) = history.violation.take() {
        return Err(violation.into());
    }
    let mut report = Report { rounds: 1, faults, recovery, ..Report::default() };
    for operation in &history.operations {
        *report.outcomes.entry(operation.outcome.name()).or_default() += 1;
    }
    let written = history.operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Written(..)));
    let mut acknowledged: Vec<Micros> = written.map(|operation| operation.end).collect();
    acknowledged.sort_unstable();
    report.longest_gap = timeline.longest_gap(&acknowledged, end);
    let sequence = logs::agree(&logs, archive, last)?;
    let Histories { operations, watches, .. } = std::mem::take(&mut *history);
    let evidence = Evidence { operations, watches, sequence, digest };
    let judged = judge(&evidence);
    history.operations = evidence.operations;
    report.checked = judged?;
    if Duration::from_micros(report.longest_gap) > GAP_MAX {
        let text = format!("no write for {} ms, though a majority was up and connected", report.longest_gap / 1_000);
        return Err(Violation::new("Availability", text).into());
    }
    Ok(report)
}

/// Puts what would vanish with a small disk beside the rest of the evidence.
fn keep(cluster: &Cluster, directory: &Path) {
    for index in 0..cluster.size() {
        let (data, kept) = (cluster.data(index), directory.join(format!("data-{}", index + 1)));
        if data == kept {
            continue;
        }
        let copied: std::io::Result<()> = std::fs::create_dir_all(&kept).and_then(|()| {
            let files: Vec<PathBuf> =
                std::fs::read_dir(&data)?.map(|file| Ok(file?.path())).collect::<std::io::Result<_>>()?;
            files.iter().try_for_each(|file| {
                let name = file.file_name().unwrap_or_default();
                std::fs::copy(file, kept.join(name)).map(drop)
            })
        });
        if let Err(error) = copied {
            println!("the data of node {} could not be kept: {error}", index + 1);
        }
    }
}
