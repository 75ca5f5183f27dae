//! What must hold for any bytes that come from a socket or a disk, one module for each reader.
//!
//! Each module has `check(bytes)`, which panics where its property does not hold. The fuzz targets call it with bytes
//! that search for new branches; `zw-core/tests/corpus.rs` calls it with the committed corpus, in every test run.

pub mod client_message;
pub mod frame;
pub mod path;
pub mod peer_message;
pub mod snapshot;
pub mod wal_recovery;

/// What must hold for any bytes.
pub type Property = fn(&[u8]);

/// The fuzz targets: the name of each, which is also that of its folder in `corpus/`, and its property.
pub const TARGETS: [(&str, Property); 6] = [
    ("client_message", client_message::check),
    ("frame", frame::check),
    ("path", path::check),
    ("peer_message", peer_message::check),
    ("snapshot", snapshot::check),
    ("wal_recovery", wal_recovery::check),
];

/// Takes the first byte; 0 when there is none left.
fn byte(bytes: &mut &[u8]) -> u8 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    *first
}

/// Takes a piece whose length the first two bytes name; shorter at the end.
fn piece<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(u16::from_be_bytes([byte(bytes), byte(bytes)]));
    let (piece, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    piece
}
