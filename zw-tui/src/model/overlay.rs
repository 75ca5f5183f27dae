//! What lies over the panes and takes the keys: the help, the command line, the write form, the explanation.

use super::composer::Composer;
use super::menu::Menu;
use super::question::Question;
use super::text::TextPage;
use crate::key::{Code, Key};
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest text of an input line; a value may be pasted, but not a book.
pub const INPUT_BYTES_MAX: usize = 256 * 1_024;
/// How long a toast stays; a bad one stays until a key.
pub const TOAST_TIME: Duration = Duration::from_secs(4);
/// Commands that are remembered.
pub const HISTORY_MAX: usize = 100;

/// The overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Overlay {
    /// All actions, to read and to run.
    Help {
        /// Shows only what contains this.
        filter: Input,
        /// The selected line.
        cursor: usize,
    },
    /// `:`.
    Command {
        /// What is typed.
        input: Input,
        /// Where in the history Up and Down are; none if nowhere.
        recalled: Option<usize>,
        /// What was wrong with it.
        error: Option<String>,
        /// The candidates that Tab goes through, while it does.
        choice: Option<Choice>,
    },
    /// What can be done with what is selected.
    Menu(Menu),
    /// `W`.
    Write(Box<Composer>),
    /// The scenarios, to choose from.
    Scenarios {
        /// The selected line.
        cursor: usize,
    },
    /// Something to read.
    Text {
        /// What.
        page: TextPage,
        /// The first line that is shown, if they do not all fit.
        top: usize,
    },
    /// What a child printed.
    Output(Printed),
    /// How a leader was elected.
    Election {
        /// How many elections before the newest.
        back: usize,
        /// The first line that is shown, if they do not all fit.
        top: usize,
    },
    /// Something is about to be done that cannot be taken back, or that concerns others.
    Question(Box<Question>),
}

/// What Tab goes through: the candidates for the last word of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The line as it was typed.
    pub typed: String,
    /// The candidates; never none.
    pub words: Vec<String>,
    /// The one that stands in the line; none yet if all are only shown.
    pub at: Option<usize>,
}

impl Choice {
    /// The next candidate, or the one before, round and round.
    pub fn step(&mut self, is_forward: bool) {
        let count = self.words.len();
        self.at = Some(match (self.at, is_forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => (at + 1) % count,
            (Some(at), false) => (at + count - 1) % count,
        });
    }

    /// The candidates in one line of at most so many, the one in the line set off.
    #[must_use]
    pub fn text(&self, most: usize) -> String {
        let first = self.at.unwrap_or(0).saturating_sub(most / 2).min(self.words.len().saturating_sub(most));
        let shown = self.words.iter().enumerate().skip(first).take(most);
        let word = |(index, word): (usize, &String)| match Some(index) == self.at {
            true => format!("[{word}]"),
            false => word.clone(),
        };
        let mut text = shown.map(word).collect::<Vec<_>>().join(" ");
        if self.words.len() > most {
            text.push_str(&format!(" ({} in all)", self.words.len()));
        }
        text
    }
}

impl Overlay {
    /// The command line with this on it.
    #[must_use]
    pub fn command(text: &str) -> Overlay {
        Overlay::Command { input: Input::with(text), recalled: None, error: None, choice: None }
    }
}

/// What a child printed, as far as it is kept, and where it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// Whose.
    pub member: Member,
    /// The lines, oldest first; none before they are known.
    pub lines: Option<Vec<String>>,
    /// Lines that it ever printed.
    pub total: u64,
    /// How far above the newest the view ends; 0 follows the newest.
    pub behind: usize,
}

impl Printed {
    /// Of a child, not known yet.
    #[must_use]
    pub fn of(member: Member) -> Printed {
        Printed { member, lines: None, total: 0, behind: 0 }
    }

