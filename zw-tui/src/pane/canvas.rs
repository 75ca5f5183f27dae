//! Text in a buffer, clipped: the only place that touches cells.

use crate::layout::inside_frame;
use crate::model::matcher::Matcher;
use crate::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A buffer with a theme.
#[derive(Debug)]
pub struct Canvas<'a> {
    /// The cells.
    pub buffer: &'a mut Buffer,
    /// How things look.
    pub theme: &'a Theme,
}

/// A line in the making: pieces with their roles.
#[derive(Clone, Debug, Default)]
pub struct Text(Vec<(String, Role)>);

impl Text {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Text {
        Text::default()
    }

    /// A line of one piece.
    #[must_use]
    pub fn of(text: impl Into<String>, role: Role) -> Text {
        Text::new().with(text, role)
    }

    /// Adds a piece.
    #[must_use]
    pub fn with(mut self, text: impl Into<String>, role: Role) -> Text {
        self.0.push((text.into(), role));
        self
    }

    /// With the pieces of another.
    #[must_use]
    pub fn joined(mut self, other: &Text) -> Text {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// Adds a piece.
    pub fn add(&mut self, text: impl Into<String>, role: Role) {
        self.0.push((text.into(), role));
    }

    /// Adds a piece with the places that were found in it set off.
    pub fn add_found(&mut self, text: &str, role: Role, matcher: Option<&Matcher>) {
        let mut from = 0;
        for (start, end) in matcher.map(|matcher| matcher.places(text)).unwrap_or_default() {
            self.add(&text[from..start], role);
            self.add(&text[start..end], Role::Found);
            from = end;
        }
        self.add(&text[from..], role);
    }

    /// Adds the pieces of another.
    pub fn append(&mut self, other: Text) {
        self.0.extend(other.0);
    }

    /// Cells that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text.width()).sum()
    }

    /// Without the words up to the first gap: what matters most is at the end.
    fn drop_first_words(&mut self) {
        match self.0.first_mut() {
            Some((text, _)) if text.trim().contains("  ") => {
                let rest = text.trim_start().split_once("  ").map_or("", |(_, rest)| rest);
                *text = format!(" {}", rest.trim_start());
            }
            Some(_) => drop(self.0.remove(0)),
            None => {}
        }
    }

    /// As much as fits into `width` cells, with a mark at the end; none if nothing but blanks would be lost.
    fn cut(&self, width: usize, theme: &Theme) -> Option<Text> {
        let written = self.0.iter().rposition(|(text, _)| !text.trim_end().is_empty())?;
        let before: usize = self.0[..written].iter().map(|(text, _)| text.width()).sum();
        if before + self.0[written].0.trim_end().width() <= width {
            return None;
        }
        let mut cut = Text::new();
        let mut left = width;
        for (text, role) in &self.0 {
            if text.width() >= left {
                // With something behind it, so that it is cut even if it would fit.
                cut.add(fit(&format!("{text} ."), left, theme), *role);
                break;
            }
            cut.add(text.as_str(), *role);
            left -= text.width();
        }
        Some(cut)
    }
}

impl Canvas<'_> {
    /// Writes a line into a row of an area; what does not fit is cut off, with a mark.
    pub fn line(&mut self, area: Rect, row: u16, text: &Text) {
        let area = area.intersection(self.buffer.area);
        if row < area.height {
            let cut = text.cut(usize::from(area.width), self.theme);
            let pieces = &cut.as_ref().unwrap_or(text).0;
            let styled = pieces.iter().map(|(text, role)| Span::styled(text.as_str(), self.theme.style(*role)));
            self.buffer.set_line(area.x, area.y + row, &Line::from(styled.collect::<Vec<_>>()), area.width);
        }
    }

    /// Writes a line at the right end of a row, if that leaves `left` cells free.
    pub fn line_right(&mut self, area: Rect, row: u16, text: &Text, left: usize) {
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        if usize::from(area.width) >= usize::from(width) + left {
            let x = area.x + area.width - width;
            self.line(Rect { x, width, ..area }, row, text);
        }
    }

    /// Gives a whole row of an area the look of a role, over what is written there.
    pub fn mark(&mut self, area: Rect, row: u16, role: Role) {
        if row < area.height {
            let row = Rect { y: area.y + row, height: 1, ..area };
            self.buffer.set_style(row, self.theme.style(role));
        }
    }

    /// Draws a frame with its titles, and gives what is inside.
    pub fn frame(&mut self, area: Rect, is_focused: bool, left: &Text, right: &Text) -> Rect {
        let area = area.intersection(self.buffer.area);
        let role = if is_focused { Role::Focus } else { Role::Border };
        Block::bordered()
            .border_set(self.theme.border())
            .border_style(self.theme.style(role))
            .render(area, self.buffer);
        if area.width > 4 {
            let head = Rect { x: area.x + 2, width: area.width - 4, ..area };
            self.line(head, 0, left);
            let mut right = right.clone();
            while right.width() + left.width() >= usize::from(head.width) && !right.0.is_empty() {
                right.drop_first_words();
            }
            self.line_right(head, 0, &right, left.width() + 1);
        }
        inside_frame(area)
    }

    /// Draws a frame in the look of a role.
    pub fn outline(&mut self, area: Rect, role: Role) {
        Block::bordered()
            .border_set(self.theme.border())
            .border_style(self.theme.style(role))
            .render(area.intersection(self.buffer.area), self.buffer);
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        Clear.render(area, self.buffer);
        self.buffer.set_style(area, self.theme.base());
    }
}

