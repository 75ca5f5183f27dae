//! Each checker accepts what is right and refuses the least thing that is wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Promise, Record};
use zw_core::zab::message::{Ack, AckEpoch, Candidate, Heartbeat, Message, Standing, Vote};
use zw_sim::invariants::agreement::Agreement;
use zw_sim::invariants::digest_agreement::DigestAgreement;
use zw_sim::invariants::integrity::Integrity;
use zw_sim::invariants::leadership::Leadership;
use zw_sim::invariants::log_matching::LogMatching;
use zw_sim::invariants::monotonic::Monotonic;
use zw_sim::invariants::{ack_implies_durable, committed_immutable, committed_on_quorum};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

fn zxid(epoch: u32, counter: u64) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

fn entry(epoch: u32, counter: u64, payload: &[u8]) -> Entry {
    Entry::new(zxid(epoch, counter), 0, payload)
}

/// A log of epoch 1 with its marker and `count` commands, promised to node 1.
fn log(count: u64) -> Recovered {
    let mut log = Recovered::default();
    log.replay(Record::Promise(Promise { epoch: Epoch(1), leader: N1 })).unwrap();
    (0..=count).for_each(|counter| {
        log.replay(Record::Entry(entry(1, counter, if counter == 0 { b"" } else { b"x" }))).unwrap();
    });
    log
}

#[test]
fn a_delivery_needs_a_quorum_of_disks_with_the_same_entry() {
    let members = (0..3).map(|i| Address::new("node", 8080 + i)).collect();
    let ensemble = Ensemble::new(members).unwrap();
    let (long, short) = (log(2), log(1));
    let check =
        |entry: &Entry, disks: [&Recovered; 3]| committed_on_quorum::check(entry, &ensemble, disks.into_iter()).is_ok();
    assert!(check(&entry(1, 2, b"x"), [&long, &short, &long]));
    assert!(!check(&entry(1, 2, b"x"), [&long, &short, &short]));
    assert!(!check(&entry(1, 2, b"other"), [&long, &long, &long]));
}

#[test]
fn a_committed_entry_does_not_leave_a_log() {
    let mut agreement = Agreement::default();
    agreement.delivers(0, &entry(1, 0, b"")).unwrap();
    agreement.delivers(0, &entry(1, 1, b"x")).unwrap();
    let before = log(2).entries;
    assert!(committed_immutable::check(1, &before, &log(1), &agreement).is_ok(), "1:2 is not committed");
    assert!(committed_immutable::check(1, &before, &log(0), &agreement).is_err());
    assert!(committed_immutable::truncates(1, zxid(1, 1), zxid(1, 1)).is_ok());
    assert!(committed_immutable::truncates(1, zxid(1, 0), zxid(1, 1)).is_err());
}

#[test]
fn a_message_says_only_what_the_disk_holds() {
    let disk = log(2);
    let holds = |message: &Message| ack_implies_durable::check(N1, N2, message, &disk).is_ok();
    let ack = |counter| Message::Ack(Ack { epoch: Epoch(1), zxid: zxid(1, counter) });
    assert!(holds(&ack(2)) && !holds(&ack(3)));
    let beat = |epoch| Message::Heartbeat(Heartbeat { epoch: Epoch(epoch), round: 1, commit: Zxid::ZERO });
    assert!(holds(&beat(1)) && !holds(&beat(2)));
    let to_another = AckEpoch { epoch: Epoch(1), last_zxid: zxid(1, 2), epoch_ends: Vec::new() };
    assert!(!holds(&Message::AckEpoch(to_another)), "the disk's promise is to node 1, not to node 2");
    let candidate = Candidate { zxid: zxid(1, 3), node: N1 };
    assert!(!holds(&Message::Vote(Vote { round: 1, candidate, standing: Standing::Looking })));
}

#[test]
fn an_epoch_has_one_leader_with_all_that_is_committed() {
    let mut agreement = Agreement::default();
    agreement.delivers(0, &entry(1, 0, b"")).unwrap();
    agreement.delivers(0, &entry(1, 1, b"x")).unwrap();
    let mut leadership = Leadership::default();
    leadership.delivers(Epoch(1), zxid(1, 0));
    leadership.delivers(Epoch(1), zxid(1, 1));
    assert!(leadership.established(0, 1, Epoch(2), &log(0), &agreement).is_err(), "1:1 is missing");
    assert!(leadership.established(0, 1, Epoch(3), &log(1), &agreement).is_ok());
    assert!(leadership.established(1, 1, Epoch(3), &log(1), &agreement).is_err(), "another node");
    assert!(leadership.established(0, 2, Epoch(3), &log(1), &agreement).is_err(), "another process");
    agreement.delivers(0, &entry(1, 2, b"x")).unwrap();
    leadership.delivers(Epoch(6), zxid(1, 2));
    assert!(leadership.established(0, 1, Epoch(5), &log(1), &agreement).is_ok(), "1:2 is committed by epoch 6 only");
    assert!(leadership.established(0, 1, Epoch(7), &log(1), &agreement).is_err(), "1:2 is missing");
}

#[test]
fn logs_match() {
    let mut matching = LogMatching::default();
    assert!(matching.writes(0, zxid(1, 0), &entry(1, 1, b"x")).is_ok());
    assert!(matching.writes(1, zxid(1, 0), &entry(1, 1, b"x")).is_ok());
    assert!(matching.writes(1, zxid(1, 0), &entry(1, 1, b"y")).is_err(), "another entry");
    assert!(matching.writes(0, zxid(1, 1), &entry(2, 0, b"")).is_ok());
    assert!(matching.writes(1, zxid(1, 0), &entry(2, 0, b"")).is_err(), "another predecessor: a half history (I3)");
}

#[test]
fn writes_are_committed_once_in_order_and_never_after_a_refusal() {
    let mut integrity = Integrity::default();
    [1, 2, 3, 4].into_iter().for_each(|tag| integrity.proposes(N1, tag));
    assert!(integrity.commits(N1, 2, zxid(1, 1)).is_ok());
    assert!(integrity.commits(N1, 2, zxid(1, 2)).is_err(), "twice");
    assert!(integrity.commits(N1, 1, zxid(1, 2)).is_err(), "after a later one");
    assert!(integrity.commits(N1, 9, zxid(1, 2)).is_err(), "nobody asked for it");
    assert!(integrity.refuses(N1, 3).is_ok());
    assert!(integrity.commits(N1, 3, zxid(1, 2)).is_err(), "it was refused");
    assert!(integrity.refuses(N1, 2).is_err(), "it was committed");
}

#[test]
fn trees_agree_and_promises_stay() {
    let mut digests = DigestAgreement::default();
    assert!(digests.applied(0, zxid(1, 0), 7, None).is_ok());
    assert!(digests.applied(1, zxid(1, 0), 8, None).is_err());
    assert!(digests.claims(1, zxid(1, 0), 7).is_ok() && digests.claims(1, zxid(1, 0), 8).is_err());
    let mut monotonic = Monotonic::default();
    assert!(monotonic.starts(0, &log(1)).is_ok());
    assert!(monotonic.starts(0, &Recovered::default()).is_err(), "the promise is forgotten");
    assert!(Monotonic::serves(0, Epoch(2), zxid(2, 0)).is_ok());
    assert!(Monotonic::serves(0, Epoch(2), zxid(1, 9)).is_err(), "S5");
}
