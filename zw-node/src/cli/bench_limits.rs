//! `zw bench-limits`: what this machine allows, to hold measurements against: durable appends to its disk and round
//! trips over its loopback.

use super::{CliError, Context};
use crate::command_line::timeout;
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Measure this machine: append of 100 bytes + fdatasync, and a loopback round trip of 100 bytes
#[derive(Debug, Args)]
pub(super) struct Options {
    /// On whose disk
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// How long each
    #[arg(long, default_value = "1s", value_parser = timeout)]
    time: Duration,
}

const MESSAGE_BYTES: usize = 100;

#[expect(clippy::unused_async, reason = "the verbs share one signature")]
pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let append = durable_appends(&options.dir, options.time)?;
    let round_trip = round_trips(options.time)?;
    context.print(
        || {
            json!({
                "append_fdatasync_p50_ms": ms(&append, 0.5), "append_fdatasync_p99_ms": ms(&append, 0.99),
                "round_trip_p50_ms": ms(&round_trip, 0.5), "round_trip_p99_ms": ms(&round_trip, 0.99),
            })
        },
        || {
            let line = |name, of| format!("{name:<20} p50 {:.3} ms  p99 {:.3} ms\n", ms(of, 0.5), ms(of, 0.99));
            line("append + fdatasync", &append) + &line("loopback round trip", &round_trip)
        },
    )
}

/// Latencies in nanoseconds.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are constants")
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    (histogram.value_at_quantile(quantile) as f64 / 1e3).round() / 1e3
}

fn measure(time: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<Histogram<u64>> {
    let mut histogram = histogram();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let begin = Instant::now();
        once()?;
        histogram.saturating_record(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(histogram)
}

fn durable_appends(dir: &Path, time: Duration) -> io::Result<Histogram<u64>> {
    let path = dir.join(format!("zw-bench-limits-{}", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
    let measured = measure(time, || {
        file.write_all(&[b'x'; MESSAGE_BYTES])?;
        file.sync_data()
    });
    std::fs::remove_file(&path)?;
    measured
}

fn round_trips(time: Duration) -> io::Result<Histogram<u64>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = std::thread::spawn(move || -> io::Result<()> {
        let mut message = [0; MESSAGE_BYTES];
        loop {
            match far.read_exact(&mut message) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
            far.write_all(&message)?;
        }
    });
    let mut message = [0; MESSAGE_BYTES];
    let measured = measure(time, || {
        near.write_all(&message)?;
        near.read_exact(&mut message)
    });
    drop(near);
    match echo.join() {
        Ok(ended) => ended?,
        Err(_) => return Err(io::Error::other("the echoing thread failed")),
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_are_measured_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!durable_appends(dir.path(), Duration::from_millis(10)).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(!round_trips(Duration::from_millis(10)).unwrap().is_empty());
    }
}
