//! The table of all actions, as data.
//!
//! The grammar: lower case looks, upper case acts. No lower-case key, digit, arrow, Enter on a list or Esc ever changes
//! the ensemble; a test keeps it so.

pub use super::enabled::{enabled, hints, pause_or_resume, takes_all_keys, types_line};
use crate::key::{Code, Key};
use crate::model::Pane;
use crate::model::sort::SortBy;
use crate::model::yank::Yank;
use serde::{Deserialize, Serialize};

/// An action.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Which.
    pub id: Id,
    /// Its keys; the first is shown. None for what has a command only.
    pub keys: &'static [Key],
    /// Where the keys work.
    pub scope: Scope,
    /// What it can change.
    pub class: Class,
    /// One or two words, for the hints; empty for those that are not hinted.
    pub hint: &'static str,
    /// What it does, as a sentence.
    pub sentence: &'static str,
    /// The same on the command line, after the colon.
    pub command: &'static str,
}

/// Where an action's keys work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every pane.
    Everywhere,
    /// In this pane, before what works everywhere.
    In(Pane),
    /// After this key.
    After(char),
}

/// What an action can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Only what is shown.
    Look,
    /// Processes of the local ensemble.
    Fault,
    /// Znodes.
    Data,
    /// It ends or stops the console.
    Leave,
}

/// The actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the table has a sentence for each")]
pub enum Id {
    Help,
    Command,
    Menu,
    Why,
    Faults,
    Describe,
    Output,
    Election,
    Slower,
    Faster,
    RealTime,
    Pane(Pane),
    NextTab,
    PreviousTab,
    LastView,
    ZoomIn,
    ZoomOut,
    Diff,
    Sessions,
    Jobs,
    Range,
    Charts,
    NextPane,
    PreviousPane,
    Down,
    Up,
    First,
    Last,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    Open,
    Unfold,
    Fold,
    Toggle,
    Refresh,
    Filter,
    NextMatch,
    PreviousMatch,
    Follow,
    OpenEvent,
    Mark,
    MarkRange,
    Chord(char),
    Yank(Yank),
    SortBy(SortBy),
    Back,
    Mouse,
    Repaint,
    Freeze,
    Live,
    PreviousMark,
    NextMark,
    StepBack,
    StepOn,
    At,
    Record,
    Kill,
    Stop,
    Pause,
    Revive,
    Cut,
    Slow,
    Heal,
    Undo,
    Write,
    Edit,
    Delete,
    Info,
    Theme,
    Motion,
    Dump,
    Export,
    Load,
    LoadPage,
    Scenarios,
    ScenarioPage,
    Suspend,
    Quit,
    Detach,
    Leave,
}

const fn key(character: char) -> Key {
    Key::char(character)
}

const fn named(code: Code) -> Key {
    Key::plain(code)
}

const fn look(
    id: Id,
    keys: &'static [Key],
    hint: &'static str,
    sentence: &'static str,
    command: &'static str,
) -> Action {
    Action { id, keys, scope: Scope::Everywhere, class: Class::Look, hint, sentence, command }
}

const fn act(
    id: Id,
    class: Class,
    keys: &'static [Key],
    hint: &'static str,
    sentence: &'static str,
    command: &'static str,
) -> Action {
    Action { id, keys, scope: Scope::Everywhere, class, hint, sentence, command }
}

const fn after(first: char, action: Action) -> Action {
    Action { scope: Scope::After(first), ..action }
}

const fn in_pane(pane: Pane, action: Action) -> Action {
    Action { scope: Scope::In(pane), ..action }
}

