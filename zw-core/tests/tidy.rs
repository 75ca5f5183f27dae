//! Properties of the source itself: purity, direction of dependencies, sizes. A test, so that it needs no other tool.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 75;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines of the product, without the tests at the file's end.
    fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files of the workspace, with paths relative to its root.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in ["zw-core", "zw-node", "zw-tui"] {
        collect(&root().join(folder), &mut sources);
    }
    assert!(sources.len() > 20, "the sources were not found");
    // This file names what it forbids.
    sources.retain(|source| !source.path.ends_with("tests/tidy.rs"));
    sources
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
}

/// Fails with all findings at once, each with its place.
fn report(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

fn lines_with(sources: &[Source], folders: &[&str], words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_in(folders)) {
        for (number, line) in source.product().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    findings
}

#[test]
fn the_core_is_pure() {
    let pure = ["zw-core/src/zab/", "zw-core/src/log/", "zw-core/src/tree/"];
    let words = [
        "std::net",
        "std::fs",
        "std::thread",
        "std::process",
        "Instant::",
        "SystemTime",
        "tokio",
        "HashMap",
        "HashSet",
        "RandomState",
        "getrandom",
        "Mutex",
        "println!",
        "eprintln!",
        "async fn",
        "tracing::",
    ];
    report(
        "zab, log and tree know no clock, file, socket, thread, chance or runtime",
        lines_with(&sources(), &pure, &words),
    );
}

#[test]
fn dependencies_point_one_way() {
    let sources = sources();
    let mut findings = lines_with(&sources, &["zw-core/"], &["zw_node", "zw_tui"]);
    findings.extend(lines_with(&sources, &["zw-core/sim/"], &["zw_core::client"]));
    // Its tests may: the black box judges by the simulator's oracles.
    findings.extend(lines_with(&sources, &["zw-node/src/"], &["zw_sim"]));
    findings.extend(lines_with(&sources, &["zw-node/"], &["zw_tui"]));
    findings.extend(lines_with(&sources, &["zw-tui/"], &["zw_sim"]));
    findings.extend(lines_with(&sources, &["zw-core/src/zab/"], &["crate::tree", "crate::wire", "crate::client"]));
    findings.extend(lines_with(&sources, &["zw-core/src/log/"], &["crate::zab", "crate::tree", "crate::wire"]));
    findings.extend(lines_with(&sources, &["zw-core/src/tree/"], &["crate::zab", "crate::wire", "crate::client"]));
    findings.extend(lines_with(&sources, &["zw-core/src/wire/"], &["crate::client"]));
    report("zw-tui -> zw-node -> zw-core, zw-sim -> zw-core; zab, log and tree below wire and client", findings);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut findings = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{}: {lines} lines", source.path));
        }
        if !source.text.starts_with("//!") {
            findings.push(format!("{}: does not open with its purpose", source.path));
        }
    }
    report(&format!("a file opens with its purpose and has at most {FILE_LINES_MAX} lines"), findings);
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for source in sources() {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in source.product() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_function =
                head.contains("fn ") && head.contains('(') && !head.starts_with("//") && !head.ends_with(';');
            match &open {
                Some((start, at, name))
                    if line.starts_with(&" ".repeat(*at)) && indent == *at && head.starts_with('}') =>
                {
                    if number - start > FUNCTION_LINES_MAX {
                        findings.push(format!("{}:{start}: {name} has {} lines", source.path, number - start));
                    }
                    open = None;
                }
                None if is_function && !head.ends_with('}') => open = Some((number, indent, head.to_owned())),
                _ => {}
            }
        }
    }
    report(&format!("a function has at most {FUNCTION_LINES_MAX} lines"), findings);
}

#[test]
fn nothing_is_left_half_done() {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX", "dbg!("];
    let mut findings = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    report("no half-done work", findings);
}

#[test]
fn unsafe_code_has_its_proof() {
    let mut findings = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
            let before = &lines[index.saturating_sub(6)..index];
            if !before.iter().any(|line| line.contains("SAFETY")) {
                findings.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    report("each unsafe block has its SAFETY comment", findings);
}
