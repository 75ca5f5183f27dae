//! Followers (rules D3, S2 to S6, B2).

use crate::bench::{Bench, N1, N2, N3, disk_of_epoch_1, fetched, sent, written, zxid};
use bytes::Bytes;
use std::time::Duration;
use zw_core::ids::{Epoch, SessionId, Zxid};
use zw_core::limits::{TOUCHED_SESSIONS_MAX, WAITING_DIGESTS_MAX};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Record, SnapshotId};
use zw_core::zab::Limits;
use zw_core::zab::effects::{Effect, Input, Role};
use zw_core::zab::message::{
    Append, Candidate, Digest, Heartbeat, Message, NewEpoch, SnapshotOffer, Standing, Truncate, Vote,
};

fn closes(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Close { .. }))
}

/// Rule D3: only the own leader is promised anything, and only its word is a sign of its life.
#[test]
fn what_another_node_says_as_a_leader_is_nothing() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    let other = follower.connect(N2);
    let effects = follower.hear(N2, other, Message::NewEpoch(NewEpoch { epoch: Epoch(9) }));
    assert_eq!((written(&effects), follower.zab.epoch()), (Vec::new(), Epoch(4)));
    let heartbeat = |epoch| Message::Heartbeat(Heartbeat { epoch, round: 1, commit: Zxid::ZERO });
    for _ in 0..20 {
        follower.pass(Duration::from_millis(50));
        follower.hear(N2, other, heartbeat(Epoch(4)));
    }
    assert_eq!(follower.zab.role(), Role::Looking, "its own leader was silent for a second");
    assert_eq!(sent(&follower.hear(N3, link, heartbeat(Epoch(4)))), []);
}

/// Rule S2: only before the first record, and only back to what is there.
#[test]
fn a_truncation_out_of_place_closes_the_link() {
    let truncate = |after| Message::Truncate(Truncate { epoch: Epoch(4), after });
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    assert!(closes(&follower.hear(N3, link, truncate(zxid(4, 0)))), "the records have begun");
    let mut follower = Bench::new(N1, &disk_of_epoch_1());
    let link = follower.promise_epoch_4();
    assert!(closes(&follower.hear(N3, link, truncate(zxid(1, 1)))), "nothing ends there");
    let mut follower = Bench::new(N1, &disk_of_epoch_1());
    let link = follower.promise_epoch_4();
    let effects = follower.hear(N3, link, truncate(Zxid::ZERO));
    assert_eq!(written(&effects), [&Record::Truncate { after: Zxid::ZERO }]);
}

/// What was truncated is not admitted any more: a node that leads later has all its room (rule B6).
#[test]
fn what_is_truncated_takes_no_room() {
    let mut disk = disk_of_epoch_1();
    for counter in 1..=3 {
        disk.replay(Record::Entry(Entry::new(zxid(1, counter), 0, b"not committed"))).unwrap();
    }
    let mut node = Bench::with(N3, &disk, 1, Limits { uncommitted_commands: 4, ..Limits::default() });
    let link = node.connect(N2);
    let candidate = Candidate { zxid: zxid(1, 9), node: N2 };
    node.hear(N2, link, Message::Vote(Vote { round: 1, candidate, standing: Standing::Leading }));
    node.hear(N2, link, Message::NewEpoch(NewEpoch { epoch: Epoch(4) }));
    node.durable();
    node.hear(N2, link, Message::Truncate(Truncate { epoch: Epoch(4), after: zxid(1, 0) }));
    let entries = vec![Entry::new(zxid(4, 0), 0, b"")];
    node.hear(N2, link, Message::Append(Append { epoch: Epoch(4), previous: zxid(1, 0), commit: zxid(4, 0), entries }));
    node.durable();
    assert_eq!(node.zab.delivered(), zxid(4, 0));
    node.give(Input::Disconnected { peer: N2, link });
    let link = node.lead_in_round(2, Epoch(4));
    node.acknowledge_epoch(&[(N2, link)]);
    assert!(node.zab.is_serving());
    let effects = node.propose((0..5).map(|_| Bytes::new()));
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Reject { .. })).count(), 1, "four fit");
}

