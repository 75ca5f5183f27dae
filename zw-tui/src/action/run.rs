//! Runs lines of the command line, and carries out what they mean.

use super::command::{self, Command};
use super::fault_command::Cure;
use super::perform::{ask, perform, select_node};
use super::table::Id;
use crate::member::Member;
use crate::model::acts::{self, say};
use crate::model::diff::{DiffReport, DiffView};
use crate::model::message::Effect;
use crate::model::overlay::{HISTORY_MAX, Overlay};
use crate::model::permission::{Need, need_of_command};
use crate::model::select::{Face, node_absence, node_face};
use crate::model::text::TextPage;
use crate::model::{Node, Pane, State, deletion, faults, feed, jobs, load, pause, scenario, write};
use std::time::Duration;

/// Runs a line that a key stands for.
pub(super) fn run_line(state: &mut State, now: Duration, line: &str) -> Vec<Effect> {
    match run_command(state, now, line) {
        Ok(effects) => effects,
        Err(reason) => {
            say(state, now, reason, false);
            Vec::new()
        }
    }
}

/// Runs a line of the command line; the error stays for the person to mend.
pub fn run_command(state: &mut State, now: Duration, line: &str) -> Result<Vec<Effect>, String> {
    let command = command::parse(line, state, now)?;
    let need = need_of_command(&command);
    if let Err(reason) = check_command(state, now, &command) {
        if need != Need::Nothing {
            state.refuse_job(now, format!(":{line}"), &reason);
        }
        return Err(reason);
    }
    if state.history.last().is_none_or(|last| last != line) {
        if state.history.len() == HISTORY_MAX {
            state.history.remove(0);
        }
        state.history.push(line.to_owned());
    }
    state.overlay = None;
    state.version += 1;
    Ok(match command {
        Command::Action(id) => perform(state, now, id),
        // A deletion asks in its own words.
        command if state.permission.asks(need) && !matches!(command, Command::Delete { .. }) => {
            ask(state, now, command, None);
            Vec::new()
        }
        command => carry_out(state, now, command),
    })
}

/// Whether a command may be carried out now, or why not.
fn check_command(state: &State, now: Duration, command: &Command) -> Result<(), String> {
    state.permission.check(need_of_command(command))?;
    let is_timeless = matches!(
        command,
        Command::Action(_)
            | Command::On(..)
            | Command::Travel(_)
            | Command::Record(_)
            | Command::Export(_)
            | Command::Break(_)
            | Command::Theme(_)
            | Command::Motion(_)
    );
    if !is_timeless {
        state.time.check_now()?;
    }
    if let Command::Delete { node, path, .. } = command {
        deletion::check(path)?;
        check_writable(state, now, *node).map_err(|refusal| refusal.words)?;
    }
    if let Command::Write(order) = command {
        check_writable(state, now, order.node).map_err(|refusal| match refusal.instead {
            Some(other) => {
                let again = write::WriteOrder { node: other.index(), ..order.clone() }.line(state);
                format!("{}: {}", refusal.words, again.trim_start_matches(':'))
            }
            None => refusal.words,
        })?;
    }
    Ok(())
}

