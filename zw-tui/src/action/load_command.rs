//! The grammar of loads, feeds and scenarios on the command line.

use super::command::{Command, targets};
use super::table::Id;
use crate::member::Member;
use crate::model::State;
use crate::model::feed::{FEED_MAX, FeedPlan, receivers};
use crate::model::load::{LoadPlan, LoadTarget};
use crate::model::scenario::script;
use std::time::Duration;

/// The verbs.
pub(super) const VERBS: [&str; 3] = ["load", "feed", "scenario"];
/// The longest load.
const LASTS_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Most operations a second that can be asked for; `max` has no limit.
const RATE_MAX: u32 = 100_000;
/// Every so many events a producer dies, if producers are to.
const DIES_EVERY: u32 = 5;

fn usage(verb: &str) -> &'static str {
    match verb {
        "load" => "load 200/s 60s random, load max 10s leader reads=50 connections=8 keys=16 size=100, load stop",
        "feed" => "feed 100, feed 100 b2 leader, feed 100 b1 random dying",
        _ => "scenario kill-leader, scenario all, scenario stop",
    }
}

/// Understands what comes after one of the [`VERBS`].
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn parse(verb: &str, rest: &str, state: &State, now: Duration) -> Result<Command, String> {
    let understood = match (verb, rest) {
        ("load", "") => Ok(Command::Action(Id::Load)),
        ("load", "stop") => Ok(Command::StopLoad),
        ("load", _) => load(rest, state, now).map(Command::Load),
        ("feed", _) => feed(rest, state, now).map(Command::Feed),
        (_, "") => Ok(Command::Action(Id::Scenarios)),
        (_, "stop") => Ok(Command::StopScenario),
        (_, "all") => Ok(Command::Scenario("all".into())),
        (_, name) => script::by_name(name, state.has_test_hooks).map(|script| Command::Scenario(script.name.into())),
    };
    understood.map_err(|reason| format!("{reason}; for example {}", usage(verb)))
}

/// The names that can stand after `scenario`.
pub(super) fn scenario_names() -> impl Iterator<Item = String> {
    let shown = script::all().iter().filter(|script| !script.is_hidden).map(|script| script.name.to_owned());
    shown.chain(["all".to_owned(), "stop".to_owned()])
}

fn load(rest: &str, state: &State, now: Duration) -> Result<LoadPlan, String> {
    let mut plan = LoadPlan::default();
    for word in rest.split_whitespace() {
        if word == "max" {
            plan.rate = 0;
        } else if let Some(rate) = word.strip_suffix("/s") {
            plan.rate = bounded("a rate", rate, 1, RATE_MAX)?;
        } else if let Some((name, number)) = word.split_once('=') {
            match name {
                "reads" => plan.reads = bounded("reads of 100", number, 0, 100)?,
                "connections" => plan.connections = bounded(name, number, 1, 64)? as usize,
                "keys" => plan.keys = bounded(name, number, 1, 10_000)? as usize,
                "size" => plan.size = bounded(name, number, 1, 1 << 20)? as usize,
                _ => return Err(format!("there is no {name}=; there are reads, connections, keys, size")),
            }
        } else if word.starts_with(|first: char| first.is_ascii_digit()) {
            plan.lasts = super::fault_command::time(word, LASTS_MAX)?;
            if plan.lasts.is_zero() {
                return Err("a load of no time".into());
            }
        } else {
            plan.target = target(word, state, now)?;
        }
    }
    Ok(plan)
}

fn target(word: &str, state: &State, now: Duration) -> Result<LoadTarget, String> {
    match word {
        "leader" => Ok(LoadTarget::Leader),
        "followers" => Ok(LoadTarget::Followers),
        "random" => Ok(LoadTarget::Random),
        word => match targets("load", word, state, now)?[..] {
            [member @ Member::Node(_)] => Ok(LoadTarget::Node(member.index())),
            _ => Err(format!("{word:?} is neither leader, followers, random nor one node")),
        },
    }
}

fn feed(rest: &str, state: &State, now: Duration) -> Result<FeedPlan, String> {
    if state.brokers.is_empty() {
        return Err("there are no brokers to send events to".into());
    }
    let mut plan = FeedPlan { count: 0, broker: 0, receivers: Vec::new(), dies_every: None };
    for word in rest.split_whitespace() {
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            plan.count = bounded("a number of events", word, 1, FEED_MAX)?;
        } else if word == "dying" {
            plan.dies_every = Some(DIES_EVERY);
        } else if let Ok(member @ Member::Broker(_)) = word.parse::<Member>() {
            if member.index() >= state.brokers.len() {
                return Err(format!("there is no {member}"));
            }
            plan.broker = member.index();
        } else {
            plan.receivers = receivers(state, now, word)?;
        }
    }
    if plan.count == 0 { Err("how many events?".into()) } else { Ok(plan) }
}

fn bounded(what: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{what} is a number from {least} to {most}, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        command::parse(line, &State::new(addresses(8080, 3), addresses(9090, 2)), Duration::ZERO)
    }

    fn plan(line: &str) -> LoadPlan {
        match parsed(line) {
            Ok(Command::Load(plan)) => plan,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_load_is_read_as_it_is_printed() {
        assert_eq!(plan("load 200/s 60s random"), LoadPlan::default());
        for line in ["max 10s leader", "50/s 5s n2 keys=3 size=1000 reads=0", "1000/s 100s followers connections=8"] {
            assert_eq!(plan(&format!("load {line}")).to_string(), line);
        }
        assert_eq!(parsed("load"), Ok(Command::Action(Id::Load)));
        assert_eq!(parsed("load stop"), Ok(Command::StopLoad));
    }

    #[test]
    fn feeds_and_scenarios_are_understood() {
        let Ok(Command::Feed(feed)) = parsed("feed 100 b2 random dying") else { panic!() };
        assert_eq!((feed.count, feed.broker, feed.receivers.len(), feed.dies_every), (100, 1, 3, Some(DIES_EVERY)));
        assert_eq!(parsed("scenario kill-leader"), Ok(Command::Scenario("kill-leader".into())));
        assert_eq!(parsed("scenario"), Ok(Command::Action(Id::Scenarios)));
        assert_eq!(parsed("scenario stop"), Ok(Command::StopScenario));
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_is_right() {
        for (line, help) in [
            ("load 0/s", "from 1 to 100000"),
            ("load x", "load takes n1"),
            ("load all", "one node"),
            ("load 0s", "no time"),
            ("load color=1", "there are reads, connections, keys, size"),
            ("feed", "how many events?"),
            ("feed 1000", "from 1 to 200"),
            ("feed 10 b7", "there is no b7"),
            ("feed 10 leader", "nobody leads"),
            ("scenario x", "there is no scenario \"x\""),
            ("scenario cannot-hold", "there is no scenario"),
        ] {
            let reason = parsed(line).unwrap_err();
            assert!(reason.contains(help) && reason.contains("for example"), "{line}: {reason}");
        }
    }
}
