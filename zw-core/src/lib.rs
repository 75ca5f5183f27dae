//! ZooWeeper's core: what every process shares.

#[cfg(feature = "client")]
pub mod client;
pub mod ensemble;
pub mod ids;
pub mod kinds;
pub mod limits;
pub mod log;
pub mod tree;
pub mod wire;
pub mod zab;
