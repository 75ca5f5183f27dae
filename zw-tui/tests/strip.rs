//! The strip under a znode's value: the same znode as every node has it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use sample::script::{ASCII, SIZES, Script, UNICODE, newest};
use zw_core::ids::Zxid;
use zw_core::tree::command::Stat;
use zw_tui::member::Member;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::strip::{Difference, Standing, seen};
use zw_tui::supervisor::{Asked, Change, Exit};

fn stat(version: i32) -> Stat {
    Stat { version, mzxid: Zxid(u64::try_from(version).unwrap() + 10), ..Stat::default() }
}

fn asked(script: &Script) -> Vec<(usize, String)> {
    let asks = |effect: &Effect| match effect {
        Effect::Exists { node, path } => Some((*node, path.clone())),
        _ => None,
    };
    script.effects.iter().filter_map(asks).collect()
}

/// Five nodes; the value of /goals in version 2 comes in.
fn selected() -> Script {
    let mut script = Script::healthy(5, 0);
    script.goals();
    assert_eq!(asked(&script), [], "the cursor may be on its way");
    for expected in [0, 4] {
        script.says(sample::status(1, 5, newest()));
        assert_eq!(asked(&script).len(), expected, "it rests when its node has answered twice");
    }
    for node in 1..5 {
        script.told(node, Zxid::ZERO, None);
    }
    script.value_of(stat(2));
    script
}

impl Script {
    fn value_of(&mut self, stat: Stat) -> &mut Script {
        let result = Ok((bytes::Bytes::from_static(b"Messi"), stat));
        self.tell(Msg::Value { node: 0, path: "/goals".into(), result })
    }

    fn told(&mut self, node: usize, applied: Zxid, stat: Option<Stat>) -> &mut Script {
        self.tell(Msg::Exists { node, path: "/goals".into(), result: Ok((applied, stat)) })
    }

    fn standing(&self, node: usize) -> Standing {
        seen(&self.state, node, self.now).standing
    }
}

#[test]
fn every_other_node_is_asked_once_for_what_is_selected() {
    let mut script = selected();
    let others: Vec<_> = (1..5).map(|node| (node, "/goals".to_owned())).collect();
    assert_eq!(asked(&script), others);
    // The same value again is no change, and a change asks nobody who has not answered yet.
    script.value_of(stat(2));
    assert_eq!(asked(&script), []);
    script.told(1, newest(), Some(stat(2)));
    script.value_of(stat(3));
    assert_eq!(asked(&script), [(1, "/goals".to_owned())]);
    assert_eq!(script.standing(1), Standing::Older(Difference::Version(2)));
    assert_eq!(script.standing(2), Standing::Missing, "as it told of what was there before");
}

#[test]
fn who_is_behind_is_asked_again_when_it_has_applied_more_and_then_all_is_quiet() {
    let mut script = selected();
    for node in 1..5 {
        script.told(node, newest(), Some(stat(if node == 2 { 1 } else { 2 })));
    }
    assert_eq!(script.standing(2), Standing::Older(Difference::Version(1)));
    script.after(250).says(sample::status(3, 5, newest()));
    assert_eq!(asked(&script), [], "it has applied nothing more");
    let next = Zxid(newest().0 + 1);
    script.after(250).says(sample::status(3, 5, next));
    assert_eq!(asked(&script), [(2, "/goals".to_owned())]);
    script.told(2, next, Some(stat(2)));
    assert_eq!(script.standing(2), Standing::Equal);
    for more in 2..9 {
        let applied = Zxid(newest().0 + more);
        script.after(250).says(sample::status(1, 5, applied)).says(sample::status(3, 5, applied));
        assert_eq!(asked(&script), [], "who has the same is left alone");
    }
    // The shown node may be behind itself: then who is ahead of it is asked, once for all that it applied.
    let ahead = Zxid(newest().0 + 9);
    script.after(250).says(sample::status(3, 5, ahead));
    assert_eq!(asked(&script), [(2, "/goals".to_owned())]);
    script.told(2, ahead, Some(stat(2)));
    script.after(250).says(sample::status(3, 5, ahead));
    assert_eq!(asked(&script), [], "it applies nothing more");
}

#[test]
fn who_moves_on_while_the_shown_node_is_cut_off_is_not_said_to_be_equal() {
    let mut script = selected();
    for node in 1..5 {
        script.told(node, newest(), Some(stat(2)));
    }
    assert!((0..5).all(|node| script.standing(node) == Standing::Equal));
    script.keys(":cut n1 0\r");
    let next = Zxid(newest().0 + 1);
    for node in 1..5 {
        script.after(50).says(sample::status(u16::try_from(node).unwrap() + 1, 5, next));
        assert_eq!(asked(&script), [(node, "/goals".to_owned())]);
        script.told(node, next, Some(stat(3)));
        assert_eq!(script.standing(node), Standing::Newer(Difference::Version(3)));
    }
    for node in 1..=5 {
        let applied = if node == 1 { newest() } else { next };
        script.after(50).says(sample::status(node, 5, applied));
        assert_eq!(asked(&script), [], "all is quiet with the ensemble");
    }
    // It is healed: the shown node applies the same, and its value comes anew.
    script.says(sample::status(1, 5, next));
    script.value_of(stat(3));
    assert!((0..5).all(|node| script.standing(node) == Standing::Equal));
}

#[test]
fn what_is_missing_newer_or_stale_is_shown_so() {
    let mut script = selected();
    script.told(1, newest(), None).told(2, newest(), Some(stat(3)));
    let with_child = Stat { pzxid: Zxid(99), num_children: 4, ..stat(2) };
    script.told(3, newest(), Some(with_child)).told(4, newest(), Some(stat(2)));
    let standings: Vec<Standing> = (0..5).map(|node| script.standing(node)).collect();
    let newer = Standing::Newer;
    let expected = [
        Standing::Equal,
        Standing::Missing,
        newer(Difference::Version(3)),
        newer(Difference::Children(4)),
        Standing::Equal,
    ];
    assert_eq!(standings, expected);
    script.change(Member::Node(2), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    assert!(seen(&script.state, 1, script.now).is_stale && !seen(&script.state, 2, script.now).is_stale);
    script.tell(Msg::Exists { node: 4, path: "/elsewhere".into(), result: Ok((newest(), None)) });
    assert_eq!(script.standing(4), Standing::Equal, "an answer about another znode says nothing of this one");
    // Another znode is selected: nothing is known of it.
    script.keys("k");
    assert!((0..5).all(|node| script.standing(node) == Standing::Unknown));
}

#[test]
fn the_strip_in_all_sizes() {
    let mut script = selected();
    script.told(1, newest(), Some(stat(2))).told(2, newest(), Some(stat(1)));
    script.told(3, newest(), Some(stat(2))).told(4, newest(), None);
    script.change(Member::Node(4), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    let screen = script.screen(&ASCII, (160, 45));
    assert!(screen.contains("n1 =  n2 =  n3 older (v1)  n4 = stale  n5 none"), "{screen}");
    let strips = |theme, size| {
        let screen = script.screen(theme, size);
        screen.lines().filter(|line| line.contains("n3 older")).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let mut all = String::new();
    for theme in [&ASCII, &UNICODE] {
        for size in [SIZES[0], (100, 45), SIZES[1], (64, 16), (40, 20), SIZES[2], SIZES[3]] {
            all.push_str(&format!("{size:?}\n{}\n", strips(theme, size)));
        }
    }
    insta::assert_snapshot!(all);
    for width in (1..=160).step_by(7) {
        for height in (1..=45).step_by(3) {
            script.screen(&UNICODE, (width, height));
        }
    }
}
