//! Recovery of the log over every crash that its fault model allows, and over damage that it does not.
//!
//! The model here is the plain one: a list of records of which the first so many are durable. What recovery finds must
//! be the fold of a prefix of that list, and the prefix must hold everything that is durable.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bytes::Bytes;
use proptest::prelude::*;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::log::block::{self, BlockError, LogId, Start};
use zw_core::log::outline::Outline;
use zw_core::log::record::{Entry, Promise, Record, SnapshotId};
use zw_core::log::recover::{RecoverError, RecoveredLog, Recovery};
use zw_core::log::tail::Tail;

const LOG: LogId = LogId(0x0123_4567_89ab_cdef);
const NODE: NodeId = NodeId(2);
const SECTOR_BYTES: usize = 512;

/// The segments of a log as the disk has them.
#[derive(Clone, Default)]
struct Files(Vec<(u64, Vec<u8>)>);

/// A log that is being written.
#[derive(Clone)]
struct Log {
    files: Files,
    tail: Tail,
    outline: Outline,
    segment_bytes: usize,
}

impl Files {
    fn recover(&self) -> Result<RecoveredLog, RecoverError> {
        let mut recovery = Recovery::new(LOG, NODE);
        self.0.iter().try_for_each(|(sequence, bytes)| recovery.segment(*sequence, bytes))?;
        recovery.finish()
    }

    /// The file of a segment, with room up to `length`; new ones hold `filler`, as a recycled file does.
    fn room(&mut self, sequence: u64, length: usize, filler: &[u8]) -> &mut Vec<u8> {
        if self.0.last().is_none_or(|(last, _)| *last < sequence) {
            self.0.push((sequence, filler.to_vec()));
        }
        let (_, bytes) = self.0.last_mut().unwrap();
        let length = length.max(bytes.len());
        bytes.resize(length, 0);
        bytes
    }
}

impl Log {
    fn new(segment_bytes: usize) -> Log {
        let empty = (Promise::default(), Zxid::ZERO, SnapshotId::default());
        let outline = Outline::new(1, &Start { node: NODE, promise: empty.0, last: empty.1, snapshot: empty.2 });
        let mut log = Log { files: Files::default(), tail: Tail::new(LOG, NODE), outline, segment_bytes };
        log.write(&[], &[], |_| true);
        log
    }

    /// Opens what the files hold.
    fn open(files: Files, segment_bytes: usize) -> (Log, Recovered) {
        let mut files = files;
        let found = files.recover().unwrap();
        assert_eq!(files.recover().as_ref(), Ok(&found), "recovering twice is recovering once");
        files.0.retain(|(sequence, _)| *sequence <= found.end.sequence);
        let tail = Tail::after(&found, LOG, NODE);
        (Log { files, tail, outline: found.outline, segment_bytes }, found.recovered)
    }

    /// Writes `records` as one batch. Only those sectors of the batch's last write reach the disk that `keeps` says;
    /// everything before that write was synced. True if all sectors did.
    fn write(&mut self, records: &[Record], filler: &[u8], mut keeps: impl FnMut(usize) -> bool) -> usize {
        let all: Vec<Bytes> = records.iter().map(Record::encode).collect();
        let mut done = 0;
        loop {
            let layout = self.tail.lay_out(&all[done..], self.segment_bytes as u64, &self.outline, Vec::new());
            if layout.records == 0 && done < all.len() {
                self.tail.begin_segment();
                continue;
            }
            let is_last = done + layout.records == all.len();
            let offset = usize::try_from(self.tail.offset()).unwrap();
            let room = (offset + layout.bytes.len()).max(self.segment_bytes);
            let file = self.files.room(self.tail.sequence(), room, filler);
            for (index, byte) in layout.bytes.iter().enumerate() {
                if !is_last || keeps((offset + index) / SECTOR_BYTES) {
                    file[offset + index] = *byte;
                }
            }
            if offset == 0 && self.tail.sequence() > 1 {
                self.outline.begin_segment(self.tail.sequence());
            }
            records[done..done + layout.records].iter().for_each(|record| self.outline.apply(record));
            self.tail.advance(&layout);
            if is_last {
                return done;
            }
            done += layout.records;
        }
    }
}

