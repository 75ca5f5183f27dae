//! One node's disk: the log as a stream of records on its way through bytes, and snapshot files.
//!
//! Fault model: what was handed over is not durable until the write in progress ends. At a power loss everything that
//! waited behind that write is gone, and of the write itself there is what [`LogFile`] leaves. Durable bytes stay as
//! they are, unless they rot (see `rot`). A write or a sync may fail: then the process must end, and of what was being
//! written there is anything, as after a power loss. A snapshot file is there as a whole or not at all (temporary name,
//! fsync, rename, fsync of the directory, and only then the log's record), and may be there without that record.
//!
//! The truth that the invariants look at is [`Disk::durable`]: never what the node believes, and checked against what
//! the product's recovery makes of the bytes.

use crate::clock::{MILLISECOND, Micros};
use crate::logfile::LogFile;
use crate::prng::Prng;
use crate::rot::{Rot, is_rotten_snapshot_refused};
use crate::sabotage::Sabotage;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zw_core::ids::{NodeId, Ticket, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Promise, Record, SnapshotId};
use zw_core::tree::Tree;

/// How disks behave in this world.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Least time of a write with its fsync.
    pub latency_min: Micros,
    /// Mean of what comes on top.
    pub latency_mean: Micros,
    /// Mean time to write a snapshot.
    pub snapshot_mean: Micros,
    /// Of a thousand writes, how many take up to a second.
    pub slow_per_mille: u64,
    /// Size of a segment of the log.
    pub segment_bytes: u64,
}

/// See the top of this file.
pub struct Disk {
    options: DiskOptions,
    prng: Prng,
    file: LogFile,
    durable: Recovered,
    appended: Recovered,
    waiting: VecDeque<(Ticket, Vec<Record>)>,
    writing: Vec<(Ticket, Vec<Record>)>,
    snapshots: BTreeMap<Zxid, (SnapshotId, Tree)>,
    /// Snapshots whose files have rotten.
    rotten: BTreeSet<Zxid>,
    /// Snapshots whose names are not durable: the directory was not synced.
    unnamed: BTreeSet<Zxid>,
    /// Why no process can start from this disk any more.
    refusal: Option<String>,
    fails_log: bool,
    fails_snapshot: bool,
    stalled_until: Micros,
    sabotage: Option<Sabotage>,
}

