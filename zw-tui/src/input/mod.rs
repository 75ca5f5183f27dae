//! From the terminal's events to the console's own: keys, pastes, clicks.

pub mod esc_guard;
pub mod reader;
