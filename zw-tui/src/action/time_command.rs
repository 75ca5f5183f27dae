//! The commands about time: `at 12:41`, `at -30s`, `at clock 10:39:51`, `record on FILE`.

use super::command::Command;
use crate::model::State;
use crate::model::select::clock;
use crate::model::time::{RecordOrder, Travel};
use std::time::Duration;

/// What the commands look like.
const AT_USAGE: &str =
    "at 12:41 or at 1:02:41 since the start, at -30s, at now, or at clock 10:39:51 by the clock (UTC)";
/// Of a day without a leap.
const DAY_SECONDS: u64 = 86_400;
const RECORD_USAGE: &str = "record on, record on FILE, or record off";

/// The verbs.
pub(super) const VERBS: [&str; 2] = ["at", "record"];

/// Understands what follows the verb.
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn parse(verb: &str, rest: &str, state: &State, now: Duration) -> Result<Command, String> {
    match verb {
        "at" => {
            // Of the past, `now` is the moment that is shown.
            let known = Known { newest: now.max(state.time.newest), began: state.about.began };
            at(rest, known).map(Command::Travel)
        }
        _ => record(rest).map(Command::Record),
    }
}

/// What is known of the time: how long the session is, and when it began.
#[derive(Clone, Copy)]
struct Known {
    newest: Duration,
    /// Since 1970.
    began: Option<Duration>,
}

fn at(text: &str, known: Known) -> Result<Travel, String> {
    let wrong = || format!("{} is no time: {AT_USAGE}", super::command::repeated(text));
    if text.is_empty() {
        return Err(format!("at needs a time: {AT_USAGE}"));
    }
    if text == "now" {
        return Ok(Travel::Now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return humantime::parse_duration(ago).map(Travel::Ago).map_err(|_| wrong());
    }
    if let Some(of_day) = text.strip_prefix("clock ") {
        return by_the_clock(of_day.trim(), known).ok_or_else(wrong)?;
    }
    let parts: Vec<&str> = text.split(':').collect();
    let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from).ok_or_else(wrong);
    let (hours, minutes, last) = match parts[..] {
        [minutes, seconds] => (0, number(minutes)?, seconds),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, seconds),
        _ => return Err(wrong()),
    };
    let (seconds, tenths) = last.split_once('.').unwrap_or((last, "0"));
    if number(seconds)? >= 60 || tenths.len() > 1 || (hours > 0 && minutes >= 60) {
        return Err(wrong());
    }
    let whole = Duration::from_secs(hours * 3_600 + minutes * 60 + number(seconds)?);
    if whole > known.newest {
        // The screen's times are since the start, so what could be one is one. What could not is a time of the day.
        let of_day = if parts.len() == 3 && known.began.is_some() { by_the_clock(text, known) } else { None };
        let yet = || format!("{text} since the start is yet to come: it is {}; {AT_USAGE}", clock(known.newest));
        return of_day.unwrap_or_else(|| Err(yet()));
    }
    // All of the tenth: what happened in it is shown.
    let end = if last.contains('.') { 99 } else { 999 };
    Ok(Travel::To(whole + Duration::from_millis(number(tenths)? * 100 + end)))
}

/// The last time of the session at which the clock of the day showed `text`; none if that is no such time.
fn by_the_clock(text: &str, known: Known) -> Option<Result<Travel, String>> {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse::<u8>().ok().map(u64::from)).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    if hours >= 24 || minutes >= 60 || seconds >= 60 {
        return None;
    }
    let Some(began) = known.began else {
        return Some(Err("the time of the day is not known of this session; at 12:41 is since its start".into()));
    };
    let now = began + known.newest;
    let of_day = hours * 3_600 + minutes * 60 + seconds;
    let today = now.as_secs() / DAY_SECONDS * DAY_SECONDS + of_day;
    // At most once more than a day ago: a session that is longer has such a time today or yesterday.
    let latest = if today > now.as_secs() { today.saturating_sub(DAY_SECONDS) } else { today };
    if latest < began.as_secs() {
        let shown = |at: Duration| {
            let at = at.as_secs() % DAY_SECONDS;
            format!("{:02}:{:02}:{:02}", at / 3_600, at / 60 % 60, at % 60)
        };
        return Some(Err(format!(
            "{text} is not in this session, which by the clock (UTC) began at {} and is at {}",
            shown(began),
            shown(now)
        )));
    }
    // To the end of that second.
    Some(Ok(Travel::To((Duration::from_secs(latest) + Duration::from_millis(999)).saturating_sub(began))))
}

