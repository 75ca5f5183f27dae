//! What a random client asks for next.

use super::{ClientOptions, Operation, SessionOptions};
use crate::history::Look;
use crate::prng::Prng;
use bytes::Bytes;
use zw_core::tree::command::{Acl, Check, Command, Create, CreateMode, Delete, Multi, SetAcl, SetData};
use zw_core::tree::watch::WatchKind;

/// The rarer kinds of znodes.
const RARE: [CreateMode; 8] = [
    CreateMode::Ephemeral,
    CreateMode::Ephemeral,
    CreateMode::Ephemeral,
    CreateMode::EphemeralSequential,
    CreateMode::EphemeralSequential,
    CreateMode::Container,
    CreateMode::PersistentTtl,
    CreateMode::PersistentSequentialTtl,
];

/// One draw.
pub(super) struct Random<'a> {
    pub(super) prng: &'a mut Prng,
    pub(super) options: &'a ClientOptions,
    pub(super) sessions: &'a SessionOptions,
    /// The client and its request, for the data.
    pub(super) name: (usize, u64),
}

impl Random<'_> {
    pub(super) fn operation(mut self) -> Operation {
        let kind = self.prng.below(1_000);
        if kind < self.options.read_per_mille {
            self.read()
        } else if kind < self.options.read_per_mille + self.options.barrier_per_mille {
            Operation::BarrierRead(self.path())
        } else if self.prng.chance(60) {
            let mut operations = vec![self.command()];
            while operations.len() < 4 && self.prng.chance(600) {
                operations.push(self.command());
            }
            Operation::Write(Command::Multi(Multi { operations }))
        } else {
            Operation::Write(self.command())
        }
    }

    fn read(&mut self) -> Operation {
        let path = if self.prng.chance(30) { "/".to_owned() } else { self.path() };
        let watch = self.prng.chance(self.sessions.watch_per_mille);
        if watch && self.prng.chance(100) {
            let kind = self.prng.pick(&[WatchKind::Persistent, WatchKind::Recursive]);
            return Operation::AddWatch(kind, path);
        }
        let look = match self.prng.below(10) {
            0..5 => Look::Get,
            5..7 => Look::Exists,
            7..9 => Look::Children { after: String::new(), limit: 0 },
            _ => Look::Children { after: self.prng.pick(&["", "c1", "s-"]).to_owned(), limit: self.prng.index(4) },
        };
        Operation::Read { path, look, watch }
    }

    fn path(&mut self) -> String {
        match (self.prng.below(self.options.paths), self.prng.chance(250)) {
            (parent, false) => format!("/p{parent}"),
            (parent, true) => format!("/p{parent}/c{}", self.prng.below(self.options.paths)),
        }
    }

    fn command(&mut self) -> Command {
        let path = self.path();
        let version = if self.prng.chance(800) { -1 } else { i32::try_from(self.prng.below(4)).expect("small") };
        let padding = if self.prng.chance(20) { 600 } else { self.prng.index(24) };
        let (client, request) = self.name;
        let data = Bytes::from([format!("{client}.{request} ").as_bytes(), &vec![b'.'; padding]].concat());
        match self.prng.below(100) {
            0..30 => self.create(path, data),
            30..33 => {
                let path = format!("/p{}/s-", self.prng.below(self.options.paths));
                let mode = CreateMode::PersistentSequential;
                Command::Create(Create { path, data, acl: Acl::open(), mode, ttl_ms: 0 })
            }
            33..76 => Command::SetData(SetData { path, data, version }),
            76..79 => {
                let permissions = u32::try_from(self.prng.below(31)).expect("small") + 1;
                let acl = vec![Acl { permissions, scheme: "world".into(), id: "anyone".into() }];
                Command::SetAcl(SetAcl { path, acl, version })
            }
            79..95 => Command::Delete(Delete { path, version }),
            _ => Command::Check(Check { path, version }),
        }
    }

    fn create(&mut self, path: String, data: Bytes) -> Command {
        let rare = self.prng.chance(self.sessions.rare_per_mille);
        let mode = if rare { self.prng.pick(&RARE) } else { CreateMode::Persistent };
        let is_ttl = matches!(mode, CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl);
        let ttl_ms = if is_ttl { self.prng.pick(&[1, 200, 2_000]) } else { 0 };
        Command::Create(Create { path, data, acl: Acl::open(), mode, ttl_ms })
    }
}
