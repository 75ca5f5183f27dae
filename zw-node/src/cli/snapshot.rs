//! `zw snapshot`: lets a node, or all of them one after the other, write a snapshot now.

use super::cluster::{ask, ensemble};
use super::{CliError, Context};
use crate::command_line::timeout;
use clap::Args;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use zw_core::wire::client::{Answer, Operation, Ping};

/// Take a snapshot now, on the first of --servers
#[derive(Debug, Args)]
pub(super) struct Options {
    /// On every node of the ensemble, one after the other: a quorum has its disks to itself meanwhile
    #[arg(long)]
    all: bool,
    /// Longest wait for the snapshot
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = timeout)]
    wait: Duration,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let taken = if options.all {
        let ensemble = ensemble(context).await?;
        let mut taken = Vec::new();
        for address in ensemble.ids().filter_map(|id| ensemble.address(id)) {
            taken.push(take(address.to_string(), options.wait).await);
        }
        taken
    } else {
        vec![take(context.servers[0].clone(), options.wait).await]
    };
    let done: Vec<&str> = taken.iter().filter(|taken| !taken.failed).map(|taken| taken.text.as_str()).collect();
    let failed: Vec<&str> = taken.iter().filter(|taken| taken.failed).map(|taken| taken.text.as_str()).collect();
    if context.json || !done.is_empty() {
        let json = || Value::Array(taken.iter().map(|taken| taken.json.clone()).collect());
        context.print(json, || done.join("\n"))?;
    }
    match failed.as_slice() {
        [] => Ok(()),
        [only] if !taken[0].reached && !options.all => Err(CliError::NoServer(vec![(*only).to_owned()])),
        _ => Err(CliError::Refused(format!("no snapshot of {}", failed.join("; ")))),
    }
}

struct Taken {
    failed: bool,
    reached: bool,
    json: Value,
    text: String,
}

async fn take(address: String, wait: Duration) -> Taken {
    let begin = Instant::now();
    let (reached, reason) = match ask(&address, Operation::Snapshot(Ping), wait).await {
        Ok(Answer::Snapshot(id)) => {
            let ms = begin.elapsed().as_millis();
            let json = json!({ "address": address, "zxid": id.zxid.0, "ms": u64::try_from(ms).unwrap_or(u64::MAX) });
            let text = format!("{address}: snapshot at {} in {ms} ms", id.zxid);
            return Taken { failed: false, reached: true, json, text };
        }
        Ok(Answer::Error(error)) => (true, error.message),
        Ok(other) => (true, format!("it answered with kind {} to a snapshot request", other.kind())),
        Err(reason) => (false, reason),
    };
    let json = json!({ "address": address, "reason": reason });
    Taken { failed: true, reached, json, text: format!("{address}: {reason}") }
}
