//! The flow of messages and the page of an election, from traces that a real ensemble of three nodes told.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use proptest::prelude::*;
use sample::script::{ASCII, Script, UNICODE};
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::wire::admin::{Status, TraceBatch, TraceEvent, TraceKind};
use zw_tui::member::Member;
use zw_tui::model::Pane;
use zw_tui::model::collector::{Collector, ENDED_MAX, OPEN_MAX, Portion, RARE_MAX, RECENT_MAX, TRACKED_MAX, Told};
use zw_tui::model::election::{ELECTIONS_MAX, Elections, Stage};
use zw_tui::model::flow::{self, Hindrance, SHOW_TIME};
use zw_tui::model::message::{Msg, Written};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::transaction::{MessageKind, Tally, Transaction};
use zw_tui::motion;
use zw_tui::motion::Motion;
use zw_tui::supervisor::{Asked, Change, Exit};

const SECOND: u64 = 1_000_000_000;
/// Long after all that the fixture tells.
const LATER: u64 = 60 * SECOND;

/// What three real nodes told of a write through a follower and of the loss of their leader.
fn recorded() -> Vec<Told> {
    let lines = include_str!("fixtures/write_and_election.jsonl").lines();
    let told = lines.map(|line| {
        let (node, event): (usize, TraceEvent) = serde_json::from_str(line).unwrap();
        Told { node, event }
    });
    told.collect()
}

fn batch(events: impl IntoIterator<Item = TraceEvent>) -> TraceBatch {
    TraceBatch { events: events.into_iter().collect(), dropped: 0, now_ns: 0 }
}

fn end_of(told: &[Told]) -> u64 {
    told.iter().map(|told| told.event.monotonic_ns).max().unwrap()
}

/// Feeds a collector with everything, then asks it for portions until it has no more.
fn portions(told: Vec<Told>) -> Vec<Portion> {
    let ended = told.iter().filter(|told| told.event.kind == TraceKind::Written);
    let mut now = ended.map(|told| told.event.monotonic_ns).max().unwrap() + SECOND / 10;
    let mut collector = Collector::new(3);
    for Told { node, event } in told {
        collector.take(node, batch([event]));
    }
    let mut portions = Vec::new();
    for _ in 0..20 {
        now += SECOND / 3;
        portions.extend(collector.portion(now));
    }
    portions
}

fn writes(told: Vec<Told>) -> Vec<Transaction> {
    portions(told).into_iter().flat_map(|portion| portion.writes).collect()
}

/// The write of the fixture that made a znode.
fn create(told: Vec<Told>) -> Transaction {
    let writes = writes(told);
    writes.iter().find(|write| write.words == "create /flow").unwrap_or_else(|| panic!("{writes:#?}")).clone()
}

fn event(sequence: u64, kind: TraceKind, peer: u16, zxid: u64, number: u64, text: &str) -> TraceEvent {
    let monotonic_ns = sequence * 1_000_000;
    TraceEvent { sequence, monotonic_ns, kind, peer: NodeId(peer), zxid: Zxid(zxid), number, text: text.into() }
}

/// What is told of traces and of the ensemble that they are from.
trait Traced {
    fn trace(&mut self, portion: Portion) -> &mut Script;
    fn writes(&mut self, writes: Vec<Transaction>) -> &mut Script;
    /// The screens of all sizes, in ASCII and Unicode.
    fn pictures(&self) -> String;
}

impl Traced for Script {
    fn trace(&mut self, portion: Portion) -> &mut Script {
        self.tell(Msg::Trace(Box::new(portion)))
    }

    fn writes(&mut self, writes: Vec<Transaction>) -> &mut Script {
        let nodes = self.state.nodes.len();
        self.trace(Portion { applied: vec![14; nodes], writes, ..Portion::default() })
    }

    fn pictures(&self) -> String {
        self.screens(&ASCII) + &self.screens(&UNICODE)
    }
}

