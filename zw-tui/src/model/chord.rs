//! Keys in two steps: the first waits for the second, and after a moment the screen shows what can follow.

use super::State;
use super::acts::say;
use super::message::Effect;
use crate::action::perform;
use crate::action::table::{ACTIONS, Action, Scope};
use crate::key::{Code, Key};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the screen waits before it shows what can follow: who knows it has typed it by then.
pub const STRIP_AFTER: Duration = Duration::from_millis(300);

/// A first key that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chord {
    /// Which.
    pub first: char,
    /// Since when.
    pub since: Duration,
}

impl Chord {
    /// Whether the screen shows what can follow.
    #[must_use]
    pub fn is_shown(&self, now: Duration) -> bool {
        now >= self.since + STRIP_AFTER
    }

    /// What can follow.
    pub fn actions(self) -> impl Iterator<Item = &'static Action> {
        ACTIONS.iter().filter(move |action| action.scope == Scope::After(self.first))
    }
}

/// The second key.
pub(super) fn second(state: &mut State, now: Duration, key: Key, chord: Chord) -> Vec<Effect> {
    match chord.actions().find(|action| state.keymap.keys(action.id).contains(&key)) {
        Some(action) => perform::perform(state, now, action.id),
        None if key == Key::plain(Code::Esc) => Vec::new(),
        None => {
            say(state, now, format!("{} {key} means nothing", chord.first), true);
            Vec::new()
        }
    }
}
