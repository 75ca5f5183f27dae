//! One seed is one run: byte for byte, whether or not anybody looks at the trace.

use zw_sim::runner::{Lines, run_seed};

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 10, 33] {
        let one = run_seed(seed, None, Lines::Keep);
        let other = run_seed(seed, None, Lines::Keep);
        let unseen = run_seed(seed, None, Lines::Drop);
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert_eq!(one.lines, other.lines, "seed {seed}");
        assert!(one.lines.len() > 100, "seed {seed} is alive");
        assert_eq!((one.hash, &one.counts, one.simulated), (unseen.hash, &unseen.counts, unseen.simulated));
    }
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(run_seed(3, None, Lines::Drop).hash, run_seed(4, None, Lines::Drop).hash);
}
