//! `zw watch`: prints what happens to a znode, and with `-R` to all below it, until Ctrl-C.

use super::{CliError, Context, output};
use clap::Args;

/// Print changes as they come
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode; it need not exist yet
    path: String,
    /// All below it too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// End after so many changes
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let client = context.client(None).await?;
    let mut events = client.add_watch(&options.path, options.recursive).await?;
    context.note(&format!("watching {}; Ctrl-C ends it", options.path));
    let mut seen = 0;
    while options.count.is_none_or(|count| seen < count) {
        let event = tokio::select! {
            event = events.next() => event,
            () = crate::signals::terminated() => return Ok(()),
        };
        let Some(event) = event else {
            return Err(CliError::Refused("the watch ended: the connection is lost for good".into()));
        };
        seen += 1;
        context.print(
            || output::event_json(&event),
            || format!("{:<8}  {:>12}  {}", output::event_word(&event), event.zxid.to_string(), event.path),
        )?;
    }
    Ok(())
}
