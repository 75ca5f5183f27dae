//! `zw set`: replaces a znode's data.

use super::{CliError, Context, data_argument, output, version};
use clap::Args;
use serde_json::json;

/// Replace a znode's data
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode
    path: String,
    /// The new data; - reads standard input
    data: String,
    /// Only if it has this version
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_parser = version)]
    version: i32,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let data = data_argument(&options.data)?;
    let client = context.client(None).await?;
    let stat = client.set(&options.path, data, options.version).await?;
    context.print(
        || json!({ "path": options.path, "stat": output::stat_json(&stat) }),
        || format!("version {} at {}", stat.version, stat.mzxid),
    )
}
