//! Leaders (rules D1 to D4, S1, S2, B2, B4).

use crate::bench::{Bench, N1, N2, N3, disk_of_epoch_1, heartbeat, sent, zxid};
use bytes::Bytes;
use std::time::Duration;
use zw_core::ids::{Epoch, SessionId, Zxid};
use zw_core::limits::EPOCH_ENDS_MAX;
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Promise, Record};
use zw_core::zab::Limits;
use zw_core::zab::effects::{Effect, Input, Role};
use zw_core::zab::message::{
    Ack, AckEpoch, Append, Digest, EpochEnd, HeartbeatAck, Hello, Message, NewEpoch, SnapshotOffer,
};

#[test]
fn a_node_tells_where_it_and_its_followers_stand() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, link) = leader.lead_both();
    assert_eq!(leader.zab.promise(), Promise { epoch: Epoch(1), leader: N3 });
    leader.propose([Bytes::new()]);
    leader.acknowledge(N2, link);
    assert_eq!([N1, N2, N3].map(|peer| leader.zab.acked_by(peer)), [Some(zxid(1, 0)), Some(zxid(1, 1)), None]);
    assert_eq!(Bench::new(N3, &Recovered::default()).zab.acked_by(N2), None);
}

/// D2: another leader may have the same epoch's promise of a follower. Only a later epoch helps.
#[test]
fn a_promise_of_the_same_epoch_to_another_raises_the_epoch() {
    let mut leader = Bench::new(N3, &Recovered::default());
    leader.lead(Epoch(0));
    leader.durable();
    assert_eq!(leader.zab.epoch(), Epoch(1));
    let link = leader.connect(N1);
    leader.hear(N1, link, Message::Hello(Hello { promised: Epoch(1), to: N1 }));
    assert_eq!(leader.zab.epoch(), Epoch(2));
    let invited = leader.durable();
    assert!(sent(&invited).contains(&(N1, &Message::NewEpoch(NewEpoch { epoch: Epoch(2) }))));
}

/// Two stuck promises, the second too soon after the first: a later heartbeat raises the epoch above it.
#[test]
fn a_second_stuck_promise_waits_for_its_turn() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, second) = leader.lead_both();
    leader.hear(N1, first, Message::Hello(Hello { promised: Epoch(7), to: N1 }));
    leader.acknowledge_epoch(&[(N2, second)]);
    leader.hear(N1, first, Message::Hello(Hello { promised: Epoch(20), to: N1 }));
    assert_eq!(leader.zab.epoch(), Epoch(8), "not so soon");
    for _ in 0..60 {
        leader.pass(Duration::from_millis(10));
        let ack = HeartbeatAck { epoch: leader.zab.epoch(), round: 0, touched: Vec::new() };
        leader.hear(N2, second, Message::HeartbeatAck(ack));
    }
    assert_eq!(leader.zab.epoch(), Epoch(21));
}

/// D3: the late word of a follower about an epoch that was given up moves nothing.
#[test]
fn an_acknowledgement_of_an_earlier_epoch_does_not_begin_a_synchronisation() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, second) = leader.lead_both();
    leader.hear(N1, first, Message::Hello(Hello { promised: Epoch(7), to: N1 }));
    leader.acknowledge_epoch(&[(N2, second)]);
    let late = AckEpoch { epoch: Epoch(1), last_zxid: zxid(1, 0), epoch_ends: vec![EpochEnd(zxid(1, 0))] };
    assert_eq!(leader.hear(N1, first, Message::AckEpoch(late)), []);
    assert_eq!(leader.zab.acked_by(N1), None);
}

/// S1: a follower tells of so many epochs only. If none of them is common and there may be more, the common point is
/// unknown, not zero.
#[test]
fn a_follower_with_more_epochs_than_it_can_tell_gets_a_snapshot() {
    for (ends, snapshot) in [(EPOCH_ENDS_MAX - 1, false), (EPOCH_ENDS_MAX, true)] {
        let mut disk = Recovered::default();
        disk.replay(Record::Promise(Promise { epoch: Epoch(999), leader: N3 })).unwrap();
        disk.replay(Record::Entry(Entry::new(zxid(999, 0), 0, b""))).unwrap();
        let mut leader = Bench::new(N3, &disk);
        let link = leader.lead(Epoch(999));
        leader.durable();
        let epoch_ends: Vec<EpochEnd> = (1..).take(ends).map(|epoch| EpochEnd(zxid(epoch, 0))).collect();
        let ack = AckEpoch { epoch: Epoch(1_000), last_zxid: epoch_ends.last().unwrap().0, epoch_ends };
        let effects = leader.hear(N2, link, Message::AckEpoch(ack));
        let first = sent(&effects)[0].1;
        assert_eq!(matches!(first, Message::SnapshotOffer(_)), snapshot, "{first:?}");
        assert_eq!(matches!(first, Message::Truncate(_)), !snapshot, "{first:?}");
    }
}

