//! The scenarios as they are written: a text that is read as prose, and the steps that it means.

use super::condition::Condition;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::sync::LazyLock;
use std::time::Duration;

/// The text of all scenarios.
const TEXT: &str = include_str!("scripts.txt");
/// Only with `ZW_TEST_HOOKS=1`: a scenario whose expectation cannot hold.
const HIDDEN: &str = "
cannot-hold
    A test: what it expects cannot be.
    load 200/s 60s random
    wait until 10 operations
    load stop
    wait until the load is verified
    expect a write gap below 0ms
";

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What it shows, as a sentence.
    pub sentence: &'static str,
    /// Nodes that it needs.
    pub nodes: usize,
    /// Brokers that it needs.
    pub brokers: usize,
    /// What is done and expected.
    pub steps: Vec<Step>,
    /// Whether it is for tests only.
    pub is_hidden: bool,
}

/// A scenario where it is kept: by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Title(pub(super) &'static Script);

impl Serialize for Title {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl<'de> Deserialize<'de> for Title {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Title, D::Error> {
        let name = String::deserialize(deserializer)?;
        by_name(&name, true).map(Title).map_err(de::Error::custom)
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A line of the command line, with `$` words.
    Do(&'static str),
    /// A pause.
    Pause(Duration),
    /// Until it is so.
    Until(&'static str, Condition),
    /// It is so, or soon is.
    Expect(&'static str, Condition),
    /// Who leads is looked at anew.
    Look,
    /// For each node, the leader last.
    Each(Vec<Step>),
}

impl Step {
    /// As it was written.
    pub(super) fn words(&self) -> String {
        match self {
            Step::Do(line) => (*line).to_owned(),
            Step::Pause(time) => format!("wait {} ms", time.as_millis()),
            Step::Until(words, _) | Step::Expect(words, _) => (*words).to_owned(),
            Step::Look => "look who leads".into(),
            Step::Each(_) => "for each node".into(),
        }
    }
}

/// The scenarios, in order; hidden ones last.
static ALL: LazyLock<Result<Vec<Script>, String>> = LazyLock::new(|| {
    let mut scripts = parse(TEXT, false)?;
    scripts.append(&mut parse(HIDDEN, true)?);
    Ok(scripts)
});

/// All scenarios; a test makes sure that the text can be read.
#[must_use]
pub fn all() -> &'static [Script] {
    ALL.as_deref().unwrap_or_default()
}

/// The scenario of this name.
///
/// # Errors
/// There is none; the names that there are.
pub fn by_name(name: &str, with_hidden: bool) -> Result<&'static Script, String> {
    let mut shown = all().iter().filter(|script| with_hidden || !script.is_hidden);
    shown.find(|script| script.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().filter(|script| !script.is_hidden).map(|script| script.name).collect();
        format!("there is no scenario {name:?}; there are {} and all", names.join(", "))
    })
}

fn parse(text: &'static str, is_hidden: bool) -> Result<Vec<Script>, String> {
    let mut scripts: Vec<Script> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words = line.trim();
        let depth = (line.len() - line.trim_start().len()) / 4;
        if depth == 0 {
            scripts.push(Script { name: words, sentence: "", nodes: 1, brokers: 0, steps: Vec::new(), is_hidden });
            continue;
        }
        let script = scripts.last_mut().ok_or_else(|| format!("{words:?} belongs to no scenario"))?;
        let wrong = |reason: String| format!("{}: {words:?}: {reason}", script.name);
        if script.sentence.is_empty() {
            script.sentence = words;
        } else if let Some(need) = words.strip_prefix("needs ") {
            let (count, what) = need.split_once(' ').ok_or_else(|| wrong("how many of what?".into()))?;
            let count = count.parse().map_err(|_| wrong("no number".into()))?;
            match what {
                "nodes" => script.nodes = count,
                "brokers" => script.brokers = count,
                _ => return Err(wrong("nodes or brokers".into())),
            }
        } else {
            let step = step(words).map_err(wrong)?;
            match (depth, script.steps.last_mut()) {
                (1, _) => script.steps.push(step),
                (_, Some(Step::Each(steps))) => steps.push(step),
                _ => return Err(format!("{}: {words:?} is too deep", script.name)),
            }
        }
    }
    Ok(scripts)
}

fn step(words: &'static str) -> Result<Step, String> {
    if words == "look who leads" {
        Ok(Step::Look)
    } else if words == "for each node" {
        Ok(Step::Each(Vec::new()))
    } else if let Some(rest) = words.strip_prefix("expect ") {
        Condition::parse(rest).map(|condition| Step::Expect(words, condition))
    } else if let Some(rest) = words.strip_prefix("wait until ") {
        Condition::parse(rest).map(|condition| Step::Until(words, condition))
    } else if let Some(rest) = words.strip_prefix("wait ") {
        time(rest).map(Step::Pause)
    } else {
        Ok(Step::Do(words))
    }
}

/// `500ms` or `2s`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("{text:?} is no time"));
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => number(digits).map(Duration::from_millis),
        (None, Some(digits)) => number(digits).map(Duration::from_secs),
        (None, None) => Err(format!("{text:?} is no time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::command;
    use crate::model::State;

    #[test]
    fn the_text_can_be_read_and_has_all_that_is_promised() {
        let scripts = ALL.as_ref().unwrap();
        for name in [
            "sync-to-leader",
            "sync-to-follower",
            "health-check",
            "join-one",
            "join-many",
            "leader-dies",
            "follower-dies",
            "hundred-to-leader",
            "hundred-to-followers",
            "hundred-random",
            "kill-leader",
            "kill-and-revive-leader",
            "kill-broker",
            "kill-client",
            "scaling",
            "isolate-leader",
            "split",
            "pause-leader",
            "rolling-restart",
            "slow-disk",
            "all-down-and-up",
        ] {
            assert_eq!(scripts.iter().filter(|script| script.name == name).count(), 1, "{name}");
        }
        for script in scripts {
            assert!(script.sentence.len() <= 100, "{}", script.sentence);
            assert!(script.sentence.ends_with('.') && script.nodes <= 3 && script.brokers <= 2, "{script:?}");
            assert!(script.steps.iter().any(|step| matches!(step, Step::Expect(..))), "{}", script.name);
        }
        assert!(by_name("cannot-hold", true).is_ok());
        let reason = by_name("cannot-hold", false).unwrap_err();
        assert!(reason.contains("there is no scenario") && reason.contains("kill-leader, "), "{reason}");
    }

    #[test]
    fn what_is_to_be_typed_is_understood_by_the_command_line() {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let state = State::new(addresses(8080, 3), addresses(9090, 2));
        let check = |line: &str| {
            let words = [
                ("$leader", "n1"),
                ("$follower", "n2"),
                ("$others", "n2,n3"),
                ("$minority", "n3"),
                ("$majority", "n1,n2"),
                ("$broker", "b1"),
                ("$each", "n2"),
            ];
            let line = words.iter().fold(line.to_owned(), |line, (word, name)| line.replace(word, name));
            let understood = command::parse(&line, &state, Duration::ZERO);
            let is_open = |reason: &String| reason.contains("nobody leads");
            assert!(understood.as_ref().err().is_none_or(is_open), "{line}: {understood:?}");
        };
        let mut lines = 0;
        for step in ALL.as_ref().unwrap().iter().flat_map(|script| &script.steps) {
            match step {
                Step::Do(line) => check(line),
                Step::Each(steps) => steps.iter().for_each(|step| {
                    if let Step::Do(line) = step {
                        check(line);
                    }
                }),
                _ => continue,
            }
            lines += 1;
        }
        assert!(lines > 40);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (text, reason) in [
            ("    wait 1s", "belongs to no scenario"),
            ("a\n    Does it.\n    expect something", "something"),
            ("a\n    Does it.\n    wait 1", "no time"),
            ("a\n    Does it.\n    wait 1s\n        wait 1s", "too deep"),
            ("a\n    Does it.\n    needs 3 elephants", "nodes or brokers"),
        ] {
            let told = parse(text, false).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }
}
