//! Measures the tree at a million znodes: memory, reads, writes, and the pause that a live snapshot costs.
//!
//! `cargo run --release -p zw-core --example tree_bench -- [one|many] [ZNODES]`: with one parent for all znodes, or a
//! thousand children each. Prints a table as in docs/decisions/001. Times are of this thread on a processor, so that
//! what else the machine does counts little; "slowest" and "clone" are by the clock.

use bytes::Bytes;
use std::time::{Duration, Instant};
use zw_core::ids::{NodeId, SessionId, Zxid};
use zw_core::tree::Tree;
use zw_core::tree::command::{Acl, Command, Create, CreateMode, Delete, Envelope, SetData};
use zw_core::tree::snapshot::{Decoder, encode};

const DATA_BYTES: usize = 100;

fn main() {
    let shape = std::env::args().nth(1).unwrap_or_else(|| "one".into());
    let znodes: usize = std::env::args().nth(2).map_or(1_000_000, |text| text.parse().expect("a number of znodes"));
    let paths = match shape.as_str() {
        "one" => one_parent(znodes),
        "many" => many_parents(znodes),
        other => panic!("shape {other:?}; it is one or many"),
    };
    println!("| {znodes} znodes, {shape} | |\n|---|---|");
    measure(&paths);
}

/// All znodes are children of one.
fn one_parent(count: usize) -> Vec<String> {
    std::iter::once("/all".to_owned()).chain((1..count).map(|number| format!("/all/node-{number:08}"))).collect()
}

/// A thousand children each, made in turns, so that neighbours in the map are made at different times.
fn many_parents(count: usize) -> Vec<String> {
    let parents = count / 1_000;
    let child = |number: usize| format!("/parent-{:04}/node-{:08}", number % parents, number / parents);
    (0..parents).map(|parent| format!("/parent-{parent:04}")).chain((parents..count).map(child)).collect()
}

fn measure(paths: &[String]) {
    let row = |measure: &str, value: String| println!("| {measure} | {value} |");
    let mut tree = Tree::new();
    let before = resident_bytes();
    let start = processor_time();
    paths.iter().for_each(|path| run(&mut tree, create(path)));
    row("create", per(processor_time() - start, paths.len()));
    let payload: usize = paths.iter().map(|path| path.len() + DATA_BYTES).sum();
    let overhead = (resident_bytes() - before).saturating_sub(payload) / paths.len();
    row("memory beside path and data", format!("{overhead} B per znode"));

    let order: Vec<usize> = (0..paths.len()).map(|index| index * 7_919 % paths.len()).collect();
    let start = processor_time();
    let found = order.iter().filter(|index| tree.get(&paths[**index]).is_ok()).count();
    assert_eq!(found, paths.len());
    row("get in random order, first time", per(processor_time() - start, paths.len()));
    let start = processor_time();
    order.iter().for_each(|index| assert!(tree.get(&paths[*index]).is_ok()));
    row("get in random order, again", per(processor_time() - start, paths.len()));
    let overhead = (resident_bytes() - before).saturating_sub(payload) / paths.len();
    row("memory beside path and data, after all were read", format!("{overhead} B per znode"));

    let (set, slowest) = writes(&mut tree, paths, &order);
    row("set data", format!("{set}, slowest {slowest:.0?}"));
    let clone = |_| {
        let start = Instant::now();
        let clone = tree.clone();
        (start.elapsed(), clone)
    };
    let (fastest, snapshot) = (0..20).map(clone).min_by_key(|(took, _)| *took).expect("there are twenty");
    row("clone, fastest of 20", format!("{fastest:.0?}"));
    let (set, slowest) = writes(&mut tree, paths, &order);
    row("set data under a live snapshot", format!("{set}, slowest {slowest:.0?}"));
    let start = processor_time();
    let (digest, _) = snapshot.subtree_digest("/").expect("the root is there");
    assert_eq!(digest, snapshot.digest(), "there are no sessions");
    row("digest of all znodes anew", format!("{:.0?}", processor_time() - start));
    snapshots(&row, snapshot);

    let start = processor_time();
    order.iter().rev().filter(|index| paths[**index].matches('/').count() == 2).for_each(|index| {
        run(&mut tree, Command::Delete(Delete { path: paths[*index].clone(), version: -1 }));
    });
    row("delete in random order", per(processor_time() - start, paths.len()));
}

fn snapshots(row: &impl Fn(&str, String), snapshot: Tree) {
    let digest = snapshot.digest();
    let start = processor_time();
    let stream: Vec<Bytes> = encode(snapshot).collect();
    let bytes: usize = stream.iter().map(Bytes::len).sum();
    row("encode a snapshot", format!("{:.0?}, {} MiB", processor_time() - start, bytes >> 20));
    let start = processor_time();
    let mut decoder = Decoder::new();
    stream.iter().for_each(|piece| decoder.push(piece).expect("the encoder's own stream"));
    assert_eq!(decoder.finish().expect("the encoder's own stream").digest(), digest);
    row("decode and check it", format!("{:.0?}", processor_time() - start));
}

/// Sets data of 200,000 znodes; the mean, and the slowest.
fn writes(tree: &mut Tree, paths: &[String], order: &[usize]) -> (String, Duration) {
    let chosen = &order[..order.len().min(200_000)];
    let commands: Vec<Command> = chosen.iter().map(|index| set(&paths[*index])).collect();
    let mut slowest = Duration::ZERO;
    let start = processor_time();
    for command in commands {
        let begin = Instant::now();
        run(tree, command);
        slowest = slowest.max(begin.elapsed());
    }
    (per(processor_time() - start, chosen.len()), slowest)
}

fn run(tree: &mut Tree, command: Command) {
    let zxid = Zxid(tree.applied().0 + 1);
    let envelope = Envelope { origin: NodeId(1), tag: zxid.0, session: SessionId::NONE, generation: 0, command };
    let applied = tree.apply(zxid, zxid.0 / 100, &envelope);
    assert!(applied.reply.is_ok(), "{:?}", applied.reply);
}

fn create(path: &str) -> Command {
    let (mode, acl) = (CreateMode::Persistent, Acl::open());
    Command::Create(Create { path: path.to_owned(), data: vec![b'd'; DATA_BYTES].into(), acl, mode, ttl_ms: 0 })
}

fn set(path: &str) -> Command {
    Command::SetData(SetData { path: path.to_owned(), data: vec![b'e'; DATA_BYTES].into(), version: -1 })
}

fn per(elapsed: Duration, count: usize) -> String {
    format!("{} ns", elapsed.as_nanos() / count as u128)
}

/// How long this thread has run on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux tells the run time of a process");
    Duration::from_nanos(
        text.split(' ').next().and_then(|text| text.parse().ok()).expect("the first field is a number"),
    )
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells the memory of a process");
    let pages: usize =
        statm.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("the second field is a number");
    pages * 4096
}
