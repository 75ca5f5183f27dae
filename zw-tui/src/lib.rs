//! ZooWeeper's console: starts an ensemble on this machine, shows it, writes to it and breaks it.

pub mod action;
pub mod input;
pub mod key;
pub mod limiter;
pub mod member;
pub mod model;
pub mod supervisor;
pub mod term;
