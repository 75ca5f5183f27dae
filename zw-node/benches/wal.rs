//! How the space for a log is made, and what each append then costs: the table of docs/decisions/002-blocks-of-records.md.
//!
//! `cargo bench --bench wal -- [DIRECTORY]`; the directory should be on the disk in question.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use zw_core::ids::{Epoch, NodeId, Ticket, Zxid};
use zw_core::log::record::{Entry, Record};
use zw_node::wal::{LogEvent, LogThread, Wal, WalOptions};

const FILE_BYTES: u64 = 64 << 20;
const SMALL_APPENDS: usize = 2_000;
/// A block with one record of 100 bytes of payload.
const SMALL_BYTES: usize = 176;
const LARGE_APPENDS: usize = 48;
const LARGE_BYTES: usize = 1 << 20;

/// A way to make space.
struct Way {
    name: &'static str,
    prepare: fn(&File) -> io::Result<()>,
}

const WAYS: [Way; 4] = [
    Way { name: "sparse", prepare: |file| file.set_len(FILE_BYTES) },
    Way {
        name: "fallocate",
        prepare: |file| Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, FILE_BYTES)?),
    },
    Way { name: "zeros", prepare: |file| fill(file, 0) },
    Way { name: "recycled", prepare: |file| fill(file, 0x5a) },
];

fn fill(file: &File, byte: u8) -> io::Result<()> {
    let piece = vec![byte; LARGE_BYTES];
    (0..FILE_BYTES / LARGE_BYTES as u64).try_for_each(|index| file.write_all_at(&piece, index * LARGE_BYTES as u64))?;
    file.sync_all()
}

fn main() -> io::Result<()> {
    let chosen = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = chosen.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = parent.join(format!("zw-wal-bench-{}", std::process::id()));
    fs::create_dir(&directory)?;
    let result = ways(&directory).and_then(|()| whole_log(&directory));
    fs::remove_dir_all(&directory)?;
    result
}

fn ways(directory: &Path) -> io::Result<()> {
    println!("| space | making it | 100 B + fdatasync: median | 99 % | 1 MiB + fdatasync: median | MiB/s |");
    println!("|---|---|---|---|---|---|");
    for way in &WAYS {
        let path = directory.join(way.name);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let started = Instant::now();
        (way.prepare)(&file)?;
        file.sync_all()?;
        let making = started.elapsed();
        let small = appends(&file, 0, SMALL_BYTES, SMALL_APPENDS)?;
        let large = appends(&file, LARGE_BYTES as u64, LARGE_BYTES, LARGE_APPENDS)?;
        let total: Duration = large.iter().sum();
        println!(
            "| {} | {making:.1?} | {:.2?} | {:.2?} | {:.1?} | {:.0} |",
            way.name,
            at(&small, 50),
            at(&small, 99),
            at(&large, 50),
            large.len() as f64 / total.as_secs_f64(),
        );
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// Appends from `offset` on, each one synced. How long each took, ascending.
fn appends(file: &File, offset: u64, bytes: usize, count: usize) -> io::Result<Vec<Duration>> {
    let data = vec![0xa5; bytes];
    let mut times = Vec::with_capacity(count);
    for index in 0..count as u64 {
        let started = Instant::now();
        file.write_all_at(&data, offset + index * bytes as u64)?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The log itself: how long its start takes, and how many records a second it makes durable.
fn whole_log(directory: &Path) -> io::Result<()> {
    let path = directory.join("log");
    let options = || WalOptions { node: NodeId(1), ensemble: "a:1".into(), segment_bytes: FILE_BYTES, prezero: true };
    let open = || Wal::open(&path, options()).map_err(io::Error::other);
    let started = Instant::now();
    let (wal, _) = open()?;
    println!("\nfirst start: {:.1?}", started.elapsed());
    let (events, received) = channel();
    let mut thread = LogThread::spawn(wal, move |event| {
        if let LogEvent::Durable { ticket, .. } = event {
            // Nobody listens any more once the last ticket has come.
            let _ = events.send(ticket.0);
        }
    })?;
    let mut next = 0;
    for (in_flight, total) in [(1, 2_000), (100, 100_000), (1_000, 400_000)] {
        let (first, started) = (next, Instant::now());
        let (mut durable, mut syncs) = (next, 0);
        while durable < first + total {
            while next < (durable + in_flight).min(first + total) {
                let payload: &[u8] = if next == 0 { b"" } else { &[0x5a; 100] };
                let record = Record::Entry(Entry::new(Zxid::new(Epoch(1), next), 7, payload));
                next += 1;
                thread.persist(Ticket(next), vec![record]);
            }
            durable = received.recv().map_err(io::Error::other)?;
            syncs += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{in_flight} in flight: {:.0} records/s, {syncs} syncs", total as f64 / seconds);
    }
    thread.stop();
    let started = Instant::now();
    let (_, recovered) = open()?;
    println!("start with {} entries: {:.1?}", recovered.entries.len(), started.elapsed());
    Ok(())
}
