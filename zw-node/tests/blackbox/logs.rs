//! The committed sequence, as the nodes' logs have it after a run.
//!
//! Invariants that are checked here:
//! - Each log is one that a node could start from: recovery accepts it.
//! - Up to the zxid that all nodes have applied, the logs hold the same entries, byte by byte, without a hole.
//!
//! Snapshots do not shorten what is read: a run is shorter than a segment, or takes none, so every record that was ever
//! written is still in a file. But a node that installed another's snapshot has no entries before it. So the logs are
//! looked at during the run too, up to what each node knows to be committed; that too must never change again.

use crate::verdict::{Failure, ensure, harness};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use zw_core::ids::{NodeId, Zxid};
use zw_core::log::block::{self, Kind, LogId};
use zw_core::log::record::{Entry, Record};
use zw_core::log::recover::Recovery;
use zw_sim::invariants::Violation;

/// So many zeros are the end of a segment.
const ZEROS_MAX: u64 = 256 << 10;

/// What one node's log holds: entries without a hole between them.
pub(crate) type NodeLog = Vec<Entry>;

/// Committed entries that were seen during the run, perhaps with holes between them.
pub(crate) type Archive = BTreeMap<Zxid, Entry>;

/// Reads the log in a node's directory; nobody may be writing it.
pub(crate) fn read(directory: &Path, node: NodeId) -> Result<NodeLog, Failure> {
    let (log, segments) = segments(directory).map_err(harness("a log's directory"))?;
    let mut recovery = Recovery::new(log, node);
    for (sequence, bytes) in &segments {
        recovery.segment(*sequence, bytes).map_err(|error| wrong(node, &error.to_string()))?;
    }
    let recovered = recovery.finish().map_err(|error| wrong(node, &error.to_string()))?.recovered;
    let entries = walk(log, &segments).map_err(|error| wrong(node, &error))?;
    let last = entries.last().map_or(recovered.snapshot.zxid, Entry::zxid);
    if last != recovered.last_zxid() {
        return Err(wrong(node, &format!("it ends at {last}, but is recovered up to {}", recovered.last_zxid())));
    }
    Ok(entries)
}

/// Takes what a node's log holds up to `committed`, though the node may be writing it: what is half written, or being
/// replaced, is seen another time.
pub(crate) fn glance(directory: &Path, committed: Zxid, archive: &mut Archive) -> Result<(), Violation> {
    let Ok((log, segments)) = segments(directory) else { return Ok(()) };
    let Ok(entries) = walk(log, &segments) else { return Ok(()) };
    for entry in entries.into_iter().filter(|entry| entry.zxid() <= committed) {
        let known = archive.entry(entry.zxid()).or_insert_with(|| entry.clone());
        let same = known.record() == entry.record();
        ensure!(same, "CommittedImmutable", "the committed entry {} was another before", entry.zxid());
    }
    Ok(())
}

/// The number of the log in a directory, and the written bytes of its segments.
fn segments(directory: &Path) -> io::Result<(LogId, BTreeMap<u64, Vec<u8>>)> {
    let identity = fs::read_to_string(directory.join("identity"))?;
    let log = identity.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("log ")?, 16).ok());
    let log = LogId(log.ok_or_else(|| io::Error::other(format!("no log number in {identity:?}")))?);
    let mut segments = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let sequence = name.strip_suffix(".wal").and_then(|name| u64::from_str_radix(name, 16).ok());
        if let Some(sequence) = sequence {
            segments.insert(sequence, written(&path)?);
        }
    }
    Ok((log, segments))
}

/// A segment without the zeros of what is only reserved; the clients of a run send no such long ones.
fn written(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        file.by_ref().take(ZEROS_MAX).read_to_end(&mut bytes)?;
        if bytes[before..].iter().all(|byte| *byte == 0) {
            return Ok(bytes);
        }
    }
}

fn wrong(node: NodeId, why: &str) -> Failure {
    Violation::new("LogRecovers", format!("the log of node {node}: {why}")).into()
}

/// All entries that stand at the end of the log, also those before a snapshot.
fn walk(log: LogId, segments: &BTreeMap<u64, Vec<u8>>) -> Result<NodeLog, String> {
    let mut entries: NodeLog = Vec::new();
    let mut end: Option<(u64, u32)> = None;
    for (sequence, bytes) in segments {
        let mut offset = 0;
        while let Ok(block) = block::read(log, *sequence, end.map(|(position, _)| position), &bytes[offset..]) {
            let follows = end.is_none_or(|(_, chain)| block.place.previous == chain);
            if !follows || (block.kind == Kind::Start) != (offset == 0) {
                break;
            }
            if block.kind == Kind::Records {
                let mut body = Bytes::copy_from_slice(block.body);
                while !body.is_empty() {
                    take(&mut entries, Record::decode(&mut body).map_err(|error| error.to_string())?);
                }
            }
            offset += block.bytes;
            end = Some((block.place.position + block.bytes as u64, block.crc));
        }
    }
    Ok(entries)
}

fn take(entries: &mut NodeLog, record: Record) {
    match record {
        Record::Promise(_) => {}
        Record::Entry(entry) => entries.push(entry),
        Record::Truncate { after } => entries.retain(|entry| entry.zxid() <= after),
        // One of this node's own tree changes nothing; one that was installed starts the log anew.
        Record::Snapshot(snapshot) => {
            if entries.binary_search_by_key(&snapshot.zxid, Entry::zxid).is_err() {
                entries.clear();
            }
        }
    }
}

