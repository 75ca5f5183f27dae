//! `zw delete`: removes a znode, with `-r` all below it first.
//!
//! A recursive delete is not one transaction: see [`delete_subtree`].

use super::error::code_of;
use super::{CliError, Context, version};
use clap::Args;
use serde_json::json;
use std::time::Duration;
use zw_core::client::{Client, ClientError, Rivals, Stop, SubtreeDelete, delete_subtree};
use zw_core::tree::path::ROOT;
use zw_core::wire::client::ErrorCode;

/// Remove a znode
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode
    path: String,
    /// All below it too
    #[arg(short, long, conflicts_with = "version")]
    recursive: bool,
    /// Also if it empties the whole tree, which `zw delete -r /` does
    #[arg(long, requires = "recursive")]
    yes: bool,
    /// Only if it has this version
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_parser = version)]
    version: i32,
}

/// How long a recursive delete may take.
const RECURSIVE_TIME: Duration = Duration::from_secs(600);

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    if options.recursive && options.path == ROOT && !options.yes {
        let reason =
            "this would delete every znode of the ensemble; if that is what you want, say so: zw delete -r / --yes";
        return Err(CliError::Usage(reason.into()));
    }
    let client = context.client(None).await?;
    let deleted = if options.recursive {
        recursive(&client, &options.path).await?
    } else {
        client.delete(&options.path, options.version).await.map_err(advise)?;
        1
    };
    context.print(
        || json!({ "path": options.path, "deleted": deleted }),
        || match deleted {
            1 => "deleted".to_owned(),
            n => format!("deleted {n} znodes"),
        },
    )
}

/// What this verb can do about a refusal.
fn advise(error: ClientError) -> CliError {
    match code_of(&error) {
        Some(code @ ErrorCode::NotEmpty) => CliError::of_code(code, format!("{error}, or all of it with -r")),
        _ => error.into(),
    }
}

/// Deletes `root` and all below it, what others make there meanwhile too; gives how many znodes went.
pub(super) async fn recursive(client: &Client, root: &str) -> Result<u64, CliError> {
    let what = SubtreeDelete { root, rivals: Rivals::Overrule, at_most: u64::MAX, within: RECURSIVE_TIME };
    let mut asks = client;
    match delete_subtree(&mut asks, &what).await {
        Ok(deleted) => Ok(deleted.znodes),
        Err((_, Stop::Client(error))) => Err(error.into()),
        Err((deleted, stop)) => Err(CliError::Refused(format!("{root}: {} znodes are gone; {stop}", deleted.znodes))),
    }
}
