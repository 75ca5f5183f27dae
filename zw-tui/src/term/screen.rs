//! Paints buffers: only what changed, in one write, bracketed as a synchronized update.
//!
//! Invariants:
//! - A buffer equal to the one on the screen writes no byte.
//! - The screen is cleared only when its size changed or a repaint was asked for, in the same write as the new frame.

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::io;
use unicode_width::UnicodeWidthStr;

const BEGIN_UPDATE: &[u8] = b"\x1b[?2026h";
const END_UPDATE: &[u8] = b"\x1b[?2026l";
const CLEAR: &[u8] = b"\x1b[0m\x1b[2J\x1b[?25l";

/// What is on the terminal, as far as we know.
#[derive(Debug)]
pub struct Screen {
    painted: Buffer,
    must_clear: bool,
}

impl Screen {
    /// A terminal of this size that shows nothing of ours yet.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Screen {
        Screen { painted: Buffer::empty(Rect::new(0, 0, width, height)), must_clear: true }
    }

    /// Where to draw.
    #[must_use]
    pub fn area(&self) -> Rect {
        self.painted.area
    }

    /// Follows the terminal's size; the next frame is painted in whole.
    pub fn resize(&mut self, width: u16, height: u16) {
        if (width, height) != (self.painted.area.width, self.painted.area.height) {
            *self = Screen::new(width, height);
        }
    }

    /// Forgets what is on the screen: the next frame is painted in whole.
    pub fn invalidate(&mut self) {
        *self = Screen::new(self.painted.area.width, self.painted.area.height);
    }

    /// What is on the screen, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let width = usize::from(self.painted.area.width).max(1);
        let mut text = String::new();
        for row in self.painted.content().chunks(width) {
            // A wide character fills two cells, and the second is its own only in the buffer.
            let mut covered = 0;
            let mut line = String::new();
            for cell in row {
                if covered == 0 {
                    line.push_str(cell.symbol());
                    covered = cell.symbol().width().max(1);
                }
                covered -= 1;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The bytes that turn what is on the screen into `next`; empty if nothing changed.
    ///
    /// # Errors
    /// Never for a buffer in memory.
    pub fn frame(&mut self, next: Buffer) -> io::Result<Vec<u8>> {
        assert_eq!(next.area, self.painted.area, "a frame of another size than the screen");
        let mut bytes = Vec::new();
        if !self.must_clear && next == self.painted {
            return Ok(bytes);
        }
        bytes.extend_from_slice(BEGIN_UPDATE);
        if std::mem::take(&mut self.must_clear) {
            bytes.extend_from_slice(CLEAR);
        }
        CrosstermBackend::new(&mut bytes).draw(self.painted.diff(&next).into_iter())?;
        bytes.extend_from_slice(END_UPDATE);
        self.painted = next;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    fn buffer(text: &str) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 2));
        buffer.set_string(0, 0, text, Style::new());
        buffer
    }

    #[test]
    fn the_text_is_what_a_person_sees() {
        let mut screen = Screen::new(20, 2);
        screen.frame(buffer("日本 quorum")).unwrap();
        assert_eq!(screen.text(), "日本 quorum\n\n");
    }

    #[test]
    fn only_changes_are_written_and_nothing_without_change() {
        let mut screen = Screen::new(20, 2);
        let first = screen.frame(buffer("quorum 5/5")).unwrap();
        assert!(first.starts_with(BEGIN_UPDATE) && first.ends_with(END_UPDATE));
        assert_eq!(screen.frame(buffer("quorum 5/5")).unwrap(), b"");
        let second = String::from_utf8(screen.frame(buffer("quorum 4/5")).unwrap()).unwrap();
        assert!(second.contains('4') && !second.contains("quorum"), "{second:?}");
        assert!(!second.contains("\x1b[2J"), "cleared without need");
        screen.invalidate();
        assert!(String::from_utf8(screen.frame(buffer("quorum 4/5")).unwrap()).unwrap().contains("quorum"));
    }
}
