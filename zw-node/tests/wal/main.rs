//! The log against disks that crash, fill up and fail, and against the end of its process.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod disk;

use disk::TestDisk;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Ticket, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Promise, Record, SnapshotId};
use zw_node::wal::{LogEvent, LogThread, Wal, WalError, WalOptions};

const DEADLINE: Duration = Duration::from_secs(60);
/// Set in the child processes of this test: the directory of the log.
const CHILD: &str = "ZW_TEST_WAL_CHILD";

fn options(segment_bytes: u64) -> WalOptions {
    WalOptions { node: NodeId(1), ensemble: "a:8080".into(), segment_bytes, prezero: false }
}

fn open(disk: &TestDisk, segment_bytes: u64) -> Result<(Wal, Recovered), WalError> {
    Wal::open_on(Arc::new(disk.clone()), options(segment_bytes))
}

fn entry(counter: u64, payload_bytes: usize) -> Record {
    let payload = vec![0x5a; if counter == 0 { 0 } else { payload_bytes }];
    Record::Entry(Entry::new(Zxid::new(Epoch(1), counter), 7, &payload))
}

fn fold(records: &[Record]) -> Recovered {
    let mut recovered = Recovered::default();
    records.iter().for_each(|record| recovered.replay(record.clone()).unwrap());
    recovered
}

/// A small generator of numbers: the choices of a crash.
fn randomness(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    }
}

/// The next batch of a node whose log amounts to `recovered`: mostly entries, now and then a snapshot or a truncation.
fn batch(recovered: &mut Recovered, choices: &[u16]) -> Vec<Record> {
    let mut next = |choice: &u16| {
        let last = recovered.last_zxid();
        let some = recovered.entries.get(usize::from(*choice) % recovered.entries.len().max(1)).map(Entry::zxid);
        let record = match (choice % 8, some) {
            (0, Some(zxid)) => Record::Snapshot(SnapshotId { zxid, digest: u64::from(*choice) }),
            (1, Some(zxid)) => Record::Truncate { after: zxid },
            _ if last == Zxid::ZERO => entry(0, 0),
            _ => entry(last.counter() + 1, usize::from(*choice) % 500),
        };
        recovered.replay(record.clone()).unwrap();
        record
    };
    choices.iter().map(&mut next).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Lives of a node on one disk. Each ends at some operation of the log, be it in the middle of its start, a rotation
    /// or a purge, with its process or with the whole machine.
    #[test]
    fn a_crash_at_any_operation_loses_nothing_durable(
        segment_bytes in 600_u64..3_000,
        lives in prop::collection::vec(
            (0_u64..80, any::<u64>(), prop::collection::vec(prop::collection::vec(any::<u16>(), 1..6), 0..20)),
            1..8,
        ),
    ) {
        let disk = TestDisk::default();
        let mut written: Vec<Record> = Vec::new();
        let mut durable = 0;
        for (operations, seed, batches) in lives {
            disk.state().operations_left = Some(operations);
            if let Ok((mut wal, recovered)) = open(&disk, segment_bytes) {
                let kept = (durable..=written.len()).rev().find(|count| fold(&written[..*count]) == recovered);
                prop_assert!(kept.is_some(), "not a prefix with the {} durable ones of {}", durable, written.len());
                written.truncate(kept.unwrap_or_default());
                durable = written.len();
                let mut state = recovered;
                for choices in batches {
                    let records = batch(&mut state, &choices);
                    wal.append(&records);
                    written.extend(records);
                    if wal.sync().is_err() {
                        break;
                    }
                    durable = written.len();
                }
            }
            if seed % 3 == 0 { disk.kill() } else { disk.crash(randomness(seed)) }
        }
        let (wal, recovered) = open(&disk, segment_bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!((durable..=written.len()).any(|count| fold(&written[..count]) == recovered));
        drop(wal);
        let (_, again) = open(&disk, segment_bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(recovered, again);
    }
}

#[test]
fn two_snapshots_let_the_log_shrink_and_its_files_serve_again() {
    let disk = TestDisk::default();
    let (mut wal, _) = open(&disk, 2_048).unwrap();
    let mut written = Vec::new();
    let mut most = 0;
    let mut uses = BTreeMap::<usize, BTreeSet<String>>::new();
    for counter in 0..1_000 {
        let mut records = vec![entry(counter, 100)];
        if counter % 50 == 49 {
            let zxid = Zxid::new(Epoch(1), counter - 5);
            records.push(Record::Snapshot(SnapshotId { zxid, digest: counter }));
        }
        wal.append(&records);
        wal.sync().unwrap();
        written.extend(records);
        most = most.max(wal.segments());
        let names = disk.state().names.clone();
        names.into_iter().for_each(|(name, index)| {
            uses.entry(index).or_default().insert(name);
        });
    }
    assert!(most < 16, "{most} segments were kept at once");
    assert!(wal.position() > 60 * 2_048, "many segments were written");
    let again = uses.values().filter(|names| names.iter().filter(|name| name.ends_with(".wal")).count() > 1).count();
    assert!(again > 10, "{again} files served again");
    drop(wal);
    assert_eq!(open(&disk, 2_048).unwrap().1, fold(&written));
}

#[test]
fn a_record_larger_than_a_segment_gets_one() {
    let disk = TestDisk::default();
    let (mut wal, _) = open(&disk, 1_024).unwrap();
    let large = |counter| 10 + 900_000 * usize::from(counter % 2 == 1);
    let written: Vec<Record> = (0..6).map(|counter| entry(counter, large(counter))).collect();
    wal.append(&written);
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk, 1_024).unwrap().1, fold(&written));
}