/// An ensemble that n1 leads; nothing travels on the screen.
fn led_by_n1(nodes: u16) -> Script {
    let mut script = Script::running(nodes, 0);
    script.state.flow.motion = Motion::Reduced;
    for node in 1..=nodes {
        script.says(Status { epoch: Epoch(7), ..sample::status(node, 1, Zxid::ZERO) });
    }
    script
}

/// A console that was told all of the fixture.
fn told_all() -> Script {
    let mut script = led_by_n1(3);
    let mut told = recorded();
    told.retain(|told| !told.event.kind.is_frequent());
    let now_ns = end_of(&told);
    let rare = told;
    // What was before the console is no news.
    script.now = Duration::from_secs(1);
    script.trace(Portion { now_ns, rare, applied: vec![0; 3], ..Portion::default() });
    script
}

#[test]
fn a_write_through_a_follower_is_put_together() {
    let write = create(recorded());
    let rows = write.rows(3);
    let count = |kind: MessageKind| rows.iter().filter(|row| row.kind == kind).count();
    let kinds = [
        (MessageKind::Request, 1),
        (MessageKind::Forward, 1),
        (MessageKind::Proposal, 2),
        (MessageKind::Durable, 1),
        (MessageKind::Ack, 2),
        (MessageKind::Commit, 2),
        (MessageKind::Answer, 1),
    ];
    for (kind, expected) in kinds {
        assert_eq!(count(kind), expected, "{kind:?} in {rows:#?}");
    }
    assert!(rows.iter().all(|row| row.received.is_some_and(|received| received >= row.sent)), "{rows:#?}");
    assert!(rows.is_sorted_by_key(|row| row.at()));
    let quorum: Vec<_> = rows.iter().filter(|row| matches!(row.tally, Some(Tally::Quorum(_)))).collect();
    assert_eq!(quorum.len(), 1);
    assert!(quorum[0].received <= write.committed);
}

#[test]
fn nothing_is_drawn_as_received_before_it_was_sent() {
    let mut write = create(recorded());
    for hop in write.proposals.values_mut().chain(write.acks.values_mut()) {
        hop.received = hop.received.map(|at| at - 1_000_000);
    }
    for hop in write.commits.values_mut() {
        hop.sent = None;
    }
    for row in write.rows(3) {
        assert!(row.received.is_some_and(|received| received >= row.sent), "{row:?}");
    }
}

