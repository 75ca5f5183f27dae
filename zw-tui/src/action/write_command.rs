//! The grammar of writes and deletions on the command line: flags, a node, a path, data.

use super::command::{Command, check_path, repeated, targets};
use crate::member::Member;
use crate::model::State;
use crate::model::write::{Mode, WriteOrder};
use std::time::Duration;

/// What a write looks like.
const WRITE_USAGE: &str = "write [n2] /path data, or write /path data n2; @FILE is what is in a file";
/// With all that can be said of it.
const FLAGS_USAGE: &str = "write [--create|--set|--sequence|--ephemeral|--container] [--count 9] [n2] /path data";
/// What a deletion looks like.
const DELETE_USAGE: &str = "delete [n2] /path";

fn usage(verb: &str) -> &'static str {
    if verb == "delete" { DELETE_USAGE } else { WRITE_USAGE }
}

/// `/path the data`, with `nK` before or behind it for another node than the selected one. Behind it only if none is
/// before: so data that ends like a node is written with the node in front.
pub(super) fn write(text: &str, state: &State, now: Duration) -> Result<Command, String> {
    if text.is_empty() {
        return Err(format!("a write needs a path: {WRITE_USAGE}, for example write /goals 7; the key W opens a form"));
    }
    let (mode, count, text) = write_flags(text)?;
    if text.is_empty() {
        return Err(format!("a write needs a path: {FLAGS_USAGE}"));
    }
    let (mut node, mut text, mut is_named) = (state.node, text, false);
    if !text.starts_with('/') {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        node = through("write", word, text, state, now)?;
        (text, is_named) = (rest.trim_start(), true);
        if text.is_empty() {
            return Err(format!("a write needs a path: write {word} /path data"));
        }
    }
    let (path, mut data) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if let Some((before, word)) = data.rsplit_once(char::is_whitespace).filter(|_| !is_named)
        && word.starts_with('n')
        && let Ok(member @ Member::Node(_)) = word.parse::<Member>()
    {
        let as_data = || format!("; as the end of the data: write n{} {path} {}", node + 1, repeated(data));
        (node, data) = match state.process(member) {
            Some(_) => (member.index(), before.trim_end()),
            None => return Err(format!("there is no {member} to write through{}", as_data())),
        };
    }
    let (data, file) = match data.strip_prefix('@') {
        Some(escaped) if escaped.starts_with('@') => (escaped, None),
        Some("") => return Err(format!("@ needs the name of a file; {WRITE_USAGE}")),
        Some(file) => ("", Some(file.trim().to_owned())),
        None => (data, None),
    };
    let order = WriteOrder { mode, count, file, ..WriteOrder::put(node, path, data.to_owned()) };
    order.check().map_err(|reason| format!("{reason}; {WRITE_USAGE}"))?;
    Ok(Command::Write(order))
}

