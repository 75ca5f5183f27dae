//! The page of one election: who was what and when, who voted for whom and why, what it cost.

use super::canvas::{Canvas, Text, fit};
use crate::layout::inside_frame;
use crate::model::State;
use crate::model::causes::time;
use crate::model::election::{Ballot, Election, Stage};
use crate::model::select::{Face, clock, printable};
use crate::model::transaction::quorum;
use crate::theme::{Role, Theme};
use ratatui::layout::Rect;
use std::time::Duration;

/// Cells before and after a lane: the node with its last entry, and what became of it.
const LEFT: usize = 15;
const RIGHT: usize = 13;
/// Narrower than this the lanes have only the nodes' names.
const WORDS_FROM_WIDTH: usize = 56;
const LEFT_NARROW: usize = 4;
const RIGHT_NARROW: usize = 1;
/// Wider pages are hard to read.
const WIDTH_MAX: u16 = 130;
/// Ballots of one node that are shown; of more the last ones.
const BALLOTS_MAX: usize = 6;
/// Of what a node says.
const WORDS_BYTES_MAX: usize = 120;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, now: Duration, back: usize, top: usize, body: Rect) {
    let width = WIDTH_MAX.min(body.width);
    let page = page(state, canvas.theme, now, back, usize::from(width.saturating_sub(4)));
    let height = u16::try_from(page.len()).unwrap_or(u16::MAX).saturating_add(2).min(body.height);
    let area = Rect { x: body.x + (body.width - width) / 2, y: body.y + (body.height - height) / 2, width, height };
    canvas.clear(area);
    let inner = inside_frame(area);
    let rows = usize::from(inner.height);
    let top = top.min(page.len().saturating_sub(rows));
    let below = page.len().saturating_sub(top + rows);
    let mut keys = Text::new();
    if below > 0 {
        keys.add(format!(" {below} more: j k "), Role::Key);
    }
    if usize::from(width) > WORDS_FROM_WIDTH {
        keys.add(" [ ] older newer  e closes ", Role::Dim);
    }
    canvas.frame(area, true, &title(state, back), &keys);
    let inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    for (row, line) in (0..inner.height).zip(page.iter().skip(top)) {
        canvas.line(inner, row, line);
    }
}

fn title(state: &State, back: usize) -> Text {
    let Some(election) = state.elections.back(back) else { return Text::of(" Election ", Role::Focus) };
    let before = election.before.map_or_else(String::new, |(_, epoch)| format!("{epoch} -> "));
    let after = election.epoch().map_or_else(|| "?".to_owned(), |epoch| epoch.to_string());
    let took = election.took().map_or_else(|| "not over".to_owned(), |took| format!("{} total", time(took)));
    let place = state.elections.len() - back.min(state.elections.len() - 1);
    let count = state.elections.len();
    let title = Text::of(format!(" Election {place}/{count}  epoch {before}{after}  {took} "), Role::Focus);
    title.with(super::flow::clocks(state), Role::Dim)
}

/// The page's lines.
fn page(state: &State, theme: &Theme, now: Duration, back: usize, width: usize) -> Vec<Text> {
    let Some(election) = state.elections.back(back) else {
        return vec![Text::of("No election was seen yet.", Role::Dim)];
    };
    let mut lines = trigger(state, election, now);
    lines.push(Text::new());
    lines.extend(lanes(state, theme, election, width));
    lines.push(Text::new());
    lines.extend(ballots(state, theme, election));
    lines.push(Text::new());
    lines.extend(tally(state, theme, election));
    lines.push(Text::new());
    lines.extend(outcome(state, election));
    lines
}

fn since(election: &Election, at: u64) -> String {
    format!("+{}", time(at.saturating_sub(election.began)))
}

fn trigger(state: &State, election: &Election, now: Duration) -> Vec<Text> {
    let at = state.causes.console_time(election.began).filter(|at| *at <= now);
    let at = at.map_or_else(String::new, |at| format!("{}  ", clock(at)));
    let Some((leader, epoch)) = election.before else {
        return vec![Text::of(at, Role::Dim).with("The first election that was seen: nobody led.", Role::Text)];
    };
    let cause = state.causes.of(election);
    let words = cause.map_or_else(|| format!("n{} was lost", leader + 1), |cause| cause.words.clone());
    let mut lines = vec![Text::of(at, Role::Dim).with(format!("{words}; it led epoch {epoch}"), Role::Strong)];
    for loss in &election.losses {
        let why = printable(loss.why.as_bytes(), WORDS_BYTES_MAX);
        let words = if loss.node == leader { "gave up" } else { "lost it" };
        lines.push(
            Text::of(format!("  {:>8}  ", since(election, loss.at)), Role::Dim)
                .with(format!("n{} {words}: {why}", loss.node + 1), Role::Text),
        );
    }
    lines
}

