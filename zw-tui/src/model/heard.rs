//! What the processes, the nodes and the tasks tell, and what the model makes of it.

use super::acts::say;
use super::broker::BrokerSight;
use super::events::{Event, Level, Source, Story};
use super::message::{Effect, Msg};
use super::overlay::Overlay;
use super::select::{exit_words, printable};
use super::sight::Turn;
use super::update::note;
use super::{
    Desired, Observed, State, broker, causes, deletion, detach, faults, feed, jobs, load, measured, pause, sessions,
    strip, write,
};
use crate::member::Member;
use crate::supervisor::{Asked, Change, Report};
use std::time::Duration;
use zw_core::ids::NodeId;
use zw_core::wire::admin::{NodeRole, Status};

/// How much of a process's last words is kept.
const WORDS_BYTES_MAX: usize = 1_024;

/// Takes what was told; what a person did is none of it.
pub(super) fn take(state: &mut State, now: Duration, message: Msg) -> Vec<Effect> {
    match message {
        Msg::Supervisor(report) => on_report(state, now, report),
        Msg::Status { node, status, round_trip } => on_status(state, now, node, status, round_trip),
        Msg::Silent { node, reason } => on_silent(state, now, node, reason),
        Msg::Children { node, path, after, result } if node == state.tree.node => {
            state.version += 1;
            state.tree.take_children(&path, &after, result)
        }
        Msg::Value { node, path, result } if node == state.tree.node => {
            state.version += 1;
            let mut effects = state.tree.take_value(path, result);
            effects.extend(strip::look(state, now, false));
            effects
        }
        Msg::Children { .. } | Msg::Value { .. } => Vec::new(),
        Msg::Written { node, path, result } => write::on_written(state, now, node, &path, result),
        Msg::Deleted { node, path, result } => deletion::on_deleted(state, now, node, &path, result),
        other => {
            note_down(state, now, other);
            Vec::new()
        }
    }
}

/// Takes what asks for nothing more.
fn note_down(state: &mut State, now: Duration, message: Msg) {
    match message {
        Msg::Exists { node, path, result } => strip::take(state, node, &path, result),
        Msg::Counted { node, path, result } => deletion::on_counted(state, now, node, &path, result),
        Msg::Copied { what, result: Ok(way) } => say(state, now, format!("copied {what}: {way}"), true),
        Msg::Copied { what, result: Err(reason) } => say(state, now, format!("{what} is not copied: {reason}"), false),
        Msg::Faults { node, refused } => faults::on_set(state, now, node, refused.as_deref()),
        Msg::Trace(portion) => causes::on_trace(state, now, *portion),
        Msg::Output { member, lines, total } => {
            if let Some(Overlay::Output(printed)) = &mut state.overlay
                && printed.member == member
            {
                printed.take(lines, total);
                state.version += 1;
            }
        }
        Msg::Load { run, report } => load::on_report(state, now, run, *report),
        Msg::Feed { run, report } => feed::on_report(state, now, run, *report),
        Msg::Broker { broker, status } => broker::take(state, now, broker, status),
        Msg::Diff { number, report } => {
            if let Some(view) = state.diff.as_mut().filter(|view| view.number == number) {
                view.report = *report;
                state.version += 1;
            }
        }
        Msg::Sessions { node, result } => sessions::take(state, now, node, result),
        Msg::Cost(cost) => state.measured.cost.settle(cost),
        // Pages are asked for by a scenario only, which has looked at them already.
        _ => {}
    }
}

/// A process was started: what was known of the one before is nothing to it.
fn begin_life(state: &mut State, now: Duration, member: Member) -> Vec<Effect> {
    let mut effects = Vec::new();
    let index = member.index();
    if let (Member::Node(_), Some(node)) = (member, state.nodes.get_mut(index)) {
        node.sight.forget();
        node.past.begin_life();
        (node.diverged, node.forked) = (None, 0);
        state.measured.digests.forget(NodeId(u16::try_from(index + 1).unwrap_or(u16::MAX)));
        effects.push(Effect::Redial { node: index });
        effects.extend(faults::begin_life(state, now, index));
        if state.tree.node == index {
            state.tree.begin_life();
        }
    }
    if let (Member::Broker(_), Some(broker)) = (member, state.brokers.get_mut(index)) {
        broker.sight = BrokerSight::default();
    }
    effects
}

