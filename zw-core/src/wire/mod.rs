//! What travels: frames, the greeting, client requests, admin and trace messages.
//!
//! A frame is `length u32 big-endian`, then that many bytes: `kind u8, version u8, MessagePack body`
//! (see [`crate::kinds`]). Peers' messages are [`crate::zab::message::Message`].

pub mod admin;
pub mod client;
#[cfg(feature = "client")]
pub mod frame;
pub mod hello;

#[cfg(test)]
mod tests;
