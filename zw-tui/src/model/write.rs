//! A write: what is ordered, the same as a line of `zw`, and what became of it.

use super::State;
use super::acts::say;
use super::events::{Event, Level, Source, Story};
use super::jobs::{Of, Outcome};
use super::message::{Effect, WriteFailure, Written};
use super::overlay::Overlay;
use super::select::micros;
use super::update::note;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most writes of one order: they hold up the node's other writes of this console.
pub const COUNT_MAX: u32 = 1_000;
/// How much of a value stands in a line of `zw`.
const DATA_SHOWN: usize = 60;

/// What a write does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Sets the data; makes the znode if there is none.
    #[default]
    Put,
    /// Makes the znode.
    Create,
    /// Sets the data of a znode that is there.
    Set,
    /// Makes a znode with a number of its parent's appended to its name.
    Sequence,
    /// Makes a znode that goes with the console's session.
    Ephemeral,
    /// Both.
    EphemeralSequence,
    /// Makes a znode that goes some time after its last child.
    Container,
}

impl Mode {
    /// In the order of the composer.
    pub const ALL: [Mode; 7] =
        [Mode::Put, Mode::Create, Mode::Set, Mode::Sequence, Mode::Ephemeral, Mode::EphemeralSequence, Mode::Container];

    /// For the composer.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Mode::Put => "create or set",
            Mode::Create => "create",
            Mode::Set => "set",
            Mode::Sequence => "sequence",
            Mode::Ephemeral => "ephemeral",
            Mode::EphemeralSequence => "ephemeral sequence",
            Mode::Container => "container",
        }
    }

    /// What it means.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Mode::Put => "sets the data; makes the znode if there is none",
            Mode::Create => "makes the znode",
            Mode::Set => "sets the data of a znode that is there",
            Mode::Sequence => "makes a znode with the parent's next number at the end of its name",
            Mode::Ephemeral => "makes a znode that goes when the console does, with its session",
            Mode::EphemeralSequence => "numbered by its parent, and goes when the console does",
            Mode::Container => "makes a znode that goes some time after its last child",
        }
    }

    /// Its flags on the command line.
    #[must_use]
    pub fn flags(self) -> &'static str {
        match self {
            Mode::Put => "",
            Mode::Create => "--create ",
            Mode::Set => "--set ",
            Mode::Sequence => "--sequence ",
            Mode::Ephemeral => "--ephemeral ",
            Mode::EphemeralSequence => "--ephemeral --sequence ",
            Mode::Container => "--container ",
        }
    }

    /// Whether it appends a number.
    #[must_use]
    pub fn is_numbered(self) -> bool {
        matches!(self, Mode::Sequence | Mode::EphemeralSequence)
    }

    /// Whether the same can be done again at the same path.
    fn can_repeat(self) -> bool {
        self.is_numbered() || matches!(self, Mode::Put | Mode::Set)
    }
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOrder {
    /// Through which node, from 0.
    pub node: usize,
    /// The znode.
    pub path: String,
    /// Its data.
    pub data: Bytes,
    /// How.
    pub mode: Mode,
    /// How often.
    pub count: u32,
    /// The file that the data is read from, when it is written; none if it is `data`.
    pub file: Option<String>,
    /// The version that the znode must still have to be set; none if any will do.
    #[serde(default)]
    pub version: Option<i32>,
}

impl WriteOrder {
    /// The plain one: sets the data, or makes the znode.
    #[must_use]
    pub fn put(node: usize, path: impl Into<String>, data: impl Into<Bytes>) -> WriteOrder {
        WriteOrder { node, path: path.into(), data: data.into(), mode: Mode::Put, count: 1, file: None, version: None }
    }

