//! `/`: filters of lists and searches of texts, as they are typed; `n` and `N` go through what was found.

use super::acts::say;
use super::matcher::Matcher;
use super::message::Effect;
use super::overlay::{Input, Overlay};
use super::{Pane, State};
use crate::key::{Code, Key};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest text that is looked for.
const SEARCH_BYTES_MAX: usize = 256;

/// What is typed and what is looked for in texts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Search {
    /// The line, while it is typed.
    pub typing: Option<Typing>,
    /// What is looked for in the text that lies over the panes.
    pub in_text: Option<Matcher>,
}

/// The line of a search that is typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// The text.
    pub input: Input,
    /// What is looked through.
    pub place: SearchPlace,
}

/// What is looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SearchPlace {
    /// The children of this znode.
    Tree(String),
    /// The feed.
    Events,
    /// The text that lies over the panes.
    Text,
    /// There is nothing. The line takes the keys all the same: what somebody types after `/` is meant for no action.
    Nothing,
}

/// What `/` would look through now.
///
/// # Errors
/// Nothing; why, for a person.
pub fn place(state: &State) -> Result<SearchPlace, String> {
    match (&state.overlay, state.focus()) {
        (Some(Overlay::Text { .. } | Overlay::Output(_)), _) => Ok(SearchPlace::Text),
        (_, Pane::Tree) => Ok(SearchPlace::Tree(state.tree.filterable())),
        (_, Pane::Events) => Ok(SearchPlace::Events),
        _ => Err("there is nothing to look through here; / works in the tree, the events and texts".into()),
    }
}

/// Begins to type.
pub fn begin(state: &mut State) {
    if let Ok(place) = place(state) {
        let known = match &place {
            SearchPlace::Tree(_) => state.tree.found().map(|(text, _)| text),
            SearchPlace::Events => state.events.filter().map(Matcher::text),
            SearchPlace::Text | SearchPlace::Nothing => None,
        };
        state.search.typing = Some(Typing { input: Input::with(&known.unwrap_or_default()), place });
    }
}

/// Takes what is typed though nothing is looked through.
pub fn begin_nowhere(state: &mut State) {
    state.search.typing = Some(Typing { input: Input::default(), place: SearchPlace::Nothing });
}

/// A key, while the line is typed.
pub(super) fn in_line(state: &mut State, now: Duration, key: Key, mut typing: Typing) -> Vec<Effect> {
    match key.code {
        Code::Enter => Vec::new(),
        Code::Esc => apply(state, now, &typing.place, None),
        Code::Backspace if typing.input.text().is_empty() => Vec::new(),
        // The list can be gone through while one types.
        Code::Down | Code::Up => {
            let rows = if key.code == Code::Down { 1 } else { -1 };
            let effects = match typing.place {
                SearchPlace::Tree(_) => state.tree.move_by(rows),
                SearchPlace::Events => {
                    state.events.scroll(rows);
                    Vec::new()
                }
                SearchPlace::Text => {
                    step(state, now, rows > 0);
                    Vec::new()
                }
                SearchPlace::Nothing => Vec::new(),
            };
            state.search.typing = Some(typing);
            effects
        }
        _ => {
            let is_edit = typing.input.edit(key) && typing.input.text().len() <= SEARCH_BYTES_MAX;
            let matcher = Matcher::new(typing.input.text());
            let effects = if is_edit { apply(state, now, &typing.place, matcher) } else { Vec::new() };
            state.search.typing = Some(typing);
            effects
        }
    }
}

/// Pastes into the line.
pub(super) fn paste(state: &mut State, now: Duration, text: &str) -> Vec<Effect> {
    let Some(mut typing) = state.search.typing.take() else { return Vec::new() };
    let line: String = text.lines().next().unwrap_or_default().chars().take(SEARCH_BYTES_MAX / 4).collect();
    typing.input.insert(&line);
    let effects = apply(state, now, &typing.place, Matcher::new(typing.input.text()));
    state.search.typing = Some(typing);
    effects
}

fn apply(state: &mut State, now: Duration, place: &SearchPlace, matcher: Option<Matcher>) -> Vec<Effect> {
    match place {
        SearchPlace::Tree(parent) => return state.tree.set_filter(parent, matcher),
        SearchPlace::Events => state.events.set_filter(matcher),
        SearchPlace::Nothing => {}
        SearchPlace::Text => {
            state.search.in_text = matcher;
            go(state, now, Direction::Here);
        }
    }
    Vec::new()
}

/// Clears what is looked for in the focused pane; whether there was something.
pub fn clear(state: &mut State) -> Option<Vec<Effect>> {
    match state.focus() {
        Pane::Tree if state.tree.found().is_some() => Some(state.tree.set_filter("/", None)),
        Pane::Events if state.events.filter().is_some() => {
            state.events.set_filter(None);
            Some(Vec::new())
        }
        _ => None,
    }
}

/// The next or previous of what was found.
pub fn next(state: &mut State, now: Duration, is_forward: bool) -> Vec<Effect> {
    let rows = if is_forward { 1 } else { -1 };
    match place(state) {
        Ok(SearchPlace::Tree(_)) if state.tree.found().is_some() => return state.tree.move_by(rows),
        Ok(SearchPlace::Events) if state.events.filter().is_some() => state.events.scroll(rows),
        Ok(SearchPlace::Text) if state.search.in_text.is_some() => step(state, now, is_forward),
        Ok(_) => say(state, now, "nothing is looked for; / begins".into(), true),
        Err(reason) => say(state, now, reason, true),
    }
    Vec::new()
}

fn step(state: &mut State, now: Duration, is_forward: bool) {
    go(state, now, if is_forward { Direction::Down } else { Direction::Up });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Here,
    Down,
    Up,
}

/// Scrolls the text to a line that matches, around the end if need be.
fn go(state: &mut State, now: Duration, direction: Direction) {
    let Some(matcher) = state.search.in_text.clone() else { return };
    let found = |count: usize, from: usize, is_match: &dyn Fn(usize) -> bool| -> Option<usize> {
        let line = |step: usize| match direction {
            Direction::Here => (from + step) % count,
            Direction::Down => (from + 1 + step) % count,
            Direction::Up => (from + 2 * count - 1 - step) % count,
        };
        (0..count).map(line).find(|line| is_match(*line))
    };
    let mut overlay = state.overlay.take();
    match &mut overlay {
        Some(Overlay::Text { page, top }) => {
            // The words about times change, not what stands in which line.
            let lines = page.lines(state, now);
            if let Some(line) = found(lines.len(), *top, &|line| matcher.is_match(&lines[line].0)) {
                *top = line;
            }
        }
        Some(Overlay::Output(printed)) => {
            let lines = printed.lines.as_deref().unwrap_or_default();
            let from = lines.len().saturating_sub(printed.behind + 1);
            if let Some(line) = found(lines.len(), from, &|line| matcher.is_match(&lines[line])) {
                printed.behind = lines.len() - 1 - line;
            }
        }
        _ => {}
    }
    state.overlay = overlay;
}
