//! A key press, without the terminal library: what actions are bound to and the model is told.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A key with its modifiers. Shift is in the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Which.
    pub code: Code,
    /// With Ctrl held.
    pub ctrl: bool,
}

/// Which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// A printable character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// F1 and so on.
    Function(u8),
}

impl Key {
    /// A key without modifier.
    #[must_use]
    pub const fn plain(code: Code) -> Key {
        Key { code, ctrl: false }
    }

    /// A character.
    #[must_use]
    pub const fn char(character: char) -> Key {
        Key::plain(Code::Char(character))
    }

    /// A character with Ctrl.
    #[must_use]
    pub const fn ctrl(character: char) -> Key {
        Key { code: Code::Char(character), ctrl: true }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        let name = match self.code {
            Code::Char(' ') => "Space",
            Code::Char(character) => return write!(f, "{character}"),
            Code::Enter => "Enter",
            Code::Esc => "Esc",
            Code::Tab => "Tab",
            Code::BackTab => "Shift-Tab",
            Code::Backspace => "Backspace",
            Code::Delete => "Delete",
            Code::Up => "Up",
            Code::Down => "Down",
            Code::Left => "Left",
            Code::Right => "Right",
            Code::Home => "Home",
            Code::End => "End",
            Code::PageUp => "PgUp",
            Code::PageDown => "PgDn",
            Code::Function(number) => return write!(f, "F{number}"),
        };
        f.write_str(name)
    }
}

/// The text names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no key; write K, Ctrl-p, F5, Enter, Esc, Tab, Space, Up, PgDn")]
pub struct ParseKeyError(String);

impl FromStr for Key {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Key, ParseKeyError> {
        const NAMED: [(&str, Code); 15] = [
            ("Space", Code::Char(' ')),
            ("Enter", Code::Enter),
            ("Esc", Code::Esc),
            ("Tab", Code::Tab),
            ("Shift-Tab", Code::BackTab),
            ("Backspace", Code::Backspace),
            ("Delete", Code::Delete),
            ("Up", Code::Up),
            ("Down", Code::Down),
            ("Left", Code::Left),
            ("Right", Code::Right),
            ("Home", Code::Home),
            ("End", Code::End),
            ("PgUp", Code::PageUp),
            ("PgDn", Code::PageDown),
        ];
        let wrong = || ParseKeyError(text.chars().take(20).collect());
        let one = |text: &str| {
            let mut characters = text.chars();
            characters.next().filter(|character| characters.next().is_none() && !character.is_control())
        };
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Ok(Key::plain(*code))
        } else if let Some(character) = one(text) {
            Ok(Key::char(character))
        } else if let Some(letter) = text.strip_prefix("Ctrl-").or_else(|| text.strip_prefix("ctrl-")) {
            one(letter).filter(char::is_ascii_lowercase).map(Key::ctrl).ok_or_else(wrong)
        } else {
            let number = text.strip_prefix(['F', 'f']).and_then(|number| number.parse().ok());
            let function = number.filter(|number| (1..=12).contains(number)).map(Code::Function);
            function.map(Key::plain).ok_or_else(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_they_are_shown() {
        let codes =
            [Code::Enter, Code::Esc, Code::Tab, Code::BackTab, Code::PageUp, Code::Function(12), Code::Char(' ')];
        let keys = codes.map(Key::plain).into_iter().chain([Key::char('K'), Key::char('?'), Key::ctrl('p')]);
        for key in keys {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for wrong in ["", "KK", "Ctrl-", "Ctrl-P", "F13", "F0", "Hyper-x"] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong:?}");
        }
    }
}
