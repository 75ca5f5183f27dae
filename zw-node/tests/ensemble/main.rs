//! Ensembles of real processes: what a person can do to them, and what must hold then.

mod fail_over;
mod harness;
mod single;
