//! What the simulator found in the protocol, each as the shortest story of one node that shows it. The seeds are those
//! of the simulator of that day; a change of its worlds gives them other stories.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod bench;

use bench::{Bench, N1, N2, N3, disk_of_epoch_1, fetched, sent, zxid};
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::SnapshotId;
use zw_core::zab::effects::{Effect, Input, Proposal, Rejection};
use zw_core::zab::message::{
    AckEpoch, Append, BarrierReply, BarrierRequest, Candidate, EpochEnd, Forward, ForwardReply, Hello, Message,
    SnapshotOffer, Standing, Vote,
};

/// Seed 0. Heartbeats named an epoch that the leader itself could still forget (D2).
#[test]
fn nobody_hears_of_an_epoch_before_the_leader_has_promised_it_durably() {
    let mut leader = Bench::new(N3, &Recovered::default());
    leader.lead(Epoch(0));
    let early = leader.pass(Duration::from_millis(300));
    let named = sent(&early).iter().any(|(_, m)| matches!(m, Message::Heartbeat(_) | Message::NewEpoch(_)));
    assert!(!named, "{early:?}");
    assert!(sent(&leader.durable()).iter().any(|(_, message)| matches!(message, Message::NewEpoch(_))));
}

/// Seed 333: three million votes in half a second. A node that cannot reach the best candidate raised the round.
#[test]
fn a_candidate_out_of_reach_does_not_raise_the_round() {
    let mut node = Bench::new(N1, &Recovered::default());
    let link = node.connect(N2);
    let candidate = Candidate { zxid: Zxid::ZERO, node: N3 };
    let mut effects = Vec::new();
    for _ in 0..20 {
        effects.extend(node.hear(N2, link, Message::Vote(Vote { round: 1, candidate, standing: Standing::Looking })));
        effects.extend(node.pass(Duration::from_millis(20)));
    }
    for (_, message) in sent(&effects) {
        let Message::Vote(vote) = message else { panic!("{message:?}") };
        assert_eq!((vote.round, vote.candidate.node), (1, N1));
    }
}

/// Seed 201. Two attempts to join on one link could not be told apart, and the leader truncated what it had just sent.
#[test]
fn a_follower_that_gives_up_its_leader_closes_the_link() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.connect(N3);
    let candidate = Candidate { zxid: Zxid::ZERO, node: N3 };
    follower.hear(N3, link, Message::Vote(Vote { round: 1, candidate, standing: Standing::Leading }));
    let effects = follower.pass(Duration::from_secs(1));
    let closes = effects.iter().any(|e| matches!(e, Effect::Close { peer: N3, link: closed, .. } if *closed == link));
    assert!(closes, "{effects:?}");
}

/// Seed 867. A member that came back behind a half-open link was never spoken to, so nobody noticed.
#[test]
fn a_leader_tells_who_does_not_follow_that_it_leads() {
    let mut leader = Bench::new(N3, &Recovered::default());
    leader.lead(Epoch(0));
    leader.connect(N1);
    let effects = leader.pass(Duration::from_millis(300));
    let told = sent(&effects)
        .into_iter()
        .filter(|(to, m)| *to == N1 && matches!(m, Message::Vote(vote) if vote.standing == Standing::Leading));
    assert!(told.count() >= 2);
}

/// Seeds 1190 and 3588. A follower that lacked nothing was sent nothing, acknowledged nothing, and nothing was committed.
#[test]
fn a_follower_that_lacks_nothing_is_synchronised_too() {
    let mut leader = Bench::new(N3, &disk_of_epoch_1());
    let link = leader.lead(Epoch(1));
    leader.durable();
    let ack = |last_zxid| AckEpoch { epoch: Epoch(2), last_zxid, epoch_ends: vec![EpochEnd(last_zxid)] };
    leader.hear(N2, link, Message::AckEpoch(ack(zxid(1, 0))));
    assert_eq!(leader.zab.last_zxid(), zxid(2, 0), "the leader is established");
    let link = leader.connect(N2);
    let promised = Epoch(2);
    leader.hear(N2, link, Message::Hello(Hello { promised, to: N3 }));
    leader.durable();
    let effects = leader.hear(N2, link, Message::AckEpoch(ack(zxid(2, 0))));
    let appends: Vec<&Append> = sent(&effects)
        .iter()
        .filter_map(|(_, message)| match message {
            Message::Append(append) => Some(append),
            _ => None,
        })
        .collect();
    assert_eq!(appends.iter().map(|append| append.previous).collect::<Vec<_>>(), [zxid(2, 0)]);
}

/// Seeds 1979, 2497 and 2922. The own promise to an epoch that was given up counted for the raised one.
#[test]
fn an_own_promise_counts_for_its_own_epoch_only() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let link = leader.lead(Epoch(0));
    let first = leader.ticket;
    leader.hear(N2, link, Message::Hello(Hello { promised: Epoch(7), to: N1 }));
    assert!(leader.ticket > first && leader.zab.epoch() == Epoch(8), "the epoch is raised");
    leader.give(Input::Durable { ticket: first });
    let ack = AckEpoch { epoch: Epoch(8), last_zxid: Zxid::ZERO, epoch_ends: Vec::new() };
    leader.hear(N2, link, Message::AckEpoch(ack));
    assert_eq!(leader.zab.last_zxid(), Zxid::ZERO, "led with a promise that is not on the disk");
    leader.durable();
    assert_eq!(leader.zab.last_zxid(), zxid(8, 0));
}

