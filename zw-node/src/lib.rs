//! ZooWeeper's processes without a screen.

pub mod broker;
pub mod cli;
pub mod parent;
pub mod signals;
