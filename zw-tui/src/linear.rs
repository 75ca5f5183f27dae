//! What is said where there is no screen: nothing of keys, and for what only a screen shows what there is instead.

use crate::action::command::{self, Command};
use crate::action::table::{ACTIONS, Action, Id};
use crate::model::text::TextPage;
use crate::model::{Pane, State, scenario};
use std::fmt::Write;
use std::time::Duration;

/// What the model says of keys, and the same with commands. Longer ones come before those that they contain.
const WORDS: [(&str, &str); 23] = [
    ("  (R revives the selected one, U undoes one by one)", "  (revive starts them again, undo one by one)"),
    ("  (P resumes the selected one, U undoes one by one)", "  (resume lets them go on, undo one by one)"),
    ("  (R revives it, U undoes)", "  (revive starts it again, so does undo)"),
    ("  (P resumes it sooner, U undoes)", "  (resume lets it go on sooner, so does undo)"),
    ("  (P resumes it, U undoes)", "  (resume lets it go on, so does undo)"),
    ("  (U undoes, H heals all)", "  (undo takes it back, heal ends all)"),
    ("R revives or resumes nodes", "revive starts nodes again or lets them go on"),
    ("then R starts a node again", "then revive starts a node again"),
    ("H heals all, U the newest", "heal ends all, undo the newest"),
    ("H heals all of them", "heal ends all of them"),
    ("P resumes it sooner", "resume lets it go on sooner"),
    ("until P resumes it", "until resume lets it go on"),
    ("R revives it", "revive starts it again"),
    ("! says why", "why says more"),
    ("None yet. C cuts the selected node off, L makes links slow.", "None yet. cut n1 and slow n1 80ms make some."),
    ("Nothing was compared yet: = compares.", "Nothing was compared yet: diff n1 n2 compares."),
    ("None yet. B begins one; :load 200/s 60s random says which.", "None yet. load 200/s 60s random begins one."),
    ("None yet. X chooses one.", "None yet. scenario lists them."),
    ("help, or ? outside of this line, shows all", "help shows all"),
    ("; the key W opens a form", ""),
    ("; type to search, Enter runs one", ""),
    ("; W writes a znode", "; write /path data writes a znode"),
    (": = shows the difference", ": diff shows the difference"),
];

/// The same without keys. Only for the console's own sentences: what is in a tree, a log or a name stays as it is.
#[must_use]
pub fn without_keys(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (keys, commands)| text.replace(keys, commands))
}

/// A line of a page, without keys if the console made it of its own words.
#[must_use]
pub fn of_page(page: TextPage, state: &State, line: String) -> String {
    let is_own = match page {
        TextPage::Why | TextPage::Faults | TextPage::Load => true,
        // An invitation, if there is nothing else.
        TextPage::Diff => state.diff.is_none(),
        TextPage::Scenario => scenario::lines(state, Duration::ZERO).is_empty(),
        TextPage::Describe | TextPage::Info | TextPage::Sessions | TextPage::Jobs => false,
    };
    if is_own { without_keys(&line) } else { line }
}

/// What is said to a line that asks for what only a screen can show; none if it can be told in lines, or means nothing.
#[must_use]
pub fn instead(line: &str, state: &State, now: Duration) -> Option<&'static str> {
    // Whether there is such a time does not matter here.
    if matches!(line.split(' ').next(), Some("at" | "record")) {
        return of_action(Id::At);
    }
    match command::parse(line, state, now).ok()? {
        Command::Election(_) => of_action(Id::Election),
        Command::Action(id) => of_action(id),
        _ => None,
    }
}

