//! The record of calls: what is judged, path by path, and what is left out because it promises less.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::command::{
    Acl, Command, Create, CreateMode, Delete, Done, OpenSession, Reply, SetAcl, Stat, TreeError,
};
use zw_sim::blackbox::BlackBox;
use zw_sim::client::{Answer, Operation};
use zw_sim::history::{Look, ReadResult};

#[derive(Default)]
struct Calls {
    black_box: BlackBox,
    last: u64,
}

impl Calls {
    fn ask(&mut self, operation: &Operation) -> u64 {
        self.last += 1;
        self.black_box.invoked(0, self.last, operation);
        self.last
    }

    /// A call that is answered at once.
    fn wrote(&mut self, command: Command, reply: Result<Reply, TreeError>) -> &mut Calls {
        let request = self.ask(&Operation::Write(command));
        self.black_box.returned(0, request, &Answer::Written(Zxid::ZERO, reply));
        self
    }

    fn read(&mut self, path: &str, found: Option<(&'static str, i32)>) -> &mut Calls {
        let request = self.ask(&Operation::BarrierRead(path.into()));
        let found = found.ok_or_else(|| TreeError::NoNode(path.into()));
        let result = found.map(|(data, version)| (Bytes::from_static(data.as_bytes()), stat(version)));
        self.black_box.returned(0, request, &Answer::Read(Zxid::ZERO, ReadResult::Data(result)));
        self
    }

    fn holds(&mut self) -> bool {
        self.black_box.judge().is_ok()
    }
}

fn stat(version: i32) -> Stat {
    Stat { version, ..Stat::default() }
}

fn done() -> Result<Reply, TreeError> {
    Ok(Reply::Done(Done))
}

fn create(path: &str, mode: CreateMode) -> Command {
    Command::Create(Create { path: path.into(), data: Bytes::from_static(b"x"), acl: Acl::open(), mode, ttl_ms: 0 })
}

fn delete(path: &str) -> Command {
    Command::Delete(Delete { path: path.into(), version: -1 })
}

#[test]
fn calls_are_judged_also_between_those_of_a_session() {
    let open = || Command::OpenSession(OpenSession { timeout_ms: 0, secret: Bytes::new() });
    let run = |found| {
        let mut calls = Calls::default();
        calls.wrote(open(), Err(TreeError::SessionExpired(SessionId(1))));
        calls.wrote(create("/a", CreateMode::Persistent), done()).read("/a", found).holds()
    };
    assert!(run(Some(("x", 0))) && !run(Some(("x", 1))) && !run(None));
}

#[test]
fn what_may_go_by_itself_goes_once_each_time_it_is_made() {
    let run = |found: &[Option<(&'static str, i32)>]| {
        let mut calls = Calls::default();
        calls.wrote(create("/a", CreateMode::Ephemeral), done());
        for found in found {
            calls.read("/a", *found);
        }
        calls.holds()
    };
    let there = Some(("x", 0));
    assert!(run(&[there, there]) && run(&[there, None, None]) && run(&[None]));
    assert!(!run(&[there, None, there]), "nobody made it again");
    assert!(!run(&[Some(("x", 1))]), "nobody set it");
    let twice = |again| {
        let mut calls = Calls::default();
        calls.wrote(create("/a", CreateMode::Container), done()).read("/a", None);
        calls.wrote(create("/a", again), done()).read("/a", None).holds()
    };
    assert!(twice(CreateMode::Ephemeral) && !twice(CreateMode::Persistent));
}

#[test]
fn what_was_refused_makes_nothing_that_goes_by_itself() {
    let mut calls = Calls::default();
    calls.wrote(create("/a", CreateMode::Persistent), done());
    calls.wrote(create("/a", CreateMode::Ephemeral), Err(TreeError::NodeExists("/a".into())));
    assert!(!calls.read("/a", None).holds());
}

#[test]
fn a_numbered_path_is_not_judged_and_its_neighbours_are() {
    let mut calls = Calls::default();
    calls.wrote(create("/q/c-", CreateMode::EphemeralSequential), done());
    assert!(calls.wrote(delete("/q/c-0000000003"), done()).holds());
    assert!(!Calls::default().wrote(delete("/q/c-0000000003"), done()).holds());
    let mut calls = Calls::default();
    calls.wrote(create("/q/c-", CreateMode::EphemeralSequential), done());
    assert!(!calls.wrote(delete("/q/c-3"), done()).holds());
}

#[test]
fn a_list_shows_that_its_path_is_there_and_at_which_version() {
    let set = || Command::SetAcl(SetAcl { path: "/a".into(), acl: Acl::open(), version: 5 });
    let run = |reply: Result<Reply, TreeError>| {
        Calls::default().wrote(create("/a", CreateMode::Persistent), done()).wrote(set(), reply).holds()
    };
    assert!(run(Ok(Reply::Stat(stat(0)))) && !run(Ok(Reply::Stat(stat(1)))));
    let wrong = || TreeError::BadVersion { path: "/a".into(), expected: 5, actual: 0 };
    assert!(run(Err(wrong())) && !run(Err(TreeError::NoNode("/a".into()))));
    assert!(!Calls::default().wrote(set(), Err(wrong())).holds(), "it was not there");
}

#[test]
fn plain_reads_are_not_judged() {
    let mut calls = Calls::default();
    calls.wrote(create("/a", CreateMode::Persistent), done());
    let read = Operation::Read { path: "/a".into(), look: Look::Get, watch: true };
    let request = calls.ask(&read);
    let stale = ReadResult::Data(Err(TreeError::NoNode("/a".into())));
    calls.black_box.returned(0, request, &Answer::Read(Zxid::ZERO, stale));
    assert!(calls.holds());
}
