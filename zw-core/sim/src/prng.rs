//! The only source of chance: xoshiro256**, seeded by SplitMix64, and splittable by name.
//!
//! Invariant: a stream depends on the seed and on the names it was split by, never on how much was drawn from another
//! stream. One more draw in the network does not shift the draws of a disk.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Prng {
    origin: u64,
    state: [u64; 4],
}

impl Prng {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Prng {
        let mut mixer = seed;
        let mut next = || {
            mixer = mixer.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(mixer)
        };
        Prng { origin: seed, state: [next(), next(), next(), next()] }
    }

    /// The stream named `name` and `index` below this one; the same however much was drawn here.
    #[must_use]
    pub fn split(&self, name: &str, index: u64) -> Prng {
        let named = name.bytes().fold(self.origin ^ 0x6a09_e667_f3bc_c908, |hash, byte| mix(hash ^ u64::from(byte)));
        Prng::new(mix(named ^ mix(index.wrapping_add(1))))
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below zero");
        // The bias of the multiplication is far below anything a simulation could notice.
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low} to {high} is no range");
        low + self.below(high - low + 1)
    }

    /// An index below `length`.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// An exponentially distributed number with this mean, at most twelve times the mean.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        if mean == 0 {
            return 0;
        }
        // -ln(u) for u in (0, 1], by the position of the leading bit and a linear interpolation: integers only, so
        // that every machine draws the same.
        let unit = self.draw() | 1;
        let zeros = u64::from(unit.leading_zeros());
        let fraction = (unit << zeros) >> 32 & 0x7fff_ffff;
        let log2_q31 = ((zeros + 1) << 31) - fraction;
        let nats_q31 = (u128::from(log2_q31) * 1_488_522_236) >> 31;
        let drawn = (u128::from(mean) * nats_q31) >> 31;
        u64::try_from(drawn).unwrap_or(u64::MAX).min(mean.saturating_mul(12))
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// Brings `items` into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}

/// SplitMix64's finaliser.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_does_not_depend_on_draws() {
        let mut drawn = Prng::new(7);
        let before = drawn.split("disk", 1).draw();
        drawn.draw();
        assert_eq!(drawn.split("disk", 1).draw(), before);
        assert_ne!(drawn.split("disk", 2).draw(), before);
        assert_ne!(drawn.split("link", 1).draw(), before);
        assert_ne!(Prng::new(8).split("disk", 1).draw(), before);
    }

    #[test]
    fn draws_are_spread_as_promised() {
        let mut prng = Prng::new(1);
        let draws = 20_000;
        let mean = (0..draws).map(|_| prng.exponential(1_000)).sum::<u64>() / draws;
        assert!((900..1_100).contains(&mean), "mean {mean}");
        let hits = (0..draws).filter(|_| prng.chance(250)).count();
        assert!((4_700..5_300).contains(&hits), "{hits} hits");
        assert!((0..1_000).all(|_| (3..=5).contains(&prng.between(3, 5))));
        let mut order: Vec<u32> = (0..10).collect();
        prng.shuffle(&mut order);
        order.sort_unstable();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }
}
