//! The feed of what happened: bounded, newest last.

use super::matcher::Matcher;
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};

/// Events that are kept.
pub const EVENTS_MAX: usize = 2_000;

/// Who did it or whom it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The person at the keys.
    You,
    /// A child.
    Member(Member),
    /// The console.
    Console,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::You => f.write_str("you"),
            Source::Member(member) => member.fmt(f),
            Source::Console => f.write_str("zw"),
        }
    }
}

/// How much attention it deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// As it should be.
    Info,
    /// Worth a look.
    Warning,
    /// Something broke.
    Bad,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, since the start of the console.
    pub at: Duration,
    /// Who.
    pub source: Source,
    /// How grave.
    pub level: Level,
    /// What.
    pub text: String,
    /// What the traces may know of it.
    #[serde(default)]
    pub story: Option<Story>,
}

/// What a view can show of an event, message by message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Story {
    /// The way of a write, by its entry.
    Write(Zxid),
    /// How an epoch got its leader.
    Election(Epoch),
}

/// The feed and where it is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Events {
    list: VecDeque<Event>,
    /// All that were ever added.
    total: u64,
    /// Only these are shown.
    filter: Option<Matcher>,
    /// Whether the view shows the newest as they come.
    follows: bool,
    /// How far above the newest shown one the cursor is.
    cursor: usize,
    /// How far above it the view would end, if the cursor is in view then.
    end: usize,
    /// Events that came in while the view did not follow.
    unseen: usize,
}

impl Default for Events {
    fn default() -> Events {
        Events { list: VecDeque::new(), total: 0, filter: None, follows: true, cursor: 0, end: 0, unseen: 0 }
    }
}

impl Event {
    /// One without a story.
    #[must_use]
    pub fn new(at: Duration, source: Source, level: Level, text: String) -> Event {
        Event { at, source, level, text, story: None }
    }

    /// Whether a filter wants it: a member's name means that member, anything else the text.
    #[must_use]
    pub fn is_match(&self, matcher: &Matcher) -> bool {
        let word = matcher.word();
        if word.parse::<Member>().is_ok() || matches!(word, "you" | "zw") {
            let mut words = self.text.split(|character: char| !character.is_alphanumeric());
            return (self.source.to_string() == word || words.any(|other| other == word)) != matcher.is_inverse();
        }
        matcher.is_match(&format!("{} {}", self.source, self.text))
    }

    /// The member that it is about.
    #[must_use]
    pub fn member(&self) -> Option<Member> {
        match self.source {
            Source::Member(member) => Some(member),
            Source::You | Source::Console => {
                let words = self.text.split(|character: char| !character.is_alphanumeric());
                // A number alone is one of many things here, and mostly no node.
                words
                    .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()))
                    .find_map(|word| word.parse().ok())
            }
        }
    }
}

impl Events {
    /// Adds one; the oldest goes when there are too many. A view that does not follow does not move.
    pub fn push(&mut self, event: Event) {
        let is_shown = self.filter.as_ref().is_none_or(|filter| event.is_match(filter));
        if self.list.len() == EVENTS_MAX {
            self.list.pop_front();
        }
        self.list.push_back(event);
        self.total += 1;
        if !self.follows && is_shown {
            self.unseen += 1;
            self.cursor += 1;
            self.end += 1;
            self.clamp();
        }
    }

    fn clamp(&mut self) {
        let last = self.shown().count().saturating_sub(1);
        self.cursor = self.cursor.min(last);
        self.end = self.end.min(self.cursor);
    }

