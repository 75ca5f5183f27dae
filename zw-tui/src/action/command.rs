//! The grammar of the command line: `verb target ...`.

use super::fault_command::{self, Cure};
use super::load_command;
use super::table::{ACTIONS, Id, by_id};
use super::time_command;
use super::write_command;
use crate::member::Member;
use crate::model::State;
use crate::model::acts::Act;
use crate::model::election::Election;
use crate::model::faults::Trouble;
use crate::model::feed::FeedPlan;
use crate::model::load::LoadPlan;
use crate::model::message::Breakage;
use crate::model::time::{RecordOrder, Travel};
use crate::model::verdict::judge;
use crate::model::write::WriteOrder;
use crate::motion::Motion;
use crate::nearest::nearest;
use crate::theme;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::ids::Epoch;

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// An act on these.
    Act(Act, Vec<Member>),
    /// A pause of these, which ends by itself.
    Pause(Vec<Member>, Duration),
    /// A write.
    Write(WriteOrder),
    /// A deletion of a subtree.
    Delete {
        /// Through which node, counted from 0.
        node: usize,
        /// The subtree's root.
        path: String,
        /// Znodes below the root; none before they were counted.
        below: Option<u64>,
    },
    /// A fault, and how long it lasts; none until it is healed.
    Fault(Trouble, Option<Duration>),
    /// The end of faults.
    Heal(Cure),
    /// Another time.
    Travel(Travel),
    /// A recording.
    Record(RecordOrder),
    /// Load.
    Load(LoadPlan),
    /// The end of the load.
    StopLoad,
    /// Events for the brokers.
    Feed(FeedPlan),
    /// A scenario by its name, or all of them.
    Scenario(String),
    /// The end of the scenarios.
    StopScenario,
    /// A comparison of two nodes' trees, counted from 0.
    Diff([usize; 2]),
    /// The view of the election of an epoch; of the newest if none is named.
    Election(Option<Epoch>),
    /// An action of the table.
    Action(Id),
    /// An action on a member, which is selected for it.
    On(Id, Member),
    /// All events, as JSON, to this file.
    Export(String),
    /// Other colours.
    Theme(theme::Name),
    /// More or less motion.
    Motion(Motion),
    /// Breaks the console, for a test.
    Break(Breakage),
}

const ACTS: [Act; 5] = [Act::Kill, Act::Stop, Act::Pause, Act::Resume, Act::Revive];
const ALIASES: [(&str, &str); 8] = [
    ("q", "quit"),
    ("q!", "quit"),
    ("exit", "quit"),
    ("h", "help"),
    ("set", "write"),
    ("start", "revive"),
    ("rm", "delete"),
    ("log", "output"),
];
/// How much of what was typed is repeated in an answer.
const REPEATED_CHARS_MAX: usize = 40;

/// Understands a line, or says what is wrong with it.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn parse(line: &str, state: &State, now: Duration) -> Result<Command, String> {
    let line = line.trim();
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let verb = ALIASES.iter().find(|(alias, _)| *alias == verb).map_or(verb, |(_, verb)| *verb);
    // As in vim; without a path it sets no znode.
    if line.starts_with("set ") && matches!(rest.split(' ').next(), Some("theme" | "motion")) {
        return parse(rest, state, now);
    }
    let whole = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(action) = ACTIONS.iter().find(|action| action.command.contains(' ') && action.command == whole) {
        return Ok(Command::Action(action.id));
    }
    if verb == "pause" {
        return fault_command::pause(rest, state, now)
            .map_err(|reason| format!("{reason}; for example pause n3, pause leader 5s"));
    }
    if let Some(act) = ACTS.into_iter().find(|act| act.verb() == verb) {
        return targets(verb, rest, state, now).map(|members| Command::Act(act, members));
    }
    if fault_command::VERBS.contains(&verb) {
        return fault_command::parse(verb, rest, state, now);
    }
    if time_command::VERBS.contains(&verb) {
        return time_command::parse(verb, rest, state, now);
    }
    if load_command::VERBS.contains(&verb) {
        return load_command::parse(verb, rest, state, now);
    }
    if verb == "write" {
        return write_command::write(rest, state, now);
    }
    if verb == "delete" && !rest.is_empty() {
        return write_command::delete(rest, state, now);
    }
    if verb == "diff" {
        return diff(rest, state, now).map(Command::Diff);
    }
    if verb == "election" {
        return election(rest, state).map(Command::Election);
    }
    if let ("describe" | "output", false) = (verb, rest.is_empty()) {
        let id = if verb == "describe" { Id::Describe } else { Id::Output };
        return match targets(verb, rest, state, now)?[..] {
            [member] => Ok(Command::On(id, member)),
            _ => Err(format!("{verb} shows one member; for example {verb} n3")),
        };
    }
    match verb {
        "export" if !rest.is_empty() => return Ok(Command::Export(rest.to_owned())),
        "theme" if !rest.is_empty() => return one_of(rest, &theme::Name::ALL, theme::Name::text).map(Command::Theme),
        "motion" if !rest.is_empty() => return one_of(rest, &Motion::ALL, Motion::text).map(Command::Motion),
        _ => {}
    }
    if state.has_test_hooks && verb == "debug" {
        return breakage(rest).map(Command::Break);
    }
    match ACTIONS.iter().find(|action| !verb.is_empty() && action.command == verb) {
        Some(action) if rest.is_empty() => Ok(Command::Action(action.id)),
        Some(_) => {
            let start = format!("{verb} ");
            let seconds = ACTIONS.iter().filter_map(|action| action.command.strip_prefix(&start)).collect::<Vec<_>>();
            match seconds.is_empty() {
                true => Err(format!("{verb} takes no arguments")),
                false => Err(format!("{verb} takes no {}, but {}", repeated(rest), seconds.join(", "))),
            }
        }
        None => Err(unknown(verb)),
    }
}

