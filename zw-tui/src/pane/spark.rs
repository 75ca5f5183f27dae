//! Numbers over time as one line of cells, or as bars over several rows.

use super::canvas::{Canvas, Text};
use crate::theme::{Role, Theme};
use ratatui::layout::Rect;

/// Levels of a cell, from nothing: a zero is drawn, what is unknown is not.
const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 7] = ['.', ':', '-', '=', '+', '*', '#'];

/// One cell for each number; the greatest that could be is `scale`.
#[must_use]
pub(super) fn spark(cells: &[Option<u64>], scale: u64, theme: &Theme) -> String {
    let levels = if theme.ascii { &ASCII[..] } else { &UNICODE[..] };
    let level = |value: u64| {
        // Only a zero is on the lowest level: little is more than nothing.
        let highest = levels.len() as u64 - 1;
        let level = value.saturating_mul(highest).div_ceil(scale.max(1)).min(highest);
        levels[usize::try_from(level).unwrap_or(0)]
    };
    cells.iter().map(|cell| cell.map_or(' ', level)).collect()
}

/// Bars over all rows of an area, one column for each number.
pub(super) fn bars(canvas: &mut Canvas<'_>, area: Rect, cells: &[Option<u64>], scale: u64) {
    let rows = u64::from(area.height);
    let steps = if canvas.theme.ascii { 1 } else { UNICODE.len() as u64 };
    let height = |value: u64| value.saturating_mul(rows * steps).div_ceil(scale.max(1)).min(rows * steps);
    for row in 0..area.height {
        let below = (rows - 1 - u64::from(row)) * steps;
        let cell = |cell: &Option<u64>| match cell {
            None => ' ',
            Some(0) if below == 0 => {
                if canvas.theme.ascii {
                    '.'
                } else {
                    UNICODE[0]
                }
            }
            Some(value) => match height(*value).saturating_sub(below).min(steps) {
                0 => ' ',
                _ if canvas.theme.ascii => '#',
                step => UNICODE[usize::try_from(step - 1).unwrap_or(0)],
            },
        };
        let line: String = cells.iter().map(cell).collect();
        canvas.line(area, row, &Text::of(line, Role::Text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_is_drawn_and_what_is_unknown_is_not() {
        let (ascii, unicode) = (Theme::basic(false, true), Theme::basic(false, false));
        let cells = [None, Some(0), Some(1), Some(50), Some(100), Some(1_000)];
        assert_eq!(spark(&cells, 100, &ascii), " .:=##");
        assert_eq!(spark(&cells, 100, &unicode), " ▁▂▅██");
        assert_eq!(spark(&[Some(0), Some(u64::MAX)], 0, &ascii), ".#");
        assert_eq!(spark(&[], 0, &ascii), "");
    }
}
