//! Elections (rules E1 to E6).

use crate::bench::{Bench, N1, N2, N3, disk_of_epoch_1, sent, written, zxid};
use std::time::Duration;
use zw_core::ids::{Epoch, LinkId, NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::zab::effects::{Effect, Event, Input, Role};
use zw_core::zab::message::{AckEpoch, Candidate, Message, NewEpoch, Standing, Vote};

fn vote(round: u64, zxid: Zxid, node: NodeId, standing: Standing) -> Message {
    Message::Vote(Vote { round, candidate: Candidate { zxid, node }, standing })
}

/// Why a node changed its vote, as its trace tells.
fn reasons(effects: &[Effect]) -> Vec<&'static str> {
    let reasons = effects.iter().filter_map(|effect| match effect {
        Effect::Trace(Event::Vote { why, .. }) => Some(*why),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn the_trace_tells_why_a_vote_is_better() {
    let vote = |round, zxid, node| vote(round, zxid, node, Standing::Looking);
    for (heard, reason) in [
        (vote(1, zxid(2, 0), N2), "higher epoch"),
        (vote(1, zxid(1, 5), N2), "higher zxid"),
        (vote(1, zxid(1, 0), N2), "higher id"),
        (vote(7, zxid(1, 5), N2), "a better vote in a later round"),
        (vote(7, zxid(0, 0), N2), "own vote in a later round"),
        (vote(7, zxid(1, 0), N1), "own vote in a later round"),
    ] {
        let mut node = Bench::new(N1, &disk_of_epoch_1());
        let link = node.connect(N2);
        assert_eq!(reasons(&node.hear(N2, link, heard)), [reason]);
    }
}

/// The vote of a peer counts as long as its connection.
#[test]
fn a_quorum_without_the_peer_that_made_it_elects_nobody() {
    let mut node = Bench::new(N3, &Recovered::default());
    let link = node.connect(N2);
    node.hear(N2, link, vote(1, Zxid::ZERO, N3, Standing::Looking));
    node.give(Input::Disconnected { peer: N2, link });
    let effects = node.pass(Duration::from_secs(1));
    // Not for a moment either: a leader that nobody follows soon looks again.
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Trace(Event::Role { .. }))), "{effects:?}");
}

/// The candidate's connection is gone: this node votes anew, in a round of its own, and follows nobody.
#[test]
fn a_candidate_that_is_gone_ends_the_round() {
    let mut node = Bench::new(N1, &Recovered::default());
    let link = node.connect(N3);
    let other = node.connect(N2);
    node.hear(N3, link, vote(1, Zxid::ZERO, N3, Standing::Looking));
    let effects = node.give(Input::Disconnected { peer: N3, link });
    let anew = vote(2, Zxid::ZERO, N1, Standing::Looking);
    assert_eq!(sent(&effects), [(N2, &anew)]);
    // The same if the connection is replaced before anybody noticed that it was gone.
    node.hear(N2, other, vote(2, Zxid::ZERO, N2, Standing::Looking));
    node.give(Input::Connected { peer: N2, link: LinkId(9) });
    let effects = node.pass(Duration::from_millis(200));
    assert_eq!(sent(&effects).first(), Some(&(N2, &vote(3, Zxid::ZERO, N1, Standing::Looking))));
}

/// The drain rule: who still writes does not know yet what its log will be, so it has no vote, in no round.
#[test]
fn a_node_that_still_writes_does_not_vote() {
    let mut node = Bench::new(N1, &Recovered::default());
    let link = node.connect(N3);
    node.hear(N3, link, vote(1, Zxid::ZERO, N3, Standing::Leading));
    let effects = node.hear(N3, link, Message::NewEpoch(NewEpoch { epoch: Epoch(4) }));
    assert_eq!(written(&effects).len(), 1, "the promise is on its way to the disk");
    node.give(Input::Disconnected { peer: N3, link });
    let link = node.connect(N2);
    let effects = node.hear(N2, link, vote(9, Zxid::ZERO, N2, Standing::Looking));
    assert_eq!(sent(&effects), []);
    let effects = node.hear(N2, link, vote(9, Zxid::ZERO, N2, Standing::Leading));
    assert_eq!((sent(&effects), node.zab.role()), (Vec::new(), Role::Looking));
    assert!(
        node.zab.next_deadline() > node.now.tick.after(Duration::from_secs(60)),
        "nothing but the disk is waited for"
    );
    let effects = node.durable();
    assert!(matches!(sent(&effects)[..], [(N2, Message::Vote(_))]), "{effects:?}");
}