/// All actions, in the order of the hints and the help.
pub const ACTIONS: &[Action] = &[
    look(
        Id::Help,
        &[key('?'), named(Code::Function(1)), Key::ctrl('p')],
        "help",
        "Show all actions; type to search, Enter runs one",
        "help",
    ),
    look(Id::Command, &[key(':')], "cmd", "Type a command", ""),
    look(Id::Live, &[key('.')], "now", "Go back to now from the past or a frozen display", "live"),
    act(
        Id::Kill,
        Class::Fault,
        &[key('K')],
        "kill",
        "Kill the selected process with SIGKILL, or the marked ones",
        "kill",
    ),
    act(Id::Stop, Class::Fault, &[key('T')], "stop", "Stop the selected process with SIGTERM", "stop"),
    act(
        Id::Pause,
        Class::Fault,
        &[key('P')],
        "pause",
        "Pause the selected process with SIGSTOP for 30 s, or let it go on",
        "pause",
    ),
    act(Id::Revive, Class::Fault, &[key('R')], "revive", "Start the selected process again, or let it go on", "revive"),
    act(
        Id::Cut,
        Class::Fault,
        &[key('C')],
        "cut",
        "Cut the selected node off from the others for 30 s, or the marked from the rest",
        "cut",
    ),
    act(
        Id::Slow,
        Class::Fault,
        &[key('L')],
        "slow",
        "Make links slow or lossy, or a disk slow: begins a command",
        "slow",
    ),
    act(Id::Heal, Class::Fault, &[key('H')], "heal", "End all faults of links and disks, and timed pauses", "heal"),
    act(Id::Undo, Class::Fault, &[key('U')], "undo", "Undo the newest kill, stop, pause or fault", "undo"),
    act(
        Id::Write,
        Class::Data,
        &[key('W')],
        "write",
        "Write a znode through the selected node: make it, or set its data",
        "write",
    ),
    in_pane(
        Pane::Tree,
        act(
            Id::Edit,
            Class::Data,
            &[key('E')],
            "edit",
            "Take the selected znode's data into $VISUAL or $EDITOR, then the form",
            "edit",
        ),
    ),
    in_pane(
        Pane::Tree,
        act(
            Id::Delete,
            Class::Data,
            &[key('D')],
            "delete",
            "Delete the selected znode and all below it; asks first",
            "delete",
        ),
    ),
    act(
        Id::Load,
        Class::Data,
        &[key('B')],
        "load",
        "Begin the load that was asked for last, checked as it runs; or end it",
        "load",
    ),
    act(
        Id::Scenarios,
        Class::Data,
        &[key('X')],
        "scenarios",
        "Choose a scenario to run, with what it proved",
        "scenario",
    ),
    act(Id::Quit, Class::Leave, &[key('q')], "quit", "Close what lies on top; at the top, stop all and leave", "quit"),
    act(
        Id::Detach,
        Class::Leave,
        &[key('Q')],
        "detach",
        "Leave; the ensemble runs on, without faults, loads and pauses",
        "detach",
    ),
    look(Id::Why, &[key('!')], "why", "Explain the verdict: what is wrong and what to do", "why"),
    look(Id::Faults, &[], "", "Show the faults that last and those that ended", "faults"),
    look(Id::LoadPage, &[key('b')], "", "Show the load: figures, verdict, the run before", "loads"),
    look(Id::ScenarioPage, &[key('x')], "", "Show the steps of the scenario that runs or ran last", "steps"),
    look(Id::Describe, &[key('d')], "describe", "Show all that is known of the selected process, or znode", "describe"),
    look(Id::Output, &[key('o')], "output", "Show what the selected process printed", "output"),
    look(Id::Diff, &[key('=')], "diff", "Show the znodes that differ between the selected node and the leader", "diff"),
    look(Id::Jobs, &[key('@')], "", "Show what the console did, how it ended, and the line that does it again", "jobs"),
    look(Id::Sessions, &[], "", "Show the sessions, their ephemeral znodes, and the watches of each node", "sessions"),
    look(Id::Election, &[key('e')], "election", "Show how the leader was elected, vote by vote", "election"),
    look(Id::Pane(Pane::Nodes), &[key('1')], "", "Go to the nodes", "nodes"),
    look(Id::Pane(Pane::Brokers), &[key('2')], "", "Go to the brokers", "brokers"),
    look(Id::Pane(Pane::Flow), &[key('3')], "", "Go to the flow of messages", "flow"),
    look(Id::Pane(Pane::Tree), &[key('4')], "", "Go to the tree of the selected node", "tree"),
    look(Id::Pane(Pane::Metrics), &[key('5')], "", "Go to the metrics", "metrics"),
    look(Id::Pane(Pane::Replication), &[key('6')], "", "Go to the logs side by side", "repl"),
    look(Id::Pane(Pane::Events), &[key('7')], "", "Go to the events", "events"),
    look(Id::Pane(Pane::Timeline), &[key('8')], "", "Go to the timeline", "timeline"),
    look(Id::NextTab, &[key(']')], "", "Go to the next view below the nodes", "nexttab"),
    look(Id::PreviousTab, &[key('[')], "", "Go to the previous view below the nodes", "previoustab"),
    look(Id::LastView, &[key('-')], "", "Go back to the pane before", "lastview"),
    look(Id::ZoomIn, &[key('+')], "zoom", "Give the pane the whole screen", "zoom"),
    look(Id::ZoomOut, &[key('_')], "", "Show all panes again", "unzoom"),
    look(Id::Freeze, &[key('p')], "freeze", "Let the display stand still, or go on; all is recorded", "freeze"),
    look(Id::PreviousMark, &[key('{')], "", "Go back in time to the mark before", "previousmark"),
    look(Id::NextMark, &[key('}')], "", "Go on in time to the next mark", "nextmark"),
    in_pane(
        Pane::Timeline,
        look(
            Id::StepBack,
            &[named(Code::Left), key('h')],
            "1 s back",
            "Go back in time by a second; Up by ten",
            "earlier",
        ),
    ),
    in_pane(
        Pane::Timeline,
        look(Id::StepOn, &[named(Code::Right), key('l')], "1 s on", "Go on in time by a second; Down by ten", "later"),
    ),
    look(Id::At, &[], "", "Go to a time: at 12:41 since the start, at -30s, at clock 10:39:51 (UTC)", "at"),
    look(Id::Record, &[], "", "Write all that happens to a file: record on [FILE], record off", "record"),
    look(Id::Range, &[key('t')], "", "Change how far back the metrics go: 60 s, 10 min, 1 h", "range"),
    in_pane(
        Pane::Metrics,
        look(Id::Charts, &[named(Code::Enter)], "charts", "Show a chart of each metric, or all panes again", "charts"),
    ),
    look(Id::NextPane, &[named(Code::Tab)], "pane", "Go to the next pane", "next"),
    look(Id::PreviousPane, &[named(Code::BackTab)], "", "Go to the previous pane", "previous"),
    look(Id::Down, &[key('j'), named(Code::Down)], "", "Move down", "down"),
    look(Id::Up, &[key('k'), named(Code::Up)], "", "Move up", "up"),
    look(Id::First, &[key('g'), named(Code::Home)], "", "Go to the first line", "first"),
    look(Id::Last, &[key('G'), named(Code::End)], "", "Go to the last line; in the events, follow", "last"),
    look(Id::HalfDown, &[Key::ctrl('d')], "", "Move down half a page", "halfdown"),
    look(Id::HalfUp, &[Key::ctrl('u')], "", "Move up half a page", "halfup"),
    look(Id::PageDown, &[named(Code::PageDown), Key::ctrl('f')], "", "Move down a page", "pagedown"),
    look(Id::PageUp, &[named(Code::PageUp), Key::ctrl('b')], "", "Move up a page", "pageup"),
    in_pane(Pane::Nodes, look(Id::Open, &[named(Code::Enter)], "tree", "Show the tree of the selected node", "open")),
    in_pane(Pane::Tree, look(Id::Toggle, &[named(Code::Enter)], "open", "Open or close the znode", "toggle")),
    in_pane(
        Pane::Tree,
        look(Id::Unfold, &[key('l'), named(Code::Right)], "", "Open the znode, or go to its first child", "unfold"),
    ),
    in_pane(
        Pane::Tree,
        look(Id::Fold, &[key('h'), named(Code::Left)], "", "Close the znode, or go to its parent", "fold"),
    ),
    in_pane(
        Pane::Events,
        look(
            Id::OpenEvent,
            &[named(Code::Enter)],
            "open",
            "Show the messages of the event's write or election, or go to its member",
            "openevent",
        ),
    ),
    look(
        Id::Filter,
        &[key('/')],
        "filter",
        "Filter the list or search the text: type, then n and N; !x is all but x",
        "filter",
    ),
    look(Id::NextMatch, &[key('n')], "", "Go to the next of what was found", "nextmatch"),
    look(Id::PreviousMatch, &[key('N')], "", "Go to the previous of what was found", "previousmatch"),
    in_pane(Pane::Events, look(Id::Follow, &[key('f')], "follow", "Follow the newest events, or stop", "follow")),
    look(Id::Menu, &[key('a')], "", "Show what can be done with what is selected; so does the right button", "actions"),
    look(Id::Mark, &[key(' ')], "mark", "Mark the selected member, or not: acts go to the marked ones", "mark"),
    look(Id::MarkRange, &[key('v')], "", "Mark from here to where the cursor goes; again ends it", "markrange"),
    look(Id::Chord('y'), &[key('y')], "yank", "Copy something of what is selected: a second key says what", "yank"),
    after(
        'y',
        look(
            Id::Yank(Yank::Value),
            &[key('v'), key('y')],
            "value",
            "Copy the value, the page or the event",
            "yank value",
        ),
    ),
    after(
        'y',
        look(Id::Yank(Yank::Path), &[key('p')], "path", "Copy the znode's path, or the member's address", "yank path"),
    ),
    after('y', look(Id::Yank(Yank::Zxid), &[key('z')], "zxid", "Copy the zxid of the newest change", "yank zxid")),
    after('y', look(Id::Yank(Yank::Json), &[key('j')], "JSON", "Copy all of it as JSON", "yank json")),
    after('y', look(Id::Yank(Yank::Line), &[key('c')], "command", "Copy the line of zw that shows it", "yank command")),
    look(Id::Yank(Yank::Name), &[key('c')], "", "Copy the name of what is selected", "yank name"),
    look(Id::Chord('s'), &[key('s')], "sort", "Sort the nodes: a second key says by what", "sort"),
    after(
        's',
        look(Id::SortBy(SortBy::Id), &[key('i')], "id", "Sort the nodes by id; again turns the order", "sort id"),
    ),
    after(
        's',
        look(Id::SortBy(SortBy::Role), &[key('r')], "role", "Sort the nodes by role, leader first", "sort role"),
    ),
    after(
        's',
        look(Id::SortBy(SortBy::Zxid), &[key('z')], "zxid", "Sort the nodes by zxid, newest first", "sort zxid"),
    ),
    after(
        's',
        look(Id::SortBy(SortBy::Writes), &[key('w')], "writes", "Sort the nodes by writes a second", "sort writes"),
    ),
    after(
        's',
        look(
            Id::SortBy(SortBy::Fsync),
            &[key('f')],
            "fsync",
            "Sort the nodes by fdatasync, slowest first",
            "sort fsync",
        ),
    ),
    after('s', look(Id::SortBy(SortBy::Memory), &[key('m')], "memory", "Sort the nodes by memory", "sort memory")),
    look(Id::Slower, &[key('<')], "", "Show the messages of a write slower", "slower"),
    look(Id::Faster, &[key('>')], "", "Show the messages of a write faster", "faster"),
    look(Id::RealTime, &[key('0')], "", "Show the messages of a write as fast as they were", "realtime"),
    look(Id::Refresh, &[Key::ctrl('r')], "", "Read the tree again", "refresh"),
    look(
        Id::Back,
        &[named(Code::Esc)],
        "",
        "Close what lies on top, dismiss the message, end a filter, take marks away",
        "back",
    ),
    look(Id::Mouse, &[key('m')], "", "Take or give back the mouse, to select text with it", "mouse"),
    look(Id::Repaint, &[Key::ctrl('l')], "", "Paint the screen again", "repaint"),
    look(Id::Dump, &[Key::ctrl('s')], "", "Write the screen to a file, as text", "dump"),
    look(Id::Export, &[], "", "Write the events to a file, one line of JSON each: export events.jsonl", "export"),
    look(Id::Info, &[], "", "Show versions, paths, settings and what the terminal can do", "info"),
    look(Id::Theme, &[], "", "Say which colours are in use; theme dark takes others", "theme"),
    look(Id::Motion, &[], "", "Say how much moves; motion off stops it", "motion"),
    act(
        Id::Suspend,
        Class::Leave,
        &[Key::ctrl('z')],
        "",
        "Stop the console; the ensemble runs on. The shell's fg comes back",
        "suspend",
    ),
    act(
        Id::Leave,
        Class::Leave,
        &[Key::ctrl('c')],
        "",
        "Stop all and leave; a second time kills what still runs",
        "leave",
    ),
];

