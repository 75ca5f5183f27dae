//! The rows around the panes: title, verdict, prompt, hints.

use super::canvas::{Canvas, Text, fit, wrap};
use crate::action::table::{self, Id};
use crate::model::overlay::Overlay;
use crate::model::select::{bytes, clock, or_dash, printable, seconds, short};
use crate::model::time::Seen;
use crate::model::verdict::{Verdict, Word};
use crate::model::{Pane, State};
use crate::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Rows of a message: what is longer has no business in one.
const MESSAGE_ROWS_MAX: usize = 5;
const MESSAGE_BYTES_MAX: usize = 1_024;
/// Candidates for a word that are shown at once.
const CANDIDATES_SHOWN: usize = 12;

pub(super) fn title(canvas: &mut Canvas<'_>, state: &State, now: Duration, area: Rect) {
    let (nodes, brokers) = (state.nodes.len(), state.brokers.len());
    let mut text = past(state, now);
    text.add(" ZooWeeper", Role::Strong);
    let counted = |count: usize, kind: &str| format!("{count} {kind}{}", if count == 1 { "" } else { "s" });
    let brokers = if brokers > 0 { format!(" + {}", counted(brokers, "broker")) } else { String::new() };
    let kind = if state.permission.is_attached { "attached" } else { "local ensemble" };
    if let Some(words) = state.permission.words() {
        let role = if state.permission.is_dangerous() { Role::Bad } else { Role::Strong };
        text.add(format!("  {words}"), role);
    }
    let nodes = match (nodes, state.strangers.len()) {
        (0, 1) => "1 address".to_owned(),
        (0, addresses @ 2..) => format!("{addresses} addresses"),
        _ => counted(nodes, "node"),
    };
    text.add(format!("  {kind}, {nodes}{brokers}"), Role::Text);
    canvas.line(area, 0, &text);
    let mouse = if state.mouse { "" } else { "mouse off  " };
    let recorded = state.time.recorded.map_or_else(String::new, |count| format!("rec {}  ", bytes(count)));
    let up = Text::of(format!("{mouse}{recorded}up {} ", minutes(now)), Role::Dim);
    // The load's verdict is worth more than the time.
    let with_load = load(state).into_iter().flat_map(|load| [load.clone().with("  ", Role::Dim).joined(&up), load]);
    let fits = |right: &Text| usize::from(area.width) > right.width() + text.width();
    let right = with_load.chain([up.clone()]).find(fits);
    canvas.line_right(area, 0, &right.unwrap_or_default(), text.width() + 1);
}

/// The live verdict of a load, as long as it runs; for good if it found something.
fn load(state: &State) -> Option<Text> {
    let report = state.loads.report()?;
    if !state.loads.is_running() && report.violations == 0 {
        return None;
    }
    let role = if report.violations > 0 { Role::Bad } else { Role::Strong };
    Some(Text::of(report.verdict(), role))
}

/// Which time is shown, if not the present.
fn past(state: &State, now: Duration) -> Text {
    let time = &state.time;
    let (at, ago) = (clock(now), seconds(time.newest.saturating_sub(now)));
    let events = match time.events_since {
        1 => "1 event since".to_owned(),
        count => format!("{count} events since"),
    };
    let (label, more) = match time.seen {
        Seen::Now => return Text::new(),
        Seen::Frozen => (format!(" FROZEN {at} "), format!(" {events}, . goes on ")),
        Seen::Past => (format!(" PAST {at} "), format!(" (-{ago}) {events} ")),
        Seen::Replay => (format!(" REPLAY {at} "), format!(" of {} ", clock(time.newest))),
    };
    Text::of(label, Role::Selected).with(more, Role::Warning)
}

/// Not finer than minutes: a clock that ticks would paint a quiet screen again and again.
fn minutes(now: Duration) -> String {
    match now.as_secs() / 60 {
        0 => "< 1m".into(),
        minutes @ 1..60 => format!("{minutes}m"),
        minutes => format!("{}h{:02}m", minutes / 60, minutes % 60),
    }
}

