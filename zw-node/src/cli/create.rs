//! `zw create`: makes a znode.

use super::error::code_of;
use super::{CliError, Context, data_argument, output};
use crate::command_line::duration;
use clap::Args;
use serde_json::json;
use std::time::Duration;
use zw_core::client::{Client, ClientError};
use zw_core::tree::command::CreateMode;
use zw_core::wire::client::ErrorCode;

/// Make a znode
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where, for example /goals/1
    path: String,
    /// Its data; - reads standard input
    #[arg(default_value = "")]
    data: String,
    /// It goes with this command's session, which is held until Ctrl-C (or --hold)
    #[arg(short, long)]
    ephemeral: bool,
    /// Append the next number of the parent to the name
    #[arg(short, long)]
    sequential: bool,
    /// Make parents that are missing
    #[arg(short, long)]
    parents: bool,
    /// Hold the session of an ephemeral znode only so long
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "ephemeral")]
    hold: Option<Duration>,
}

/// How long the ensemble keeps an ephemeral znode after this command was killed.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let mode = match (options.ephemeral, options.sequential) {
        (false, false) => CreateMode::Persistent,
        (false, true) => CreateMode::PersistentSequential,
        (true, false) => CreateMode::Ephemeral,
        (true, true) => CreateMode::EphemeralSequential,
    };
    let data = data_argument(&options.data)?;
    let client = context.client(options.ephemeral.then_some(SESSION_TIMEOUT)).await?;
    if options.parents {
        check_path(&options)?;
        make_parents(&client, &options.path).await?;
    }
    let created = client.create(&options.path, data, mode).await.map_err(advise)?;
    context
        .print(|| json!({ "path": created.path, "stat": output::stat_json(&created.stat) }), || created.path.clone())?;
    if options.ephemeral {
        hold(context, options.hold).await;
    }
    Ok(client.close().await?)
}

/// What this verb can do about a refusal.
fn advise(error: ClientError) -> CliError {
    match code_of(&error) {
        Some(code @ ErrorCode::NoNode) => CliError::of_code(code, format!("{error}; make it first, or with -p")),
        _ => error.into(),
    }
}

/// Before any parent is made: is the whole path one?
fn check_path(options: &Options) -> Result<(), CliError> {
    // A sequential name may be all number.
    let suffix = if options.sequential { "0" } else { "" };
    let checked = zw_core::tree::path::validate(&format!("{}{suffix}", options.path));
    checked.map_err(|error| CliError::of_code(ErrorCode::InvalidPath, error.to_string()))
}

/// Makes what is missing above `path`.
async fn make_parents(client: &Client, path: &str) -> Result<(), CliError> {
    for (at, _) in path.match_indices('/').skip(1) {
        match client.create(&path[..at], Vec::new(), CreateMode::Persistent).await {
            Ok(_) => {}
            Err(error) if code_of(&error) == Some(ErrorCode::NodeExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Keeps the session until a signal or until the time is over.
async fn hold(context: &Context, time: Option<Duration>) {
    let over = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => {
                context.note("holding the session; Ctrl-C ends it and removes the znode");
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        () = over => {}
        () = crate::signals::terminated() => {}
    }
}
