//! The tree against a naive model of it (`model.rs`): reply for reply, Stat for Stat, event for event.

#![allow(clippy::unwrap_used, reason = "a test; the lint's own exception covers only functions marked as tests")]

mod generate;
mod model;
mod watches;

use generate::Step;
use model::{Model, Outcome};
use proptest::prelude::*;
use std::collections::BTreeSet;
use zw_core::ids::{Epoch, Zxid};
use zw_core::log::record::Entry;
use zw_core::tree::Tree;
use zw_core::tree::command::{Command, TreeError};
use zw_core::tree::snapshot::{Decoder, encode};

/// The tree and its model, fed with the same entries.
struct World {
    tree: Tree,
    model: Model,
    entries: Vec<Entry>,
}

impl World {
    fn new() -> World {
        World { tree: Tree::new(), model: Model::new(), entries: Vec::new() }
    }

    /// Applies a step to both, and compares what comes of it.
    fn step(&mut self, step: &Step) -> Outcome {
        let last = self.tree.applied();
        if step.new_epoch || last == Zxid::ZERO {
            let marker = Entry::new(Zxid::marker(Epoch(last.epoch().0 + 1)), step.time_ms, b"");
            assert!(self.tree.apply_entry(&marker).is_none());
            self.entries.push(marker);
        }
        let zxid = self.tree.applied().successor().unwrap();
        let envelope = step.envelope(zxid.0, &self.model);
        let entry = Entry::new(zxid, step.time_ms, &envelope.encode());
        let (read, applied) = self.tree.apply_entry(&entry).unwrap();
        assert_eq!(read, envelope);
        self.entries.push(entry);
        let (result, events) = self.model.apply(zxid, step.time_ms, &envelope);
        assert_eq!(applied.reply.as_ref().map_err(kind_of), result.as_ref().map_err(kind_of), "{envelope:?}");
        assert_eq!(applied.events, events, "{envelope:?}");
        (applied.reply, events)
    }

    fn feed(&mut self, step: &Step) {
        drop(self.step(step));
    }

    /// Compares all that can be read.
    fn compare(&self) {
        compare(&self.tree, &self.model);
        let bytes = stream(&self.tree);
        let read = decode(&bytes);
        assert_eq!(read.digest(), self.tree.digest(), "the digest kept by the changes is that of the content");
        compare(&read, &self.model);
    }
}

fn compare(tree: &Tree, model: &Model) {
    assert_eq!((tree.znodes(), tree.time_ms()), (model.nodes.len() as u64, model.time_ms));
    for (path, node) in &model.nodes {
        assert_eq!(tree.get(path).unwrap(), (node.data.clone().into(), node.stat), "{path}");
        assert_eq!(tree.acl(path).unwrap(), (node.acl.clone(), node.stat), "{path}");
        assert_eq!(tree.stat(path).unwrap(), Some(node.stat), "{path}");
        let page = tree.children(path, "", 0, true).unwrap();
        assert_eq!((&page.names, page.stat, page.more), (&model.children(path), node.stat, false), "{path}");
        assert_eq!(page.stats.len(), page.names.len());
        for (name, stat) in page.names.iter().zip(&page.stats) {
            let child = format!("{}/{name}", path.trim_end_matches('/'));
            assert_eq!(*stat, model.nodes[&child].stat, "{child}");
        }
        let below = |other: &&String| other.starts_with(&format!("{}/", path.trim_end_matches('/'))) || *other == path;
        assert_eq!(tree.subtree_digest(path).unwrap().1, model.nodes.keys().filter(below).count() as u64, "{path}");
    }
    let sessions =
        tree.sessions().map(|(id, session)| (id, session.timeout_ms, session.generation, session.secret.clone()));
    let expected = model.sessions.iter().map(|(id, it)| (*id, it.timeout_ms, it.generation, it.secret.clone()));
    assert!(sessions.eq(expected));
    for id in model.sessions.keys() {
        let owned =
            model.nodes.iter().filter(|(_, node)| node.stat.ephemeral_owner == *id).map(|(path, _)| path.clone());
        assert_eq!(tree.ephemerals(*id).into_iter().collect::<BTreeSet<_>>(), owned.collect::<BTreeSet<_>>());
        assert_eq!(tree.count_ephemerals(*id), tree.ephemerals(*id).len() as u64);
    }
    let due: BTreeSet<String> = tree.reapable(model.time_ms, usize::MAX).into_iter().collect();
    assert_eq!(due, model.reapable().into_iter().collect());
}

/// An error without its free text.
fn kind_of(error: &TreeError) -> TreeError {
    match error {
        TreeError::Invalid(_) => TreeError::Invalid(String::new()),
        TreeError::InvalidPath(_) => TreeError::InvalidPath(String::new()),
        TreeError::InvalidAcl(_) => TreeError::InvalidAcl(String::new()),
        TreeError::Multi { index, cause } => TreeError::Multi { index: *index, cause: Box::new(kind_of(cause)) },
        other => other.clone(),
    }
}

fn stream(tree: &Tree) -> Vec<u8> {
    encode(tree.clone()).flatten().collect()
}

