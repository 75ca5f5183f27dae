//! What `/` looks for in lists and texts.

use serde::{Deserialize, Serialize};

/// A text to look for, whatever its case; with `!` before it, what does not contain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    needle: String,
    is_inverse: bool,
}

impl Matcher {
    /// From what was typed; none if that is nothing.
    #[must_use]
    pub fn new(text: &str) -> Option<Matcher> {
        let (is_inverse, needle) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        (!needle.is_empty()).then(|| Matcher { needle: needle.to_lowercase(), is_inverse })
    }

    /// As it was typed, but for its case.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", if self.is_inverse { "!" } else { "" }, self.needle)
    }

    /// What is looked for, in lower case.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.needle
    }

    /// Whether what does not contain it is looked for.
    #[must_use]
    pub fn is_inverse(&self) -> bool {
        self.is_inverse
    }

    /// Whether all that this one finds is found by `other` too, so that only that has to be looked through again.
    #[must_use]
    pub fn narrows(&self, other: &Matcher) -> bool {
        !self.is_inverse && !other.is_inverse && self.needle.contains(&other.needle)
    }

    /// Whether a line is wanted.
    #[must_use]
    pub fn is_match(&self, line: &str) -> bool {
        self.contains(line) != self.is_inverse
    }

    fn contains(&self, line: &str) -> bool {
        let (needle, line_bytes) = (self.needle.as_bytes(), line.as_bytes());
        if self.needle.is_ascii() && line.is_ascii() {
            // Without a copy: a list may have hundreds of thousands of lines.
            return line_bytes.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle));
        }
        line.to_lowercase().contains(&self.needle)
    }

    /// Where it stands in a line, as bytes from and to; nothing for an inverse one.
    #[must_use]
    pub fn places(&self, line: &str) -> Vec<(usize, usize)> {
        // Other cases may have other lengths: only those of ASCII are found whatever their case.
        let needle = self.needle.as_bytes();
        let mut places = Vec::new();
        let mut at = 0;
        while !self.is_inverse && at + needle.len() <= line.len() {
            if line.as_bytes()[at..at + needle.len()].eq_ignore_ascii_case(needle) {
                places.push((at, at + needle.len()));
                at += needle.len();
            } else {
                at += 1;
            }
        }
        places.retain(|(from, to)| line.is_char_boundary(*from) && line.is_char_boundary(*to));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_whatever_the_case() {
        let find = |needle: &str, line: &str| Matcher::new(needle).unwrap().is_match(line);
        assert!(find("Leader", "new LEADER n3") && find("ÜB", "über") && !find("x", "abc"));
        assert!(!find("!n3", "n3 stopped") && find("!n3", "n1 stopped"));
        assert_eq!((Matcher::new(""), Matcher::new("!")), (None, None));
    }

    #[test]
    fn places_are_whole_characters() {
        let places = |needle: &str, line: &str| Matcher::new(needle).unwrap().places(line);
        assert_eq!(places("ab", "xABabé"), [(1, 3), (3, 5)]);
        assert_eq!(places("é", "é日é"), [(0, 2), (5, 7)]);
        assert_eq!(places("!a", "a"), []);
        assert_eq!(places("long", "lo"), []);
    }

    #[test]
    fn a_longer_text_narrows() {
        let matcher = |text| Matcher::new(text).unwrap();
        assert!(matcher("goal").narrows(&matcher("go")) && !matcher("go").narrows(&matcher("goal")));
        assert!(!matcher("!goal").narrows(&matcher("!go")));
    }
}
