//! Motion: the only place that asks for animation frames, and only while something on the screen moves.

use crate::model::State;
use crate::model::flow::Motion;
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
