//! `zw snapshot`: lets a node, or all of them, write a snapshot now.

use super::cluster::{ask, each, ensemble};
use super::{CliError, Context};
use clap::Args;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use zw_core::wire::client::{Answer, Operation, Ping};

/// Take a snapshot now, on the first of --servers
#[derive(Debug, Args)]
pub(super) struct Options {
    /// On every node of the ensemble
    #[arg(long)]
    all: bool,
    /// Longest wait for the snapshot
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let taken = if options.all {
        let ensemble = ensemble(context).await?;
        each(&ensemble, |_, address| take(address, options.wait)).await
    } else {
        vec![take(context.servers[0].clone(), options.wait).await]
    };
    let text = taken.iter().map(|taken| taken.text.as_str()).collect::<Vec<_>>().join("\n");
    context.print(|| Value::Array(taken.iter().map(|taken| taken.json.clone()).collect()), || text)?;
    match taken.iter().find(|taken| taken.failed) {
        None => Ok(()),
        Some(failed) => Err(CliError::Refused(failed.text.clone())),
    }
}

struct Taken {
    failed: bool,
    json: Value,
    text: String,
}

async fn take(address: String, wait: Duration) -> Taken {
    let begin = Instant::now();
    let reason = match ask(&address, Operation::Snapshot(Ping), wait).await {
        Ok(Answer::Snapshot(id)) => {
            let ms = begin.elapsed().as_millis();
            let json = json!({ "address": address, "zxid": id.zxid.0, "ms": u64::try_from(ms).unwrap_or(u64::MAX) });
            return Taken { failed: false, json, text: format!("{address}: snapshot at {} in {ms} ms", id.zxid) };
        }
        Ok(Answer::Error(error)) => error.message,
        Ok(other) => format!("it answered with kind {} to a snapshot request", other.kind()),
        Err(reason) => reason,
    };
    Taken { failed: true, json: json!({ "address": address, "reason": reason }), text: format!("{address}: {reason}") }
}
