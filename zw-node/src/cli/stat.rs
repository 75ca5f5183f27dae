//! `zw stat`: what is known of a znode beside its data.

use super::{CliError, Context, output};
use clap::Args;
use serde_json::json;
use zw_core::wire::client::ErrorCode;

/// Print a znode's Stat
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode
    path: String,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let client = context.client(None).await?;
    let Some(stat) = client.exists(&options.path).await? else {
        return Err(CliError::of_code(ErrorCode::NoNode, format!("no such znode: {}", options.path)));
    };
    context.print(
        || {
            let mut value = output::stat_json(&stat);
            value["path"] = json!(options.path);
            value
        },
        || output::stat_text(&stat),
    )
}
