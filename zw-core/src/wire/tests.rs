//! Every request and every answer reads back; random and cut bytes are errors and never panics.

use super::admin::*;
use super::client::*;
use super::hello::Greeting;
use crate::ids::{Epoch, NodeId, SessionId, Zxid};
use crate::kinds::DecodeError;
use crate::log::record::SnapshotId;
use crate::tree::command::*;
use bytes::Bytes;
use proptest::prelude::*;

fn zxid() -> Zxid {
    Zxid::new(Epoch(3), 1_000_000)
}

fn stat() -> Stat {
    Stat { czxid: zxid(), version: -3, ephemeral_owner: SessionId(u64::MAX), num_children: 9, ..Stat::default() }
}

fn create() -> Create {
    Create {
        path: "/a/b".into(),
        data: Bytes::from(vec![0, 255, 7]),
        acl: Acl::open(),
        mode: CreateMode::EphemeralSequential,
        ttl_ms: 9,
    }
}

fn commands() -> Vec<Command> {
    let path = || "/a".to_owned();
    let single = vec![
        Command::Create(create()),
        Command::Delete(Delete { path: path(), version: -1 }),
        Command::SetData(SetData { path: path(), data: Bytes::new(), version: 4 }),
        Command::SetAcl(SetAcl { path: path(), acl: Acl::open(), version: i32::MIN }),
        Command::Check(Check { path: path(), version: i32::MAX }),
    ];
    let mut all = single.clone();
    all.push(Command::Multi(Multi { operations: single }));
    all.push(Command::OpenSession(OpenSession { timeout_ms: 1, secret: Bytes::from(vec![1; 16]) }));
    all.push(Command::AttachSession(AttachSession { session: SessionId(1), secret: Bytes::new() }));
    all.push(Command::CloseSession(CloseSession { session: SessionId(1), expired: true, generation: 2 }));
    all.push(Command::Reap(Reap { path: path() }));
    all
}

fn operations() -> Vec<Operation> {
    let read = || Read { path: "/a".into(), watch: true };
    let set = SetWatches {
        seen: zxid(),
        data: vec!["/d".into()],
        exists: vec![],
        children: vec!["/".into()],
        persistent: vec!["/p".into(), "/q".into()],
        recursive: vec!["/r".into()],
    };
    let connect =
        Connect { session: SessionId(77), secret: Bytes::from(vec![9; 16]), timeout_ms: 30_000, last_zxid: zxid() };
    let mut all: Vec<Operation> = commands().into_iter().map(Operation::Write).collect();
    all.extend([
        Operation::Connect(connect),
        Operation::Ping(Ping),
        Operation::Get(read()),
        Operation::Exists(read()),
        Operation::Children(Children { path: "/".into(), watch: false, after: "x".into(), limit: 5, with_stat: true }),
        Operation::GetAcl(read()),
        Operation::Sync(Ping),
        Operation::AddWatch(AddWatch { path: "/".into(), recursive: true }),
        Operation::RemoveWatches(RemoveWatches { path: "/".into() }),
        Operation::SetWatches(set),
        Operation::Status(Ping),
        Operation::SubtreeDigest(read()),
        Operation::TraceStart(TraceStart { from: 3, rare_only: true }),
        Operation::Fault(Fault {
            kind: FaultKind::SlowDisk,
            peer: NodeId(2),
            delay_ms: 5,
            ttl_ms: 1000,
            with_connection: true,
        }),
        Operation::Fault(Fault {
            kind: FaultKind::LoseLink,
            peer: NodeId(3),
            delay_ms: 50,
            ttl_ms: 1000,
            with_connection: false,
        }),
        Operation::Snapshot(Ping),
        Operation::DigestAt(Zxid::ZERO),
        Operation::Sessions(Ping),
    ]);
    all
}

