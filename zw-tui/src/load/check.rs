//! The live verdict on correctness: every acknowledged write and every read of a load is checked as it is answered.
//!
//! Nothing is taken from the nodes' own words about themselves; what they answer to clients must fit together. Each
//! version of a key is there from the entry that made it at least until the last zxid at which anybody saw it: a span.
//!
//! | property | what must hold |
//! |---|---|
//! | SessionOrder | the zxids of one connection's answers never go back, those of its writes rise |
//! | RealTimeOrder | a write that was begun after an answer has a greater zxid than that |
//! | NothingLost | the spans of a key's versions do not overlap and rise with the versions |
//! | OneEntryPerVersion | a version has one zxid and one value |
//! | DeliveredOnce | no value is there twice |
//! | OnlyWhatWasAsked | every value was written there by this load |
//! | FreshAfterSync | a read behind a sync is not older than any answer before the sync |
//!
//! Unknown outcomes stay unknown: such a write may be there, once, or not. Of each key the newest spans are kept, and
//! the last one that was forgotten stands for all before it.

use std::collections::BTreeMap;
use zw_core::ids::Zxid;

/// Versions of a key whose spans are kept: far more than are under way at once.
const SPANS_MAX: usize = 64;

/// A property that does not hold, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: &'static str,
    /// What was seen.
    pub evidence: String,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No such znode.
    Nothing,
    /// A value that this load never wrote there.
    Foreign,
    /// A value of this load.
    Value {
        /// Its number.
        value: u64,
        /// The znode's version.
        version: i32,
        /// The entry that wrote it.
        mzxid: Zxid,
    },
}

/// All that was seen, as far as it is needed.
#[derive(Debug)]
pub struct Checker {
    keys: Vec<Key>,
    /// The greatest zxid that each connection was answered with.
    seen: Vec<Zxid>,
    /// The greatest zxid in any answer.
    newest: Zxid,
    checked: u64,
    violations: u64,
    first: Option<Violation>,
}

#[derive(Debug, Default)]
struct Key {
    spans: BTreeMap<i32, Span>,
    /// The newest of those that are kept no more.
    forgotten: Option<(i32, Span)>,
    /// Writes that were sent.
    sent: i32,
    /// Writes that were acknowledged.
    acknowledged: i32,
}

/// When a version was there, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: Zxid,
    to: Zxid,
    value: u64,
}

impl Checker {
    /// For so many keys, which exist with version 0 and value 0, and so many connections.
    #[must_use]
    pub fn new(keys: usize, connections: usize) -> Checker {
        Checker {
            keys: (0..keys).map(|_| Key::default()).collect(),
            seen: vec![Zxid::ZERO; connections],
            newest: Zxid::ZERO,
            checked: 0,
            violations: 0,
            first: None,
        }
    }

    /// The greatest zxid in any answer so far: what is begun now comes after it.
    #[must_use]
    pub fn floor(&self) -> Zxid {
        self.newest
    }

    /// Answers that were checked.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// How often a property did not hold.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// The first time that one did not.
    #[must_use]
    pub fn first(&self) -> Option<&Violation> {
        self.first.as_ref()
    }

    /// A connection is a new one, to whatever node.
    pub fn connected(&mut self, connection: usize) {
        self.seen[connection] = Zxid::ZERO;
    }

    /// A write of `key` was sent.
    pub fn sent(&mut self, key: usize) {
        self.keys[key].sent += 1;
    }

    /// A write, begun when the floor was `floor`, was acknowledged at `zxid`, which it says made `version`.
    pub fn written(&mut self, connection: usize, key: usize, floor: Zxid, zxid: Zxid, (value, version): (u64, i32)) {
        self.checked += 1;
        let seen = self.seen[connection];
        let order = format!("a connection that was answered at {seen} has its next write at {zxid}");
        self.expect(zxid > seen, "SessionOrder", order);
        let order = format!("a write of k{key} that was begun after an answer of {floor} is done at {zxid}");
        self.expect(zxid > floor, "RealTimeOrder", order);
        self.answered(connection, zxid);
        self.keys[key].acknowledged += 1;
        self.span(key, version, Span { from: zxid, to: zxid, value });
    }

    /// A read was answered at `zxid`; `floor` is given if a sync was sent before it, from when that was sent.
    pub fn read(&mut self, connection: usize, key: usize, floor: Option<Zxid>, zxid: Zxid, found: Found) {
        self.checked += 1;
        let seen = self.seen[connection];
        let order = format!("a connection that was answered at {seen} reads k{key} at {zxid}");
        self.expect(zxid >= seen, "SessionOrder", order);
        if let Some(floor) = floor {
            let stale = format!("k{key} is read at {zxid} behind a sync, though {floor} was answered before it");
            self.expect(zxid >= floor, "FreshAfterSync", stale);
        }
        self.answered(connection, zxid);
        match found {
            Found::Nothing => self.fail("NothingLost", format!("k{key} is gone at {zxid}")),
            Found::Foreign => self.fail("OnlyWhatWasAsked", format!("k{key} holds at {zxid} what nobody wrote there")),
            Found::Value { version, mzxid, .. } if mzxid > zxid => {
                self.fail("SessionOrder", format!("k{key} read at {zxid} shows version {version} of {mzxid}"));
            }
            Found::Value { value, version, mzxid } => self.span(key, version, Span { from: mzxid, to: zxid, value }),
        }
    }

