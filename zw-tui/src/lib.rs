//! ZooWeeper's console: starts an ensemble on this machine, shows it, writes to it and breaks it.
//!
//! ```text
//! keys, clicks ── input ──┐
//! signals ────────────────┤                 ┌── pane, theme, layout ── term::screen ── the terminal
//! supervisor ── reports ──┼── run ── model ─┤
//! cluster ── answers ─────┘      (update)   └── effects ── supervisor, cluster, term::guard
//! ```
//!
//! `model` and `action` are pure: no clock, thread, file, socket or terminal. Everything that waits is a task or a
//! thread elsewhere that sends messages.

pub mod about;
pub mod action;
pub mod arrivals;
pub mod clock;
pub mod cluster;
pub mod comeback;
pub mod config;
pub mod console;
pub mod ending;
pub mod headless;
pub mod headless_run;
pub mod input;
pub mod key;
pub mod launch;
pub mod layout;
pub mod limiter;
pub mod linear;
pub mod load;
pub mod log_file;
pub mod member;
mod meter;
pub mod model;
pub mod motion;
pub mod nearest;
pub mod options;
pub mod pane;
pub mod paths;
pub mod preflight;
pub mod recording;
pub mod replay;
pub mod run;
pub mod settings;
pub mod supervisor;
pub mod term;
pub mod theme;
