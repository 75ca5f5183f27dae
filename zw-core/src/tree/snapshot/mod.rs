//! A tree as a stream of bytes and back: the snapshot, in a file or on its way to a follower.
//!
//! Invariants:
//! - Equal trees have equal streams: records are in the order of their keys.
//! - A stream is one tree at one zxid, from a clone that stands still. Writing it takes memory for one block.
//! - A decoder accepts what the encoder made and nothing else: every length is checked before memory is taken for it,
//!   every block has a checksum, the znodes must fit together, and the digest must be that of the tree that was written.
//!   Whatever the bytes, it answers with an error and does not panic.
//!
//! ```text
//! header   "ZWTREE" version u16 | applied u64 | time_ms u64 | crc32 u32
//! block    length u32 | crc32 u32 | records                                   any number
//! end      0 u32 | sessions u64 | znodes u64 | digest u64 | crc32 u32
//!
//! session  1 u8 | id u64 | timeout_ms u32 | generation u32 | secret: length u8, bytes
//! znode    2 u8 | path: length u16, bytes | data: length u32, bytes | acl | kind u8 | owner or TTL u64
//!          | czxid mzxid pzxid ctime_ms mtime_ms created_children u64 | num_children version cversion aversion u32
//! acl      entries u8 (0: as the znode before) | each: permissions u8, scheme: length u16, bytes, id: length u16, bytes
//! ```
//!
//! All numbers are big-endian. Sessions come before znodes; both ascend, the znodes by (parent, name).

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::{Encoder, encode};

use crate::ids::Zxid;
use thiserror::Error;

const MAGIC: [u8; 6] = *b"ZWTREE";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 28;
const BLOCK_HEADER_BYTES: usize = 8;
/// What follows the length of zero.
const END_BYTES: usize = 28;

const RECORD_SESSION: u8 = 1;
const RECORD_ZNODE: u8 = 2;

const KIND_PERSISTENT: u8 = 0;
const KIND_EPHEMERAL: u8 = 1;
const KIND_CONTAINER: u8 = 2;
const KIND_TTL: u8 = 3;

/// Why bytes are not a snapshot. A node that meets this in a file of its own needs another snapshot.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// It begins differently.
    #[error("this is not a snapshot of a tree: it does not begin with ZWTREE")]
    Magic,
    /// Another version wrote it.
    #[error("a snapshot of format version {0}; this program reads version {VERSION}: use the program that wrote it")]
    Version(u16),
    /// The bytes were changed since they were written.
    #[error("a checksum of the snapshot does not match: damaged on disk or on the way; fetch or restore another")]
    Checksum,
    /// A block claims to be larger than any is.
    #[error("a block of the snapshot claims {0} bytes, more than any has; damaged, or from another program")]
    BlockLength(u32),
    /// The checksums hold but the content makes no sense.
    #[error("the snapshot is malformed: {0}")]
    Malformed(String),
    /// It stops before its end.
    #[error("the snapshot ends early, after {0} bytes; it was not written or sent to its end")]
    Truncated(u64),
    /// More bytes follow its end.
    #[error("the snapshot goes on after its end")]
    Trailing,
    /// The tree read is not the tree written.
    #[error(
        "the tree at {applied} has digest {found:016x}, the snapshot says {expected:016x}: a defect, do not use it"
    )]
    Digest {
        /// The tree's last entry.
        applied: Zxid,
        /// What the end of the snapshot says.
        expected: u64,
        /// What was read.
        found: u64,
    },
}

