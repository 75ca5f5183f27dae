//! What a scenario waits for and expects, and whether the state shows it.

use super::cast::names;
use super::runner::Runner;
use super::script::time;
use crate::member::Member;
use crate::model::load::{LoadReport, Phase};
use crate::model::select::{micros, seconds};
use crate::model::verdict::{Word, defects, judge};
use crate::model::{State, feed};
use std::time::Duration;
use zw_core::wire::admin::{NodeRole, Status};

/// A peer counts as heard if that is not longer ago.
const HEARD_MAX: Duration = Duration::from_secs(2);

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All members serve, all processes run.
    Healthy,
    /// Somebody else than `$leader` leads.
    AnotherLeads,
    /// `$leader` leads.
    SameLeads,
    /// The epoch is the one at the beginning.
    NoElection,
    /// It is a later one.
    Election,
    /// The members that this means do not run.
    Down(&'static str),
    /// The load has had so many operations answered.
    Operations(u64),
    /// So many more than when the step began.
    MoreOperations(u64),
    /// The load took so many a second.
    Rate(u64),
    /// The load is over, and all its keys were read again.
    Verified,
    /// Neither the load's check nor the digests show a violation.
    NothingLost,
    /// The longest time without an acknowledged write is shorter.
    GapBelow(Duration),
    /// All nodes that run have the same tree.
    EqualReplicas,
    /// The write of the scenario is acknowledged.
    Written,
    /// Every node that runs shows it.
    Shown,
    /// So many events of the feed are acknowledged; none for all, and it is over.
    Events(Option<u32>),
    /// The pages of all brokers that run are equal, and ordered as the events were sent.
    Pages,
    /// The leader and its followers heard of each other lately.
    Heard,
}

/// Whether it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// It is.
    Yes,
    /// Not yet; why.
    NotYet(String),
    /// It will not be; why.
    No(String),
}

impl Condition {
    pub(super) fn parse(text: &'static str) -> Result<Condition, String> {
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("{digits:?} is no number"));
        Ok(match text {
            "healthy" => Condition::Healthy,
            "another leads" => Condition::AnotherLeads,
            "$leader leads" => Condition::SameLeads,
            "no election" => Condition::NoElection,
            "an election" => Condition::Election,
            "the load is verified" => Condition::Verified,
            "nothing lost" => Condition::NothingLost,
            "equal replicas" => Condition::EqualReplicas,
            "it is written" => Condition::Written,
            "every node shows it" => Condition::Shown,
            "all events are acknowledged" => Condition::Events(None),
            "equal and ordered pages" => Condition::Pages,
            "leader and followers hear each other" => Condition::Heard,
            _ => {
                if let Some(limit) = text.strip_prefix("a write gap below ") {
                    Condition::GapBelow(time(limit)?)
                } else if let Some(whom) = text.strip_suffix(" is down") {
                    Condition::Down(whom)
                } else if let Some(count) = text.strip_suffix(" more operations") {
                    Condition::MoreOperations(number(count)?)
                } else if let Some(count) = text.strip_suffix(" operations") {
                    Condition::Operations(number(count)?)
                } else if let Some(count) = text.strip_suffix(" events are acknowledged") {
                    Condition::Events(Some(u32::try_from(number(count)?).unwrap_or(u32::MAX)))
                } else if let Some(rate) = text.strip_prefix("at least ")
                    && let Some(rate) = rate.strip_suffix(" operations a second")
                {
                    Condition::Rate(number(rate)?)
                } else {
                    return Err(format!("{text:?} is no condition"));
                }
            }
        })
    }

    /// Whether it is so at `now`.
    pub(super) fn truth(&self, runner: &Runner, state: &State, now: Duration) -> Truth {
        match self {
            Condition::Healthy => healthy(state, now),
            Condition::AnotherLeads | Condition::SameLeads => leads(runner, state, now, *self == Condition::SameLeads),
            Condition::NoElection | Condition::Election => elected(runner, state, now, *self == Condition::Election),
            Condition::Down(whom) => down(&runner.filled(whom), state),
            Condition::Operations(count) => at_least(operations(state), *count, "operations"),
            Condition::MoreOperations(count) => {
                at_least(operations(state).saturating_sub(runner.operations_before), *count, "more operations")
            }
            Condition::Rate(_) | Condition::GapBelow(_) | Condition::Verified | Condition::NothingLost => {
                self.of_load(state)
            }
            Condition::EqualReplicas => equal_replicas(state, now),
            Condition::Written => match &runner.write {
                Some(write) => match &write.outcome {
                    None => Truth::NotYet("the write is not answered yet".into()),
                    Some(Ok(_)) => Truth::Yes,
                    Some(Err(reason)) => Truth::No(format!("the write failed: {reason}")),
                },
                None => Truth::No("nothing was written".into()),
            },
            Condition::Shown => runner.shown(state),
            Condition::Events(count) => events(state, *count),
            Condition::Pages => pages(runner, state),
            Condition::Heard => heard(state, now),
        }
    }

    fn of_load(&self, state: &State) -> Truth {
        let Some(report) = state.loads.report() else { return Truth::NotYet("no load has reported yet".into()) };
        match self {
            Condition::Rate(least) if report.rate() < *least => Truth::No(format!("only {} a second", report.rate())),
            Condition::GapBelow(limit) if report.longest_gap >= *limit => {
                let gap = micros(u64::try_from(report.longest_gap.as_micros()).unwrap_or(u64::MAX));
                let limit = micros(u64::try_from(limit.as_micros()).unwrap_or(u64::MAX));
                Truth::No(format!("no write was acknowledged for {gap}, longer than {limit}"))
            }
            Condition::Verified => match &report.phase {
                Phase::Verified => Truth::Yes,
                Phase::Failed(reason) => Truth::No(format!("the load was not verified: {reason}")),
                _ => Truth::NotYet("the load is not over yet".into()),
            },
            // A violation ends the scenario as soon as it is found.
            Condition::NothingLost if report.writes == 0 => {
                Truth::No("no write was acknowledged, so nothing was proved".into())
            }
            Condition::NothingLost if report.phase != Phase::Verified => {
                Truth::NotYet("the load is not verified yet".into())
            }
            _ => Truth::Yes,
        }
    }
}

