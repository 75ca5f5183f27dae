//! The one function that changes the state: a message in, effects out.

use super::acts::say;
use super::events::{Event, Level, Source};
use super::message::{Effect, Msg, Recording};
use super::overlay::{Choice, Input, Overlay};
use super::question::{Answer, Question};
use super::select;
use super::text::TextPage;
use super::time::Travel;
use super::{
    Pane, State, attached, chord, composer, detach, faults, flow, heard, jobs, menu, scenario, search, time_marks,
};
use crate::action::complete::{complete, completed, with_word};
use crate::action::perform;
use crate::action::table::{ACTIONS, Action, Id, types_line};
use crate::key::{Code, Key};
use std::time::Duration;

/// The page of an election has no more lines; drawing stops at its last one.
const ELECTION_LINES_MAX: usize = 500;

/// Changes the state by a message that came at `now`.
pub fn update(state: &mut State, now: Duration, message: Msg) -> Vec<Effect> {
    let mut effects = expire(state, now);
    let (message, mut wanted) = attached::arriving(state, now, message);
    effects.append(&mut wanted);
    if let Some(message) = message {
        scenario::observe(state, &message);
        // Keys alone do not drive it: in the past they only change how that is looked at.
        let is_input = message.is_input();
        let mut wanted = take(state, now, message);
        if !is_input {
            wanted.append(&mut scenario::advance(state, now));
        }
        effects.extend(attached::leaving(state, now, wanted));
    }
    time_marks::notice(state, now);
    effects
}

fn take(state: &mut State, now: Duration, message: Msg) -> Vec<Effect> {
    match message {
        Msg::Key(key) => on_key(state, now, key),
        Msg::Paste(text) => on_paste(state, now, &text),
        Msg::Click(pane, item) => on_click(state, pane, item),
        Msg::RightClick(pane, item, at) => on_right_click(state, pane, item, at),
        Msg::MenuClick(item) => menu::on_click(state, now, item),
        Msg::Wheel(pane, steps) if state.overlay.is_none() => perform::move_in(state, pane, i64::from(steps) * 3),
        Msg::Wheel(..) => Vec::new(),
        Msg::Line(line) => on_line(state, now, &line),
        Msg::Dumped(result) => {
            let is_done = result.is_ok();
            let text = result.map_or_else(|reason| reason, |path| format!("the screen is in {path}"));
            say(state, now, text, is_done);
            Vec::new()
        }
        Msg::Edited(result) => {
            composer::on_edited(state, result);
            Vec::new()
        }
        Msg::Exported(result) => {
            jobs::on_exported(state, now, result);
            Vec::new()
        }
        Msg::Leave => perform::leave(state, now),
        Msg::Note(text) => {
            note(state, now, Source::Console, Level::Warning, text);
            Vec::new()
        }
        Msg::Tick => Vec::new(),
        Msg::View(view) => {
            state.version += 1;
            view.apply(state)
        }
        Msg::Recording(recording) => {
            on_recording(state, now, recording);
            Vec::new()
        }
        Msg::CameBack { away, lost, children } => {
            let mut effects = detach::reconcile(state, now, children);
            effects.extend(detach::come_back(state, now, away, lost));
            effects
        }
        heard => heard::take(state, now, heard),
    }
}

/// Lets what has had its time go.
pub fn expire(state: &mut State, now: Duration) -> Vec<Effect> {
    let effects = faults::expire(state, now);
    flow::advance(state, now);
    if is_over(state, now) {
        state.toast = None;
        state.version += 1;
    }
    effects
}

/// Whether something has had its time.
#[must_use]
pub fn is_due(state: &State, now: Duration) -> bool {
    is_over(state, now)
        || flow::is_due(state, now)
        || state.faults.active().iter().any(|lease| lease.until.is_some_and(|until| until <= now))
}

/// Whether the message has had its time.
fn is_over(state: &State, now: Duration) -> bool {
    state.toast.as_ref().and_then(|toast| toast.until).is_some_and(|until| until <= now)
}

fn on_recording(state: &mut State, now: Duration, recording: Recording) {
    jobs::on_recording(state, now, &recording);
    let (text, is_fine) = match recording {
        Recording::Began(file) => (format!("records to {file}"), true),
        Recording::Ended { file, bytes } => {
            (format!("the recording is in {file}, {}: zw-tui replay shows it", select::bytes(bytes)), true)
        }
        Recording::Failed(reason) => (format!("nothing is recorded: {reason}"), false),
    };
    note(state, now, Source::Console, if is_fine { Level::Info } else { Level::Bad }, text.clone());
    say(state, now, text, is_fine);
}

pub(super) fn note(state: &mut State, at: Duration, source: Source, level: Level, text: String) {
    state.events.push(Event::new(at, source, level, text));
    state.version += 1;
}

