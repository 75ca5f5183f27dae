//! Searches a world breadth first: the first violation found is one of the shortest.

use super::moves::{State, World};
use super::store::States;
use super::{Plan, Sight, Violation};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// What a search found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) plan: Plan,
    /// Different states.
    pub(crate) states: usize,
    /// Moves taken.
    pub(crate) moves: u64,
    /// All states within so many moves of the start were found; if complete, the last one is so far away.
    pub(crate) depth: usize,
    /// Whether every state was expanded.
    pub(crate) complete: bool,
    pub(crate) time: Duration,
    /// What was come by, and after how many moves at the least.
    pub(crate) sights: BTreeMap<Sight, usize>,
    /// Different nodes, links, histories and steps of a node.
    pub(crate) sizes: [usize; 4],
    /// The property that does not hold, and the moves that lead there.
    pub(crate) violation: Option<(Violation, Vec<String>)>,
}

/// Where a search ends, if the world is not at its end before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) states: usize,
    pub(crate) time: Duration,
}

/// Searches the world of `plan`.
pub(crate) fn search(plan: Plan, bound: Bound) -> Report {
    let begin = Instant::now();
    let mut report = Report {
        plan,
        states: 0,
        moves: 0,
        depth: 0,
        complete: false,
        time: Duration::ZERO,
        sights: BTreeMap::new(),
        sizes: [0; 4],
        violation: None,
    };
    let (mut world, first) = match World::new(plan) {
        Ok(start) => start,
        Err(violation) => {
            report.violation = Some((violation, vec!["the start".to_owned()]));
            return report;
        }
    };
    let mut states = States::new(bound.states);
    states.add(first.pack(), 0, 0);
    let mut moves = Vec::new();
    // The states of one depth lie between the end of those before and `end`.
    let (mut at, mut end) = (0, 1);
    'search: while at < states.count() && !states.is_full() && begin.elapsed() < bound.time {
        while at < end {
            let state = State::unpack(states.get(at));
            world.moves(&state, &mut moves);
            for (by, what) in moves.iter().enumerate() {
                report.moves += 1;
                match world.after(&state, *what) {
                    Ok(next) => drop(states.add(next.pack(), at, by)),
                    Err(violation) => {
                        let mut way = trace(&world, &states, at);
                        way.push(world.describe(&state, *what));
                        report.violation = Some((violation, way));
                        break 'search;
                    }
                }
                if states.is_full() {
                    break 'search;
                }
            }
            for sight in world.take_sights() {
                report.sights.entry(sight).or_insert(report.depth + 1);
            }
            at += 1;
            if at.is_multiple_of(1 << 14) && begin.elapsed() >= bound.time {
                break 'search;
            }
        }
        report.depth += 1;
        end = states.count();
    }
    report.complete = report.violation.is_none() && at == states.count();
    // The last round found nothing.
    report.depth -= usize::from(report.complete);
    report.states = states.count();
    report.sizes = world.sizes();
    report.time = begin.elapsed();
    report
}

/// The moves that lead to the state numbered `at`.
fn trace(world: &World, states: &States, at: usize) -> Vec<String> {
    let mut moves = Vec::new();
    let described = states.way_to(at).into_iter().map(|(packed, by)| {
        let state = State::unpack(packed);
        world.moves(&state, &mut moves);
        world.describe(&state, moves[by])
    });
    described.collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let end = if self.complete { "complete" } else { "cut off, all" };
        writeln!(
            f,
            "{} ({:?}, {:?}, {:?}): {} states, {} moves, {end} to depth {}, in {seconds:.1} s, {:.0} states/s",
            self.plan.name,
            self.plan.start,
            self.plan.votes,
            self.plan.sabotage,
            self.states,
            self.moves,
            self.depth,
            self.states as f64 / seconds.max(0.001),
        )?;
        writeln!(f, "  {}", self.plan.budget)?;
        let [nodes, links, histories, steps] = self.sizes;
        writeln!(f, "  {nodes} different nodes, {links} links, {histories} histories, {steps} steps of a node")?;
        writeln!(f, "  first seen after so many moves: {:?}", self.sights)?;
        if let Some((violation, way)) = &self.violation {
            writeln!(f, "  {} does not hold after {} moves: {}", violation.property, way.len(), violation.detail)?;
            for (number, line) in way.iter().enumerate() {
                writeln!(f, "  {:>3} {line}", number + 1)?;
            }
        }
        Ok(())
    }
}
