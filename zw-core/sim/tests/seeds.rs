//! Seeds that once found a defect of the product, which must hold for ever. A change of what a seed means may make one
//! of them harmless: the unit tests beside the code are what keeps the defect out.

use zw_sim::runner::{Lines, run_seed};

/// A member is gone for good. The best candidate has started since, never met it and waits long for its vote, while the
/// others, which have met everybody, follow at once and lose patience before it leads (rule E4).
const A_CANDIDATE_THAT_WAITS_TOO_LONG: [u64; 3] = [40_004, 170_023, 180_005];

/// Epochs of ten counters, and more clients coming back at once than that: the leader left before any of them had an
/// answer, again and again (rule B7).
const A_LEADER_THAT_LEAVES_TOO_SOON: [u64; 1] = [1_039_623];

/// Two fetches of one snapshot wrote one file, and discarding the first took it from the second: a defect of the
/// simulator, whose nodes did not wait for the first as real ones do.
const TWO_FETCHES_OF_ONE_FILE: [u64; 1] = [3_003_142];

/// A follower that had left and come back answered two invitations to one epoch. The second answer was slow: the leader
/// took it for the state of a log that had gone on since, and a snapshot replaced what had been acknowledged (rule D3).
const AN_ANSWER_TWICE: [u64; 1] = [4_090_176];

/// A leader that kept nothing for members that fetch a snapshot: a world in which no leader could bring them up to date,
/// and which the simulator draws no more.
const A_FETCH_FOR_EVER: [u64; 1] = [4_090_536];

#[test]
fn seeds_that_once_failed_hold() {
    let seeds = A_CANDIDATE_THAT_WAITS_TOO_LONG.into_iter().chain(A_LEADER_THAT_LEAVES_TOO_SOON);
    for seed in seeds.chain(TWO_FETCHES_OF_ONE_FILE).chain(AN_ANSWER_TWICE).chain(A_FETCH_FOR_EVER) {
        let report = run_seed(seed, None, Lines::Drop);
        assert!(report.failure.is_none(), "seed {seed} fails again: {:?}", report.failure);
    }
}