pub(super) fn verdict(canvas: &mut Canvas<'_>, state: &State, verdict: &Verdict, now: Duration, area: Rect) {
    if state.leaving.is_some() {
        let left = state.members().filter(|member| state.process(*member).is_some_and(|p| p.pid().is_some())).count();
        let text = Text::of(" LEAVING", Role::Strong)
            .with(format!("  stopping {left} processes; Ctrl-c again kills them"), Role::Text);
        return canvas.line(area, 0, &text);
    }
    let mut text = Text::of(format!(" {}", verdict.word.text()), word_role(verdict.word));
    let quorum = match verdict.members {
        0 => "?".to_owned(),
        members => format!("{}/{members}", verdict.serving),
    };
    text.add(format!("  quorum {quorum}"), Role::Strong);
    let leader = verdict.leader.map_or_else(|| "none".to_owned(), |leader| format!("n{leader}"));
    let mut facts = vec![format!("  leader {leader}"), format!("  epoch {}", or_dash(verdict.epoch))];
    if verdict.members > 0 {
        facts.push(format!("  committed {}", or_dash(verdict.committed)));
    }
    let rates: Vec<u64> = state
        .nodes
        .iter()
        .filter(|node| node.process.can_work() && node.sight.current(now).is_some())
        .filter_map(|node| node.sight.rates().map(|(writes, _)| writes))
        .collect();
    if let Some(most) = rates.into_iter().max() {
        facts.push(format!("  w/s {}", short(most)));
    }
    // Half a number would be another one.
    let fits = |text: &Text, fact: &String| text.width() + fact.width() <= usize::from(area.width);
    for fact in facts {
        if !fits(&text, &fact) {
            break;
        }
        text.add(fact, Role::Text);
    }
    let faults = format!("  faults {}", state.faults.active().len());
    if !state.faults.active().is_empty() && fits(&text, &faults) {
        text.add(faults, Role::Warning);
    }
    canvas.line(area, 0, &text);
    let count = verdict.reasons.len();
    let plural = if count == 1 { "" } else { "s" };
    let counted = Text::of(format!("{count} problem{plural}  "), Role::Text);
    for lead in [counted, Text::new()].into_iter().filter(|_| count > 0) {
        let why = lead.with("!", Role::Key).with(" why ", Role::Dim);
        if text.width() + why.width() < usize::from(area.width) {
            return canvas.line_right(area, 0, &why, text.width());
        }
    }
}

pub(super) fn word_role(word: Word) -> Role {
    match word {
        Word::Healthy => Role::Strong,
        Word::Degraded | Word::Electing | Word::Unknown => Role::Warning,
        Word::NoQuorum | Word::Split | Word::Diverged => Role::Bad,
    }
}

/// The command line while one is typed, else the newest message. A message that is too long for the row goes on in the
/// rows above it, over the panes of `body`: half an advice is none.
pub(super) fn prompt(canvas: &mut Canvas<'_>, state: &State, now: Duration, area: Rect, body: Rect) {
    if let Some(Overlay::Command { input, error, choice, .. }) = &state.overlay {
        canvas.clear(area);
        let width = usize::from(area.width).saturating_sub(3);
        let mut text = Text::of(" :", Role::Key);
        text.append(super::overlay::input_text(canvas.theme, input, width, true));
        canvas.line(area, 0, &text);
        let choice = choice.as_ref().map(|choice| (choice.text(CANDIDATES_SHOWN), Role::Strong));
        match error.clone().map(|error| (error, Role::Bad)).or(choice) {
            Some((error, role)) if text.width() + 2 + error.width() < usize::from(area.width) => {
                canvas.line_right(area, 0, &Text::of(format!("{error} "), role), text.width() + 2);
            }
            Some((error, role)) => rows_up(canvas, &error, role, body),
            None => {
                let keys = Text::of("Tab completes, Enter runs, Esc leaves ", Role::Dim);
                canvas.line_right(area, 0, &keys, text.width() + 2);
            }
        }
    } else if let Some(typing) = &state.search.typing {
        canvas.clear(area);
        let mut text = Text::of(" /", Role::Key);
        let width = usize::from(area.width).saturating_sub(3);
        text.append(super::overlay::input_text(canvas.theme, &typing.input, width, true));
        canvas.line(area, 0, &text);
        let keys = Text::of("Enter keeps it, then n and N; Esc ends it ", Role::Dim);
        canvas.line_right(area, 0, &keys, text.width() + 2);
    } else if let Some(chord) = state.chord.filter(|chord| chord.is_shown(now)) {
        let follow = chord
            .actions()
            .filter_map(|action| Some(format!("{} {}", state.keymap.keys(action.id).first()?, action.hint)));
        let strip = format!("{} ...  {}", chord.first, follow.collect::<Vec<_>>().join("   "));
        rows_up(canvas, &strip, Role::Key, Rect { height: body.height + area.height, ..body });
    } else if let Some(toast) = &state.toast {
        let role = if toast.until.is_some() { Role::Strong } else { Role::Bad };
        rows_up(canvas, &toast.text, role, Rect { height: body.height + area.height, ..body });
    }
}

