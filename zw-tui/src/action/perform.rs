//! Carries actions and commands out on the model.

use super::command::{self, Command};
pub use super::run::{carry_out, check_writable, execute_confirmed, run_command, run_scenario};
use super::run::{compare, run_line};
use super::table::{self, Class, Id, pause_or_resume};
use crate::key::Key;
use crate::member::Member;
use crate::model::acts::{self, Act, say};
use crate::model::chord::Chord;
use crate::model::composer::{self, Composer};
use crate::model::events::{Event, Story};
use crate::model::faults::LEASE_TIME;
use crate::model::message::Effect;
use crate::model::overlay::{Input, Overlay, Printed};
use crate::model::permission::{consequence, need_of, only_begins, title_of};
use crate::model::question::Question;
use crate::model::text::TextPage;
use crate::model::time::{RecordOrder, Seen, Travel};
use crate::model::verdict::judge;
use crate::model::{Pane, State, deletion, detach, faults, flow, load, menu, pause, search, sessions, time, yank};
use crate::motion::Motion;
use crate::supervisor::Order;
use crate::theme;
use std::time::Duration;

/// Rows of a page, as far as the model knows; the screen may show more or fewer.
const PAGE: i64 = 20;

/// Does it if it makes sense now; else says why not.
pub fn perform(state: &mut State, now: Duration, id: Id) -> Vec<Effect> {
    state.version += 1;
    if let Err(reason) = table::enabled(id, state) {
        refused(state, now, id, &reason);
        say(state, now, reason, true);
        if id == Id::Filter {
            search::begin_nowhere(state);
        }
        return Vec::new();
    }
    if state.permission.asks(need_of(id)) && !only_begins(id) {
        ask(state, now, Command::Action(id), None);
        return Vec::new();
    }
    unasked(state, now, id)
}

/// Notes that an act was refused, as the line that asks for it again.
fn refused(state: &mut State, now: Duration, id: Id, reason: &str) {
    if !table::by_id(id).is_some_and(|action| matches!(action.class, Class::Fault | Class::Data)) {
        return;
    }
    let names: Vec<String> = state.targets().iter().map(ToString::to_string).collect();
    let whom = if matches!(id, Id::Kill | Id::Stop | Id::Pause | Id::Revive) { names.join(",") } else { String::new() };
    state.refuse_job(now, format!("{} {whom}", command::line_of(id)).trim_end().to_owned(), reason);
}

/// Asks before something is done.
pub fn ask(state: &mut State, now: Duration, command: Command, form: Option<Box<Composer>>) {
    let words = consequence(state, &command);
    let title = title_of(&command);
    state.overlay =
        Some(Overlay::Question(Box::new(Question { words, form, ..Question::new(now, title, command, None) })));
}

/// Does what was asked for and answered with yes.
pub fn confirmed(state: &mut State, now: Duration, question: Question) -> Vec<Effect> {
    state.version += 1;
    state.overlay =
        question.form.map(|form| Overlay::Write(Box::new(Composer { is_sent: true, error: None, ..*form })));
    match question.command {
        Command::Action(id) => unasked(state, now, id),
        command => execute_confirmed(state, now, command),
    }
}

fn unasked(state: &mut State, now: Duration, id: Id) -> Vec<Effect> {
    match id {
        Id::Kill => on_targets(state, now, Act::Kill),
        Id::Stop => on_targets(state, now, Act::Stop),
        Id::Revive => on_targets(state, now, Act::Revive),
        Id::Pause => pause_targets(state, now),
        Id::Delete => {
            let (node, path) = (state.tree.node, state.tree.selected());
            deletion::ask(state, now, node, path, Some(Key::char('D')))
        }
        Id::Edit => composer::edit_selected(state, now),
        Id::Cut => cut(state, now),
        Id::Heal => faults::heal(state, now, |_| true),
        Id::Load => toggle_load(state, now),
        Id::Undo => acts::undo(state, now),
        // At the top lies the past.
        Id::Quit if matches!(state.time.seen, Seen::Frozen | Seen::Past) => vec![Effect::Travel(Travel::Now)],
        Id::Quit | Id::Leave => leave(state, now),
        Id::Detach => detach::begin(state, now),
        Id::Record => vec![Effect::Record(RecordOrder::Toggle)],
        Id::Suspend => vec![Effect::Suspend],
        Id::Repaint => vec![Effect::Repaint],
        Id::Dump => vec![Effect::Dump],
        Id::Theme | Id::Motion | Id::Mouse => setting(state, now, id),
        Id::Yank(what) => yank::yank(state, now, what).unwrap_or_else(|reason| {
            say(state, now, reason, true);
            Vec::new()
        }),
        _ => looks(state, now, id),
    }
}

