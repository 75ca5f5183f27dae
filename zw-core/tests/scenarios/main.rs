//! Scenarios of the protocol as files that read like stories: what once went wrong elsewhere, replayed on real nodes.
//!
//! Each `*.txt` beside this file is one test. A file has
//!
//! - comments (`# ...`): at the top the story, in the middle what happens next;
//! - commands (`> propose 3 a`), and under each, indented, what it made the nodes do;
//! - expectations (`> expect log 1 = 1:0 1:1`), which are assertions.
//!
//! The printed results are compared line by line. After a wanted change, write them anew with
//!
//! ```text
//! ZW_SCENARIOS=write cargo test -p zw-core --test scenarios
//! ```
//!
//! and read the difference; `ZW_SCENARIOS=print` with `--nocapture` only prints them. Expectations are never rewritten, and a broken one, or a broken rule of `witness.rs`,
//! fails in that mode too. Nodes are called by their numbers; zxids are EPOCH:COUNTER, and E:0 is the marker of E.
//!
//! | verb | what it does |
//! |---|---|
//! | `nodes 3` | a new stage of three connected nodes, without a leader; `apart`: unconnected; with limits `counter-max`, `window`, `retained-log` and `pinned-log` (bytes), `commands` |
//! | `elect 3` | messages and time until 3 leads and all it reaches follow; told in one line |
//! | `pass 500ms` | time goes by; heartbeats are not told |
//! | `until 2 leads`, `looks`, `is elected`, `follows 3`, `joins 3` | the same until it is so |
//! | `propose 1 a b` | clients of 1 create /a and /b, in one batch |
//! | `barrier 2 r` | a client of 2 asks where a linearizable read, called r, may read |
//! | `session 1 ann`, `create-ephemeral 1 ann /x`, `close-session 1 ann` | the same for sessions |
//! | `hold 1->2`, `release 1->2` | messages that way wait; go on |
//! | `deliver 1->2`, `deliver 1->2 3`, `deliver 1->2 Ack` | the next of them arrives; the next three; all up to the next that begins so |
//! | `inject 2->3 Ack 1:7, epoch 1` | 3 hears what 2 did not say now, in the words that the stage prints, with 2's entries where it has them; `cut short`: every beginning of its bytes instead |
//! | `cut 1 2`, `cut 3 from 1 2` | links break, what was on the way is lost; nobody connects but `join` |
//! | `join 1 2`, `join 3 from 1 2` | they are connected, now or when both run; a number that is no member may knock, too |
//! | `slow-disk 2`, `fast-disk 2` | writes wait for `sync`; are durable at once (the default) |
//! | `sync 2`, `sync 2 1 record` | what 2 wrote is durable, or its next record; `unreported`: and 2 does not know yet |
//! | `crash 3`, `restart 3` | a power cut: only what is durable remains; it starts from that |
//! | `pause 3`, `resume 3` | the process stands still, its inputs wait; goes on |
//! | `snapshot 1` | 1 has a snapshot of its tree on disk |
//! | `slow-fetch 2`, `fetch 2`, `fetch 2 cut anywhere` | snapshots wait; the one under way arrives; breaks off |
//! | `show`, `tree 2` | where everybody stands; the znodes of 2 |
//! | `mark` | the following expectations are about what is sent and closed from here on |
//! | `expect ...` | see `expect.rs`: leader, role, epoch, promise, log, disk, snapshot, committed, delivered, tree, serving, sent, no ack, closed, refused, barrier |

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod expect;
mod node;
mod script;
mod stage;
mod table;
mod verbs;
mod witness;
mod words;