fn of_action(id: Id) -> Option<&'static str> {
    Some(match id {
        Id::Pane(Pane::Flow) => "the flow of messages is shown on a screen only; events says what happened",
        Id::Pane(Pane::Metrics) | Id::Range | Id::Charts => {
            "metrics are shown on a screen only; nodes has the newest figures, and each node serves http at /metrics"
        }
        Id::Pane(Pane::Replication) => {
            "logs side by side are shown on a screen only; nodes says how far behind each node is"
        }
        Id::Election => "elections are shown on a screen only; events says who was lost and who leads",
        Id::Pane(Pane::Timeline)
        | Id::Freeze
        | Id::Live
        | Id::PreviousMark
        | Id::NextMark
        | Id::StepBack
        | Id::StepOn
        | Id::At
        | Id::Record => "the past is kept by the console with a screen only; events says what happened",
        Id::Edit => "an editor needs a screen; write /path @FILE writes what is in a file",
        Id::Down
        | Id::Up
        | Id::First
        | Id::Last
        | Id::HalfDown
        | Id::HalfUp
        | Id::PageDown
        | Id::PageUp
        | Id::NextPane
        | Id::PreviousPane
        | Id::NextTab
        | Id::PreviousTab
        | Id::LastView
        | Id::Open
        | Id::Unfold
        | Id::Fold
        | Id::Toggle
        | Id::OpenEvent
        | Id::Mark
        | Id::MarkRange
        | Id::Menu => "nothing is selected without a screen; name what you mean: describe n3, kill n1,n2",
        Id::ZoomIn
        | Id::ZoomOut
        | Id::Slower
        | Id::Faster
        | Id::RealTime
        | Id::Filter
        | Id::NextMatch
        | Id::PreviousMatch
        | Id::Follow
        | Id::Chord(_)
        | Id::Yank(_)
        | Id::SortBy(_)
        | Id::Back
        | Id::Mouse
        | Id::Repaint
        | Id::Refresh
        | Id::Dump
        | Id::Theme
        | Id::Motion
        | Id::Command => "that is about a screen, and here is none; help shows what there is",
        _ => return None,
    })
}

/// All that can be typed.
#[must_use]
pub fn help() -> String {
    let mut text = String::new();
    let is_told = |action: &&Action| !action.command.is_empty() && of_action(action.id).is_none();
    for action in ACTIONS.iter().filter(is_told) {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{:<12} {}", action.command, without_keys(action.sentence));
    }
    text.push_str("Members are named: kill n3, describe b1, output leader, pause n1,n2 5s, write /path data n2");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn sources() -> String {
        let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() != "linear.rs" {
                    text.push_str(&std::fs::read_to_string(entry.path()).unwrap());
                }
            }
        }
        // As the compiler joins what is written in several lines.
        text.split("\\\n").map(str::trim_start).collect()
    }

    #[test]
    fn all_that_is_replaced_is_said_somewhere_and_the_rest_stays() {
        let sources = sources();
        for (keys, _) in WORDS {
            assert!(sources.contains(keys), "nobody says {keys:?} any more");
        }
        assert_eq!(
            without_keys("kill n1  (R revives it, U undoes)"),
            "kill n1  (revive starts it again, so does undo)"
        );
        assert_eq!(
            without_keys("n1 is down (exit 137): R revives it"),
            "n1 is down (exit 137): revive starts it again"
        );
        assert_eq!(without_keys("/a made by U undoes"), "/a made by U undoes");
    }

    #[test]
    fn only_what_the_console_says_itself_is_put_in_other_words() {
        let state = State::new(vec!["h:1".into()], Vec::new());
        let said = |page| of_page(page, &state, "R revives it".into());
        assert_eq!(said(TextPage::Why), "revive starts it again");
        for page in [TextPage::Describe, TextPage::Sessions, TextPage::Jobs] {
            assert_eq!(said(page), "R revives it", "{page:?}: it may be anybody's");
        }
    }

    #[test]
    fn the_help_has_only_what_can_be_told_and_no_keys() {
        let help = help();
        for there in ["kill ", "why ", "describe ", "nodes ", "diff ", "write ", "quit "] {
            assert!(help.lines().any(|line| line.starts_with(there)), "{there}");
        }
        for gone in ["zoom", "flow", "timeline", "mouse", "yank", "Enter", "Esc", "Ctrl-"] {
            assert!(!help.contains(gone), "{gone} in\n{help}");
        }
    }
}
