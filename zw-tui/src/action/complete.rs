//! Completion of the command line: what can stand where its last word stands.

use super::command::{seconds, verbs};
use super::load_command;
use crate::model::State;
use crate::motion::Motion;
use crate::theme;

/// Most words that are offered.
const CANDIDATES_MAX: usize = 1_000;
/// What a load can be told, beside its target.
const LOAD_WORDS: [&str; 9] =
    ["max", "stop", "leader", "followers", "random", "connections=", "keys=", "reads=", "size="];

/// The words that can stand at the end of the line, and that begin as its last word does.
#[must_use]
pub fn complete(line: &str, state: &State) -> Vec<String> {
    let (head, last) = split(line);
    let verb = head.split(' ').next().unwrap_or_default();
    let is_second = head == verb;
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let mut words: Vec<String> = match verb {
        "" if !line.contains(' ') => verbs().map(str::to_owned).collect(),
        "theme" => theme::Name::ALL.iter().map(ToString::to_string).collect(),
        "motion" => Motion::ALL.iter().map(ToString::to_string).collect(),
        "set" if head == "set theme" => theme::Name::ALL.iter().map(ToString::to_string).collect(),
        "set" if head == "set motion" => Motion::ALL.iter().map(ToString::to_string).collect(),
        "record" => owned(&["on", "off"]),
        "at" => owned(&["now", "clock"]),
        "scenario" => load_command::scenario_names().collect(),
        _ if last.starts_with('/') => state.tree.beginning_with(last).take(CANDIDATES_MAX).collect(),
        // Behind the data only a node can stand.
        "write" => nodes(state).collect(),
        "load" => owned(&LOAD_WORDS).into_iter().chain(nodes(state)).collect(),
        verb => match seconds(verb).filter(|_| is_second) {
            Some(seconds) => seconds,
            None => members(state).collect(),
        },
    };
    words.retain(|word| word.starts_with(last) && word != last);
    words.sort();
    words.dedup();
    words
}

fn members(state: &State) -> impl Iterator<Item = String> {
    let groups = ["leader", "all", "nodes", "brokers"].into_iter().map(str::to_owned);
    state.members().map(|member| member.to_string()).chain(groups)
}

fn nodes(state: &State) -> impl Iterator<Item = String> {
    state.nodes.iter().map(|node| node.member.to_string())
}

/// What stands before the last word, and that word. Groups of members are words of their own.
fn split(line: &str) -> (&str, &str) {
    line.rsplit_once(SEPARATORS).unwrap_or(("", line))
}

const SEPARATORS: [char; 4] = [' ', ',', '|', '>'];

/// The line with its last word completed as far as it is certain.
#[must_use]
pub fn completed(line: &str, state: &State) -> Option<String> {
    let candidates = complete(line, state);
    let first = candidates.first()?;
    let common = candidates.iter().fold(first.len(), |common, word| {
        first.bytes().zip(word.bytes()).take(common).take_while(|(a, b)| a == b).count()
    });
    let start = line.len() - split(line).1.len();
    let word = first.get(..common)?;
    // What may go on, as a path does, goes on.
    let end = if candidates.len() == 1 && !word.starts_with('/') && !word.ends_with('=') { " " } else { "" };
    (start + common > line.len() || candidates.len() == 1).then(|| format!("{}{word}{end}", &line[..start]))
}

/// The line with a word in the place of its last one.
#[must_use]
pub fn with_word(line: &str, word: &str) -> String {
    let start = line.len() - split(line).1.len();
    format!("{}{word}", &line[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let addresses = |count: u16| (0..count).map(|i| format!("localhost:{}", 8080 + i)).collect();
        State::new(addresses(3), addresses(2))
    }

    #[test]
    fn verbs_members_and_names_are_completed() {
        let completed = |line: &str| completed(line, &state());
        assert_eq!(completed("ki").as_deref(), Some("kill "));
        assert_eq!(completed("kill l").as_deref(), Some("kill leader "));
        assert_eq!(complete("kill n", &state()), ["n1", "n2", "n3", "nodes"]);
        assert_eq!(completed("kill n"), None);
        assert_eq!(completed("re"), None, "refresh, repaint, resume, revive");
        assert_eq!(completed("rev").as_deref(), Some("revive "));
        assert_eq!(completed("xyz"), None);
        assert_eq!(complete("theme d", &state()), ["dark", "deuteranopia"]);
        assert_eq!(completed("theme hi").as_deref(), Some("theme high-contrast "));
        assert_eq!(completed("set motion r").as_deref(), Some("set motion reduced "));
        assert_eq!(completed("motion r").as_deref(), Some("motion reduced "));
        assert_eq!(completed("scenario kill-l").as_deref(), Some("scenario kill-leader "));
        assert_eq!(complete("cut n1,n2|b", &state()), ["b1", "b2", "brokers"]);
        assert_eq!(completed("cut n1>le").as_deref(), Some("cut n1>leader "));
        assert_eq!(completed("load 9/s co").as_deref(), Some("load 9/s connections="));
        assert_eq!(completed("yank v").as_deref(), Some("yank value "));
        assert_eq!(with_word("cut n1,n", "n2"), "cut n1,n2");
    }
}
