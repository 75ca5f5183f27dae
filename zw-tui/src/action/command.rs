//! The grammar of the command line: `verb target ...`, with completion.

use super::table::{ACTIONS, Id, by_id};
use crate::member::Member;
use crate::model::State;
use crate::model::acts::Act;
use crate::model::message::Breakage;
use crate::model::verdict::judge;
use std::time::Duration;

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An act on these.
    Act(Act, Vec<Member>),
    /// A write through a node, counted from 0.
    Write {
        /// Which node.
        node: usize,
        /// The znode.
        path: String,
        /// Its data.
        data: String,
    },
    /// An action of the table.
    Action(Id),
    /// Breaks the console, for a test.
    Break(Breakage),
}

const ACTS: [Act; 5] = [Act::Kill, Act::Stop, Act::Pause, Act::Resume, Act::Revive];
const ALIASES: [(&str, &str); 5] =
    [("q", "quit"), ("exit", "quit"), ("h", "help"), ("set", "write"), ("start", "revive")];

/// Understands a line, or says what is wrong with it.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn parse(line: &str, state: &State, now: Duration) -> Result<Command, String> {
    let line = line.trim();
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let verb = ALIASES.iter().find(|(alias, _)| *alias == verb).map_or(verb, |(_, verb)| *verb);
    if let Some(act) = ACTS.into_iter().find(|act| act.verb() == verb) {
        return targets(rest, state, now).map(|members| Command::Act(act, members));
    }
    if verb == "write" && !rest.is_empty() {
        return write(rest, state, now);
    }
    if state.has_test_hooks && verb == "debug" {
        return breakage(rest).map(Command::Break);
    }
    match ACTIONS.iter().find(|action| !verb.is_empty() && action.command == verb) {
        Some(action) if rest.is_empty() => Ok(Command::Action(action.id)),
        Some(_) => Err(format!("{verb} takes no arguments")),
        None => Err(match nearest(verb) {
            Some(near) => format!("there is no command {verb:?}; did you mean {near}?"),
            None => format!("there is no command {verb:?}; ? shows all"),
        }),
    }
}

/// `n3`, `b1`, `leader`, `all`, `nodes`, `brokers`, several with commas or spaces; the selected one if none is given.
fn targets(text: &str, state: &State, now: Duration) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        match word {
            "leader" => members.push(leader(state, now)?),
            "all" => members.extend(state.members()),
            "nodes" => members.extend(state.members().filter(|member| member.is_node())),
            "brokers" => members.extend(state.members().filter(|member| !member.is_node())),
            word => {
                let member: Member =
                    word.parse().map_err(|error| format!("{error}, or leader, all, nodes, brokers"))?;
                if state.process(member).is_none() {
                    return Err(format!("there is no {member}"));
                }
                members.push(member);
            }
        }
    }
    if members.is_empty() {
        members.extend(state.selected());
    }
    members.dedup();
    Ok(members)
}

fn leader(state: &State, now: Duration) -> Result<Member, String> {
    let leader = judge(state, now).leader.ok_or("nobody leads now")?;
    u8::try_from(leader.0).map(Member::Node).map_err(|_| "nobody leads now".to_owned())
}

/// `/path the data`, with `nK` before it for another node than the selected one.
fn write(text: &str, state: &State, now: Duration) -> Result<Command, String> {
    let (mut node, mut text) = (state.node, text);
    if !text.starts_with('/') {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let chosen = targets(word, state, now)?;
        let [member @ Member::Node(_)] = chosen[..] else {
            return Err("write through one node: write [n2] /path data".into());
        };
        (node, text) = (member.index(), rest.trim_start());
    }
    let (path, data) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    check_path(path)?;
    Ok(Command::Write { node, path: path.to_owned(), data: data.to_owned() })
}

fn breakage(text: &str) -> Result<Breakage, String> {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["panic", "ui"] => Ok(Breakage::PanicUi),
        ["panic", "task"] => Ok(Breakage::PanicTask),
        ["panic", "draw"] => Ok(Breakage::PanicDraw),
        ["hang", "ui", seconds] => {
            let seconds = seconds.trim_end_matches('s').parse().map_err(|_| "debug hang ui 3s".to_owned())?;
            Ok(Breakage::Hang(Duration::from_secs(seconds)))
        }
        _ => Err("debug panic ui|task|draw, or debug hang ui 3s".into()),
    }
}

/// Refuses what no node would take, with the reason.
///
/// # Errors
/// The reason.
pub fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        Err("a path starts with /, for example /goals/7".into())
    } else if path.len() > 1 && path.ends_with('/') {
        Err("a path does not end with /".into())
    } else if path.contains("//") {
        Err("a path has no empty parts".into())
    } else if path.len() > zw_core::limits::PATH_BYTES_MAX {
        Err(format!("a path has at most {} bytes", zw_core::limits::PATH_BYTES_MAX))
    } else {
        Ok(())
    }
}

