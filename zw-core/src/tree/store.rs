//! The ordered copy-on-write map under the tree: byte keys to values, in chunks that snapshots share.
//!
//! Invariants:
//! - Keys ascend strictly within a chunk and from chunk to chunk; no chunk is empty.
//! - A chunk holds at most [`CHUNK_ENTRIES_MAX`] entries, and at most [`CHUNK_KEY_BYTES_MAX`] bytes of keys and one key
//!   more.
//! - A clone shares every chunk. A write copies at most the one chunk that it changes, and the neighbour that it joins:
//!   so the pause that a live snapshot costs a write does not grow with the map (docs/decisions/001).

use crate::limits::{CHUNK_ENTRIES_MAX, CHUNK_KEY_BYTES_MAX};
use std::cmp::Ordering;
use std::sync::Arc;

/// See the module.
#[derive(Clone)]
pub(super) struct ChunkMap<V> {
    chunks: Vec<Arc<Chunk<V>>>,
    /// One key for each chunk, above all keys of the chunk before, and not above those of its own. The first chunk also
    /// takes what is below its bound.
    bounds: Keys,
    len: usize,
}

/// A run of entries.
#[derive(Clone)]
struct Chunk<V> {
    keys: Keys,
    values: Vec<V>,
}

/// Ascending keys, end to end in one buffer, so that a search stays within a few cache lines.
#[derive(Clone, Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

/// Where a key is, or where it would have to be inserted.
struct Place {
    chunk: usize,
    index: usize,
    found: bool,
}

impl<V: Clone> ChunkMap<V> {
    pub(super) fn new() -> ChunkMap<V> {
        ChunkMap { chunks: Vec::new(), bounds: Keys::default(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        let place = self.find(key);
        place.found.then(|| &self.chunks[place.chunk].values[place.index])
    }

    /// The value, in a chunk that no snapshot shares any more.
    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let place = self.find(key);
        place.found.then(|| &mut Arc::make_mut(&mut self.chunks[place.chunk]).values[place.index])
    }

    /// Adds an entry; a key that is there already gets the new value, and the old one is given back.
    pub(super) fn insert(&mut self, key: &[u8], value: V) -> Option<V> {
        let Place { chunk: at, index, found } = self.find(key);
        if found {
            let values = &mut Arc::make_mut(&mut self.chunks[at]).values;
            return Some(std::mem::replace(&mut values[index], value));
        }
        self.len += 1;
        let Some(chunk) = self.chunks.get_mut(at) else {
            let mut chunk = Chunk { keys: Keys::default(), values: Vec::new() };
            chunk.insert(0, key, value);
            self.chunks.push(Arc::new(chunk));
            self.bounds.insert(0, key);
            return None;
        };
        let chunk = Arc::make_mut(chunk);
        if !chunk.is_full(key.len()) {
            chunk.insert(index, key, value);
            return None;
        }
        // Keys that arrive in ascending order fill their chunks: those are cut at the end, others in the middle.
        let cut = if index == chunk.len() { index } else { chunk.len() / 2 };
        let mut right = chunk.split_off(cut);
        if index > cut || right.len() == 0 {
            right.insert(index - cut, key, value);
        } else {
            chunk.insert(index, key, value);
        }
        self.bounds.insert(at + 1, right.keys.get(0));
        self.chunks.insert(at + 1, Arc::new(right));
        None
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<V> {
        let place = self.find(key);
        if !place.found {
            return None;
        }
        self.len -= 1;
        let chunk = Arc::make_mut(&mut self.chunks[place.chunk]);
        let value = chunk.remove(place.index);
        if chunk.len() == 0 {
            self.chunks.remove(place.chunk);
            self.bounds.remove(place.chunk);
        } else if chunk.len() < CHUNK_ENTRIES_MAX / 4 {
            self.join(place.chunk);
        }
        Some(value)
    }

    /// The entries from `key` on, ascending.
    pub(super) fn range_from(&self, key: &[u8]) -> Range<'_, V> {
        let place = self.find(key);
        Range { chunks: &self.chunks, chunk: place.chunk, index: place.index }
    }

    /// All entries, ascending.
    pub(super) fn iter(&self) -> Range<'_, V> {
        Range { chunks: &self.chunks, chunk: 0, index: 0 }
    }

    /// The entries whose keys begin with `prefix`, ascending.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a V)> {
        self.range_from(prefix).take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn find(&self, key: &[u8]) -> Place {
        let chunk = match self.bounds.search(key) {
            Ok(chunk) => chunk,
            Err(next) => next.saturating_sub(1),
        };
        match self.chunks.get(chunk).map(|chunk| chunk.keys.search(key)) {
            Some(Ok(index)) => Place { chunk, index, found: true },
            Some(Err(index)) => Place { chunk, index, found: false },
            None => Place { chunk, index: 0, found: false },
        }
    }