fn face(stage: Stage) -> Face {
    match stage {
        Stage::Looking => Face::Looking,
        Stage::Syncing | Stage::Elected => Face::Syncing,
        Stage::Leading => Face::Leader,
        Stage::Following => Face::Follower,
    }
}

/// What each node was over the time of the election.
fn lanes(state: &State, theme: &Theme, election: &Election, width: usize) -> Vec<Text> {
    let is_narrow = width < WORDS_FROM_WIDTH;
    let (left, right) = if is_narrow { (LEFT_NARROW, RIGHT_NARROW) } else { (LEFT, RIGHT) };
    let cells = width.saturating_sub(left + right);
    if cells < 8 {
        return Vec::new();
    }
    let whole = (election.until() - election.began).max(1);
    // A little before and after, so that one sees what was and what came of it.
    let from = election.began.saturating_sub(whole / 12);
    let span = whole + whole / 6;
    let at_cell = |cell: usize| from + u64::try_from(cell).unwrap_or(0).saturating_mul(span) / (cells as u64);
    let mut axis = " ".repeat(cells);
    let mut free_from = 0;
    for step in 0..=4_u64 {
        let at = election.began + whole * step / 4;
        let cell = usize::try_from((at - from).saturating_mul(cells as u64) / span).unwrap_or(0);
        let label = if step == 0 { "0".to_owned() } else { since(election, at) };
        if cell >= free_from && cell + label.len() <= cells {
            axis.replace_range(cell..cell + label.len(), &label);
            free_from = cell + label.len() + 2;
        }
    }
    let mut lines = vec![Text::of(format!("{:left$}{axis}", ""), Role::Dim)];
    for node in 0..state.nodes.len() {
        let own = election.ballots.iter().rev().find(|ballot| ballot.node == node && ballot.candidate == node);
        let zxid = own.map_or_else(String::new, |ballot| ballot.zxid.to_string());
        let mut line = Text::of(fit(&format!("n{:<3} {zxid}", node + 1), left - 1, theme), Role::Strong);
        line.add(theme.pick("│", "|"), Role::Dim);
        let mut last = None;
        for cell in 0..cells {
            let shown = face_at(state, election, node, at_cell(cell));
            line.add(theme.glyph(shown), Role::Face(shown));
            last = Some(shown);
        }
        line.add(theme.pick("│", "|"), Role::Dim);
        line.add(format!(" {}", last.filter(|_| !is_narrow).map_or("", Face::word)), Role::Text);
        lines.push(line);
    }
    lines
}

/// What a node was at a time. Of a process that did not run then the traces know nothing; one that served when the election began, and did not tell of its loss, was gone from then
/// on, until it is heard again.
fn face_at(state: &State, election: &Election, node: usize, at: u64) -> Face {
    let stage = |at: u64| election.stage_at(node, at);
    let absence = state.causes.console_time(at).and_then(|at| state.marks.absence(node, at));
    if let Some(face) = absence {
        return face;
    }
    let served = matches!(stage(election.began), Some(Stage::Leading | Stage::Following));
    let has_told = election.losses.iter().any(|loss| loss.node == node);
    let heard =
        election.lanes.get(node).and_then(|lane| lane.iter().map(|span| span.from).find(|at| *at > election.began));
    let is_gone = at >= election.began && served && !has_told && heard.is_none_or(|heard| at < heard);
    if !is_gone {
        return stage(at).map_or(Face::Unknown, face);
    }
    let is_leader = election.before.is_some_and(|(leader, _)| leader == node);
    state.causes.of(election).filter(|_| is_leader).map_or(Face::Unknown, |cause| cause.face)
}

fn candidate(ballot: &Ballot) -> String {
    format!("(n{}, {})", ballot.candidate + 1, ballot.zxid)
}