    /// Refuses what no node would take, with the reason.
    ///
    /// # Errors
    /// The reason, for a person.
    pub fn check(&self) -> Result<(), String> {
        if !self.path.starts_with('/') {
            return Err("a path begins with /, for example /goals/7".into());
        }
        // A name may be all number.
        let suffix = if self.mode.is_numbered() { "0" } else { "" };
        zw_core::tree::path::validate(&format!("{}{suffix}", self.path)).map_err(|error| error.to_string())?;
        match self.count {
            0 => Err("a count is at least 1".into()),
            1 => Ok(()),
            2..=COUNT_MAX if self.version.is_some() => {
                Err("what needs a version is done once: the first write makes another".into())
            }
            2..=COUNT_MAX if self.mode.can_repeat() => Ok(()),
            2..=COUNT_MAX => Err(format!("{} is done once; with a count, take sequence or set", self.mode.words())),
            _ => Err(format!("a count is at most {COUNT_MAX}; zw load writes more")),
        }
    }

    /// The same as a line of `zw`; where no verb of it does the same, as a line of the console; where that would do something
    /// else, as words.
    #[must_use]
    pub fn line(&self, state: &State) -> String {
        let node = state.nodes.get(self.node);
        let servers = node.map_or_else(String::new, |node| format!(" --servers {}", node.address));
        let path = quoted(&self.path);
        let verb = match self.mode {
            _ if self.count > 1 || self.file.is_some() => None,
            Mode::Create => Some("create"),
            Mode::Set => Some("set"),
            Mode::Sequence => Some("create -s"),
            Mode::Ephemeral => Some("create -e"),
            Mode::EphemeralSequence => Some("create -e -s"),
            Mode::Put | Mode::Container => None,
        };
        let text = if self.file.is_some() { Some("") } else { as_line(&self.data) };
        match (verb, text) {
            (_, None) => format!("({} {path}: {} bytes that fit no line)", self.mode.words(), self.data.len()),
            (None, _) if self.path.contains(char::is_whitespace) => {
                format!("({} {path}: the path fits no line)", self.mode.words())
            }
            (Some(verb), Some(text)) => {
                let version = self.version.map_or_else(String::new, |version| format!(" --version {version}"));
                format!("zw {verb} {path} {}{version}{servers}", quoted(text))
            }
            (None, Some(text)) => {
                let count = if self.count > 1 { format!("--count {} ", self.count) } else { String::new() };
                let via = node.map_or_else(String::new, |node| format!("{} ", node.member));
                let data = match &self.file {
                    Some(file) => format!("@{file}"),
                    // As the command line wants it, where an @ begins the name of a file.
                    None => format!("{}{text}", if text.starts_with('@') { "@" } else { "" }),
                };
                format!(":write {}{count}{via}{} {data}", self.mode.flags(), self.path)
            }
        }
    }
}

/// As one word for a shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "/_-.:,@%+=".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The data, if it can stand in a line.
fn as_line(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|text| text.len() <= DATA_SHOWN && !text.contains(char::is_control))
}

/// Sends it.
pub fn send(state: &mut State, now: Duration, order: WriteOrder) -> Vec<Effect> {
    let via = state.nodes.get(order.node).map_or_else(String::new, |node| format!(" via {}", node.member));
    let count = if order.count > 1 { format!(" {} times", order.count) } else { String::new() };
    let kind = if order.mode == Mode::Put { String::new() } else { format!(" ({})", order.mode.words()) };
    note(state, now, Source::You, Level::Info, format!("write {}{kind}{count}{via}", order.path));
    let line = order.line(state);
    state.begin_job(now, line, Of::Write(order.node, order.path.clone()));
    vec![Effect::Write(order)]
}