/// A frame for each refused command filled the outbox of a healthy link, which was then closed as too slow.
#[test]
fn what_is_refused_together_is_told_together() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let link = leader.lead(Epoch(0));
    let proposals = |tags: std::ops::Range<u64>| {
        let proposals = tags.map(|tag| Proposal { tag, payload: bytes::Bytes::new() }).collect();
        Input::Message { peer: N2, link, message: Message::Forward(Forward { proposals }) }
    };
    let mut effects = Vec::new();
    for input in [
        proposals(0..3_000),
        proposals(3_000..6_000),
        Input::Message {
            peer: N2,
            link,
            message: Message::BarrierRequest(BarrierRequest { tags: vec![6_000, 6_001] }),
        },
    ] {
        leader.zab.step(leader.now, input, &mut effects);
    }
    leader.zab.flush(leader.now, &mut effects);
    let tags = (0..6_002).collect();
    let refused = Message::ForwardReply(ForwardReply { tags, why: Rejection::NoQuorum });
    assert_eq!(sent(&effects), [(N2, &refused)]);
}

/// The same for barriers, in both directions.
#[test]
fn barriers_that_come_together_are_asked_and_answered_together() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    let mut effects = Vec::new();
    for tag in 1..=5_000 {
        follower.zab.step(follower.now, Input::ReadBarrier { tag }, &mut effects);
    }
    follower.zab.flush(follower.now, &mut effects);
    let tags: Vec<u64> = (1..=5_000).collect();
    assert_eq!(sent(&effects), [(N3, &Message::BarrierRequest(BarrierRequest { tags: tags.clone() }))]);
    let reply = BarrierReply { tags: [&[9_999], &tags[..]].concat(), zxid: zxid(4, 0) };
    let stood = follower.hear(N3, link, Message::BarrierReply(reply.clone()));
    let expected: Vec<Effect> = tags.iter().map(|tag| Effect::Barrier { tag: *tag, zxid: zxid(4, 0) }).collect();
    assert_eq!(stood, expected, "those that were asked for, each once");
    assert_eq!(follower.hear(N3, link, Message::BarrierReply(reply)), []);
}

/// Seed 8155. The peer that was asked for a snapshot lived in a later epoch when it answered.
#[test]
fn a_snapshot_of_an_epoch_that_was_not_promised_is_discarded() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.promise_epoch_4();
    let offer = SnapshotOffer { epoch: Epoch(4), zxid: zxid(3, 9) };
    let first = fetched(&follower.hear(N3, link, Message::SnapshotOffer(offer))).unwrap();
    let later = SnapshotId { zxid: zxid(5, 6), digest: 0 };
    let effects = follower.give(Input::SnapshotReceived { fetch: first, snapshot: later });
    assert_eq!(effects, [Effect::Discard { snapshot: later }]);
    let again = fetched(&follower.pass(Duration::from_millis(300))).expect("it is fetched again");
    let usable = SnapshotId { zxid: zxid(3, 10), digest: 0 };
    let effects = follower.give(Input::SnapshotReceived { fetch: again, snapshot: usable });
    assert!(effects.contains(&Effect::Reset { snapshot: usable }));
}

/// The late failure of a fetch that was given up made the node fetch a third time beside the second; and its late success
/// replaced the tree under the second one's feet.
#[test]
fn the_outcome_of_a_fetch_that_was_given_up_changes_nothing() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.promise_epoch_4();
    let offer = |zxid| Message::SnapshotOffer(SnapshotOffer { epoch: Epoch(4), zxid });
    let first = fetched(&follower.hear(N3, link, offer(zxid(3, 9)))).unwrap();
    let second = fetched(&follower.hear(N3, link, offer(zxid(3, 20)))).unwrap();
    assert!(second > first);
    follower.give(Input::SnapshotFailed { fetch: first });
    assert_eq!(fetched(&follower.pass(Duration::from_millis(300))), None, "the second one is still under way");
    let old = SnapshotId { zxid: zxid(3, 30), digest: 0 };
    assert_eq!(
        follower.give(Input::SnapshotReceived { fetch: first, snapshot: old }),
        [Effect::Discard { snapshot: old }]
    );
    let effects = follower.give(Input::SnapshotReceived { fetch: second, snapshot: old });
    assert!(effects.contains(&Effect::Reset { snapshot: old }));
}

/// What a follower has proposed may lie inside the snapshot that it needs: nobody may wait for it after that.
#[test]
fn a_follower_that_needs_a_snapshot_gives_up_what_it_proposed_before_it_fetches() {
    let mut follower = Bench::new(N1, &Recovered::default());
    let link = follower.follow_epoch_4();
    let proposals = vec![Proposal { tag: 7, payload: bytes::Bytes::new() }];
    assert!(matches!(sent(&follower.give(Input::Propose { proposals }))[..], [(N3, Message::Forward(_))]));
    let offer = SnapshotOffer { epoch: Epoch(4), zxid: zxid(4, 90) };
    let effects = follower.hear(N3, link, Message::SnapshotOffer(offer));
    assert!(matches!(&effects[..2], [Effect::Suspend { .. }, Effect::FetchSnapshot { .. }]), "{effects:?}");
    let proposals = vec![Proposal { tag: 8, payload: bytes::Bytes::new() }];
    let effects = follower.give(Input::Propose { proposals });
    assert_eq!(
        effects,
        [Effect::Reject { tag: 8, why: Rejection::NoQuorum }],
        "what comes later is refused for certain"
    );
}
