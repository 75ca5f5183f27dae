//! The deterministic simulator of ZooWeeper's core.
//!
//! One 64-bit seed is one world: an ensemble of the real protocol (`zw_core::zab`) and the real tree
//! (`zw_core::tree`) on simulated links, disks, clocks and processes, with random clients, faults of many classes,
//! and checks after every event. A world first lives through its faults (safety), then is healed and must recover
//! (liveness). The same seed gives the same run, byte for byte.
//!
//! ```text
//!   seed ─> swarm (what kind of world)      clock (agenda of events) ─> world ─┬─> process, serving ── links ── network
//!                                                                              ├─> disk (logfile), transfer (snapshots)
//!   invariants, history (model) <── every effect, delivery and answer ─────────┴─> client, fault, liveness
//! ```
//!
//! Start with `world`, then `process`; each file begins with its fault model.

pub mod blackbox;
pub mod catalogue;
pub mod client;
pub mod clock;
pub mod counts;
pub mod disk;
pub mod event;
pub mod fault;
pub mod history;
pub mod invariants;
pub mod linearizability;
mod links;
mod liveness;
pub mod logfile;
pub mod model;
pub mod network;
pub mod prng;
pub mod process;
pub mod rot;
pub mod runner;
pub mod sabotage;
mod serving;
mod sessions;
mod storage;
pub mod swarm;
pub mod trace;
mod transfer;
pub mod world;