fn malformed(text: impl Into<String>) -> SnapshotError {
    SnapshotError::Malformed(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, SessionId};
    use crate::limits::{SNAPSHOT_CHUNK_BYTES, ZNODE_DATA_BYTES_MAX};
    use crate::tree::Tree;
    use crate::tree::command::{Acl, AttachSession, Command, Create, CreateMode, Envelope, OpenSession};
    use bytes::Bytes;

    fn run(tree: &mut Tree, session: SessionId, generation: u32, command: Command) {
        let zxid = Zxid(tree.applied().0 + 1);
        let envelope = Envelope { origin: NodeId(1), tag: 0, session, generation, command };
        assert!(tree.apply(zxid, zxid.0 * 10, &envelope).reply.is_ok());
    }

    fn create(tree: &mut Tree, path: &str, mode: CreateMode, bytes: usize) {
        let ttl_ms = if mode == CreateMode::PersistentTtl { 5 } else { 0 };
        let id = format!("user:{}", path.len() / 3);
        let acl = [Acl::open(), vec![Acl { permissions: 3, scheme: "digest".into(), id }]].concat();
        let create = Create { path: path.into(), data: vec![b'd'; bytes].into(), acl, mode, ttl_ms };
        run(tree, SessionId(1), 2, Command::Create(create));
    }

    /// A tree with some of everything.
    fn tree() -> Tree {
        let mut tree = Tree::new();
        let secret = Bytes::from_static(b"0123456789abcdef");
        run(
            &mut tree,
            SessionId::NONE,
            0,
            Command::OpenSession(OpenSession { timeout_ms: 9_000, secret: secret.clone() }),
        );
        let attach = AttachSession { session: SessionId(1), secret };
        run(&mut tree, SessionId::NONE, 0, Command::AttachSession(attach));
        for (path, mode) in [
            ("/a", CreateMode::Persistent),
            ("/a/e", CreateMode::Ephemeral),
            ("/a/n-", CreateMode::EphemeralSequential),
            ("/c", CreateMode::Container),
            ("/t", CreateMode::PersistentTtl),
            ("/a!", CreateMode::Persistent),
            ("/c/x", CreateMode::Persistent),
        ] {
            create(&mut tree, path, mode, path.len());
        }
        tree
    }

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Tree, SnapshotError> {
        let mut decoder = Decoder::new();
        pieces.into_iter().try_for_each(|piece| decoder.push(piece))?;
        decoder.finish()
    }

    fn stream(tree: &Tree) -> Vec<u8> {
        encode(tree.clone()).flatten().collect()
    }

    #[test]
    fn a_tree_reads_back_whatever_the_cuts() {
        let tree = tree();
        let bytes = stream(&tree);
        for size in [1, 2, 3, 7, 31, 32, 33, bytes.len()] {
            let read = decode(bytes.chunks(size)).unwrap();
            assert_eq!(
                (read.digest(), read.applied(), read.time_ms(), read.znodes()),
                (tree.digest(), tree.applied(), tree.time_ms(), tree.znodes())
            );
            assert_eq!(read.ephemerals(SessionId(1)), tree.ephemerals(SessionId(1)));
            assert_eq!(read.reapable(u64::MAX, 9), tree.reapable(u64::MAX, 9));
            assert_eq!(read.sessions().collect::<Vec<_>>(), tree.sessions().collect::<Vec<_>>());
            assert_eq!(stream(&read), bytes, "equal trees have equal streams");
        }
        let empty = decode([stream(&Tree::new()).as_slice()]).unwrap();
        assert_eq!(empty.digest(), Tree::new().digest());
    }

    #[test]
    fn pieces_are_bounded_even_if_a_znode_is_larger() {
        let mut tree = tree();
        create(&mut tree, "/large", CreateMode::Persistent, ZNODE_DATA_BYTES_MAX);
        (0..500).for_each(|number| create(&mut tree, &format!("/a/{number}"), CreateMode::Persistent, 3_000));
        let pieces: Vec<Bytes> = encode(tree.clone()).collect();
        assert!(pieces.len() > 10 && pieces.iter().all(|piece| (1..=SNAPSHOT_CHUNK_BYTES).contains(&piece.len())));
        assert_eq!(decode(pieces.iter().map(|piece| &**piece)).unwrap().digest(), tree.digest());
    }

    #[test]
    fn a_stream_that_was_cut_or_changed_is_refused() {
        let bytes = stream(&tree());
        for cut in 0..bytes.len() {
            assert_eq!(decode([&bytes[..cut]]).err(), Some(SnapshotError::Truncated(cut as u64)));
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(decode([changed.as_slice()]).is_err(), "a change of byte {at} went unseen");
        }
        let longer = [bytes, vec![0]].concat();
        assert_eq!(decode([longer.as_slice()]).err(), Some(SnapshotError::Trailing));
    }

    #[test]
    fn what_has_good_checksums_must_also_make_sense() {
        let tree = tree();
        let bytes = stream(&tree);
        let blocks = &bytes[HEADER_BYTES..];
        let sessions = BLOCK_HEADER_BYTES + u32::from_be_bytes(blocks[..4].try_into().unwrap()) as usize;
        let body = &blocks[sessions + BLOCK_HEADER_BYTES..blocks.len() - 4 - END_BYTES];
        // A stream with other znodes and every checksum right.
        let with = |body: &[u8], znodes: u64| {
            let mut out = bytes[..HEADER_BYTES + sessions].to_vec();
            out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&crc32fast::hash(body).to_be_bytes());
            out.extend_from_slice(body);
            let mut end = [1u64, znodes, tree.digest()].map(u64::to_be_bytes).concat();
            end.extend_from_slice(&crc32fast::hash(&end).to_be_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&end);
            match decode([out.as_slice()]) {
                Ok(_) => "fine".to_owned(),
                Err(error) => error.to_string(),
            }
        };
        let znodes = tree.znodes();
        assert_eq!(with(body, znodes), "fine");
        assert!(with(body, znodes + 1).contains("its end says"));
        let record = |path: &str| {
            let field = [&u16::try_from(path.len()).unwrap().to_be_bytes(), path.as_bytes(), &[0, 0]].concat();
            body.windows(field.len()).position(|window| window == field).unwrap() - 1
        };
        let (start, end, child, next) = (record("/a"), record("/a!"), record("/c/x"), body.len());
        assert!(with(&[&body[..start], &body[end..]].concat(), znodes - 1).contains("does not count its children"));
        assert!(with(&[&body[..child], &body[next..]].concat(), znodes - 1).contains("children that are not there"));
        assert!(with(&[&body[..end], &body[start..]].concat(), znodes + 1).contains("out of place"));
        assert!(with(&body[start..], znodes - 1).contains("\"/a\" is out of place"));
        assert!(with(&body[..next - 1], znodes).contains("outside its block"));
        assert!(with(&[body, &[9]].concat(), znodes).contains("unknown kind"));
        let mut data = body.to_vec();
        data[start + 9] ^= 1;
        assert!(with(&data, znodes).contains("digest"), "a changed byte of data");
    }
}
