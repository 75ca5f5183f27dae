//! `zw get`: a znode's data.

use super::{CliError, Context, output};
use clap::Args;
use serde_json::json;
use std::io::{IsTerminal, Write};

/// Print a znode's data: byte for byte, but on a terminal with a newline at the end
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode
    path: String,
    /// Print the Stat too
    #[arg(short = 's', long)]
    stat: bool,
    /// First bring the node up to date with all that is committed
    #[arg(long)]
    sync: bool,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let client = context.client(None).await?;
    if options.sync {
        client.sync().await?;
    }
    let (data, stat) = client.get(&options.path).await?;
    if context.json {
        let (key, text) = output::data_json(&data);
        let value = json!({ "path": options.path, key: text, "stat": output::stat_json(&stat) });
        output::line_json(&mut context.out, &value)?;
    } else {
        context.out.write_all(&data)?;
        // A pipe or a file gets what the znode holds and nothing else; a Stat begins a line of its own.
        if (std::io::stdout().is_terminal() || options.stat) && !data.ends_with(b"\n") {
            context.out.write_all(b"\n")?;
        }
        if options.stat {
            context.out.write_all(output::stat_text(&stat).as_bytes())?;
        }
    }
    Ok(())
}
