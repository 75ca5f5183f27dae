//! What the keeper has to say, until its console takes it: now, or when one comes back.
//!
//! Invariants:
//! - Nobody who puts something in ever waits: a console that stands still holds up no child.
//! - It is bounded: of reports the oldest goes, and is counted; of what was printed only the newest answer waits.
//! - What the children are now is always known, whatever was lost.

use super::frame;
use super::wire::{Stamped, Standing, Up};
use crate::member::Member;
use crate::supervisor::{Change, Report};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Reports that wait. Children make a handful each unless somebody gives orders.
pub(super) const REPORTS_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    /// Something came, or was taken.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    reports: VecDeque<Stamped>,
    lost: u64,
    printed: Option<Up>,
    /// The answer to the wish to detach; it goes after everything else.
    answer: Option<Up>,
    children: BTreeMap<Member, Standing>,
    /// Whether something was taken and is not sent yet.
    is_sending: bool,
}

impl Waiting {
    fn note(&mut self, report: &Report) {
        let Some(member) = report.member else { return };
        match &report.change {
            Change::Spawned { pid } => {
                self.children.insert(member, Standing::Runs { pid: *pid, listens: false });
            }
            Change::Listening => {
                if let Some(Standing::Runs { listens, .. }) = self.children.get_mut(&member) {
                    *listens = true;
                }
            }
            change @ (Change::Exited { .. } | Change::Failed(_)) => {
                self.children.insert(member, Standing::Ended(change.clone()));
            }
            _ => {}
        }
    }

    fn has_more(&self) -> bool {
        !self.reports.is_empty() || self.printed.is_some() || self.answer.is_some()
    }

    fn next(&mut self) -> Option<Up> {
        let report = self.reports.pop_front().map(Up::Report);
        report.or_else(|| self.printed.take()).or_else(|| self.answer.take())
    }
}

impl Mailbox {
    pub(super) fn report(&self, at_ns: u64, report: Report) {
        let mut waiting = self.lock();
        waiting.note(&report);
        if waiting.reports.len() == REPORTS_MAX {
            waiting.reports.pop_front();
            waiting.lost += 1;
        }
        waiting.reports.push_back(Stamped { at_ns, report });
        self.changed.notify_all();
    }

    /// Puts in what a child printed, or the answer to the wish to detach.
    pub(super) fn put(&self, message: Up) {
        let mut waiting = self.lock();
        match message {
            printed @ (Up::Printed { .. } | Up::NothingNew) => waiting.printed = Some(printed),
            answer => waiting.answer = Some(answer),
        }
        self.changed.notify_all();
    }

    /// Sends everything to a console, until that may leave or is gone.
    pub(super) fn send_to(&self, console: impl Write) {
        let mut console = console;
        loop {
            let message = self.take();
            let is_last = matches!(message, Up::LetGo);
            let sent = frame::send(&mut console, &message);
            self.lock().is_sending = false;
            self.changed.notify_all();
            if let Err(error) = &sent {
                tracing::info!(%error, "the console takes nothing more");
            }
            if sent.is_err() || is_last {
                return;
            }
        }
    }

    fn take(&self) -> Up {
        let mut waiting = self.lock();
        loop {
            if let Some(message) = waiting.next() {
                waiting.is_sending = true;
                return message;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until everything is sent, or for so long.
    pub(super) fn wait_sent(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut waiting = self.lock();
        while waiting.is_sending || waiting.has_more() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What waits for a console that comes back, and what the children are. It stays until that console has it.
    pub(super) fn look(&self) -> (Vec<Stamped>, u64, BTreeMap<Member, Standing>) {
        let waiting = self.lock();
        (waiting.reports.iter().cloned().collect(), waiting.lost, waiting.children.clone())
    }

    /// Forgets what [`Mailbox::look`] gave: so many reports, and those that were lost before.
    pub(super) fn forget(&self, count: usize, lost: u64) {
        let mut waiting = self.lock();
        // Of these some may have gone since to make room.
        let gone = usize::try_from(waiting.lost - lost).unwrap_or(usize::MAX);
        let left = count.saturating_sub(gone);
        waiting.reports.drain(..left);
        waiting.lost = 0;
        // Of another console's questions.
        (waiting.printed, waiting.answer) = (None, None);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{Asked, Exit};

    const N1: Member = Member::Node(1);

    fn put(mailbox: &Mailbox, at_ns: u64, change: Change) {
        mailbox.report(at_ns, Report { member: Some(N1), change });
    }

    #[test]
    fn it_is_bounded_and_knows_what_the_children_are_all_the_same() {
        let mailbox = Mailbox::default();
        put(&mailbox, 1, Change::Spawned { pid: 7 });
        put(&mailbox, 2, Change::Listening);
        for at in 3..REPORTS_MAX as u64 + 10 {
            put(&mailbox, at, Change::Paused);
        }
        let (reports, lost, children) = mailbox.look();
        assert_eq!((reports.len(), lost), (REPORTS_MAX, 9));
        assert_eq!(children[&N1], Standing::Runs { pid: 7, listens: true });
        // While the console reads that, one more comes and one more goes.
        let end = Change::Exited { exit: Exit::Signal(9), asked: Asked::Nothing, words: None };
        put(&mailbox, 5_000, end.clone());
        mailbox.forget(reports.len(), lost);
        let (reports, lost, children) = mailbox.look();
        assert_eq!((reports.len(), reports[0].at_ns, lost), (1, 5_000, 0));
        assert_eq!(children[&N1], Standing::Ended(end));
    }

    #[test]
    fn an_answer_to_one_console_does_not_reach_the_next() {
        let mailbox = Mailbox::default();
        mailbox.put(Up::LetGo);
        mailbox.put(Up::NothingNew);
        mailbox.forget(0, 0);
        assert!(!mailbox.lock().has_more());
    }

    #[test]
    fn everything_goes_before_the_console_may_leave() {
        let mailbox = Mailbox::default();
        mailbox.put(Up::LetGo);
        mailbox.put(Up::Printed { member: N1, lines: Vec::new(), total: 1 });
        mailbox.put(Up::Printed { member: N1, lines: Vec::new(), total: 2 });
        put(&mailbox, 1, Change::Listening);
        let mut sent = Vec::new();
        mailbox.send_to(&mut sent);
        let mut from = sent.as_slice();
        let mut next = || frame::receive::<Up>(&mut from).unwrap();
        assert!(matches!(next(), Some(Up::Report(Stamped { at_ns: 1, .. }))));
        assert!(matches!(next(), Some(Up::Printed { total: 2, .. })));
        assert!(matches!(next(), Some(Up::LetGo)) && next().is_none());
        mailbox.wait_sent(Duration::from_secs(3_600));
    }
}