/// The text in exactly `width` cells: filled with blanks, or cut with a mark.
#[must_use]
pub fn fit(text: &str, width: usize, theme: &Theme) -> String {
    let is = text.width();
    if is <= width {
        return format!("{text}{}", " ".repeat(width - is));
    }
    let mut cut = head(text, width.saturating_sub(1));
    if width > 0 {
        cut.push_str(theme.pick("…", "~"));
    }
    let is = cut.width();
    cut.extend(std::iter::repeat_n(' ', width.saturating_sub(is)));
    cut
}

/// As [`fit`], at the right end.
#[must_use]
pub fn fit_right(text: &str, width: usize, theme: &Theme) -> String {
    let is = text.width();
    if is <= width { format!("{}{text}", " ".repeat(width - is)) } else { fit(text, width, theme) }
}

/// The first `width` cells of a text.
fn head(text: &str, width: usize) -> String {
    let mut taken = 0;
    let fits = |character: &char| {
        taken += character.width().unwrap_or(0);
        taken <= width
    };
    text.chars().take_while(fits).collect()
}

/// Breaks a text into lines of at most `width` cells, at most `rows` of them.
#[must_use]
pub fn wrap(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && lines.len() < rows {
        let whole = head(rest, width);
        if whole.is_empty() {
            break;
        }
        // Better between words, if one ends in the line's second half.
        let end = match whole.rfind(' ') {
            Some(at) if whole.len() < rest.len() && at > whole.len() / 2 => at + 1,
            _ => whole.len(),
        };
        lines.push(rest[..end].trim_end().to_owned());
        rest = &rest[end..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_does_not_fit_ends_with_a_mark() {
        let theme = Theme::basic(false, true);
        let text = Text::of("ab", Role::Text).with("cd", Role::Strong).with("  ", Role::Text);
        let cut =
            |width| text.cut(width, &theme).map(|cut| cut.0.into_iter().map(|(text, _)| text).collect::<String>());
        assert_eq!([cut(6), cut(4)], [None, None], "only blanks are lost");
        assert_eq!([cut(3), cut(2), cut(1)], [Some("ab~".into()), Some("a~".into()), Some("~".into())]);
        assert_eq!(Text::of("日本", Role::Text).cut(3, &theme).map(|cut| cut.width()), Some(3));
        assert!(Text::new().cut(0, &theme).is_none());
    }

    #[test]
    fn the_keys_of_a_frame_give_way_from_the_left() {
        let mut text = Text::of(" y copies  j k scroll  Esc closes ", Role::Dim).with("end ", Role::Key);
        let mut seen = Vec::new();
        while !text.0.is_empty() {
            text.drop_first_words();
            seen.push(text.0.iter().map(|(text, _)| text.as_str()).collect::<String>());
        }
        assert_eq!(seen, [" j k scroll  Esc closes end ", " Esc closes end ", "end ", ""]);
    }

    #[test]
    fn texts_fit_exactly() {
        let theme = Theme::basic(false, false);
        assert_eq!(fit("ab", 4, &theme), "ab  ");
        assert_eq!(fit("abcdef", 4, &theme), "abc…");
        assert_eq!(fit("日本語", 4, &theme), "日… ");
        assert_eq!(fit_right("7", 3, &theme), "  7");
        assert_eq!(fit("abc", 0, &theme), "");
        assert_eq!(wrap("one two three", 8, 9), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4, 2), ["abcd", "efgh"]);
        assert_eq!(wrap("日", 1, 9), Vec::<String>::new());
    }
}
