//! The protocol as a pure state machine: inputs in, effects out.

pub mod effects;
pub mod message;