#[test]
fn a_promise_is_a_record_like_any_other() {
    let disk = TestDisk::default();
    let (mut wal, _) = open(&disk, 4_096).unwrap();
    let promise = Promise { epoch: Epoch(7), leader: NodeId(3) };
    wal.append(&[Record::Promise(promise)]);
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk, 4_096).unwrap().1.promise, promise);
}

#[test]
fn damage_to_the_last_batch_shows_once_the_log_is_sealed() {
    let disk = TestDisk::default();
    let (mut wal, _) = open(&disk, 4_096).unwrap();
    wal.append(&[entry(0, 0), entry(1, 100)]);
    wal.sync().unwrap();
    wal.seal().unwrap();
    drop(wal);
    let index = disk.state().names["0000000000000001.wal"];
    let at = disk.state().files[index].now.iter().rposition(|byte| *byte == 0x5a).unwrap();
    disk.state().files[index].now[at - 50] ^= 1;
    let Err(error) = open(&disk, 4_096) else { panic!("damage was accepted") };
    let text = error.to_string();
    assert!(text.contains("/test/0000000000000001.wal") && text.contains("offset 88"), "{text}");
    assert!(text.contains("does not start") && text.contains("other members"), "{text}");
}

#[test]
fn the_log_of_another_node_or_ensemble_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Wal::open(directory.path(), options(4_096)).unwrap());
    let other_node = WalOptions { node: NodeId(2), ..options(4_096) };
    let other_ensemble = WalOptions { ensemble: "a:8080,b:8080".into(), ..options(4_096) };
    for wrong in [other_node, other_ensemble] {
        let Err(error) = Wal::open(directory.path(), wrong) else { panic!("another node's log was opened") };
        assert!(matches!(&error, WalError::WrongNode { found: NodeId(1), .. }), "{error}");
    }
    let (_wal, _) = Wal::open(directory.path(), options(4_096)).unwrap();
    let Err(error) = Wal::open(directory.path(), options(4_096)) else { panic!("the log was opened twice") };
    assert!(matches!(&error, WalError::Locked { .. }), "{error}");
}

#[test]
fn a_log_without_its_identity_or_beginning_is_refused() {
    let disk = TestDisk::default();
    let (mut wal, _) = open(&disk, 1_024).unwrap();
    (0..50).for_each(|counter| {
        wal.append(&[entry(counter, 100)]);
        wal.sync().unwrap();
    });
    drop(wal);
    let complete = disk.state().names.clone();
    disk.state().names.remove("identity");
    assert!(matches!(open(&disk, 1_024), Err(WalError::NoIdentity { .. })));
    disk.state().names = complete.clone();
    disk.state().names.remove("0000000000000001.wal");
    assert!(matches!(open(&disk, 1_024), Err(WalError::Damaged { .. })));
    disk.state().names.retain(|name, _| !name.ends_with(".wal"));
    assert!(matches!(open(&disk, 1_024), Err(WalError::Damaged { .. })), "an empty log of a known node");
    disk.state().names = complete;
    assert!(open(&disk, 1_024).is_ok());
}

fn log_thread(disk: &TestDisk, segment_bytes: u64) -> (LogThread, Receiver<LogEvent>) {
    let (wal, _) = open(disk, segment_bytes).unwrap();
    let (events, received) = channel();
    // Nobody listens any more once the test has what it wants.
    let report = move |event| {
        let _ = events.send(event);
    };
    (LogThread::spawn(wal, report).unwrap(), received)
}

fn await_event(events: &Receiver<LogEvent>, mut is_it: impl FnMut(LogEvent) -> bool) {
    while !is_it(events.recv_timeout(DEADLINE).expect("the event does not come")) {}
}

fn is_durable(event: LogEvent, wanted: u64) -> bool {
    matches!(event, LogEvent::Durable { ticket, .. } if ticket.0 == wanted)
}

