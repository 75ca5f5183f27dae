//! Which time the panes show, and what may be asked about it.

use super::overlay::Overlay;
use super::{Pane, State};
use crate::action::perform;
use crate::model::message::Effect;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far the timeline goes with Left and Right.
pub const STEP: Duration = Duration::from_secs(1);
/// How far with the keys that move a line elsewhere.
pub const STRIDE: Duration = Duration::from_secs(10);

/// What kind of time is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// The present.
    #[default]
    Now,
    /// The moment at which the display was frozen.
    Frozen,
    /// Another moment of the past.
    Past,
    /// A moment of a recording; nothing runs.
    Replay,
}

/// The time that is shown among those that could be. The session says so before the state is drawn; it is no fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeView {
    /// Which.
    pub seen: Seen,
    /// The oldest that is kept.
    pub oldest: Duration,
    /// The newest, if not the newest is shown.
    pub newest: Duration,
    /// Events between what is shown and the newest.
    pub events_since: u64,
    /// Bytes of the recording that is being written.
    pub recorded: Option<u64>,
}

impl TimeView {
    /// Whether not the present is shown.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.seen != Seen::Now
    }

    /// Whether something may be done to the ensemble, or asked of it.
    ///
    /// # Errors
    /// Why not.
    pub fn check_now(&self) -> Result<(), String> {
        match self.seen {
            Seen::Now => Ok(()),
            Seen::Frozen => Err("the display is frozen; . goes back to now".into()),
            Seen::Past => Err("you look at the past; . goes back to now".into()),
            Seen::Replay => Err("this is a recording: nothing runs".into()),
        }
    }
}

/// A way through time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Travel {
    /// Let the display stand still, or go on.
    Freeze,
    /// To the present; in a recording, to its end.
    Now,
    /// To a time since the start.
    To(Duration),
    /// So far before the present; in a recording, before its end.
    Ago(Duration),
    /// Back from what is shown.
    Back(Duration),
    /// On from what is shown.
    On(Duration),
    /// To the mark before.
    PreviousMark,
    /// To the mark after.
    NextMark,
}

/// What is wanted of the recording to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordOrder {
    /// Begin, in this file or in a new one.
    On(Option<String>),
    /// End.
    Off,
    /// Begin if there is none, else end.
    Toggle,
}

/// How the state is looked at, whatever it is at which time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    recent: [Pane; Pane::ALL.len()],
    zoomed: bool,
    node: usize,
    broker: usize,
    overlay: Option<Overlay>,
    history: Vec<String>,
    mouse: bool,
}

impl View {
    /// How `state` is looked at. What is typed does not go along, what is read does.
    #[must_use]
    pub fn of(state: &State) -> View {
        let overlay =
            state.overlay.clone().filter(|overlay| matches!(overlay, Overlay::Text { .. } | Overlay::Help { .. }));
        View {
            recent: state.recent,
            zoomed: state.zoomed,
            node: state.node,
            broker: state.broker,
            overlay,
            history: state.history.clone(),
            mouse: state.mouse,
        }
    }

    /// Looks at `state` so. Gives what must be asked for it.
    pub fn apply(self, state: &mut State) -> Vec<Effect> {
        (state.recent, state.zoomed, state.broker) = (self.recent, self.zoomed, self.broker);
        (state.overlay, state.history, state.mouse) = (self.overlay, self.history, self.mouse);
        perform::select_node(state, self.node)
    }
}

/// Moves through time by the rows of a movement in another pane.
#[must_use]
pub fn by_rows(rows: i64) -> Travel {
    let far = Duration::from_secs(rows.unsigned_abs().saturating_mul(STRIDE.as_secs()));
    if rows < 0 { Travel::Back(far) } else { Travel::On(far) }
}
