//! The difference of two similar byte strings: what a node says differs little from what it said before.
//!
//! A patch is a list of steps. Each copies a stretch of the old bytes, from where the last copy ended or from a place some
//! way before or behind it, and then adds new bytes. Nothing in a patch is trusted when it is applied.

/// Shorter stretches are not worth a step.
const STRETCH_MIN: usize = 4;
/// Longest result of a patch: nothing that the console is told is larger.
const RESULT_MAX: usize = 64 << 20;

/// Adds a number in seven bits a byte, the lowest first.
pub(super) fn put_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number from the front; none if there is no whole one.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// What makes `new` of `old`.
#[must_use]
pub fn diff(old: &[u8], new: &[u8]) -> Vec<u8> {
    let places = Places::of(old);
    let mut patch = Vec::new();
    // Where the last copy ended in the old bytes, and from where on the new ones are not covered yet.
    let (mut expected, mut done, mut at) = (0, 0, 0);
    while at + STRETCH_MIN <= new.len() {
        let here = |from: usize| common(&old[from.min(old.len())..], &new[at..]);
        // What was added or changed is mostly as long as what was there: so the same distance on is tried first.
        let straight = expected + (at - done);
        let (from, length) = match here(straight) {
            length if length >= STRETCH_MIN => (straight, length),
            _ => places.find(old, &new[at..]).map_or((0, 0), |from| (from, here(from))),
        };
        if length < STRETCH_MIN {
            at += 1;
            continue;
        }
        step(&mut patch, &new[done..at], from, expected, length);
        (expected, done, at) = (from + length, at + length, at + length);
    }
    if done < new.len() {
        step(&mut patch, &new[done..], expected, expected, 0);
    }
    patch
}

/// A step: the new bytes before the copy, then the copy.
fn step(patch: &mut Vec<u8>, added: &[u8], from: usize, expected: usize, length: usize) {
    put_number(added.len() as u64, patch);
    patch.extend_from_slice(added);
    put_number(length as u64, patch);
    let distance = from as i64 - expected as i64;
    // The sign in the lowest bit.
    put_number((distance.unsigned_abs() << 1) | u64::from(distance < 0), patch);
}

/// The new bytes; none if the patch is not one for these old ones.
#[must_use]
pub fn apply(old: &[u8], mut patch: &[u8]) -> Option<Vec<u8>> {
    let mut new = Vec::new();
    let mut expected: i64 = 0;
    while !patch.is_empty() {
        let added = usize::try_from(take_number(&mut patch)?).ok()?;
        new.extend_from_slice(patch.get(..added)?);
        patch = &patch[added..];
        let length = usize::try_from(take_number(&mut patch)?).ok()?;
        let distance = take_number(&mut patch)?;
        let size = i64::try_from(distance >> 1).ok()?;
        let from = if distance & 1 == 1 { expected.checked_sub(size)? } else { expected.checked_add(size)? };
        if length > 0 {
            let start = usize::try_from(from).ok()?;
            new.extend_from_slice(old.get(start..start.checked_add(length)?)?);
            expected = from + i64::try_from(length).ok()?;
        }
        if new.len() > RESULT_MAX {
            return None;
        }
    }
    Some(new)
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// Where four bytes in a row stand, by a hash of them; of several places the last.
struct Places {
    table: Vec<u32>,
}

impl Places {
    fn of(bytes: &[u8]) -> Places {
        let mut places = Places { table: vec![u32::MAX; bytes.len().next_power_of_two().clamp(16, 1 << 16)] };
        for at in 0..(bytes.len() + 1).saturating_sub(STRETCH_MIN) {
            let slot = places.slot(&bytes[at..]);
            places.table[slot] = u32::try_from(at).unwrap_or(u32::MAX);
        }
        places
    }

    fn slot(&self, bytes: &[u8]) -> usize {
        let four = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        (four.wrapping_mul(0x9e37_79b1) >> 12) as usize & (self.table.len() - 1)
    }

    fn find(&self, old: &[u8], wanted: &[u8]) -> Option<usize> {
        usize::try_from(self.table[self.slot(wanted)]).ok().filter(|at| *at < old.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_patch_makes_the_new_of_the_old(old in prop::collection::vec(0..4u8, 0..300), new in prop::collection::vec(0..4u8, 0..300)) {
            prop_assert_eq!(apply(&old, &diff(&old, &new)), Some(new));
        }

        #[test]
        fn what_was_edited_a_little_needs_little(
            mut bytes in prop::collection::vec(any::<u8>(), 400..600), at in 0..396usize, put in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let old = bytes.clone();
            bytes.splice(at..at + 5, put.iter().copied());
            let patch = diff(&old, &bytes);
            prop_assert!(patch.len() <= put.len() + 30, "{}", patch.len());
            prop_assert_eq!(apply(&old, &patch), Some(bytes));
        }

        #[test]
        fn any_bytes_are_a_patch_or_refused(old in prop::collection::vec(any::<u8>(), 0..50), patch in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = apply(&old, &patch);
        }

        #[test]
        fn numbers_read_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!((take_number(&mut rest), rest.len()), (Some(number), 0));
        }
    }
}
