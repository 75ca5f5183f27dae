//! The grammar of faults on the command line: who is cut from whom, what is slow, for how long.

use super::command::{Command, targets};
use crate::member::Member;
use crate::model::State;
use crate::model::acts::Act;
use crate::model::faults::{DELAY_MAX, LEASE_TIME, Links, Trouble};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The verbs.
pub(super) const VERBS: [&str; 4] = ["cut", "slow", "slowdisk", "heal"];
/// The longest time of a fault; 0 is until it is healed.
const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// What a heal ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cure {
    /// Everything.
    All,
    /// What concerns these.
    Members(Vec<Member>),
    /// The fault of this number.
    Number(u32),
}

/// Who is to be paused, and for how long: the last word is a time if it could be no member. 0 is until it is resumed.
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn pause(rest: &str, state: &State, now: Duration) -> Result<Command, String> {
    let (whom, last) = rest.rsplit_once(' ').unwrap_or(("", rest));
    let is_time = last.starts_with(|first: char| first.is_ascii_digit())
        && !last.contains(',')
        && last.parse::<Member>().is_err();
    let (whom, lasts) = if is_time { (whom.trim(), time(last, LEASE_MAX)?) } else { (rest, LEASE_TIME) };
    let members = targets("pause", whom, state, now)?;
    let paused = Command::Act(Act::Pause, members.clone());
    Ok(if lasts.is_zero() { paused } else { Command::Pause(members, lasts) })
}

/// What a fault is about.
enum About {
    Links(Links),
    Disks(Vec<usize>),
}

fn usage(verb: &str) -> &'static str {
    match verb {
        "cut" => "cut n3, cut n1,n2|n3,n4,n5 20s, cut n1>n2 0 (0: until healed)",
        "slow" => "slow n3 80ms, slow n1>n2 80ms 20s, slow n1>n2 80ms 5% or slow n1>n2 5% (of what is sent is lost)",
        "slowdisk" => "slowdisk n3 50ms, slowdisk n1,n2 50ms 20s",
        _ => "heal, heal n3, heal 2 (faults shows the numbers)",
    }
}

/// Understands what comes after one of the [`VERBS`].
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn parse(verb: &str, rest: &str, state: &State, now: Duration) -> Result<Command, String> {
    let understood = if verb == "heal" { heal(rest, state, now) } else { fault(verb, rest, state, now) };
    understood.map_err(|reason| format!("{reason}; for example {}", usage(verb)))
}

fn heal(rest: &str, state: &State, now: Duration) -> Result<Command, String> {
    if matches!(rest, "" | "all") {
        return Ok(Command::Heal(Cure::All));
    }
    match rest.parse::<u32>() {
        Ok(number) => Ok(Command::Heal(Cure::Number(number))),
        Err(_) => targets("heal", rest, state, now).map(|members| Command::Heal(Cure::Members(members))),
    }
}

fn fault(verb: &str, rest: &str, state: &State, now: Duration) -> Result<Command, String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_time = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    let groups: Vec<&str> = words.iter().copied().take_while(|word| !is_time(word)).collect();
    let mut times = words[groups.len()..].iter().peekable();
    // Whom it is about is looked at first: without that no time is of use.
    let about = match (verb, &groups[..]) {
        ("slowdisk", []) => About::Disks(nodes(verb, "", state, now)?),
        ("slowdisk", [group]) => About::Disks(nodes(verb, group, state, now)?),
        ("slowdisk", _) => return Err(format!("{verb} takes one list of nodes")),
        (_, groups) => About::Links(links(verb, groups, state, now)?),
    };
    let trouble = match about {
        About::Links(links) if verb == "cut" => Trouble::Cut(links),
        About::Links(links) => {
            let late = times.next_if(|word| !word.ends_with('%'));
            match (late, times.next_if(|word| word.ends_with('%'))) {
                (late, None) => Trouble::Slow(links, delay(verb, late)?),
                (None, Some(lost)) => Trouble::Lossy(links, Duration::ZERO, loss(lost)?),
                (late, Some(lost)) => Trouble::Lossy(links, delay(verb, late)?, loss(lost)?),
            }
        }
        About::Disks(nodes) => Trouble::SlowDisk(nodes, delay(verb, times.next())?),
    };
    let lasts = times.next().map_or(Ok(LEASE_TIME), |word| time(word, LEASE_MAX))?;
    if let Some(surplus) = times.next() {
        return Err(format!("{surplus:?} is too much"));
    }
    let lasts = (!lasts.is_zero()).then_some(lasts);
    Ok(Command::Fault(trouble, lasts))
}

fn delay(verb: &str, word: Option<&&str>) -> Result<Duration, String> {
    let delay = word.map_or_else(|| Err(format!("{verb} needs a delay")), |word| time(word, DELAY_MAX))?;
    if delay.is_zero() { Err("a delay of nothing changes nothing".into()) } else { Ok(delay) }
}

/// In thousandths.
fn loss(word: &str) -> Result<u32, String> {
    let wrong = || format!("{word:?} is no loss; write 5% or 0.5%, at most 100%");
    let (whole, tenths) = word.trim_end_matches('%').split_once('.').unwrap_or((word.trim_end_matches('%'), "0"));
    let (Ok(whole), Ok(tenths), 1) = (whole.parse::<u32>(), tenths.parse::<u32>(), tenths.len()) else {
        return Err(wrong());
    };
    match whole.saturating_mul(10).saturating_add(tenths) {
        0 => Err("a loss of nothing changes nothing".into()),
        loss @ 1..=1_000 => Ok(loss),
        _ => Err(wrong()),
    }
}

