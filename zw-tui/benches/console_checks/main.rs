//! Measures the console as a person meets it: a line for each check, with its id, `pass` or `fail`, and what was measured.
//!
//! `cargo bench -p zw-tui --bench console_checks -- [ID...]`; without an ID all are made. scripts/console-checks.sh adds
//! those that the tests and tmux make. Every check starts a console of its own on a quiet machine.

#![allow(clippy::unwrap_used, reason = "a check may end at the first surprise")]

mod cost;
mod harness;
mod keys;
mod load;
mod screen;
mod start;
#[path = "../../tests/support/mod.rs"]
mod support;
mod truth;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// What a check measured, and whether that is good enough.
struct Measured {
    holds: bool,
    words: String,
}

impl Measured {
    fn new(holds: bool, words: impl Into<String>) -> Measured {
        Measured { holds, words: words.into() }
    }
}

/// A check.
struct Check {
    id: &'static str,
    /// What must hold.
    rule: &'static str,
    measure: fn() -> Measured,
}

const fn check(id: &'static str, rule: &'static str, measure: fn() -> Measured) -> Check {
    Check { id, rule, measure }
}

const CHECKS: &[Check] = &[
    check("A1", "exec to the first frame: p95 of 20 starts <= 150 ms", start::first_frame),
    check("A2", "exec to quorum 5/5 on empty data: worst of 3 <= 2.5 s", start::quorum),
    check("A3", "the first frame shows every node and broker", start::first_frame_is_whole),
    check("A5", "a missing node program: exit 1, one line, no screen, <= 300 ms", start::missing_program),
    check("A7", "no terminal: exit 2, names --headless, nothing started, <= 300 ms", start::no_terminal),
    check("A9", "--help <= 50 ms without an escape", start::help),
    check("B1", "idle for 30 s: <= 1.0 % of a core", cost::idle_processor),
    check("B2", "frozen for 30 s: <= 0.2 % of a core, not one byte", cost::frozen_cost),
    check("B3", "idle for 30 s: <= 2 kB/s to the terminal", cost::idle_bytes),
    check("B4", "focus lost under load: bytes fall by >= 75 %", cost::unfocused),
    check("B5", "1000 writes/s for 60 s: <= 15 % of a core, <= 60 kB/s", cost::busy),
    check(
        "B6",
        "resident <= 40 MB after start; <= 10 MB more after 1 h at 200 writes/s, <= 5 of them late",
        cost::memory,
    ),
    check("B8", "frozen for 10 s: the screen's thread is woken <= 1/s", cost::frozen_wakes),
    check("C1", "key to paint, idle, 200 keys: p50 <= 16 ms, p99 <= 40 ms", keys::latency_idle),
    check("C2", "the same at 1000 writes/s, a node paused, a node dead: p99 <= 80 ms", keys::latency_busy),
    check("C3", "500 j in one write: the cursor is 500 rows down", keys::burst),
    check("C6", "a lone Esc acts <= 60 ms", keys::escape),
    check("C7", "64 KiB pasted into the value: <= 300 ms, intact, no key acts", keys::paste),
    check("C10", "1000 turns of the wheel: <= 300 ms, nothing closes", keys::wheel),
    check("C11", "KKKK quickly: one process is killed, U undoes", keys::many_kills),
    check("D1", "sizes from 1x1 to 500x200: no end, no panic", screen::sizes),
    check("D4", "200 resizes in 2 s: alive, and the screen is a fresh one's within 150 ms", screen::resize_storm),
    check("D6", "each frame is bracketed by a synchronized update", screen::synchronized),
    check("D7", "60 s of use without a full clear of the screen", screen::no_clear),
    check(
        "D9",
        "300000 children: first page <= 200 ms, each key <= 40 ms, a page is asked for once",
        screen::many_children,
    ),
    check(
        "D10",
        "a value of 1 MB, a line of 90000 characters: a key is drawn <= 40 ms, what is cut is marked",
        screen::large,
    ),
    check("D11", "9 nodes and 9 brokers at 160x45 and 80x24: all are there", screen::many_members),
    check(
        "D12",
        "9 nodes, 9 brokers, 10000 writes/s: key to paint p99 <= 80 ms, the header is true",
        keys::latency_of_many,
    ),
    check("E2", "Ctrl-c <= 3 s; twice with hung nodes <= 1 s; code 0, nobody left", truth::leaves),
    check("F3", "kill -9 from outside: exit 137 (not you) <= 500 ms", truth::killed_from_outside),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let unknown = wanted.iter().find(|id| CHECKS.iter().all(|check| check.id != **id));
    if let Some(id) = unknown {
        let known: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
        eprintln!("there is no check {id} here; there are {}", known.join(" "));
        return ExitCode::from(2);
    }
    let mut failed = 0;
    for check in CHECKS.iter().filter(|check| wanted.is_empty() || wanted.iter().any(|id| id == check.id)) {
        let measured = catch_unwind(check.measure).unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
            Measured::new(false, words.lines().next().unwrap_or_default())
        });
        let word = if measured.holds { "pass" } else { "fail" };
        println!("{:<4} {word}  {}  [{}]", check.id, measured.words, check.rule);
        failed += u32::from(!measured.holds);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
