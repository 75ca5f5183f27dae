//! Recovery of the log: whatever the segments hold, it answers with a log or an error, and twice the same.
//!
//! - A log that was written as a node writes it, and then damaged at one byte, is refused or is a prefix of what was
//!   written, short of at most the last batch: nothing below it is lost in silence.
//! - Records that contradict one another, in blocks that are whole, are refused.

use bytes::Bytes;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::log::block::{self, Kind, LogId, Place, Start};
use zw_core::log::outline::Outline;
use zw_core::log::record::{Entry, Promise, Record, SnapshotId};
use zw_core::log::recover::{RecoverError, RecoveredLog, Recovery};
use zw_core::log::tail::Tail;

const LOG: LogId = LogId(7);
const NODE: NodeId = NodeId(2);
const SEGMENT_BYTES: u64 = 600;

type Segments = Vec<(u64, Vec<u8>)>;

/// The first byte says what the rest is: segments, blocks, or a node's life.
pub fn check(mut bytes: &[u8]) {
    match super::byte(&mut bytes) % 3 {
        0 => {
            let mut segments = Segments::new();
            while !bytes.is_empty() {
                segments.push((segments.len() as u64 + 1, super::piece(&mut bytes).to_vec()));
            }
            let _ = twice(&segments);
        }
        1 => {
            let _ = twice(&whole_blocks(bytes));
        }
        _ => life(bytes),
    }
}

fn recover(segments: &Segments) -> Result<RecoveredLog, RecoverError> {
    let mut recovery = Recovery::new(LOG, NODE);
    segments.iter().try_for_each(|(sequence, bytes)| recovery.segment(*sequence, bytes))?;
    recovery.finish()
}

fn twice(segments: &Segments) -> Result<RecoveredLog, RecoverError> {
    let found = recover(segments);
    assert_eq!(found, recover(segments), "recovering twice is recovering once");
    found
}

/// Blocks that are whole and in one chain; their bodies are records, or any bytes.
fn whole_blocks(mut bytes: &[u8]) -> Segments {
    let (mut out, mut previous) = (Vec::new(), 0);
    let start = Start { node: NODE, promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
    let mut put = |kind, durable: u64, body: &[u8]| {
        let position = out.len() as u64;
        let place = Place { previous, incarnation: 0, sequence: 1, position, durable: position.min(durable) };
        previous = block::write(&mut out, LOG, kind, &place, [body].into_iter());
    };
    put(Kind::Start, 0, &start.encode());
    while !bytes.is_empty() {
        let shape = super::byte(&mut bytes);
        let durable = u64::from(shape >> 2) * 64;
        match shape % 4 {
            0 => put(Kind::Records, durable, super::piece(&mut bytes)),
            1 => put(Kind::Start, durable, super::piece(&mut bytes)),
            _ => put(Kind::Records, durable, &record(&mut bytes).encode()),
        }
    }
    vec![(1, out)]
}

/// Any record at all.
fn record(bytes: &mut &[u8]) -> Record {
    let kind = super::byte(bytes);
    let epoch = Epoch(u32::from(super::byte(bytes)) % 8);
    let zxid = Zxid::new(epoch, u64::from(super::byte(bytes)) % 32);
    match kind % 8 {
        0 => Record::Promise(Promise { epoch, leader: NodeId(zxid.counter() as u16 % 5) }),
        1 => Record::Truncate { after: zxid },
        2 => Record::Snapshot(SnapshotId { zxid, digest: kind.into() }),
        _ if zxid.counter() == 0 => Record::Entry(Entry::new(zxid, 1, b"")),
        _ => Record::Entry(Entry::new(zxid, 1, &vec![kind; usize::from(kind) * 2])),
    }
}

/// The record that a node would write next; the entries it takes are those that follow.
fn fitting(recovered: &Recovered, bytes: &mut &[u8]) -> Record {
    let (wish, last) = (record(bytes), recovered.last_zxid());
    match wish {
        Record::Entry(entry) if last.epoch() < recovered.promise.epoch && entry.zxid().counter() % 2 == 0 => {
            Record::Entry(Entry::new(Zxid::marker(recovered.promise.epoch), 1, b""))
        }
        Record::Entry(entry) => {
            let next = last.successor().filter(|_| last.epoch() > Epoch(0));
            next.map_or(Record::Entry(entry.clone()), |zxid| Record::Entry(Entry::new(zxid, 1, &entry.payload())))
        }
        other => other,
    }
}

/// A log written in batches, one byte of which then changes.
fn life(mut bytes: &[u8]) {
    let (place, change) =
        (usize::from(u16::from_be_bytes([super::byte(&mut bytes), super::byte(&mut bytes)])), super::byte(&mut bytes));
    let start = Start { node: NODE, promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
    let (mut tail, mut outline) = (Tail::new(LOG, NODE), Outline::new(1, &start));
    let (mut segments, mut state) = (Segments::new(), Recovered::default());
    // The state after each record, and how many there were before the last batch.
    let (mut states, mut durable) = (vec![state.clone()], 0);
    write(&mut segments, &mut tail, &mut outline, &[]);
    while !bytes.is_empty() {
        let size = 1 + super::byte(&mut bytes) % 4;
        let mut batch = Vec::new();
        for _ in 0..size {
            let next = fitting(&state, &mut bytes);
            if state.clone().replay(next.clone()).is_ok() {
                state.replay(next.clone()).expect("it was just tried");
                states.push(state.clone());
                batch.push(next);
            }
        }
        if !batch.is_empty() {
            durable = states.len() - 1 - batch.len();
            write(&mut segments, &mut tail, &mut outline, &batch);
        }
    }
    assert_eq!(twice(&segments).expect("an undamaged log").recovered, state);
    let index = place % segments.len();
    let at = place / 7 % segments[index].1.len();
    segments[index].1[at] ^= change;
    if let Ok(found) = twice(&segments) {
        assert!(
            states[durable..].contains(&found.recovered),
            "{} was found, {durable} records were durable",
            found.recovered.last_zxid()
        );
    }
}

fn write(segments: &mut Segments, tail: &mut Tail, outline: &mut Outline, records: &[Record]) {
    let all: Vec<Bytes> = records.iter().map(Record::encode).collect();
    let mut done = 0;
    loop {
        let layout = tail.lay_out(&all[done..], SEGMENT_BYTES, outline, Vec::new());
        if layout.records == 0 && done < all.len() {
            tail.begin_segment();
            continue;
        }
        if segments.last().is_none_or(|(sequence, _)| *sequence < tail.sequence()) {
            segments.push((tail.sequence(), Vec::new()));
        }
        let (_, file) = segments.last_mut().expect("one was just there");
        if tail.offset() == 0 && tail.sequence() > 1 {
            outline.begin_segment(tail.sequence());
        }
        file.extend_from_slice(&layout.bytes);
        records[done..done + layout.records].iter().for_each(|record| outline.apply(record));
        tail.advance(&layout);
        done += layout.records;
        if done == all.len() {
            return;
        }
    }
}
