//! What a person can do: one table, from which keys, hints, help, `:` and tests all come.

pub mod command;
pub mod complete;
mod enabled;
pub mod fault_command;
pub mod keymap;
mod load_command;
pub mod manual;
pub mod perform;
mod run;
pub mod table;
mod time_command;
mod write_command;
