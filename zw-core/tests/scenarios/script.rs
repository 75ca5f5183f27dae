//! The form of a scenario's file: comments, command lines, and the printed results under them.

use std::fmt::Write;

/// A part of a file, with the number of its first line.
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) what: What,
}

/// What a part is.
pub(crate) enum What {
    /// A comment or an empty line: kept as it is.
    Prose(String),
    /// A command line without its `> `, and the result that the file promises.
    Command { command: String, result: Vec<String> },
}

/// Takes a file apart.
pub(crate) fn parse(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if let Some(command) = line.strip_prefix("> ") {
            let what = What::Command { command: command.trim().to_owned(), result: Vec::new() };
            blocks.push(Block { line: number, what });
        } else if let Some(printed) = line.strip_prefix("  ") {
            match blocks.last_mut().map(|block| &mut block.what) {
                Some(What::Command { result, .. }) => result.push(printed.to_owned()),
                _ => return Err(format!("line {number}: a result without a command before it")),
            }
        } else if line.is_empty() || line.starts_with('#') {
            blocks.push(Block { line: number, what: What::Prose(line.to_owned()) });
        } else {
            return Err(format!("line {number}: neither a comment (#), a command (> ) nor a result (two spaces)"));
        }
    }
    Ok(blocks)
}

/// Puts a command and its result in the file's form.
pub(crate) fn put(out: &mut String, command: &str, result: &[String]) {
    let _ = writeln!(out, "> {command}");
    result.iter().for_each(|line| {
        let _ = writeln!(out, "  {line}");
    });
}

/// The difference of two results as a person reads it: what the file has alone, what the run has alone.
pub(crate) fn difference(promised: &[String], printed: &[String]) -> String {
    let same_at_start = promised.iter().zip(printed).take_while(|(a, b)| a == b).count();
    let (left, right) = (&promised[same_at_start..], &printed[same_at_start..]);
    let same_at_end = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut out = String::new();
    for line in &promised[..same_at_start] {
        let _ = writeln!(out, "      {line}");
    }
    for line in &left[..left.len() - same_at_end] {
        let _ = writeln!(out, "    - {line}");
    }
    for line in &right[..right.len() - same_at_end] {
        let _ = writeln!(out, "    + {line}");
    }
    for line in &right[right.len() - same_at_end..] {
        let _ = writeln!(out, "      {line}");
    }
    out
}