fn on_report(state: &mut State, now: Duration, report: Report) -> Vec<Effect> {
    let Report { member, change } = report;
    let Some(member) = member else {
        detach::on_change(state, now, change);
        return Vec::new();
    };
    let source = Source::Member(member);
    jobs::on_change(state, now, member, &change);
    let Some(process) = state.process_mut(member) else { return Vec::new() };
    let pid = process.pid();
    let mut effects = Vec::new();
    match change {
        Change::Spawned { pid } => {
            process.observed = Observed::Starting(pid);
            process.starts += 1;
            let is_again = process.starts > 1;
            effects.extend(begin_life(state, now, member));
            if is_again {
                note(state, now, source, Level::Info, format!("started again, pid {pid}"));
            }
        }
        Change::Listening => {
            process.observed = pid.map_or(Observed::Unborn, Observed::Running);
            process.has_listened = true;
            if !member.is_node() {
                note(state, now, source, Level::Info, "listens".into());
            }
        }
        Change::Stopping => process.observed = pid.map_or(Observed::Unborn, Observed::Stopping),
        Change::Paused
        | Change::Resumed
        | Change::AllStopped { .. }
        | Change::LetGo
        | Change::Held(_)
        | Change::KeeperGone { .. } => {}
        Change::GraceOver => note(state, now, source, Level::Warning, "ignored SIGTERM for 2 s: killed".into()),
        Change::Exited { exit, asked, words } => {
            process.observed = Observed::Exited(exit, asked);
            process.words = words.map(|words| printable(words.as_bytes(), WORDS_BYTES_MAX));
            let said = process.words.as_ref().map(|words| format!("said last: {words}"));
            if asked != Asked::Nothing || process.desired == Desired::Paused {
                process.desired = Desired::Down;
            }
            pause::forget(state, now, member);
            let level = if asked == Asked::Nothing { Level::Bad } else { Level::Info };
            note(state, now, source, level, exit_words(exit, asked));
            if let Some(said) = said {
                note(state, now, source, Level::Bad, said);
            }
        }
        Change::Failed(reason) => {
            process.observed = Observed::Failed(reason.clone());
            note(state, now, source, Level::Bad, reason);
        }
        Change::Refused(reason) => say(state, now, reason, true),
    }
    state.version += 1;
    effects
}

fn on_status(state: &mut State, now: Duration, index: usize, status: Box<Status>, round_trip: Duration) -> Vec<Effect> {
    let Some(node) = state.nodes.get_mut(index) else { return Vec::new() };
    // An answer that was under way when the process ended speaks of nobody any more.
    if !node.process.lives() {
        return Vec::new();
    }
    let member = node.member;
    let was = node.sight.status.as_deref().map(|old| Status { uptime_ms: status.uptime_ms, ..old.clone() });
    let was_late = node.sight.freshness(now) != super::sight::Freshness::Fresh;
    let rates = node.sight.rates();
    let is_same = was.as_ref() == Some(&*status);
    let applied = status.applied_zxid;
    node.past.take(now, &status);
    let turns = node.sight.take(now, status, round_trip);
    if !is_same || was_late || node.sight.rates() != rates {
        state.version += 1;
    }
    // Who is met by a console that came later has been what it is for long.
    let is_met = was.is_none() && state.permission.is_attached;
    for turn in turns {
        if is_met && matches!(turn, Turn::Role(..)) {
            continue;
        }
        if let Some((level, text)) = words(&turn, state) {
            let event = Event::new(now, Source::Member(member), level, text);
            state.events.push(Event { story: story(&turn), ..event });
            state.version += 1;
        }
    }
    measured::compare(state, now, index);
    let mut effects = if state.tree.node == index { state.tree.refresh(applied) } else { Vec::new() };
    if state.tree.node == index {
        effects.extend(strip::look(state, now, true));
    }
    effects.extend(strip::again(state, now, index, applied));
    effects.extend(output_again(state));
    effects.extend(sessions::again(state, now, index));
    effects
}

/// What is printed shows itself with the answers of the nodes: often enough, and without a clock of its own.
fn output_again(state: &State) -> Option<Effect> {
    match &state.overlay {
        Some(Overlay::Output(printed)) => {
            let known = printed.lines.as_ref().map(|_| printed.total);
            Some(Effect::Output { member: printed.member, known })
        }
        _ => None,
    }
}

fn story(turn: &Turn) -> Option<Story> {
    match turn {
        Turn::Role(NodeRole::Leader | NodeRole::Follower, _, epoch) => Some(Story::Election(*epoch)),
        _ => None,
    }
}

fn words(turn: &Turn, state: &State) -> Option<(Level, String)> {
    Some(match turn {
        Turn::Answers => (Level::Info, "answers again".into()),
        Turn::Role(NodeRole::Leader, _, epoch) => (Level::Info, format!("LEADING epoch {epoch}")),
        Turn::Role(role @ (NodeRole::Follower | NodeRole::Observer), leader, epoch) => {
            // One line for the leader says it all; followers only if theirs is another.
            let known = state.nodes.iter().any(|node| {
                let status = node.sight.status.as_deref();
                status.is_some_and(|status| status.role == NodeRole::Leader && status.node == *leader)
            });
            let word = if *role == NodeRole::Follower { "FOLLOWING" } else { "OBSERVING" };
            let level = if known { Level::Info } else { Level::Warning };
            (level, format!("{word} n{leader} epoch {epoch}"))
        }
        Turn::Role(NodeRole::Looking, ..) => (Level::Warning, "LOOKING for a leader".into()),
        Turn::Role(NodeRole::Syncing, ..) => return None,
        Turn::DiskFull(true) => (Level::Bad, "the disk is full".into()),
        Turn::DiskFull(false) => (Level::Info, "the disk has space again".into()),
    })
}

fn on_silent(state: &mut State, now: Duration, index: usize, reason: String) -> Vec<Effect> {
    let Some(node) = state.nodes.get_mut(index) else { return Vec::new() };
    let was_silent = node.sight.silence.is_some();
    // Before its first answer a node is starting; after its end the supervisor has said so; paused is our own doing.
    let is_news = !was_silent && node.sight.status.is_some() && node.process.can_work();
    let member = node.member;
    let text = format!("no answer: {reason}");
    if node.sight.silence.as_ref() != Some(&reason) {
        node.sight.silence = Some(reason);
        state.version += 1;
    }
    if is_news {
        note(state, now, Source::Member(member), Level::Warning, text);
    }
    measured::look(state, now);
    output_again(state).into_iter().collect()
}