fn fold(records: &[Record]) -> Recovered {
    let mut recovered = Recovered::default();
    for record in records {
        let is_late = matches!(record, Record::Snapshot(snapshot) if snapshot.zxid < recovered.snapshot.zxid);
        if !is_late {
            recovered.replay(record.clone()).unwrap();
        }
    }
    recovered
}

/// Makes records that a node could write, as `choices` says.
#[derive(Clone, Default)]
struct Author {
    recovered: Recovered,
}

impl Author {
    /// Goes on from a recovered state.
    fn after(recovered: &Recovered) -> Author {
        Author { recovered: recovered.clone() }
    }

    fn next(&mut self, choice: (u8, u16)) -> Record {
        let (kind, number) = choice;
        let promise = self.recovered.promise;
        let last = self.recovered.last_zxid();
        let entries = &self.recovered.entries;
        let some_entry = || entries.get(usize::from(number) % entries.len().max(1)).map(Entry::zxid);
        let promised = Record::Promise(Promise { epoch: promise.epoch.next(), leader: NodeId(1 + number % 5) });
        let record = match kind % 16 {
            0 => promised,
            1 => Record::Truncate { after: some_entry().unwrap_or(last) },
            2 => Record::Snapshot(SnapshotId { zxid: some_entry().unwrap_or(last), digest: number.into() }),
            // Another node's state, later than all here.
            3 if last.epoch() < promise.epoch => self.snapshot(Zxid::new(promise.epoch, number.into()), number),
            // Another node's state beside a tail of a later epoch, which it replaces.
            4 if entries.first().is_some_and(|entry| entry.is_marker())
                && self.recovered.snapshot.zxid > Zxid::ZERO =>
            {
                self.snapshot(self.recovered.snapshot.zxid.successor().unwrap(), number)
            }
            // One of this node's own that was overtaken by another.
            5 if self.recovered.snapshot.zxid.counter() > 0 => {
                return Record::Snapshot(SnapshotId { zxid: Zxid(self.recovered.snapshot.zxid.0 - 1), digest: 0 });
            }
            _ if last == Zxid::ZERO && promise.epoch == Epoch(0) => promised,
            6..=7 if last.epoch() < promise.epoch => entry(Zxid::marker(promise.epoch), 0),
            _ if last == Zxid::ZERO => entry(Zxid::marker(promise.epoch), 0),
            _ => entry(last.successor().unwrap(), usize::from(number) % 300),
        };
        self.recovered.replay(record.clone()).unwrap();
        record
    }

    fn snapshot(&self, zxid: Zxid, digest: u16) -> Record {
        Record::Snapshot(SnapshotId { zxid, digest: digest.into() })
    }

    fn all(&mut self, choices: &[(u8, u16)]) -> Vec<Record> {
        choices.iter().map(|choice| self.next(*choice)).collect()
    }
}

fn entry(zxid: Zxid, payload_bytes: usize) -> Record {
    Record::Entry(Entry::new(zxid, 9, &vec![0xa5; if zxid.counter() == 0 { 0 } else { payload_bytes }]))
}

fn choices(most: usize) -> impl Strategy<Value = Vec<(u8, u16)>> {
    prop::collection::vec(any::<(u8, u16)>(), 1..most)
}

/// A log of several segments, and its records.
fn small_log() -> (Log, Vec<Record>) {
    let mut log = Log::new(700);
    let records = Author::default().all(&(0..30).map(|number| (9, number * 37)).collect::<Vec<_>>());
    for batch in records.chunks(3) {
        log.write(batch, &[], |_| true);
    }
    (log, records)
}