/// The epoch of an election that was seen.
fn election(text: &str, state: &State) -> Result<Option<Epoch>, String> {
    if text.is_empty() && state.elections.is_empty() {
        return Err("no election was seen yet".into());
    }
    if text.is_empty() {
        return Ok(None);
    }
    let seen: Vec<Epoch> = state.elections.iter().filter_map(Election::epoch).collect();
    let named = text.parse().ok().map(Epoch).filter(|epoch| seen.contains(epoch));
    let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
    let seen = if seen.is_empty() { "none yet".to_owned() } else { seen.join(" ") };
    named.map(Some).ok_or_else(|| format!("no election of epoch {} was seen; seen: {seen}", repeated(text)))
}

/// One of several words.
fn one_of<T: Copy>(word: &str, all: &[T], text: impl Fn(T) -> &'static str) -> Result<T, String> {
    let known = || all.iter().map(|one| text(*one));
    all.iter().copied().find(|one| text(*one) == word).ok_or_else(|| {
        let near = nearest(word, known()).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        format!("{} is none of {}{near}", repeated(word), known().collect::<Vec<_>>().join(", "))
    })
}

fn unknown(verb: &str) -> String {
    match (verb, nearest(verb, verbs())) {
        ("", _) => "type a command, for example kill n3 or write /path data; help shows all".into(),
        (verb, Some(near)) => format!("there is no command {}; did you mean {near}?", repeated(verb)),
        (verb, None) => format!("there is no command {}; help, or ? outside of this line, shows all", repeated(verb)),
    }
}

/// What was typed, so that it can stand in a message.
pub(super) fn repeated(text: &str) -> String {
    let head: String = text.chars().take(REPEATED_CHARS_MAX).collect();
    if head.len() < text.len() { format!("{head:?}...") } else { format!("{head:?}") }
}

/// `n3`, `b1`, `leader`, `all`, `nodes`, `brokers`, several with commas or spaces; the marked ones or the selected one if nothing
/// is given, as for the keys.
pub(super) fn targets(verb: &str, text: &str, state: &State, now: Duration) -> Result<Vec<Member>, String> {
    if text.is_empty() {
        let targets = state.targets();
        return if targets.is_empty() { Err("nothing is selected".into()) } else { Ok(targets) };
    }
    let mut members: Vec<Member> = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let named: Vec<Member> = match word {
            "leader" => vec![leader(state, now)?],
            "all" => state.members().collect(),
            "nodes" => state.members().filter(|member| member.is_node()).collect(),
            "brokers" if state.brokers.is_empty() => return Err("there are no brokers".into()),
            "brokers" => state.members().filter(|member| !member.is_node()).collect(),
            word => match word.parse::<Member>() {
                Ok(member) if state.process(member).is_some() => vec![member],
                Ok(member) => return Err(format!("there is no {member}; {verb} takes {}", names(state))),
                Err(_) => return Err(format!("{} is not a member; {verb} takes {}", repeated(word), names(state))),
            },
        };
        for member in named {
            if !members.contains(&member) {
                members.push(member);
            }
        }
    }
    if members.is_empty() { Err(format!("{verb} takes {}", names(state))) } else { Ok(members) }
}

