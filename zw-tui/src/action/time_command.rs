//! The commands about time: `at 12:41`, `at -30s`, `record on FILE`.

use super::command::Command;
use crate::model::time::{RecordOrder, Travel};
use std::time::Duration;

/// What the commands look like.
const AT_USAGE: &str = "at 12:41 (since the start), at 1:02:41, at -30s or at now";
const RECORD_USAGE: &str = "record on, record on FILE, or record off";

/// The verbs.
pub(super) const VERBS: [&str; 2] = ["at", "record"];

/// Understands what follows the verb.
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn parse(verb: &str, rest: &str) -> Result<Command, String> {
    match verb {
        "at" => at(rest).map(Command::Travel),
        _ => record(rest).map(Command::Record),
    }
}

fn at(text: &str) -> Result<Travel, String> {
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
    // All of the tenth: what happened in it is shown.
    let end = if last.contains('.') { 99 } else { 999 };
    Ok(Travel::To(whole + Duration::from_millis(number(tenths)? * 100 + end)))
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

    #[test]
    fn times_are_since_the_start_or_before_now() {
        let to = |millis| Ok(Travel::To(Duration::from_millis(millis)));
        assert_eq!(at("12:41"), to(761_999));
        assert_eq!(at("12:41.3"), to(761_399));
        assert_eq!(at("1:02:41"), to(3_761_999));
        assert_eq!(at("75:00"), to(4_500_999));
        assert_eq!(at("-30s"), Ok(Travel::Ago(Duration::from_secs(30))));
        assert_eq!(at("now"), Ok(Travel::Now));
        for wrong in
            ["", "12", "x", "-", "-x", "12:60", "1:60:00", "1:2:3:4", "12:4.55", "-30", "99999999999:00", ":", "é:1"]
        {
            let reason = at(wrong).unwrap_err();
            assert!(reason.ends_with(AT_USAGE), "{wrong}: {reason}");
        }
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
