//! Draws the state: a pure function of state, theme and time into a buffer.
//!
//! Invariant: at any size, down to one cell, drawing neither fails nor leaves the buffer, and the verdict is on it.

mod arrows;
pub mod canvas;
mod composer;
mod election;
mod events;
mod flow;
mod head;
mod members;
mod menu;
mod metrics;
mod overlay;
mod question;
mod replication;
mod spark;
mod timeline;
mod tiny;
mod tree;

use crate::layout::{self, Place, Tier, arrange};
use crate::model::verdict::judge;
use crate::model::{Pane, State};
use crate::theme::{Role, Theme};
use canvas::{Canvas, Text};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;

/// Draws the whole screen.
pub fn draw(state: &State, theme: &Theme, now: Duration, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.is_empty() {
        return;
    }
    buffer.set_style(area, theme.base());
    let verdict = judge(state, now);
    let layout = arrange(area, state);
    let mut canvas = Canvas { buffer, theme };
    let inside = layout::inside_warning(area, state);
    if inside != area {
        canvas.outline(area, Role::Bad);
    }
    let area = inside;
    if layout.tier <= Tier::Tiny {
        tiny::draw(&mut canvas, state, &verdict, now, area);
        if let (Tier::Tiny, Some(overlay)) = (layout.tier, &state.overlay) {
            overlay::draw(&mut canvas, state, now, overlay, layout.body);
        }
        if layout.tier == Tier::Tiny {
            let (body, last) = layout::without_last_row(layout.body);
            head::prompt(&mut canvas, state, now, last, body);
        }
        return;
    }
    head::title(&mut canvas, state, now, layout.title);
    head::verdict(&mut canvas, state, &verdict, now, layout.verdict);
    for pane in Pane::ALL {
        let Some(place) = layout.place(pane) else { continue };
        match pane {
            Pane::Nodes => members::nodes(&mut canvas, state, &verdict, now, place),
            Pane::Brokers => members::brokers(&mut canvas, state, now, place),
            Pane::Tree => tree::draw(&mut canvas, state, now, place),
            Pane::Events => events::draw(&mut canvas, state, place),
            Pane::Flow => flow::draw(&mut canvas, state, now, place),
            Pane::Timeline => timeline::draw(&mut canvas, state, now, place),
            Pane::Metrics => metrics::draw(&mut canvas, state, now, place),
            Pane::Replication => replication::draw(&mut canvas, state, &verdict, now, place),
        }
    }
    head::prompt(&mut canvas, state, now, layout.prompt, layout.body);
    head::hints(&mut canvas, state, layout.hints);
    if let Some(overlay) = &state.overlay {
        overlay::draw(&mut canvas, state, now, overlay, layout.body);
    }
}

/// Draws the frame of a pane, if it has one, with its number, name and `detail`, or with the names of all that share its
/// place; gives what is inside.
fn open(canvas: &mut Canvas<'_>, state: &State, pane: Pane, place: Place, detail: &str, right: &Text) -> Rect {
    if !place.is_framed {
        if matches!(pane, Pane::Events | Pane::Tree) {
            // Below these is the row of messages: while there is none, it has what the frame would say.
            canvas.line_right(Rect { y: place.area.bottom(), height: 1, ..place.area }, 0, right, 0);
        }
        return place.area;
    }
    let is_focused = state.focus() == pane;
    let mut title = Text::of(" ", Role::Text);
    let alone = [pane];
    for tab in if place.tabs.is_empty() { &alone } else { place.tabs } {
        let role = if *tab != pane {
            Role::Dim
        } else if is_focused {
            Role::Focus
        } else {
            Role::Strong
        };
        title.add(format!("{} {}", tab.number(), tab.name()), role);
        if *tab == pane && !detail.is_empty() {
            title.add(format!(" {detail}"), role);
        }
        title.add(if place.tabs.is_empty() { " " } else { "  " }, Role::Text);
    }
    canvas.frame(place.area, is_focused, &title, right)
}
