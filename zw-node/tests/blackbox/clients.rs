//! What the clients do: a random choice after the other, from the seed.

use crate::operation::Outcome;
use crate::workload::{Actor, REGISTERS, Record, create, options};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use zw_core::tree::command::{Check, Command, CreateMode, Delete, Multi, Reply, SetData};
use zw_core::tree::watch::WatchKind;
use zw_sim::history::{Look, ReadResult};
use zw_sim::prng::Prng;

/// Znodes that come and go.
const TRANSIENT: u64 = 6;
/// What a client may leave behind under `/t/q` before it deletes the oldest.
const LEFT_MAX: usize = 4;
const WATCHES_MAX: usize = 6;

/// A client through all of its sessions.
pub(crate) struct Habits {
    /// Its number, which makes its data unique.
    number: usize,
    prng: Prng,
    servers: Vec<String>,
    think_ms: u64,
    writes: u64,
    /// What it made under `/t/q` and should delete.
    left: VecDeque<String>,
    /// The versions of the registers as it last saw them.
    versions: Vec<i32>,
}

impl Habits {
    pub(crate) fn new(number: usize, addresses: &[String], think_ms: u64, mut prng: Prng) -> Habits {
        // Some stay with one node, so that a node apart has readers of its own.
        let servers =
            if prng.chance(500) { vec![addresses[prng.index(addresses.len())].clone()] } else { addresses.to_vec() };
        let versions = vec![-1; usize::try_from(REGISTERS).unwrap_or(0)];
        Habits { number, prng, servers, think_ms, writes: 0, left: VecDeque::new(), versions }
    }

