//! What one load client wrote: every acknowledged write, and what must be found of it at the end.
//!
//! - A value carries its client and its sequence number, which rises with every write of that client.
//! - All writes of one key go through one connection. There the ensemble keeps the client's order, so what is found at
//!   the end must be the last acknowledged write or a later one. A write whose outcome is unknown may be done late; to keep
//!   it from hiding a lost write, a client that loses its connection goes on with new keys.

use std::collections::BTreeSet;

/// The keys of one client, and the writes that were acknowledged for each.
pub(super) struct Ledger {
    prefix: String,
    client: usize,
    keys: Vec<Key>,
    /// The keys that are written now, by their place in `keys`.
    current: Vec<usize>,
    turn: usize,
    sequence: u64,
    mode: Mode,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Sets the data of a few keys over and over.
    Set,
    /// Makes a new znode with each write.
    Create,
}

#[derive(Clone, Copy, Default)]
struct Key {
    /// Whether a create was sent or is known to be done.
    made: bool,
    /// The sequence number of the last acknowledged write.
    acknowledged: Option<u64>,
}

/// A write to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// Which key.
    pub(super) key: usize,
    /// The number in its value.
    pub(super) sequence: u64,
    /// Whether it makes the znode.
    pub(super) creates: bool,
}

/// What is found at the end for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No such znode.
    Nothing,
    /// A value with this sequence number.
    Sequence(u64),
    /// A value that this client never wrote there.
    Foreign,
}

impl Ledger {
    /// The ledger of `client` with `keys` keys below `prefix`, which exist if `made`.
    pub(super) fn new(prefix: &str, client: usize, keys: usize, mode: Mode, made: bool) -> Ledger {
        let mut ledger = Ledger {
            prefix: prefix.to_owned(),
            client,
            keys: Vec::new(),
            current: Vec::new(),
            turn: 0,
            sequence: 0,
            mode,
        };
        if mode == Mode::Set {
            ledger.keys = vec![Key { made, acknowledged: None }; keys];
            ledger.current = (0..keys).collect();
        }
        ledger
    }

    /// The next write, in turn over the keys.
    pub(super) fn next_write(&mut self) -> Write {
        self.sequence += 1;
        if self.mode == Mode::Create {
            self.keys.push(Key { made: true, acknowledged: None });
            return Write { key: self.keys.len() - 1, sequence: self.sequence, creates: true };
        }
        self.turn = (self.turn + 1) % self.current.len();
        let key = self.current[self.turn];
        let creates = !self.keys[key].made;
        self.keys[key].made = true;
        Write { key, sequence: self.sequence, creates }
    }

    /// A key to read: one that certainly exists, if there is one. `choice` is any number.
    pub(super) fn key_to_read(&self, choice: u64) -> Option<usize> {
        let candidates = if self.mode == Mode::Set { &self.current[..] } else { &[] };
        let from = usize::try_from(choice).unwrap_or(0) % candidates.len().max(1);
        let (after, before) = candidates.split_at(from.min(candidates.len()));
        after.iter().chain(before).copied().find(|key| self.keys[*key].acknowledged.is_some() || self.keys[*key].made)
    }

    /// The write was acknowledged.
    pub(super) fn acknowledged(&mut self, write: Write) {
        let key = &mut self.keys[write.key];
        assert!(key.acknowledged < Some(write.sequence), "answers come in the order of the requests");
        key.acknowledged = Some(write.sequence);
    }

    /// The write was refused, or its outcome is unknown. If it was to make the key, another key takes its place.
    pub(super) fn failed(&mut self, write: Write) {
        if write.creates
            && let Some(place) = self.current.iter().position(|key| *key == write.key)
        {
            self.renew(place);
        }
    }

    /// The connection is lost: from now on all keys are new ones.
    pub(super) fn connection_lost(&mut self) {
        for place in 0..self.current.len() {
            if self.keys[self.current[place]].made {
                self.renew(place);
            }
        }
    }

    fn renew(&mut self, place: usize) {
        self.current[place] = self.keys.len();
        self.keys.push(Key::default());
    }

    /// Where the key lies.
    pub(super) fn path(&self, key: usize) -> String {
        match self.mode {
            Mode::Set => format!("{}/c{}-{key}", self.prefix, self.client),
            Mode::Create => format!("{}/{key:08}", self.parent()),
        }
    }

    /// In [`Mode::Create`]: the znode under which the others are made.
    pub(super) fn parent(&self) -> String {
        format!("{}/c{}", self.prefix, self.client)
    }