/// Rule S6: a snapshot that is older than was asked for, or than what is known to be committed, helps nothing.
#[test]
fn a_snapshot_that_does_not_help_is_discarded_and_fetched_again() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.promise_epoch_4();
    let offer = Message::SnapshotOffer(SnapshotOffer { epoch: Epoch(4), zxid: zxid(3, 9) });
    let fetch = fetched(&follower.hear(N3, link, offer)).unwrap();
    let old = SnapshotId { zxid: zxid(3, 8), digest: 0 };
    let effects = follower.give(Input::SnapshotReceived { fetch, snapshot: old });
    assert_eq!(effects, [Effect::Discard { snapshot: old }]);
    let retry = follower.now.tick.after(Duration::from_millis(200));
    assert_eq!(follower.zab.next_deadline(), retry, "the runtime must come back for it");
    let fetch = fetched(&follower.pass(Duration::from_millis(200))).expect("it is fetched again");
    let least = SnapshotId { zxid: zxid(3, 9), digest: 0 };
    let effects = follower.give(Input::SnapshotReceived { fetch, snapshot: least });
    assert!(effects.contains(&Effect::Reset { snapshot: least }));
    // One of less than is here, offered by a leader that has lost its mind, is not even fetched.
    let offer = Message::SnapshotOffer(SnapshotOffer { epoch: Epoch(4), zxid: zxid(3, 2) });
    let effects = follower.hear(N3, link, offer);
    assert!(fetched(&effects).is_none(), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Close { .. })), "{effects:?}");
}

/// One of just what is here lacks nothing, and the leader may have no other way to bring this node along.
#[test]
fn a_snapshot_of_what_is_here_is_fetched() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    assert_eq!(follower.zab.epoch_ends(), [zxid(4, 0)]);
    let offer = Message::SnapshotOffer(SnapshotOffer { epoch: Epoch(4), zxid: zxid(4, 0) });
    assert!(fetched(&follower.hear(N3, link, offer)).is_some());
}

/// A snapshot is recorded once, and never one that is older than another.
#[test]
fn the_snapshots_in_the_log_rise() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    let entries = vec![Entry::new(zxid(4, 1), 0, b"")];
    follower.hear(
        N3,
        link,
        Message::Append(Append { epoch: Epoch(4), previous: zxid(4, 0), commit: zxid(4, 1), entries }),
    );
    let snapshot = |counter| SnapshotId { zxid: zxid(4, counter), digest: 0 };
    for (counter, records) in [(1, 1), (1, 0), (0, 0)] {
        let effects = follower.give(Input::SnapshotTaken { snapshot: snapshot(counter) });
        assert_eq!(written(&effects).len(), records, "{effects:?}");
    }
}

/// Sessions that were alive here go with the next answer to the leader, each once, and no more than fit.
#[test]
fn signs_of_life_go_with_the_next_heartbeat() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    let mut beat = |round, touched: Vec<SessionId>| {
        for sessions in touched.chunks(1_000) {
            follower.give(Input::Touched { sessions: sessions.to_vec() });
        }
        let heartbeat = Heartbeat { epoch: Epoch(4), round, commit: Zxid::ZERO };
        let effects = follower.hear(N3, link, Message::Heartbeat(heartbeat));
        let [(N3, Message::HeartbeatAck(ack))] = &sent(&effects)[..] else { panic!("{effects:?}") };
        ack.touched.clone()
    };
    let [one, two] = [SessionId(1), SessionId(2)];
    assert_eq!(beat(1, vec![two, one, two]), [one, two]);
    assert_eq!(beat(2, vec![]), []);
    let many = (0..=TOUCHED_SESSIONS_MAX as u64).map(SessionId).collect();
    assert_eq!(beat(3, many).len(), TOUCHED_SESSIONS_MAX);
}

/// A digest is compared as soon as this node has come so far, and so many wait at most.
#[test]
fn digests_wait_for_their_entry() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    let digest = |counter| Digest { zxid: zxid(4, counter), digest: 70 + counter };
    let compared = |effects: Vec<Effect>| -> Vec<u64> {
        let digests = effects.into_iter().filter_map(|effect| match effect {
            Effect::CompareDigest { digest, .. } => Some(digest),
            _ => None,
        });
        digests.collect()
    };
    assert_eq!(compared(follower.hear(N3, link, Message::Digest(digest(0)))), [70]);
    let many = WAITING_DIGESTS_MAX as u64 + 10;
    for counter in 1..=many {
        assert_eq!(compared(follower.hear(N3, link, Message::Digest(digest(counter)))), Vec::<u64>::new());
    }
    let other = follower.connect(N2);
    follower.hear(N2, other, Message::Digest(Digest { zxid: zxid(4, 0), digest: 1 }));
    let entries: Vec<Entry> = (1..=many).map(|counter| Entry::new(zxid(4, counter), 0, b"")).collect();
    let append = Append { epoch: Epoch(4), previous: zxid(4, 0), commit: zxid(4, many), entries };
    let compared = compared(follower.hear(N3, link, Message::Append(append)));
    assert_eq!(compared.len(), WAITING_DIGESTS_MAX, "the oldest, and the one that came last");
    assert_eq!((compared[0], compared.last()), (71, Some(&(70 + many))));
}