    /// How many were ever added.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.list.iter()
    }

    /// Those that the filter wants, oldest first.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.list.iter().filter(|event| self.filter.as_ref().is_none_or(|filter| event.is_match(filter)))
    }

    /// What is looked for.
    #[must_use]
    pub fn filter(&self) -> Option<&Matcher> {
        self.filter.as_ref()
    }

    /// Shows only what matches, from the newest on.
    pub fn set_filter(&mut self, filter: Option<Matcher>) {
        self.filter = filter;
        self.follow();
    }

    /// Moves the cursor towards the newest by `rows`, or away from it if negative. At the newest the view follows again.
    pub fn scroll(&mut self, rows: i64) {
        let cursor = i64::try_from(self.cursor).unwrap_or(i64::MAX).saturating_sub(rows).max(0);
        self.cursor = usize::try_from(cursor).unwrap_or(usize::MAX);
        self.clamp();
        self.unseen = self.unseen.min(self.end);
        if self.cursor == 0 && (rows > 0 || self.follows) {
            self.follow();
        } else {
            self.follows = false;
        }
    }

    fn follow(&mut self) {
        (self.follows, self.cursor, self.end, self.unseen) = (true, 0, 0, 0);
    }

    /// Stops where it is, or shows the newest again.
    pub fn toggle_follow(&mut self) {
        if self.follows { self.follows = false } else { self.follow() }
    }

    /// Whether the newest is shown.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.follows
    }

    /// Events below the view that were never shown.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// The event under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&Event> {
        self.shown().rev().nth(self.cursor)
    }

    /// Puts the cursor on a shown event, counted from the oldest; the view does not move. The newest is followed on.
    pub fn select(&mut self, index: usize) {
        let last = self.shown().count().saturating_sub(1);
        self.cursor = last.saturating_sub(index);
        self.follows = self.follows && self.cursor == 0;
        self.clamp();
    }

    /// The places of the shown events that a view of so many rows shows, counted from the oldest.
    #[must_use]
    pub fn places(&self, rows: usize) -> std::ops::Range<usize> {
        let count = self.shown().count();
        let end = self.end.clamp((self.cursor + 1).saturating_sub(rows), self.cursor);
        // At the top of the feed the view stays full.
        let stop = count.saturating_sub(end).max(rows.min(count));
        stop.saturating_sub(rows)..stop
    }

    /// The events to show in `rows` rows, oldest first, each with whether the cursor is on it.
    pub fn window(&self, rows: usize) -> impl Iterator<Item = (bool, &Event)> {
        let shown: Vec<&Event> = self.shown().collect();
        let std::ops::Range { start, end: stop } = self.places(rows);
        let cursor = shown.len().checked_sub(self.cursor + 1);
        let window: Vec<&Event> = shown[start..stop].to_vec();
        (start..).zip(window).map(move |(index, event)| (Some(index) == cursor, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Event {
        Event::new(Duration::ZERO, Source::You, Level::Info, number.to_string())
    }

    fn texts(events: &Events) -> Vec<&str> {
        events.window(3).map(|(_, event)| event.text.as_str()).collect()
    }

    #[test]
    fn a_view_that_is_scrolled_up_stays_and_counts_what_it_misses() {
        let mut events = Events::default();
        (0..10).for_each(|number| events.push(event(number)));
        assert_eq!(texts(&events), ["7", "8", "9"]);
        events.scroll(-3);
        (10..15).for_each(|number| events.push(event(number)));
        assert_eq!(texts(&events), ["6", "7", "8"]);
        assert_eq!((events.unseen(), events.selected().unwrap().text.as_str()), (5, "6"));
        events.scroll(1);
        assert_eq!((texts(&events), events.selected().unwrap().text.as_str()), (vec!["7", "8", "9"], "7"));
        events.scroll(i64::MAX);
        assert!(events.is_following() && events.unseen() == 0);
        assert_eq!(texts(&events), ["12", "13", "14"]);
        events.scroll(i64::MIN);
        assert_eq!(texts(&events), ["0", "1", "2"]);
    }

    #[test]
    fn a_view_that_was_stopped_stays_though_it_is_at_the_end() {
        let mut events = Events::default();
        (0..10).for_each(|number| events.push(event(number)));
        events.toggle_follow();
        (10..12).for_each(|number| events.push(event(number)));
        assert_eq!((texts(&events), events.unseen()), (vec!["7", "8", "9"], 2));
        events.toggle_follow();
        assert_eq!((texts(&events), events.unseen()), (vec!["9", "10", "11"], 0));
    }

    #[test]
    fn a_filter_knows_members_from_texts() {
        let mut events = Events::default();
        let mut push = |source, text: &str| {
            events.push(Event::new(Duration::ZERO, source, Level::Info, text.into()));
        };
        push(Source::Member(Member::Node(1)), "LEADING epoch 7");
        push(Source::Member(Member::Node(11)), "FOLLOWING n1 epoch 7");
        push(Source::You, "cut n1,n2 from n3");
        push(Source::Member(Member::Node(11)), "answers again");
        let mut found = |filter: &str| {
            events.set_filter(Matcher::new(filter));
            events.shown().map(|event| event.text.chars().take(3).collect::<String>()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("n1"), "LEA FOL cut");
        assert_eq!(found("!n1"), "ans");
        assert_eq!(
            (found("you"), found("epoch"), found("")),
            ("cut".into(), "LEA FOL".into(), "LEA FOL cut ans".into())
        );
        events.set_filter(Matcher::new("n11"));
        events.scroll(-1);
        assert_eq!(events.selected().unwrap().member(), Some(Member::Node(11)));
        assert_eq!(events.window(9).map(|(is_cursor, _)| is_cursor).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn the_feed_is_bounded() {
        let mut events = Events::default();
        (0..EVENTS_MAX + 10).for_each(|number| events.push(event(number)));
        assert_eq!(events.iter().len(), EVENTS_MAX);
    }
}
