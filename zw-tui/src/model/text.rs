//! The texts that lie over the panes: each is a list of lines, made anew from the state whenever it is drawn.

use super::about;
use super::events::Level;
use super::page::{self, Line};
use super::select::fault_lines;
use super::verdict::judge;
use super::{State, diff, jobs, load, scenario, sessions};
use crate::action::table::{Id, enabled};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextPage {
    /// Why the verdict is what it is.
    Why,
    /// The faults that last and those that ended.
    Faults,
    /// All that is known of the selected child.
    Describe,
    /// What the console is and where it keeps things.
    Info,
    /// The load, and what it has come to.
    Load,
    /// The steps of a scenario.
    Scenario,
    /// What differs between two nodes' trees.
    Diff,
    /// The sessions of the ensemble.
    Sessions,
    /// What the console did.
    Jobs,
}

impl TextPage {
    const ALL: [TextPage; 9] = [
        TextPage::Info,
        TextPage::Why,
        TextPage::Faults,
        TextPage::Describe,
        TextPage::Diff,
        TextPage::Sessions,
        TextPage::Load,
        TextPage::Scenario,
        TextPage::Jobs,
    ];

    /// The action that opens it, and closes it again.
    #[must_use]
    pub fn opened_by(self) -> Id {
        match self {
            TextPage::Why => Id::Why,
            TextPage::Faults => Id::Faults,
            TextPage::Describe => Id::Describe,
            TextPage::Info => Id::Info,
            TextPage::Load => Id::LoadPage,
            TextPage::Scenario => Id::ScenarioPage,
            TextPage::Diff => Id::Diff,
            TextPage::Sessions => Id::Sessions,
            TextPage::Jobs => Id::Jobs,
        }
    }

    /// The text that an action opens.
    #[must_use]
    pub fn of(id: Id) -> Option<TextPage> {
        TextPage::ALL.into_iter().find(|page| page.opened_by() == id)
    }

    /// Its title.
    #[must_use]
    pub fn title(self, state: &State, now: Duration) -> String {
        match self {
            TextPage::Why => format!("Why {}", judge(state, now).word.text()),
            TextPage::Faults => format!("Faults: {}", state.faults.active().len()),
            TextPage::Info => "The console".to_owned(),
            TextPage::Load => "Load".into(),
            TextPage::Scenario => scenario::title(state),
            TextPage::Diff => state.diff.as_ref().map_or_else(String::new, diff::title),
            TextPage::Sessions => sessions::title(state),
            TextPage::Jobs => jobs::title(state),
            TextPage::Describe => page::title(state),
        }
    }

    /// Keys that do something in it now, beside those of every text.
    #[must_use]
    pub fn keys(self, state: &State) -> String {
        let keys: &[(Id, &str)] = match self {
            TextPage::Load => &[(Id::Load, "B begins or ends  ")],
            TextPage::Scenario => &[(Id::Scenarios, "X ends it, or shows all  ")],
            TextPage::Faults => &[(Id::Heal, "H heals all  "), (Id::Undo, "U the newest  ")],
            TextPage::Jobs => &[(Id::Filter, "/ searches  ")],
            TextPage::Why | TextPage::Describe | TextPage::Diff | TextPage::Sessions | TextPage::Info => &[],
        };
        keys.iter().filter(|(id, _)| enabled(*id, state).is_ok()).map(|(_, words)| *words).collect()
    }

    /// Its lines, with how much attention they deserve; never none.
    #[must_use]
    pub fn lines(self, state: &State, now: Duration) -> Vec<Line> {
        // Nobody is asked to do what cannot be done here.
        let invite = |id: Id, words: &'static str| if enabled(id, state).is_ok() { words } else { "None yet." };
        let (lines, else_said) = match self {
            TextPage::Why => {
                let reasons = judge(state, now).reasons.into_iter();
                let lines = reasons.map(|reason| (format!("- {reason}"), Level::Info)).collect();
                (lines, "All members serve, all processes run.")
            }
            TextPage::Faults => {
                let level = |lasts| if lasts { Level::Warning } else { Level::Info };
                let lines = fault_lines(state, now).into_iter().map(|(line, lasts)| (line, level(lasts))).collect();
                (lines, invite(Id::Slow, "None yet. C cuts the selected node off, L makes links slow."))
            }
            TextPage::Diff => {
                let lines = state.diff.as_ref().map(diff::lines).unwrap_or_default();
                (lines, invite(Id::Diff, "Nothing was compared yet: = compares."))
            }
            TextPage::Sessions => (sessions::lines(state, now), "No node was asked yet."),
            TextPage::Jobs => (jobs::lines(state, now), "Nothing was done yet."),
            TextPage::Describe => (page::lines(state, now), "Nothing is selected."),
            TextPage::Info => (about::lines(state), "Nothing is known."),
            TextPage::Load => {
                (load::lines(state), invite(Id::Load, "None yet. B begins one; :load 200/s 60s random says which."))
            }
            TextPage::Scenario => (scenario::lines(state, now), invite(Id::Scenarios, "None yet. X chooses one.")),
        };
        if lines.is_empty() { vec![(else_said.to_owned(), Level::Info)] } else { lines }
    }
}
