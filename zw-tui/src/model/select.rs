//! What the panes show of the state, in words: the only reader of the raw facts for the screen.

use super::history::{End, Measure, Range};
use super::sight::Freshness;
use super::verdict::Verdict;
use super::{
    Desired, Failure, LATE_AFTER, Node, Observed, Process, STALE_AFTER, State, broker, faults, scenario, timeline,
};
use crate::member::Member;
use crate::supervisor::{Asked, Exit};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::wire::admin::NodeRole;

/// Cells of a node's trend.
pub const TREND_CELLS: usize = 12;

/// What a member is, as a glyph and a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Face {
    /// Leads.
    Leader,
    /// Follows.
    Follower,
    /// Follows without a vote.
    Observer,
    /// Looks for a leader.
    Looking,
    /// Is brought up to date.
    Syncing,
    /// Cut off from so many that it can be in no quorum.
    Cut,
    /// Stopped by us.
    Paused,
    /// Not running.
    Down,
    /// Not running, for an error of its own.
    Failed,
    /// Does not answer, or has not yet.
    Unknown,
    /// A broker that runs.
    Up,
}

impl Face {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Face::Leader => "LEADER",
            Face::Follower => "FOLLOW",
            Face::Observer => "OBSERVE",
            Face::Looking => "LOOKING",
            Face::Syncing => "SYNCING",
            Face::Cut => "CUT",
            Face::Paused => "PAUSED",
            Face::Down => "DOWN",
            Face::Failed => "FAILED",
            Face::Unknown => "UNKNOWN",
            Face::Up => "UP",
        }
    }
}

/// A node's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    /// What it is.
    pub face: Face,
    /// Whether the numbers are as good as now.
    pub freshness: Freshness,
    /// What its tree shows.
    pub zxid: String,
    /// How far it is behind the newest commit.
    pub lag: String,
    /// Writes a second.
    pub writes: String,
    /// From a question to its answer.
    pub round_trip: String,
    /// How long ago it was heard.
    pub heard: String,
    /// Requests that wait on it.
    pub queue: String,
    /// 99th percentile of its clients' writes.
    pub commit: String,
    /// Writes a second over the last minute, and the greatest of any node.
    pub trend: (Vec<Option<u64>>, u64),
    /// Resident memory.
    pub memory: String,
    /// Its process.
    pub pid: String,
    /// What is with it, in words.
    pub state: String,
    /// Whether the words deserve attention.
    pub is_bad: bool,
}

/// The line of a node.
#[must_use]
pub fn node_line(state: &State, node: &Node, verdict: &Verdict, now: Duration) -> NodeLine {
    let freshness = node.sight.freshness(now);
    let face = node_face(state, node, now);
    let status = node.sight.status.as_deref();
    let unknown = || "?".to_owned();
    let text = |value: Option<String>| value.unwrap_or_else(unknown);
    let lag = status.zip(verdict.committed).map(|(status, committed)| {
        if status.applied_zxid.epoch() == committed.epoch() {
            match committed.counter().saturating_sub(status.applied_zxid.counter()) {
                0 => "0".to_owned(),
                behind => format!("-{}", short(behind)),
            }
        } else {
            "old".to_owned()
        }
    });
    let trend = trend(state, node, now);
    let (state, is_bad) = node_words(state, node, now);
    NodeLine {
        face,
        freshness,
        // Who serves nothing may have applied nothing yet since its start; its log is what it will bring.
        zxid: text(status.map(|status| match status.role {
            NodeRole::Looking | NodeRole::Syncing => status.last_zxid.to_string(),
            NodeRole::Leader | NodeRole::Follower | NodeRole::Observer => status.applied_zxid.to_string(),
        })),
        lag: if face == Face::Leader { ".".into() } else { text(lag) },
        writes: text(
            node.sight
                .current(now)
                .filter(|_| node.process.lives())
                .and(node.sight.rates())
                .map(|(writes, _)| short(writes)),
        ),
        round_trip: text(node.sight.current(now).and(node.sight.round_trip_ms()).map(|millis| match millis {
            0 => "<1ms".to_owned(),
            millis => format!("{}ms", short(millis)),
        })),
        // Not finer than what is drawn anew: a quiet screen is not written to.
        heard: match freshness {
            Freshness::Never => unknown(),
            Freshness::Fresh => "<1s".into(),
            Freshness::Late => "1s".into(),
            Freshness::Stale(age) => seconds(age),
        },
        queue: text(node.sight.current(now).map(|status| short(status.queue))),
        commit: text(node.sight.current(now).map(|status| percentile(status.write_p99_us))),
        trend,
        memory: text(status.map(|status| format!("{}M", status.rss_bytes >> 20))),
        pid: match (&node.process.observed, status) {
            (Observed::Foreign, Some(status)) => status.pid.to_string(),
            _ => pid(&node.process),
        },
        state,
        is_bad,
    }
}