fn on_key(state: &mut State, now: Duration, key: Key) -> Vec<Effect> {
    state.version += 1;
    // A message that waits for the person has been seen.
    if state.toast.as_ref().is_some_and(|toast| toast.until.is_none()) {
        state.toast = None;
    }
    let leaves = state.keymap.lookup(key, state.focus()).filter(|action| matches!(action.id, Id::Leave | Id::Suspend));
    // As in a shell, it is the line that is left.
    let leaves_line = leaves.is_some_and(|action| action.id == Id::Leave) && types_line(state);
    let (key, leaves) = if leaves_line { (Key::plain(Code::Esc), None) } else { (key, leaves) };
    if leaves.is_none() {
        if let Some(typing) = state.search.typing.take() {
            return search::in_line(state, now, key, typing);
        }
        if let Some(chord) = state.chord.take() {
            return chord::second(state, now, key, chord);
        }
    }
    (state.search.typing, state.chord) = (None, None);
    match (state.overlay.take(), leaves) {
        (_, Some(action)) => perform::perform(state, now, action.id),
        (None, None) => match state.keymap.lookup(key, state.focus()) {
            Some(action) => perform::perform(state, now, action.id),
            None => Vec::new(),
        },
        (Some(Overlay::Question(question)), None) => in_question(state, now, key, question),
        // Without its form what the editor makes would be lost.
        (Some(Overlay::Write(form)), None) if form.is_edited => {
            state.overlay = Some(Overlay::Write(form));
            Vec::new()
        }
        (Some(_), None) if key == Key::plain(Code::Esc) => Vec::new(),
        (Some(Overlay::Help { filter, cursor }), None) => in_help(state, now, key, filter, cursor),
        (Some(Overlay::Command { input, recalled, choice, .. }), None) => {
            in_command(state, now, key, input, recalled, choice)
        }
        (Some(Overlay::Menu(menu)), None) => menu::in_menu(state, now, key, menu),
        (Some(Overlay::Write(form)), None) => composer::in_form(state, now, key, form),
        (Some(Overlay::Scenarios { cursor }), None) => in_scenarios(state, now, key, cursor),
        (Some(text), None) => in_text(state, now, key, text),
    }
}

/// In a text that lies over the panes: movements scroll it, q and the key that opened it close it; any other action is
/// done, and the text stays unless something else comes in its place.
fn in_text(state: &mut State, now: Duration, key: Key, mut text: Overlay) -> Vec<Effect> {
    let steps_in_time = |id: &Id| matches!(id, Id::StepBack | Id::StepOn);
    let here = state.keymap.lookup(key, state.focus()).map(|action| action.id).filter(steps_in_time);
    let id = here.or_else(|| state.keymap.lookup(key, Pane::Events).map(|action| action.id));
    let is_closed = match (&mut text, id) {
        (_, Some(Id::Quit))
        | (Overlay::Output(_), Some(Id::Output))
        | (Overlay::Election { .. }, Some(Id::Election)) => true,
        (Overlay::Text { page, .. }, Some(id)) if page.opened_by() == id => true,
        (Overlay::Text { page: TextPage::Scenario, .. }, Some(Id::Scenarios)) if state.scenarios.is_running() => {
            scenario::stop(state);
            false
        }
        (Overlay::Text { page, top }, Some(id)) if perform::rows(id).is_some() => {
            let rows = perform::rows(id).unwrap_or_default();
            let last = page.lines(state, now).len() - 1;
            let from = i64::try_from((*top).min(last)).unwrap_or(i64::MAX);
            *top = usize::try_from(from.saturating_add(rows).max(0)).unwrap_or(usize::MAX).min(last);
            false
        }
        (Overlay::Election { top, .. }, Some(id)) if perform::rows(id).is_some() => {
            let to = i64::try_from(*top).unwrap_or(i64::MAX).saturating_add(perform::rows(id).unwrap_or_default());
            *top = usize::try_from(to.max(0)).unwrap_or(usize::MAX).min(ELECTION_LINES_MAX);
            false
        }
        (Overlay::Election { back, top }, Some(Id::PreviousTab)) => {
            (*back, *top) = ((*back + 1).min(state.elections.len().saturating_sub(1)), 0);
            false
        }
        (Overlay::Election { back, top }, Some(Id::NextTab)) => {
            (*back, *top) = (back.saturating_sub(1), 0);
            false
        }
        (Overlay::Output(printed), Some(id)) if perform::rows(id).is_some() => {
            printed.scroll(perform::rows(id).unwrap_or_default());
            false
        }
        (_, Some(Id::Filter | Id::NextMatch | Id::PreviousMatch | Id::Yank(_))) => {
            state.overlay = Some(text);
            return id.map_or_else(Vec::new, |id| perform::perform(state, now, id));
        }
        (Overlay::Output(printed), Some(Id::Follow)) => {
            printed.behind = usize::from(printed.behind == 0);
            false
        }
        (_, Some(id)) => {
            let effects = perform::perform(state, now, id);
            state.overlay.get_or_insert(text);
            return effects;
        }
        (_, None) => false,
    };
    if !is_closed {
        state.overlay = Some(text);
    }
    Vec::new()
}

