//! The console's own rules for its source: what is pure stays pure, and one place does what only one place may do.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;

/// The product's lines of a file, without comments and without the tests at its end.
fn product(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.map(|(index, line)| (index + 1, line.to_owned())).collect()
}

fn sources() -> Vec<(String, Vec<(usize, String)>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.push((name, product(&path)));
            }
        }
    }
    assert!(sources.len() > 30, "the sources were not found");
    sources
}

fn findings(is_in: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, lines) in sources().iter().filter(|(name, _)| is_in(name)) {
        for (number, line) in lines {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push(format!("{name}:{number}: {word}"));
            }
        }
    }
    found
}

#[test]
fn the_model_knows_no_world() {
    let pure = ["limiter.rs", "key.rs", "member.rs", "input/decoder.rs", "load/check.rs"];
    let is_pure = |name: &str| name.starts_with("model/") || name.starts_with("action/") || pure.contains(&name);
    let words = [
        "ratatui",
        "crossterm",
        "tokio",
        "rustix",
        "std::fs",
        "std::net",
        "std::thread",
        "std::process",
        "std::io",
        "Instant",
        "SystemTime",
        "Mutex",
        "tracing::",
        "println!",
        "async ",
        "HashMap",
        "HashSet",
    ];
    let found = findings(is_pure, &words);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_terminal_library_is_used_through_one_door() {
    let found = findings(|_| true, &["use crossterm", "crossterm::"]);
    let direct: Vec<&String> =
        found.iter().filter(|found| !found.contains("input/") && !found.contains("run.rs")).collect();
    let allowed = ["console.rs"];
    let wrong: Vec<_> = direct.iter().filter(|found| !allowed.iter().any(|name| found.starts_with(name))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_guard_writes_to_the_terminal_and_nobody_asks_it() {
    // The keeper has no terminal: its stdout is the lock of the data directory.
    let may_print =
        |name: &str| matches!(name, "term/guard.rs" | "headless.rs" | "main.rs" | "supervisor/keeper/mod.rs");
    let found = findings(|name| !may_print(name), &["println!", "print!", "io::stdout", "execute!", "queue!"]);
    assert!(found.is_empty(), "{found:#?}");
    let asked = findings(|_| true, &["cursor::position", "terminal::size", "get_cursor_position", "supports_keyboard"]);
    assert!(asked.is_empty(), "{asked:#?}");
}

#[test]
fn only_the_canvas_touches_cells_and_nothing_blinks() {
    let found = findings(|name| name.starts_with("pane/") && name != "pane/canvas.rs", &["buffer[", "set_string"]);
    assert!(found.is_empty(), "{found:#?}");
    let found = findings(|_| true, &["SLOW_BLINK", "RAPID_BLINK", "time::interval"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn one_thread_spawns_and_signals() {
    // An editor is a job of the terminal's, not a child of the ensemble's.
    let is_other = |name: &str| {
        !name.starts_with("supervisor/") && !matches!(name, "term/signals.rs" | "term/editor.rs" | "term/descent.rs")
    };
    let found = findings(is_other, &["Command::new", "kill_process", "process_group"]);
    assert!(found.is_empty(), "{found:#?}");
}
