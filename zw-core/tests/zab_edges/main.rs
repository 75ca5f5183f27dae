//! What one node does at the edges of the rules: bounds, words that come late or from the wrong peer, the moment a wait
//! is over. Each test is the shortest story of one node that shows it; the peers and the disk are played.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../bench/mod.rs"]
mod bench;

mod admission;
mod barriers;
mod election;
mod follower;
mod leader;
