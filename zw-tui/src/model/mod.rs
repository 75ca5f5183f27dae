//! What the console knows and shows, and how messages change it: pure, without clock, thread, file, socket or terminal.
//!
//! Invariants:
//! - What was asked for ([`Desired`]) and what is seen ([`Observed`], [`Sight`]) are never merged into one value.
//! - Every value from a node has the time at which it came in; what is old is shown as old, what is unknown as unknown.
//! - Everything that grows has a bound.
//!
//! All times are since the start of the console.

pub mod about;
pub mod acts;
pub mod attached;
pub mod broker;
pub mod causes;
pub mod chord;
pub mod collector;
pub mod composer;
pub mod deletion;
pub mod detach;
pub mod diff;
pub mod divergence;
pub mod election;
pub mod events;
pub mod faults;
pub mod feed;
pub mod fired;
pub mod flow;
pub mod gauges;
mod heard;
pub mod history;
pub mod jobs;
pub mod load;
pub mod marked;
pub mod matcher;
pub mod measured;
pub mod menu;
pub mod message;
pub mod node_clock;
pub mod outage;
pub mod overlay;
pub mod page;
pub mod patch;
pub mod pause;
pub mod permission;
pub mod question;
pub mod reigns;
pub mod replication;
pub mod scenario;
pub mod search;
pub mod select;
pub mod session;
pub mod sessions;
pub mod sight;
pub mod sort;
pub mod strip;
pub mod tape;
pub mod text;
pub mod time;
pub mod time_marks;
pub mod timeline;
pub mod transaction;
pub mod tree;
mod tree_rows;
pub mod update;
pub mod value;
pub mod verdict;
pub mod write;
pub mod yank;

use crate::action::keymap::Keymap;
use crate::member::Member;
use crate::supervisor::{Asked, Exit};
use crate::theme;
use about::About;
use broker::BrokerSight;
use causes::Causes;
use chord::Chord;
use diff::DiffView;
use election::Elections;
use events::Events;
use faults::Faults;
use feed::Feed;
use fired::Fired;
use flow::Flow;
use history::History;
use jobs::Jobs;
use load::Loads;
use marked::Marked;
use measured::Measured;
use overlay::{Overlay, Toast};
use permission::Permission;
use replication::Divergence;
use scenario::Scenarios;
use search::Search;
use serde::{Deserialize, Serialize};
use sessions::SessionsView;
use sight::Sight;
use sort::Sort;
use std::collections::VecDeque;
use std::time::Duration;
use time::TimeView;
use time_marks::TimeMarks;
use tree::TreeView;

/// Between two questions for a node's status.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The same while a node has nothing new to tell.
pub const POLL_INTERVAL_QUIET: Duration = Duration::from_millis(500);
/// The same while the display is frozen besides: what it is shown with later is at most so old.
pub const POLL_INTERVAL_CALM: Duration = Duration::from_secs(1);
/// A value older than this is late: drawn dim.
pub const LATE_AFTER: Duration = Duration::from_millis(800);
/// A value older than this is stale: drawn with its age, and the node counts as not answering.
pub const STALE_AFTER: Duration = Duration::from_millis(1_500);
/// Acts that can be undone.
const UNDO_MAX: usize = 32;

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Rises whenever something that may be visible changed.
    pub version: u64,
    /// The nodes, n1 first.
    pub nodes: Vec<Node>,
    /// The brokers, b1 first.
    pub brokers: Vec<Broker>,
    /// What happened.
    pub events: Events,
    /// The faults of links and disks.
    pub faults: Faults,
    /// What befell the ensemble when.
    pub marks: TimeMarks,
    /// Which time this is.
    #[serde(skip)]
    pub time: TimeView,
    /// What the console did.
    pub jobs: Jobs,
    /// The loads.
    pub loads: Loads,
    /// The newest feed of events.
    pub feed: Option<Feed>,
    /// The scenarios.
    pub scenarios: Scenarios,
    /// The messages of one write.
    pub flow: Flow,
    /// How leaders were elected.
    pub elections: Elections,
    /// Why leaders were lost.
    pub causes: Causes,
    /// The tree of the selected node.
    pub tree: TreeView,
    /// The selected znode as every node has it.
    #[serde(default)]
    pub strip: strip::Strip,
    /// What was measured and held against each other.
    pub measured: Measured,
    /// The newest comparison of two nodes' trees.
    pub diff: Option<DiffView>,
    /// The sessions, once somebody asked for them.
    pub sessions: Option<SessionsView>,
    /// The panes, the one that was looked at last first: it takes the keys, and is shown where there is room for one.
    pub recent: [Pane; Pane::ALL.len()],
    /// Whether the pane that takes the keys has the whole body.
    pub zoomed: bool,
    /// The selected node.
    pub node: usize,
    /// The selected broker.
    pub broker: usize,
    /// The marked members.
    pub marked: Marked,
    /// The order of the nodes.
    pub sort: Sort,
    /// What is looked for.
    pub search: Search,
    /// The first key of two, while it waits for the second.
    pub chord: Option<Chord>,
    /// What lies over the panes and takes the keys.
    pub overlay: Option<Overlay>,
    /// A message that passes.
    pub toast: Option<Toast>,
    /// Commands that were run, oldest first.
    pub history: Vec<String>,
    /// What the next undo does, newest last.
    pub undo: VecDeque<acts::Undo>,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// Which colours are wanted.
    pub theme: theme::Name,
    /// Which keys do what.
    pub keymap: Keymap,
    /// What the person may do.
    pub permission: Permission,
    /// The addresses that are asked, by the number of their tasks, if the console did not start the ensemble.
    pub lines: Vec<String>,
    /// Those of them behind which no member is known.
    #[serde(default)]
    pub strangers: Vec<attached::Stranger>,
    /// What the console is and where it keeps things.
    pub about: About,
    /// Whether tests may break the console on purpose.
    pub has_test_hooks: bool,
    /// Whether the children have a keeper that could go on without the console.
    pub has_keeper: bool,
    /// Whether the keeper was asked to.
    pub detaching: bool,
    /// Since when the console is leaving.
    pub leaving: Option<Duration>,
    /// The ordered stop is over, with so many children left.
    pub stopped: Option<usize>,
    /// Whose watches fired just now.
    #[serde(default)]
    pub fired: Fired,
}

