//! How much moves on the screen.

use serde::{Deserialize, Serialize};
use std::fmt;

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