    /// Whether each write makes a znode of its own.
    pub(super) fn is_of_creates(&self) -> bool {
        self.mode == Mode::Create
    }

    /// All keys that may exist.
    pub(super) fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.keys.len()
    }

    /// Keys with an acknowledged write, and its sequence number.
    pub(super) fn expected(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.keys.iter().enumerate().filter_map(|(key, known)| Some((key, known.acknowledged?)))
    }

    /// A value of `size` bytes.
    pub(super) fn value(&self, write: Write, size: usize) -> Vec<u8> {
        let mut value = format!("{} {} {} ", self.client, write.key, write.sequence).into_bytes();
        value.resize(size.max(value.len()), b'.');
        value
    }

    /// Reads what `value` made.
    pub(super) fn found(&self, key: usize, value: &[u8]) -> Found {
        let text = String::from_utf8_lossy(&value[..value.len().min(64)]);
        let mut words = text.split(' ').map(str::parse::<u64>);
        match (words.next(), words.next(), words.next()) {
            (Some(Ok(client)), Some(Ok(found)), Some(Ok(sequence)))
                if (client, found) == (self.client as u64, key as u64) =>
            {
                Found::Sequence(sequence)
            }
            _ => Found::Foreign,
        }
    }

    /// Of the acknowledged creates, those that are not among `names`, the children of [`Ledger::parent`].
    pub(super) fn missing_creates(&self, names: &BTreeSet<String>) -> u64 {
        let missing = self.expected().filter(|(key, _)| !names.contains(&format!("{key:08}")));
        missing.count() as u64
    }
}

/// Whether an acknowledged write is lost, given what is found.
pub(super) fn is_lost(acknowledged: u64, found: Found) -> bool {
    match found {
        Found::Nothing | Found::Foreign => true,
        Found::Sequence(sequence) => sequence < acknowledged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_and_a_foreign_one_is_known() {
        let mut ledger = Ledger::new("/l", 3, 2, Mode::Set, true);
        let write = ledger.next_write();
        let value = ledger.value(write, 100);
        assert_eq!(value.len(), 100);
        assert_eq!(ledger.found(write.key, &value), Found::Sequence(write.sequence));
        assert_eq!(ledger.found(write.key + 1, &value), Found::Foreign);
        assert_eq!(ledger.found(write.key, b"somebody"), Found::Foreign);
        assert_eq!(ledger.found(write.key, b""), Found::Foreign);
    }

    #[test]
    fn only_an_older_value_is_a_loss() {
        assert!(!is_lost(5, Found::Sequence(5)) && !is_lost(5, Found::Sequence(6)), "later, unknown: overwritten");
        assert!(is_lost(5, Found::Sequence(4)) && is_lost(5, Found::Nothing) && is_lost(5, Found::Foreign));
    }

    #[test]
    fn after_a_lost_connection_the_keys_are_new() {
        let mut ledger = Ledger::new("/l", 0, 2, Mode::Set, true);
        let first = ledger.next_write();
        assert!(!first.creates);
        ledger.acknowledged(first);
        ledger.connection_lost();
        let second = ledger.next_write();
        assert!(second.creates && second.key != first.key);
        let third = ledger.next_write();
        let again = ledger.next_write();
        assert!(third.creates && !again.creates, "each key is made once");
        assert_eq!(again.key, second.key);
        assert_eq!(ledger.expected().collect::<Vec<_>>(), [(first.key, first.sequence)]);
    }

    #[test]
    fn a_key_that_could_not_be_made_is_replaced() {
        let mut ledger = Ledger::new("/l", 0, 1, Mode::Set, false);
        let create = ledger.next_write();
        assert!(create.creates);
        ledger.failed(create);
        let next = ledger.next_write();
        assert!(next.creates && next.key != create.key);
        ledger.failed(create);
        assert_eq!(ledger.next_write(), Write { key: next.key, sequence: 3, creates: false }, "an old failure is over");
    }

    #[test]
    fn missing_creates_are_counted_by_name() {
        let mut ledger = Ledger::new("/l", 1, 0, Mode::Create, false);
        let writes = [ledger.next_write(), ledger.next_write(), ledger.next_write()];
        ledger.acknowledged(writes[0]);
        ledger.acknowledged(writes[2]);
        assert_eq!(ledger.path(writes[2].key), "/l/c1/00000002");
        assert_eq!(ledger.missing_creates(&BTreeSet::from(["00000000".to_owned()])), 1);
        assert_eq!(ledger.missing_creates(&BTreeSet::from(["00000000".to_owned(), "00000002".to_owned()])), 0);
    }
}
