//! ZooWeeper's processes without a screen.

pub mod wal;