/// A message in the lowest rows of an area, in as many as it needs.
fn rows_up(canvas: &mut Canvas<'_>, message: &str, role: Role, area: Rect) {
    let message = printable(message.as_bytes(), MESSAGE_BYTES_MAX);
    let rows = MESSAGE_ROWS_MAX.min(usize::from(area.height.div_ceil(2)));
    let width = usize::from(area.width).saturating_sub(2);
    let mut lines = wrap(&message, width, rows + 1);
    if lines.len() > rows {
        let rest = lines.split_off(rows.saturating_sub(1)).join(" ");
        lines.push(fit(&rest, width, canvas.theme));
    }
    let height = u16::try_from(lines.len()).unwrap_or(0);
    let rows = Rect { y: area.y + area.height.saturating_sub(height), height, ..area };
    canvas.clear(rows);
    for (row, line) in (0..height).zip(lines) {
        canvas.line(rows, row, &Text::of(format!(" {line}"), role));
    }
}

/// The keys that do something now, as many as fit.
pub(super) fn hints(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    if area.is_empty() {
        return;
    }
    let width = usize::from(area.width);
    let mut row = 0;
    let mut text = Text::of(" ", Role::Text);
    if table::takes_all_keys(state) {
        if let Some(Overlay::Question(question)) = &state.overlay
            && let Some(key) = question.yes_key()
        {
            text.add(key, Role::Key);
            text.add(" does it  ", Role::Dim);
        }
        let ways = [(Id::Back, "back  "), (Id::Leave, "leave")];
        // From a line that is typed one only goes back.
        for (id, word) in ways.into_iter().filter(|(id, _)| *id == Id::Back || !table::types_line(state)) {
            text.add(state.keymap.keys(id).first().map(ToString::to_string).unwrap_or_default(), Role::Key);
            text.add(format!(" {word}"), Role::Dim);
        }
        return canvas.line(area, 0, &text);
    }
    let panes = if area.height > 1 { Some(("1-8".to_owned(), "pane")) } else { None };
    let first = |id| state.keymap.keys(id).first().map(ToString::to_string).unwrap_or_default();
    let hints = table::hints(state).map(|action| (first(action.id), action.hint));
    for (key, word) in hints.chain(panes) {
        let piece = Text::of(key, Role::Key).with(format!(" {word}  "), Role::Dim);
        if text.width() + piece.width() > width + 2 {
            canvas.line(area, row, &text);
            row += 1;
            text = Text::of(" ", Role::Text);
            if row >= area.height {
                return;
            }
        }
        text.append(piece);
    }
    canvas.line(area, row, &text);
    let target = match &state.targets()[..] {
        [] => String::new(),
        [one] => format!("{one} "),
        several => format!("{} marked ", several.len()),
    };
    let is_last = row + 1 == area.height || row == 0;
    if is_last && state.focus() != Pane::Events {
        canvas.line_right(area, row, &Text::of(target, Role::Strong), text.width());
    }
}
