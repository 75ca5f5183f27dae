//! ZooWeeper's processes without a screen.

pub mod broker;
pub mod cli;
mod connection;
mod http;
mod peer;
pub mod server;
mod signals;
pub mod snapshots;
pub mod wal;
