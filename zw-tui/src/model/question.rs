//! A question before an act that cannot be taken back.
//!
//! Invariants:
//! - The default is Cancel: Enter, Esc, `n` and `q` all leave without doing anything; only `y` confirms, or the typed
//!   name where one is wanted.
//! - Keys that were meant for what was on the screen before do nothing: those of the first [`SETTLE_TIME`], and the
//!   repeats of the key that asked, however long it is held.

use super::overlay::Input;
use crate::key::{Code, Key};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long keys are ignored, counted anew with each repeat of the key that asked.
pub const SETTLE_TIME: Duration = Duration::from_millis(300);

/// What would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtree {
    /// Through which node, from 0.
    pub node: usize,
    /// Its root.
    pub path: String,
    /// How many znodes are below the root, once they are counted.
    pub below: Option<u64>,
}

/// The question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// What would be done, in a word or two.
    pub title: String,
    /// What it means, as sentences.
    pub words: Vec<String>,
    /// What is deleted when it is confirmed.
    pub subtree: Subtree,
    /// The key that asked; its repeats do nothing.
    pub trigger: Option<Key>,
    /// Since when it asks.
    pub since: Duration,
    /// The name that must be typed, if `y` is not enough.
    pub needs_name: Option<String>,
    /// Why it cannot be confirmed yet, if it cannot: what it means is still being found out.
    pub waits: Option<String>,
    /// The name as it is typed.
    pub typed: Input,
}

/// What a key did to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Confirmed,
    /// Leave it.
    Cancelled,
    /// It still asks.
    Open,
}

impl Confirm {
    /// A question that `y` answers.
    #[must_use]
    pub fn new(now: Duration, title: String, subtree: Subtree, trigger: Option<Key>) -> Confirm {
        let (words, typed) = (Vec::new(), Input::default());
        Confirm { title, words, subtree, trigger, since: now, needs_name: None, waits: None, typed }
    }

    /// Takes a key.
    pub fn key(&mut self, now: Duration, key: Key) -> Answer {
        // No harm is in a No, however early.
        if key.code == Code::Esc {
            return Answer::Cancelled;
        }
        if now < self.since + SETTLE_TIME {
            if Some(key) == self.trigger {
                self.since = now;
            }
            return Answer::Open;
        }
        match (key.code, &self.needs_name) {
            (Code::Enter, Some(name)) if self.waits.is_none() && self.typed.text() == name => Answer::Confirmed,
            // Half a name was not meant as a No; it can be mended.
            (Code::Enter, Some(_)) if !self.typed.text().is_empty() => Answer::Open,
            (Code::Enter, _) => Answer::Cancelled,
            (_, Some(_)) => {
                self.typed.edit(key);
                Answer::Open
            }
            (Code::Char('y'), None) if !key.ctrl && self.waits.is_none() => Answer::Confirmed,
            (Code::Char('n' | 'q'), None) if !key.ctrl => Answer::Cancelled,
            _ => Answer::Open,
        }
    }

    /// How it can be answered, for the person.
    #[must_use]
    pub fn keys(&self) -> String {
        match (&self.waits, &self.needs_name) {
            (Some(reason), _) => reason.clone(),
            (None, Some(name)) => format!("type {name} and Enter to do it; Esc cancels"),
            (None, None) => "y does it; Enter or Esc cancels".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn question() -> Confirm {
        Confirm::new(millis(1_000), "Delete".into(), Subtree::default(), Some(Key::char('D')))
    }

    #[test]
    fn only_y_confirms_and_not_before_the_hands_are_off_the_keys() {
        let mut asked = question();
        for key in [Key::char('y'), Key::char('n'), Key::plain(Code::Enter)] {
            assert_eq!(asked.key(millis(1_299), key), Answer::Open, "{key}");
        }
        for key in [Key::char('D'), Key::char('Y'), Key::char(' '), Key::ctrl('y'), Key::plain(Code::Tab)] {
            assert_eq!(asked.key(millis(1_300), key), Answer::Open, "{key}");
        }
        for key in [Key::plain(Code::Enter), Key::char('n'), Key::char('q'), Key::plain(Code::Esc)] {
            assert_eq!(question().key(millis(1_300), key), Answer::Cancelled, "{key}");
        }
        assert_eq!(asked.key(millis(1_300), Key::char('y')), Answer::Confirmed);
    }

    #[test]
    fn a_key_that_is_held_keeps_the_others_out() {
        let mut asked = question();
        for repeat in 0..20 {
            assert_eq!(asked.key(millis(1_100 + repeat * 100), Key::char('D')), Answer::Open);
        }
        assert_eq!(asked.key(millis(3_100), Key::char('y')), Answer::Open);
        assert_eq!(asked.key(millis(3_300), Key::char('y')), Answer::Confirmed);
    }

    #[test]
    fn a_name_is_typed_as_a_whole() {
        let mut asked = Confirm { needs_name: Some("goals".into()), ..question() };
        let mut keys =
            |text: &str| text.chars().map(|key| asked.key(millis(2_000), Key::char(key))).collect::<Vec<_>>();
        assert!(keys("goaly").iter().all(|answer| *answer == Answer::Open));
        assert_eq!(asked.key(millis(2_000), Key::plain(Code::Enter)), Answer::Open, "not the name");
        asked.key(millis(2_000), Key::plain(Code::Backspace));
        asked.key(millis(2_000), Key::char('s'));
        assert_eq!(asked.key(millis(2_000), Key::plain(Code::Enter)), Answer::Confirmed);
        let mut empty = Confirm { needs_name: Some("goals".into()), ..question() };
        assert_eq!(empty.key(millis(2_000), Key::plain(Code::Enter)), Answer::Cancelled);
    }

    #[test]
    fn what_is_not_known_yet_is_not_confirmed() {
        let mut asked = Confirm { waits: Some("counting".into()), ..question() };
        assert_eq!(asked.key(millis(2_000), Key::char('y')), Answer::Open);
        assert_eq!(asked.key(millis(2_000), Key::char('n')), Answer::Cancelled);
    }
}