    /// At the end, behind a sync: a key must have as many versions as writes were acknowledged, and no more than were
    /// sent.
    pub fn last(&mut self, key: usize, version: i32) {
        let Key { sent, acknowledged, .. } = self.keys[key];
        let lost = format!("k{key} ends at version {version}, though {acknowledged} writes of it were acknowledged");
        self.expect(version >= acknowledged, "NothingLost", lost);
        let invented = format!("k{key} ends at version {version}, though only {sent} writes of it were sent");
        self.expect(version <= sent, "DeliveredOnce", invented);
    }

    fn answered(&mut self, connection: usize, zxid: Zxid) {
        self.seen[connection] = self.seen[connection].max(zxid);
        self.newest = self.newest.max(zxid);
    }

    fn expect(&mut self, holds: bool, property: &'static str, evidence: String) {
        if !holds {
            self.fail(property, evidence);
        }
    }

    fn fail(&mut self, property: &'static str, evidence: String) {
        self.violations += 1;
        self.first.get_or_insert(Violation { property, evidence });
    }

    /// Takes in that a version was there.
    fn span(&mut self, key: usize, version: i32, span: Span) {
        if let Err((property, evidence)) = self.keys[key].take(version, span) {
            self.fail(property, format!("k{key}: {evidence}"));
        }
    }
}