fn status() -> Status {
    Status {
        node: NodeId(1),
        address: "127.0.0.1:8080".into(),
        ensemble: "127.0.0.1:8080,127.0.0.1:8081".into(),
        role: NodeRole::Leader,
        epoch: Epoch(3),
        last_zxid: zxid(),
        committed_zxid: zxid(),
        applied_zxid: zxid(),
        leader: NodeId(1),
        peers: vec![PeerStatus {
            node: NodeId(2),
            connected: true,
            heard_ms_ago: u64::MAX,
            acked_zxid: zxid(),
            problem: "why".into(),
        }],
        sessions: 1,
        watches: 2,
        connections: 3,
        znodes: 4,
        queue: 5,
        writes: 6,
        reads: 7,
        fsync_p99_us: 8,
        write_p99_us: 9,
        rss_bytes: 10,
        uptime_ms: 11,
        digest: 12,
        pid: 13,
        build: "0.1.0".into(),
        disk_full: false,
        faults: vec!["slow disk".into()],
        epoch_ends: vec![zxid()],
    }
}

fn trace() -> TraceBatch {
    let event = TraceEvent {
        sequence: 1,
        monotonic_ns: u64::MAX,
        kind: TraceKind::Vote,
        peer: NodeId(2),
        zxid: zxid(),
        number: 4,
        text: "higher zxid".into(),
    };
    TraceBatch { events: vec![event], dropped: 8, now_ns: 77 }
}

fn answers() -> Vec<Answer> {
    let path = "/a".to_owned();
    let replies = vec![
        Reply::Session(SessionReply { session: SessionId(4), timeout_ms: 10, generation: 2 }),
        Reply::Created(Created { path: path.clone(), stat: stat() }),
        Reply::Stat(stat()),
        Reply::Done(Done),
    ];
    let mut all: Vec<Answer> = replies.iter().cloned().map(Answer::Written).collect();
    let page = ChildrenPage { names: vec!["a".into()], stats: vec![stat()], stat: stat(), more: true };
    all.extend([
        Answer::Written(Reply::Multi(replies)),
        Answer::Connected(Connected { session: SessionId(1), secret: Bytes::from(vec![3; 16]), timeout_ms: 4 }),
        Answer::Done(Ping),
        Answer::Data(Data { data: Bytes::from(vec![0; 300]), stat: stat() }),
        Answer::Stat(Some(stat())),
        Answer::Stat(None),
        Answer::Children(page),
        Answer::Acl(AclReply { acl: Acl::open(), stat: stat() }),
        Answer::Event(TreeEvent { kind: EventKind::ChildrenChanged, path, zxid: zxid() }),
        Answer::Status(Box::new(status())),
        Answer::Digest(DigestReply { zxid: zxid(), digest: 1, znodes: 2 }),
        Answer::Trace(trace()),
        Answer::Snapshot(SnapshotId { zxid: zxid(), digest: 4 }),
        Answer::Sessions(vec![SessionInfo { session: SessionId(4), timeout_ms: 5, generation: 6, ephemerals: 7 }]),
        Answer::Error(ErrorReply { code: ErrorCode::NoQuorum, message: "no leader".into() }),
    ]);
    all
}

fn request_frames() -> Vec<Vec<u8>> {
    let encode = |(index, operation): (usize, Operation)| {
        let mut frame = Vec::new();
        Request { id: u32::MAX - u32::try_from(index).unwrap(), operation }.encode_frame(&mut frame);
        frame
    };
    operations().into_iter().enumerate().map(encode).collect()
}

fn response_frames() -> Vec<Vec<u8>> {
    let encode = |answer: Answer| {
        let mut frame = Vec::new();
        Response { id: 70_000, zxid: zxid(), answer }.encode_frame(&mut frame);
        frame
    };
    answers().into_iter().map(encode).collect()
}

#[test]
fn every_request_reads_back() {
    for (index, (frame, operation)) in request_frames().iter().zip(operations()).enumerate() {
        let id = u32::MAX - u32::try_from(index).unwrap();
        assert_eq!(Request::decode_frame(frame), Ok(Request { id, operation }));
    }
}

