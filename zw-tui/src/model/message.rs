//! What the world tells the model, and what the model wants done.

use super::Pane;
use super::broker::BrokerStatus;
use super::collector::Portion;
use super::diff::DiffReport;
use super::feed::{FeedPlan, FeedReport, Page};
use super::load::{LoadPlan, LoadReport};
use super::measured::Cost;
use super::time::{RecordOrder, Travel, View};
use super::write::WriteOrder;
use crate::key::Key;
use crate::member::Member;
use crate::supervisor::keeper::Standing;
use crate::supervisor::{Order, Report};
use crate::theme;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::ids::Zxid;
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{Fault, SessionInfo, Status};
use zw_core::wire::client::ChildrenPage;

/// What the world tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Msg {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// A row of a pane was clicked; its place among the pane's items, if it was on one.
    Click(Pane, Option<usize>),
    /// The right button went down on a pane: the item, and the cell.
    RightClick(Pane, Option<usize>, (u16, u16)),
    /// The left button went down while a menu was open: on a line of it, or beside it.
    MenuClick(Option<usize>),
    /// The wheel was turned over a pane.
    Wheel(Pane, i32),
    /// A child changed.
    Supervisor(Report),
    /// A node answered.
    Status {
        /// Which node, from 0.
        node: usize,
        /// Its answer.
        status: Box<Status>,
        /// How long the answer took.
        round_trip: Duration,
    },
    /// A node did not answer.
    Silent {
        /// Which node, from 0.
        node: usize,
        /// For a person.
        reason: String,
    },
    /// A page of children, or why there is none.
    Children {
        /// Which node, from 0.
        node: usize,
        /// The parent.
        path: String,
        /// The name before the page; empty for the first.
        after: String,
        /// The page.
        result: Result<ChildrenPage, String>,
    },
    /// A znode's data, or why there is none.
    Value {
        /// Which node, from 0.
        node: usize,
        /// The znode.
        path: String,
        /// What it holds.
        result: Result<(Bytes, Stat), String>,
    },
    /// A znode's stat as a node has it, with what the node had applied; or why it is not known.
    Exists {
        /// Which node, from 0.
        node: usize,
        /// The znode.
        path: String,
        /// Its stat; none if there is no such znode.
        result: Result<(Zxid, Option<Stat>), String>,
    },
    /// A write ended.
    Written {
        /// Which node took it, from 0.
        node: usize,
        /// The znode.
        path: String,
        /// How.
        result: Result<Written, WriteFailure>,
    },
    /// The znodes of a subtree were counted, or why not.
    Counted {
        /// Which node, from 0.
        node: usize,
        /// The subtree's root.
        path: String,
        /// How many there are below the root.
        result: Result<u64, String>,
    },
    /// A deletion ended.
    Deleted {
        /// Which node took it, from 0.
        node: usize,
        /// The subtree's root.
        path: String,
        /// How.
        result: Result<Deleted, DeleteFailure>,
    },
    /// A node took the faults that were asked of it, or did not.
    Faults {
        /// Which node, from 0.
        node: usize,
        /// Why it did not.
        refused: Option<String>,
    },
    /// What the nodes' traces told.
    Trace(Box<Portion>),
    /// A line for the command line, from a console without a screen.
    Line(String),
    /// What the person's editor made of a value, or why it stays as it was.
    Edited(Result<String, String>),
    /// The screen was written to a file, or not.
    Dumped(Result<String, String>),
    /// The events were written to a file, or not.
    Exported(Result<String, String>),
    /// What a child printed.
    Output {
        /// Whose.
        member: Member,
        /// The lines that are kept, oldest first.
        lines: Vec<String>,
        /// Lines that it ever printed.
        total: u64,
    },
    /// A text was copied, and which way it went; or why not.
    Copied {
        /// What it was.
        what: String,
        /// The way, for a person.
        result: Result<String, String>,
    },
    /// What a load has come to.
    Load {
        /// Which run.
        run: u32,
        /// The figures.
        report: Box<LoadReport>,
    },
    /// What a feed has come to.
    Feed {
        /// Which run.
        run: u32,
        /// The figures.
        report: Box<FeedReport>,
    },
    /// What the brokers show, by their names.
    Pages(Vec<(String, Page)>),
    /// A broker told of itself, or did not.
    Broker {
        /// Which broker, from 0.
        broker: usize,
        /// What it told.
        status: Option<BrokerStatus>,
    },
    /// What a comparison of two nodes' trees has found by now.
    Diff {
        /// Which comparison.
        number: u64,
        /// All that it found.
        report: Box<DiffReport>,
    },
    /// The sessions of the ensemble as a node knows them, or why they are not known.
    Sessions {
        /// Which node, from 0.
        node: usize,
        /// The sessions.
        result: Result<Vec<SessionInfo>, String>,
    },
    /// What the console cost of late.
    Cost(Cost),
    /// A signal asks us to leave.
    Leave,
    /// Something for the feed from the console itself.
    Note(String),
    /// Something has had its time.
    Tick,
    /// From now on the state is looked at so.
    View(Box<View>),
    /// The recording to a file began or ended.
    Recording(Recording),
    /// The console came back to what it had detached from.
    CameBack {
        /// How long there was none.
        away: Duration,
        /// Reports that got lost meanwhile.
        lost: u64,
        /// What the children are now.
        children: Vec<(Member, Standing)>,
    },
}