    /// Takes what is known now. A view that was scrolled up does not move.
    pub fn take(&mut self, lines: Vec<String>, total: u64) {
        if self.behind > 0 {
            self.behind += usize::try_from(total.saturating_sub(self.total)).unwrap_or(usize::MAX);
        }
        self.behind = self.behind.min(lines.len().saturating_sub(1));
        (self.lines, self.total) = (Some(lines), total);
    }

    /// Scrolls towards the newest by `rows`, or away from it if negative.
    pub fn scroll(&mut self, rows: i64) {
        let last = self.lines.as_ref().map_or(0, Vec::len).saturating_sub(1);
        let behind = i64::try_from(self.behind).unwrap_or(i64::MAX).saturating_sub(rows).max(0);
        self.behind = usize::try_from(behind).unwrap_or(0).min(last);
    }

    /// The lines to show in so many rows.
    #[must_use]
    pub fn window(&self, rows: usize) -> &[String] {
        let lines = self.lines.as_deref().unwrap_or_default();
        // At the top the view stays full.
        let end = (lines.len() - self.behind.min(lines.len())).max(rows.min(lines.len()));
        &lines[end.saturating_sub(rows)..end]
    }
}

/// A message that passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toast {
    /// For a person.
    pub text: String,
    /// When it goes; none for one that stays until a key.
    pub until: Option<Duration>,
}

/// A line of text with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    text: String,
    /// Bytes before the cursor; at a character's edge.
    cursor: usize,
}

