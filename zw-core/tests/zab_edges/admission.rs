//! What a node admits and how it packs it: rules B5 and B6, and the bounds of frames.

use crate::bench::{Bench, N1, N2, N3, disk_of_epoch_1, sent, zxid};
use bytes::Bytes;
use zw_core::ids::{Epoch, Zxid};
use zw_core::limits::{APPEND_BYTES_MAX, COMMAND_BYTES_MAX, UNCOMMITTED_BYTES_MAX, WINDOW_BYTES_MAX};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Record};
use zw_core::zab::effects::{Effect, Rejection};
use zw_core::zab::message::{AckEpoch, Append, Forward, Hello, Message};

fn refused(effects: &[Effect]) -> Vec<(u64, Rejection)> {
    let refused = effects.iter().filter_map(|effect| match effect {
        Effect::Reject { tag, why } => Some((*tag, *why)),
        _ => None,
    });
    refused.collect()
}

fn payload(length: usize) -> Bytes {
    Bytes::from(vec![7; length])
}

/// The entries of each append to `peer`.
fn appends(effects: &[Effect]) -> Vec<&Append> {
    let appends = sent(effects).into_iter().filter_map(|(_, message)| match message {
        Message::Append(append) if !append.entries.is_empty() => Some(append),
        _ => None,
    });
    appends.collect()
}

fn length(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.record().len()).sum()
}

#[test]
fn a_command_may_be_as_long_as_the_limit_and_no_longer() {
    let mut leader = Bench::new(N3, &Recovered::default());
    leader.lead_both();
    let effects = leader.propose([payload(COMMAND_BYTES_MAX), payload(COMMAND_BYTES_MAX + 1), payload(1)]);
    assert_eq!(refused(&effects), [(2, Rejection::Overloaded)]);
    assert_eq!(leader.zab.last_zxid(), zxid(1, 2));
}

/// The bound counts what is not delivered yet: what was is room again.
#[test]
fn bytes_are_bounded_and_free_again_with_their_delivery() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, link) = leader.lead_both();
    let fit = UNCOMMITTED_BYTES_MAX / COMMAND_BYTES_MAX + 1;
    for _ in 0..2 {
        let effects = leader.propose((0..fit + 2).map(|_| payload(COMMAND_BYTES_MAX)));
        let last = u64::try_from(fit).unwrap();
        assert_eq!(refused(&effects), [(last + 1, Rejection::Overloaded), (last + 2, Rejection::Overloaded)]);
        leader.durable();
        while leader.zab.delivered() < leader.zab.last_zxid() {
            leader.acknowledge_sent(N2, link);
        }
    }
}

/// Commands that wait while the epoch is raised count like those in the log.
#[test]
fn bytes_that_wait_for_a_raised_epoch_are_bounded() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (first, _) = leader.lead_both();
    leader.hear(N1, first, Message::Hello(Hello { promised: Epoch(7), to: N1 }));
    let fit = UNCOMMITTED_BYTES_MAX.div_ceil(COMMAND_BYTES_MAX);
    let effects = leader.propose((0..=fit).map(|_| payload(COMMAND_BYTES_MAX)));
    assert_eq!(refused(&effects), [(u64::try_from(fit).unwrap() + 1, Rejection::Overloaded)]);
}

/// A frame has as many entries as fit, and one at least.
#[test]
fn appends_are_as_full_as_may_be() {
    let mut disk = disk_of_epoch_1();
    for (counter, length) in
        [(1, 10), (2, 20), (3, APPEND_BYTES_MAX - 1_000), (4, 2_000), (5, APPEND_BYTES_MAX), (6, 1)]
    {
        disk.replay(Record::Entry(Entry::new(zxid(1, counter), 0, &payload(length)))).unwrap();
    }
    let mut leader = Bench::new(N3, &disk);
    let link = leader.lead(Epoch(1));
    leader.durable();
    let ack = AckEpoch { epoch: Epoch(2), last_zxid: Zxid::ZERO, epoch_ends: Vec::new() };
    let effects = leader.hear(N2, link, Message::AckEpoch(ack));
    let frames: Vec<usize> = appends(&effects).iter().map(|append| append.entries.len()).collect();
    assert_eq!(
        frames,
        [4, 1, 1, 2],
        "markers, small ones and most of a MiB; what is too long with them; one that is alone"
    );
}

/// Rule B5: the window is bounded in bytes, but for one frame.
#[test]
fn the_window_is_bounded_in_bytes() {
    let mut leader = Bench::new(N3, &Recovered::default());
    let (_, second) = leader.lead_both();
    let effects = leader.propose((0..20).map(|_| payload(APPEND_BYTES_MAX)));
    let to_each = appends(&effects).iter().map(|append| length(&append.entries)).sum::<usize>() / 2;
    assert!((WINDOW_BYTES_MAX..=WINDOW_BYTES_MAX + 2 * APPEND_BYTES_MAX).contains(&to_each), "{to_each}");
    let effects = leader.acknowledge_sent(N2, second);
    assert!(!appends(&effects).is_empty(), "an ack opens it");
}

/// A follower forwards what its clients propose in frames of the same bound.
#[test]
fn forwarded_commands_are_packed_in_frames() {
    let mut follower = Bench::new(N1, &Recovered::default());
    follower.follow_epoch_4();
    let half = APPEND_BYTES_MAX / 2;
    for (lengths, frames) in [
        (vec![half, half, 1], vec![2, 1]),
        (vec![half, half + 1, 1], vec![1, 2]),
        (vec![APPEND_BYTES_MAX + 1, 1, 1], vec![1, 2]),
        (vec![1; 100], vec![100]),
        (vec![half; 4], vec![2, 2]),
    ] {
        let effects = follower.propose(lengths.into_iter().map(payload));
        let sizes = sent(&effects).into_iter().map(|(to, message)| match message {
            Message::Forward(Forward { proposals }) if to == N3 => proposals.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(sizes.collect::<Vec<_>>(), frames);
    }
}
