//! The manual of the actions, from the table: for a terminal, and for `docs/keys.md`.

use super::command::line_of;
use super::keymap::Keymap;
use super::table::{ACTIONS, Action, Class, Scope};
use std::fmt::Write;

fn keys(keymap: &Keymap, action: &Action) -> Vec<String> {
    keymap.names(action)
}

fn place(action: &Action) -> String {
    match action.scope {
        Scope::Everywhere => String::new(),
        Scope::In(pane) => format!("{pane:?}").to_lowercase(),
        Scope::After(first) => format!("after {first}"),
    }
}

fn class(action: &Action) -> &'static str {
    match action.class {
        Class::Look => "looks",
        Class::Fault => "acts on processes, links, disks",
        Class::Data => "writes",
        Class::Leave => "leaves",
    }
}

/// A line for each action, with the keys as they are here.
#[must_use]
pub fn text(keymap: &Keymap) -> String {
    let mut text = String::new();
    for action in ACTIONS {
        let (keys, line, place) = (keys(keymap, action).join(" "), line_of(action.id), place(action));
        let place = if place.is_empty() { place } else { format!(" (in {place})") };
        // Writing to a text does not fail.
        let _ = writeln!(text, "{keys:<16} {line:<12} {}{place}", action.sentence);
    }
    text
}

/// A table in Markdown, with the keys as they are without a file of settings.
#[must_use]
pub fn markdown() -> String {
    let keymap = Keymap::default();
    let mut text = String::from("| key | command | what it does | where | class |\n|---|---|---|---|---|\n");
    for action in ACTIONS {
        let keys: Vec<String> = keys(&keymap, action).iter().map(|key| format!("`{key}`")).collect();
        let (keys, line) = (keys.join(" "), line_of(action.id));
        let line = if line == ":" { line } else { format!("`{line}`") };
        let _ = writeln!(text, "| {keys} | {line} | {} | {} | {} |", action.sentence, place(action), class(action));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual is made by `cargo run --bin zw-tui -- keys --markdown`.
    #[test]
    fn the_manual_has_the_table() {
        let manual = include_str!("../../../docs/keys.md");
        assert!(manual.ends_with(&markdown()), "docs/keys.md is old; its head says how to make it anew");
    }

    #[test]
    fn the_text_has_a_line_for_each_action() {
        let text = text(&Keymap::default());
        assert_eq!(text.lines().count(), ACTIONS.len());
        assert!(text.lines().any(|line| line.starts_with("K ") && line.contains(":kill") && line.contains("SIGKILL")));
    }
}
