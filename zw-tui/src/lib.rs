//! ZooWeeper's console: starts an ensemble on this machine, shows it, writes to it and breaks it.

pub mod member;
pub mod supervisor;
