//! ZooWeeper's processes without a screen.

mod connection;
mod http;
mod peer;
pub mod server;
pub mod snapshots;
pub mod wal;
pub mod broker;
pub mod cli;
pub mod parent;
pub mod signals;