fn decode(bytes: &[u8]) -> Tree {
    let mut decoder = Decoder::new();
    decoder.push(bytes).unwrap();
    decoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_tree_does_what_its_model_does(steps in generate::steps(120)) {
        let mut world = World::new();
        for step in &steps {
            world.feed(step);
        }
        world.compare();
    }

    #[test]
    fn a_failed_command_changes_nothing_and_a_clone_stands_still(steps in generate::steps(80)) {
        let mut world = World::new();
        for step in &steps {
            let (before, model) = (world.tree.clone(), world.model.clone());
            let (result, events) = world.step(step);
            if result.is_err() {
                prop_assert!(events.is_empty());
                prop_assert_eq!(world.tree.digest(), before.digest());
            }
            compare(&before, &model);
        }
    }

    #[test]
    fn a_snapshot_and_what_follows_is_the_whole_log(steps in generate::steps(60)) {
        let mut world = World::new();
        let mut snapshots = Vec::new();
        for step in &steps {
            world.feed(step);
            snapshots.push((world.entries.len(), stream(&world.tree)));
        }
        let last = stream(&world.tree);
        for (applied, snapshot) in snapshots {
            let mut tree = decode(&snapshot);
            for entry in &world.entries[applied..] {
                tree.apply_entry(entry);
            }
            prop_assert_eq!(tree.digest(), world.tree.digest());
            prop_assert!(stream(&tree) == last, "equal trees have equal streams");
        }
        let mut replayed = Tree::new();
        world.entries.iter().for_each(|entry| drop(replayed.apply_entry(entry)));
        prop_assert!(stream(&replayed) == last);
    }

    #[test]
    fn pages_put_together_are_the_list(names in prop::collection::btree_set("[a-c!-]{1,3}", 1..60), limit in 1usize..9) {
        let mut world = World::new();
        for name in &names {
            world.feed(&Step::create(&format!("/{name}")));
            world.feed(&Step::create(&format!("/{name}/below")));
        }
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = world.tree.children("/", &after, limit, false).unwrap();
            prop_assert!(page.names.len() <= limit && page.stats.is_empty());
            found.extend(page.names);
            if !page.more {
                break;
            }
            after = found.last().unwrap().clone();
        }
        prop_assert!(found.iter().eq(&names));
    }

    #[test]
    fn the_decoder_survives_any_bytes(
        steps in generate::steps(20),
        junk in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.feed(step));
        let good = stream(&world.tree);
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::new();
            let pushed = bytes.chunks(13).try_for_each(|chunk| decoder.push(chunk));
            pushed.is_err() || decoder.finish().is_err()
        };
        let at = at.index(good.len());
        prop_assert!(refused(&junk));
        prop_assert!(refused(&[&good[..28], &junk].concat()), "junk after a good header");
        prop_assert!(refused(&good[..at]), "cut short");
        let spliced = [&good[..at], &junk[..junk.len().min(length)], &good[good.len().min(at + length)..]].concat();
        prop_assert!(spliced == good || refused(&spliced), "something replaced");
    }
}

#[test]
fn the_generator_reaches_every_answer() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..300 {
        let steps = generate::steps(120).new_tree(&mut runner).unwrap().current();
        let mut world = World::new();
        for step in &steps {
            let kind = step.envelope(0, &world.model).command.kind();
            let (result, _) = world.step(step);
            let answer = match &result {
                Ok(_) => "fine".to_owned(),
                Err(error) => format!("{error:?}").split(['(', ' ']).next().unwrap().to_owned(),
            };
            seen.insert(format!("{kind} {answer}"));
        }
    }
    let every_command_succeeds = (1..=10).map(|kind| format!("{kind} fine"));
    let errors = [
        "1 Invalid",
        "2 SessionExpired",
        "2 WrongSecret",
        "3 Invalid",
        "3 SessionExpired",
        "3 SessionMoved",
        "4 EphemeralParent",
        "4 Invalid",
        "4 InvalidAcl",
        "4 InvalidPath",
        "4 NoNode",
        "4 NodeExists",
        "4 SessionExpired",
        "4 SessionMoved",
        "5 BadVersion",
        "5 Invalid",
        "5 NoNode",
        "5 NotEmpty",
        "6 BadVersion",
        "6 InvalidPath",
        "6 NoNode",
        "7 BadVersion",
        "7 InvalidAcl",
        "8 BadVersion",
        "8 NoNode",
        "9 Multi",
        "10 Invalid",
        "10 NoNode",
        "10 NotEmpty",
    ];
    let missing: Vec<String> =
        every_command_succeeds.chain(errors.map(str::to_owned)).filter(|wanted| !seen.contains(wanted)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn deep_nesting_in_a_frame_is_an_error_and_no_crash() {
    let mut command = Command::Multi(zw_core::tree::command::Multi { operations: vec![] });
    for _ in 0..200 {
        command = Command::Multi(zw_core::tree::command::Multi { operations: vec![command] });
    }
    let step = Step::of(command);
    let (result, _) = World::new().step(&step);
    assert!(matches!(result, Err(TreeError::Multi { index: 0, .. })));
}
