//! `zw load`: writes and reads as fast as the ensemble takes them, and verifies every acknowledged write at the end.

mod ledger;
mod session;
mod target;
mod verify;
mod vigil;

use super::output::{line_json, note};
use super::{CliError, Context};
use crate::command_line::timeout;
use crate::tally::Tally;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ledger::{Ledger, Mode};
use session::{Plan, Session};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};
use target::{Target, Targets};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout as timeout_of};
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
    #[arg(long, default_value = "10", conflicts_with = "writes", value_parser = seconds)]
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
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = timeout)]
    request_timeout: Duration,
    /// No verification at the end
    #[arg(long)]
    no_verify: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(seconds),
        _ => Err("write seconds above 0 and at most 1000000, for example 10 or 0.5".to_owned()),
    }
}

/// Where load puts its znodes.
const ROOT: &str = "/zw-load";
/// How long a client looks for a server, a run of so many requests for an answer, and the verification for a quorum,
/// before they give up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long elections may delay the preparation, beyond the time that the run itself may take.
const PREPARE_GRACE: Duration = Duration::from_secs(3);
/// See [`PREPARE_GRACE`]; for long runs and those of so many requests.
const PREPARE_PATIENCE_MAX: Duration = Duration::from_secs(30);
/// How long the znodes of a run that came to nothing may take to go: the ensemble may be what is wrong.
const REMOVE_PATIENCE: Duration = Duration::from_secs(3);
/// Pause before the verification begins again.
const VERIFY_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let mut outcome = Outcome { tally: Tally::new(Instant::now()), lost: None };
    let ended = load(context, &options, &mut outcome).await;
    if context.json {
        let reason = ended.as_ref().err().map(ToString::to_string);
        line_json(&mut context.out, &outcome.tally.json(outcome.lost, reason.as_deref()))?;
    } else if ended.is_ok() || outcome.tally.has_any() {
        context.out.write_all(outcome.tally.text(outcome.lost).as_bytes())?;
    }
    context.out.flush()?;
    ended
}

/// What a run has come to, also when it failed.
struct Outcome {
    tally: Tally,
    /// Acknowledged writes that were not found; none if that is not known.
    lost: Option<u64>,
}

async fn load(context: &Context, options: &Options, outcome: &mut Outcome) -> Result<(), CliError> {
    let targets = Targets::new(context, options.target.clone()).await?;
    if let Some(reason) = targets.silent_target().await {
        return Err(CliError::Refused(reason));
    }
    let prefix = format!("{ROOT}/{:016x}", random_number()?);
    let ledgers = ledgers(&prefix, options);
    prepared(context, options, &targets, &prefix, &ledgers).await?;

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
        gave_up: RefCell::new(None),
    });
    let bar = progress_bar(options);
    let ledgers = all_sessions(&plan, ledgers, &bar, options.writes, context.json).await?;
    bar.finish_and_clear();
    plan.tally.borrow_mut().finish(plan.ended());
    outcome.tally = plan.tally.replace(Tally::new(begin));

    let left = || context.note(&format!("{prefix} is left in the tree; remove it later with: zw delete -r {prefix}"));
    if outcome.tally.ops() == 0 && options.writes != Some(0) {
        let reason = vigil::why(&plan.targets).await;
        let remove = removed(plan.targets.addresses(), &prefix);
        if options.keep || !matches!(timeout_of(REMOVE_PATIENCE, remove).await, Ok(Ok(()))) {
            left();
        }
        return Err(CliError::Refused(format!("nothing was answered: {reason}")));
    }
    if !options.no_verify {
        outcome.lost = Some(verified(context, &plan.targets, &ledgers).await.inspect_err(|_| left())?);
    }
    if !options.keep
        && let Err(error) = removed(plan.targets.addresses(), &prefix).await
    {
        context.note(&error.to_string());
        left();
    }
    let gave_up = plan.gave_up.take();
    match (outcome.lost, gave_up) {
        (None | Some(0), None) => Ok(()),
        (None | Some(0), Some(reason)) => Err(CliError::Refused(format!("the run gave up: {reason}"))),
        (Some(lost), _) => Err(CliError::Refused(format!("{lost} acknowledged writes are lost"))),
    }
}

