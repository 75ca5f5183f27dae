//! Ensembles of real processes: what a person can do to them, and what must hold then.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod admin;
mod fail_over;
mod harness;
mod order;
mod sessions;
mod single;
mod start;