#[test]
fn batches_become_durable_in_order() {
    let disk = TestDisk::default();
    let (mut thread, events) = log_thread(&disk, 4_096);
    let written: Vec<Record> = (0..500).map(|counter| entry(counter, 50)).collect();
    for (ticket, record) in (1..).zip(&written) {
        thread.persist(Ticket(ticket), vec![record.clone()]);
    }
    let mut last = Ticket(0);
    await_event(&events, |event| {
        let LogEvent::Durable { ticket, .. } = event else { panic!("{event:?}") };
        assert!(ticket > last, "tickets rise");
        last = ticket;
        ticket == Ticket(500)
    });
    thread.stop();
    assert_eq!(open(&disk, 4_096).unwrap().1, fold(&written));
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let disk = TestDisk::default();
    disk.state().capacity = Some(3 * 4_096 + 200);
    let (mut thread, events) = log_thread(&disk, 4_096);
    let mut written: Vec<Record> = Vec::new();
    let mut write = |count: u64| {
        for _ in 0..count {
            written.push(entry(written.len() as u64, 200));
            thread.persist(Ticket(written.len() as u64), written[written.len() - 1..].to_vec());
        }
        (written.len() as u64, written.clone())
    };
    // One by one until the disk is full: then a segment is still free for what is on its way.
    let mut is_full = false;
    while !is_full {
        let (ticket, _) = write(1);
        await_event(&events, |event| {
            is_full |= event == LogEvent::DiskFull(true);
            is_full || is_durable(event, ticket)
        });
    }
    let (ticket, _) = write(10);
    await_event(&events, |event| {
        assert_ne!(event, LogEvent::DiskFull(false));
        is_durable(event, ticket)
    });
    // More than what is reserved waits, and comes through when there is space.
    let (ticket, written) = write(100);
    disk.state().capacity = None;
    let (mut has_space, mut is_done) = (false, false);
    await_event(&events, |event| {
        has_space |= event == LogEvent::DiskFull(false);
        is_done |= is_durable(event, ticket);
        has_space && is_done
    });
    thread.stop();
    assert_eq!(open(&disk, 4_096).unwrap().1, fold(&written));
}

#[test]
fn a_node_without_space_stops_when_asked() {
    let disk = TestDisk::default();
    disk.state().capacity = Some(2 * 4_096 + 200);
    let (mut thread, events) = log_thread(&disk, 4_096);
    thread.persist(Ticket(1), (0..100).map(|counter| entry(counter, 200)).collect());
    await_event(&events, |event| event == LogEvent::DiskFull(true));
    thread.stop();
    assert!(events.try_iter().all(|event| !matches!(event, LogEvent::Durable { .. })), "it was never durable");
    assert!(open(&disk, 4_096).is_ok());
}

/// Runs a test of this file in a child process, which sees the directory in its environment.
fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_disk_that_fails_ends_the_process() {
    if std::env::var_os(CHILD).is_some() {
        let disk = TestDisk::default();
        let (thread, events) = log_thread(&disk, 4_096);
        disk.state().fails = true;
        thread.persist(Ticket(1), vec![entry(0, 0)]);
        eprintln!("{:?}", events.recv_timeout(DEADLINE));
        return;
    }
    use std::os::unix::process::ExitStatusExt;
    let directory = tempfile::tempdir().unwrap();
    let output = child("a_disk_that_fails_ends_the_process", directory.path()).output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("Durable"), "{output:?}");
}

#[test]
fn what_a_killed_process_called_durable_is_there() {
    const TEST: &str = "what_a_killed_process_called_durable_is_there";
    if let Some(directory) = std::env::var_os(CHILD) {
        let (wal, recovered) = Wal::open(directory.as_ref(), WalOptions { prezero: true, ..options(65_536) }).unwrap();
        let first = recovered.entries.last().map_or(0, |entry| entry.zxid().counter() + 1);
        // On standard error, which has no buffer; the ticket is the number of entries.
        let thread = LogThread::spawn(wal, |event| {
            if let LogEvent::Durable { ticket, .. } = event {
                eprintln!("durable {ticket}");
            }
        });
        let thread = thread.unwrap();
        for counter in first.. {
            thread.persist(Ticket(counter + 1), vec![entry(counter, 100)]);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut durable = 0;
    for reports_before in [1, 5, 15] {
        let mut process = child(TEST, directory.path()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut reports = lines.filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        let seen = reports.by_ref().take(reports_before).last();
        process.kill().unwrap();
        process.wait().unwrap();
        durable = reports.last().or(seen).expect("nothing became durable").max(durable);
        let (_, recovered) = Wal::open(directory.path(), options(65_536)).unwrap();
        assert!(recovered.entries.len() as u64 >= durable, "{} of {durable}", recovered.entries.len());
    }
}