/// The selected node from all others; one group from all others; or two groups.
fn links(verb: &str, groups: &[&str], state: &State, now: Duration) -> Result<Links, String> {
    let (from, to, is_one_way) = match groups {
        [] => ("", None, false),
        [group] => match (group.split_once('|'), group.split_once('>')) {
            (Some((from, to)), None) => (from, Some(to), false),
            (None, Some((from, to))) => (from, Some(to), true),
            (None, None) => (*group, None, false),
            (Some(_), Some(_)) => return Err("either | or >, not both".into()),
        },
        [from, to] => (*from, Some(*to), false),
        _ => return Err(format!("{verb} takes one or two lists of nodes")),
    };
    if to.is_some() && (from.is_empty() || to == Some("")) {
        return Err("a group is empty".into());
    }
    let from = nodes(verb, from, state, now)?;
    let to = match to {
        Some(to) => nodes(verb, to, state, now)?,
        None => (0..state.nodes.len()).filter(|node| !from.contains(node)).collect(),
    };
    if let Some(both) = from.iter().find(|node| to.contains(node)) {
        return Err(format!("n{} is on both sides", both + 1));
    }
    if to.is_empty() {
        return Err("there is nobody on the other side".into());
    }
    Ok(Links { from, to, is_one_way })
}

/// Nodes by their names, counted from 0; the selected one if none is named.
fn nodes(verb: &str, text: &str, state: &State, now: Duration) -> Result<Vec<usize>, String> {
    let members = targets(verb, text, state, now)?;
    match members.iter().find(|member| !member.is_node()) {
        Some(broker) => Err(format!("{broker} is a broker; only nodes have links and logs")),
        None => Ok(members.iter().map(|member| member.index()).collect()),
    }
}

pub(super) fn time(word: &str, longest: Duration) -> Result<Duration, String> {
    let time = if word == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(word) };
    let time = time.map_err(|_| format!("{word:?} is no time; write 80ms, 20s or 2m"))?;
    if time > longest {
        return Err(format!("{word} is longer than {}", humantime::format_duration(longest)));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let addresses = |count: u16| (0..count).map(|i| format!("localhost:{}", 8080 + i)).collect();
        State::new(addresses(5), addresses(1))
    }

    fn parsed(line: &str) -> Result<Command, String> {
        super::super::command::parse(line, &state(), Duration::ZERO)
    }

    fn links(from: &[usize], to: &[usize], is_one_way: bool) -> Links {
        Links { from: from.to_vec(), to: to.to_vec(), is_one_way }
    }

    #[test]
    fn groups_and_times_are_understood() {
        let seconds = |count| Some(Duration::from_secs(count));
        let ms = Duration::from_millis;
        for (line, command) in [
            ("cut", Command::Fault(Trouble::Cut(links(&[0], &[1, 2, 3, 4], false)), Some(LEASE_TIME))),
            ("cut n2,n3 20s", Command::Fault(Trouble::Cut(links(&[1, 2], &[0, 3, 4], false)), seconds(20))),
            ("cut n1,n2|n3,n4,n5", Command::Fault(Trouble::Cut(links(&[0, 1], &[2, 3, 4], false)), seconds(30))),
            ("cut n1 n5 0", Command::Fault(Trouble::Cut(links(&[0], &[4], false)), None)),
            ("cut n1>n5 2m", Command::Fault(Trouble::Cut(links(&[0], &[4], true)), seconds(120))),
            ("slow n2 80ms", Command::Fault(Trouble::Slow(links(&[1], &[0, 2, 3, 4], false), ms(80)), seconds(30))),
            ("slow 80ms 9s", Command::Fault(Trouble::Slow(links(&[0], &[1, 2, 3, 4], false), ms(80)), seconds(9))),
            ("slow n2>n5 5%", Command::Fault(Trouble::Lossy(links(&[1], &[4], true), ms(0), 50), seconds(30))),
            ("slow n2>n5 80ms 0.5% 9s", Command::Fault(Trouble::Lossy(links(&[1], &[4], true), ms(80), 5), seconds(9))),
            ("slow n2 100% 0", Command::Fault(Trouble::Lossy(links(&[1], &[0, 2, 3, 4], false), ms(0), 1_000), None)),
            ("slowdisk n3 50ms 5s", Command::Fault(Trouble::SlowDisk(vec![2], ms(50)), seconds(5))),
            ("heal", Command::Heal(Cure::All)),
            ("heal 3", Command::Heal(Cure::Number(3))),
            ("heal n3", Command::Heal(Cure::Members(vec![Member::Node(3)]))),
        ] {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_answered_with_what_does() {
        for (line, reason) in [
            ("cut n1 n1", "both sides"),
            ("cut nodes", "nobody on the other side"),
            ("cut n1|", "empty"),
            ("cut n1|n2>n3", "not both"),
            ("cut b1", "broker"),
            ("cut n1 n2 n3", "one or two lists"),
            ("cut n1 5x", "no time"),
            ("cut n1 2h", "longer than"),
            ("cut n1 5s 6s", "too much"),
            ("cut leader", "nobody leads"),
            ("slow n1", "needs a delay"),
            ("slow n1 0", "nothing"),
            ("slow n1 1m", "longer than"),
            ("slow n1 5% 80ms 9s", "too much"),
            ("slow n1 101%", "no loss"),
            ("slow n1 0.0%", "nothing"),
            ("slow n1 5.55%", "no loss"),
            ("slow n1 4x%", "no loss"),
            ("slow n1 99999999999%", "no loss"),
            ("cut n1 5%", "no time"),
            ("slowdisk n1 n2 5ms", "one list"),
            ("heal x", "not a member"),
        ] {
            let refused = parsed(line).unwrap_err();
            let example = usage(line.split(' ').next().unwrap());
            assert!(refused.contains(reason) && refused.ends_with(example), "{line}: {refused}");
        }
    }
}
