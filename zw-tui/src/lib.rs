//! ZooWeeper's console: starts an ensemble on this machine, shows it, writes to it and breaks it.

pub mod action;
pub mod cluster;
pub mod input;
pub mod key;
pub mod layout;
pub mod limiter;
pub mod member;
pub mod model;
pub mod pane;
pub mod supervisor;
pub mod term;
pub mod theme;
