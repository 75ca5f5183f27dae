//! The feed of what happened: bounded, newest last.

use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

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
}

/// The feed and where it is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Events {
    list: VecDeque<Event>,
    /// All that were ever added.
    total: u64,
    /// How far above the newest the view ends; 0 follows the newest.
    behind: usize,
    /// Events that came in while the view did not follow.
    unseen: usize,
}

impl Events {
    /// Adds one; the oldest goes when there are too many. A view that was scrolled up does not move.
    pub fn push(&mut self, event: Event) {
        if self.list.len() == EVENTS_MAX {
            self.list.pop_front();
        }
        self.list.push_back(event);
        self.total += 1;
        if self.behind > 0 {
            self.behind = (self.behind + 1).min(self.list.len() - 1);
            self.unseen += 1;
        }
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

    /// Scrolls towards the newest by `rows`, or away from it if negative.
    pub fn scroll(&mut self, rows: i64) {
        let last = self.list.len().saturating_sub(1);
        let behind = i64::try_from(self.behind).unwrap_or(i64::MAX).saturating_sub(rows).max(0);
        self.behind = usize::try_from(behind).unwrap_or(0).min(last);
        if self.behind == 0 {
            self.unseen = 0;
        }
    }

    /// Whether the newest is shown.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.behind == 0
    }

    /// Events below the view that were never shown.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// The events to show in `rows` rows, oldest first.
    pub fn window(&self, rows: usize) -> impl Iterator<Item = &Event> {
        let end = self.list.len() - self.behind.min(self.list.len());
        // At the top of the feed the view stays full.
        let end = end.max(rows.min(self.list.len()));
        self.list.range(end.saturating_sub(rows)..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Event {
        Event { at: Duration::ZERO, source: Source::You, level: Level::Info, text: number.to_string() }
    }

    fn texts(events: &Events) -> Vec<&str> {
        events.window(3).map(|event| event.text.as_str()).collect()
    }

    #[test]
    fn a_view_that_is_scrolled_up_stays_and_counts_what_it_misses() {
        let mut events = Events::default();
        (0..10).for_each(|number| events.push(event(number)));
        assert_eq!(texts(&events), ["7", "8", "9"]);
        events.scroll(-2);
        (10..15).for_each(|number| events.push(event(number)));
        assert_eq!(texts(&events), ["5", "6", "7"]);
        assert_eq!(events.unseen(), 5);
        events.scroll(i64::MAX);
        assert!(events.is_following() && events.unseen() == 0);
        assert_eq!(texts(&events), ["12", "13", "14"]);
        events.scroll(i64::MIN);
        assert_eq!(texts(&events), ["0", "1", "2"]);
    }

    #[test]
    fn the_feed_is_bounded() {
        let mut events = Events::default();
        (0..EVENTS_MAX + 10).for_each(|number| events.push(event(number)));
        assert_eq!(events.iter().len(), EVENTS_MAX);
    }
}