    /// Joins a chunk that has become small with a neighbour, if both together are not large.
    fn join(&mut self, at: usize) {
        let small = |left: &Chunk<V>, right: &Chunk<V>| {
            left.len() + right.len() <= CHUNK_ENTRIES_MAX / 2
                && left.keys.bytes.len() + right.keys.bytes.len() <= CHUNK_KEY_BYTES_MAX / 2
        };
        let fits = |left: usize| left + 1 < self.chunks.len() && small(&self.chunks[left], &self.chunks[left + 1]);
        let Some(left) = [Some(at), at.checked_sub(1)].into_iter().flatten().find(|left| fits(*left)) else { return };
        let right = self.chunks.remove(left + 1);
        self.bounds.remove(left + 1);
        Arc::make_mut(&mut self.chunks[left]).append(&right);
    }
}

impl<V: Clone> Chunk<V> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn is_full(&self, key_bytes: usize) -> bool {
        self.len() == CHUNK_ENTRIES_MAX || self.keys.bytes.len() + key_bytes > CHUNK_KEY_BYTES_MAX
    }

    fn insert(&mut self, index: usize, key: &[u8], value: V) {
        self.keys.insert(index, key);
        self.values.insert(index, value);
    }

    fn remove(&mut self, index: usize) -> V {
        self.keys.remove(index);
        self.values.remove(index)
    }

    fn split_off(&mut self, index: usize) -> Chunk<V> {
        let right = Chunk { keys: self.keys.split_off(index), values: self.values.split_off(index) };
        self.values.shrink_to_fit();
        right
    }

    fn append(&mut self, right: &Chunk<V>) {
        self.keys.append(&right.keys);
        self.values.extend_from_slice(&right.values);
    }
}

impl Keys {
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.ends[index] as usize]
    }

    /// Where the key is, or else where it belongs.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn insert(&mut self, index: usize, key: &[u8]) {
        let (start, old_len) = (self.start(index), self.bytes.len());
        self.bytes.extend_from_slice(key);
        self.bytes.copy_within(start..old_len, start + key.len());
        self.bytes[start..start + key.len()].copy_from_slice(key);
        self.ends.insert(index, offset(start));
        self.ends[index..].iter_mut().for_each(|end| *end += offset(key.len()));
    }

    fn remove(&mut self, index: usize) {
        let (start, end) = (self.start(index), self.ends[index] as usize);
        self.bytes.drain(start..end);
        self.ends.remove(index);
        self.ends[index..].iter_mut().for_each(|later| *later -= offset(end - start));
    }

    fn split_off(&mut self, index: usize) -> Keys {
        let start = self.start(index);
        let bytes = self.bytes.split_off(start);
        let ends = self.ends.split_off(index).into_iter().map(|end| end - offset(start)).collect();
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        Keys { bytes, ends }
    }

    fn append(&mut self, right: &Keys) {
        let shift = offset(self.bytes.len());
        self.bytes.extend_from_slice(&right.bytes);
        self.ends.extend(right.ends.iter().map(|end| end + shift));
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("keys of one buffer are far below 4 GiB")
}

/// Entries in ascending order.
pub(super) struct Range<'a, V> {
    chunks: &'a [Arc<Chunk<V>>],
    chunk: usize,
    index: usize,
}

impl<'a, V: Clone> Iterator for Range<'a, V> {
    type Item = (&'a [u8], &'a V);

