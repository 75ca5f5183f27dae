//! ZooWeeper's processes without a screen.

pub mod broker;
pub mod cli;
mod command_line;
mod connection;
mod http;
pub mod parent;
mod peer;
pub mod server;
pub mod signals;
pub mod snapshots;
pub mod tally;
pub mod wal;