/// What only looks, somewhere or at another time.
fn looks(state: &mut State, now: Duration, id: Id) -> Vec<Effect> {
    match id {
        Id::Output => show_output(state),
        Id::Diff => compare_selected(state, now),
        Id::Sessions => sessions::open(state, now),
        Id::Back => back(state),
        Id::OpenEvent => open_event(state, now),
        Id::NextMatch => search::next(state, now, true),
        Id::PreviousMatch => search::next(state, now, false),
        Id::Refresh => state.tree.refresh_now(),
        Id::Unfold => state.tree.unfold(),
        Id::Fold => state.tree.fold(),
        Id::Toggle => state.tree.toggle(),
        _ => {
            if let Some(travel) = travel(id) {
                return vec![Effect::Travel(travel)];
            }
            look(state, now, id);
            moves(state, id)
        }
    }
}

/// Pauses for a while, or lets go on what is paused.
fn pause_targets(state: &mut State, now: Duration) -> Vec<Effect> {
    match pause_or_resume(state) {
        Act::Pause => pause::begin(state, now, &state.targets(), LEASE_TIME),
        act => on_targets(state, now, act),
    }
}

/// Compares the selected node's tree with the leader's.
fn compare_selected(state: &mut State, now: Duration) -> Vec<Effect> {
    match command::diff("", state, now) {
        Ok(nodes) => compare(state, nodes),
        Err(reason) => {
            say(state, now, reason, true);
            Vec::new()
        }
    }
}

/// Opens what the selected process printed.
fn show_output(state: &mut State) -> Vec<Effect> {
    let Some(member) = state.selected() else { return Vec::new() };
    state.search.in_text = None;
    state.overlay = Some(Overlay::Output(Printed::of(member)));
    vec![Effect::Output { member, known: None }]
}

/// Shows or changes how the console looks.
fn setting(state: &mut State, now: Duration, id: Id) -> Vec<Effect> {
    match id {
        Id::Theme => {
            let others = theme::Name::ALL.map(theme::Name::text).join(", ");
            say(state, now, format!("theme {}; there are {others}", state.theme), true);
            Vec::new()
        }
        Id::Motion => {
            let others = Motion::ALL.map(Motion::text).join(", ");
            say(state, now, format!("motion {}; there are {others}", state.flow.motion), true);
            Vec::new()
        }
        Id::Mouse => {
            state.mouse = !state.mouse;
            let text =
                if state.mouse { "the mouse is the console's" } else { "the mouse is the terminal's: drag selects" };
            say(state, now, text.into(), true);
            vec![Effect::SetMouse(state.mouse)]
        }
        _ => Vec::new(),
    }
}

/// The way through time that an action goes.
fn travel(id: Id) -> Option<Travel> {
    Some(match id {
        Id::Freeze => Travel::Freeze,
        Id::Live => Travel::Now,
        Id::PreviousMark => Travel::PreviousMark,
        Id::NextMark => Travel::NextMark,
        Id::StepBack => Travel::Back(time::STEP),
        Id::StepOn => Travel::On(time::STEP),
        _ => return None,
    })
}

fn on_targets(state: &mut State, now: Duration, act: Act) -> Vec<Effect> {
    let targets = state.targets();
    acts::perform_all(state, now, act, &targets)
}

/// Cuts the selected node off, or the marked ones from the others.
fn cut(state: &mut State, now: Duration) -> Vec<Effect> {
    let marked = state.targets();
    let others: Vec<String> =
        state.nodes.iter().filter(|node| !marked.contains(&node.member)).map(|node| node.member.to_string()).collect();
    let names: Vec<String> = marked.iter().map(ToString::to_string).collect();
    match (&names[..], &others[..]) {
        ([], _) | ([_], _) => run_line(state, now, "cut"),
        (_, []) => {
            say(state, now, "all nodes are marked: there is nobody to cut them from".into(), false);
            Vec::new()
        }
        _ => run_line(state, now, &format!("cut {}|{}", names.join(","), others.join(","))),
    }
}

