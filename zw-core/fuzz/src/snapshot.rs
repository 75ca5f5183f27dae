//! Snapshots: any bytes are refused or a tree that writes itself the same; a changed byte is always noticed.
//!
//! Random bytes do not get past a checksum, so the bytes are also taken as the bodies of blocks, with right checksums,
//! counts and digest around them: then what is checked is the content.

use bytes::BufMut;
use zw_core::tree::Tree;
use zw_core::tree::snapshot::{Decoder, SnapshotError, encode};

/// The first byte says whether the rest is a stream or what stands in its blocks.
pub fn check(mut bytes: &[u8]) {
    match super::byte(&mut bytes) {
        0 => {
            let _ = read(bytes, 7).map(|tree| reads_back(&tree));
        }
        kind => blocks(bytes, kind),
    }
}

fn blocks(mut bytes: &[u8], kind: u8) {
    let zxid = u64::from(super::byte(&mut bytes)) << 40 | 0xffff;
    let counts = (u64::from(super::byte(&mut bytes)), u64::from(super::byte(&mut bytes)));
    let mut stream = b"ZWTREE\x00\x01".to_vec();
    stream.put_u64(zxid);
    stream.put_u64(9);
    put_checksum(&mut stream, 0);
    while !bytes.is_empty() {
        let body = super::piece(&mut bytes);
        if !body.is_empty() {
            stream.put_u32(u32::try_from(body.len()).expect("two bytes of length"));
            stream.put_u32(crc32(body));
            stream.put_slice(body);
        }
    }
    let Err(SnapshotError::Digest { found, .. }) = read(&ended(&stream, counts, 1), 64) else { return };
    let whole = ended(&stream, counts, found);
    let tree = read(&whole, 64).expect("only its digest was wrong");
    reads_back(&tree);
    // One changed byte, somewhere.
    let mut changed = whole.clone();
    let at = usize::from(kind) * 37 % changed.len();
    changed[at] ^= kind;
    assert!(read(&changed, 64).is_err(), "a changed byte at {at} was not noticed");
}

fn ended(stream: &[u8], (sessions, znodes): (u64, u64), digest: u64) -> Vec<u8> {
    let mut out = stream.to_vec();
    out.put_u32(0);
    let start = out.len();
    out.put_u64(sessions);
    out.put_u64(znodes);
    out.put_u64(digest);
    put_checksum(&mut out, start);
    out
}

fn put_checksum(out: &mut Vec<u8>, from: usize) {
    let crc = crc32(&out[from..]);
    out.put_u32(crc);
}

fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

fn read(bytes: &[u8], step: usize) -> Result<Tree, SnapshotError> {
    let mut decoder = Decoder::new();
    bytes.chunks(step).try_for_each(|chunk| decoder.push(chunk))?;
    decoder.finish()
}

fn reads_back(tree: &Tree) {
    let stream: Vec<u8> = encode(tree.clone()).flatten().collect();
    let again = read(&stream, 1_000).expect("a tree's own snapshot is read");
    assert_eq!((again.digest(), again.applied(), again.znodes()), (tree.digest(), tree.applied(), tree.znodes()));
}