/// S2: what was acknowledged before the offer came is no sign of the snapshot; the offered zxid is; and if the log has
/// moved on beyond it meanwhile, there is a new offer.
#[test]
fn a_snapshot_is_installed_when_the_offered_zxid_is_acknowledged() {
    let limits = Limits { retained_log_bytes: 0, pinned_log_bytes: 0, ..Limits::default() };
    let mut leader = Bench::with(N3, &disk_of_epoch_1(), 1, limits);
    let second = leader.lead(Epoch(1));
    leader.acknowledge_epoch(&[(N2, second)]);
    let append_all = |leader: &mut Bench| {
        leader.propose([Bytes::new()]);
        leader.durable();
        leader.acknowledge(N2, second);
    };
    append_all(&mut leader);
    let offered = leader.zab.log_start();
    assert_eq!(offered, zxid(2, 1), "nothing that is applied is kept");
    let first = leader.connect(N1);
    leader.hear(N1, first, Message::Hello(Hello { promised: Epoch(1), to: N3 }));
    let ack = AckEpoch { epoch: Epoch(2), last_zxid: zxid(1, 0), epoch_ends: vec![EpochEnd(zxid(1, 0))] };
    let offer = |zxid| Message::SnapshotOffer(SnapshotOffer { epoch: Epoch(2), zxid });
    let effects = leader.hear(N1, first, Message::AckEpoch(ack));
    assert_eq!(sent(&effects), [(N1, &offer(offered))]);
    let ack = |zxid| Message::Ack(Ack { epoch: Epoch(2), zxid });
    assert_eq!(leader.hear(N1, first, ack(zxid(2, 0))), [], "sent before the offer came");
    append_all(&mut leader);
    let effects = leader.hear(N1, first, ack(offered));
    assert_eq!(sent(&effects), [(N1, &offer(zxid(2, 2)))], "the log has moved on");
    assert_eq!(effects.len(), 1, "and it is not taken for a follower that fell behind: {effects:?}");
    let effects = leader.hear(N1, first, ack(zxid(2, 2)));
    assert_eq!(leader.zab.acked_by(N1), Some(zxid(2, 2)));
    let watermark = Append { epoch: Epoch(2), previous: zxid(2, 2), commit: zxid(2, 2), entries: Vec::new() };
    assert_eq!(sent(&effects), [(N1, &Message::Append(watermark))]);
}

/// I4: acks are cumulative, so the same one twice says nothing new and is no fault.
#[test]
fn the_same_ack_twice_is_no_fault() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, link) = leader.lead_both();
    assert_eq!(leader.acknowledge(N2, link), []);
}

/// Only signs of life are passed on, and digests go to whoever has the same log.
#[test]
fn touched_sessions_and_digests_are_passed_on() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, second) = leader.lead_both();
    let ack = |touched| Message::HeartbeatAck(HeartbeatAck { epoch: Epoch(1), round: 0, touched });
    assert_eq!(leader.hear(N2, second, ack(Vec::new())), []);
    let sessions = vec![SessionId(5)];
    assert_eq!(leader.hear(N2, second, ack(sessions.clone())), [Effect::Touched { sessions: sessions.clone() }]);
    assert_eq!(leader.give(Input::Touched { sessions: sessions.clone() }), [Effect::Touched { sessions }]);
    let digest = Digest { zxid: zxid(1, 0), digest: 7 };
    let effects = leader.give(Input::Digest { zxid: digest.zxid, digest: digest.digest });
    let message = Message::Digest(digest);
    assert_eq!(sent(&effects), [(N1, &message), (N2, &message)]);
}

/// A leader that hears nothing of a quorum for as long as followers bear its silence steps down at that very moment, and
/// the runtime comes back for each heartbeat until then.
#[test]
fn a_leader_without_its_quorum_steps_down() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, second) = leader.lead_both();
    let mut effects = Vec::new();
    while heartbeat(&effects).is_none() {
        effects = leader.pass(Duration::from_millis(1));
    }
    assert_eq!(leader.zab.next_deadline(), leader.now.tick.after(Duration::from_millis(100)));
    let round = heartbeat(&effects).unwrap();
    leader.echo(N1, first, &round);
    leader.echo(N2, second, &round);
    leader.pass(Duration::from_millis(499));
    assert_eq!(leader.zab.role(), Role::Leading);
    leader.pass(Duration::from_millis(1));
    assert_eq!(leader.zab.role(), Role::Looking);
}

/// While committed entries wait for their delivery the runtime must not sleep.
#[test]
fn what_is_committed_is_delivered_without_a_pause() {
    use zw_core::limits::DELIVER_BATCH_MAX;
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, link) = leader.lead_both();
    leader.propose((0..=DELIVER_BATCH_MAX).map(|_| Bytes::new()));
    leader.durable();
    leader.acknowledge_sent(N2, link);
    assert!(leader.zab.delivered() < leader.zab.committed(), "more than one batch");
    assert_eq!(leader.zab.next_deadline(), leader.now.tick);
    leader.give(Input::Tick);
    assert_eq!(leader.zab.delivered(), Zxid::new(Epoch(1), DELIVER_BATCH_MAX as u64 + 1));
    assert!(leader.zab.next_deadline() > leader.now.tick);
}

/// Rule B7: nor while an exhausted epoch waits to be left.
#[test]
fn an_exhausted_epoch_is_left_without_a_pause() {
    let limits = Limits { counter_max: 1, ..Limits::default() };
    let mut leader = Bench::with(N3, &Recovered::default(), 1, limits);
    let (_, link) = leader.lead_both();
    leader.propose([Bytes::new()]);
    leader.durable();
    leader.acknowledge(N2, link);
    assert_eq!((leader.zab.delivered(), leader.zab.role()), (zxid(1, 1), Role::Leading));
    assert_eq!(leader.zab.next_deadline(), leader.now.tick);
    leader.give(Input::Tick);
    assert_eq!(leader.zab.role(), Role::Looking);
}