#[test]
fn a_crash_at_every_byte_keeps_what_is_durable() {
    let (mut log, mut records) = small_log();
    log.segment_bytes = 8_000;
    let durable = records.len();
    let stale = log.files.0[0].1.repeat(12);
    let from = usize::try_from(log.tail.offset()).unwrap();
    log.files.room(log.tail.sequence(), 8_000, &[])[from..].copy_from_slice(&stale[..8_000 - from]);
    let before = log.files.clone();
    records.extend(Author::after(&fold(&records)).all(&[(9, 1), (2, 20), (9, 200), (9, 30)]));
    log.write(&records[durable..], &[], |_| true);
    let to = usize::try_from(log.tail.offset()).unwrap();
    let whole = log.files.0.last().unwrap().1.clone();
    for length in from..=to {
        for behind in [&before.0.last().unwrap().1[length..], &vec![0; whole.len() - length][..]] {
            let mut files = before.clone();
            files.0.last_mut().unwrap().1 = [&whole[..length], behind].concat();
            let found = files.recover().unwrap().recovered;
            // The last bytes of a block may be padding that is there in any case.
            let is_whole = found == fold(&records);
            assert!(is_whole || found == fold(&records[..durable]), "at {length} of {from} to {to}");
            assert!(is_whole || length < to);
            assert!(!is_whole || length > to - 8);
        }
    }
}

#[test]
fn no_changed_bit_of_what_is_known_to_be_durable_goes_unnoticed() {
    let (mut log, records) = small_log();
    let seal = log.tail.lay_out_seal(700).unwrap();
    let offset = usize::try_from(log.tail.offset()).unwrap();
    let bytes = &mut log.files.0.last_mut().unwrap().1;
    bytes[offset..offset + seal.bytes.len()].copy_from_slice(&seal.bytes);
    assert_eq!(log.files.recover().unwrap().recovered, fold(&records));
    assert!(log.files.0.len() > 3, "several segments");
    let last = log.files.0.len() - 1;
    let mut used: Vec<usize> = Vec::new();
    for (sequence, bytes) in &log.files.0 {
        used.push(used_bytes(*sequence, bytes));
    }
    used[last] = offset;
    for (file, used) in used.into_iter().enumerate() {
        for bit in 0..used * 8 {
            let mut damaged = log.files.clone();
            damaged.0[file].1[bit / 8] ^= 1 << (bit % 8);
            let error = damaged.recover().expect_err("damage was taken for a torn write");
            let (sequence, place) = error.place().unwrap();
            assert_eq!(sequence, damaged.0[file].0, "{error}");
            assert!(place <= (bit / 8) as u64, "{error}");
        }
    }
    for missing in 0..last {
        let mut damaged = log.files.clone();
        damaged.0.remove(missing);
        let error = damaged.recover().expect_err("a segment is missing");
        if missing > 0 {
            let gap = log.files.0[missing].0;
            let named =
                matches!(error, RecoverError::Damage { sequence, why: BlockError::NoFile, .. } if sequence == gap);
            assert!(named, "{error}, but segment {gap} is missing");
        }
    }
}

/// The bytes of a segment that its blocks take.
fn used_bytes(sequence: u64, bytes: &[u8]) -> usize {
    let mut offset = 0;
    while let Ok(block) = block::read(LOG, sequence, None, &bytes[offset..]) {
        offset += block.bytes;
    }
    offset
}