/// Each node's votes, and why each changed.
fn ballots(state: &State, theme: &Theme, election: &Election) -> Vec<Text> {
    let mut lines = vec![Text::of("Ballots: candidate, its last entry (epoch:counter), and why", Role::Strong)];
    for node in 0..state.nodes.len() {
        let all: Vec<&Ballot> = election.ballots.iter().filter(|ballot| ballot.node == node).collect();
        if all.is_empty() {
            let began = state.causes.console_time(election.began);
            let absence = began.and_then(|began| state.marks.absence(node, began));
            let why = absence.map_or_else(String::new, |face| format!(": {}", face.word()));
            lines.push(Text::of(format!("  n{:<3} no vote was seen{why}", node + 1), Role::Dim));
        }
        let skipped = all.len().saturating_sub(BALLOTS_MAX);
        if skipped > 0 {
            lines.push(Text::of(format!("  n{:<3} {skipped} earlier votes", node + 1), Role::Dim));
        }
        for (place, ballot) in all.iter().enumerate().skip(skipped) {
            let before = place.checked_sub(1).and_then(|place| all.get(place)).filter(|old| old.round == ballot.round);
            let name = if place == skipped && skipped == 0 { format!("n{}", node + 1) } else { String::new() };
            let at = since(election, ballot.at);
            let mut line = Text::of(format!("  {name:<4}"), Role::Strong);
            line.add(format!("{at:>8}  round {:<3} ", ballot.round), Role::Dim);
            let arrow = theme.pick("→", "->");
            let from = before.map_or_else(String::new, |old| format!("{} {arrow} ", candidate(old)));
            line.add(format!("{from}{}", candidate(ballot)), Role::Text);
            line.add(format!("  {}", printable(ballot.why.as_bytes(), WORDS_BYTES_MAX)), Role::Key);
            lines.push(line);
        }
    }
    lines
}

/// The votes of each candidate at the end, and how they came in at the winner.
fn tally(state: &State, theme: &Theme, election: &Election) -> Vec<Text> {
    let nodes = state.nodes.len();
    let quorum = quorum(nodes);
    let mut lines = vec![Text::of(format!("Last votes, toward a quorum of {quorum} of {nodes}"), Role::Strong)];
    for (node, count) in election.tally() {
        let (full, empty) = (theme.pick("█", "#"), theme.pick("░", "."));
        let bar = format!("{}{}", full.repeat(count.min(nodes)), empty.repeat(nodes.saturating_sub(count)));
        let won = election.won.filter(|(_, winner)| *winner == node);
        let won = won.map_or_else(String::new, |(at, _)| format!("  WON {}", since(election, at)));
        let role = if won.is_empty() { Role::Text } else { Role::Face(Face::Leader) };
        lines.push(Text::of(format!("  n{:<3} [{bar}] {count}{won}", node + 1), role));
    }
    if election.tally().is_empty() {
        lines.push(Text::of("  no vote was seen", Role::Dim));
    }
    if let Some((_, winner)) = election.won.filter(|_| !election.received.is_empty()) {
        let mut newest = std::collections::BTreeMap::new();
        for (at, voter, candidate) in &election.received {
            let vote = newest.entry(*voter).or_insert((*at, *candidate));
            if vote.1 != *candidate {
                *vote = (*at, *candidate);
            }
        }
        let came = newest
            .iter()
            .map(|(voter, (at, candidate))| format!("n{} for n{} {}", voter + 1, candidate + 1, since(election, *at)));
        let came: Vec<String> = came.collect();
        lines.push(Text::of(format!("  as they came in at n{}: {}", winner + 1, came.join(", ")), Role::Dim));
    }
    lines
}

/// What followed, and what it cost.
fn outcome(state: &State, election: &Election) -> Vec<Text> {
    let mut lines = Vec::new();
    for catch in &election.catches {
        let done = catch.done.map_or_else(
            || "not done as far as was seen".to_owned(),
            |done| format!("serves {}", since(election, done)),
        );
        let how = format!("n{} is synchronised by {} from {}: {done}", catch.node + 1, catch.how, catch.from);
        lines.push(Text::of(how, Role::Text));
    }
    for (node, after) in &election.truncated {
        let words = format!("n{} dropped its entries after {after}: they were never committed", node + 1);
        lines.push(Text::of(words, Role::Warning));
    }
    match (election.established, election.won) {
        (Some((at, epoch)), _) if election.before.is_some() => {
            let cause = state.causes.of(election).and_then(|cause| cause.at).filter(|cause| *cause < election.began);
            let from = cause.unwrap_or(election.began);
            let about = if cause.is_some() { "about " } else { "" };
            let words = format!("No write could commit for {about}{}: until epoch {epoch} stood", time(at - from));
            lines.push(Text::of(words, Role::Strong));
        }
        (Some((at, epoch)), _) => {
            let words = format!("Epoch {epoch} stood {} after the first vote", time(at - election.began));
            lines.push(Text::of(words, Role::Strong));
        }
        (None, Some((at, node))) => {
            let words = format!("n{} is elected {} and gathers its quorum", node + 1, since(election, at));
            lines.push(Text::of(words, Role::Warning));
        }
        (None, None) => lines.push(Text::of("Not over: no candidate has a quorum. Nobody can write.", Role::Warning)),
    }
    if election.is_partial {
        lines.push(Text::of("It was over before the console looked: the votes were not seen.", Role::Dim));
    }
    lines.push(Text::of("Rule: the highest epoch wins, then the highest zxid, then the highest id.", Role::Dim));
    lines
}
