//! The terminal: entered and left in one place, whatever ends the process.

pub mod capabilities;
pub mod clipboard;
mod descent;
pub mod editor;
pub mod guard;
pub mod hangup;
pub mod panic;
pub mod screen;
pub mod signals;
