//! `zw sync`: waits until the node that answers has applied all that is committed.

use super::{CliError, Context};
use clap::Args;
use serde_json::json;

/// Bring the node that answers up to date
#[derive(Debug, Args)]
pub(super) struct Options {}

pub(super) async fn run(context: &mut Context, _: Options) -> Result<(), CliError> {
    let client = context.client(None).await?;
    let zxid = client.sync().await?;
    let server = client.connected_to().unwrap_or_default();
    context.print(|| json!({ "server": server, "zxid": zxid.0 }), || format!("{server} is at {zxid}"))
}