/// The action with this id.
#[must_use]
pub fn by_id(id: Id) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_one_scope() {
        for (index, action) in ACTIONS.iter().enumerate() {
            for other in &ACTIONS[index + 1..] {
                let clash = action.keys.iter().find(|key| other.keys.contains(key) && action.scope == other.scope);
                assert!(clash.is_none(), "{:?} and {:?} both want {}", action.id, other.id, clash.unwrap());
            }
        }
    }

    #[test]
    fn lower_case_looks_and_upper_case_acts() {
        // The two keys of vim that are upper case and look. Detaching ends faults and pauses on its way out.
        let exceptions = [key('G'), key('N')];
        for action in ACTIONS {
            for key in action.keys {
                let Key { code: Code::Char(character), ctrl: false } = key else { continue };
                let acts = matches!(action.class, Class::Fault | Class::Data) || action.id == Id::Detach;
                assert_eq!(acts, character.is_uppercase() && !exceptions.contains(key), "{:?} on {key}", action.id);
            }
        }
    }

    #[test]
    fn only_letters_act_and_never_named_keys_or_control_keys() {
        for action in ACTIONS.iter().filter(|action| matches!(action.class, Class::Fault | Class::Data)) {
            assert!(action.keys.iter().all(|key| matches!(key.code, Code::Char('A'..='Z')) && !key.ctrl));
        }
    }

    #[test]
    fn every_action_has_a_key_a_sentence_and_a_command() {
        let mut commands: Vec<&str> = Vec::new();
        for action in ACTIONS {
            let is_reached = !action.keys.is_empty() || !action.command.is_empty() && action.hint.is_empty();
            assert!(is_reached && action.sentence.len() > 5, "{:?}", action.id);
            assert!(action.sentence.len() <= 80 && action.hint.len() <= 14, "{:?}", action.id);
            assert!(!commands.contains(&action.command), "{:?} is there twice", action.command);
            commands.push(action.command);
        }
    }
}