/// The words that can stand at the end of the line, and that begin as its last word does.
#[must_use]
pub fn complete(line: &str, state: &State) -> Vec<String> {
    let (head, last) = line.rsplit_once([' ', ',']).map_or(("", line), |(head, last)| (head, last));
    let mut words: Vec<String> = if head.is_empty() && !line.contains(' ') {
        verbs().map(str::to_owned).collect()
    } else if last.starts_with('/') {
        state.tree.rows().iter().map(|row| row.path.clone()).collect()
    } else {
        let groups = ["leader", "all", "nodes", "brokers"].into_iter().map(str::to_owned);
        state.members().map(|member| member.to_string()).chain(groups).collect()
    };
    words.retain(|word| word.starts_with(last) && word != last);
    words.sort();
    words.dedup();
    words
}

/// The line with its last word completed as far as it is certain.
#[must_use]
pub fn completed(line: &str, state: &State) -> Option<String> {
    let candidates = complete(line, state);
    let first = candidates.first()?;
    let common = candidates.iter().fold(first.len(), |common, word| {
        first.bytes().zip(word.bytes()).take(common).take_while(|(a, b)| a == b).count()
    });
    let start = line.rfind([' ', ',']).map_or(0, |at| at + 1);
    let word = first.get(..common)?;
    let end = if candidates.len() == 1 && !word.starts_with('/') { " " } else { "" };
    (start + common > line.len() || candidates.len() == 1).then(|| format!("{}{word}{end}", &line[..start]))
}

fn verbs() -> impl Iterator<Item = &'static str> {
    let actions = ACTIONS.iter().map(|action| action.command).filter(|command| !command.is_empty());
    actions.chain(ACTS.iter().map(|act| act.verb()))
}

/// The verb that differs least, if one is near.
fn nearest(verb: &str) -> Option<&'static str> {
    verbs()
        .map(|known| (distance(verb, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance of two short words.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// The line of the command that an action stands for, for the help.
#[must_use]
pub fn line_of(id: Id) -> String {
    by_id(id).map(|action| format!(":{}", action.command)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let addresses = |count: u16| (0..count).map(|i| format!("localhost:{}", 8080 + i)).collect();
        State::new(addresses(3), addresses(2))
    }

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line, &state(), Duration::ZERO)
    }

    #[test]
    fn acts_take_members() {
        assert_eq!(parsed("kill n3"), Ok(Command::Act(Act::Kill, vec![Member::Node(3)])));
        assert_eq!(parsed(" pause  b1,2 "), Ok(Command::Act(Act::Pause, vec![Member::Broker(1), Member::Node(2)])));
        assert_eq!(parsed("revive"), Ok(Command::Act(Act::Revive, vec![Member::Node(1)])), "the selected one");
        assert!(matches!(parsed("stop all"), Ok(Command::Act(Act::Stop, members)) if members.len() == 5));
        assert!(parsed("kill n4").unwrap_err().contains("no n4"));
        assert!(parsed("kill leader").unwrap_err().contains("nobody leads"));
        assert!(parsed("kill x").unwrap_err().contains("n3"));
    }

    #[test]
    fn writes_take_a_path_and_all_the_rest() {
        let write = |node, path: &str, data: &str| Command::Write { node, path: path.into(), data: data.into() };
        assert_eq!(parsed("write /a two words"), Ok(write(0, "/a", "two words")));
        assert_eq!(parsed("write n2 /a x"), Ok(write(1, "/a", "x")));
        assert_eq!(parsed("write /a"), Ok(write(0, "/a", "")));
        assert!(parsed("write b1 /a x").is_err());
        assert!(parsed("write n2 a x").unwrap_err().contains("starts with /"));
        assert_eq!(parsed("write"), Ok(Command::Action(Id::Write)));
    }

    #[test]
    fn what_is_not_understood_is_answered_with_help() {
        assert!(parsed("kil n1").unwrap_err().contains("kill"));
        assert!(parsed("quit now").unwrap_err().contains("no arguments"));
        assert!(parsed("").is_err());
        assert!(parsed("xyzzy").unwrap_err().contains('?'));
        assert_eq!(parsed("q"), Ok(Command::Action(Id::Quit)));
    }

    #[test]
    fn tab_completes_verbs_and_members() {
        assert_eq!(completed("ki", &state()).as_deref(), Some("kill "));
        assert_eq!(completed("kill l", &state()).as_deref(), Some("kill leader "));
        assert_eq!(complete("kill n", &state()), ["n1", "n2", "n3", "nodes"]);
        assert_eq!(completed("kill n", &state()), None);
        assert_eq!(completed("re", &state()), None, "refresh, repaint, resume, revive");
        assert_eq!(completed("rev", &state()).as_deref(), Some("revive "));
        assert_eq!(completed("xyz", &state()), None);
    }
}