/// A key while something is asked.
fn in_question(state: &mut State, now: Duration, key: Key, mut question: Box<Question>) -> Vec<Effect> {
    let answer = question.key(now, key);
    answered(state, now, answer, question)
}

/// Does what was asked about, or leaves it and goes back to the form that it came from.
fn answered(state: &mut State, now: Duration, answer: Answer, question: Box<Question>) -> Vec<Effect> {
    match answer {
        Answer::Yes => return perform::confirmed(state, now, *question),
        Answer::No => {
            say(state, now, format!("not done: {}", question.title), true);
            state.overlay = question.form.map(Overlay::Write);
        }
        Answer::Open => state.overlay = Some(Overlay::Question(question)),
    }
    Vec::new()
}

/// A line that was typed without a screen: a command, or the answer to a question.
fn on_line(state: &mut State, now: Duration, line: &str) -> Vec<Effect> {
    let line = line.trim();
    state.toast = None;
    if let Some(Overlay::Question(mut question)) = state.overlay.take() {
        // There is no form to go back to.
        question.form = None;
        let answer = question.line(line);
        if let (Answer::Open, Some(reason)) = (answer, &question.waits) {
            say(state, now, reason.clone(), true);
        }
        return answered(state, now, answer, question);
    }
    match perform::run_command(state, now, line.strip_prefix(':').unwrap_or(line)) {
        Ok(effects) => effects,
        Err(reason) => {
            say(state, now, reason, false);
            Vec::new()
        }
    }
}

/// In the list of scenarios: Enter runs the selected one.
fn in_scenarios(state: &mut State, now: Duration, key: Key, cursor: usize) -> Vec<Effect> {
    let names: Vec<&str> = scenario::list_lines(state).iter().map(|(name, ..)| *name).collect();
    let id = state.keymap.lookup(key, Pane::Events).map(|action| action.id);
    let cursor = match id {
        Some(Id::Quit | Id::Scenarios) => return Vec::new(),
        _ if key.code == Code::Enter => {
            return names.get(cursor).map_or_else(Vec::new, |name| perform::run_scenario(state, now, name));
        }
        Some(id) => perform::moved(cursor, perform::rows(id).unwrap_or(0), names.len()),
        None => cursor,
    };
    state.overlay = Some(Overlay::Scenarios { cursor });
    Vec::new()
}

/// The actions that the help shows with this filter.
#[must_use]
pub fn help_lines(state: &State, filter: &str) -> Vec<&'static Action> {
    let filter = filter.to_lowercase();
    let matches = |action: &&Action| {
        let keys = state.keymap.names(action).iter().any(|name| name.to_lowercase() == filter);
        keys || action.sentence.to_lowercase().contains(&filter) || action.command.contains(&filter)
    };
    let mut lines: Vec<&'static Action> = ACTIONS.iter().filter(matches).collect();
    // What is called so comes before what only speaks of it.
    lines.sort_by_key(|action| filter.is_empty() || !action.command.starts_with(&filter));
    lines
}

fn in_help(state: &mut State, now: Duration, key: Key, mut filter: Input, mut cursor: usize) -> Vec<Effect> {
    let lines = help_lines(state, filter.text());
    match key {
        Key { code: Code::Enter, .. } => {
            return lines.get(cursor).map_or_else(Vec::new, |action| perform::perform(state, now, action.id));
        }
        Key { code: Code::Char('q' | '?'), ctrl: false } if filter.text().is_empty() => return Vec::new(),
        Key { code: Code::Down, .. } | Key { code: Code::Char('n'), ctrl: true } => {
            cursor = (cursor + 1).min(lines.len().saturating_sub(1));
        }
        Key { code: Code::Up, .. } | Key { code: Code::Char('p'), ctrl: true } => cursor = cursor.saturating_sub(1),
        Key { code: Code::PageDown, .. } => cursor = (cursor + 10).min(lines.len().saturating_sub(1)),
        Key { code: Code::PageUp, .. } => cursor = cursor.saturating_sub(10),
        key => {
            if filter.edit(key) {
                cursor = 0;
            }
        }
    }
    state.overlay = Some(Overlay::Help { filter, cursor });
    Vec::new()
}

