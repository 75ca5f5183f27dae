//! CommittedImmutable (openraft; I8): no committed entry leaves a log, unless a snapshot that holds it takes its place.

use super::agreement::Agreement;
use super::{Verdict, ensure, holds};
use zw_core::ids::Zxid;
use zw_core::log::Recovered;
use zw_core::log::record::Entry;

/// Checks what a truncation or a snapshot did to a log.
///
/// # Errors
/// A committed entry is gone.
pub fn check(node: usize, before: &[Entry], after: &Recovered, agreement: &Agreement) -> Verdict {
    let gone = before.iter().find(|entry| !holds(after, entry.zxid()) && agreement.get(entry.zxid()) == Some(entry));
    ensure!(
        gone.is_none(),
        "CommittedImmutable",
        "node {} drops {gone:?}, which is committed; its log now ends at {}",
        node + 1,
        after.last_zxid()
    );
    Ok(())
}

/// Checks that a truncation stays above what the node itself knows to be committed (I8).
///
/// # Errors
/// It does not.
pub fn truncates(node: usize, after: Zxid, own_commit: Zxid) -> Verdict {
    ensure!(
        after >= own_commit,
        "NoTruncationBelowCommit",
        "node {} truncates after {after}, its own commit is {own_commit}",
        node + 1
    );
    Ok(())
}
