//! Motion: how much is wanted, and the only place that asks for animation frames, only while something moves.

use crate::model::State;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Between two frames while something moves.
pub const FRAME: Duration = Duration::from_millis(50);
/// The same over a network.
pub const FRAME_REMOTE: Duration = Duration::from_millis(100);

/// The next frame after that of `painted`, if something moves: a message of the shown write on its way.
#[must_use]
pub fn next_frame(state: &State, painted: Duration, now: Duration, is_remote: bool) -> Option<Duration> {
    let moves = state.flow.motion == Motion::Full && state.overlay.is_none() && state.flow.elapsed_ns(now).is_some();
    moves.then(|| painted + if is_remote { FRAME_REMOTE } else { FRAME })
}

/// How much moves. What moves never tells more than what stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Motion {
    /// What happens is shown moving
    #[default]
    Full,
    /// Nothing moves; what happened appears complete
    Reduced,
    /// The screen changes only when something ended
    Off,
}

impl Motion {
    /// All of them.
    pub const ALL: [Motion; 3] = [Motion::Full, Motion::Reduced, Motion::Off];

    /// As it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Motion::Full => "full",
            Motion::Reduced => "reduced",
            Motion::Off => "off",
        }
    }
}

impl fmt::Display for Motion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
