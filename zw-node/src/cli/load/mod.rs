//! `zw load`: writes and reads as fast as the ensemble takes them, and verifies every acknowledged write at the end.

mod ledger;
mod session;
mod tally;
mod target;
mod verify;

use super::output::line_json;
use super::{CliError, Context};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ledger::{Ledger, Mode};
use session::{Plan, Session};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tally::Tally;
use target::{Target, Targets};
use tokio::task::LocalSet;
use zw_core::client::{Client, ClientOptions};
use zw_core::limits::{CONNECTION_REQUESTS_MAX, ZNODE_DATA_BYTES_MAX};

/// Load the ensemble, measure it, and verify that no acknowledged write is lost
///
/// Each client is one connection with --inflight requests under way; latency is counted from when a request was due.
/// A client whose connection is lost goes on at another node. `lost` counts acknowledged writes that are not found at
/// the end, after a sync. Ctrl-C (or SIGTERM) ends the run early, verified and reported as usual.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Connections
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=CONNECTION_REQUESTS_MAX as i64))]
    inflight: u32,
    /// How long, in seconds
    #[arg(long, default_value_t = 10.0, conflicts_with = "writes")]
    secs: f64,
    /// End after so many requests instead
    #[arg(long)]
    writes: Option<u64>,
    /// Bytes of a value
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(32..=ZNODE_DATA_BYTES_MAX as i64))]
    size: u32,
    /// How many of 100 requests read
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    read_percent: u8,
    /// Where the clients connect: spread, leader, followers, random or HOST:PORT
    #[arg(long, default_value = "spread")]
    target: Target,
    /// Znodes that each client writes in turn
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    keys: u32,
    /// Make a new znode with each write instead
    #[arg(long, conflicts_with_all = ["read_percent", "keys"])]
    create: bool,
    /// Leave the znodes in the tree
    #[arg(long)]
    keep: bool,
    /// A connection without an answer for so long counts as lost
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    request_timeout: Duration,
    /// No verification at the end
    #[arg(long)]
    no_verify: bool,
}

/// Where load puts its znodes.
const ROOT: &str = "/zw-load";
/// How long a client looks for a server, and the verification for a quorum, before it gives up.
const GIVE_UP: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    if !(options.secs > 0.0 && options.secs <= 1e6) {
        return Err(CliError::Usage("--secs must be above 0 and at most 1000000".into()));
    }
    let targets = Targets::new(context, options.target.clone()).await?;
    let client = patient_client(targets.addresses()).await?;
    let prefix = format!("{ROOT}/{:016x}", random_number()?);
    let ledgers = ledgers(&prefix, &options);
    verify::prepare(&client, ROOT, &prefix, &ledgers, options.size as usize).await?;

    let begin = Instant::now();
    let plan = Rc::new(Plan {
        in_flight: options.inflight as usize,
        size: options.size as usize,
        read_percent: u64::from(options.read_percent),
        end: options.writes.is_none().then(|| begin + Duration::from_secs_f64(options.secs)),
        left: Cell::new(options.writes.unwrap_or(u64::MAX)),
        request_timeout: options.request_timeout,
        tally: RefCell::new(Tally::new(begin)),
        targets,
        stopped: Cell::new(None),
        give_up: GIVE_UP,
    });
    let bar = progress_bar(&options);
    let ledgers = all_sessions(&plan, ledgers, &bar, options.writes).await?;
    plan.tally.borrow_mut().finish(plan.ended());
    bar.finish_and_clear();

    let lost = if options.no_verify { Ok(None) } else { verified(plan.targets.addresses(), &ledgers).await };
    report(context, &plan.tally.borrow(), &lost)?;
    if !options.keep
        && let Ok(client) = patient_client(plan.targets.addresses()).await
        && let Err(error) = super::delete::recursive(&client, &prefix).await
    {
        eprintln!("zw: {prefix} could not be removed: {error}");
    }
    match lost? {
        None | Some(0) => Ok(()),
        Some(lost) => Err(CliError::Refused(format!("{lost} acknowledged writes are lost"))),
    }
}

fn report(context: &mut Context, tally: &Tally, lost: &Result<Option<u64>, CliError>) -> Result<(), CliError> {
    let lost = lost.as_ref().ok().copied().flatten();
    if context.json {
        line_json(&mut context.out, &tally.json(lost))?;
    } else {
        context.out.write_all(tally.text(lost).as_bytes())?;
    }
    Ok(context.out.flush()?)
}

async fn verified(servers: &[String], ledgers: &[Ledger]) -> Result<Option<u64>, CliError> {
    let deadline = Instant::now() + GIVE_UP;
    loop {
        let attempt = async { verify::lost(&patient_client(servers).await?, ledgers).await };
        match attempt.await {
            Ok(lost) => return Ok(Some(lost)),
            Err(CliError::Client(error)) if Instant::now() < deadline && verify::is_passing(&error) => {}
            Err(error) => return Err(CliError::Unknown(format!("the writes are not verified: {error}"))),
        }
    }
}

/// A client that waits through elections: preparing and verifying are no measurements.
async fn patient_client(servers: &[String]) -> Result<Client, CliError> {
    let options = ClientOptions {
        servers: servers.to_vec(),
        session_timeout: None,
        request_timeout: Duration::from_secs(30),
        ..ClientOptions::default()
    };
    Ok(Client::connect(options).await?)
}

fn ledgers(prefix: &str, options: &Options) -> Vec<Ledger> {
    let mode = if options.create { Mode::Create } else { Mode::Set };
    let of = |client| Ledger::new(prefix, client, options.keys as usize, mode, true);
    (0..options.clients as usize).map(of).collect()
}

async fn all_sessions(
    plan: &Rc<Plan>,
    ledgers: Vec<Ledger>,
    bar: &ProgressBar,
    requests: Option<u64>,
) -> Result<Vec<Ledger>, CliError> {
    let local = LocalSet::new();
    let mut sessions = Vec::new();
    for (index, ledger) in ledgers.into_iter().enumerate() {
        let session = Session::new(Rc::clone(plan), index, ledger, random_number()?);
        sessions.push(local.spawn_local(session.run()));
    }
    local.spawn_local(stop_on_signal(Rc::clone(plan)));
    if !bar.is_hidden() {
        let (plan, bar) = (Rc::clone(plan), bar.clone());
        local.spawn_local(async move {
            let begin = Instant::now();
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let done = requests.map(|requests| requests - plan.left.get());
                bar.set_position(done.unwrap_or(u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)));
                bar.set_message(format!("{} operations", plan.tally.borrow().ops()));
            }
        });
    }
    let mut ledgers = Vec::new();
    local
        .run_until(async {
            for session in sessions {
                match session.await {
                    Ok(ledger) => ledgers.push(ledger),
                    Err(error) => return Err(CliError::Unknown(format!("a load client failed: {error}"))),
                }
            }
            Ok(())
        })
        .await?;
    Ok(ledgers)
}

/// The first signal ends the run early, and it is verified and reported as usual; the second ends the process.
async fn stop_on_signal(plan: Rc<Plan>) {
    crate::signals::terminated().await;
    plan.stopped.set(Some(Instant::now()));
    crate::signals::terminated().await;
    std::process::exit(130);
}

fn progress_bar(options: &Options) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be small and positive")]
    let length = options.writes.unwrap_or((options.secs * 1e3) as u64);
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}").expect("the template is a constant");
    bar.set_style(style);
    bar
}

fn random_number() -> Result<u64, CliError> {
    getrandom::u64().map_err(|error| CliError::Refused(format!("no random numbers from the system: {error}")))
}
