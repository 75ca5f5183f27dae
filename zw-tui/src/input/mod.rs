//! From the bytes of the terminal to the console's own: keys, pastes, clicks.

pub mod decoder;
pub mod reader;