/// The flags before a write's path, and what comes after them.
fn write_flags(text: &str) -> Result<(Mode, u32, &str), String> {
    let (mut rest, mut count) = (text, 1);
    let (mut kind, mut is_ephemeral, mut is_numbered) = (Mode::Put, false, false);
    while rest.starts_with('-') {
        let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        match flag {
            "--create" => kind = Mode::Create,
            "--set" => kind = Mode::Set,
            "--container" => kind = Mode::Container,
            "--ephemeral" | "-e" => is_ephemeral = true,
            "--sequence" | "-s" => is_numbered = true,
            "--count" | "-n" => {
                let (number, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                count = number.parse().map_err(|_| format!("{flag} takes a number; {FLAGS_USAGE}"))?;
                rest = after.trim_start();
            }
            flag => return Err(format!("there is no flag {}; {FLAGS_USAGE}", repeated(flag))),
        }
    }
    let mode = match (kind, is_ephemeral, is_numbered) {
        (kind, false, false) => kind,
        (Mode::Put | Mode::Create, true, false) => Mode::Ephemeral,
        (Mode::Put | Mode::Create, false, true) => Mode::Sequence,
        (Mode::Put | Mode::Create, true, true) => Mode::EphemeralSequence,
        _ => return Err(format!("these flags exclude each other; {FLAGS_USAGE}")),
    };
    Ok((mode, count, rest))
}

/// `/path`, with `nK` before it for another node than the selected one.
pub(super) fn delete(text: &str, state: &State, now: Duration) -> Result<Command, String> {
    let (node, path) = match text.split_once(char::is_whitespace) {
        Some((word, path)) if !text.starts_with('/') => (through("delete", word, text, state, now)?, path.trim()),
        _ if text.starts_with('/') => (state.node, text),
        _ => (through("delete", text, text, state, now)?, ""),
    };
    check_path(path).map_err(|reason| format!("{reason}; {DELETE_USAGE}"))?;
    Ok(Command::Delete { node, path: path.to_owned(), below: None })
}

/// The node that `word` names, the first of `text`, which does not begin with a path.
fn through(verb: &str, word: &str, text: &str, state: &State, now: Duration) -> Result<usize, String> {
    let is_group = matches!(word, "leader" | "all" | "nodes" | "brokers") || word.contains(',');
    if !is_group && word.parse::<Member>().is_err() {
        return Err(format!("a path begins with /: {verb} /{}", repeated(text).trim_matches('"')));
    }
    match targets(verb, word, state, now)?[..] {
        [member @ Member::Node(_)] => Ok(member.index()),
        _ => Err(format!("{verb} goes through one node, not through {}: {}", repeated(word), usage(verb))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::parse;
    use super::*;

    fn state() -> State {
        let addresses = |count: u16| (0..count).map(|i| format!("localhost:{}", 8080 + i)).collect();
        State::new(addresses(3), addresses(2))
    }

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line, &state(), Duration::ZERO)
    }

    fn reason(line: &str) -> String {
        parsed(line).unwrap_err()
    }

    #[test]
    fn writes_take_a_path_and_all_the_rest() {
        let write = |node, path: &str, data: &str| Command::Write(WriteOrder::put(node, path, data.to_owned()));
        assert_eq!(parsed("write /a two words"), Ok(write(0, "/a", "two words")));
        assert_eq!(parsed("write n2 /a x"), Ok(write(1, "/a", "x")));
        assert_eq!(parsed("write /a"), Ok(write(0, "/a", "")));
        let read = |path: &str, file: &str| {
            Command::Write(WriteOrder { file: Some(file.to_owned()), ..WriteOrder::put(1, path, "") })
        };
        assert_eq!(parsed("write n2 /a @my goals.json"), Ok(read("/a", "my goals.json")));
        assert_eq!(parsed("write /a @@home"), Ok(write(0, "/a", "@home")), "two of them are one of data");
        assert_eq!(parsed("write /a @my goals.json n2"), Ok(read("/a", "my goals.json")), "or behind it");
        assert_eq!(parsed("write /a two  words n3"), Ok(write(2, "/a", "two  words")));
        assert_eq!(parsed("write /a n2"), Ok(write(0, "/a", "n2")), "without data it is the data");
        assert_eq!(parsed("write n3 /a x n2"), Ok(write(2, "/a", "x n2")), "one node is enough");
        assert_eq!(parsed("write /a x b1"), Ok(write(0, "/a", "x b1")), "no node");
        assert_eq!(parsed("write /a 1 2"), Ok(write(0, "/a", "1 2")), "a number is no node here");
        assert!(
            reason("write /a x n9").contains("no n9 to write through; as the end of the data: write n1 /a \"x n9\"")
        );
        assert!(reason("write /a @").contains("name of a file"));
    }

    #[test]
    fn a_wrong_write_is_answered_with_a_right_one() {
        for (line, help) in [
            ("write", "needs a path: write [n2] /path data, or write /path data n2"),
            ("write goals 3", "a path begins with /: write /goals 3"),
            ("write n2", "needs a path: write n2 /path data"),
            ("write n2 a x", "begins with /"),
            ("write b1 /a x", "through one node, not through \"b1\": write [n2] /path data"),
            ("write all /a x", "through one node"),
            ("write n1,n2 /a x", "through one node"),
            ("write n9 /a x", "there is no n9; write takes n1 to n3"),
            ("write /a/ x", "must not end with a slash"),
            ("write /a//b x", "empty name"),
            ("write /a/../b x", ". or .."),
        ] {
            assert!(reason(line).contains(help), "{line}: {}", reason(line));
        }
    }

    #[test]
    fn flags_say_how() {
        let write =
            |mode, count| Ok(Command::Write(WriteOrder { mode, count, ..WriteOrder::put(1, "/queue/t", "a -b") }));
        for (flags, mode, count) in [
            ("--create", Mode::Create, 1),
            ("--set --count 20", Mode::Set, 20),
            ("-n 3 -s", Mode::Sequence, 3),
            ("--ephemeral", Mode::Ephemeral, 1),
            ("-e -s", Mode::EphemeralSequence, 1),
            ("--container", Mode::Container, 1),
        ] {
            assert_eq!(parsed(&format!("write {flags} n2 /queue/t a -b")), write(mode, count), "{flags}");
        }
        for (line, help) in [
            ("write --set --sequence /a x", "exclude each other"),
            ("write --sett /a x", "there is no flag \"--sett\""),
            ("write --count many /a x", "takes a number"),
            ("write --create --count 2 /a x", "create is done once"),
            ("write --count 2000 /a x", "at most 1000"),
            ("write --set", "a write needs a path"),
        ] {
            assert!(reason(line).contains(help), "{line}: {}", reason(line));
        }
    }

    #[test]
    fn a_deletion_takes_a_path() {
        let delete = |node, path: &str| Ok(Command::Delete { node, path: path.into(), below: None });
        assert_eq!(parsed("delete /a/b"), delete(0, "/a/b"));
        assert_eq!(parsed("rm n3 /a"), delete(2, "/a"));
        for (line, help) in [
            ("delete a", "a path begins with /: delete /a"),
            ("delete n2", "a path begins with /"),
            ("delete b1 /a", "through one node"),
            ("delete /a/", "must not end"),
        ] {
            assert!(reason(line).contains(help), "{line}: {}", reason(line));
        }
    }
}