/// Ends the innermost thing that Esc can end.
fn back(state: &mut State) -> Vec<Effect> {
    let had_toast = state.toast.take().is_some();
    if let Some(effects) = search::clear(state) {
        return effects;
    }
    let was_pinned = state.focus() == Pane::Flow && state.flow.let_go();
    if was_pinned || state.marked.clear() || had_toast || !state.time.is_past() {
        return Vec::new();
    }
    // At the top lies the past.
    vec![Effect::Travel(Travel::Now)]
}

fn mark(state: &mut State, is_range: bool) {
    if let Some(member) = state.selected() {
        if is_range {
            state.marked.toggle_range(member);
        } else {
            state.marked.toggle(member);
        }
    }
}

/// Shows what the traces know of the selected event, or goes to the member that it is about.
fn open_event(state: &mut State, now: Duration) -> Vec<Effect> {
    match state.events.selected().and_then(|event| event.story) {
        Some(Story::Write(zxid)) => {
            if flow::pin(state, now, zxid) {
                state.focus_on(Pane::Flow);
            } else {
                say(
                    state,
                    now,
                    format!("the messages of {zxid} are not known: of many writes only some are followed"),
                    true,
                );
            }
            return Vec::new();
        }
        Some(Story::Election(epoch)) => {
            if let Some(back) = state.elections.iter().rev().position(|election| election.epoch() == Some(epoch)) {
                state.overlay = Some(Overlay::Election { back, top: 0 });
                return Vec::new();
            }
        }
        None => {}
    }
    match state.events.selected().and_then(Event::member).filter(|member| state.process(*member).is_some()) {
        Some(member @ Member::Node(_)) => {
            state.focus_on(Pane::Nodes);
            select_node(state, member.index())
        }
        Some(member) => {
            state.focus_on(Pane::Brokers);
            state.broker = member.index();
            Vec::new()
        }
        None => {
            say(state, now, "this event is about no member".into(), true);
            Vec::new()
        }
    }
}

/// The first time politely, then by force.
pub fn leave(state: &mut State, now: Duration) -> Vec<Effect> {
    state.version += 1;
    state.overlay = None;
    let order = if state.leaving.is_some() {
        Order::KillAll
    } else {
        let leader = judge(state, now).leader;
        let last = leader.and_then(|leader| state.nodes.get(usize::from(leader.0).checked_sub(1)?));
        Order::StopAll { last: last.map(|node| node.member) }
    };
    state.leaving.get_or_insert(now);
    vec![Effect::Supervise(order)]
}

fn look(state: &mut State, now: Duration, id: Id) {
    match id {
        Id::Chord(first) => state.chord = Some(Chord { first, since: now }),
        Id::Menu => menu::open(state, None),
        Id::Scenarios => show_scenarios(state),
        Id::Election => state.overlay = Some(Overlay::Election { back: 0, top: 0 }),
        Id::Slower => state.flow.slow_down(1),
        Id::Faster => state.flow.slow_down(-1),
        Id::RealTime => state.flow.real_time(),
        Id::Help => state.overlay = Some(Overlay::Help { filter: Input::default(), cursor: 0 }),
        Id::Command => {
            state.overlay = Some(Overlay::command(""));
        }
        Id::Slow => {
            let whom = state.targets().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            state.overlay = Some(Overlay::command(&format!("slow {whom} 80ms 30s")));
        }
        Id::Export => state.overlay = Some(Overlay::command("export events.jsonl")),
        Id::At => {
            state.overlay = Some(Overlay::command("at "));
        }
        Id::Write => {
            let path = if state.focus() == Pane::Tree { state.tree.selected() } else { "/".to_owned() };
            state.overlay = Some(Overlay::Write(Box::new(Composer::of(state.node, &path))));
        }
        Id::Pane(pane) => state.focus_on(pane),
        Id::Open => state.focus_on(Pane::Tree),
        Id::NextPane => state.focus_on(pane_after(state, 1)),
        Id::PreviousPane => state.focus_on(pane_after(state, Pane::ALL.len() - 1)),
        Id::Filter => search::begin(state),
        Id::Follow => state.events.toggle_follow(),
        Id::Mark => mark(state, false),
        Id::MarkRange => mark(state, true),
        Id::SortBy(by) => state.sort.choose(by),
        Id::ZoomIn => state.zoomed = true,
        Id::ZoomOut => state.zoomed = false,
        Id::Range => state.measured.range = state.measured.range.next(),
        Id::Charts => {
            state.zoomed = !(state.zoomed && state.focus() == Pane::Metrics);
            state.focus_on(Pane::Metrics);
        }
        Id::LastView => state.focus_on(state.recent[1]),
        Id::NextTab => state.focus_on(tab_after(state, 1)),
        Id::PreviousTab => state.focus_on(tab_after(state, Pane::TABS.len() - 1)),
        _ => {
            if let Some(page) = TextPage::of(id) {
                state.search.in_text = None;
                state.overlay = Some(Overlay::Text { page, top: 0 });
            }
        }
    }
}

