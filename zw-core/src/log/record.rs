//! The records of the log and their bytes, which are the same on disk and on the wire.
//!
//! Invariants:
//! - An [`Entry`] is encoded and checksummed once, by the leader that made it; every other node stores and forwards
//!   those bytes.
//! - A record verifies alone: its CRC covers all of it but the length and the CRC itself.
//!
//! ```text
//! offset  0        4        8      9        10         12
//!         length   crc32    kind   flags=0  reserved=0 body
//!         u32      u32      u8     u8       u16
//! ```
//!
//! All numbers are big-endian; `length` counts the whole record. Bodies: promise `epoch u32, leader u16`; entry
//! `zxid u64, time_ms u64, payload`; truncate `after u64`; snapshot `zxid u64, digest u64`.

use crate::ids::{Epoch, NodeId, Zxid};
use crate::limits::COMMAND_BYTES_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Bytes before a record's body.
pub const HEADER_BYTES: usize = 12;
const ENTRY_HEADER_BYTES: usize = HEADER_BYTES + 16;
/// Largest record.
pub const RECORD_BYTES_MAX: usize = ENTRY_HEADER_BYTES + COMMAND_BYTES_MAX;

const KIND_PROMISE: u8 = 1;
const KIND_ENTRY: u8 = 2;
const KIND_TRUNCATE: u8 = 3;
const KIND_SNAPSHOT: u8 = 4;

/// One record of the log (protocol decision 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// "I shall never again accept anything of an epoch below this one, nor of another leader in this epoch."
    Promise(Promise),
    /// A command, or an epoch's marker, at its place in the total order.
    Entry(Entry),
    /// Every entry after `after` is void.
    Truncate {
        /// The last entry that stands.
        after: Zxid,
    },
    /// A snapshot up to `zxid` is complete and durable; entries up to it may be dropped.
    Snapshot(SnapshotId),
}

/// A promise to one leader of one epoch. The default promises nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Promise {
    /// The lowest epoch that is still accepted.
    pub epoch: Epoch,
    /// The only leader accepted in it.
    pub leader: NodeId,
}

/// Names a snapshot: the state after `zxid`, and the digest that state must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SnapshotId {
    /// The last entry that the snapshot holds.
    pub zxid: Zxid,
    /// The tree's digest there.
    pub digest: u64,
}

/// A command or a marker at its zxid, in encoded form. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    zxid: Zxid,
    record: Bytes,
}

/// Why bytes are not a record.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("a record of {expected} bytes ends after {found}")]
    Short {
        /// Bytes the record claims or needs.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The length is outside what any record has.
    #[error("a record claims to have {0} bytes, outside {HEADER_BYTES} to {RECORD_BYTES_MAX}")]
    Length(usize),
    /// The bytes were changed since they were written.
    #[error("a record's checksum does not match: damaged on the way or on disk")]
    Checksum,
    /// The checksum holds but the content makes no sense: another version, or a defect of the writer.
    #[error("a record of unknown kind or form (kind {kind}, {bytes} bytes); written by another version?")]
    Form {
        /// Its kind.
        kind: u8,
        /// Its length.
        bytes: usize,
    },
}

impl Entry {
    /// Encodes the entry of `payload` at `zxid`, made at the leader's wall clock `time_ms` (milliseconds since 1970).
    ///
    /// # Panics
    /// If the payload is over [`COMMAND_BYTES_MAX`], or a marker (counter 0) has one.
    #[must_use]
    pub fn new(zxid: Zxid, time_ms: u64, payload: &[u8]) -> Entry {
        assert!(payload.len() <= COMMAND_BYTES_MAX, "a payload of {} bytes was admitted", payload.len());
        assert!(zxid.counter() > 0 || payload.is_empty(), "a marker has no payload");
        let record = encode(KIND_ENTRY, ENTRY_HEADER_BYTES - HEADER_BYTES + payload.len(), |out| {
            out.put_u64(zxid.0);
            out.put_u64(time_ms);
            out.put_slice(payload);
        });
        Entry { zxid, record }
    }

    /// The entry's place in the total order.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The leader's wall clock when it made the entry, in milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        (&self.record[HEADER_BYTES + 8..]).get_u64()
    }

    /// Whether this is an epoch's marker.
    #[must_use]
    pub fn is_marker(&self) -> bool {
        self.zxid.counter() == 0
    }

    /// The command's bytes; empty for a marker.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.record.slice(ENTRY_HEADER_BYTES..)
    }

    /// The encoded record, as it is on disk and on the wire.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        &self.record
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({}, {} bytes)", self.zxid, self.record.len())
    }
}

