//! From events in the order of their times to elections: who led from when, how each leadership was lost, and what lies
//! between.

use super::{Ballot, Base, Catch, Election, Loss, Span, Stage, TAIL_NS};
use crate::model::collector::Told;
use crate::model::transaction::{index_of, quorum};
use std::collections::BTreeMap;
use zw_core::ids::Epoch;
use zw_core::wire::admin::{TraceEvent, TraceKind};

/// Losses of a leader so close to each other have one cause.
const BURST_NS: u64 = 2_000_000_000;

pub(super) fn span_of(told: &Told) -> Option<Span> {
    let Told { node, event } = told;
    let stage = match event.text.as_str() {
        _ if event.kind != TraceKind::Role => return None,
        "looking" => Stage::Looking,
        "leader" => Stage::Leading,
        "syncing" if index_of(event.peer) == Some(*node) => Stage::Elected,
        "syncing" => Stage::Syncing,
        _ => Stage::Following,
    };
    Some(Span { stage, from: event.monotonic_ns })
}

fn epoch_of(event: &TraceEvent) -> Epoch {
    Epoch(u32::try_from(event.number).unwrap_or(u32::MAX))
}

/// A leadership: who, in which epoch, from when.
type Leadership = (usize, Epoch, u64);

/// Who led before the events begin: whoever joins that leader tells so.
fn leader_before(base: &Base, events: &[Told]) -> Option<(usize, Epoch)> {
    let first_led = events.iter().find(|told| span_of(told).is_some_and(|span| span.stage == Stage::Leading));
    let first_led = first_led.map(|told| epoch_of(&told.event));
    let followers = events.iter().filter(|told| span_of(told).is_some_and(|span| span.stage == Stage::Following));
    let followed = followers.filter_map(|told| Some((index_of(told.event.peer)?, epoch_of(&told.event))));
    base.leadership.or_else(|| followed.into_iter().find(|(_, epoch)| first_led.is_none_or(|first| *epoch < first)))
}

/// The elections that events in the order of their times tell of.
pub(super) fn assemble(nodes: usize, base: &Base, events: &[Told]) -> Vec<Election> {
    let leader_before = leader_before(base, events);
    let mut leaderships: Vec<Leadership> = Vec::new();
    for Told { node, event } in events.iter().filter(|told| span_of(told).is_some_and(|s| s.stage == Stage::Leading)) {
        let leadership = (*node, epoch_of(event), event.monotonic_ns);
        let last = leaderships.last().map(|last| (last.0, last.1)).or(leader_before);
        if last != Some((leadership.0, leadership.1)) {
            leaderships.push(leadership);
        }
    }
    let mut elections = Vec::new();
    let mut before: Option<(usize, Epoch, u64)> = leader_before.map(|(node, epoch)| (node, epoch, 0));
    for (place, leadership) in leaderships.iter().enumerate() {
        let until = leaderships.get(place + 1).map_or(u64::MAX, |next| loss_of(nodes, events, *leadership, next.2).at);
        elections.push(election(nodes, base, events, before, Some(*leadership), until));
        before = Some(*leadership);
    }
    if let Some(last) = is_open(nodes, base, events, before) {
        elections.push(last);
    }
    elections
}

/// How a leadership was lost.
struct LossOf {
    /// When the first was without it, of those whose loss had one cause.
    at: u64,
    /// Whether no quorum stayed with it.
    is_final: bool,
    losses: Vec<Loss>,
}