proptest! {
    /// Each node's events come in their order; how the nodes' batches interleave is chance.
    #[test]
    fn shuffled_batches_tell_the_same(choices in prop::collection::vec((0_usize..3, 1_usize..40), 0..200)) {
        let mut left: Vec<Vec<Told>> = (0..3)
            .map(|node| recorded().into_iter().filter(|told| told.node == node).collect())
            .collect();
        let mut shuffled = Vec::new();
        for (node, count) in choices {
            let count = count.min(left[node].len());
            shuffled.extend(left[node].drain(..count));
        }
        shuffled.extend(left.into_iter().flatten());
        prop_assert_eq!(writes(shuffled.clone()), writes(recorded()));
        let elections = |told: Vec<Told>| {
            let mut elections = Elections::new(3);
            for told in told {
                elections.take(vec![told]);
            }
            elections.iter().cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(elections(shuffled), elections(recorded()));
    }
}

#[test]
fn what_is_gathered_is_bounded_and_what_is_lost_is_counted() {
    let mut collector = Collector::new(3);
    for number in 1..50_000 {
        let zxid = number << 8;
        collector.take(0, batch([event(number, TraceKind::Write, 0, 0, number, "set /a")]));
        if number % 2 == 0 {
            collector.take(0, batch([event(number, TraceKind::Written, 0, zxid, number, "")]));
        }
        collector.take(1, batch([event(number, TraceKind::Role, 1, 0, number, "looking")]));
    }
    let size = format!("{collector:?}").len();
    let bound = (3 * RECENT_MAX + OPEN_MAX + ENDED_MAX + RARE_MAX) * 400 + TRACKED_MAX * 4_096;
    assert!(size < bound, "{size} of {bound}");
    let portion = collector.portion(50_000 * 1_000_000).unwrap();
    assert!(portion.rare.len() <= RARE_MAX && portion.writes.len() <= TRACKED_MAX);
    assert!(portion.dropped > 40_000, "{}", portion.dropped);
    // Nobody took it: what is rare comes again, and the loss is counted.
    let (dropped, rare) = (portion.dropped, portion.rare.clone());
    collector.take_back(portion);
    let again = collector.portion(51_000 * 1_000_000).unwrap();
    assert_eq!((again.dropped, again.rare), (dropped + 1, rare));
}

#[test]
fn a_node_without_a_leader_repeats_itself_and_is_heard_once() {
    let mut collector = Collector::new(3);
    for sequence in 1..100 {
        collector.take(0, batch([event(sequence, TraceKind::VoteReceived, 2, 77, 5, "Looking 2")]));
    }
    assert_eq!(collector.portion(LATER).unwrap().rare.len(), 1);
}

#[test]
fn a_write_without_an_answer_is_shown_while_it_waits() {
    let mut collector = Collector::new(3);
    collector.take(1, batch([event(1, TraceKind::Write, 0, 0, 9, "set /a")]));
    assert!(collector.portion(2_000_000).is_none(), "it may only be slow");
    let waits = collector.portion(SECOND).unwrap().writes;
    assert_eq!((waits.len(), waits[0].zxid, &waits[0].ended), (1, None, &None));
    collector.take(1, batch([event(1_500, TraceKind::Written, 0, 0, 9, "refused: no quorum")]));
    let ended = collector.portion(2 * SECOND).unwrap().writes;
    assert_eq!(ended[0].ended.as_ref().unwrap().1, "refused: no quorum");
}

#[test]
fn one_write_is_shown_at_a_time_and_for_long_enough() {
    let first = create(recorded());
    let other = |tag: u64| Transaction { tag, ..first.clone() };
    let mut script = led_by_n1(3);
    script.writes(vec![first.clone()]);
    assert_eq!(script.state.flow.shown.as_ref().unwrap().transaction.tag, first.tag);
    script.state.flow.motion = Motion::Reduced;
    script.writes(vec![other(901), other(902)]);
    assert_eq!(script.state.flow.shown.as_ref().unwrap().transaction.tag, first.tag, "it has just come");
    assert_eq!(script.state.flow.change_at(), Some(SHOW_TIME));
    script.now = SHOW_TIME;
    script.writes(Vec::new());
    assert_eq!(script.state.flow.shown.as_ref().unwrap().transaction.tag, 902, "the newest");
    script.now = 3 * SHOW_TIME;
    script.writes(vec![first]);
    assert_eq!(script.state.flow.shown.as_ref().unwrap().transaction.tag, 902, "none is shown twice");
    assert_eq!(script.state.flow.change_at(), None, "and nothing changes by itself");
}

#[test]
fn what_a_paused_follower_was_sent_is_held() {
    let mut write = create(recorded());
    let leader = write.leader.unwrap();
    let paused = (0..3).find(|node| *node != leader && *node != write.origin).unwrap();
    write.proposals.get_mut(&paused).unwrap().received = None;
    for hops in [&mut write.acks, &mut write.commits] {
        hops.remove(&paused);
    }
    write.applied.remove(&paused);
    let mut script = led_by_n1(3);
    script.state.node = paused;
    script.keys("P").writes(vec![write.clone()]);
    let shown = script.state.flow.shown.clone().unwrap();
    let rows = shown.transaction.rows(3);
    let held = rows.iter().find(|row| row.received.is_none()).unwrap();
    assert_eq!((held.kind, shown.hindrance(held)), (MessageKind::Proposal, Some(Hindrance::Paused)));
    let screen = script.screen(&ASCII, (160, 45));
    assert!(screen.contains("held: paused") && screen.contains(&format!("no ack n{}", paused + 1)), "{screen}");
    insta::assert_snapshot!("held", script.pictures());
    // It goes on: what was held arrives.
    write.proposals.get_mut(&paused).unwrap().received = Some(write.until());
    script.keys("P").writes(vec![write]);
    assert!(!script.screen(&ASCII, (160, 45)).contains("held"));
}

#[test]
fn what_is_cut_off_stops_at_the_cut() {
    let mut write = create(recorded());
    let leader = write.leader.unwrap();
    let cut = (0..3).find(|node| *node != leader && *node != write.origin).unwrap();
    write.proposals.get_mut(&cut).unwrap().received = None;
    for hops in [&mut write.acks, &mut write.commits] {
        hops.remove(&cut);
    }
    let mut script = led_by_n1(3);
    script.state.node = cut;
    script.keys("C").writes(vec![write]);
    let screen = script.screen(&ASCII, (160, 45));
    assert!(screen.lines().any(|line| line.contains('X') && line.contains("PROP")), "{screen}");
}

#[test]
fn the_flow_in_all_sizes() {
    let mut script = led_by_n1(3);
    insta::assert_snapshot!("no_write_yet", script.keys("3").pictures());
    script.writes(vec![create(recorded())]);
    insta::assert_snapshot!("a_write", script.pictures());
    script.keys("+");
    insta::assert_snapshot!("a_write_zoomed", script.pictures());
}

#[test]
fn many_nodes_fold_into_fewer_lanes() {
    let mut script = led_by_n1(9);
    let mut write = create(recorded());
    let leader = write.leader.unwrap();
    let hops = |hops: &mut std::collections::BTreeMap<usize, _>| {
        let hop = *hops.values().next().unwrap();
        (0..9).filter(|node| *node != leader).for_each(|node| {
            hops.entry(node).or_insert(hop);
        });
    };
    hops(&mut write.proposals);
    hops(&mut write.acks);
    hops(&mut write.commits);
    script.keys("3").writes(vec![write]);
    insta::assert_snapshot!("nine_nodes", script.pictures());
}

#[test]
fn messages_travel_only_with_motion_and_only_while_they_do() {
    let mut script = led_by_n1(3);
    script.state.flow.motion = Motion::Full;
    script.writes(vec![create(recorded())]);
    let write = script.state.flow.shown.clone().unwrap().transaction;
    let whole = Duration::from_nanos(write.until() - write.began) * script.state.flow.lens();
    assert!(motion::next_frame(&script.state, Duration::ZERO, Duration::ZERO, false).is_some());
    assert!(motion::next_frame(&script.state, Duration::ZERO, whole, false).is_none(), "all have arrived");
    let at = |script: &mut Script, now: Duration| {
        script.now = now;
        script.screen(&ASCII, (160, 45))
    };
    let (begin, end) = (at(&mut script, Duration::ZERO), at(&mut script, whole));
    assert!(!begin.contains("ACK") && end.contains("ACK"), "{begin}");
    script.keys("0");
    assert!(motion::next_frame(&script.state, Duration::ZERO, whole / 100, false).is_none(), "it was faster than that");
    script.keys("<<<");
    assert_eq!(script.state.flow.lens(), 100);
    for motion in [Motion::Reduced, Motion::Off] {
        script.state.flow.motion = motion;
        assert!(motion::next_frame(&script.state, Duration::ZERO, Duration::ZERO, false).is_none());
        assert!(at(&mut script, Duration::ZERO).contains("ACK"), "all at once");
    }
}

#[test]
fn the_election_of_the_fixture_has_all_ballots() {
    let script = told_all();
    let elections = &script.state.elections;
    assert_eq!(elections.len(), 2, "the first leader's, and that after its loss: {elections:#?}");
    let election = elections.back(0).unwrap();
    let (old, _) = election.before.unwrap();
    let survivors: Vec<usize> = (0..3).filter(|node| *node != old).collect();
    assert_eq!(election.last_votes().into_keys().collect::<Vec<_>>(), survivors);
    let (won_at, winner) = election.won.unwrap();
    let (stood_at, _) = election.established.unwrap();
    assert!(election.began < won_at && won_at <= stood_at);
    assert_eq!(election.stage_at(winner, stood_at), Some(Stage::Leading));
    assert_eq!(election.stage_at(winner, election.began), Some(Stage::Following));
    assert!(election.ballots.iter().all(|ballot| ballot.at >= election.began && !ballot.why.is_empty()));
    assert_eq!(election.catches.len(), 1);
    assert!(election.catches[0].done.is_some());
}

#[test]
fn the_page_of_an_election_in_all_sizes() {
    let mut script = told_all();
    // The end of the process is told a moment after the others noticed it.
    script.after(5_000);
    let old = script.state.elections.back(0).unwrap().before.unwrap().0;
    script.change(
        Member::Node(u8::try_from(old + 1).unwrap()),
        Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None },
    );
    let now_ns = end_of(&recorded());
    script.trace(Portion { now_ns, applied: vec![0; 3], ..Portion::default() });
    insta::assert_snapshot!("election", script.keys("e").pictures());
    script.keys("[");
    insta::assert_snapshot!("first_election", script.pictures());
    script.keys("]");
    assert!(script.screen(&ASCII, (160, 45)).contains("killed by you"));
    script.keys("e");
    assert!(script.state.overlay.is_none());
}