use script::What;
use stage::Stage;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// One test for each file.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*
        const LISTED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    etcd_20418_read_after_pause
    etcd_aba_late_durable_notice
    rule_b1_disk_and_network_in_parallel
    rule_b2_acks
    rule_b3_own_epoch_on_a_quorum
    rule_b4_watermark
    rule_b5_windows
    rule_b6_admission
    rule_b7_abdication
    rule_d1_hello_and_goodbye
    rule_d2_epoch_above_all_promises
    rule_d3_promises
    rule_d4_epoch_ends
    rule_d5_leader_lacks_nothing
    rule_d6_marker
    rule_e1_vote_order
    rule_e2_rounds
    rule_e3_join_the_leader_itself
    rule_e4_settling
    rule_e5_votes_are_not_trusted
    rule_e6_members_only
    rule_s1_common_point
    rule_s2_truncate_snapshot_append
    rule_s3_no_gaps
    rule_s4_nothing_uncommitted_applied
    rule_s5_serve_when_caught_up
    rule_s6_snapshot_install
    stuck_promise
    tla_1_proposal_during_join
    tla_2_proposal_twice
    tla_3_commit_of_the_wrong_zxid
    zk_1154_truncated_too_much
    zk_1277_counter_rolls_over
    zk_1291_promise_before_word
    zk_1675_sync_without_quorum
    zk_2355_ephemeral_lives_on
    zk_2845_tree_ahead_of_log
    zk_2959_strangers_counted
    zk_3104_newleader_before_diff
    zk_3109_voter_changes_its_mind
    zk_3144_fuzzy_snapshot
    zk_3642_5094_half_a_snapshot
    zk_3769_short_vote
    zk_3911_newleader_acked_early
    zk_4394_commit_of_what_moved
    zk_4643_epoch_before_history
    zk_4685_acks_out_of_order
    zk_4712_old_writer_lives_on
    zk_4785_lost_in_diff
    zk_4925_hole_after_election
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Plays one file, and compares or rewrites its printed results.
fn play(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mode = std::env::var("ZW_SCENARIOS").unwrap_or_default();
    let write = mode == "write";
    let mut stage = None;
    let (mut rewritten, mut failures) = (String::new(), String::new());
    for block in script::parse(&text).unwrap_or_else(|error| panic!("{name}.txt: {error}")) {
        let (command, promised) = match block.what {
            What::Prose(line) => {
                rewritten.push_str(&line);
                rewritten.push('\n');
                continue;
            }
            What::Command { command, result } => (command, result),
        };
        let outcome = perform(&mut stage, &command);
        let printed = stage.as_mut().map(|stage| std::mem::take(&mut stage.lines)).unwrap_or_default();
        script::put(&mut rewritten, &command, &printed);
        let place = format!("{name}.txt:{}: > {command}", block.line);
        if mode.is_empty() && printed != promised {
            let _ = write!(failures, "{place}\n{}", script::difference(&promised, &printed));
        }
        if let Err(error) = outcome {
            let _ = writeln!(failures, "{place}\n    ! {error}");
            // What comes after would only be noise.
            if !command.starts_with("expect") {
                break;
            }
        }
    }
    if mode == "print" {
        println!("{rewritten}");
    }
    if write && failures.is_empty() {
        std::fs::write(&path, rewritten).unwrap();
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// One command; a broken rule and a panic of a node are failures of it.
fn perform(stage: &mut Option<Stage>, command: &str) -> Result<(), String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| verbs::run(stage, command)));
    let outcome = outcome.unwrap_or_else(|_| Err("a node stopped itself: see the panic above".into()));
    let broken = stage.as_mut().map(|stage| std::mem::take(&mut stage.witness.broken)).unwrap_or_default();
    if broken.is_empty() { outcome } else { Err(broken.join("\n    ! ")) }
}

/// The files that the bugs and rules of `docs/protocol.md` must have.
const BUGS: &[&str] = &[
    "zk_2845",
    "zk_3911",
    "zk_4643",
    "zk_4685",
    "zk_4394",
    "zk_4785",
    "zk_4925",
    "zk_3642_5094",
    "zk_4712",
    "zk_3104",
    "zk_1154",
    "zk_1291",
    "zk_2355",
    "zk_3144",
    "zk_1277",
    "zk_1675",
    "zk_2959",
    "zk_3109",
    "zk_3769",
    "tla_1",
    "tla_2",
    "tla_3",
    "etcd_aba",
    "etcd_20418",
    "stuck_promise",
];

#[test]
fn no_file_is_forgotten() {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let mut names: Vec<String> = texts.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let mut listed = LISTED.to_vec();
    listed.sort_unstable();
    assert_eq!(names, listed, "the files, and those listed in scenarios!");
}

#[test]
fn every_bug_and_every_rule_has_its_file() {
    let rules = [("e", 6), ("d", 6), ("s", 6), ("b", 7)];
    let rules = rules.iter().flat_map(|(phase, count)| (1..=*count).map(move |rule| format!("rule_{phase}{rule}")));
    let wanted = BUGS.iter().map(|bug| (*bug).to_owned()).chain(rules);
    let has = |wanted: &str| LISTED.iter().any(|name| *name == wanted || name.starts_with(&format!("{wanted}_")));
    let missing: Vec<String> = wanted.filter(|wanted| !has(wanted)).collect();
    assert!(missing.is_empty(), "no scenario for {missing:?}");
}

#[test]
fn every_file_tells_its_story_and_asserts_something() {
    if std::env::var_os("ZW_SCENARIOS").is_some() {
        // The files are being written by the other tests.
        return;
    }
    for name in LISTED {
        let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        assert!(text.starts_with("# "), "{name}.txt does not begin with its story");
        assert!(text.contains("\n> expect "), "{name}.txt expects nothing");
    }
}