impl Msg {
    /// Whether it comes from the person.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Msg::Key(_) | Msg::Paste(_) | Msg::Click(..) | Msg::RightClick(..) | Msg::MenuClick(_) | Msg::Wheel(..)
        )
    }
}

/// What became of the recording to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recording {
    /// It goes to this file.
    Began(String),
    /// It is whole.
    Ended {
        /// The file.
        file: String,
        /// How long it is.
        bytes: u64,
    },
    /// It could not begin or go on; for a person.
    Failed(String),
}

/// What is wanted of the file with the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapeOrder {
    /// A new one, with these bytes.
    Begin {
        /// Where; none for a place that is chosen.
        file: Option<String>,
        /// What it begins with, behind its head.
        bytes: Vec<u8>,
    },
    /// More bytes.
    Append(Vec<u8>),
    /// That was all.
    End,
}

/// A write that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Whether it made the znode.
    pub created: bool,
    /// The znode's version after it.
    pub version: i32,
    /// The entry that did it.
    pub zxid: Zxid,
    /// From the first request to the last answer.
    pub took: Duration,
    /// The znode, with the number that it got.
    pub last: String,
    /// How many writes there were.
    pub count: u32,
}

/// A write that was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFailure {
    /// For a person.
    pub reason: String,
    /// Whether it may have been done all the same.
    pub may_be_done: bool,
    /// Writes of the same order that were done before it.
    pub done: u32,
}

/// A deletion that was acknowledged as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// How many znodes are gone.
    pub znodes: u64,
    /// The entry that removed the subtree's root.
    pub zxid: Zxid,
    /// From the first request to the last answer.
    pub took: Duration,
}

/// A deletion that ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteFailure {
    /// How many znodes are gone all the same.
    pub znodes: u64,
    /// For a person.
    pub reason: String,
    /// Whether the last request may have been done all the same.
    pub may_be_done: bool,
}

/// What the model wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An order to the supervisor.
    Supervise(Order),
    /// Ask a node for a page of children.
    Children {
        /// Which node, from 0.
        node: usize,
        /// The parent.
        path: String,
        /// The name before the page.
        after: String,
    },
    /// Ask a node for a znode's data.
    Value {
        /// Which node, from 0.
        node: usize,
        /// The znode.
        path: String,
    },
    /// Ask a node for a znode's stat.
    Exists {
        /// Which node, from 0.
        node: usize,
        /// The znode.
        path: String,
    },
    /// Make or change a znode through a node.
    Write(WriteOrder),
    /// Count the znodes of a subtree, as a node has them.
    Count {
        /// Which node, from 0.
        node: usize,
        /// The subtree's root.
        path: String,
    },
    /// Delete a subtree through a node, deepest first, each znode only in the version that is read.
    Delete {
        /// Which node, from 0.
        node: usize,
        /// The subtree's root.
        path: String,
        /// Znodes that may go, the root among them; if there are more, it stops.
        at_most: u64,
    },
    /// Tell what a child printed.
    Output {
        /// Whose.
        member: Member,
        /// Lines that are known already; nothing is told if there are no more.
        known: Option<u64>,
    },
    /// Make load, in place of any that runs.
    Load {
        /// Counts the runs.
        run: u32,
        /// What it is to do.
        plan: LoadPlan,
    },
    /// End the load that runs.
    StopLoad,
    /// Send events to the brokers.
    Feed {
        /// Counts the feeds.
        run: u32,
        /// What is to be sent.
        plan: FeedPlan,
    },
    /// Ask brokers for their pages.
    Pages {
        /// Which, from 0.
        brokers: Vec<usize>,
    },
    /// From now on a node is to have these faults and no others of ours.
    Faults {
        /// Which node, from 0.
        node: usize,
        /// The faults.
        faults: Vec<Fault>,
    },
    /// Compare the trees of two nodes.
    Diff {
        /// Which comparison this is.
        number: u64,
        /// The nodes, from 0.
        nodes: [usize; 2],
    },
    /// Ask a node for the sessions.
    Sessions {
        /// Which node, from 0.
        node: usize,
    },
    /// A node was started anew: connections to its former life are of no use.
    Redial {
        /// Which node, from 0.
        node: usize,
    },
    /// Copy a text for the person.
    Copy {
        /// What it is.
        what: String,
        /// The text.
        text: String,
    },
    /// Ask one more address, by tasks of this number.
    Dial {
        /// The number: the next.
        line: usize,
        /// `host:port`.
        address: String,
    },
    /// Show another time. The session does it.
    Travel(Travel),
    /// Begin or end a recording. The session does it.
    Record(RecordOrder),
    /// Write the recording.
    Tape(TapeOrder),
    /// Take or give back the mouse.
    SetMouse(bool),
    /// Draw in these colours.
    SetTheme(theme::Name),
    /// Write a text to a new file.
    Export {
        /// Where.
        file: String,
        /// What.
        text: String,
    },
    /// Give the terminal to the person's editor, with this text.
    Edit(String),
    /// Write the screen to a file, as text.
    Dump,
    /// Paint the whole screen again.
    Repaint,
    /// Break on purpose, for a test.
    Break(Breakage),
    /// Leave, and let the children run on.
    Detach,
    /// Give the terminal back and stop until somebody continues us.
    Suspend,
}