/// A 99th percentile; a dash if there was nothing to measure lately.
#[must_use]
pub fn percentile(us: u64) -> String {
    if us == 0 { "-".to_owned() } else { micros(us) }
}

/// Writes a second over the last minute, with a scale that all nodes share.
fn trend(state: &State, node: &Node, now: Duration) -> (Vec<Option<u64>>, u64) {
    let end = End::of(state.nodes.iter().map(|node| &node.past), Range::Minute, now);
    let cells = |node: &Node| node.past.cells(Range::Minute, Measure::Writes, end, TREND_CELLS);
    let greatest = state.nodes.iter().flat_map(cells).flatten().max().unwrap_or(0);
    (cells(node), greatest)
}

/// What a node is.
#[must_use]
pub fn node_face(state: &State, node: &Node, now: Duration) -> Face {
    if !node.process.lives() {
        return match &node.process.observed {
            Observed::Unborn => Face::Unknown,
            _ if node.process.failure().is_some() => Face::Failed,
            _ => Face::Down,
        };
    }
    if node.process.desired == Desired::Paused {
        return Face::Paused;
    }
    match node.sight.current(now).map(|status| status.role) {
        None => Face::Unknown,
        Some(_) if state.faults.is_cut_off(node.member.index(), state.nodes.len()) => Face::Cut,
        Some(NodeRole::Leader) => Face::Leader,
        Some(NodeRole::Follower) => Face::Follower,
        Some(NodeRole::Observer) => Face::Observer,
        Some(NodeRole::Looking) => Face::Looking,
        Some(NodeRole::Syncing) => Face::Syncing,
    }
}

/// Why nobody can answer for a node, in a word or two; none if its process lives.
#[must_use]
pub fn node_absence(node: &Node) -> Option<String> {
    match &node.process.observed {
        _ if node.process.failure().is_some() => Some(format!("{} failed", node.member)),
        Observed::Exited(..) | Observed::Failed(_) => Some(format!("{} is down", node.member)),
        Observed::Foreign | Observed::Unborn | Observed::Starting(_) | Observed::Running(_) | Observed::Stopping(_) => {
            None
        }
    }
}

fn node_words(state: &State, node: &Node, now: Duration) -> (String, bool) {
    if let Some(words) = process_words(state, node.member, now) {
        return words;
    }
    match node.sight.freshness(now) {
        Freshness::Never if node.process.observed == Observed::Foreign => match &node.sight.silence {
            Some(reason) if node.line.is_none() => (reason.clone(), false),
            Some(reason) => (format!("no answer: {reason}"), true),
            None => ("connecting".into(), false),
        },
        Freshness::Never => ("starting".into(), false),
        Freshness::Stale(age) => (format!("no answer {}", seconds(age)), true),
        Freshness::Late | Freshness::Fresh => {
            let status = node.sight.status.as_deref();
            if status.is_some_and(|status| status.disk_full) {
                ("disk full".into(), true)
            } else if let Some(words) = state.faults.words_of(node.member.index(), now) {
                (words, true)
            } else if let Some(fault) = status.and_then(|status| status.faults.first()) {
                (fault.clone(), true)
            } else {
                let word = match status.map(|status| status.role) {
                    Some(NodeRole::Looking) => "no leader",
                    Some(NodeRole::Syncing) => "catches up",
                    _ => "ok",
                };
                (word.into(), word != "ok")
            }
        }
    }
}