/// A pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pane {
    /// The nodes.
    Nodes,
    /// The brokers.
    Brokers,
    /// The messages of one write.
    Flow,
    /// The tree of the selected node.
    Tree,
    /// Rates and times.
    Metrics,
    /// The nodes' logs side by side.
    Replication,
    /// What happened.
    Events,
    /// The whole session in one line.
    Timeline,
}

impl Pane {
    /// In the order of their numbers.
    pub const ALL: [Pane; 8] = [
        Pane::Nodes,
        Pane::Brokers,
        Pane::Flow,
        Pane::Tree,
        Pane::Metrics,
        Pane::Replication,
        Pane::Events,
        Pane::Timeline,
    ];
    /// Those that share one place where there is no room for all.
    pub const TABS: [Pane; 5] = [Pane::Flow, Pane::Tree, Pane::Metrics, Pane::Replication, Pane::Events];

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// Its name, as its title and the command line have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Pane::Nodes => "Nodes",
            Pane::Brokers => "Brokers",
            Pane::Flow => "Flow",
            Pane::Tree => "Tree",
            Pane::Metrics => "Metrics",
            Pane::Replication => "Replication",
            Pane::Events => "Events",
            Pane::Timeline => "Timeline",
        }
    }
}

/// A node: its process and what it says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub member: Member,
    /// `host:port`.
    pub address: String,
    /// The number of the tasks that talk to it; none if there are none.
    pub line: Option<usize>,
    /// The process.
    pub process: Process,
    /// What it says.
    pub sight: Sight,
    /// What was measured of it.
    pub past: History,
    /// Another node has another tree at the same zxid; until this one is started anew.
    pub diverged: Option<Divergence>,
    /// Entries of its log that the ensemble went on without.
    pub forked: u64,
}

impl Node {
    fn new(member: Member, address: String) -> Node {
        Node {
            member,
            address,
            line: Some(member.index()),
            process: Process::new(),
            sight: Sight::default(),
            past: History::default(),
            diverged: None,
            forked: 0,
        }
    }
}

/// A broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Broker {
    /// Its name.
    pub member: Member,
    /// `host:port`.
    pub address: String,
    /// The process.
    pub process: Process,
    /// What it says.
    pub sight: BrokerSight,
}

/// A child process: what we want and what we see, side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What was asked for.
    pub desired: Desired,
    /// What the supervisor sees.
    pub observed: Observed,
    /// Since when `desired` holds.
    pub desired_since: Duration,
    /// How often it was started.
    pub starts: u32,
    /// Whether it ever accepted connections.
    pub has_listened: bool,
    /// What it said last before it ended with an error of its own.
    pub words: Option<String>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Desired {
    /// Running.
    Up,
    /// Not running.
    Down,
    /// Stopped with SIGSTOP.
    Paused,
}

/// What the supervisor sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observed {
    /// Somebody else's: it is known only by what it answers.
    Foreign,
    /// Not started yet.
    Unborn,
    /// Spawned, and has not said that it listens.
    Starting(u32),
    /// Runs, by its pid.
    Running(u32),
    /// Was told to end.
    Stopping(u32),
    /// Gone.
    Exited(Exit, Asked),
    /// Could not be started.
    Failed(String),
}

/// How a process failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// It could not be started, for this reason.
    NotStarted(&'a str),
    /// It ended so, and this is what it said last.
    Ended(Exit, Option<&'a str>),
}

impl Failure<'_> {
    /// What it says of itself, in a sentence. A revival alone would end the same way, so none is proposed.
    #[must_use]
    pub fn words(&self, member: Member) -> String {
        match self {
            Failure::NotStarted(reason) => format!("{member} did not start: {reason}"),
            Failure::Ended(exit, Some(words)) => format!("{member} failed ({exit}): {words}"),
            Failure::Ended(exit, None) => format!("{member} failed ({exit}) and said nothing"),
        }
    }
}