/// Carries a command out that was understood, and answered with yes where that is asked.
pub fn carry_out(state: &mut State, now: Duration, command: Command) -> Vec<Effect> {
    state.version += 1;
    match command {
        Command::Action(id) => perform(state, now, id),
        Command::On(id, member) => on_member(state, now, id, member),
        Command::Theme(name) => {
            state.theme = name;
            say(state, now, format!("theme {name}"), true);
            vec![Effect::SetTheme(name)]
        }
        Command::Motion(motion) => {
            state.flow.motion = motion;
            say(state, now, format!("motion {motion}"), true);
            Vec::new()
        }
        Command::Travel(travel) => vec![Effect::Travel(travel)],
        Command::Export(file) => jobs::export(state, now, file),
        Command::Record(order) => vec![Effect::Record(order)],
        Command::Fault(trouble, lasts) => faults::begin(state, now, trouble, lasts),
        Command::Heal(Cure::All) => faults::heal(state, now, |_| true),
        Command::Heal(Cure::Number(number)) => faults::heal(state, now, |lease| lease.id == number),
        Command::Heal(Cure::Members(members)) => faults::heal_members(state, now, &members),
        Command::Pause(members, lasts) => pause::begin(state, now, &members, lasts),
        Command::Act(act, members) => acts::perform_all(state, now, act, &members),
        Command::Diff(nodes) => compare(state, nodes),
        Command::Election(epoch) => {
            let back = epoch.map_or(0, |epoch| {
                state.elections.iter().rev().position(|election| election.epoch() == Some(epoch)).unwrap_or(0)
            });
            state.overlay = Some(Overlay::Election { back, top: 0 });
            Vec::new()
        }
        Command::Break(breakage) => vec![Effect::Break(breakage)],
        Command::Write(order) => write::send(state, now, order),
        Command::Delete { node, path, .. } => deletion::ask(state, now, node, path, None),
        Command::Load(plan) => {
            state.overlay = Some(Overlay::Text { page: TextPage::Load, top: 0 });
            load::begin(state, now, plan)
        }
        Command::StopLoad => load::stop(state, now),
        Command::Feed(plan) => feed::begin(state, now, plan),
        Command::Scenario(name) => run_scenario(state, now, &name),
        Command::StopScenario => {
            scenario::stop(state);
            Vec::new()
        }
    }
}

/// Selects a member and does something to it.
fn on_member(state: &mut State, now: Duration, id: Id, member: Member) -> Vec<Effect> {
    let mut effects = match member {
        Member::Node(_) => {
            // Whether the tree has the keys decides what is described.
            state.focus_on(Pane::Nodes);
            select_node(state, member.index())
        }
        Member::Broker(_) => {
            state.focus_on(Pane::Brokers);
            state.broker = member.index();
            Vec::new()
        }
    };
    effects.extend(perform(state, now, id));
    effects
}

/// Carries out what was asked about and confirmed.
pub fn execute_confirmed(state: &mut State, now: Duration, command: Command) -> Vec<Effect> {
    match command {
        Command::Delete { node, path, below } => deletion::begin(state, now, node, path, below.unwrap_or(0)),
        command => carry_out(state, now, command),
    }
}

/// Begins a scenario and shows its steps; the model goes on with it after this message.
pub fn run_scenario(state: &mut State, now: Duration, name: &str) -> Vec<Effect> {
    match scenario::begin(state, name) {
        Ok(()) => state.overlay = Some(Overlay::Text { page: TextPage::Scenario, top: 0 }),
        Err(reason) => say(state, now, reason, false),
    }
    Vec::new()
}

/// Why a write through a node is not even sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRefusal {
    /// For a person.
    pub words: String,
    /// A node that would take it.
    pub instead: Option<Member>,
}

/// Whether somebody is there to take a write through a node.
///
/// # Errors
/// Its process does not run; what to do about it, and who would take the write.
pub fn check_writable(state: &State, now: Duration, node: usize) -> Result<(), WriteRefusal> {
    let Some(gone) = state.nodes.get(node) else { return Ok(()) };
    let Some(absence) = node_absence(gone) else { return Ok(()) };
    let advice = if gone.process.failure().is_some() {
        "! says why".to_owned()
    } else if state.selected() == Some(gone.member) {
        "R revives it".to_owned()
    } else {
        format!(":revive {} starts it", gone.member)
    };
    let serves = |node: &&Node| matches!(node_face(state, node, now), Face::Leader | Face::Follower | Face::Observer);
    let instead = state.nodes.iter().find(serves).map(|node| node.member);
    let through = instead.map_or_else(String::new, |other| format!(", or write through {other}"));
    Err(WriteRefusal { words: format!("{absence}: {advice}{through}"), instead })
}

/// Begins to compare two nodes' trees, and shows the page of what is found.
pub(super) fn compare(state: &mut State, nodes: [usize; 2]) -> Vec<Effect> {
    let number = state.diff.as_ref().map_or(1, |former| former.number + 1);
    state.diff = Some(DiffView { number, nodes, report: DiffReport::default() });
    state.overlay = Some(Overlay::Text { page: TextPage::Diff, top: 0 });
    vec![Effect::Diff { number, nodes }]
}