/// What a power loss has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Of the write in progress nothing or everything.
    Whole,
    /// A part of it.
    Torn,
    /// Nothing that a process could start from: the log is damaged, and that was noticed.
    Refused,
    /// A log that ends too early: its last write is damaged, which looks like a torn tail.
    LooksTorn,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(node: NodeId, options: DiskOptions, mut prng: Prng, sabotage: Option<Sabotage>) -> Disk {
        Disk {
            file: LogFile::new(node, prng.draw(), options.segment_bytes),
            options,
            prng,
            durable: Recovered::default(),
            appended: Recovered::default(),
            waiting: VecDeque::new(),
            writing: Vec::new(),
            snapshots: BTreeMap::new(),
            rotten: BTreeSet::new(),
            unnamed: BTreeSet::new(),
            refusal: None,
            fails_log: false,
            fails_snapshot: false,
            stalled_until: 0,
            sabotage,
        }
    }

    /// What would be recovered after a power loss now, at least.
    #[must_use]
    pub fn durable(&self) -> &Recovered {
        &self.durable
    }

    /// What would be recovered if everything handed over reached the disk.
    #[must_use]
    pub fn appended(&self) -> &Recovered {
        &self.appended
    }

    /// Notes a record that is about to be handed over.
    ///
    /// # Errors
    /// It cannot follow what was handed over before: a hole, a broken promise, a truncation out of range.
    pub fn expect(&mut self, record: &Record) -> Result<(), String> {
        self.appended.replay(record.clone()).map_err(|error| format!("{error} (writing {record:?})"))
    }

    /// Takes over records that were all expected.
    pub fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        let records = self.altered(records);
        self.waiting.push_back((ticket, records));
    }

    fn altered(&self, mut records: Vec<Record>) -> Vec<Record> {
        match self.sabotage {
            Some(Sabotage::SkipPromise) => records.retain(|record| !matches!(record, Record::Promise(_))),
            Some(Sabotage::DropTruncate) => records.retain(|record| !matches!(record, Record::Truncate { .. })),
            Some(Sabotage::SwapRecords) if records.len() > 1 => {
                let last = records.len() - 1;
                records.swap(last - 1, last);
            }
            _ => {}
        }
        records
    }

    /// Starts the next write if none is in progress; answers how long it takes.
    pub fn start_write(&mut self, now: Micros) -> Option<Micros> {
        if !self.writing.is_empty() || self.waiting.is_empty() {
            return None;
        }
        self.writing = self.waiting.drain(..).collect();
        let mut takes = self.options.latency_min + self.prng.exponential(self.options.latency_mean);
        if self.prng.chance(self.options.slow_per_mille) {
            takes += self.prng.between(10, 1_000) * MILLISECOND;
        }
        Some(takes + self.stalled_until.saturating_sub(now))
    }

    /// The last ticket that is not durable.
    #[must_use]
    pub fn last_ticket(&self) -> Option<Ticket> {
        self.waiting.back().or(self.writing.last()).map(|(ticket, _)| *ticket)
    }

    /// The write in progress is durable; answers its last ticket.
    ///
    /// # Errors
    /// The records do not fit what is durable.
    pub fn finish_write(&mut self) -> Result<Ticket, String> {
        let written = std::mem::take(&mut self.writing);
        let ticket = written.last().map(|(ticket, _)| *ticket).expect("a write that ends was started");
        let records: Vec<Record> = written.into_iter().flat_map(|(_, records)| records).collect();
        if std::mem::take(&mut self.fails_log) && self.sabotage == Some(Sabotage::IgnoreDiskError) {
            return Ok(ticket);
        }
        self.file.write(&records);
        records.into_iter().try_for_each(|record| self.keep(record))?;
        Ok(ticket)
    }

    fn keep(&mut self, record: Record) -> Result<(), String> {
        let purges = matches!(record, Record::Snapshot(_));
        let tolerated = self.sabotage.is_some_and(Sabotage::damages_log);
        match self.durable.replay(record) {
            Err(error) if !tolerated => return Err(error.to_string()),
            // The real log would find the damage at the next start only; the sabotaged disk goes on likewise.
            _ => {}
        }
        if purges {
            // The newest two stay, as on a real disk, and whatever is newer than the log knows.
            let named = self.durable.snapshot.zxid;
            let before = self.snapshots.range(..named).next_back().map_or(named, |(zxid, _)| *zxid);
            self.snapshots.retain(|zxid, _| *zxid >= before);
            self.rotten.retain(|zxid| *zxid >= before);
        }
        Ok(())
    }

    /// How long a snapshot takes to become durable.
    pub fn snapshot_time(&mut self, now: Micros) -> Micros {
        1 + self.prng.exponential(self.options.snapshot_mean) + self.stalled_until.saturating_sub(now)
    }

    /// A snapshot file is complete and durable.
    pub fn keep_snapshot(&mut self, snapshot: SnapshotId, tree: Tree) {
        if self.sabotage == Some(Sabotage::LoseDirectoryFsync) {
            self.unnamed.insert(snapshot.zxid);
        }
        self.rotten.remove(&snapshot.zxid);
        self.snapshots.insert(snapshot.zxid, (snapshot, tree));
    }

    /// A snapshot file is deleted, unless the log names it.
    pub fn discard_snapshot(&mut self, snapshot: SnapshotId) {
        if self.appended.snapshot != snapshot && self.durable.snapshot != snapshot {
            self.snapshots.remove(&snapshot.zxid);
            self.rotten.remove(&snapshot.zxid);
        }
    }

    /// The tree of a snapshot file.
    #[must_use]
    pub fn snapshot(&self, snapshot: SnapshotId) -> Option<Tree> {
        if snapshot == SnapshotId::default() {
            return Some(Tree::new());
        }
        self.snapshots.get(&snapshot.zxid).filter(|(id, _)| *id == snapshot).map(|(_, tree)| tree.clone())
    }

    /// The oldest snapshot file that is there, with its tree.
    #[must_use]
    pub fn oldest_snapshot(&self) -> Option<(SnapshotId, Tree)> {
        self.snapshots.first_key_value().map(|(_, (id, tree))| (*id, tree.clone()))
    }

    /// The disk takes no write to its end before `until`.
    pub fn stall(&mut self, until: Micros) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// Power is lost; answers what is left.
    ///
    /// # Errors
    /// What is read back is not what is durable and a prefix of the write in progress; or damage is not noticed.
    pub fn lose_power(&mut self) -> Result<Loss, String> {
        self.waiting.clear();
        self.stalled_until = 0;
        (self.fails_log, self.fails_snapshot) = (false, false);
        let written: Vec<Record> = std::mem::take(&mut self.writing).into_iter().flat_map(|(_, r)| r).collect();
        self.file.lose_power(&written, &mut self.prng);
        self.lose_names();
        if let Some(loss) = self.notice_damage()? {
            return Ok(loss);
        }
        let found = self.recover_log()?;
        let mut survived = 0;
        if self.sabotage.is_some_and(Sabotage::damages_log) {
            self.durable = found;
        } else {
            survived = self.prefix_found(&found, &written)?;
            written[..survived].iter().try_for_each(|record| self.keep(record.clone()))?;
        }
        match self.sabotage {
            Some(Sabotage::ForgetRecord) => drop(self.durable.entries.pop()),
            Some(Sabotage::LoseSnapshotFile) => drop(self.snapshots.pop_last()),
            Some(Sabotage::ForgetPromise) if self.durable.promise.epoch > self.durable.last_zxid().epoch() => {
                self.durable.promise = Promise { epoch: self.durable.last_zxid().epoch(), leader: NodeId(0) };
            }
            _ => {}
        }
        self.appended = self.durable.clone();
        Ok(if 0 < survived && survived < written.len() { Loss::Torn } else { Loss::Whole })
    }

    /// Reads the log back, and once more after a recovery that was itself cut short.
    fn recover_log(&mut self) -> Result<Recovered, String> {
        let mut interrupted = self.file.clone();
        let found = self.file.recover()?;
        interrupted.interrupt_recovery(&mut self.prng);
        let again = interrupted.recover()?;
        if again == found {
            return Ok(found);
        }
        let (found, again) = (found.last_zxid(), again.last_zxid());
        Err(format!("recovery found a log up to {found}, and after a crash in its middle one up to {again}"))
    }

    /// What damage does to a start; nothing if there is none.
    fn notice_damage(&mut self) -> Result<Option<Loss>, String> {
        let Some(damage) = self.file.damage().cloned() else { return Ok(None) };
        let found = match self.file.clone().recover() {
            Err(_) if self.sabotage == Some(Sabotage::CutDamage) => {
                self.file.cut_at_damage();
                return Ok(None);
            }
            Err(refusal) => {
                self.refusal = Some(refusal);
                return Ok(Some(Loss::Refused));
            }
            Ok(found) => found,
        };
        if self.file.is_last_write_damaged() {
            self.refusal = Some("the last write is damaged".to_owned());
            return Ok(Some(Loss::LooksTorn));
        }
        Err(format!("the damage {damage:?} is not noticed; the log found ends at {}", found.last_zxid()))
    }

    /// Names in a directory that was not synced may be gone: what a correct order makes impossible.
    fn lose_names(&mut self) {
        if self.sabotage != Some(Sabotage::LoseDirectoryFsync) {
            return;
        }
        for zxid in std::mem::take(&mut self.unnamed) {
            if self.prng.chance(300) {
                self.snapshots.remove(&zxid);
            }
        }
        if self.prng.chance(300) {
            self.file.lose_newest_segment();
        }
    }

    /// Damages the log; answers whether anything changed.
    pub(crate) fn rot_log(&mut self, rot: Rot) -> bool {
        self.refusal.is_none() && self.file.rot(rot, &mut self.prng)
    }

    /// Damages the file of the snapshot that the log builds on, if there is one.
    pub(crate) fn rot_snapshot(&mut self) -> bool {
        let named = self.durable.snapshot.zxid;
        self.snapshots.contains_key(&named) && self.rotten.insert(named)
    }

    /// The next write fails: of the log, or of a snapshot file.
    pub(crate) fn fail_next(&mut self, of_log: bool) {
        *(if of_log { &mut self.fails_log } else { &mut self.fails_snapshot }) = true;
    }

    /// Whether the write that ends now has failed.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        self.fails_log && self.sabotage != Some(Sabotage::IgnoreDiskError)
    }

    /// Whether the snapshot file that ends now has failed.
    pub(crate) fn has_snapshot_failed(&mut self) -> bool {
        std::mem::take(&mut self.fails_snapshot)
    }

    /// Whether anything durable is damaged, noticed or not.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.refusal.is_some() || self.file.damage().is_some() || !self.rotten.is_empty()
    }

    /// Why no process can start from this disk.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// A process that starts reads the snapshot that the log builds on; if that is rotten, it must not start.
    ///
    /// # Errors
    /// The rotten file is taken for whole.
    pub(crate) fn read_snapshot(&mut self) -> Result<(), String> {
        let Some((id, tree)) = self.snapshots.get(&self.durable.snapshot.zxid) else { return Ok(()) };
        if !self.rotten.contains(&id.zxid) {
            return Ok(());
        }
        if !is_rotten_snapshot_refused(tree.clone(), &mut self.prng) {
            return Err(format!("a changed bit in the file of {id:?} is not noticed"));
        }
        self.refusal = Some(format!("the snapshot {} is damaged", id.zxid));
        Ok(())
    }

    /// How many of the records that were being written are in what was read back.
    fn prefix_found(&self, found: &Recovered, written: &[Record]) -> Result<usize, String> {
        let mut expected = self.durable.clone();
        for survived in 0..=written.len() {
            if expected == *found {
                return Ok(survived);
            }
            if let Some(record) = written.get(survived) {
                expected.replay(record.clone()).map_err(|error| error.to_string())?;
            }
        }
        let (durable, last) = (self.durable.last_zxid(), found.last_zxid());
        Err(format!(
            "recovery found a log up to {last}; durable was {durable} and {} records on the way",
            written.len()
        ))
    }

    /// Checks that the bytes lead to what is durable, and that reading them twice makes no difference.
    ///
    /// # Errors
    /// They do not.
    pub fn check_recovery(&self) -> Result<(), String> {
        let mut file = self.file.clone();
        for time in ["the first", "the second"] {
            let found = file.recover()?;
            if found != self.durable {
                return Err(format!("{time} recovery finds {}, not {}", found.last_zxid(), self.durable.last_zxid()));
            }
        }
        Ok(())
    }

    /// Makes writes fast again for the liveness phase.
    pub fn calm(&mut self) {
        self.options.latency_mean = self.options.latency_mean.min(2 * MILLISECOND);
        self.options.latency_min = self.options.latency_min.min(2 * MILLISECOND);
        self.options.slow_per_mille = 0;
        self.stalled_until = 0;
        (self.fails_log, self.fails_snapshot) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;
    use zw_core::log::record::Entry;

    fn records(count: u64) -> Vec<Record> {
        let promise = Record::Promise(Promise { epoch: Epoch(1), leader: NodeId(1) });
        let entry = |counter| {
            let payload = if counter == 0 { Vec::new() } else { vec![7; 300] };
            Record::Entry(Entry::new(Zxid::new(Epoch(1), counter), 0, &payload))
        };
        std::iter::once(promise).chain((0..count).map(entry)).collect()
    }

    fn disk(seed: u64) -> Disk {
        let options =
            DiskOptions { latency_min: 1, latency_mean: 1, snapshot_mean: 1, slow_per_mille: 0, segment_bytes: 1_000 };
        Disk::new(NodeId(1), options, Prng::new(seed), None)
    }

    #[test]
    fn a_power_loss_keeps_what_is_durable_and_a_prefix_of_the_rest() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut disk = disk(seed);
            let all = records(12);
            disk.append(Ticket(1), all[..4].to_vec());
            disk.start_write(0).unwrap();
            assert_eq!(disk.finish_write(), Ok(Ticket(1)));
            disk.append(Ticket(2), all[4..10].to_vec());
            disk.start_write(0).unwrap();
            disk.append(Ticket(3), all[10..].to_vec());
            disk.lose_power().unwrap();
            assert!((3..=9).contains(&disk.durable().entries.len()), "ticket 3 never reached the disk");
            lengths.insert(disk.durable().entries.len());
        }
        assert!(lengths.len() > 3, "many lengths occur: {lengths:?}");
    }

    #[test]
    fn a_hole_is_refused_at_once() {
        let mut disk = disk(1);
        let all = records(3);
        assert!(disk.expect(&all[0]).is_ok() && disk.expect(&all[1]).is_ok());
        assert!(disk.expect(&all[3]).is_err());
    }
}