    fn next(&mut self) -> Option<(&'a [u8], &'a V)> {
        let mut chunk = self.chunks.get(self.chunk)?;
        if self.index == chunk.len() {
            self.chunk += 1;
            self.index = 0;
            chunk = self.chunks.get(self.chunk)?;
        }
        let index = self.index;
        self.index += 1;
        Some((chunk.keys.get(index), &chunk.values[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(map: &ChunkMap<u32>, model: &BTreeMap<Vec<u8>, u32>) {
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter().map(|(key, value)| (key.as_slice(), value))));
        assert_eq!(map.chunks.len(), map.bounds.ends.len());
        for (at, chunk) in map.chunks.iter().enumerate() {
            assert!((1..=CHUNK_ENTRIES_MAX).contains(&chunk.len()));
            assert!(chunk.keys.bytes.len() <= CHUNK_KEY_BYTES_MAX);
            assert!(at == 0 || map.bounds.get(at) <= chunk.keys.get(0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_is_an_ordered_map_and_clones_stand_still(
            steps in prop::collection::vec((0u8..8, 0u16..2_000, any::<u32>()), 1..4_000),
        ) {
            let (mut map, mut model) = (ChunkMap::new(), BTreeMap::new());
            let mut snapshots = Vec::new();
            for (step, (what, number, value)) in steps.into_iter().enumerate() {
                let key = format!("{number:x}").into_bytes();
                match what {
                    0..=4 => prop_assert_eq!(map.insert(&key, value), model.insert(key, value)),
                    5 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    6 => {
                        let expected = model.range(key.clone()..).map(|(key, value)| (key.as_slice(), value));
                        prop_assert!(map.range_from(&key).take(20).eq(expected.take(20)));
                        prop_assert_eq!(map.get(&key), model.get(&key));
                    }
                    _ => prop_assert_eq!(map.get_mut(&key).map(|value| *value += 1), model.get_mut(&key).map(|value| *value += 1)),
                }
                if step % 500 == 0 {
                    snapshots.push((map.clone(), model.clone()));
                }
            }
            snapshots.push((map.clone(), model.clone()));
            for key in model.into_keys() {
                map.remove(&key);
            }
            prop_assert!(map.chunks.is_empty());
            snapshots.iter().for_each(|(map, model)| check(map, model));
        }
    }

    #[test]
    fn ascending_keys_fill_their_chunks_and_removal_joins_them() {
        let mut map = ChunkMap::new();
        let key = |number: usize| format!("{number:010}").into_bytes();
        (0..10 * CHUNK_ENTRIES_MAX).for_each(|number| assert_eq!(map.insert(&key(number), number), None));
        assert_eq!(map.chunks.len(), 10);
        (0..10 * CHUNK_ENTRIES_MAX).filter(|number| number % 100 > 0).for_each(|number| {
            assert_eq!(map.remove(&key(number)), Some(number));
        });
        assert!(map.chunks.len() <= 2, "{} chunks for {} entries", map.chunks.len(), map.len());
    }

    #[test]
    fn long_keys_make_short_chunks() {
        let mut map = ChunkMap::new();
        for number in 0..200 {
            map.insert(format!("{number:05}{}", "x".repeat(4_000)).as_bytes(), ());
        }
        assert!(map.chunks.iter().all(|chunk| chunk.keys.bytes.len() <= CHUNK_KEY_BYTES_MAX));
        assert_eq!(map.with_prefix(b"0001").count(), 10);
    }

    /// Also a chunk in the middle: its keys must be looked for where they now are.
    #[test]
    fn joined_chunks_lose_nothing_and_are_not_too_large() {
        let key = |number: u32| format!("{number:010}").into_bytes();
        let count = 6 * u32::try_from(CHUNK_ENTRIES_MAX).unwrap();
        let orders: [Vec<u32>; 2] = [(0..count).rev().collect(), (0..count).map(|at| at * 7 % count).collect()];
        for order in orders {
            let (mut map, mut model) = (ChunkMap::new(), BTreeMap::new());
            (0..count).for_each(|number| {
                map.insert(&key(number), number);
                model.insert(key(number), number);
            });
            for number in order.into_iter().filter(|number| number % 50 > 0) {
                assert_eq!(map.remove(&key(number)), model.remove(&key(number)));
                check(&map, &model);
            }
            assert!(model.iter().all(|(key, number)| map.get(key) == Some(number)));
            assert!(map.chunks.len() < 3, "{} chunks for {} entries", map.chunks.len(), map.len());
        }
    }

    /// Below a quarter of what it may hold a chunk looks for a neighbour, and together they are half of it at most: so a
    /// few writes more neither cut nor join again.
    #[test]
    fn small_neighbours_are_joined_at_a_quarter() {
        let mut map = ChunkMap::new();
        let (most, quarter) = (CHUNK_ENTRIES_MAX, CHUNK_ENTRIES_MAX / 4);
        let key = |number: usize| format!("{number:010}").into_bytes();
        (0..2 * most).for_each(|number| {
            map.insert(&key(number), number);
        });
        (quarter..most).chain(most + quarter..2 * most).for_each(|number| {
            map.remove(&key(number));
        });
        assert_eq!((map.chunks.len(), map.len()), (2, 2 * quarter));
        map.remove(&key(0));
        assert_eq!((map.chunks.len(), map.len()), (1, 2 * quarter - 1));
    }

    #[test]
    fn long_keys_fill_a_chunk_exactly_and_are_joined_only_if_short_enough() {
        let mut map = ChunkMap::new();
        let (bytes, fit) = (4_096, CHUNK_KEY_BYTES_MAX / 4_096);
        let key = |number: usize| format!("{number:0bytes$}").into_bytes();
        (0..fit).for_each(|number| {
            map.insert(&key(number), ());
        });
        assert_eq!(map.chunks.len(), 1);
        (fit..2 * fit).for_each(|number| {
            map.insert(&key(number), ());
        });
        assert_eq!(map.chunks.len(), 2);
        // Half a chunk together, and not one key more.
        (fit / 4..fit).chain(fit + fit / 4 + 1..2 * fit).for_each(|number| {
            map.remove(&key(number));
        });
        assert_eq!((map.chunks.len(), map.len()), (2, fit / 2 + 1));
        map.remove(&key(fit));
        assert_eq!((map.chunks.len(), map.len()), (1, fit / 2));
    }
}