/// How a leadership was lost before `until`.
fn loss_of(nodes: usize, events: &[Told], (leader, _, from): Leadership, until: u64) -> LossOf {
    let mut losses: BTreeMap<usize, Loss> = BTreeMap::new();
    let mut cuts: Vec<Loss> = Vec::new();
    let mut gone_at = None;
    let within = events.iter().filter(|told| told.event.monotonic_ns > from && told.event.monotonic_ns < until);
    for Told { node, event } in within {
        let (at, node, is_of_leader) = (event.monotonic_ns, *node, index_of(event.peer) == Some(leader));
        match event.kind {
            TraceKind::Lost if is_of_leader => {
                losses.insert(node, Loss { at, node, why: event.text.clone() });
                if node == leader || losses.len() > nodes - quorum(nodes) {
                    gone_at.get_or_insert(at);
                }
            }
            TraceKind::Link if is_of_leader && event.text == "disconnected" => {
                cuts.push(Loss { at, node, why: "the connection to it ended".into() });
            }
            // It came back to the same leader.
            TraceKind::Role if is_of_leader && event.text == "follower" => {
                losses.remove(&node);
                gone_at = gone_at.filter(|_| losses.contains_key(&leader) || losses.len() > nodes - quorum(nodes));
            }
            _ => {}
        }
    }
    let mut losses: Vec<Loss> = losses.into_values().collect();
    losses.sort_by_key(|loss| loss.at);
    let end = gone_at.or(losses.last().map(|loss| loss.at)).unwrap_or(until);
    let is_near = |loss: &Loss| loss.at.saturating_add(BURST_NS) >= end;
    losses.retain(is_near);
    let first = losses.iter().chain(cuts.iter().filter(|loss| is_near(loss) && loss.at <= end));
    let at = first.map(|loss| loss.at).min().unwrap_or(end);
    LossOf { at, is_final: gone_at.is_some(), losses }
}

/// The election that is not over, if there is one.
fn is_open(nodes: usize, base: &Base, events: &[Told], before: Option<Leadership>) -> Option<Election> {
    if let Some(before) = before {
        let lost = loss_of(nodes, events, before, u64::MAX);
        let all_lost = lost.is_final || lost.losses.len() >= quorum(nodes);
        return all_lost.then(|| election(nodes, base, events, Some(before), None, u64::MAX));
    }
    let has_votes = events.iter().any(|told| told.event.kind == TraceKind::Vote);
    has_votes.then(|| election(nodes, base, events, None, None, u64::MAX))
}

/// One election: between two leaderships, if there are such, with what follows until `until`.
fn election(
    nodes: usize,
    base: &Base,
    events: &[Told],
    before: Option<Leadership>,
    after: Option<Leadership>,
    until: u64,
) -> Election {
    let end = after.map_or(u64::MAX, |(_, _, at)| at);
    let lost = before.map(|before| loss_of(nodes, events, before, end));
    let is_start = |told: &&Told| matches!(told.event.kind, TraceKind::Role | TraceKind::Vote);
    let first = events.iter().find(is_start).map_or(end, |told| told.event.monotonic_ns);
    let began = lost.as_ref().map_or(first, |lost| lost.at).min(end);
    let until = until.min(end.saturating_add(TAIL_NS));
    let winner = after.map(|(node, ..)| node);
    let mut made = Election {
        began,
        before: before.map(|(node, epoch, _)| (node, epoch)),
        losses: lost.map_or_else(Vec::new, |lost| lost.losses),
        lanes: vec![Vec::new(); nodes],
        established: after.map(|(_, epoch, at)| (at, epoch)),
        ..Election::default()
    };
    for (node, span) in &base.stages {
        made.lanes[*node].push(*span);
    }
    for told in events.iter().filter(|told| told.event.monotonic_ns <= until) {
        note_lane(&mut made, told, began);
        if told.event.monotonic_ns >= began {
            note(&mut made, told, winner, end);
        }
    }
    made.is_partial = made.ballots.is_empty();
    made
}

fn note_lane(made: &mut Election, told: &Told, began: u64) {
    // Who was away long before does not tell so itself; its leader does.
    let is_early = told.event.kind == TraceKind::Link && told.event.monotonic_ns.saturating_add(BURST_NS) < began;
    if is_early && told.event.text == "disconnected" && made.before.is_some_and(|(leader, _)| leader == told.node) {
        let lane = index_of(told.event.peer).and_then(|away| made.lanes.get_mut(away));
        return lane.into_iter().for_each(Vec::clear);
    }
    let (Some(span), Some(lane)) = (span_of(told), made.lanes.get_mut(told.node)) else { return };
    // Only what it was when the election began, and what it became.
    if span.from <= began {
        lane.clear();
    }
    if lane.last().is_none_or(|last| last.stage != span.stage) {
        lane.push(span);
    }
}

