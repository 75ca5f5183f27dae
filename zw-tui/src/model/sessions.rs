//! The sessions of the ensemble as one node knows them, and the watches of every node.

use super::events::Level;
use super::message::Effect;
use super::overlay::Overlay;
use super::page::Line;
use super::select::{Face, node_face, or_dash, printable, seconds, short};
use super::text::TextPage;
use super::{Node, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::wire::admin::SessionInfo;

/// Sessions that are shown; the rest is counted.
const SHOWN_MAX: usize = 500;
/// Between two questions while the page is open. All sessions come with each answer.
const AGAIN: Duration = Duration::from_secs(2);

/// What was asked, and what came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsView {
    /// The node that is asked, from 0.
    pub node: usize,
    /// When it was asked last.
    pub asked: Duration,
    /// When its newest answer came.
    pub heard: Option<Duration>,
    /// The sessions, those with the most ephemeral znodes first; only as many as are shown.
    pub sessions: Vec<SessionInfo>,
    /// How many there are.
    pub count: usize,
    /// Why the newest question has no answer.
    pub error: Option<String>,
}

/// Opens the page, and asks the selected node; or the first that serves if that one does not.
pub fn open(state: &mut State, now: Duration) -> Vec<Effect> {
    let serves = |node: &Node| matches!(node_face(state, node, now), Face::Leader | Face::Follower | Face::Observer);
    let is_selected_able = state.nodes.get(state.node).is_some_and(serves);
    let node = if is_selected_able { None } else { state.nodes.iter().position(serves) }.unwrap_or(state.node);
    state.sessions = Some(SessionsView { node, asked: now, heard: None, sessions: Vec::new(), count: 0, error: None });
    state.overlay = Some(Overlay::Text { page: TextPage::Sessions, top: 0 });
    vec![Effect::Sessions { node }]
}

/// Asks again if the page is open, now that the node has told of itself: often enough, and without a clock of its own.
pub fn again(state: &mut State, now: Duration, node: usize) -> Option<Effect> {
    let is_open = matches!(state.overlay, Some(Overlay::Text { page: TextPage::Sessions, .. }));
    let view = state.sessions.as_mut().filter(|view| is_open && view.node == node && now >= view.asked + AGAIN)?;
    view.asked = now;
    Some(Effect::Sessions { node })
}

/// Takes the answer.
pub fn take(state: &mut State, now: Duration, node: usize, result: Result<Vec<SessionInfo>, String>) {
    let Some(view) = state.sessions.as_mut().filter(|view| view.node == node) else { return };
    match result {
        Ok(mut sessions) => {
            sessions.sort_by_key(|session| (std::cmp::Reverse(session.ephemerals), session.session.0));
            view.count = sessions.len();
            sessions.truncate(SHOWN_MAX);
            (view.sessions, view.heard, view.error) = (sessions, Some(now), None);
        }
        Err(reason) => view.error = Some(reason),
    }
    state.version += 1;
}

/// The title of the page.
#[must_use]
pub fn title(state: &State) -> String {
    state.sessions.as_ref().map_or_else(|| "Sessions".to_owned(), |view| format!("Sessions {}", view.count))
}

/// The lines of the page.
#[must_use]
pub fn lines(state: &State, now: Duration) -> Vec<Line> {
    let Some(view) = &state.sessions else { return Vec::new() };
    let plain = |text: String| (text, Level::Info);
    let name = state.nodes.get(view.node).map_or_else(String::new, |node| node.member.to_string());
    let mut lines = Vec::new();
    match (&view.error, view.heard) {
        (Some(reason), heard) => {
            let age = heard.map_or_else(String::new, |heard| {
                format!(" (what follows is {} old)", seconds(now.saturating_sub(heard)))
            });
            lines.push((format!("{name} does not tell: {}{age}", printable(reason.as_bytes(), 200)), Level::Warning));
        }
        (None, None) => lines.push(plain(format!("asking {name}"))),
        (None, Some(_)) => lines.push(plain(format!("{} sessions of the ensemble, as {name} knows them", view.count))),
    }
    lines.push(plain(String::new()));
    lines.push(plain(format!("  {:<6} {:>8} {:>8}", "node", "clients", "watches")));
    lines.extend(state.nodes.iter().map(|node| {
        let status = node.sight.current(now);
        let clients = or_dash(status.map(|status| short(status.connections)));
        let watches = or_dash(status.map(|status| short(status.watches)));
        plain(format!("  {:<6} {clients:>8} {watches:>8}", node.member.to_string()))
    }));
    if !view.sessions.is_empty() {
        lines.push(plain(String::new()));
        lines.push(plain(format!("  {:<18} {:>8} {:>10} {:>10}", "session", "timeout", "generation", "ephemerals")));
    }
    lines.extend(view.sessions.iter().map(|session| {
        let SessionInfo { session, timeout_ms, generation, ephemerals } = session;
        let timeout = format!("{}.{}s", timeout_ms / 1_000, timeout_ms % 1_000 / 100);
        plain(format!("  {:<18} {timeout:>8} {generation:>10} {ephemerals:>10}", session.to_string()))
    }));
    if view.count > view.sessions.len() {
        lines.push(plain(format!("  and {} more", view.count - view.sessions.len())));
    }
    lines
}
