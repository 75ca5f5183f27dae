//! Draws the state: a pure function of state, theme and time into a buffer.
//!
//! Invariant: at any size, down to one cell, drawing neither fails nor leaves the buffer, and the verdict is on it.

pub mod canvas;
mod events;
mod head;
mod members;
mod overlay;
mod tiny;
mod tree;

use crate::layout::{self, Tier, arrange};
use crate::model::State;
use crate::model::verdict::judge;
use crate::theme::Theme;
use canvas::Canvas;
use ratatui::buffer::Buffer;
use std::time::Duration;

/// Draws the whole screen.
pub fn draw(state: &State, theme: &Theme, now: Duration, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.is_empty() {
        return;
    }
    let verdict = judge(state, now);
    let layout = arrange(area, state);
    let mut canvas = Canvas { buffer, theme };
    if layout.tier <= Tier::Tiny {
        tiny::draw(&mut canvas, state, &verdict, now, area);
        if let (Tier::Tiny, Some(overlay)) = (layout.tier, &state.overlay) {
            overlay::draw(&mut canvas, state, &verdict, now, overlay, layout.body);
        }
        if layout.tier == Tier::Tiny {
            let (body, last) = layout::without_last_row(layout.body);
            head::prompt(&mut canvas, state, last, body);
        }
        return;
    }
    head::title(&mut canvas, state, now, layout.title);
    head::verdict(&mut canvas, state, &verdict, now, layout.verdict);
    let is_framed = layout.tier >= Tier::Compact;
    if let Some(area) = layout.nodes {
        members::nodes(&mut canvas, state, &verdict, now, area, is_framed);
    }
    if let Some(area) = layout.brokers {
        members::brokers(&mut canvas, state, now, area, layout.tier == Tier::Wide);
    }
    if let Some(area) = layout.tree {
        tree::draw(&mut canvas, state, now, area, is_framed);
    }
    if let Some(area) = layout.events {
        events::draw(&mut canvas, state, area, is_framed);
    }
    head::prompt(&mut canvas, state, layout.prompt, layout.body);
    head::hints(&mut canvas, state, layout.hints);
    if let Some(overlay) = &state.overlay {
        overlay::draw(&mut canvas, state, &verdict, now, overlay, layout.body);
    }
}