    /// Works, in one session after the other, until the run ends.
    pub(crate) async fn live(mut self, record: &Record) {
        while !record.has_ended() {
            let timeout = Duration::from_secs(self.prng.pick(&[2, 4, 8, 15]));
            let Ok(mut actor) = Actor::open(record, options(&self.servers, timeout)).await else {
                // A client that was refused at once would spin.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let requests = self.prng.between(20, 1_000);
            for _ in 0..requests {
                if record.has_ended() || actor.is_over {
                    break;
                }
                self.act(&mut actor).await;
                tokio::time::sleep(Duration::from_millis(self.prng.below(2 * self.think_ms + 1))).await;
            }
            // The others vanish, and the session expires.
            if !actor.is_over && (record.has_ended() || self.prng.chance(600)) {
                actor.close().await;
            }
            actor.leave();
        }
    }

    async fn act(&mut self, actor: &mut Actor<'_>) {
        match self.prng.below(100) {
            0..22 => self.set(actor).await,
            22..30 => self.transient(actor).await,
            30..36 => self.multi(actor).await,
            36..44 => self.ephemeral(actor).await,
            44..54 => self.queue(actor).await,
            54..68 => {
                let path = self.register().1;
                self.read_register(actor, &path, false).await;
            }
            68..76 => {
                let path = self.path();
                actor.read(&path, Look::Exists, false).await;
            }
            76..82 => {
                let path = self.prng.pick(&["/t", "/t/e", "/t/q"]);
                let look = Look::Children { after: String::new(), limit: 0 };
                let synced = self.prng.chance(500);
                actor.read(path, look, synced).await;
            }
            82..94 => {
                let path = if self.prng.chance(600) { self.register().1 } else { self.path() };
                if self.prng.chance(500) {
                    actor.read(&path, Look::Exists, true).await;
                } else {
                    self.read_register(actor, &path, true).await;
                }
            }
            _ if actor.watches() < WATCHES_MAX => {
                let kind = self.prng.pick(&[WatchKind::Data, WatchKind::Exists, WatchKind::Children]);
                let path = if kind == WatchKind::Children { "/t/e".to_owned() } else { self.path() };
                actor.watch(&path, kind).await;
            }
            _ => {}
        }
    }

    /// Data that nobody else writes, ever.
    fn data(&mut self) -> Bytes {
        self.writes += 1;
        let text = format!("{}.{}", self.number, self.writes);
        let mut data = text.into_bytes();
        data.resize(data.len() + self.prng.index(200), b'.');
        Bytes::from(data)
    }

    fn register(&mut self) -> (usize, String) {
        let number = self.prng.below(REGISTERS);
        (usize::try_from(number).unwrap_or(0), format!("/t/r{number}"))
    }

    fn transient_path(&mut self) -> String {
        format!("/t/d{}", self.prng.below(TRANSIENT))
    }

    fn path(&mut self) -> String {
        if self.prng.chance(500) { self.register().1 } else { self.transient_path() }
    }

    /// The version that it believes a register to have, or any.
    fn version(&mut self, register: usize) -> i32 {
        if self.prng.chance(500) { self.versions[register] } else { -1 }
    }

    async fn read_register(&mut self, actor: &mut Actor<'_>, path: &str, synced: bool) {
        let outcome = actor.read(path, Look::Get, synced).await;
        if let Outcome::Read(_, ReadResult::Data(Ok((_, stat)))) = outcome
            && let Some(register) = path.strip_prefix("/t/r").and_then(|number| number.parse::<usize>().ok())
        {
            self.versions[register] = stat.version;
        }
    }

    async fn set(&mut self, actor: &mut Actor<'_>) {
        let (register, path) = self.register();
        let (data, version) = (self.data(), self.version(register));
        let outcome = actor.write(Command::SetData(SetData { path, data, version })).await;
        if let Outcome::Written(_, Reply::Stat(stat)) = outcome {
            self.versions[register] = stat.version;
        }
    }

    /// Makes a znode that others make too, or deletes it together with a change that can be recognised.
    async fn transient(&mut self, actor: &mut Actor<'_>) {
        let (path, data) = (self.transient_path(), self.data());
        if self.prng.chance(500) {
            actor.write(create(path, data, CreateMode::Persistent)).await;
            return;
        }
        let set = Command::SetData(SetData { path: path.clone(), data, version: -1 });
        let delete = Command::Delete(Delete { path, version: -1 });
        actor.write(Command::Multi(Multi { operations: vec![set, delete] })).await;
    }

    async fn multi(&mut self, actor: &mut Actor<'_>) {
        let ((one, first), (other, second)) = (self.register(), self.register());
        let check = Command::Check(Check { path: first.clone(), version: self.version(one) });
        let mut operations = vec![check];
        for (register, path) in [(one, first), (other, second)] {
            let (data, version) = (self.data(), self.version(register));
            // After the first of them the version of the same register is another.
            let version = if one == other { -1 } else { version };
            operations.push(Command::SetData(SetData { path, data, version }));
        }
        actor.write(Command::Multi(Multi { operations })).await;
    }

    async fn ephemeral(&mut self, actor: &mut Actor<'_>) {
        let (data, session) = (self.data(), actor.session());
        if self.prng.chance(500) {
            // Often taken already, which is refused.
            let path = format!("/t/e/{session}-{}", self.prng.below(4));
            actor.write(create(path, data, CreateMode::Ephemeral)).await;
            return;
        }
        let command = create("/t/e/s-".to_owned(), data, CreateMode::EphemeralSequential);
        if let Outcome::Written(_, Reply::Created(created)) = actor.write(command).await
            && self.prng.chance(700)
        {
            self.left.push_back(created.path);
        }
    }

    /// Makes a sequential znode, or deletes one that it made; a path that it made is its own, so the delete is unique.
    async fn queue(&mut self, actor: &mut Actor<'_>) {
        let data = self.data();
        if self.left.len() < LEFT_MAX && self.prng.chance(600) {
            let command = create("/t/q/n-".to_owned(), data, CreateMode::PersistentSequential);
            if let Outcome::Written(_, Reply::Created(created)) = actor.write(command).await {
                self.left.push_back(created.path);
            }
        } else if let Some(path) = self.left.pop_front() {
            actor.write(Command::Delete(Delete { path, version: -1 })).await;
        }
    }
}
