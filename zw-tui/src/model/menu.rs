//! The menu of what can be done with the selected member, znode or event: the right button opens it, or a key.
//!
//! Invariants:
//! - It has only actions of the table, and does them as their keys would: what cannot be done now says why.
//! - What looks comes first, so that the key or click that opens it, made twice, changes nothing.

use super::acts::say;
use super::message::Effect;
use super::overlay::Overlay;
use super::select::printable;
use super::yank::Yank;
use super::{Pane, State};
use crate::action::perform;
use crate::action::table::{Action, Id, by_id, enabled};
use crate::key::{Code, Key};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much of a path the title shows.
const TITLE_BYTES_MAX: usize = 60;

/// The menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// What it is about.
    pub pane: Pane,
    /// The cell that was clicked; none if a key opened it.
    pub at: Option<(u16, u16)>,
    /// The selected line.
    pub cursor: usize,
}

const OF_NODE: &[Id] = &[
    Id::Describe,
    Id::Open,
    Id::Output,
    Id::Diff,
    Id::Mark,
    Id::Yank(Yank::Name),
    Id::Write,
    Id::Kill,
    Id::Stop,
    Id::Pause,
    Id::Revive,
    Id::Cut,
    Id::Slow,
    Id::Heal,
];
const OF_BROKER: &[Id] =
    &[Id::Describe, Id::Output, Id::Mark, Id::Yank(Yank::Name), Id::Kill, Id::Stop, Id::Pause, Id::Revive];
const OF_ZNODE: &[Id] = &[
    Id::Describe,
    Id::Toggle,
    Id::Yank(Yank::Value),
    Id::Yank(Yank::Path),
    Id::Yank(Yank::Json),
    Id::Refresh,
    Id::Write,
    Id::Edit,
    Id::Delete,
];
const OF_EVENT: &[Id] = &[Id::OpenEvent, Id::Yank(Yank::Value), Id::Follow, Id::Filter, Id::Undo, Id::Heal];

impl Menu {
    /// Its actions.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = &'static Action> {
        let ids = match self.pane {
            Pane::Nodes => OF_NODE,
            Pane::Brokers => OF_BROKER,
            Pane::Tree => OF_ZNODE,
            Pane::Events => OF_EVENT,
            Pane::Flow | Pane::Metrics | Pane::Replication | Pane::Timeline => &[],
        };
        let actions: Vec<&'static Action> = ids.iter().filter_map(|id| by_id(*id)).collect();
        actions.into_iter()
    }

    /// What it is about, for its title.
    #[must_use]
    pub fn title(&self, state: &State) -> String {
        match self.pane {
            Pane::Tree => printable(state.tree.selected().as_bytes(), TITLE_BYTES_MAX),
            Pane::Events => "event".to_owned(),
            _ => match &state.targets()[..] {
                [one] => one.to_string(),
                several => format!("the {} marked", several.len()),
            },
        }
    }
}

/// Whether there is something selected that has a menu, or why not.
pub(crate) fn check(state: &State) -> Result<(), String> {
    let has_item = match state.focus() {
        Pane::Nodes => !state.nodes.is_empty(),
        Pane::Brokers => !state.brokers.is_empty(),
        Pane::Tree => state.tree.selected_znode().is_some(),
        Pane::Events => state.events.selected().is_some(),
        Pane::Flow | Pane::Metrics | Pane::Replication | Pane::Timeline => false,
    };
    if has_item { Ok(()) } else { Err("menus are for nodes, brokers, znodes and events".into()) }
}

/// Opens the menu of what is selected, at a cell if one was clicked.
pub(crate) fn open(state: &mut State, at: Option<(u16, u16)>) {
    if check(state).is_err() {
        return;
    }
    // Else it would soon be about another event than the one that was chosen.
    if state.focus() == Pane::Events && state.events.is_following() {
        state.events.toggle_follow();
    }
    state.overlay = Some(Overlay::Menu(Menu { pane: state.focus(), at, cursor: 0 }));
}

/// A key while it is open: movements move in it, Enter runs the selected line, and a key of one of its actions that one.
pub(super) fn in_menu(state: &mut State, now: Duration, key: Key, menu: Menu) -> Vec<Effect> {
    let action = state.keymap.lookup(key, menu.pane);
    let listed = action.and_then(|action| menu.actions().position(|other| other.id == action.id));
    match (key.code, action.map(|action| action.id), listed) {
        (Code::Enter, ..) => return choose(state, now, menu, menu.cursor),
        (_, Some(Id::Quit | Id::Menu), _) => return Vec::new(),
        (_, _, Some(index)) => return choose(state, now, menu, index),
        (_, Some(id), _) if perform::rows(id).is_some() => {
            let cursor = perform::moved(menu.cursor, perform::rows(id).unwrap_or(0), menu.actions().len());
            state.overlay = Some(Overlay::Menu(Menu { cursor, ..menu }));
        }
        _ => state.overlay = Some(Overlay::Menu(menu)),
    }
    Vec::new()
}

/// A click while it is open: on a line of it, or beside it.
pub(super) fn on_click(state: &mut State, now: Duration, item: Option<usize>) -> Vec<Effect> {
    let Some(Overlay::Menu(menu)) = state.overlay else { return Vec::new() };
    state.version += 1;
    state.overlay = None;
    item.map_or_else(Vec::new, |item| choose(state, now, menu, item))
}

/// Does what a line says; if that cannot be done now, says why and stays.
fn choose(state: &mut State, now: Duration, menu: Menu, item: usize) -> Vec<Effect> {
    let Some(action) = menu.actions().nth(item) else {
        state.overlay = Some(Overlay::Menu(menu));
        return Vec::new();
    };
    if let Err(reason) = enabled(action.id, state) {
        say(state, now, reason, true);
        state.overlay = Some(Overlay::Menu(Menu { cursor: item, ..menu }));
        return Vec::new();
    }
    perform::perform(state, now, action.id)
}
