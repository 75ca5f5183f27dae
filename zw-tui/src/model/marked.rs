//! Marked members: what acts apply to instead of the selected one.

use super::{Pane, State};
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The marks, and the range that is being marked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    set: BTreeSet<Member>,
    range: Option<Range>,
}

/// From where on, and what was marked before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    anchor: Member,
    before: BTreeSet<Member>,
}

impl Marked {
    /// Whether a member is marked.
    #[must_use]
    pub fn has(&self, member: Member) -> bool {
        self.set.contains(&member)
    }

    /// How many nodes, or brokers, are marked.
    #[must_use]
    pub fn count(&self, are_nodes: bool) -> usize {
        self.set.iter().filter(|member| member.is_node() == are_nodes).count()
    }

    /// Marked, or takes the mark away.
    pub fn toggle(&mut self, member: Member) {
        self.range = None;
        if !self.set.remove(&member) {
            self.set.insert(member);
        }
    }

    /// Begins a range, or ends the one that there is.
    pub fn toggle_range(&mut self, member: Member) {
        if self.range.take().is_none() {
            self.range = Some(Range { anchor: member, before: self.set.clone() });
            self.set.insert(member);
        }
    }

    /// Whether a range is being marked.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.range.is_some()
    }

    /// The cursor moved: the range goes from its anchor to there, in the order in which the members are shown.
    pub fn extend(&mut self, shown: &[Member], cursor: Member) {
        let Some(range) = &self.range else { return };
        let place = |member| shown.iter().position(|other| *other == member);
        let (Some(from), Some(to)) = (place(range.anchor), place(cursor)) else { return };
        self.set = range.before.clone();
        self.set.extend(&shown[from.min(to)..=from.max(to)]);
    }

    /// Takes all marks away; whether there were any.
    pub fn clear(&mut self) -> bool {
        self.range = None;
        !std::mem::take(&mut self.set).is_empty()
    }
}

impl State {
    /// What an act applies to: the marked members of the kind that is in focus, else the selected one.
    #[must_use]
    pub fn targets(&self) -> Vec<Member> {
        let are_nodes = self.focus() != Pane::Brokers;
        let marked: Vec<Member> =
            self.members().filter(|member| member.is_node() == are_nodes && self.marked.has(*member)).collect();
        if marked.is_empty() { self.selected().into_iter().collect() } else { marked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_follows_the_cursor_and_keeps_what_was_marked_before() {
        let shown: Vec<Member> = (1..=5).map(Member::Node).collect();
        let mut marks = Marked::default();
        marks.toggle(Member::Node(5));
        marks.toggle_range(Member::Node(2));
        let marked = |marks: &Marked| shown.iter().map(|member| u8::from(marks.has(*member))).collect::<Vec<_>>();
        marks.extend(&shown, Member::Node(4));
        assert_eq!(marked(&marks), [0, 1, 1, 1, 1]);
        marks.extend(&shown, Member::Node(1));
        assert_eq!(marked(&marks), [1, 1, 0, 0, 1]);
        marks.toggle_range(Member::Node(1));
        marks.extend(&shown, Member::Node(4));
        assert_eq!(marked(&marks), [1, 1, 0, 0, 1], "it has ended");
        assert_eq!((marks.count(true), marks.count(false)), (3, 0));
        assert!(marks.clear() && !marks.clear());
    }
}