impl Record {
    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Record::Entry(entry) => entry.record.clone(),
            Record::Promise(promise) => encode(KIND_PROMISE, 6, |out| {
                out.put_u32(promise.epoch.0);
                out.put_u16(promise.leader.0);
            }),
            Record::Truncate { after } => encode(KIND_TRUNCATE, 8, |out| out.put_u64(after.0)),
            Record::Snapshot(snapshot) => encode(KIND_SNAPSHOT, 16, |out| {
                out.put_u64(snapshot.zxid.0);
                out.put_u64(snapshot.digest);
            }),
        }
    }

    /// Takes the first record off `bytes`, which keeps the rest. Nothing is copied.
    ///
    /// # Errors
    /// The bytes are too few, damaged, or of unknown form; `bytes` is then unchanged.
    pub fn decode(bytes: &mut Bytes) -> Result<Record, RecordError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RecordError::Short { expected: HEADER_BYTES, found: bytes.len() });
        }
        let length = (&bytes[..4]).get_u32() as usize;
        if !(HEADER_BYTES..=RECORD_BYTES_MAX).contains(&length) {
            return Err(RecordError::Length(length));
        }
        if bytes.len() < length {
            return Err(RecordError::Short { expected: length, found: bytes.len() });
        }
        if (&bytes[4..8]).get_u32() != crc32fast::hash(&bytes[8..length]) {
            return Err(RecordError::Checksum);
        }
        let record = parse(&bytes.slice(..length))?;
        bytes.advance(length);
        Ok(record)
    }
}

/// Reads the content of a record whose length and checksum hold.
fn parse(record: &Bytes) -> Result<Record, RecordError> {
    let kind = record[8];
    let wrong = Err(RecordError::Form { kind, bytes: record.len() });
    if record[9..HEADER_BYTES] != [0, 0, 0] {
        return wrong;
    }
    let mut body = &record[HEADER_BYTES..];
    match (kind, body.len()) {
        (KIND_PROMISE, 6) => {
            let promise = Promise { epoch: Epoch(body.get_u32()), leader: NodeId(body.get_u16()) };
            Ok(Record::Promise(promise))
        }
        (KIND_ENTRY, 16..) => {
            let entry = Entry { zxid: Zxid(body.get_u64()), record: record.clone() };
            if entry.is_marker() && record.len() > ENTRY_HEADER_BYTES { wrong } else { Ok(Record::Entry(entry)) }
        }
        (KIND_TRUNCATE, 8) => Ok(Record::Truncate { after: Zxid(body.get_u64()) }),
        (KIND_SNAPSHOT, 16) => Ok(Record::Snapshot(SnapshotId { zxid: Zxid(body.get_u64()), digest: body.get_u64() })),
        _ => wrong,
    }
}

fn encode(kind: u8, body_bytes: usize, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let length = HEADER_BYTES + body_bytes;
    let mut out = BytesMut::with_capacity(length);
    out.put_u32(u32::try_from(length).expect("a record is far below 4 GiB"));
    out.put_u32(0);
    out.put_slice(&[kind, 0, 0, 0]);
    body(&mut out);
    assert_eq!(out.len(), length, "a record's body has the length that was announced");
    let crc = crc32fast::hash(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Record> {
        vec![
            Record::Promise(Promise { epoch: Epoch(3), leader: NodeId(2) }),
            Record::Entry(Entry::new(Zxid::marker(Epoch(3)), 1_700_000_000_000, b"")),
            Record::Entry(Entry::new(Zxid::new(Epoch(3), 1), 1_700_000_000_001, b"payload")),
            Record::Truncate { after: Zxid::new(Epoch(2), 9) },
            Record::Snapshot(SnapshotId { zxid: Zxid::new(Epoch(3), 1), digest: 42 }),
        ]
    }

    #[test]
    fn records_read_back_in_order() {
        let mut bytes = Bytes::from(examples().iter().flat_map(|r| r.encode().to_vec()).collect::<Vec<_>>());
        let read: Vec<_> = std::iter::from_fn(|| Record::decode(&mut bytes).ok()).collect();
        assert_eq!(read, examples());
        assert!(bytes.is_empty());
    }

    #[test]
    fn an_entry_keeps_its_parts() {
        let entry = Entry::new(Zxid::new(Epoch(3), 1), 77, b"payload");
        assert_eq!((entry.zxid(), entry.time_ms()), (Zxid::new(Epoch(3), 1), 77));
        assert_eq!(entry.payload(), Bytes::from_static(b"payload"));
        assert!(!entry.is_marker());
    }

    /// Whole records with good checksums that no node writes.
    #[test]
    fn a_record_of_unknown_form_is_an_error() {
        let marker_with_payload = encode(KIND_ENTRY, 17, |out| {
            out.put_u64(Zxid::marker(Epoch(3)).0);
            out.put_slice(&[0; 9]);
        });
        for (mut bytes, kind) in [
            (encode(KIND_PROMISE, 0, |_| ()), KIND_PROMISE),
            (encode(KIND_TRUNCATE, 9, |out| out.put_slice(&[0; 9])), KIND_TRUNCATE),
            (encode(9, 8, |out| out.put_u64(1)), 9),
            (marker_with_payload, KIND_ENTRY),
        ] {
            let wrong = RecordError::Form { kind, bytes: bytes.len() };
            assert_eq!(Record::decode(&mut bytes), Err(wrong));
        }
    }

    #[test]
    fn any_changed_bit_and_any_cut_is_an_error() {
        for record in examples() {
            let good = record.encode();
            for bit in 0..good.len() * 8 {
                let mut bad = good.to_vec();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(Record::decode(&mut Bytes::from(bad)).is_err(), "bit {bit} of {record:?}");
            }
            for length in 0..good.len() {
                assert!(Record::decode(&mut good.slice(..length)).is_err());
            }
        }
    }
}
