//! Snapshots at their bounds: written here byte by byte, each wrong in one way while its checksums and its digest are
//! right. What the encoder writes is never so; what a defect or someone else wrote may be.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use zw_core::ids::{NodeId, SessionId, Zxid};
use zw_core::limits::{
    ACL_ENTRIES_MAX, ACL_ENTRY_BYTES_MAX, PATH_BYTES_MAX, SESSION_SECRET_BYTES_MAX, SESSIONS_MAX,
    SNAPSHOT_BLOCK_BYTES_MAX, SNAPSHOT_CHUNK_BYTES, ZNODE_DATA_BYTES_MAX,
};
use zw_core::tree::Tree;
use zw_core::tree::command::{Acl, Command, Create, CreateMode, Envelope};
use zw_core::tree::snapshot::{Decoder, SnapshotError, encode};

const HEADER_BYTES: usize = 28;
const BLOCK_HEADER_BYTES: usize = 8;
const END_BYTES: usize = 32;
const EPHEMERAL: u8 = 1;

/// The last entry of the snapshots written here, unless a story needs another.
const APPLIED: u64 = 10;

type Record = Vec<u8>;

fn session(id: u64, secret_bytes: usize) -> Record {
    let mut out = vec![1];
    out.extend(id.to_be_bytes());
    out.extend(5_000u32.to_be_bytes());
    out.extend(1u32.to_be_bytes());
    out.push(u8::try_from(secret_bytes).unwrap());
    out.extend(vec![7; secret_bytes]);
    out
}

/// A znode as it is to be written.
struct Znode {
    path: String,
    data_bytes: usize,
    acl_entries: u8,
    kind: u8,
    owner: u64,
    /// czxid, mzxid and pzxid.
    zxids: [u64; 3],
    created: u64,
    children: u32,
}

fn znode(path: &str, children: u32) -> Znode {
    Znode {
        path: path.to_owned(),
        data_bytes: 0,
        acl_entries: 1,
        kind: 0,
        owner: 0,
        zxids: [1; 3],
        created: u64::from(children),
        children,
    }
}

impl Znode {
    fn record(&self) -> Record {
        let mut out = vec![2];
        let short = |out: &mut Record, text: &str| {
            out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            out.extend(text.as_bytes());
        };
        short(&mut out, &self.path);
        out.extend(u32::try_from(self.data_bytes).unwrap().to_be_bytes());
        out.extend(vec![b'd'; self.data_bytes]);
        out.push(self.acl_entries);
        for number in 0..self.acl_entries {
            out.push(31);
            short(&mut out, "digest");
            short(&mut out, &number.to_string());
        }
        out.push(self.kind);
        let times = [0, 0];
        for number in [self.owner].into_iter().chain(self.zxids).chain(times).chain([self.created]) {
            out.extend(number.to_be_bytes());
        }
        out.extend(self.children.to_be_bytes());
        out.extend([0; 12]);
        out
    }
}

