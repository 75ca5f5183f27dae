//! What the person may do here, and what must be asked first.

use crate::action::command::Command;
use crate::action::fault_command::Cure;
use crate::action::table::{Class, Id, by_id};
use crate::model::State;
use crate::model::select::printable;
use crate::model::write::WriteOrder;
use serde::{Deserialize, Serialize};

/// How much of the data of a write is shown in the question.
const DATA_BYTES_SHOWN: usize = 200;
/// How much of a path is shown in its title.
const PATH_BYTES_SHOWN: usize = 120;

/// What the person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Whether the console looks at an ensemble that it did not start.
    pub is_attached: bool,
    /// Whether znodes may be written.
    pub writes: bool,
    /// Whether processes, links and disks may be broken.
    pub faults: bool,
}

/// What an action or a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it only looks.
    Nothing,
    /// Children to send signals to.
    Processes,
    /// Nodes that break their links or disks when asked.
    Faults,
    /// A node that takes writes.
    Writes,
}

impl Permission {
    /// A sandbox of one's own.
    pub const ALL: Permission = Permission { is_attached: false, writes: true, faults: true };
    /// A sandbox to look at.
    pub const READ_ONLY: Permission = Permission { is_attached: false, writes: false, faults: false };

    /// Whether it may be done, or why not.
    ///
    /// # Errors
    /// The reason, with the flag that would allow it.
    pub fn check(self, need: Need) -> Result<(), String> {
        let is_allowed = match need {
            Need::Nothing => true,
            Need::Processes if self.is_attached => {
                return Err("attached: this console did not start the processes, so it does not touch them".into());
            }
            Need::Processes | Need::Faults => self.faults,
            Need::Writes => self.writes,
        };
        match (is_allowed, self.is_attached, need) {
            (true, ..) => Ok(()),
            (false, true, Need::Writes) => Err("read-only: attach with --allow-writes to write".into()),
            (false, true, _) => Err("read-only: attach with --allow-faults to break links and disks".into()),
            (false, false, _) => Err("read-only: start without --read-only to act".into()),
        }
    }

    /// Whether it is asked first, by a dialog that names host and effect.
    #[must_use]
    pub fn asks(self, need: Need) -> bool {
        self.is_attached && need != Need::Nothing
    }

    /// What the title says of it; nothing of a sandbox in which all is allowed.
    #[must_use]
    pub fn words(self) -> Option<&'static str> {
        match (self.writes, self.faults) {
            (false, false) => Some("read-only"),
            (true, false) => Some("WRITES ALLOWED"),
            (false, true) => Some("FAULTS ALLOWED"),
            (true, true) if self.is_attached => Some("WRITES AND FAULTS ALLOWED"),
            (true, true) => None,
        }
    }

    /// Whether a slip of the finger could harm somebody else's ensemble.
    #[must_use]
    pub fn is_dangerous(self) -> bool {
        self.is_attached && (self.writes || self.faults)
    }
}

/// What an action needs.
#[must_use]
pub fn need_of(id: Id) -> Need {
    match id {
        Id::Kill | Id::Stop | Id::Pause | Id::Revive | Id::Scenarios => Need::Processes,
        id => match by_id(id).map(|action| action.class) {
            Some(Class::Fault) => Need::Faults,
            Some(Class::Data) => Need::Writes,
            Some(Class::Look | Class::Leave) | None => Need::Nothing,
        },
    }
}

/// What a command needs.
#[must_use]
pub fn need_of_command(command: &Command) -> Need {
    match command {
        Command::Act(..) | Command::Pause(..) | Command::Scenario(_) => Need::Processes,
        Command::Write(_) | Command::Delete { .. } | Command::Load(_) | Command::Feed(_) => Need::Writes,
        Command::Fault(..) | Command::Heal(_) => Need::Faults,
        Command::Action(id) | Command::On(id, _) => need_of(*id),
        Command::Theme(_)
        | Command::Motion(_)
        | Command::Export(_)
        | Command::Travel(_)
        | Command::Record(_)
        | Command::StopLoad
        | Command::StopScenario
        | Command::Diff(_)
        | Command::Election(_)
        | Command::Break(_) => Need::Nothing,
    }
}

/// Whether an action only begins something that is asked for when it is complete: a form, or a command to be edited.
#[must_use]
pub fn only_begins(id: Id) -> bool {
    matches!(id, Id::Write | Id::Edit | Id::Delete | Id::Slow | Id::Cut)
}