fn record(text: &str) -> Result<RecordOrder, String> {
    let (word, file) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match (word, file.trim()) {
        ("", _) => Ok(RecordOrder::Toggle),
        ("on", "") => Ok(RecordOrder::On(None)),
        ("on", file) => Ok(RecordOrder::On(Some(file.to_owned()))),
        ("off", "") => Ok(RecordOrder::Off),
        _ => Err(format!("record does not take {}: {RECORD_USAGE}", super::command::repeated(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session of two hours that began at 23:30:00.5 UTC.
    const KNOWN: Known =
        Known { newest: Duration::from_secs(7_200), began: Some(Duration::from_millis(1_700_004_600_500)) };

    fn to(millis: u64) -> Result<Travel, String> {
        Ok(Travel::To(Duration::from_millis(millis)))
    }

    #[test]
    fn times_are_since_the_start_or_before_now() {
        let at = |text: &str| at(text, KNOWN);
        assert_eq!(at("12:41"), to(761_999));
        assert_eq!(at("12:41.3"), to(761_399));
        assert_eq!(at("1:02:41"), to(3_761_999));
        assert_eq!(at("75:00"), to(4_500_999));
        assert_eq!(at("-30s"), Ok(Travel::Ago(Duration::from_secs(30))));
        assert_eq!(at("now"), Ok(Travel::Now));
        for wrong in [
            "",
            "12",
            "x",
            "-",
            "-x",
            "12:60",
            "1:60:00",
            "1:2:3:4",
            "12:4.55",
            "-30",
            "99999999999:00",
            ":",
            "é:1",
            "clock",
            "clock x",
            "clock 24:00",
            "clock 1:2:3:4",
            "clock 256:00",
            "clock 10:60",
        ] {
            let reason = at(wrong).unwrap_err();
            assert!(reason.ends_with(AT_USAGE), "{wrong}: {reason}");
        }
        let reason = at("120:01").unwrap_err();
        assert!(reason.contains("yet to come: it is 2:00:00"), "{reason}");
    }

    #[test]
    fn the_clock_of_the_day_counts_where_it_is_meant_or_nothing_else_can_be() {
        let at = |text: &str| at(text, KNOWN);
        assert_eq!(at("clock 23:31:00"), to(60_499), "to the end of that second");
        assert_eq!(at("23:31:00"), to(60_499), "the session is not that long");
        assert_eq!(at("clock 01:10:00"), to(6_000_499), "past midnight");
        assert_eq!(at("clock 1:10"), to(6_000_499));
        assert_eq!(at("1:10:00"), to(4_200_999), "since the start, for there was such a time");
        for outside in ["clock 22:00:00", "clock 02:00:00", "10:39:51"] {
            let reason = at(outside).unwrap_err();
            assert!(reason.ends_with("(UTC) began at 23:30:00 and is at 01:30:00"), "{outside}: {reason}");
        }
        let unknown = super::at("clock 23:31:00", Known { began: None, ..KNOWN }).unwrap_err();
        assert!(unknown.contains("not known of this session"), "{unknown}");
    }

    #[test]
    fn a_recording_may_have_a_name() {
        assert_eq!(record(""), Ok(RecordOrder::Toggle));
        assert_eq!(record("on"), Ok(RecordOrder::On(None)));
        assert_eq!(record("on  a file"), Ok(RecordOrder::On(Some("a file".into()))));
        assert_eq!(record("off"), Ok(RecordOrder::Off));
        assert!(record("of").unwrap_err().ends_with(RECORD_USAGE) && record("off x").is_err());
    }
}
