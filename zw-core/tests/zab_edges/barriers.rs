//! Read barriers (protocol.md 2.9), and what else belongs to clients of a follower.

use crate::bench::{Bench, N1, N2, N3, heartbeat, sent, zxid};
use std::time::Duration;
use zw_core::ids::Epoch;
use zw_core::log::Recovered;
use zw_core::zab::effects::{Effect, Input, Proposal, Rejection};
use zw_core::zab::message::{BarrierRequest, Forward, ForwardReply, Hello, Message};

fn stood(effects: &[Effect]) -> Vec<&Effect> {
    effects.iter().filter(|effect| matches!(effect, Effect::Barrier { .. })).collect()
}

/// Of the barriers in the round under way those of a follower that is gone are forgotten, and no others.
#[test]
fn a_follower_that_is_gone_takes_its_own_barriers_along() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, second) = leader.lead_both();
    let request = Message::BarrierRequest(BarrierRequest { tags: vec![2] });
    let mut effects = Vec::new();
    for input in [Input::ReadBarrier { tag: 1 }, Input::Message { peer: N2, link: second, message: request }] {
        leader.zab.step(leader.now, input, &mut effects);
    }
    leader.zab.flush(leader.now, &mut effects);
    let round = heartbeat(&effects).unwrap();
    leader.give(Input::Disconnected { peer: N2, link: second });
    leader.connect(N2);
    let effects = leader.echo(N1, first, &round);
    assert_eq!(stood(&effects), [&Effect::Barrier { tag: 1, zxid: zxid(1, 0) }]);
    assert_eq!(sent(&effects), [], "the client of node 2 has gone elsewhere");
}

/// Nor of those that wait for the next round.
#[test]
fn what_waits_for_the_next_round_stays_too() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, second) = leader.lead_both();
    let round = heartbeat(&leader.give(Input::ReadBarrier { tag: 1 })).unwrap();
    leader.give(Input::ReadBarrier { tag: 2 });
    leader.hear(N2, second, Message::BarrierRequest(BarrierRequest { tags: vec![3] }));
    leader.give(Input::Disconnected { peer: N2, link: second });
    let effects = leader.echo(N1, first, &round);
    assert_eq!(stood(&effects), [&Effect::Barrier { tag: 1, zxid: zxid(1, 0) }]);
    let effects = leader.echo(N1, first, &heartbeat(&effects).expect("the next round begins"));
    assert_eq!(stood(&effects), [&Effect::Barrier { tag: 2, zxid: zxid(1, 0) }]);
}

/// A leader that does not serve yet says so at once.
#[test]
fn a_barrier_before_the_first_commit_is_refused() {
    let mut leader = Bench::new(N3, &Recovered::default());
    leader.lead(Epoch(0));
    let effects = leader.give(Input::ReadBarrier { tag: 1 });
    let refusal = effects.iter().any(|effect| matches!(effect, Effect::Reject { why: Rejection::NoQuorum, .. }));
    assert!(refusal, "{effects:?}");
}

/// A round of an earlier epoch proves nothing: who echoes a later one may have more than this node's watermark, and the
/// word of that is still on its way. The barrier waits until the new epoch's marker is committed.
#[test]
fn a_barrier_starts_anew_when_the_epoch_is_raised() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, second) = leader.lead_both();
    leader.give(Input::ReadBarrier { tag: 1 });
    leader.hear(N1, first, Message::Hello(Hello { promised: Epoch(7), to: N1 }));
    assert_eq!(leader.zab.epoch(), Epoch(8));
    leader.durable();
    let effects = leader.pass(Duration::from_millis(200));
    let round = heartbeat(&effects).unwrap();
    assert_eq!(round.epoch, Epoch(8));
    assert_eq!(stood(&leader.echo(N2, second, &round)), Vec::<&Effect>::new());
    leader.acknowledge_epoch(&[(N2, second)]);
    assert_eq!(leader.zab.committed(), zxid(8, 0));
    let round = heartbeat(&leader.pass(Duration::from_millis(200))).unwrap();
    let effects = leader.echo(N2, second, &round);
    assert_eq!(stood(&effects), [&Effect::Barrier { tag: 1, zxid: zxid(8, 0) }]);
}

/// What is refused together is told together; who left before that is told nothing, and what others wait for stays.
#[test]
fn refusals_go_with_their_connection() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let second = leader.lead(Epoch(0));
    let first = leader.connect(N1);
    let forward = |tag| {
        let proposals = vec![Proposal { tag, payload: bytes::Bytes::new() }];
        Message::Forward(Forward { proposals })
    };
    let mut effects = Vec::new();
    for input in [
        Input::Message { peer: N1, link: first, message: forward(1) },
        Input::Message { peer: N2, link: second, message: forward(2) },
        Input::Disconnected { peer: N2, link: second },
    ] {
        leader.zab.step(leader.now, input, &mut effects);
    }
    leader.zab.flush(leader.now, &mut effects);
    let refused = Message::ForwardReply(ForwardReply { tags: vec![1], why: Rejection::NoQuorum });
    assert_eq!(sent(&effects), [(N1, &refused)]);
}