/// What a command would do, in a word or two.
#[must_use]
pub fn title_of(command: &Command) -> String {
    match command {
        Command::Write(order) => format!("Write {}", printable(order.path.as_bytes(), PATH_BYTES_SHOWN)),
        Command::Delete { path, .. } => format!("Delete {}", printable(path.as_bytes(), PATH_BYTES_SHOWN)),
        Command::Fault(trouble, _) => trouble.words(),
        Command::Heal(_) => "heal".into(),
        Command::Load(_) => "load".into(),
        Command::Feed(_) => "feed".into(),
        Command::Action(id) => by_id(*id).map_or("Really?", |action| action.command).to_owned(),
        _ => "Really?".into(),
    }
}

/// What a command would do and to whom, for the dialog.
#[must_use]
pub fn consequence(state: &State, command: &Command) -> Vec<String> {
    let host = |node: usize| {
        let node = state.nodes.get(node);
        node.map_or_else(String::new, |node| format!("{} at {}", node.member, node.address))
    };
    let hosts = |nodes: &[usize]| nodes.iter().map(|node| host(*node)).collect::<Vec<_>>().join(", ");
    let all: Vec<usize> = (0..state.nodes.len()).collect();
    match command {
        Command::Write(WriteOrder { node, path, data, mode, count, file, version }) => {
            let read = file.as_ref().map(|file| format!("what is in {file}"));
            let data = read.unwrap_or_else(|| printable(data, DATA_BYTES_SHOWN));
            let times = if *count > 1 { format!(" {count} times") } else { String::new() };
            let only = version.map_or_else(String::new, |version| format!(", only if still v{version}"));
            let how = format!("({}{only}) through {}", mode.words(), host(*node));
            vec![format!("Writes to {path}{times}: {data}"), how]
        }
        Command::Delete { node, path, .. } => vec![format!("Deletes {path}"), format!("through {}", host(*node))],
        Command::Fault(trouble, lasts) => {
            let time =
                lasts.map_or_else(|| "until it is healed".to_owned(), |time| format!("for {} s", time.as_secs()));
            vec![format!("{} {time}", trouble.words()), format!("on {}", hosts(&trouble.nodes()))]
        }
        Command::Load(_) => {
            vec!["Writes and reads as fast as the load says".into(), format!("through {}", hosts(&all))]
        }
        Command::Feed(_) => vec!["Sends events to the brokers".into()],
        Command::Heal(Cure::All) | Command::Action(Id::Heal) => vec!["Ends all faults of this console".into()],
        Command::Heal(_) => vec!["Ends faults of this console".into()],
        Command::Action(Id::Undo) => vec!["Ends the newest fault of this console".into()],
        Command::Action(id) => vec![by_id(*id).map_or_else(String::new, |action| action.sentence.to_owned())],
        Command::Act(..)
        | Command::On(..)
        | Command::Pause(..)
        | Command::Export(_)
        | Command::Theme(_)
        | Command::Motion(_)
        | Command::Travel(_)
        | Command::Record(_)
        | Command::Scenario(_)
        | Command::StopLoad
        | Command::StopScenario
        | Command::Diff(_)
        | Command::Election(_)
        | Command::Break(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::table::ACTIONS;

    #[test]
    fn whatever_acts_needs_something_and_what_looks_does_not() {
        for action in ACTIONS {
            let acts = matches!(action.class, Class::Fault | Class::Data);
            assert_eq!(need_of(action.id) != Need::Nothing, acts, "{:?}", action.id);
        }
    }

    #[test]
    fn an_attached_console_refuses_with_the_flag_that_would_allow_it() {
        let attached = |writes, faults| Permission { is_attached: true, writes, faults };
        for (permission, need, words) in [
            (attached(false, false), Need::Writes, "--allow-writes"),
            (attached(true, false), Need::Faults, "--allow-faults"),
            (attached(true, true), Need::Processes, "did not start"),
            (Permission::READ_ONLY, Need::Processes, "--read-only"),
        ] {
            assert!(permission.check(need).unwrap_err().contains(words), "{permission:?}");
        }
        assert_eq!(attached(true, false).check(Need::Writes), Ok(()));
        assert!(attached(true, false).asks(Need::Writes) && !Permission::ALL.asks(Need::Writes));
        for permission in [attached(true, true), Permission::ALL, Permission::READ_ONLY] {
            assert_eq!(permission.check(Need::Nothing), Ok(()));
            assert!(!permission.asks(Need::Nothing));
        }
    }
}