#[test]
fn who_was_down_at_an_election_is_shown_so_though_its_trace_knows_nothing() {
    let mut script = led_by_n1(4);
    let killed = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
    script.after(1_000).change(Member::Node(4), killed).after(60_000);
    let now_ns = end_of(&recorded());
    script.trace(Portion { now_ns, rare: recorded(), applied: vec![0; 4], ..Portion::default() });
    // It has come back since.
    script.after(1_000).change(Member::Node(4), Change::Spawned { pid: 7 });
    let screen = script.keys("e").screen(&ASCII, (160, 45));
    let lane = screen.lines().find(|line| line.contains("n4") && line.contains('x')).unwrap();
    assert!(lane.contains("xxxxxxxxxx") && lane.contains("DOWN"), "{screen}");
    assert!(screen.contains("n4   no vote was seen: DOWN"), "{screen}");
}

#[test]
fn enter_on_an_event_shows_its_write_or_its_election() {
    let mut script = told_all();
    let write = create(recorded());
    let zxid = write.zxid.unwrap();
    script.writes(vec![write.clone()]);
    let written = |zxid| {
        let (path, took) = ("/flow".to_owned(), Duration::from_millis(2));
        let written = Written { created: true, version: 0, zxid, took, last: path.clone(), count: 1 };
        Msg::Written { node: 1, path, result: Ok(written) }
    };
    script.tell(written(Zxid::new(Epoch(9), 77)));
    script.keys("7\r");
    assert!(script.toast().contains("9:77 are not known"), "{}", script.toast());
    script.tell(written(zxid));
    for tag in 1..=5 {
        script.after(5_000).writes(vec![Transaction { tag: 900 + tag, zxid: None, ..write.clone() }]);
    }
    let shown = |script: &Script| script.state.flow.shown.as_ref().unwrap().transaction.tag;
    assert_eq!(shown(&script), 905, "it is long gone");
    script.keys("7\r");
    assert_eq!((shown(&script), script.state.focus()), (write.tag, Pane::Flow));
    assert!(script.screen(&ASCII, (160, 45)).contains("chosen: Esc goes on"));
    script.after(60_000).writes(vec![Transaction { tag: 906, zxid: None, ..write.clone() }]);
    assert_eq!(shown(&script), write.tag, "it stays");
    script.keys("\x1b").after(5_000).writes(Vec::new());
    assert_eq!(shown(&script), 906);
    for tag in 1..=100 {
        script.writes(vec![Transaction { tag: 1_000 + tag, zxid: None, ..write.clone() }]);
    }
    script.keys("7\r");
    assert!(script.toast().contains("are not known") && shown(&script) != write.tag, "{}", script.toast());
    script.says(sample::status(3, 3, Zxid::new(Epoch(2), 4))).keys("\x1b7G\r");
    assert!(matches!(script.state.overlay, Some(Overlay::Election { back: 0, .. })), "{:?}", script.state.overlay);
}