#[test]
fn every_answer_reads_back() {
    for (frame, answer) in response_frames().iter().zip(answers()) {
        assert_eq!(Response::decode_frame(frame), Ok(Response { id: 70_000, zxid: zxid(), answer }));
    }
}

#[test]
fn a_cut_frame_is_an_error() {
    for frame in request_frames() {
        for length in 0..frame.len() {
            assert!(Request::decode_frame(&frame[..length]).is_err(), "{length} bytes of {frame:?} were accepted");
        }
    }
    for frame in response_frames() {
        for length in 0..frame.len() {
            assert!(Response::decode_frame(&frame[..length]).is_err(), "{length} bytes of {frame:?} were accepted");
        }
    }
}

#[test]
fn every_kind_of_operation_and_answer_is_tested_here() {
    let mut kinds: Vec<u8> = operations().iter().map(Operation::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let known = |kind: &u8| !matches!(Request::decode_frame(&[*kind, 1, 0x92, 1]), Err(DecodeError::Kind { .. }));
    assert_eq!((0..=255).filter(known).count(), kinds.len());
    let mut kinds: Vec<u8> = answers().iter().map(Answer::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let known = |kind: &u8| !matches!(Response::decode_frame(&[*kind, 1, 0x93, 1, 1]), Err(DecodeError::Kind { .. }));
    assert_eq!((0..=255).filter(known).count(), kinds.len());
}

#[test]
fn a_frame_says_what_is_wrong_with_it() {
    assert_eq!(Request::decode_frame(&[2]), Err(DecodeError::Short(1)));
    assert_eq!(Request::decode_frame(&[2, 2, 0x92]), Err(DecodeError::Version(2)));
    assert_eq!(Request::decode_frame(&[99, 1, 0x92, 1]), Err(DecodeError::Kind { kind: 99, of: "Operation" }));
    for body in [&[][..], &[0x93, 1], &[0x92], &[0x92, 0xc0, 0x90]] {
        let frame = [&[2, 1], body].concat();
        assert!(matches!(Request::decode_frame(&frame), Err(DecodeError::Body { kind: 2, .. })), "{frame:?}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    // Bytes of multis in multis: each is `[kind, [[`.
    let deep = |levels: usize| [&[3, 1, 0x92, 1][..], &[0x92, 9, 0x91, 0x91].repeat(levels)].concat();
    for levels in [20, 10_000, 250_000] {
        let error = Request::decode_frame(&deep(levels)).unwrap_err();
        assert!(error.to_string().contains("depth"), "{error}");
    }
}

#[test]
fn a_small_request_and_its_answer_are_small() {
    let read = Read { path: "/key".into(), watch: false };
    let mut frame = Vec::new();
    Request { id: 7, operation: Operation::Get(read) }.encode_frame(&mut frame);
    assert!(frame.len() <= 12, "{frame:?}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(frame: Vec<u8>) {
        let _ = Request::decode_frame(&frame);
        let _ = Response::decode_frame(&frame);
        let _ = Greeting::decode_frame(&frame);
    }

    #[test]
    fn random_bodies_never_panic(kind: u8, elements in 2_u8..4, mut body: Vec<u8>) {
        body.splice(0..0, [kind, 1, 0x90 + elements]);
        let _ = Request::decode_frame(&body);
        let _ = Response::decode_frame(&body);
    }

    #[test]
    fn flipped_bytes_never_panic(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), to: u8) {
        let mut requests = request_frames();
        let frame = which.get(&requests).len();
        let index = which.index(requests.len());
        requests[index][at.index(frame)] = to;
        let _ = Request::decode_frame(&requests[index]);
        let mut responses = response_frames();
        let index = which.index(responses.len());
        let length = responses[index].len();
        responses[index][at.index(length)] = to;
        let _ = Response::decode_frame(&responses[index]);
    }
}