impl Process {
    fn new() -> Process {
        Process {
            desired: Desired::Up,
            observed: Observed::Unborn,
            desired_since: Duration::ZERO,
            starts: 0,
            has_listened: false,
            words: None,
        }
    }

    /// Why it runs no more, or never did, if that is an error of its own: a start alone would end the same way.
    #[must_use]
    pub fn failure(&self) -> Option<Failure<'_>> {
        match &self.observed {
            Observed::Failed(reason) => Some(Failure::NotStarted(reason)),
            Observed::Exited(exit, Asked::Nothing) if exit.is_own_error() => {
                Some(Failure::Ended(*exit, self.words.as_deref()))
            }
            _ => None,
        }
    }

    /// Its pid, while it lives.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.observed {
            Observed::Starting(pid) | Observed::Running(pid) | Observed::Stopping(pid) => Some(pid),
            Observed::Foreign | Observed::Unborn | Observed::Exited(..) | Observed::Failed(_) => None,
        }
    }

    /// Whether it lives, as far as is known.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.pid().is_some() || self.observed == Observed::Foreign
    }

    /// Whether it lives and is not paused, so that it could do its work.
    #[must_use]
    pub fn can_work(&self) -> bool {
        self.lives() && self.desired != Desired::Paused
    }
}

impl State {
    /// A console of so many children, none started yet; all of them are to be up.
    #[must_use]
    pub fn new(node_addresses: Vec<String>, broker_addresses: Vec<String>) -> State {
        let elections = Elections::new(node_addresses.len());
        let nodes =
            node_addresses.into_iter().zip(1..).map(|(address, number)| Node::new(Member::Node(number), address));
        let brokers = broker_addresses.into_iter().zip(1..).map(|(address, number)| Broker {
            member: Member::Broker(number),
            address,
            process: Process::new(),
            sight: BrokerSight::default(),
        });
        State {
            version: 1,
            nodes: nodes.collect(),
            brokers: brokers.collect(),
            events: Events::default(),
            faults: Faults::default(),
            marked: Marked::default(),
            time: TimeView::default(),
            jobs: Jobs::default(),
            loads: Loads::default(),
            feed: None,
            scenarios: Scenarios::default(),
            flow: Flow::default(),
            elections,
            strip: strip::Strip::default(),
            causes: Causes::default(),
            tree: TreeView::default(),
            measured: Measured::default(),
            diff: None,
            sessions: None,
            recent: [
                Pane::Nodes,
                Pane::Tree,
                Pane::Events,
                Pane::Flow,
                Pane::Replication,
                Pane::Metrics,
                Pane::Timeline,
                Pane::Brokers,
            ],
            zoomed: false,
            node: 0,
            broker: 0,
            marks: TimeMarks::default(),
            sort: Sort::default(),
            search: Search::default(),
            chord: None,
            overlay: None,
            toast: None,
            history: Vec::new(),
            undo: VecDeque::new(),
            mouse: true,
            theme: theme::Name::default(),
            keymap: Keymap::default(),
            permission: Permission::ALL,
            lines: Vec::new(),
            strangers: Vec::new(),
            about: About::default(),
            has_test_hooks: false,
            has_keeper: false,
            detaching: false,
            leaving: None,
            stopped: None,
            fired: Fired::default(),
        }
    }

    /// The process of `member`, if there is one.
    #[must_use]
    pub fn process(&self, member: Member) -> Option<&Process> {
        match member {
            Member::Node(_) => self.nodes.get(member.index()).map(|node| &node.process),
            Member::Broker(_) => self.brokers.get(member.index()).map(|broker| &broker.process),
        }
    }

    fn process_mut(&mut self, member: Member) -> Option<&mut Process> {
        match member {
            Member::Node(_) => self.nodes.get_mut(member.index()).map(|node| &mut node.process),
            Member::Broker(_) => self.brokers.get_mut(member.index()).map(|broker| &mut broker.process),
        }
    }

    /// What an act applies to: the selected broker in the brokers' pane, else the selected node.
    #[must_use]
    pub fn selected(&self) -> Option<Member> {
        if self.focus() == Pane::Brokers {
            self.brokers.get(self.broker).map(|broker| broker.member)
        } else {
            self.nodes.get(self.node).map(|node| node.member)
        }
    }

    /// Gives the keys to a pane.
    pub fn focus_on(&mut self, pane: Pane) {
        let place = self.recent.iter().position(|other| *other == pane).unwrap_or(0);
        self.recent[..=place].rotate_right(1);
    }

    /// The pane that takes the keys.
    #[must_use]
    pub fn focus(&self) -> Pane {
        self.recent[0]
    }

    /// Which of these panes was looked at last.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn latest_of(&self, panes: &[Pane]) -> Pane {
        let latest = self.recent.iter().find(|pane| panes.contains(pane));
        *latest.expect("every pane is among the recent ones")
    }

    /// All children, nodes first.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.nodes.iter().map(|node| node.member).chain(self.brokers.iter().map(|broker| broker.member))
    }
}