fn header(applied: u64) -> Vec<u8> {
    let mut out = b"ZWTREE".to_vec();
    out.extend(1u16.to_be_bytes());
    out.extend([applied, 0].map(u64::to_be_bytes).concat());
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

fn stream(applied: u64, blocks: &[Vec<Record>], digest: u64) -> Vec<u8> {
    let mut out = header(applied);
    for block in blocks {
        let body = block.concat();
        out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        out.extend(crc32fast::hash(&body).to_be_bytes());
        out.extend(body);
    }
    let count = |kind| blocks.iter().flatten().filter(|record| record[0] == kind).count() as u64;
    let end = [count(1), count(2), digest].map(u64::to_be_bytes).concat();
    out.extend([0; 4]);
    out.extend(&end);
    out.extend(crc32fast::hash(&end).to_be_bytes());
    out
}

fn decode(stream: &[u8]) -> Result<Tree, SnapshotError> {
    let mut decoder = Decoder::new();
    decoder.push(stream)?;
    decoder.finish()
}

/// Reads blocks with the digest that the decoder itself finds: so nothing but the records can be what it refuses.
fn read_blocks(applied: u64, blocks: &[Vec<Record>]) -> Result<Tree, SnapshotError> {
    match decode(&stream(applied, blocks, 0)) {
        Err(SnapshotError::Digest { found, .. }) => decode(&stream(applied, blocks, found)),
        other => other,
    }
}

fn read(records: Vec<Record>) -> Result<Tree, SnapshotError> {
    read_blocks(APPLIED, &[records])
}

fn refuse(records: Vec<Record>, reason: &str) {
    match read(records) {
        Err(SnapshotError::Malformed(text)) => assert!(text.contains(reason), "{reason}: {text}"),
        other => panic!("{reason}: {other:?}"),
    }
}

/// The lengths of a stream's blocks.
fn blocks_of(stream: &[u8]) -> Vec<usize> {
    let (mut lengths, mut rest) = (Vec::new(), &stream[HEADER_BYTES..]);
    while rest.len() > END_BYTES {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        lengths.push(length);
        rest = &rest[BLOCK_HEADER_BYTES + length..];
    }
    lengths
}

fn encoded(tree: &Tree) -> Vec<u8> {
    encode(tree.clone()).flatten().collect()
}

fn create(tree: &mut Tree, path: &str, acl: Vec<Acl>, data_bytes: usize) {
    let data = Bytes::from(vec![b'd'; data_bytes]);
    let create = Create { path: path.to_owned(), data, acl, mode: CreateMode::Persistent, ttl_ms: 0 };
    let command = Command::Create(create);
    let envelope = Envelope { origin: NodeId(1), tag: 0, session: SessionId::NONE, generation: 0, command };
    let zxid = Zxid(tree.applied().0 + 1);
    assert!(tree.apply(zxid, 0, &envelope).reply.is_ok(), "{path:.20}");
}

#[test]
fn parents_count_their_children_and_are_not_ephemeral() {
    let whole = |a: u32, b: u32| {
        let most = |path, children| Znode { created: 9, ..znode(path, children) }.record();
        let leaves = ["/a/x", "/b/x", "/b/y"].map(|path| znode(path, 0).record());
        [vec![znode("/", 2).record(), most("/a", a), most("/b", b)], leaves.to_vec()].concat()
    };
    assert_eq!(read(whole(1, 2)).unwrap().znodes(), 6);
    // All counts together are right each time.
    refuse(whole(2, 1), "does not count its children");
    refuse(whole(0, 3), "does not count its children");

    let family = |kind, owner| {
        let parent = Znode { kind, owner, ..znode("/e", 1) };
        vec![session(5, 8), znode("/", 1).record(), parent.record(), znode("/e/x", 0).record()]
    };
    assert!(read(family(0, 0)).is_ok());
    refuse(family(EPHEMERAL, 5), "the parent of \"/e/x\"");
}

#[test]
fn sessions_ascend_are_not_of_the_future_and_come_first() {
    let root = || znode("/", 0).record();
    let tree = read(vec![session(5, 8), session(APPLIED, 8), root()]).unwrap();
    assert!(tree.sessions().map(|(id, _)| id.0).eq([5, APPLIED]));
    refuse(vec![session(5, 8), session(5, 9), root()], "is out of place");
    refuse(vec![session(5, 8), session(4, 8), root()], "is out of place");
    refuse(vec![session(0, 8), root()], "is out of place");
    refuse(vec![session(APPLIED + 1, 8), root()], "is out of place");
    refuse(vec![session(5, 8), root(), session(6, 8)], "is out of place");
}

#[test]
fn the_secret_of_a_session_has_its_bounds() {
    for (secret_bytes, allowed) in
        [(0, false), (1, true), (SESSION_SECRET_BYTES_MAX, true), (SESSION_SECRET_BYTES_MAX + 1, false)]
    {
        let records = vec![session(5, secret_bytes), znode("/", 0).record()];
        if allowed {
            assert!(read(records).is_ok(), "{secret_bytes} bytes");
        } else {
            refuse(records, "is outside the limits");
        }
    }
}

#[test]
fn there_are_only_so_many_sessions() {
    let full = |count: usize| {
        let ids: Vec<u64> = (1..=count as u64).collect();
        let mut blocks: Vec<Vec<Record>> =
            ids.chunks(1_000).map(|ids| ids.iter().map(|id| session(*id, 1)).collect()).collect();
        blocks.push(vec![znode("/", 0).record()]);
        read_blocks(count as u64, &blocks)
    };
    let tree = full(SESSIONS_MAX).unwrap();
    assert!(matches!(full(SESSIONS_MAX + 1), Err(SnapshotError::Malformed(text)) if text.contains("limits")));

    // Written again, they fill their blocks as znodes do: each ends with the record that makes it half a chunk.
    let blocks = blocks_of(&encoded(&tree));
    let (root, sessions) = blocks.split_last().unwrap();
    let (_, filled) = sessions.split_last().unwrap();
    let (half, record) = (SNAPSHOT_CHUNK_BYTES / 2, session(1, 1).len());
    assert_eq!((sessions.iter().sum(), *root), (SESSIONS_MAX * record, znode("/", 0).record().len()));
    assert!(!filled.is_empty() && filled.iter().all(|length| (half..half + record).contains(length)), "{filled:?}");
}

#[test]
fn what_a_stat_says_is_possible() {
    let with = |zxids, created| {
        vec![znode("/", 1).record(), Znode { zxids, created, ..znode("/a", 1) }.record(), znode("/a/x", 0).record()]
    };
    assert!(read(with([APPLIED; 3], 1)).is_ok());
    for at in 0..3 {
        let mut zxids = [1; 3];
        zxids[at] = APPLIED + 1;
        refuse(with(zxids, 1), "the Stat of \"/a\" is impossible");
    }
    refuse(with([1; 3], 0), "the Stat of \"/a\" is impossible");
}

#[test]
fn access_control_lists_are_bounded() {
    let with = |acl_entries| vec![Znode { acl_entries, ..znode("/", 0) }.record()];
    let most = u8::try_from(ACL_ENTRIES_MAX).unwrap();
    assert_eq!(read(with(most)).unwrap().acl("/").unwrap().0.len(), ACL_ENTRIES_MAX);
    refuse(with(most + 1), "an access control list of 65 entries");
    refuse(with(0), "the first znode has no access control list");
}

#[test]
fn a_block_is_as_large_as_its_limit_at_most() {
    let records = |filler| {
        let sized = |path, data_bytes| Znode { data_bytes, ..znode(path, 0) }.record();
        vec![znode("/", 2).record(), sized("/a", ZNODE_DATA_BYTES_MAX), sized("/b", filler)]
    };
    let filler = SNAPSHOT_BLOCK_BYTES_MAX - records(0).concat().len();
    assert_eq!(records(filler).concat().len(), SNAPSHOT_BLOCK_BYTES_MAX);
    assert_eq!(read(records(filler)).unwrap().znodes(), 3);
    let wrong = SnapshotError::BlockLength(u32::try_from(SNAPSHOT_BLOCK_BYTES_MAX + 1).unwrap());
    assert_eq!(read(records(filler + 1)).err(), Some(wrong));
}

/// Nothing that follows a wrong length is worth waiting for; and the reason stays.
#[test]
fn a_block_that_is_too_large_is_refused_by_its_length_alone() {
    let mut decoder = Decoder::new();
    decoder.push(&header(APPLIED)).unwrap();
    let refused = SnapshotError::BlockLength(u32::MAX);
    assert_eq!(decoder.push(&[0xff; 4]), Err(refused.clone()));
    assert_eq!(decoder.push(&[]), Err(refused.clone()));
    assert_eq!(decoder.finish().err(), Some(refused), "not that it was cut short");
}

/// A block ends with the record that makes it reach half a chunk: so the largest is that much and the largest znode.
#[test]
fn blocks_end_at_half_a_chunk_and_the_largest_is_within_its_limit() {
    let half = SNAPSHOT_CHUNK_BYTES / 2;
    let mut many = Tree::new();
    (0..300).for_each(|number| create(&mut many, &format!("/{number:03}"), Acl::open(), 3_000));
    let blocks = blocks_of(&encoded(&many));
    let (_, full) = blocks.split_last().unwrap();
    assert!(full.len() > 4 && full.iter().all(|length| (half..half + 3_200).contains(length)), "{blocks:?}");

    // One byte less than half a chunk, and then all that a znode can be.
    let mut small = Tree::new();
    create(&mut small, "/a", Acl::open(), 0);
    let without_data = blocks_of(&encoded(&small))[0];
    let mut tree = Tree::new();
    create(&mut tree, "/a", Acl::open(), half - 1 - without_data);
    let id = |number: usize| format!("{number:0width$}", width = ACL_ENTRY_BYTES_MAX - "digest".len());
    let entry = |number| Acl { permissions: 31, scheme: "digest".to_owned(), id: id(number) };
    let longest = format!("/{}", "b".repeat(PATH_BYTES_MAX - 1));
    create(&mut tree, &longest, (0..ACL_ENTRIES_MAX).map(entry).collect(), ZNODE_DATA_BYTES_MAX);
    let written = encoded(&tree);
    let blocks = blocks_of(&written);
    assert!(blocks.len() == 1 && blocks[0] > half + ZNODE_DATA_BYTES_MAX + ACL_ENTRIES_MAX * ACL_ENTRY_BYTES_MAX);
    assert_eq!(decode(&written).unwrap().digest(), tree.digest());
}
