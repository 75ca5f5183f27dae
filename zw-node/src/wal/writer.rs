//! The log thread: takes batches of records, makes them durable together, and says so.
//!
//! Natural group commit: whatever came in while the last fdatasync ran is the next batch. No timer delays a write.
//!
//! A disk without space is waited for: nothing that was handed over is lost or reported early. Any other error ends the
//! process at once with one line in its log, because nobody knows what is on a disk that failed to write.

use super::{Wal, WalError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use zw_core::ids::Ticket;
use zw_core::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, DISK_FULL_POLL, LOG_QUEUE_MAX, LOG_SEAL_AFTER};
use zw_core::log::record::Record;

/// What the log thread has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A batch and all before it are on disk.
    Durable {
        /// The batch.
        ticket: Ticket,
        /// How long the last write and sync took.
        took: Duration,
        /// Whether nothing else was handed over.
        is_last: bool,
    },
    /// The disk has no space beyond what is reserved, or has space again.
    DiskFull(bool),
}

/// The thread that owns the log. Dropping it ends the thread after all that was handed over is durable.
pub struct LogThread {
    sender: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    control: Arc<Control>,
}

/// Makes every sync slower: the fault `SlowDisk`.
#[derive(Clone)]
pub struct DiskDelay {
    control: Arc<Control>,
}

struct Batch {
    ticket: Ticket,
    records: Vec<Record>,
}

#[derive(Default)]
struct Control {
    delay_micros: AtomicU64,
    is_stopping: AtomicBool,
}

struct Writer<R> {
    wal: Wal,
    receiver: Receiver<Batch>,
    /// The next batch, if one was there after the last sync.
    next: Option<Batch>,
    report: R,
    control: Arc<Control>,
    is_full: bool,
    needs_seal: bool,
}

impl LogThread {
    /// Starts the thread. It calls `report` for each event; what that hands over in
    /// turn must find room in the queue, for nobody else empties it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(wal: Wal, report: impl FnMut(LogEvent) + Send + 'static) -> io::Result<LogThread> {
        let (sender, receiver) = sync_channel(LOG_QUEUE_MAX);
        let control = Arc::new(Control::default());
        let seen = Arc::clone(&control);
        let mut writer = Writer { wal, receiver, next: None, report, control: seen, is_full: false, needs_seal: false };
        let thread = thread::Builder::new().name("log".into()).spawn(move || {
            if let Err(error) = writer.run() {
                tracing::error!("the log failed, the process ends so that nothing false is acknowledged: {error}");
                std::process::abort();
            }
        })?;
        Ok(LogThread { sender: Some(sender), thread: Some(thread), control })
    }

    /// Hands over records to be made durable. Waits only if the disk is far behind.
    ///
    /// # Panics
    /// If the log thread has panicked.
    pub fn persist(&self, ticket: Ticket, records: Vec<Record>) {
        let sender = self.sender.as_ref().expect("nothing is handed over after the stop");
        assert!(sender.send(Batch { ticket, records }).is_ok(), "the log thread has panicked");
    }

    /// Where the disk can be made slow.
    #[must_use]
    pub fn disk_delay(&self) -> DiskDelay {
        DiskDelay { control: Arc::clone(&self.control) }
    }

    /// Ends the thread after all that was handed over is durable; without space for it, it is given up: nobody was told
    /// that it is durable.
    pub fn stop(&mut self) {
        self.control.is_stopping.store(true, Ordering::Relaxed);
        self.sender = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log thread has panicked");
        }
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl DiskDelay {
    /// Every sync takes that much longer from now on; zero ends it.
    pub fn set(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.control.delay_micros.store(micros, Ordering::Relaxed);
    }
}

impl<R: FnMut(LogEvent)> Writer<R> {
    fn run(&mut self) -> Result<(), WalError> {
        self.look_for_space()?;
        loop {
            let first = match (self.next.take(), self.wait()) {
                (Some(next), _) => Ok(next),
                (None, Some(wait)) => self.receiver.recv_timeout(wait),
                (None, None) => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(batch) => self.write(batch)?,
                Err(RecvTimeoutError::Timeout) => self.idle()?,
                Err(RecvTimeoutError::Disconnected) => return self.seal(),
            }
        }
    }

    /// How long to wait for a batch before there is something else to do.
    fn wait(&self) -> Option<Duration> {
        match (self.is_full, self.needs_seal) {
            (true, _) => Some(DISK_FULL_POLL),
            (false, true) => Some(LOG_SEAL_AFTER),
            (false, false) => None,
        }
    }

    fn idle(&mut self) -> Result<(), WalError> {
        if self.is_full { self.look_for_space() } else { self.seal() }
    }

    fn seal(&mut self) -> Result<(), WalError> {
        self.needs_seal = false;
        match self.wal.seal() {
            Err(WalError::NoSpace { .. }) => Ok(()),
            other => other,
        }
    }

    /// Writes `first` and what else is queued.
    fn write(&mut self, first: Batch) -> Result<(), WalError> {
        let mut ticket = first.ticket;
        let (mut bytes, mut records) = (0, 0);
        let mut next = Some(first);
        while let Some(batch) = next {
            assert!(batch.ticket >= ticket, "tickets come in order");
            ticket = batch.ticket;
            records += batch.records.len();
            bytes += self.wal.append(&batch.records);
            if bytes >= BATCH_BYTES_MAX || records >= BATCH_RECORDS_MAX {
                break;
            }
            next = self.receiver.try_recv().ok();
        }
        let started = Instant::now();
        if !self.sync()? {
            return Ok(());
        }
        self.needs_seal = true;
        let took = started.elapsed();
        self.next = self.receiver.try_recv().ok();
        (self.report)(LogEvent::Durable { ticket, took, is_last: self.next.is_none() });
        self.look_for_space()
    }

    /// Makes it durable, however long the disk is full; false if the node stops before there is space.
    fn sync(&mut self) -> Result<bool, WalError> {
        loop {
            match self.control.delay_micros.load(Ordering::Relaxed) {
                0 => {}
                micros => thread::sleep(Duration::from_micros(micros)),
            }
            match self.wal.sync() {
                Ok(()) => return Ok(true),
                Err(error @ WalError::NoSpace { .. }) => {
                    self.tell_full(true, Some(&error));
                    if self.control.is_stopping.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
                    thread::sleep(DISK_FULL_POLL);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn look_for_space(&mut self) -> Result<(), WalError> {
        let has_space = self.wal.ensure_spare()?;
        self.tell_full(!has_space, None);
        Ok(())
    }

    fn tell_full(&mut self, is_full: bool, error: Option<&WalError>) {
        if is_full == self.is_full {
            return;
        }
        self.is_full = is_full;
        match (is_full, error) {
            (true, Some(error)) => tracing::error!("the disk is full: {error}"),
            (true, None) => tracing::error!("the disk is full: no space for the next segment of the log"),
            (false, _) => tracing::info!("the disk has space again"),
        }
        (self.report)(LogEvent::DiskFull(is_full));
    }
}