/// The runtime asks when it must come back at the latest: with the next repetition of the vote, then with the end of
/// the settling time.
#[test]
fn a_voter_is_woken_for_its_next_vote_and_for_the_end_of_settling() {
    let mut node = Bench::new(N3, &Recovered::default());
    let link = node.connect(N2);
    assert_eq!(node.zab.next_deadline(), node.now.tick.after(Duration::from_millis(100)));
    node.pass(Duration::from_millis(50));
    node.hear(N2, link, vote(1, Zxid::ZERO, N3, Standing::Looking));
    let settled = node.now.tick.after(Duration::from_millis(200));
    node.pass(Duration::from_millis(190));
    assert_eq!(node.zab.next_deadline(), settled);
}

/// A joining follower greets its own leader anew when that tells that it leads. What others claim is no reason.
#[test]
fn only_the_own_leader_is_greeted_again() {
    let mut node = Bench::new(N1, &Recovered::default());
    let (third, second) = (node.connect(N3), node.connect(N2));
    node.hear(N3, third, vote(1, Zxid::ZERO, N3, Standing::Leading));
    assert_eq!(sent(&node.hear(N2, second, vote(1, Zxid::ZERO, N2, Standing::Leading))), []);
    let effects = node.hear(N3, third, vote(1, Zxid::ZERO, N3, Standing::Leading));
    assert!(matches!(sent(&effects)[..], [(N3, Message::Hello(_))]), "{effects:?}");
}

/// Patience has a part that differs from node to node, or all would give up a leader in the same moment, again and again.
#[test]
fn no_two_followers_have_the_same_patience() {
    let patience = |me: NodeId| {
        let mut node = Bench::new(me, &Recovered::default());
        let link = node.connect(N3);
        node.hear(N3, link, vote(1, Zxid::ZERO, N3, Standing::Leading));
        node.zab.next_deadline()
    };
    let (first, second) = (patience(N1), patience(N2));
    assert_ne!(first, second);
    let start = Bench::new(N1, &Recovered::default()).now.tick;
    for end in [first, second] {
        let range = start.after(Duration::from_millis(500))..start.after(Duration::from_millis(750));
        assert!(range.contains(&end), "{end:?}");
    }
}

/// What comes by a connection that was replaced belongs to a relation that is over.
#[test]
fn a_message_of_an_old_connection_is_not_heard() {
    let mut node = Bench::new(N1, &Recovered::default());
    let old = node.connect(N3);
    let link = node.connect(N3);
    node.hear(N3, old, vote(1, Zxid::ZERO, N3, Standing::Leading));
    assert_eq!(node.zab.role(), Role::Looking);
    node.hear(N3, link, vote(1, Zxid::ZERO, N3, Standing::Leading));
    assert_eq!(node.zab.role(), Role::Syncing);
}

/// A follower that said goodbye is none: its promise does not count, and it is invited anew when it comes back.
#[test]
fn a_goodbye_ends_the_relation_at_the_leader() {
    use zw_core::zab::message::{Goodbye, Hello, Reason};
    let mut leader = Bench::new(N3, &Recovered::default());
    let link = leader.lead(Epoch(0));
    leader.durable();
    leader.hear(N2, link, Message::Goodbye(Goodbye { reason: Reason::Left }));
    let other = leader.connect(N1);
    let hello = Message::Hello(Hello { promised: Epoch(0), to: N1 });
    leader.hear(N1, other, hello.clone());
    let invited = leader.hear(N2, link, hello);
    assert_eq!(sent(&invited), [(N2, &Message::NewEpoch(NewEpoch { epoch: Epoch(1) }))]);
    let ack = AckEpoch { epoch: Epoch(1), last_zxid: Zxid::ZERO, epoch_ends: Vec::new() };
    leader.hear(N2, link, Message::AckEpoch(ack.clone()));
    assert_eq!(leader.zab.last_zxid(), zxid(1, 0), "established with its promise");
}

/// It is sent nothing any more, though its connection stays.
#[test]
fn who_said_goodbye_gets_no_proposals() {
    use zw_core::zab::message::{Goodbye, Reason};
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, second) = leader.lead_both();
    leader.hear(N2, second, Message::Goodbye(Goodbye { reason: Reason::Left }));
    let effects = leader.propose([bytes::Bytes::new()]);
    let to: Vec<NodeId> = sent(&effects).into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(to, [N1]);
}

/// A node that waits does so for another time at each start, so that two of them do not stand in each other's way for ever.
#[test]
fn patience_differs() {
    let patience = |seed| {
        let mut node = Bench::with(N1, &Recovered::default(), seed, zw_core::zab::Limits::default());
        let link = node.connect(N3);
        node.hear(N3, link, vote(1, Zxid::ZERO, N3, Standing::Leading));
        node.zab.next_deadline()
    };
    let all: std::collections::BTreeSet<_> = (1..=8).map(patience).collect();
    assert!(all.len() > 4, "{all:?}");
}
