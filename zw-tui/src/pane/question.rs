//! A question before something is done.

use super::canvas::{Canvas, Text, wrap};
use super::overlay::{input_text, modal};
use crate::model::question::Question;
use crate::model::select::printable;
use crate::theme::Role;
use ratatui::layout::Rect;

/// Cells of the widest box.
const WIDTH: u16 = 76;
/// Rows of one sentence.
const SENTENCE_ROWS: usize = 4;
/// How much of a sentence is shown.
const SENTENCE_BYTES: usize = 512;

pub(super) fn draw(canvas: &mut Canvas<'_>, asked: &Question, body: Rect) {
    let room = usize::from(WIDTH.min(body.width)).saturating_sub(4);
    let mut lines: Vec<Text> = Vec::new();
    for sentence in &asked.words {
        let sentence = printable(sentence.as_bytes(), SENTENCE_BYTES);
        lines.extend(
            wrap(&sentence, room, SENTENCE_ROWS).into_iter().map(|line| Text::of(format!(" {line}"), Role::Text)),
        );
    }
    let mut answer = Vec::new();
    if asked.needs_name.is_some() && asked.waits.is_none() {
        let mut text = Text::of(" name: ", Role::Dim);
        text.append(input_text(canvas.theme, &asked.typed, room.saturating_sub(7), true));
        answer.push(text);
    }
    let keys = printable(asked.keys().as_bytes(), SENTENCE_BYTES);
    let keys = wrap(&keys, room, SENTENCE_ROWS).into_iter().map(|line| Text::of(format!(" {line}"), Role::Key));
    answer.extend(keys);
    // How to answer is never cut off: in a low box the sentences give way.
    let fit = usize::from(body.height).saturating_sub(2 + answer.len());
    lines.truncate(fit);
    lines.extend(answer);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let title = Text::of(format!(" {} ", asked.title), Role::Bad);
    let inner = modal(canvas, body, WIDTH, height, &title, &Text::new());
    for (row, line) in (0..inner.height).zip(&lines) {
        canvas.line(inner, row, line);
    }
}
