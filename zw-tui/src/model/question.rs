//! A question before something that cannot be taken back, or that concerns others.
//!
//! Invariants:
//! - The answer is No: Enter, Esc, `n` and `q` all leave without doing anything; only `y` says yes, which never asks, or
//!   the typed name where one is wanted.
//! - Keys that were meant for what was on the screen before do nothing: those of the first [`SETTLE_TIME`], and the
//!   repeats of the key that asked, however long it is held.

use super::composer::Composer;
use super::overlay::Input;
use crate::action::command::Command;
use crate::key::{Code, Key};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long keys are ignored, counted anew with each repeat of the key that asked.
pub const SETTLE_TIME: Duration = Duration::from_millis(300);

/// The question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What would be done, in a word or two.
    pub title: String,
    /// What it means and to whom, as sentences.
    pub words: Vec<String>,
    /// What is done when the answer is yes.
    pub command: Command,
    /// The key that asked; its repeats do nothing.
    pub trigger: Option<Key>,
    /// Since when it asks.
    pub since: Duration,
    /// The name that must be typed, if `y` is not enough.
    pub needs_name: Option<String>,
    /// Why it cannot be answered yet, if it cannot: what it means is still being found out.
    pub waits: Option<String>,
    /// The name as it is typed.
    pub typed: Input,
    /// The form that it came from, to go back to.
    pub form: Option<Box<Composer>>,
}

/// What a key did to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Yes,
    /// Leave it.
    No,
    /// It still asks.
    Open,
}

impl Question {
    /// A question that `y` answers.
    #[must_use]
    pub fn new(now: Duration, title: String, command: Command, trigger: Option<Key>) -> Question {
        let (words, typed) = (Vec::new(), Input::default());
        Question { title, words, command, trigger, since: now, needs_name: None, waits: None, typed, form: None }
    }

    /// Takes a key.
    pub fn key(&mut self, now: Duration, key: Key) -> Answer {
        // No harm is in a No, however early.
        if key.code == Code::Esc {
            return Answer::No;
        }
        if now < self.since + SETTLE_TIME {
            if Some(key) == self.trigger {
                self.since = now;
            }
            return Answer::Open;
        }
        match (key.code, &self.needs_name) {
            (Code::Enter, Some(name)) if self.waits.is_none() && self.typed.text() == name => Answer::Yes,
            // Half a name was not meant as a No; it can be mended.
            (Code::Enter, Some(_)) if !self.typed.text().is_empty() => Answer::Open,
            (Code::Enter, _) => Answer::No,
            (_, Some(_)) => {
                self.typed.edit(key);
                Answer::Open
            }
            (Code::Char('y'), None) if !key.ctrl && self.waits.is_none() => Answer::Yes,
            (Code::Char('n' | 'q'), None) if !key.ctrl => Answer::No,
            _ => Answer::Open,
        }
    }

    /// Takes a line, in a console without a screen.
    #[must_use]
    pub fn line(&self, line: &str) -> Answer {
        let is_yes = matches!(line, "y" | "yes");
        match (&self.waits, self.needs_name.as_deref()) {
            (Some(_), _) if is_yes => Answer::Open,
            (None, Some(name)) if name == line => Answer::Yes,
            (None, None) if is_yes => Answer::Yes,
            _ => Answer::No,
        }
    }

    /// How it can be answered, for the person.
    #[must_use]
    pub fn keys(&self) -> String {
        match (&self.waits, &self.needs_name) {
            (Some(reason), _) => reason.clone(),
            (None, Some(name)) => format!("type {name} and Enter to do it; Esc leaves it"),
            (None, None) => "y does it; n, Enter or Esc leaves it".into(),
        }
    }

    /// The key that says yes now, if one does, for the hints.
    #[must_use]
    pub fn yes_key(&self) -> Option<&'static str> {
        match &self.needs_name {
            _ if self.waits.is_some() => None,
            None => Some("y"),
            Some(name) => (self.typed.text() == name).then_some("Enter"),
        }
    }

    /// How it can be answered in a console without a screen.
    #[must_use]
    pub fn line_keys(&self) -> String {
        match (&self.waits, &self.needs_name) {
            (Some(_), _) => "the znodes are counted first; n leaves it".to_owned(),
            (None, Some(name)) => format!("{name} does it, anything else leaves it"),
            (None, None) => "y does it, anything else leaves it".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn question() -> Question {
        let command = Command::Delete { node: 0, path: "/goals".into(), below: None };
        Question::new(millis(1_000), "Delete".into(), command, Some(Key::char('D')))
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
            assert_eq!(question().key(millis(1_300), key), Answer::No, "{key}");
        }
        assert_eq!(asked.key(millis(1_300), Key::char('y')), Answer::Yes);
    }

    #[test]
    fn a_key_that_is_held_keeps_the_others_out() {
        let mut asked = question();
        for repeat in 0..20 {
            assert_eq!(asked.key(millis(1_100 + repeat * 100), Key::char('D')), Answer::Open);
        }
        assert_eq!(asked.key(millis(3_100), Key::char('y')), Answer::Open);
        assert_eq!(asked.key(millis(3_300), Key::char('y')), Answer::Yes);
    }

    #[test]
    fn a_name_is_typed_as_a_whole() {
        let mut asked = Question { needs_name: Some("goals".into()), ..question() };
        let mut keys =
            |text: &str| text.chars().map(|key| asked.key(millis(2_000), Key::char(key))).collect::<Vec<_>>();
        assert!(keys("goaly").iter().all(|answer| *answer == Answer::Open));
        assert_eq!(asked.key(millis(2_000), Key::plain(Code::Enter)), Answer::Open, "not the name");
        asked.key(millis(2_000), Key::plain(Code::Backspace));
        asked.key(millis(2_000), Key::char('s'));
        assert_eq!(asked.key(millis(2_000), Key::plain(Code::Enter)), Answer::Yes);
        let mut empty = Question { needs_name: Some("goals".into()), ..question() };
        assert_eq!(empty.key(millis(2_000), Key::plain(Code::Enter)), Answer::No);
    }

    #[test]
    fn what_is_not_known_yet_is_not_confirmed() {
        let mut asked = Question { waits: Some("counting".into()), ..question() };
        assert_eq!((asked.line("yes"), asked.line("no")), (Answer::Open, Answer::No));
        assert_eq!(asked.key(millis(2_000), Key::char('y')), Answer::Open);
        assert_eq!(asked.key(millis(2_000), Key::char('n')), Answer::No);
    }
}