/// The faults, those that last first, each as a line and whether it lasts.
#[must_use]
pub fn fault_lines(state: &State, now: Duration) -> Vec<(String, bool)> {
    let active = state
        .faults
        .active()
        .iter()
        .rev()
        .map(|lease| (format!("{:>3}  {}  {}", lease.id, lease.trouble.words(), lease.left(now)), true));
    let past = state.faults.past().map(|(lease, ended)| {
        let times = format!("{} to {}", clock(lease.since), clock(*ended));
        (format!("{:>3}  {}  {times}", lease.id, lease.trouble.words()), false)
    });
    active.chain(past).collect()
}

/// What is with a process, unless it simply runs; and whether it deserves attention.
#[must_use]
pub fn process_words(state: &State, member: Member, now: Duration) -> Option<(String, bool)> {
    let process = state.process(member)?;
    if let Some(Failure::NotStarted(words) | Failure::Ended(_, Some(words))) = process.failure() {
        return Some((without_folder(words).to_owned(), true));
    }
    match &process.observed {
        Observed::Unborn | Observed::Failed(_) => Some(("starting".into(), false)),
        Observed::Exited(exit, asked) => Some((exit_words(*exit, *asked), true)),
        Observed::Stopping(_) => Some(("stopping (you)".into(), false)),
        Observed::Starting(_) | Observed::Running(_) if process.desired == Desired::Paused => {
            let words = match state.faults.pause_of(member) {
                Some(lease) => format!("paused -{} (you)", lease.left(now)),
                None => format!("paused +{} (you)", seconds(now.saturating_sub(process.desired_since))),
            };
            Some((words, true))
        }
        Observed::Starting(_) => Some(("starting".into(), false)),
        Observed::Running(_) | Observed::Foreign => None,
    }
}

/// A complaint about a file without the file's folders: there is little room beside the numbers.
fn without_folder(words: &str) -> &str {
    let end = words.find(' ').unwrap_or(words.len());
    match words[..end].rfind('/') {
        Some(slash) if words.starts_with('/') => &words[slash + 1..],
        _ => words,
    }
}

/// How a process ended, and by whose doing: one that did not heed a polite stop in time was killed.
pub(super) fn exit_words(exit: Exit, asked: Asked) -> String {
    match (asked, exit) {
        (Asked::Nothing, Exit::Code(101)) => "exit 101 panic!".into(),
        (Asked::Nothing, exit) => format!("{exit} (not you)"),
        (Asked::KillAfterGrace, exit) => format!("{exit} (you, forced)"),
        (_, exit) => format!("{exit} (you)"),
    }
}

/// What a broker is.
#[must_use]
pub fn broker_face(process: &Process) -> Face {
    match process.observed {
        Observed::Exited(..) | Observed::Failed(_) if process.failure().is_some() => Face::Failed,
        Observed::Exited(..) | Observed::Failed(_) => Face::Down,
        _ if process.desired == Desired::Paused => Face::Paused,
        Observed::Running(_) | Observed::Foreign => Face::Up,
        Observed::Unborn | Observed::Starting(_) | Observed::Stopping(_) => Face::Unknown,
    }
}

/// A process's pid, or how it ended.
#[must_use]
pub fn pid(process: &Process) -> String {
    match (process.pid(), &process.observed) {
        (Some(pid), _) => pid.to_string(),
        (None, Observed::Exited(Exit::Code(code), _)) => format!("x{code}"),
        (None, Observed::Exited(Exit::Signal(signal), _)) => format!("x{}", 128 + signal),
        (None, _) => "-".into(),
    }
}