fn note(made: &mut Election, told: &Told, winner: Option<usize>, end: u64) {
    let Told { node, event } = told;
    let (at, node, peer) = (event.monotonic_ns, *node, index_of(event.peer));
    let is_before_end = at <= end;
    match (event.kind, peer) {
        (TraceKind::Vote, Some(candidate)) if is_before_end => {
            let (round, zxid, why) = (event.number, event.zxid, event.text.clone());
            made.ballots.push(Ballot { at, node, round, candidate, zxid, why });
        }
        (TraceKind::VoteReceived, Some(voter)) if is_before_end && winner == Some(node) => {
            let candidate = event.text.rsplit(' ').next().and_then(|id| id.parse::<usize>().ok());
            if let Some(candidate) = candidate.and_then(|id| id.checked_sub(1)) {
                made.received.push((at, voter, candidate));
            }
        }
        (TraceKind::Role, _) if is_before_end && winner.is_none_or(|winner| winner == node) => {
            if span_of(told).is_some_and(|span| span.stage == Stage::Elected) {
                made.won = Some((at, node));
            } else if event.text == "looking" && made.won.is_some_and(|(_, won)| won == node) {
                // Elected, and given up before it led.
                made.won = None;
            }
        }
        (TraceKind::Role, Some(leader)) if event.text == "follower" && Some(leader) == winner => {
            if let Some(catch) = made.catches.iter_mut().rev().find(|catch| catch.node == node) {
                catch.done.get_or_insert(at);
            }
        }
        (TraceKind::Sync, Some(follower)) if winner == Some(node) => {
            made.catches.retain(|catch| catch.node != follower || catch.done.is_some());
            let (how, from) = (event.text.clone(), event.zxid);
            made.catches.push(Catch { at, node: follower, how, from, done: None });
        }
        (TraceKind::Truncate, _) => made.truncated.push((node, event.zxid)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::{NodeId, Zxid};

    fn told(node: usize, at: u64, kind: TraceKind, peer: u16, epoch: u64, text: &str) -> Told {
        let (peer, zxid, text) = (NodeId(peer), Zxid::ZERO, text.to_owned());
        Told { node, event: TraceEvent { sequence: at, monotonic_ns: at, kind, peer, zxid, number: epoch, text } }
    }

    /// A node that was away looks for a leader, and finds the one that the others have had all the time.
    #[test]
    fn who_comes_back_to_an_old_leader_makes_no_election() {
        let back = [
            told(2, 1, TraceKind::Role, 0, 0, "looking"),
            told(2, 2, TraceKind::Vote, 3, 1, "own vote"),
            told(2, 3, TraceKind::Role, 2, 3, "syncing"),
            told(2, 4, TraceKind::Role, 2, 3, "follower"),
        ];
        assert_eq!(assemble(3, &Base::default(), &back), []);
        // The next one is known to follow that leader.
        let mut events = back.to_vec();
        for (node, at) in [(0, 10), (2, 11)] {
            events.push(told(node, at, TraceKind::Lost, 2, 3, "silent"));
        }
        events.push(told(2, 20, TraceKind::Role, 3, 4, "leader"));
        let elections = assemble(3, &Base::default(), &events);
        let spans: Vec<_> = elections.iter().map(|made| (made.before, made.began, made.established)).collect();
        assert_eq!(spans, [(Some((1, Epoch(3))), 10, Some((20, Epoch(4))))]);
    }

    /// n1 was lost to its leader long before that was lost: what n1 was then, nobody knows.
    #[test]
    fn who_was_away_before_is_not_said_to_follow() {
        let late = 2 * BURST_NS;
        let mut events = vec![
            told(0, 1, TraceKind::Role, 2, 3, "follower"),
            told(2, 2, TraceKind::Role, 2, 3, "follower"),
            told(1, 3, TraceKind::Link, 1, 3, "disconnected"),
            told(2, late, TraceKind::Lost, 2, 3, "silent"),
            told(3, late, TraceKind::Lost, 2, 3, "silent"),
            told(3, late + 9, TraceKind::Role, 4, 4, "leader"),
        ];
        let stages = |events: &[Told]| {
            let elections = assemble(4, &Base::default(), events);
            let last = elections.last().unwrap();
            [0, 2].map(|node| last.stage_at(node, last.began - 1))
        };
        assert_eq!(stages(&events), [None, Some(Stage::Following)]);
        // One that is lost with it did follow until then.
        events[2].event.monotonic_ns = late - 1;
        events.sort_by_key(|told| told.event.monotonic_ns);
        assert_eq!(stages(&events), [Some(Stage::Following); 2]);
    }
}