pub(super) fn healthy(state: &State, now: Duration) -> Truth {
    let verdict = judge(state, now);
    let listens = |member: Member| {
        let process = state.process(member);
        process.is_some_and(|process| matches!(process.observed, crate::model::Observed::Running(_)))
    };
    // What a check found before does not pass; it is no reason to wait.
    let found = defects(state);
    let word = match verdict.word {
        Word::Degraded if verdict.reasons.len() == found.len() => Word::Healthy,
        word => word,
    };
    match (word, state.members().find(|member| !listens(*member))) {
        (Word::Healthy, None) => Truth::Yes,
        (Word::Healthy, Some(member)) => Truth::NotYet(format!("{member} does not listen yet")),
        (word, _) => {
            let reason = verdict
                .reasons
                .iter()
                .find(|reason| !found.contains(reason))
                .map_or_else(String::new, |reason| format!(": {reason}"));
            Truth::NotYet(format!("the ensemble is {}{reason}", word.text()))
        }
    }
}

fn leads(runner: &Runner, state: &State, now: Duration, is_same: bool) -> Truth {
    let leader = judge(state, now).leader.map(|leader| usize::from(leader.0).saturating_sub(1));
    match leader {
        None => Truth::NotYet("nobody leads".into()),
        Some(leader) if (leader == runner.cast.leader) == is_same => Truth::Yes,
        Some(leader) if is_same => Truth::No(format!("n{} leads, and not n{}", leader + 1, runner.cast.leader + 1)),
        Some(leader) => Truth::NotYet(format!("n{} still leads", leader + 1)),
    }
}

fn elected(runner: &Runner, state: &State, now: Duration, is_wanted: bool) -> Truth {
    let epoch = judge(state, now).epoch;
    match (epoch > runner.epoch, is_wanted) {
        (true, true) | (false, false) => Truth::Yes,
        (false, true) => Truth::NotYet("there was no election".into()),
        (true, false) => {
            let text = |epoch: Option<_>| epoch.map_or_else(|| "none".to_owned(), |epoch| format!("{epoch}"));
            Truth::No(format!("there was an election: the epoch went from {} to {}", text(runner.epoch), text(epoch)))
        }
    }
}