fn in_command(
    state: &mut State,
    now: Duration,
    key: Key,
    mut input: Input,
    mut recalled: Option<usize>,
    mut choice: Option<Choice>,
) -> Vec<Effect> {
    let mut error = None;
    let former = choice.take();
    match key.code {
        Code::Enter if input.text().trim().is_empty() => return Vec::new(),
        Code::Enter => match perform::run_command(state, now, input.text().trim()) {
            Ok(effects) => return effects,
            Err(reason) => error = Some(reason),
        },
        Code::Backspace if input.text().is_empty() => return Vec::new(),
        Code::Tab | Code::BackTab => {
            choice = candidates(state, input.text(), former, key.code == Code::Tab);
            match &choice {
                Some(Choice { typed, words, at: Some(at) }) => input = Input::with(&with_word(typed, &words[*at])),
                Some(Choice { .. }) => {}
                None => {
                    if let Some(line) = completed(input.text(), state) {
                        input = Input::with(&line);
                    }
                }
            }
        }
        Code::Up => {
            let index = recalled.unwrap_or(state.history.len()).saturating_sub(1);
            if let Some(line) = state.history.get(index) {
                (input, recalled) = (Input::with(line), Some(index));
            }
        }
        Code::Down => {
            recalled = recalled.map(|index| index + 1).filter(|index| *index < state.history.len());
            input = Input::with(recalled.map_or("", |index| state.history[index].as_str()));
        }
        _ => {
            input.edit(key);
        }
    }
    state.overlay = Some(Overlay::Command { input, recalled, error, choice });
    Vec::new()
}

/// What Tab goes through from now on; none if it only completes the line as far as that is certain. The first Tab shows
/// the candidates, the next ones go through them.
fn candidates(state: &State, line: &str, former: Option<Choice>, is_forward: bool) -> Option<Choice> {
    if let Some(mut choice) = former {
        choice.step(is_forward);
        return Some(choice);
    }
    if is_forward && completed(line, state).is_some() {
        return None;
    }
    let words = complete(line, state);
    let mut choice = Choice { typed: line.to_owned(), words, at: None };
    if !is_forward && !choice.words.is_empty() {
        choice.step(false);
    }
    (!choice.words.is_empty()).then_some(choice)
}

fn on_paste(state: &mut State, now: Duration, text: &str) -> Vec<Effect> {
    state.version += 1;
    if state.search.typing.is_some() {
        return search::paste(state, now, text);
    }
    let one_line = || text.replace(['\r', '\n'], " ");
    let is_taken = match &mut state.overlay {
        Some(Overlay::Write(form)) => form.paste(text),
        Some(Overlay::Command { input, choice, error, .. }) => {
            (*choice, *error) = (None, None);
            input.insert(&one_line())
        }
        Some(Overlay::Help { filter, .. }) => filter.insert(&one_line()),
        Some(_) | None => {
            say(state, now, "nothing here takes a paste; W writes a znode".into(), true);
            return Vec::new();
        }
    };
    if !is_taken {
        say(state, now, format!("too long to paste: {} bytes", text.len()), false);
    }
    Vec::new()
}

fn on_click(state: &mut State, pane: Pane, item: Option<usize>) -> Vec<Effect> {
    if state.overlay.is_some() {
        return Vec::new();
    }
    state.version += 1;
    state.focus_on(pane);
    match (pane, item) {
        (Pane::Tree, Some(row)) if row < state.tree.count() && state.tree.cursor() == row => state.tree.toggle(),
        // The item of the timeline is its time.
        (Pane::Timeline, Some(millis)) => {
            let at = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
            vec![Effect::Travel(Travel::To(at))]
        }
        (pane, Some(item)) => select_item(state, pane, item),
        (_, None) => Vec::new(),
    }
}

/// Selects the item, and shows what can be done with it. Over anything else that lies over the panes it does nothing.
fn on_right_click(state: &mut State, pane: Pane, item: Option<usize>, at: (u16, u16)) -> Vec<Effect> {
    if !matches!(state.overlay, None | Some(Overlay::Menu(_))) {
        return Vec::new();
    }
    state.version += 1;
    (state.overlay, state.search.typing, state.chord) = (None, None, None);
    state.focus_on(pane);
    let Some(item) = item else { return Vec::new() };
    let effects = select_item(state, pane, item);
    // The menu is about what was clicked; marks of others would send its acts elsewhere.
    if state.selected().is_some_and(|member| !state.marked.has(member)) {
        state.marked.clear();
    }
    menu::open(state, Some(at));
    effects
}

fn select_item(state: &mut State, pane: Pane, item: usize) -> Vec<Effect> {
    match pane {
        Pane::Nodes if item < state.nodes.len() => perform::select_node(state, item),
        Pane::Brokers if item < state.brokers.len() => {
            state.broker = item;
            Vec::new()
        }
        Pane::Tree if item < state.tree.count() => state.tree.move_to(item),
        Pane::Events => {
            state.events.select(item);
            Vec::new()
        }
        _ => Vec::new(),
    }
}