/// The next time at which the screen changes though nothing happens: an age ticks over, a toast goes.
#[must_use]
pub fn next_change(state: &State, now: Duration) -> Option<Duration> {
    let toast = state.toast.as_ref().and_then(|toast| toast.until);
    let tick = |since: Duration| since + Duration::from_secs(now.saturating_sub(since).as_secs() + 1);
    let paused = state.members().filter_map(|member| {
        let process = state.process(member)?;
        (process.desired == Desired::Paused && process.pid().is_some()).then(|| tick(process.desired_since))
    });
    let ages = state.nodes.iter().filter(|node| node.process.can_work()).filter_map(|node| {
        let heard = node.sight.heard?;
        Some(match node.sight.freshness(now) {
            Freshness::Fresh => heard + LATE_AFTER,
            Freshness::Late => heard + STALE_AFTER,
            Freshness::Stale(_) | Freshness::Never => tick(heard),
        })
    });
    let flow = state.flow.change_at();
    let faults = faults::next_change(state, now);
    let chord = state.chord.map(|chord| chord.since + super::chord::STRIP_AFTER);
    // It divides the minutes in which the time since the start is told.
    let growth = timeline::next_growth(now);
    let step = scenario::step_since(state).map(tick);
    let brokers = broker::next_changes(state);
    let fired = state.fired.ends();
    paused
        .chain(ages)
        .chain(flow)
        .chain(faults)
        .chain(step)
        .chain(brokers)
        .chain(fired)
        .chain(toast)
        .chain(chord)
        .filter(|at| *at > now)
        .min()
        .or(Some(growth))
        .map(|at| at.min(growth))
}

/// A value, or a dash if it is not known.
#[must_use]
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A number in at most five characters.
#[must_use]
pub fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        1_000_000..1_000_000_000 => format!("{}M", number / 1_000_000),
        _ => format!("{}G", number / 1_000_000_000),
    }
}

/// Whole seconds, or minutes and hours.
#[must_use]
pub fn seconds(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

/// Microseconds as a person reads them.
#[must_use]
pub fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..100_000 => format!("{}.{}ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}ms", micros / 1_000),
    }
}

/// A count of bytes as a person reads it.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// Since the start, as `mm:ss.t` or `h:mm:ss`.
#[must_use]
pub fn clock(at: Duration) -> String {
    let seconds = at.as_secs();
    if seconds < 3_600 {
        format!("{:02}:{:02}.{}", seconds / 60, seconds % 60, at.subsec_millis() / 100)
    } else {
        format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

/// Text that can be shown: what would steer the terminal or reorder the line is written as an escape.
#[must_use]
pub fn printable(bytes: &[u8], max: usize) -> String {
    use std::fmt::Write;
    let mut shown = String::new();
    for chunk in bytes[..bytes.len().min(max)].utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                character if is_unsafe(character) => {
                    let _ = write!(shown, "{}", character.escape_unicode());
                }
                character => shown.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    if bytes.len() > max {
        let _ = write!(shown, " ... {} bytes", bytes.len());
    }
    shown
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\n\xff", 100), "a\\u{1b}[2Jb\\n\\xff");
        assert_eq!(printable("x\u{202e}y日".as_bytes(), 100), "x\\u{202e}y日");
        assert_eq!(printable(&[b'x'; 1_000], 3), "xxx ... 1000 bytes");
    }

    #[test]
    fn a_complaint_about_a_file_loses_only_its_folders() {
        assert_eq!(without_folder("/a b is odd"), "a b is odd");
        assert_eq!(without_folder("/data/n1/01.wal: damaged at /x"), "01.wal: damaged at /x");
        assert_eq!(without_folder("cannot read /data/n1"), "cannot read /data/n1");
        assert_eq!(without_folder(""), "");
    }

    #[test]
    fn numbers_stay_short() {
        assert_eq!([9_999, 10_000, 1_042_000, u64::MAX].map(short), ["9999", "10k", "1M", "18446744073G"]);
        assert_eq!([999, 7_250, 250_000].map(micros), ["999us", "7.2ms", "250ms"]);
        assert_eq!(clock(Duration::from_millis(61_250)), "01:01.2");
        assert_eq!(seconds(Duration::from_secs(119)), "119s");
    }
}