impl Msg {
    /// The node that it is about, if it is about one.
    pub(super) fn node_mut(&mut self) -> Option<&mut usize> {
        match self {
            Msg::Status { node, .. }
            | Msg::Silent { node, .. }
            | Msg::Children { node, .. }
            | Msg::Value { node, .. }
            | Msg::Exists { node, .. }
            | Msg::Written { node, .. }
            | Msg::Counted { node, .. }
            | Msg::Deleted { node, .. }
            | Msg::Faults { node, .. }
            | Msg::Sessions { node, .. } => Some(node),
            Msg::Key(_)
            | Msg::Paste(_)
            | Msg::Click(..)
            | Msg::RightClick(..)
            | Msg::MenuClick(_)
            | Msg::Wheel(..)
            | Msg::Supervisor(_)
            | Msg::Line(_)
            | Msg::Dumped(_)
            | Msg::Edited(_)
            | Msg::Exported(_)
            | Msg::Copied { .. }
            | Msg::Output { .. }
            | Msg::Leave
            | Msg::Tick
            | Msg::Load { .. }
            | Msg::Feed { .. }
            | Msg::Pages(_)
            // Only of a console that started the nodes, whose numbers are those of the tasks.
            | Msg::Trace(_)
            | Msg::Broker { .. }
            | Msg::Diff { .. }
            | Msg::Cost(_)
            | Msg::View(_)
            | Msg::Recording(_)
            | Msg::CameBack { .. }
            | Msg::Note(_) => None,
        }
    }
}

impl Effect {
    /// The node that it is for, if it is for one.
    pub(super) fn node_mut(&mut self) -> Option<&mut usize> {
        match self {
            Effect::Children { node, .. }
            | Effect::Value { node, .. }
            | Effect::Exists { node, .. }
            | Effect::Write(WriteOrder { node, .. })
            | Effect::Count { node, .. }
            | Effect::Delete { node, .. }
            | Effect::Faults { node, .. }
            | Effect::Sessions { node }
            | Effect::Redial { node } => Some(node),
            Effect::Supervise(_)
            | Effect::Output { .. }
            | Effect::Dial { .. }
            | Effect::SetMouse(_)
            | Effect::SetTheme(_)
            | Effect::Dump
            | Effect::Edit(_)
            | Effect::Export { .. }
            | Effect::Copy { .. }
            | Effect::Travel(_)
            | Effect::Record(_)
            | Effect::Tape(_)
            | Effect::Load { .. }
            | Effect::StopLoad
            | Effect::Feed { .. }
            | Effect::Pages { .. }
            // Of two nodes; translated by itself.
            | Effect::Diff { .. }
            | Effect::Repaint
            | Effect::Break(_)
            | Effect::Detach
            | Effect::Suspend => None,
        }
    }
}

/// How the console breaks on purpose; only with `ZW_TEST_HOOKS=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Breakage {
    /// The loop panics.
    PanicUi,
    /// A task panics.
    PanicTask,
    /// The next paint panics.
    PanicDraw,
    /// Giving the terminal back panics.
    PanicRestore,
    /// The loop hangs for so long.
    Hang(Duration),
}