/// What can be named.
fn names(state: &State) -> String {
    let range = |letter: char, count: usize| match count {
        0 => String::new(),
        1 => format!("{letter}1, "),
        count => format!("{letter}1 to {letter}{count}, "),
    };
    let groups = if state.brokers.is_empty() { "leader or all" } else { "leader, nodes, brokers or all" };
    format!("{}{}{groups}", range('n', state.nodes.len()), range('b', state.brokers.len()))
}

fn leader(state: &State, now: Duration) -> Result<Member, String> {
    let leader = judge(state, now).leader.ok_or("nobody leads now; name a member, for example n3")?;
    u8::try_from(leader.0).map(Member::Node).map_err(|_| "nobody leads now".to_owned())
}

/// Two nodes; one that is left out is the leader, and both that are the selected node and the leader.
pub(super) fn diff(text: &str, state: &State, now: Duration) -> Result<[usize; 2], String> {
    const USAGE: &str = "diff n2 n5 compares two nodes, diff n2 one with the leader";
    let named =
        if text.is_empty() { vec![Member::Node(node_number(state.node))] } else { targets("diff", text, state, now)? };
    if let Some(broker) = named.iter().find(|member| !member.is_node()) {
        return Err(format!("{broker} is a broker, which has no tree; {USAGE}"));
    }
    match named[..] {
        [left, right] => Ok([left.index(), right.index()]),
        [left] => {
            // With whom it was seen to differ, if it was.
            let node = state.nodes.get(left.index());
            let other =
                node.and_then(|node| node.diverged).map(|diverged| usize::from(diverged.other.0).saturating_sub(1));
            let leader = || leader(state, now).ok().map(Member::index);
            let others = || (0..state.nodes.len()).find(|index| *index != left.index());
            let right = other.or_else(leader).filter(|other| *other != left.index()).or_else(others);
            right.map(|right| [left.index(), right]).ok_or_else(|| "there is only one node".into())
        }
        _ => Err(USAGE.into()),
    }
}

fn node_number(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

fn breakage(text: &str) -> Result<Breakage, String> {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["panic", "ui"] => Ok(Breakage::PanicUi),
        ["panic", "task"] => Ok(Breakage::PanicTask),
        ["panic", "draw"] => Ok(Breakage::PanicDraw),
        ["panic", "restore"] => Ok(Breakage::PanicRestore),
        ["hang", "ui", seconds] => {
            let seconds = seconds.trim_end_matches('s').parse().map_err(|_| "debug hang ui 3s".to_owned())?;
            Ok(Breakage::Hang(Duration::from_secs(seconds)))
        }
        _ => Err("debug panic ui|task|draw|restore, or debug hang ui 3s".into()),
    }
}

/// Refuses what no node would take, with the reason.
///
/// # Errors
/// The reason.
pub fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        Err("a path begins with /, for example /goals/7".into())
    } else {
        zw_core::tree::path::validate(path).map_err(|error| error.to_string())
    }
}

/// The second words of verbs that have some.
pub(super) fn seconds(verb: &str) -> Option<Vec<String>> {
    let start = format!("{verb} ");
    let seconds = ACTIONS.iter().filter_map(|action| action.command.strip_prefix(&start));
    let seconds: Vec<String> = seconds.map(str::to_owned).collect();
    (!seconds.is_empty()).then_some(seconds)
}

pub(super) fn verbs() -> impl Iterator<Item = &'static str> {
    let actions =
        ACTIONS.iter().map(|action| action.command).filter(|command| !command.is_empty() && !command.contains(' '));
    let others = fault_command::VERBS.into_iter().chain(load_command::VERBS);
    let others = others.filter(|verb| ACTIONS.iter().all(|action| action.command != *verb));
    actions.chain(ACTS.iter().map(|act| act.verb())).chain(others)
}

