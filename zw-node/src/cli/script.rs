//! The file of `zw multi`: one operation a line, all of them done or none.
//!
//! ```text
//! create PATH [DATA]
//! set    PATH DATA [VERSION]
//! delete PATH [VERSION]
//! check  PATH VERSION
//! ```
//!
//! Words are separated by blanks; a word in double quotes may hold blanks and the escapes `\"`, `\\`, `\n`, `\t`. Empty
//! lines and lines that begin with `#` are skipped.

use bytes::Bytes;
use thiserror::Error;
use zw_core::limits::MULTI_OPERATIONS_MAX;
use zw_core::tree::command::{Acl, Check, Command, Create, CreateMode, Delete, SetData};

/// An operation and the line that it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// What the line says.
    pub(super) command: Command,
}

/// What is wrong with the file.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ScriptError {
    /// A line is wrong.
    #[error("line {number}: {reason}")]
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No operation at all.
    #[error("the file has no operation; write one a line, for example: create /a data")]
    Empty,
    /// Too many.
    #[error("the file has more than {MULTI_OPERATIONS_MAX} operations; split it")]
    Long,
}

/// Reads the operations of `text`.
///
/// # Errors
/// The first line that is wrong, or the wrong number of lines.
pub(super) fn parse(text: &str) -> Result<Vec<Line>, ScriptError> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let at = |reason| ScriptError::Line { number, reason };
        let words = split(line).map_err(at)?;
        if words.is_empty() {
            continue;
        }
        lines.push(Line { number, command: command(&words).map_err(at)? });
        if lines.len() > MULTI_OPERATIONS_MAX {
            return Err(ScriptError::Long);
        }
    }
    if lines.is_empty() { Err(ScriptError::Empty) } else { Ok(lines) }
}

fn command(words: &[String]) -> Result<Command, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let data = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    match words.as_slice() {
        ["create", path, rest @ ..] if rest.len() <= 1 => Ok(Command::Create(Create {
            path: (*path).to_owned(),
            data: data(rest.first().unwrap_or(&"")),
            acl: Acl::open(),
            mode: CreateMode::Persistent,
            ttl_ms: 0,
        })),
        ["set", path, text, rest @ ..] if rest.len() <= 1 => {
            Ok(Command::SetData(SetData { path: (*path).to_owned(), data: data(text), version: version(rest)? }))
        }
        ["delete", path, rest @ ..] if rest.len() <= 1 => {
            Ok(Command::Delete(Delete { path: (*path).to_owned(), version: version(rest)? }))
        }
        ["check", path, expected] => {
            Ok(Command::Check(Check { path: (*path).to_owned(), version: version(&[*expected])? }))
        }
        ["create", ..] => Err("write: create PATH [DATA]; quote data that has blanks".into()),
        ["set", ..] => Err("write: set PATH DATA [VERSION]; quote data that has blanks".into()),
        ["delete", ..] => Err("write: delete PATH [VERSION]".into()),
        ["check", ..] => Err("write: check PATH VERSION".into()),
        [other, ..] => Err(format!("unknown operation {other:?}; there are create, set, delete and check")),
        [] => Err("no operation".into()),
    }
}

fn version(words: &[&str]) -> Result<i32, String> {
    match words.first() {
        None => Ok(-1),
        Some(word) => match word.parse() {
            Ok(version) if version >= -1 => Ok(version),
            _ => Err(format!("{word:?} is not a version; write a number from 0, or -1 for any")),
        },
    }
}

/// Splits a line into words; a comment line has none.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    if rest.starts_with('#') {
        return Ok(words);
    }
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_word(quoted)?,
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err("a quoted word must be followed by a blank".into());
        }
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// The word up to the closing quote, and what follows it.
fn quoted_word(text: &str) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((word, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                Some((_, 'n')) => word.push('\n'),
                Some((_, 't')) => word.push('\t'),
                _ => return Err("after a backslash write one of: \" \\ n t".into()),
            },
            other => word.push(other),
        }
    }
    Err("a quote is not closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_gives_its_operations_with_their_lines() {
        let lines = parse("# two\ncreate /a \"x y\\n\\\"z\\\"\"\n\n  set /a b 3\ndelete /a\ncheck /b -1").unwrap();
        let numbers: Vec<usize> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 4, 5, 6]);
        let Command::Create(create) = &lines[0].command else { panic!("{:?}", lines[0]) };
        assert_eq!(create.data, "x y\n\"z\"");
        let Command::SetData(set) = &lines[1].command else { panic!("{:?}", lines[1]) };
        assert_eq!((set.path.as_str(), set.version), ("/a", 3));
        let Command::Delete(delete) = &lines[2].command else { panic!("{:?}", lines[2]) };
        assert_eq!(delete.version, -1);
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        assert!(reason("create /a\nremove /a").starts_with("line 2: unknown operation \"remove\""));
        assert!(reason("set /a").starts_with("line 1: write: set"));
        assert!(reason("set /a b c").contains("\"c\" is not a version"));
        assert!(reason("check /a -2").contains("not a version"));
        assert!(reason("create /a \"b").contains("not closed"));
        assert!(reason("create /a \"b\"c").contains("followed by a blank"));
        assert!(reason("create /a \"\\q\"").contains("backslash"));
        assert!(reason("create /a b c").starts_with("line 1: write: create"));
        assert_eq!(parse(" \n# nothing\n"), Err(ScriptError::Empty));
        assert_eq!(parse(&"delete /a\n".repeat(MULTI_OPERATIONS_MAX + 1)), Err(ScriptError::Long));
        assert!(parse(&"delete /a\n".repeat(MULTI_OPERATIONS_MAX)).is_ok());
    }
}