#[test]
fn a_torn_write_cannot_come_back() {
    // Two writes of the same records, the first torn so that only its second block survives: what the second life
    // writes is, byte for byte, what would make that block follow again, but for the incarnation.
    let mut log = Log::new(1 << 16);
    let records = Author::default().all(&[(0, 0), (9, 0), (9, 300), (9, 300), (9, 300), (9, 300)]);
    log.write(&records[..2], &[], |_| true);
    let lost = usize::try_from(log.tail.offset()).unwrap();
    let mut first_life = log.clone();
    first_life.write(&records[2..4], &[], |_| true);
    let survivor = usize::try_from(first_life.tail.offset()).unwrap();
    first_life.write(&records[4..], &[], |_| true);
    // As if both blocks had been one write: the survivor must not vouch for the lost one.
    let mut files = log.files.clone();
    let mut survivor_bytes = first_life.files.0[0].1[survivor..].to_vec();
    survivor_bytes.truncate(used_bytes(1, &survivor_bytes));
    let honest = rewrite_durable(&survivor_bytes, lost as u64);
    files.0[0].1[survivor..survivor + honest.len()].copy_from_slice(&honest);
    let (mut second_life, recovered) = Log::open(files, 1 << 16);
    assert_eq!(recovered, fold(&records[..2]));
    second_life.write(&records[2..4], &[], |_| true);
    assert_eq!(usize::try_from(second_life.tail.offset()).unwrap(), survivor, "the survivor comes next");
    assert!(block::read(LOG, 1, None, &second_life.files.0[0].1[survivor..]).is_ok(), "and is whole");
    let (_, recovered) = Log::open(second_life.files, 1 << 16);
    assert_eq!(recovered, fold(&records[..4]));
}

/// The block with another watermark.
fn rewrite_durable(bytes: &[u8], durable: u64) -> Vec<u8> {
    let block = block::read(LOG, 1, None, bytes).unwrap();
    let mut out = Vec::new();
    block::write(&mut out, LOG, block.kind, &block::Place { durable, ..block.place }, [block.body].into_iter());
    out
}

/// The block at the start of `bytes`, of another version and with the checksum of that.
fn rewrite_version(bytes: &mut [u8]) {
    let length = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    bytes[13] = block::FORMAT_VERSION + 1;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&LOG.0.to_be_bytes());
    crc.update(&bytes[8..length.next_multiple_of(block::ALIGNMENT)]);
    bytes[4..8].copy_from_slice(&crc.finalize().to_be_bytes());
}

/// What a newer program wrote is no torn write: it would be cut off.
#[test]
fn a_segment_of_a_later_version_is_refused() {
    let (log, _) = small_log();
    for file in 0..log.files.0.len() {
        let mut files = log.files.clone();
        files.0.truncate(file + 1);
        rewrite_version(&mut files.0[file].1);
        let error = files.recover().expect_err("a start of version 2 was taken for a torn one");
        let why = BlockError::Version(block::FORMAT_VERSION + 1);
        assert_eq!(error, RecoverError::Block { sequence: files.0[file].0, offset: 0, why });
    }
}

/// A segment that stands where the log ended, but was written behind another end.
#[test]
fn a_segment_of_another_history_is_refused() {
    let history = |payload_byte: u8| {
        let mut log = Log::new(700);
        let promise = Record::Promise(Promise { epoch: Epoch(1), leader: NODE });
        log.write(&[promise, Record::Entry(Entry::new(Zxid::marker(Epoch(1)), 0, b""))], &[], |_| true);
        for counter in 1..12 {
            let payload = vec![payload_byte; 100];
            log.write(&[Record::Entry(Entry::new(Zxid::new(Epoch(1), counter), 0, &payload))], &[], |_| true);
        }
        log.files
    };
    let (mut one, other) = (history(1), history(2));
    assert!(one.0.len() > 2 && one.recover().is_ok() && other.recover().is_ok());
    one.0.truncate(1);
    one.0.push(other.0[1].clone());
    let refused = RecoverError::Block { sequence: 2, offset: 0, why: BlockError::Chain };
    assert_eq!(one.recover().map(|found| found.end), Err(refused));
}

