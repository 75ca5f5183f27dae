//! ZooWeeper's core: what every process shares, and nothing that needs a clock, a socket or a file to be tested.
//!
//! ```text
//!                      inputs                                  effects
//!   sockets, clock, ---------->  +---------------------+  ----------------> log thread (Persist)
//!   log thread                   |  zab: the protocol  |  ----------------> peers (Send)
//!                                |  step ... flush     |  ----------------> tree (Deliver)
//!                                +---------------------+  ----------------> clients (Serve, Reject, Barrier)
//!                                        uses
//!        log: records, recovery, the part in memory        tree: znodes, sessions, watches, digest
//!        wire: frames and bodies that travel               client: the async client (feature `client`)
//! ```
//!
//! Reading order: [`ids`], [`ensemble`], [`limits`]; [`zab::effects`], [`zab`]; [`log::record`]; `tree`; `wire`.
//!
//! Vocabulary: a *znode* is a node of the tree; a *zxid* the position of a change in the one total order; an *epoch*
//! the reign of one leader; the *marker* the first record of an epoch; the *watermark* the greatest committed zxid; a
//! *session* a client's lease, with which its ephemeral znodes live and die; a *watch* a wish to hear of a change.

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