type Verdict = Result<(), (&'static str, String)>;

impl Key {
    fn take(&mut self, version: i32, span: Span) -> Verdict {
        if version > self.sent {
            return Err(("DeliveredOnce", format!("version {version} is there, but {} writes were sent", self.sent)));
        }
        if let Some((last, known)) = self.forgotten
            && version <= last
        {
            // Of those before it all that is known is that they were over.
            let is_same = version == last && span.from == known.from;
            return if is_same || version < last && span.to < known.from {
                Ok(())
            } else {
                apart(version, span, last, known)
            };
        }
        match self.spans.get(&version) {
            Some(known) if known.from != span.from => {
                let text = format!("version {version} was made by {} and by {}", known.from, span.from);
                return Err(("OneEntryPerVersion", text));
            }
            Some(known) if known.value != span.value => {
                let text = format!("version {version} has the values {} and {}", known.value, span.value);
                return Err(("OneEntryPerVersion", text));
            }
            Some(_) => {}
            None => {
                if let Some((other, _)) = self.spans.iter().find(|(_, known)| known.value == span.value) {
                    let text = format!("value {} is version {other} and version {version}", span.value);
                    return Err(("DeliveredOnce", text));
                }
            }
        }
        let before = self.spans.range(..version).next_back().map(|(other, known)| (*other, *known)).or(self.forgotten);
        let after = self.spans.range(version + 1..).next().map(|(other, known)| (*other, *known));
        if let Some((other, known)) = before.filter(|(_, known)| known.to >= span.from) {
            return apart(other, known, version, span);
        }
        if let Some((other, known)) = after.filter(|(_, known)| known.from <= span.to) {
            return apart(version, span, other, known);
        }
        let entry = self.spans.entry(version).or_insert(span);
        entry.to = entry.to.max(span.to);
        if self.spans.len() > SPANS_MAX {
            self.forgotten = self.spans.pop_first();
        }
        Ok(())
    }
}

/// The older version was still there when the newer one was.
fn apart(older: i32, old: Span, newer: i32, new: Span) -> Verdict {
    let text = format!(
        "version {older} of {} was there at {}, though version {newer} was made by {} before",
        old.from, old.to, new.from
    );
    Err(("NothingLost", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;

    fn at(counter: u64) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    /// One key with so many writes under way, two connections.
    fn checker(writes: i32) -> Checker {
        let mut checker = Checker::new(1, 2);
        (0..writes).for_each(|_| checker.sent(0));
        checker
    }

    fn value(value: u64, version: i32, mzxid: u64) -> Found {
        Found::Value { value, version, mzxid: at(mzxid) }
    }

    fn property(checker: &Checker) -> &'static str {
        checker.first().map_or("none", |violation| violation.property)
    }

    #[test]
    fn an_honest_history_has_no_violation() {
        let mut checker = checker(4);
        checker.read(0, 0, None, at(3), value(0, 0, 2));
        checker.written(0, 0, at(3), at(5), (1, 1));
        // An older read on another connection, to a follower that is behind, and its acknowledgement that came late.
        checker.read(1, 0, None, at(4), value(0, 0, 2));
        checker.written(1, 0, at(5), at(7), (3, 3));
        // The second write's outcome was unknown; it is found.
        checker.read(0, 0, None, at(6), value(2, 2, 6));
        checker.read(0, 0, Some(at(7)), at(8), value(3, 3, 7));
        checker.last(0, 3);
        assert_eq!((checker.violations(), checker.first()), (0, None));
        assert_eq!(checker.checked(), 6);
        assert_eq!(checker.floor(), at(8));
    }

    #[test]
    fn a_connection_that_goes_back_is_found_and_a_new_one_may() {
        let mut checker = checker(2);
        checker.read(0, 0, None, at(9), value(0, 0, 2));
        checker.connected(0);
        checker.read(0, 0, None, at(5), value(0, 0, 2));
        assert_eq!(checker.violations(), 0);
        checker.read(0, 0, None, at(4), value(0, 0, 2));
        assert_eq!((property(&checker), checker.violations()), ("SessionOrder", 1));
        let mut checker = self::checker(2);
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        checker.written(0, 0, Zxid::ZERO, at(5), (2, 2));
        assert_eq!(property(&checker), "SessionOrder");
    }

    #[test]
    fn a_write_before_what_was_answered_before_it_is_found() {
        let mut checker = checker(1);
        checker.written(0, 0, at(8), at(7), (1, 1));
        assert_eq!(property(&checker), "RealTimeOrder");
    }

    #[test]
    fn a_lost_write_is_found_whichever_answer_comes_first() {
        let mut checker = checker(1);
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        checker.read(1, 0, None, at(6), value(0, 0, 2));
        assert_eq!(property(&checker), "NothingLost");
        let evidence = checker.first().map(|first| first.evidence.as_str());
        let wanted = "k0: version 0 of 1:2 was there at 1:6, though version 1 was made by 1:5 before";
        assert_eq!(evidence, Some(wanted));
        let mut checker = self::checker(1);
        checker.read(1, 0, None, at(6), value(0, 0, 2));
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        assert_eq!(property(&checker), "NothingLost");
        let mut checker = self::checker(1);
        checker.read(1, 0, None, at(6), Found::Nothing);
        assert_eq!(property(&checker), "NothingLost");
    }

    #[test]
    fn a_lost_write_is_found_among_those_that_are_forgotten() {
        let count = i32::try_from(SPANS_MAX).unwrap() * 2;
        let mut checker = checker(count);
        for version in 1..=count {
            let number = u64::try_from(version).unwrap();
            checker.written(0, 0, Zxid::ZERO, at(number * 10), (number, version));
        }
        assert!(checker.keys[0].spans.len() <= SPANS_MAX);
        checker.read(1, 0, None, at(25), value(2, 2, 20));
        assert_eq!(checker.violations(), 0, "an old read of an old version");
        checker.read(1, 0, None, at(u64::try_from(count).unwrap() * 10), value(3, 3, 30));
        assert_eq!(property(&checker), "NothingLost");
    }

    #[test]
    fn a_version_with_two_entries_or_two_values_is_found() {
        let mut checker = checker(2);
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        checker.written(1, 0, Zxid::ZERO, at(6), (2, 1));
        assert_eq!(property(&checker), "OneEntryPerVersion");
        let mut checker = self::checker(2);
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        checker.read(1, 0, None, at(6), value(2, 1, 5));
        assert_eq!(property(&checker), "OneEntryPerVersion");
    }

    #[test]
    fn a_write_that_is_done_twice_is_found() {
        let mut checker = checker(2);
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        checker.read(1, 0, None, at(7), value(1, 2, 6));
        assert_eq!(property(&checker), "DeliveredOnce");
        let mut checker = self::checker(1);
        checker.read(1, 0, None, at(7), value(9, 2, 6));
        assert_eq!(property(&checker), "DeliveredOnce", "more versions than writes");
    }

    #[test]
    fn what_nobody_wrote_is_found() {
        let mut checker = checker(1);
        checker.read(1, 0, None, at(7), Found::Foreign);
        assert_eq!(property(&checker), "OnlyWhatWasAsked");
    }

    #[test]
    fn a_stale_read_behind_a_sync_is_found() {
        let mut checker = checker(1);
        checker.read(0, 0, Some(at(9)), at(8), value(0, 0, 2));
        assert_eq!(property(&checker), "FreshAfterSync");
    }

    #[test]
    fn too_few_versions_at_the_end_are_found() {
        let mut checker = checker(3);
        checker.written(0, 0, Zxid::ZERO, at(5), (1, 1));
        checker.written(0, 0, Zxid::ZERO, at(6), (2, 2));
        checker.last(0, 1);
        assert_eq!(property(&checker), "NothingLost");
    }
}