fn pane_after(state: &State, steps: usize) -> Pane {
    let mut index = state.focus() as usize;
    loop {
        index = (index + steps) % Pane::ALL.len();
        let pane = Pane::ALL[index];
        if pane != Pane::Brokers || !state.brokers.is_empty() {
            return pane;
        }
    }
}

/// The tab beside the one that was looked at last.
fn tab_after(state: &State, steps: usize) -> Pane {
    let shown = state.latest_of(&Pane::TABS);
    let index = Pane::TABS.iter().position(|pane| *pane == shown).unwrap_or(0);
    Pane::TABS[(index + steps) % Pane::TABS.len()]
}

fn moves(state: &mut State, id: Id) -> Vec<Effect> {
    match rows(id) {
        Some(rows) => move_in(state, state.focus(), rows),
        None => Vec::new(),
    }
}

/// How far a movement goes.
pub(crate) fn rows(id: Id) -> Option<i64> {
    Some(match id {
        Id::Down => 1,
        Id::Up => -1,
        Id::HalfDown => PAGE / 2,
        Id::HalfUp => -PAGE / 2,
        Id::PageDown => PAGE,
        Id::PageUp => -PAGE,
        Id::First => i64::MIN / 2,
        Id::Last => i64::MAX / 2,
        _ => return None,
    })
}

/// Moves the cursor of a pane.
pub fn move_in(state: &mut State, pane: Pane, rows: i64) -> Vec<Effect> {
    state.version += 1;
    match pane {
        Pane::Nodes => {
            let order = state.node_order();
            let at = order.iter().position(|node| *node == state.node).unwrap_or(0);
            let node = order.get(moved(at, rows, order.len())).copied().unwrap_or(0);
            if let Some(cursor) = state.nodes.get(node).map(|node| node.member) {
                let shown: Vec<Member> =
                    order.iter().filter_map(|at| state.nodes.get(*at)).map(|node| node.member).collect();
                state.marked.extend(&shown, cursor);
            }
            return select_node(state, node);
        }
        Pane::Brokers => {
            state.broker = moved(state.broker, rows, state.brokers.len());
            let shown: Vec<Member> = state.brokers.iter().map(|broker| broker.member).collect();
            if let Some(cursor) = shown.get(state.broker) {
                state.marked.extend(&shown, *cursor);
            }
        }
        Pane::Tree => return state.tree.move_by(rows),
        Pane::Events => state.events.scroll(rows),
        Pane::Timeline => return vec![Effect::Travel(time::by_rows(rows))],
        Pane::Flow | Pane::Metrics | Pane::Replication => {}
    }
    Vec::new()
}

/// Selects a node: its tree is shown.
pub fn select_node(state: &mut State, node: usize) -> Vec<Effect> {
    state.version += 1;
    state.node = node;
    // In the past there is only the tree that was read then.
    if state.tree.node == node || state.time.is_past() {
        return Vec::new();
    }
    state.tree.show(node);
    state.tree.refresh_now()
}

pub(crate) fn moved(from: usize, rows: i64, count: usize) -> usize {
    let to = i64::try_from(from).unwrap_or(i64::MAX).saturating_add(rows).max(0);
    usize::try_from(to).unwrap_or(0).min(count.saturating_sub(1))
}

/// Begins the load that was asked for last, or ends the one that runs.
fn toggle_load(state: &mut State, now: Duration) -> Vec<Effect> {
    if state.loads.is_running() {
        return load::stop(state, now);
    }
    let plan = state.loads.current.as_ref().map(|load| load.plan.clone()).unwrap_or_default();
    state.overlay = Some(Overlay::Text { page: TextPage::Load, top: 0 });
    load::begin(state, now, plan)
}

/// The steps while scenarios run, else the list.
fn show_scenarios(state: &mut State) {
    state.overlay = Some(if state.scenarios.is_running() {
        Overlay::Text { page: TextPage::Scenario, top: 0 }
    } else {
        Overlay::Scenarios { cursor: 0 }
    });
}