/// The one sequence up to `last`, which every node has applied; `all` is what was seen of it during the run.
pub(crate) fn agree(logs: &[NodeLog], mut all: Archive, last: Zxid) -> Result<Vec<Entry>, Failure> {
    if let Some(lost) = all.keys().next_back().filter(|zxid| **zxid > last) {
        let text = format!("{lost} was committed, but in the end all nodes have only {last}");
        return Err(Violation::new("CommittedImmutable", text).into());
    }
    for (node, entry) in each(logs, last) {
        let known = all.entry(entry.zxid()).or_insert_with(|| entry.clone());
        same(node, entry, known)?;
    }
    // What a node has stands for everything between its first and its last entry.
    for (index, log) in logs.iter().enumerate() {
        let Some(first) = log.first() else { continue };
        let own: Vec<Zxid> = log.iter().map(Entry::zxid).take_while(|zxid| *zxid <= last).collect();
        let from = first.zxid().min(last);
        let missing = all.range(from..=last).map(|(zxid, _)| *zxid).find(|zxid| own.binary_search(zxid).is_err());
        if let Some(missing) = missing {
            let text = format!("node {} has no entry {missing}, which another has", index + 1);
            return Err(Violation::new("PrefixConsistency", text).into());
        }
    }
    let sequence: Vec<Entry> = all.into_values().collect();
    let mut before = Zxid::ZERO;
    for entry in &sequence {
        if !before.precedes(entry.zxid()) {
            let text =
                format!("no log holds what is between {before} and {}: were snapshots too frequent?", entry.zxid());
            return Err(Failure::Harness(text));
        }
        before = entry.zxid();
    }
    if before != last {
        return Err(Violation::new("AppliedIsLogged", format!("{last} is applied, the logs end at {before}")).into());
    }
    Ok(sequence)
}

fn each(logs: &[NodeLog], last: Zxid) -> impl Iterator<Item = (usize, &Entry)> {
    let numbered = logs.iter().enumerate().map(|(index, log)| (index + 1, log));
    numbered
        .flat_map(move |(node, log)| log.iter().map(move |entry| (node, entry)))
        .filter(move |(_, entry)| entry.zxid() <= last)
}

fn same(node: usize, entry: &Entry, known: &Entry) -> Result<(), Violation> {
    ensure!(
        entry.record() == known.record(),
        "PrefixConsistency",
        "node {node} has another entry at {} than the others",
        entry.zxid()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;

    fn at(epoch: u32, counter: u64) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn entry(epoch: u32, counter: u64, payload: &[u8]) -> Entry {
        Entry::new(at(epoch, counter), 0, payload)
    }

    fn log() -> NodeLog {
        vec![entry(1, 0, b""), entry(1, 1, b"a"), entry(1, 2, b"b"), entry(2, 0, b"")]
    }

    fn property(result: Result<Vec<Entry>, Failure>) -> &'static str {
        match result.unwrap_err() {
            Failure::Violation(violation) => violation.property,
            Failure::Harness(_) => "no verdict",
        }
    }

    #[test]
    fn equal_logs_are_one_sequence_whatever_comes_after_it() {
        let mut longer = log();
        longer.push(entry(2, 1, b"not applied everywhere"));
        assert_eq!(agree(&[log(), longer, log()[2..].to_vec(), Vec::new()], Archive::new(), at(2, 0)).unwrap(), log());
    }

    #[test]
    fn logs_that_differ_are_noticed() {
        let other = vec![entry(1, 0, b""), entry(1, 1, b"a"), entry(1, 2, b"other"), entry(2, 0, b"")];
        assert_eq!(property(agree(&[log(), other], Archive::new(), at(2, 0))), "PrefixConsistency");
        let shorter = vec![entry(1, 0, b""), entry(1, 1, b"a"), entry(2, 0, b"")];
        assert_eq!(property(agree(&[log(), shorter], Archive::new(), at(2, 0))), "PrefixConsistency");
        assert_eq!(property(agree(&[log()[..2].to_vec(), log()], Archive::new(), at(2, 0))), "PrefixConsistency");
        assert_eq!(property(agree(&[log(), log()], Archive::new(), at(2, 1))), "AppliedIsLogged");
    }

    #[test]
    fn what_was_committed_once_must_stay() {
        let archive = |entry: Entry| Archive::from([(entry.zxid(), entry)]);
        let suffix = || vec![log()[2..].to_vec()];
        let seen: Archive = log().into_iter().map(|entry| (entry.zxid(), entry)).collect();
        assert_eq!(agree(&suffix(), seen, at(2, 0)).unwrap(), log(), "what no log holds any more was seen before");
        assert_eq!(property(agree(&[log()], archive(entry(2, 1, b"lost")), at(2, 0))), "CommittedImmutable");
        for gone in [entry(1, 3, b"gone"), entry(1, 2, b"other")] {
            assert_eq!(property(agree(&[log(), log()], archive(gone), at(2, 0))), "PrefixConsistency");
        }
    }

    #[test]
    fn a_hole_in_all_logs_is_no_verdict() {
        assert_eq!(property(agree(&[log()[2..].to_vec()], Archive::new(), at(2, 0))), "no verdict");
    }

    #[test]
    fn records_amount_to_the_entries_that_stand() {
        let mut entries = log();
        take(&mut entries, Record::Truncate { after: at(1, 1) });
        assert_eq!(entries.len(), 2);
        let snapshot = |zxid| Record::Snapshot(zw_core::log::record::SnapshotId { zxid, digest: 0 });
        take(&mut entries, snapshot(at(1, 1)));
        assert_eq!(entries.len(), 2, "a snapshot of the own tree");
        take(&mut entries, snapshot(at(1, 9)));
        assert!(entries.is_empty(), "a snapshot that was installed");
    }
}