/// A block of records whose bytes happen to be those of a start is none.
#[test]
fn a_segment_begins_with_a_start() {
    let start = Start { node: NODE, promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
    let place = block::Place { previous: 0, incarnation: 0, sequence: 1, position: 0, durable: 0 };
    for (kind, is_start) in [(block::Kind::Start, true), (block::Kind::Records, false)] {
        let mut bytes = Vec::new();
        block::write(&mut bytes, LOG, kind, &place, [&start.encode()[..]].into_iter());
        let mut recovery = Recovery::new(LOG, NODE);
        assert_eq!(recovery.segment(1, &bytes).is_ok(), is_start, "{kind:?}");
    }
}

#[test]
fn the_log_of_another_is_refused() {
    let (log, _) = small_log();
    for (id, node) in [(LogId(1), NODE), (LOG, NodeId(3))] {
        let mut recovery = Recovery::new(id, node);
        assert!(recovery.segment(1, &log.files.0[0].1).is_err());
    }
    assert_eq!(Recovery::new(LOG, NODE).finish(), Err(RecoverError::Empty));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Lives of a node that all end in a crash which loses any sectors of the last write; files are recycled.
    #[test]
    fn crashes_lose_nothing_durable_and_bring_nothing_back(
        segment_bytes in 600_usize..4_000,
        lives in prop::collection::vec((prop::collection::vec(choices(8), 1..5), any::<u64>()), 1..6),
    ) {
        let mut log = Log::new(segment_bytes);
        let mut written: Vec<Record> = Vec::new();
        let mut author = Author::default();
        for (batches, sectors) in lives {
            // What a recycled file holds: blocks of an older segment.
            let filler = log.files.0[0].1.clone();
            let mut durable = written.len();
            let crash = batches.len() - 1;
            for (index, choices) in batches.iter().enumerate() {
                let batch = author.all(choices);
                let keeps = |sector: usize| index < crash || sectors >> (sector % 64) & 1 == 1;
                let synced = log.write(&batch, &filler, keeps);
                durable = written.len() + if index < crash { batch.len() } else { synced };
                written.extend(batch);
            }
            let (reopened, recovered) = Log::open(log.files, segment_bytes);
            let kept = (durable..=written.len()).find(|count| fold(&written[..*count]) == recovered);
            prop_assert!(kept.is_some(), "not a prefix with the {} durable ones of {}", durable, written.len());
            written.truncate(kept.unwrap_or_default());
            author = Author::after(&recovered);
            log = reopened;
        }
    }

    /// What a purge leaves is enough, at every moment.
    #[test]
    fn segments_below_the_second_snapshot_are_superfluous(
        segment_bytes in 300_usize..1_000,
        choices in choices(120),
    ) {
        let mut log = Log::new(segment_bytes);
        let mut author = Author::default();
        for record in author.all(&choices) {
            log.write(&[record], &[], |_| true);
            let Some(second) = log.outline.second_snapshot() else { continue };
            let whole = log.files.recover().map(|log| log.recovered);
            for sequence in log.outline.purgeable(second) {
                log.files.0.retain(|(there, _)| *there != sequence);
                log.outline.forget(sequence);
                let less = log.files.recover();
                prop_assert_eq!(&less.map(|log| log.recovered), &whole);
            }
        }
        let whole = log.files.recover().map(|log| log.recovered);
        prop_assert_eq!(whole, Ok(fold_of(&choices)));
    }

    /// Whatever the bytes, the answer is a log or an error.
    #[test]
    fn arbitrary_bytes_never_panic(
        damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..20),
        lengths in prop::collection::vec(0_usize..800, 0..5),
    ) {
        let (log, records) = small_log();
        let mut files = log.files;
        for (index, byte) in damage {
            let file = index % files.0.len();
            let bytes = &mut files.0[file].1;
            let at = index / 7 % bytes.len();
            bytes[at] = byte;
        }
        for (length, (_, bytes)) in lengths.into_iter().zip(files.0.iter_mut().rev()) {
            bytes.truncate(length);
        }
        if let Ok(found) = files.recover() {
            prop_assert!((0..=records.len()).any(|count| fold(&records[..count]) == found.recovered));
        }
    }
}

fn fold_of(choices: &[(u8, u16)]) -> Recovered {
    fold(&Author::default().all(choices))
}