/// The line of the command that an action stands for, for the help.
#[must_use]
pub fn line_of(id: Id) -> String {
    by_id(id).map(|action| format!(":{}", action.command)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::faults::LEASE_TIME;

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
    fn acts_take_members() {
        assert_eq!(parsed("kill n3"), Ok(Command::Act(Act::Kill, vec![Member::Node(3)])));
        assert_eq!(parsed(" pause  b1,2 "), Ok(Command::Pause(vec![Member::Broker(1), Member::Node(2)], LEASE_TIME)));
        assert_eq!(parsed("pause n1 0s"), Ok(Command::Act(Act::Pause, vec![Member::Node(1)])), "until it is resumed");
        assert_eq!(parsed("revive"), Ok(Command::Act(Act::Revive, vec![Member::Node(1)])), "the selected one");
        assert!(matches!(parsed("stop all"), Ok(Command::Act(Act::Stop, members)) if members.len() == 5));
        let twice = Command::Act(Act::Kill, vec![Member::Node(1), Member::Broker(1)]);
        assert_eq!(parsed("kill n1 b1 n1"), Ok(twice), "each once");
    }

    #[test]
    fn a_member_is_shown_by_its_name() {
        assert_eq!(parsed("describe b1"), Ok(Command::On(Id::Describe, Member::Broker(1))));
        assert_eq!(parsed("log n2"), Ok(Command::On(Id::Output, Member::Node(2))));
        assert_eq!(parsed("output"), Ok(Command::Action(Id::Output)), "of the selected one");
        assert!(reason("describe all").contains("one member") && reason("log n9").contains("no n9"));
    }

    #[test]
    fn a_wrong_member_is_answered_with_those_that_there_are() {
        for verb in ["kill", "stop", "pause", "resume", "revive"] {
            assert!(reason(&format!("{verb} n4")).contains("no n4"));
            assert!(reason(&format!("{verb} leader")).contains("nobody leads"));
            for wrong in ["n4", "x", "n2 nobody", ",", "n0", "b1 b9"] {
                let reason = reason(&format!("{verb} {wrong}"));
                let help = format!("{verb} takes n1 to n3, b1 to b2, leader");
                assert!(reason.contains(&help), "{verb} {wrong}: {reason}");
            }
        }
        // Without brokers, all of them are nobody, and certainly not the selected node.
        let state = State::new(vec!["localhost:8080".into()], Vec::new());
        let none = parse("kill brokers", &state, Duration::ZERO);
        assert_eq!(none, Err("there are no brokers".into()));
        let reason = parse("kill x", &state, Duration::ZERO).unwrap_err();
        assert!(reason.contains("kill takes n1, leader or all"), "{reason}");
    }

    #[test]
    fn what_is_not_understood_is_answered_with_help() {
        assert!(reason("kil n1").contains("did you mean kill"));
        assert!(reason("").contains("help"));
        assert!(reason("xyzzy").contains('?'));
        assert!(!reason("n3").contains("did you mean"), "nothing is near to two letters: {}", reason("n3"));
        assert!(reason(&"x".repeat(10_000)).len() < 200);
        assert_eq!(parsed("q"), Ok(Command::Action(Id::Quit)));
    }

    #[test]
    fn every_command_says_what_is_wrong_with_a_surplus() {
        for action in ACTIONS.iter().filter(|action| !action.command.is_empty()) {
            let line = format!("{} surplus", action.command);
            if action.id == Id::Export {
                assert_eq!(parsed(&line), Ok(Command::Export("surplus".into())));
                continue;
            }
            let reason = reason(&line);
            let is_open = ACTS.iter().any(|act| act.verb() == action.command)
                || fault_command::VERBS.contains(&action.command)
                || time_command::VERBS.contains(&action.command)
                || load_command::VERBS.contains(&action.command)
                || seconds(action.command.split(' ').next().unwrap_or_default()).is_some()
                || matches!(action.id, Id::Write | Id::Delete | Id::Diff | Id::Election | Id::Theme | Id::Motion)
                || matches!(action.id, Id::Describe | Id::Output);
            let help = if is_open { "surplus" } else { "takes no arguments" };
            assert!(reason.contains(help), "{line}: {reason}");
        }
    }

    #[test]
    fn themes_and_motion_are_named() {
        assert_eq!(parsed("theme high-contrast"), Ok(Command::Theme(theme::Name::HighContrast)));
        assert_eq!(parsed("motion off"), Ok(Command::Motion(Motion::Off)));
        assert_eq!(parsed("theme"), Ok(Command::Action(Id::Theme)));
        assert_eq!(parsed("set motion off"), Ok(Command::Motion(Motion::Off)));
        assert_eq!(parsed("set theme mono"), Ok(Command::Theme(theme::Name::Mono)));
        assert!(matches!(parsed("set /motion off"), Ok(Command::Write(_))));
        assert!(reason("theme drak").contains("did you mean dark?"));
    }
}
