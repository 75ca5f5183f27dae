//! What the console is and where it keeps things: the page `:info`, and the same for `zw-tui info`.

use super::State;
use super::events::{EVENTS_MAX, Level};
use super::page::Line;
use super::{POLL_INTERVAL, POLL_INTERVAL_QUIET, STALE_AFTER};
use crate::action::keymap::Keymap;
use crate::action::table::ACTIONS;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What was found at the start: a name and a value each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The facts, in the order in which they are shown.
    pub facts: Vec<(String, String)>,
    /// What is wrong with the file of settings or the environment.
    pub complaints: Vec<String>,
    /// Cells of the screen, across and down; none without one.
    #[serde(default)]
    pub size: Option<(u16, u16)>,
    /// When the console began, since 1970 by the clock; none if that is not known.
    #[serde(default)]
    pub began: Option<Duration>,
}

/// The page.
#[must_use]
pub fn lines(state: &State) -> Vec<Line> {
    let plain = |name: &str, value: &str| (format!("{name:<12} {value}"), Level::Info);
    let mut lines: Vec<Line> = state.about.facts.iter().map(|(name, value)| plain(name, value)).collect();
    let size = state.about.size.map_or_else(|| "none".to_owned(), |(width, height)| format!("{width}x{height}"));
    lines.push(plain("screen", &size));
    let on_off = |is_on: bool| if is_on { "on" } else { "off" };
    lines.push(plain("theme", state.theme.text()));
    lines.push(plain("motion", state.flow.motion.text()));
    lines.push(plain("mouse", on_off(state.mouse)));
    lines.push(plain("allowed", state.permission.words().unwrap_or("everything: it is a sandbox")));
    let usual = Keymap::default();
    let changed: Vec<String> = ACTIONS
        .iter()
        .filter(|action| usual.keys(action.id) != state.keymap.keys(action.id))
        .map(|action| format!("{} {}", crate::action::keymap::name(action), state.keymap.words(action.id)))
        .collect();
    let keys = if changed.is_empty() { "as they are without a file".to_owned() } else { changed.join(", ") };
    lines.push(plain("keys", &keys));
    let limits = format!(
        "nodes are asked every {} ms, quiet ones every {} ms, and stale after {} ms; {EVENTS_MAX} events are kept",
        POLL_INTERVAL.as_millis(),
        POLL_INTERVAL_QUIET.as_millis(),
        STALE_AFTER.as_millis(),
    );
    lines.push(plain("limits", &limits));
    lines.extend(state.about.complaints.iter().map(|words| (format!("! {words}"), Level::Warning)));
    lines
}
