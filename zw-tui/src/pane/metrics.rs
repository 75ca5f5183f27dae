//! Rates and times of the ensemble over a range: one row each, or a chart each where there is room.

use super::canvas::{Canvas, Text, fit, fit_right};
use super::open;
use super::spark::{bars, spark};
use crate::layout::Place;
use crate::model::gauges::{Gauge, cost_line, gauges};
use crate::model::history::{Range, SLOTS};
use crate::model::{Pane, State};
use crate::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;

/// Name and value.
const LEAD_WIDTH: usize = 1 + 11 + 6;
/// The word `max` and its value.
const GREATEST_WIDTH: usize = 2 + 4 + 7;
/// What stands beside a chart.
const AXIS_WIDTH: u16 = 9;
/// Rows of a chart with its words: fewer say no more than a sparkline.
const CHART_ROWS_MIN: u16 = 4;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, now: Duration, place: Place) {
    let range = state.measured.range;
    // What is drawn matters more than how to change it: where there is no room for both, the first piece goes.
    let right = Text::of(" t range ", Role::Dim).with(format!(" {} ", range.word()), Role::Text);
    let inner = open(canvas, state, Pane::Metrics, place, "", &right);
    if inner.is_empty() {
        return;
    }
    let gauges = gauges(state, now, cells_of(inner));
    let count = u16::try_from(gauges.len()).unwrap_or(u16::MAX);
    // The last row is the console's own. Where there are rows to spare, the first gauges are charts.
    let rows = inner.height.saturating_sub(1);
    let charted = (rows.saturating_sub(count) / (CHART_ROWS_MIN - 1)).min(count);
    let chart_rows = if charted == count { rows / count } else { CHART_ROWS_MIN };
    let mut top = 0;
    for (index, gauge) in (0..).zip(&gauges) {
        let height = if index < charted { chart_rows } else { 1 };
        let area = Rect { y: inner.y + top, height: height.min(rows.max(1) - top.min(rows)), ..inner };
        if height > 1 {
            chart(canvas, gauge, range, area);
        } else {
            let text = line(canvas, gauge, inner.width);
            canvas.line(area, 0, &text);
        }
        top += height;
    }
    if inner.height > 2 {
        // The least useful gauge makes room.
        let line = fit(&format!(" {}", cost_line(state)), usize::from(inner.width), canvas.theme);
        canvas.line(inner, top.min(rows), &Text::of(line, Role::Dim));
    }
}

/// Cells of a line or a chart in this area.
fn cells_of(area: Rect) -> usize {
    let width = usize::from(area.width);
    let greatest = if has_greatest(area.width) { GREATEST_WIDTH } else { 0 };
    width.saturating_sub(LEAD_WIDTH + greatest + 3).clamp(1, usize::try_from(SLOTS).unwrap_or(usize::MAX))
}

fn has_greatest(width: u16) -> bool {
    usize::from(width) >= LEAD_WIDTH + GREATEST_WIDTH + 12
}

fn line(canvas: &Canvas<'_>, gauge: &Gauge, width: u16) -> Text {
    let theme = canvas.theme;
    let mut text = Text::of(format!(" {}", fit(gauge.name, 11, theme)), Role::Dim);
    text.add(fit_right(&gauge.current, 6, theme), Role::Strong);
    if has_greatest(width) {
        let word = if gauge.name == "elections" { "stall" } else { "max" };
        let greatest = gauge.greatest.as_deref().unwrap_or("?");
        text.add(format!(" {}", fit_right(word, 5, theme)), Role::Dim);
        text.add(format!(" {}", fit(greatest, 6, theme)), Role::Text);
    }
    text.add("  ", Role::Text);
    text.add(spark(&gauge.cells, gauge.scale, theme), Role::Text);
    text
}

/// A chart: a row of words, then bars beside their scale.
fn chart(canvas: &mut Canvas<'_>, gauge: &Gauge, range: Range, area: Rect) {
    let head = line(canvas, &Gauge { cells: Vec::new(), ..gauge.clone() }, area.width);
    canvas.line(area, 0, &head);
    let axis = AXIS_WIDTH.min(area.width);
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let words = usize::from(axis).saturating_sub(2);
    let greatest = gauge.greatest.as_deref().unwrap_or_default();
    canvas.line(below, 0, &Text::of(fit_right(greatest, words, canvas.theme), Role::Dim));
    let from = fit_right(&format!("-{}", range.word()), words, canvas.theme);
    canvas.line(below, below.height.saturating_sub(1), &Text::of(from, Role::Dim));
    let plot = Rect { x: area.x + axis, width: area.width - axis, ..below };
    bars(canvas, plot, &gauge.cells, gauge.scale);
}