impl Input {
    /// With a text, the cursor behind it.
    #[must_use]
    pub fn with(text: &str) -> Input {
        Input { text: text.to_owned(), cursor: text.len() }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Puts text at the cursor; what is too much is left out, and false given.
    pub fn insert(&mut self, text: &str) -> bool {
        if self.text.len() + text.len() > INPUT_BYTES_MAX {
            return false;
        }
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        true
    }

    /// Goes a line up, to the same column if there is one; false on the first line.
    pub fn line_up(&mut self) -> bool {
        let start = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
        let Some(end) = start.checked_sub(1) else { return false };
        let above = self.text[..end].rfind('\n').map_or(0, |at| at + 1);
        self.cursor = self.at_column(above, end, self.text[start..self.cursor].chars().count());
        true
    }

    /// Goes a line down, to the same column if there is one; false on the last line.
    pub fn line_down(&mut self) -> bool {
        let start = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
        let Some(end) = self.text[self.cursor..].find('\n').map(|at| self.cursor + at) else { return false };
        let below_end = self.text[end + 1..].find('\n').map_or(self.text.len(), |at| end + 1 + at);
        self.cursor = self.at_column(end + 1, below_end, self.text[start..self.cursor].chars().count());
        true
    }

    /// The byte of a column in the line from `start` to `end`.
    fn at_column(&self, start: usize, end: usize, column: usize) -> usize {
        self.text[start..end].char_indices().nth(column).map_or(end, |(at, _)| start + at)
    }

    /// Edits by a key; false if the key edits nothing.
    pub fn edit(&mut self, key: Key) -> bool {
        let before = self.text[..self.cursor].chars().next_back().map_or(0, char::len_utf8);
        let after = self.text[self.cursor..].chars().next().map_or(0, char::len_utf8);
        match (key.code, key.ctrl) {
            (Code::Char(character), false) => return self.insert(character.encode_utf8(&mut [0; 4])),
            (Code::Backspace, false) | (Code::Char('h'), true) => {
                self.cursor -= before;
                self.text.replace_range(self.cursor..self.cursor + before, "");
            }
            (Code::Delete, false) => self.text.replace_range(self.cursor..self.cursor + after, ""),
            (Code::Left, false) | (Code::Char('b'), true) => self.cursor -= before,
            (Code::Right, false) | (Code::Char('f'), true) => self.cursor += after,
            (Code::Home, false) | (Code::Char('a'), true) => self.cursor = 0,
            (Code::End, false) | (Code::Char('e'), true) => self.cursor = self.text.len(),
            (Code::Char('u'), true) => {
                self.text.replace_range(..self.cursor, "");
                self.cursor = 0;
            }
            (Code::Char('k'), true) => self.text.truncate(self.cursor),
            (Code::Char('w'), true) => {
                let head = self.text[..self.cursor].trim_end();
                let start = head.rfind([' ', '/', ',']).map_or(0, |at| at + 1);
                let start = if start >= head.len() { head.len().saturating_sub(1) } else { start };
                self.text.replace_range(start..self.cursor, "");
                self.cursor = start;
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(input: &mut Input, keys: &[Key]) {
        for key in keys {
            input.edit(*key);
        }
    }

    #[test]
    fn editing_keeps_to_the_edges_of_characters() {
        let mut input = Input::with("aé日");
        keys(&mut input, &[Key::plain(Code::Left), Key::plain(Code::Left), Key::plain(Code::Delete), Key::char('x')]);
        assert_eq!((input.text(), input.split()), ("ax日", ("ax", "日")));
        keys(&mut input, &[Key::plain(Code::End), Key::plain(Code::Backspace), Key::plain(Code::Right)]);
        assert_eq!(input.text(), "ax");
        keys(&mut input, &[Key::plain(Code::Home), Key::plain(Code::Backspace), Key::plain(Code::Left)]);
        assert_eq!(input.split(), ("", "ax"));
    }

    #[test]
    fn words_and_lines_can_be_taken_away() {
        let mut input = Input::with("write /a/b value");
        keys(&mut input, &[Key::ctrl('w')]);
        assert_eq!(input.text(), "write /a/b ");
        keys(&mut input, &[Key::ctrl('w')]);
        assert_eq!(input.text(), "write /a/");
        keys(&mut input, &[Key::ctrl('w'), Key::ctrl('w'), Key::ctrl('w'), Key::ctrl('w'), Key::ctrl('w')]);
        assert_eq!(input.text(), "");
        let mut input = Input::with("abc");
        keys(&mut input, &[Key::plain(Code::Left), Key::ctrl('u')]);
        assert_eq!(input.text(), "c");
    }

    #[test]
    fn lines_are_gone_through_at_their_columns() {
        let mut input = Input::with("日本語\na\nlonger");
        assert!(input.line_up());
        assert_eq!(input.split(), ("日本語\na", "\nlonger"), "a shorter line's end");
        input.cursor = "日本語\na\nlon".len();
        assert!(input.line_up() && input.line_up() && !input.line_up());
        assert_eq!(input.split().0, "日", "the column that the short line left");
        assert!(input.line_down() && input.line_down() && !input.line_down());
        assert_eq!(input.split().0, "日本語\na\nl");
    }

    #[test]
    fn output_that_is_scrolled_up_stays() {
        let lines = |from: u32, to: u32| (from..to).map(|line| line.to_string()).collect::<Vec<_>>();
        let mut printed = Printed::of(Member::Node(1));
        assert!(printed.window(3).is_empty());
        printed.take(lines(0, 10), 10);
        assert_eq!(printed.window(3), ["7", "8", "9"]);
        printed.scroll(-2);
        // The oldest five are not kept any more.
        printed.take(lines(5, 15), 15);
        assert_eq!(printed.window(3), ["5", "6", "7"]);
        printed.scroll(i64::MAX);
        assert_eq!(printed.window(3), ["12", "13", "14"]);
        printed.scroll(i64::MIN);
        assert_eq!(printed.window(3), ["5", "6", "7"]);
        printed.take(Vec::new(), 15);
        assert!(printed.window(3).is_empty());
    }

    #[test]
    fn a_text_has_a_limit() {
        let mut input = Input::with(&"x".repeat(INPUT_BYTES_MAX));
        assert!(!input.insert("y"));
        assert_eq!(input.text().len(), INPUT_BYTES_MAX);
    }
}
