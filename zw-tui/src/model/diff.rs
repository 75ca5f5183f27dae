//! What differs between the trees of two nodes, as far as it has been read.

use super::events::Level;
use super::page::Line;
use super::select::printable;
use crate::member::Member;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zw_core::ids::Zxid;
use zw_core::tree::command::Stat;

/// Differences that are kept; there may be more.
pub const DIFFERENCES_MAX: usize = 200;
/// Bytes of a value that are kept of a difference.
pub const VALUE_BYTES_MAX: usize = 256;

/// A comparison that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffView {
    /// Which of all that were asked for; answers to earlier ones are dropped.
    pub number: u64,
    /// The two nodes, from 0.
    pub nodes: [usize; 2],
    /// What is known of it.
    pub report: DiffReport,
}

/// What a comparison has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffReport {
    /// How it ended; none while it goes on.
    pub end: Option<DiffEnd>,
    /// Questions that were asked.
    pub requests: u32,
    /// The first and the last zxid at which each of them was read.
    pub read_at: [Option<(Zxid, Zxid)>; 2],
    /// What differs, in the order of the walk.
    pub differences: Vec<Difference>,
}

/// How a comparison ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiffEnd {
    /// All was read.
    Whole,
    /// There is more; this bound was reached.
    Capped(String),
    /// A node did not answer.
    Failed {
        /// Which of the two.
        side: usize,
        /// For a person.
        reason: String,
    },
}

/// A znode that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which.
    pub path: String,
    /// What each of them has; none if it does not have the znode.
    pub sides: [Option<Side>; 2],
}

/// What one node has of a znode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The beginning of its data; none if only the Stat was read.
    pub data: Option<Bytes>,
    /// Its Stat.
    pub stat: Stat,
}

impl Side {
    /// With the beginning of the data.
    #[must_use]
    pub fn new(data: &Bytes, stat: Stat) -> Side {
        Side { data: Some(data.slice(..data.len().min(VALUE_BYTES_MAX))), stat }
    }

    fn words(&self) -> String {
        let Stat { version, mzxid, data_length, num_children, .. } = self.stat;
        let children = if num_children > 0 { format!("  {num_children} ch") } else { String::new() };
        let data =
            self.data.as_ref().map_or_else(String::new, |data| format!("  {}", printable(data, VALUE_BYTES_MAX)));
        format!("v{version}  {mzxid}  {data_length} B{children}{data}")
    }
}

impl DiffReport {
    /// Notes that a side was read at a zxid.
    pub fn read(&mut self, side: usize, zxid: Zxid) {
        if zxid > Zxid::ZERO {
            let (first, last) = self.read_at[side].unwrap_or((zxid, zxid));
            self.read_at[side] = Some((first.min(zxid), last.max(zxid)));
        }
    }

    /// Whether both were read at one and the same zxid from the first question to the last: then nothing is in flight.
    #[must_use]
    pub fn is_at_one_zxid(&self) -> bool {
        matches!(self.read_at, [Some((a, b)), Some((c, d))] if a == b && b == c && c == d)
    }
}

fn names(view: &DiffView) -> [String; 2] {
    view.nodes.map(|node| Member::Node(u8::try_from(node + 1).unwrap_or(u8::MAX)).to_string())
}

/// The title of the page.
#[must_use]
pub fn title(view: &DiffView) -> String {
    let [left, right] = names(view);
    format!("Diff of {left} and {right}")
}

/// The lines of the page.
#[must_use]
pub fn lines(view: &DiffView) -> Vec<Line> {
    let names = names(view);
    let report = &view.report;
    let at = |side: usize| match report.read_at[side] {
        None => format!("{} not read", names[side]),
        Some((first, last)) if first == last => format!("{} read at {last}", names[side]),
        Some((first, last)) => format!("{} read at {first} to {last}", names[side]),
    };
    let mut lines = vec![(format!("{}, {}", at(0), at(1)), Level::Info)];
    let count = report.differences.len();
    let plural = if count == 1 { " differs" } else { "s differ" };
    match (&report.end, count) {
        (None, _) => lines.push((format!("comparing: {} questions so far", report.requests), Level::Info)),
        (Some(DiffEnd::Failed { side, reason }), _) => {
            let reason = printable(reason.as_bytes(), 200);
            lines.push((format!("{} does not answer: {reason}. What was found until then:", names[*side]), Level::Bad));
        }
        (Some(DiffEnd::Capped(bound)), _) => {
            lines.push((format!("stopped after {bound}: there may be more than these"), Level::Warning));
        }
        (Some(DiffEnd::Whole), 0) => lines.push(("The trees are equal: no znode differs.".into(), Level::Info)),
        (Some(DiffEnd::Whole), _) => lines.push((format!("{count} znode{plural}"), Level::Info)),
    }
    if count > 0 && report.end.is_some() {
        lines.push(if report.is_at_one_zxid() {
            ("Both were read at one zxid, so nothing is in flight: the nodes have DIVERGED.".into(), Level::Bad)
        } else {
            ("They were not read at one zxid: what differs may be a write on its way.".into(), Level::Info)
        });
    }
    for difference in &report.differences {
        lines.push((String::new(), Level::Info));
        lines.push((printable(difference.path.as_bytes(), 512), Level::Warning));
        for (name, side) in names.iter().zip(&difference.sides) {
            let words = side.as_ref().map_or_else(|| "not there".to_owned(), Side::words);
            lines.push((format!("  {name:<4}{words}"), Level::Info));
        }
    }
    lines
}