/// It ended.
pub fn on_written(
    state: &mut State,
    now: Duration,
    node: usize,
    path: &str,
    result: Result<Written, WriteFailure>,
) -> Vec<Effect> {
    let via = state.nodes.get(node).map_or_else(|| "?".to_owned(), |node| node.member.to_string());
    let waits = match &state.overlay {
        Some(Overlay::Write(form)) => form.is_sent && form.path.text() == path,
        _ => false,
    };
    let about = Of::Write(node, path.to_owned());
    match result {
        Ok(Written { created, version, zxid, took, last, count }) => {
            let verb = if created { "made" } else { "set" };
            let took = micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            let times = if count > 1 { format!("{count} writes, the last: ") } else { String::new() };
            let text = format!("{times}{verb} {last}  v{version}  {zxid} via {via}  {took}");
            let event = Event::new(now, Source::You, Level::Info, text.clone());
            state.events.push(Event { story: Some(Story::Write(zxid)), ..event });
            state.end_job(now, &about, Outcome::Done(format!("{verb} {last}  v{version}  {zxid}")));
            if waits {
                state.overlay = None;
            }
            say(state, now, text, true);
            if state.tree.node == node { state.tree.refresh_now() } else { Vec::new() }
        }
        Err(WriteFailure { reason, may_be_done, done }) => {
            let text = if may_be_done { format!("{reason} (it may be done all the same)") } else { reason };
            let text = if done > 0 { format!("{text}; {done} writes before it were done") } else { text };
            note(state, now, Source::You, Level::Bad, format!("write {path}: {text}"));
            state.end_job(now, &about, Outcome::Refused(text.clone()));
            match &mut state.overlay {
                Some(Overlay::Write(form)) if waits => {
                    let is_kept = form.version().is_some();
                    let advice = if is_kept {
                        "; your text is kept here: mode create or set writes it all the same"
                    } else {
                        ""
                    };
                    (form.is_sent, form.error) = (false, Some(format!("{text}{advice}")));
                }
                _ => say(state, now, format!("write {path}: {text}"), false),
            }
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(mode: Mode, count: u32) -> WriteOrder {
        WriteOrder { mode, count, ..WriteOrder::put(1, "/a b", "it's") }
    }

    #[test]
    fn a_line_can_be_given_to_a_shell() {
        let state = State::new(vec!["h:1".into(), "h:2".into()], Vec::new());
        assert_eq!(order(Mode::Set, 1).line(&state), r"zw set '/a b' 'it'\''s' --servers h:2");
        assert_eq!(order(Mode::EphemeralSequence, 1).line(&state), r"zw create -e -s '/a b' 'it'\''s' --servers h:2");
        let put = WriteOrder::put(1, "/goals", "7");
        assert_eq!(put.line(&state), ":write n2 /goals 7");
        let of_version = WriteOrder { mode: Mode::Set, version: Some(4), ..put.clone() };
        assert_eq!(of_version.line(&state), "zw set /goals 7 --version 4 --servers h:2");
        assert!(WriteOrder { count: 2, ..of_version }.check().unwrap_err().contains("done once"));
        let many = WriteOrder { mode: Mode::Sequence, count: 9, ..put };
        assert_eq!(many.line(&state), ":write --sequence --count 9 n2 /goals 7");
        let binary = WriteOrder { mode: Mode::Set, ..WriteOrder::put(0, "/a", &b"\x1b[2J"[..]) };
        assert_eq!(binary.line(&state), "(set /a: 4 bytes that fit no line)");
    }

    #[test]
    fn a_count_needs_a_mode_that_can_be_repeated() {
        for mode in Mode::ALL {
            let is_once = matches!(mode, Mode::Create | Mode::Ephemeral | Mode::Container);
            assert_eq!(order(mode, 1).check(), Ok(()), "{mode:?}");
            assert_eq!(order(mode, COUNT_MAX).check().is_err(), is_once, "{mode:?}");
            assert!(order(mode, COUNT_MAX + 1).check().is_err() && order(mode, 0).check().is_err());
        }
        let bare = |mode| WriteOrder { mode, ..WriteOrder::put(0, "/queue/", "") };
        assert!(bare(Mode::Sequence).check().is_ok() && bare(Mode::Put).check().is_err(), "all number");
    }
}
