//! Which znodes' watches fired just now: their lines in the tree are marked for a second.
//!
//! Invariant: the marks are bounded, and none is made of what was told late: a mark says that it happened now.

use crate::motion::Motion;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a mark stays.
pub const MARK_TIME: Duration = Duration::from_secs(1);
/// Marks at a time; the oldest goes first.
const MARKS_MAX: usize = 64;

/// The marks, with when each ends, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired(VecDeque<(String, Duration)>);

impl Fired {
    /// Takes paths, each with how long ago its watches fired; whether there is a new mark. Without motion there are none.
    pub fn take(&mut self, now: Duration, motion: Motion, fired: impl Iterator<Item = (String, Duration)>) -> bool {
        self.0.retain(|(_, until)| *until > now);
        let mut is_new = false;
        for (path, ago) in fired.filter(|(_, ago)| motion != Motion::Off && *ago < MARK_TIME) {
            let until = now + (MARK_TIME - ago);
            is_new = true;
            if let Some(mark) = self.0.iter_mut().find(|mark| mark.0 == path) {
                mark.1 = mark.1.max(until);
                continue;
            }
            if self.0.len() == MARKS_MAX {
                self.0.pop_front();
            }
            self.0.push_back((path, until));
        }
        is_new
    }

    /// Whether a znode is marked: its watches fired, or if it is closed those of one below it, which has no line.
    #[must_use]
    pub fn is_marked(&self, path: &str, is_open: bool, now: Duration) -> bool {
        let is_below = |marked: &str| marked.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let is_it = |marked: &str| marked == path || (!is_open && is_below(marked));
        self.0.iter().any(|(marked, until)| is_it(marked) && *until > now)
    }

    /// When marks end.
    pub fn ends(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().map(|(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn one(path: &str, ago: Duration) -> std::iter::Once<(String, Duration)> {
        std::iter::once((path.to_owned(), ago))
    }

    #[test]
    fn a_mark_stays_for_a_second_from_when_it_happened() {
        let mut fired = Fired::default();
        assert!(fired.take(SECOND, Motion::Full, one("/a", SECOND / 4)));
        assert!(fired.is_marked("/a", true, SECOND) && !fired.is_marked("/b", true, SECOND));
        assert_eq!(fired.ends().min(), Some(SECOND + SECOND * 3 / 4));
        assert!(!fired.is_marked("/a", true, SECOND + SECOND * 3 / 4));
        assert!(!fired.take(SECOND, Motion::Full, one("/b", SECOND)), "that was long ago");
        assert!(fired.take(SECOND * 3 / 2, Motion::Reduced, one("/a", Duration::ZERO)), "again: it stays longer");
        assert!(fired.is_marked("/a", true, 2 * SECOND) && fired.ends().count() == 1);
        assert!(!fired.take(9 * SECOND, Motion::Off, one("/c", Duration::ZERO)));
        assert_eq!(fired, Fired::default());
    }

    #[test]
    fn a_closed_znode_is_marked_for_those_below_it() {
        let mut fired = Fired::default();
        fired.take(SECOND, Motion::Full, one("/a/b/c", Duration::ZERO));
        let marked = |path: &str, is_open: bool| fired.is_marked(path, is_open, SECOND);
        assert!(marked("/a", false) && marked("/a/b", false) && marked("/a/b/c", true));
        assert!(!marked("/a", true) && !marked("/a/b/c/d", false) && !marked("/a/b/cd", false) && !marked("/", true));
        assert!(!marked("/a/bb", false) && !marked("/aa", false));
    }

    #[test]
    fn marks_are_bounded() {
        let mut fired = Fired::default();
        for number in 0..1_000 {
            fired.take(SECOND, Motion::Full, one(&format!("/{number}"), Duration::ZERO));
        }
        assert!(
            fired.ends().count() == MARKS_MAX
                && fired.is_marked("/999", true, SECOND)
                && !fired.is_marked("/0", true, SECOND)
        );
    }
}