/// Makes the znodes; waits for a quorum, but not much longer than the run itself may take.
async fn prepared(
    context: &Context,
    options: &Options,
    targets: &Targets,
    prefix: &str,
    ledgers: &[Ledger],
) -> Result<(), CliError> {
    let patience = match options.writes {
        None => (Duration::from_secs_f64(options.secs) + PREPARE_GRACE).min(PREPARE_PATIENCE_MAX),
        Some(_) => PREPARE_PATIENCE_MAX,
    };
    let progress = Cell::new(0);
    let prepare = async {
        let client = patient_client(targets.addresses()).await?;
        verify::prepare(&client, ROOT, prefix, ledgers, options.size as usize, &progress).await
    };
    let tell = |reason: &str| context.note(&format!("waiting for the ensemble to take writes: {reason}"));
    let ended = tokio::select! {
        ended = prepare => ended,
        reason = vigil::stuck(targets, || progress.get(), tell, patience) => {
            let seconds = patience.as_secs_f64();
            Err(CliError::Refused(format!("nothing could be written within {seconds:.1} s: {reason}")))
        }
    };
    if ended.is_err() && progress.get() > 0 {
        context.note(&format!("{prefix} may be left in the tree; remove it later with: zw delete -r {prefix}"));
    }
    ended
}

/// How many acknowledged writes are lost; waits for a quorum that can tell.
async fn verified(context: &Context, targets: &Targets, ledgers: &[Ledger]) -> Result<u64, CliError> {
    let progress = Cell::new(0);
    let verify = async {
        loop {
            let attempt = async { verify::lost(&patient_client(targets.addresses()).await?, ledgers, &progress).await };
            match attempt.await {
                Err(CliError::Client(error)) if verify::is_passing(&error) => sleep(VERIFY_PAUSE).await,
                ended => return ended.map_err(|error| error.to_string()),
            }
        }
    };
    let tell = |reason: &str| {
        context.note(&format!("waiting at most {} s to verify the writes: {reason}", GIVE_UP.as_secs()));
    };
    let ended = tokio::select! {
        ended = verify => ended,
        reason = vigil::stuck(targets, || progress.get(), tell, GIVE_UP) => Err(reason),
        () = crate::signals::terminated() => Err("a signal asked for the end".to_owned()),
    };
    ended.map_err(|reason| CliError::Unknown(format!("the writes are not verified: {reason}")))
}

/// Removes the run's znodes, unless a signal asks for the end.
async fn removed(servers: &[String], prefix: &str) -> Result<(), CliError> {
    let remove = async { super::delete::recursive(&patient_client(servers).await?, prefix).await.map(drop) };
    tokio::select! {
        ended = remove => ended,
        () = crate::signals::terminated() => Err(CliError::Refused("a signal asked for the end".into())),
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
    json: bool,
) -> Result<Vec<Ledger>, CliError> {
    let local = LocalSet::new();
    let mut sessions = Vec::new();
    for (index, ledger) in ledgers.into_iter().enumerate() {
        let session = Session::new(Rc::clone(plan), index, ledger, random_number()?);
        sessions.push(local.spawn_local(session.run()));
    }
    local.spawn_local(stop_on_signal(Rc::clone(plan)));
    local.spawn_local(stop_when_stuck(Rc::clone(plan), bar.clone(), json));
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

/// Says when nothing is answered any more. A run that only its count would end gives up after a while.
async fn stop_when_stuck(plan: Rc<Plan>, bar: ProgressBar, json: bool) {
    let tell = |reason: &str| {
        // At the end there may be clients that still wait for a last answer.
        if !plan.is_over(Instant::now()) {
            bar.suspend(|| note(json, &format!("no request is answered: {reason}")));
        }
    };
    let limit = if plan.end.is_some() { Duration::MAX } else { GIVE_UP };
    let reason = vigil::stuck(&plan.targets, || plan.tally.borrow().ops(), tell, limit).await;
    plan.gave_up.replace(Some(reason));
    plan.stopped.set(Some(Instant::now()));
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
