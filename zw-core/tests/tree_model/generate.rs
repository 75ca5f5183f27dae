//! Random commands over a small world, so that they meet: few names, few sessions, few versions.

use crate::model::Model;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use zw_core::ids::{NodeId, SessionId};
use zw_core::tree::command::{
    Acl, AttachSession, Check, CloseSession, Command, Create, CreateMode, Delete, Envelope, Multi, OpenSession, Reap,
    SetAcl, SetData,
};

/// A command whose session is chosen when it is applied: sessions get their ids only then.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) time_ms: u64,
    pub(crate) new_epoch: bool,
    session: Who,
    stale: bool,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Unknown,
    Session(usize),
}

#[derive(Clone, Debug)]
enum Action {
    Open { timeout_ms: u32, secret: &'static str },
    Attach { who: Who, secret: &'static str },
    Close { who: Option<Who>, expired: bool },
    Command(Command),
}

impl Step {
    /// The step as a command in the world as `model` knows it.
    pub(crate) fn envelope(&self, tag: u64, model: &Model) -> Envelope {
        let id = |who: Who| match who {
            Who::Nobody => SessionId::NONE,
            Who::Unknown => SessionId(77),
            Who::Session(number) => {
                let count = model.sessions.len().max(1);
                model.sessions.keys().nth(number % count).copied().unwrap_or(SessionId::NONE)
            }
        };
        let session = id(self.session);
        let current = |id| model.sessions.get(&id).map_or(0, |opened| opened.generation);
        let generation = current(session) - u32::from(self.stale && current(session) > 0);
        let command = match &self.action {
            Action::Open { timeout_ms, secret } => Command::OpenSession(OpenSession {
                timeout_ms: *timeout_ms,
                secret: Bytes::from_static(secret.as_bytes()),
            }),
            Action::Attach { who, secret } => Command::AttachSession(AttachSession {
                session: id(*who),
                secret: Bytes::from_static(secret.as_bytes()),
            }),
            Action::Close { who, expired } => {
                let closed = who.map_or(session, id);
                let generation = current(closed) - u32::from(self.stale && current(closed) > 0);
                Command::CloseSession(CloseSession { session: closed, expired: *expired, generation })
            }
            Action::Command(command) => command.clone(),
        };
        Envelope { origin: NodeId(1), tag, session, generation, command }
    }
}

pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..count)
}

fn step() -> impl Strategy<Value = Step> {
    let rarely = |one_in: u32| prop::bool::weighted(1.0 / f64::from(one_in));
    (0u64..400, rarely(20), who(), rarely(12), action()).prop_map(|(time_ms, new_epoch, session, stale, action)| Step {
        time_ms,
        new_epoch,
        session,
        stale,
        action,
    })
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![4 => Just(Who::Nobody), 1 => Just(Who::Unknown), 15 => (0usize..3).prop_map(Who::Session)]
}

fn action() -> impl Strategy<Value = Action> {
    let secret = || prop_oneof![9 => Just("secret"), 1 => Just("other"), 1 => Just("")];
    prop_oneof![
        2 => (0u32..8_000_000, secret()).prop_map(|(timeout_ms, secret)| Action::Open { timeout_ms, secret }),
        1 => (who(), secret()).prop_map(|(who, secret)| Action::Attach { who, secret }),
        1 => (prop::option::of(who()), any::<bool>()).prop_map(|(who, expired)| Action::Close { who, expired }),
        24 => operation().prop_map(Action::Command),
        6 => multi().prop_map(Action::Command),
        3 => path().prop_map(|path| Action::Command(Command::Reap(Reap { path }))),
    ]
}

fn multi() -> impl Strategy<Value = Command> {
    let nested = Just(Command::Multi(Multi { operations: vec![] }));
    let reap = Just(Command::Reap(Reap { path: "/a".into() }));
    let operation = prop_oneof![40 => operation(), 1 => nested, 1 => reap];
    prop::collection::vec(operation, 0..5).prop_map(|operations| Command::Multi(Multi { operations }))
}

fn operation() -> impl Strategy<Value = Command> {
    let version = || prop_oneof![4 => Just(-1), 1 => 0i32..3];
    prop_oneof![
        8 => create().prop_map(Command::Create),
        4 => (path(), version()).prop_map(|(path, version)| Command::Delete(Delete { path, version })),
        3 => (path(), data(), version()).prop_map(|(path, data, version)| Command::SetData(SetData { path, data, version })),
        1 => (path(), acl(), version()).prop_map(|(path, acl, version)| Command::SetAcl(SetAcl { path, acl, version })),
        1 => (path(), version()).prop_map(|(path, version)| Command::Check(Check { path, version })),
    ]
}

fn create() -> impl Strategy<Value = Create> {
    let mode = select(vec![
        CreateMode::Persistent,
        CreateMode::Persistent,
        CreateMode::PersistentSequential,
        CreateMode::Ephemeral,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
        CreateMode::PersistentTtl,
        CreateMode::PersistentSequentialTtl,
    ]);
    let wrong = prop::bool::weighted(0.03);
    (path(), data(), acl(), mode, 1u64..200, wrong).prop_map(|(path, data, acl, mode, ttl_ms, wrong)| {
        let is_ttl = matches!(mode, CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl);
        let ttl_ms = if is_ttl != wrong { ttl_ms } else { 0 };
        Create { path, data, acl, mode, ttl_ms }
    })
}

fn data() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn acl() -> impl Strategy<Value = Vec<Acl>> {
    let entry = |permissions: u32, id: &str| Acl { permissions, scheme: "digest".into(), id: id.into() };
    let others = vec![
        vec![],
        vec![entry(32, "a")],
        vec![entry(1, "a"), entry(1, "a"), entry(3, "b")],
        vec![entry(31, "c"), entry(0, "c")],
    ];
    prop_oneof![12 => Just(Acl::open()), 2 => select(others)]
}

pub(crate) fn path() -> impl Strategy<Value = String> {
    let names = vec!["a", "b", "c!", "a0", "n-", "n-0000000000", "n-0000000001", "0000000002"];
    let good = prop::collection::vec(select(names), 1..4).prop_map(|names| format!("/{}", names.join("/")));
    let odd = ["/", "/", "", "a", "/a/", "/b/", "//a", "/a//b", "/a/../b", "/.", "/a\0", "/a/\u{1}", "/b/\u{e000}"];
    prop_oneof![12 => good, 1 => select(odd.to_vec()).prop_map(str::to_owned)]
}

impl Step {
    /// A step of nobody's.
    pub(crate) fn of(command: Command) -> Step {
        Step { time_ms: 0, new_epoch: false, session: Who::Nobody, stale: false, action: Action::Command(command) }
    }

    /// A plain create.
    pub(crate) fn create(path: &str) -> Step {
        let (data, acl, mode) = (Bytes::new(), Acl::open(), CreateMode::Persistent);
        Step::of(Command::Create(Create { path: path.to_owned(), data, acl, mode, ttl_ms: 0 }))
    }
}
