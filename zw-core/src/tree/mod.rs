//! The replicated state machine: znodes, sessions, watches.

pub mod command;