#[test]
fn what_was_gone_back_to_is_not_said_to_be_held_by_what_is_down_today() {
    let mut script = led_by_n1(3);
    let mut write = create(recorded());
    let leader = write.leader.unwrap();
    let lost = (0..3).find(|node| *node != leader && *node != write.origin).unwrap();
    write.proposals.get_mut(&lost).unwrap().received = None;
    script.writes(vec![write.clone()]);
    assert!(flow::pin(&mut script.state, script.now, write.zxid.unwrap()));
    script.after(60_000);
    assert!(script.state.flow.let_go());
    let down = Member::Node(u8::try_from(lost + 1).unwrap());
    script.change(down, Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    script.writes(Vec::new());
    let shown = script.state.flow.shown.as_ref().unwrap();
    assert_eq!((shown.transaction.tag, shown.hindered.len()), (write.tag, 0), "it is still shown, and as it was");
    // Of a write of now it is said.
    script.after(5_000).writes(vec![Transaction { tag: 907, ..write }]);
    let shown = script.state.flow.shown.as_ref().unwrap();
    assert_eq!((shown.transaction.tag, shown.hindered.get(&lost)), (907, Some(&Hindrance::Down)));
}

#[test]
fn an_election_that_is_not_over_says_so() {
    let mut told = recorded();
    told.retain(|told| !told.event.kind.is_frequent());
    let mut elections = Elections::new(3);
    elections.take(told.clone());
    let stood = elections.back(0).unwrap().established.unwrap().0;
    let won = elections.back(0).unwrap().won.unwrap().0;
    let mut script = led_by_n1(3);
    told.retain(|told| told.event.monotonic_ns < won.min(stood));
    script.trace(Portion { rare: told, applied: vec![0; 3], ..Portion::default() });
    assert!(script.state.toast.is_none(), "it is offered when it is over");
    let screen = script.keys("e").screen(&ASCII, (160, 45));
    assert!(screen.contains("Not over") && screen.contains("not over"), "{screen}");
}

#[test]
fn the_end_of_an_election_is_offered_and_takes_nothing() {
    let script = told_all();
    assert!(script.state.overlay.is_none() && script.state.focus() == Pane::Nodes);
    assert!(script.state.toast.as_ref().unwrap().text.contains("e shows the election"));
}

#[test]
fn elections_are_remembered_up_to_a_bound() {
    let mut told = recorded();
    told.retain(|told| !told.event.kind.is_frequent());
    let (mut elections, span) = (Elections::new(3), end_of(&told) + 10 * SECOND);
    for round in 0..40_u64 {
        let mut again = told.clone();
        for told in &mut again {
            told.event.monotonic_ns += round * span;
            if told.event.kind == TraceKind::Role {
                told.event.number += 2 * round;
            }
        }
        elections.take(again);
        assert!(elections.len() <= ELECTIONS_MAX + 4, "{}", elections.len());
    }
    assert!(elections.len() >= ELECTIONS_MAX);
    let epochs: Vec<_> = elections.iter().filter_map(|election| election.epoch()).collect();
    assert!(epochs.is_sorted(), "{epochs:?}");
}

#[test]
fn no_size_breaks_the_flow_or_the_page() {
    let mut flow = led_by_n1(5);
    flow.writes(vec![create(recorded())]).keys("3");
    let mut zoomed = led_by_n1(2);
    zoomed.writes(vec![create(recorded())]).keys("3+");
    let mut page = told_all();
    page.keys("e");
    for script in [&flow, &zoomed, &page] {
        for width in (1..200).step_by(7) {
            for height in (1..60).step_by(3) {
                let screen = script.screen(&ASCII, (width, height));
                assert!(screen.is_ascii(), "{screen}");
            }
        }
    }
}
