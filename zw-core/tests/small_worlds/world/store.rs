//! Where states are kept: parts once each, and states as numbers of parts.
//!
//! A world of millions of states has few different nodes, links and histories. Numbering them makes a state 32 bytes,
//! comparing states exact, with no fingerprint that could collide, and a step of a node something to look up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

/// A map with a quick hash: nobody outside chooses these keys.
pub(crate) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Mixes words; equality decides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick(u64);

impl Quick {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
}

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }
}

/// Numbers for equal values.
#[derive(Debug)]
pub(crate) struct Numbers<T> {
    numbers: QuickMap<Rc<T>, u32>,
    values: Vec<Rc<T>>,
}

impl<T: Eq + Hash> Numbers<T> {
    pub(crate) fn new() -> Numbers<T> {
        Numbers { numbers: QuickMap::default(), values: Vec::new() }
    }

    /// The number of `value`.
    pub(crate) fn of(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("fewer than 4 billion parts");
        let value = Rc::new(value);
        self.values.push(Rc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    /// The value of `number`.
    pub(crate) fn get(&self, number: u32) -> &Rc<T> {
        &self.values[number as usize]
    }

    /// How many values there are.
    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }
}

/// Words of a state.
pub(crate) const WORDS: usize = 8;
/// A state, as numbers of its parts.
pub(crate) type Packed = [u32; WORDS];

/// All states seen, in the order in which they were found, up to a bound.
#[derive(Debug)]
pub(crate) struct States {
    states: Vec<Packed>,
    /// From which state, and by which of its moves, each was found.
    found: Vec<(u32, u8)>,
    /// Places in `states`, one more than they are; 0 is free.
    table: Vec<u32>,
    most: usize,
}

impl States {
    /// Room for `most` states. Memory that is never touched is never taken.
    pub(crate) fn new(most: usize) -> States {
        let slots = (most * 3 / 2).next_power_of_two();
        States { states: Vec::with_capacity(most), found: Vec::with_capacity(most), table: vec![0; slots], most }
    }

    pub(crate) fn count(&self) -> usize {
        self.states.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.states.len() >= self.most
    }

    pub(crate) fn get(&self, at: usize) -> Packed {
        self.states[at]
    }

    /// Notes a state; whether it is new.
    pub(crate) fn add(&mut self, state: Packed, parent: usize, by: usize) -> bool {
        let mut slot = hash(&state) as usize & (self.table.len() - 1);
        while self.table[slot] != 0 {
            if self.states[self.table[slot] as usize - 1] == state {
                return false;
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
        self.states.push(state);
        self.found.push((u32::try_from(parent).expect("bounded"), u8::try_from(by).expect("few moves")));
        self.table[slot] = u32::try_from(self.states.len()).expect("bounded");
        true
    }

    /// The way to a state: the states before it, first to last, each with the number of the move it took.
    pub(crate) fn way_to(&self, mut at: usize) -> Vec<(Packed, usize)> {
        let mut way = Vec::new();
        while at > 0 {
            let (parent, by) = self.found[at];
            at = parent as usize;
            way.push((self.states[at], usize::from(by)));
        }
        way.reverse();
        way
    }
}

fn hash(state: &Packed) -> u64 {
    let mut hasher = Quick::default();
    state.iter().for_each(|word| hasher.write_u32(*word));
    hasher.finish()
}