fn down(whom: &str, state: &State) -> Truth {
    let is_meant =
        |member: &Member| whom == "nodes" && member.is_node() || whom.split(',').any(|n| n == member.to_string());
    let lives = |member: &Member| state.process(*member).is_some_and(|process| process.pid().is_some());
    match state.members().filter(is_meant).find(lives) {
        Some(member) => Truth::NotYet(format!("{member} still runs")),
        None => Truth::Yes,
    }
}

pub(super) fn operations(state: &State) -> u64 {
    state.loads.report().map_or(0, LoadReport::operations)
}

fn at_least(is: u64, wanted: u64, what: &str) -> Truth {
    if is >= wanted { Truth::Yes } else { Truth::NotYet(format!("{is} of {wanted} {what}")) }
}

/// What the nodes that run say, as long as it is no old news.
fn answers(state: &State, now: Duration) -> Result<Vec<(usize, &Status)>, String> {
    let mut answers = Vec::new();
    for (node, it) in state.nodes.iter().enumerate().filter(|(_, node)| node.process.can_work()) {
        match it.sight.current(now) {
            Some(status) => answers.push((node, status)),
            None => return Err(format!("n{} does not answer", node + 1)),
        }
    }
    Ok(answers)
}

fn equal_replicas(state: &State, now: Duration) -> Truth {
    let answers = match answers(state, now) {
        Ok(answers) => answers,
        Err(reason) => return Truth::NotYet(reason),
    };
    let Some((first, status)) = answers.first() else { return Truth::NotYet("no node runs".into()) };
    match answers.iter().find(|(_, other)| other.applied_zxid != status.applied_zxid) {
        Some((node, other)) => Truth::NotYet(format!(
            "n{} is at {}, n{} at {}",
            first + 1,
            status.applied_zxid,
            node + 1,
            other.applied_zxid
        )),
        None if answers.iter().all(|(_, other)| other.digest == status.digest) => Truth::Yes,
        None => Truth::No(format!("the trees differ at {}", status.applied_zxid)),
    }
}

fn events(state: &State, count: Option<u32>) -> Truth {
    let Some(report) = state.feed.as_ref().and_then(|feed| feed.report.as_ref()) else {
        return Truth::NotYet("no event is acknowledged yet".into());
    };
    match (&report.failure, count) {
        (Some(reason), _) => Truth::No(format!("an event was not acknowledged: {reason}")),
        (None, Some(count)) => at_least(u64::from(report.acknowledged), u64::from(count), "events"),
        (None, None) if report.is_over => Truth::Yes,
        (None, None) => {
            let trouble = report.trouble.as_ref().map_or_else(String::new, |trouble| format!(", then {trouble}"));
            Truth::NotYet(format!("{} events so far{trouble}", report.acknowledged))
        }
    }
}

fn pages(runner: &Runner, state: &State) -> Truth {
    let Some(report) = state.feed.as_ref().and_then(|feed| feed.report.as_ref()) else {
        return Truth::No("no events were sent".into());
    };
    match &runner.pages {
        None => Truth::NotYet("the brokers have not shown their pages yet".into()),
        Some(pages) => match feed::compare(pages, report) {
            Ok(_) => Truth::Yes,
            Err((reason, true)) => Truth::NotYet(reason),
            Err((reason, false)) => Truth::No(reason),
        },
    }
}

fn heard(state: &State, now: Duration) -> Truth {
    let answers = match answers(state, now) {
        Ok(answers) => answers,
        Err(reason) => return Truth::NotYet(reason),
    };
    let limit = u64::try_from(HEARD_MAX.as_millis()).unwrap_or(u64::MAX);
    for (node, status) in &answers {
        let peers = status.peers.iter().filter(|peer| status.role == NodeRole::Leader || peer.node == status.leader);
        for peer in peers {
            if !peer.connected || peer.heard_ms_ago > limit {
                let age = seconds(Duration::from_millis(peer.heard_ms_ago.min(86_400_000)));
                return Truth::NotYet(format!("{} has not heard n{} for {age}", names(&[*node]), peer.node));
            }
        }
    }
    Truth::Yes
}
