//! Before and after a load run: makes the znodes, and looks for every acknowledged write.

use super::ledger::{Found, Ledger, is_lost};
use crate::cli::CliError;
use crate::cli::error::code_of;
use bytes::Bytes;
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::time::Duration;
use tokio::time::sleep;
use zw_core::client::{Client, ClientError};
use zw_core::ids::Zxid;
use zw_core::tree::command::{Acl, Command, Create, CreateMode};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Read};

/// Requests under way at once.
const IN_FLIGHT: usize = 256;
/// Pause before what was refused is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Makes the parents, and each client's first keys or its parent znode. Tries for ever what a quorum would answer;
/// `progress` counts what was answered.
pub(super) async fn prepare(
    client: &Client,
    root: &str,
    prefix: &str,
    ledgers: &[Ledger],
    size: usize,
    progress: &Cell<u64>,
) -> Result<(), CliError> {
    let mut parents = vec![root.to_owned(), prefix.to_owned()];
    let mut keys = Vec::new();
    for ledger in ledgers {
        let before = keys.len();
        keys.extend(ledger.keys().map(|key| ledger.path(key)));
        if keys.len() == before {
            parents.push(ledger.parent());
        }
    }
    for path in parents {
        create_all(client, vec![path], Vec::new(), progress).await?;
    }
    create_all(client, keys, vec![b'.'; size], progress).await
}

/// Makes the znodes. What is refused for want of a leader, or has an unknown outcome, is tried again.
async fn create_all(
    client: &Client,
    mut paths: Vec<String>,
    data: Vec<u8>,
    progress: &Cell<u64>,
) -> Result<(), CliError> {
    let data = Bytes::from(data);
    let create = |path| Create { path, data: data.clone(), acl: Acl::open(), mode: CreateMode::Persistent, ttl_ms: 0 };
    while !paths.is_empty() {
        let mut again = Vec::new();
        let operations = paths.into_iter().map(|path| (path.clone(), Operation::Write(Command::Create(create(path)))));
        pipelined(client, operations, progress, |path, answer| match answer {
            Ok(_) => Ok(()),
            // A create whose answer was lost may be done already.
            Err(error) if code_of(&error) == Some(ErrorCode::NodeExists) => Ok(()),
            Err(error) if is_passing(&error) => {
                again.push(path);
                Ok(())
            }
            Err(error) => Err(error.into()),
        })
        .await?;
        if !again.is_empty() {
            sleep(RETRY_PAUSE).await;
        }
        paths = again;
    }
    Ok(())
}

/// Whether it may be otherwise a moment later.
pub(super) fn is_passing(error: &ClientError) -> bool {
    !error.outcome_is_known()
        || matches!(error, ClientError::NotConnected { .. } | ClientError::Timeout { .. })
        || matches!(code_of(error), Some(ErrorCode::NoQuorum | ErrorCode::Overloaded))
}

/// How many acknowledged writes are not found, after a sync.
pub(super) async fn lost(client: &Client, ledgers: &[Ledger], progress: &Cell<u64>) -> Result<u64, CliError> {
    client.sync().await?;
    let mut lost = 0;
    for ledger in ledgers {
        if ledger.is_of_creates() {
            let names: BTreeSet<String> = client.children(&ledger.parent()).await?.into_iter().collect();
            progress.set(progress.get() + 1);
            lost += ledger.missing_creates(&names);
        } else {
            lost += lost_values(client, ledger, progress).await?;
        }
    }
    Ok(lost)
}

async fn lost_values(client: &Client, ledger: &Ledger, progress: &Cell<u64>) -> Result<u64, CliError> {
    let mut lost = 0;
    let reads = ledger.expected().map(|(key, acknowledged)| {
        let read = Operation::Get(Read { path: ledger.path(key), watch: false });
        ((key, acknowledged), read)
    });
    pipelined(client, reads, progress, |(key, acknowledged), answer| {
        let found = match answer {
            Ok((_, Answer::Data(data))) => ledger.found(key, &data.data),
            Ok(_) => Found::Foreign,
            Err(error) if code_of(&error) == Some(ErrorCode::NoNode) => Found::Nothing,
            Err(error) => return Err(error.into()),
        };
        lost += u64::from(is_lost(acknowledged, found));
        Ok(())
    })
    .await?;
    Ok(lost)
}

/// Sends the operations with many under way, counts what is done, and hands each answer on in order.
async fn pipelined<T>(
    client: &Client,
    operations: impl Iterator<Item = (T, Operation)>,
    progress: &Cell<u64>,
    mut take: impl FnMut(T, Result<(Zxid, Answer), ClientError>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut under_way: VecDeque<(T, _)> = VecDeque::new();
    let mut take = |tag, answer: Result<(Zxid, Answer), ClientError>| {
        progress.set(progress.get() + u64::from(answer.is_ok()));
        take(tag, answer)
    };
    for (tag, operation) in operations {
        if under_way.len() >= IN_FLIGHT {
            finish_one(&mut under_way, &mut take).await?;
        }
        under_way.push_back((tag, Box::pin(client.send(operation))));
    }
    while !under_way.is_empty() {
        finish_one(&mut under_way, &mut take).await?;
    }
    Ok(())
}

async fn finish_one<T, F>(
    under_way: &mut VecDeque<(T, F)>,
    take: &mut impl FnMut(T, Result<(Zxid, Answer), ClientError>) -> Result<(), CliError>,
) -> Result<(), CliError>
where
    F: Future<Output = Result<(Zxid, Answer), ClientError>>,
{
    match under_way.pop_front() {
        Some((tag, answer)) => take(tag, answer.await),
        None => Ok(()),
    }
}
