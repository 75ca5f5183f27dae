//! One living child: its spawn, its pipes, its signals.

use super::output::{self, Output};
use super::thread::Message;
use super::{Asked, ChildPlan, Exit, Latch};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// What a child prints on stdout once it accepts connections.
const LISTENING: &[u8] = b"listening on ";
/// The helper threads of a child only move bytes.
const HELPER_STACK_BYTES: usize = 256 * 1_024;
/// How long the report of an end waits for what the child printed before it.
const LAST_WORDS_PATIENCE: Duration = Duration::from_millis(200);

/// A child that was spawned and not reaped yet.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pid: Pid,
    /// Counts the lives of a member: messages of an earlier life are not taken for this one's.
    pub(crate) life: u64,
    pub(crate) asked: Asked,
    pub(crate) kill_at: Option<Instant>,
    /// Held open: its end tells the child that we are gone.
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts the program of `plan`, its output pumps and the thread that waits for its end.
    pub(crate) fn spawn(
        plan: &ChildPlan,
        life: u64,
        output: &Output,
        inbox: &SyncSender<Message>,
    ) -> io::Result<Child> {
        output.begin_life();
        let mut process = Command::new(&plan.program)
            .arg0(&plan.name)
            .args(&plan.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&process);
        let stdin = process.stdin.take();
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let child = Child { process, pid, life, asked: Asked::Nothing, kill_at: None, _stdin: stdin };
        let member = plan.member;
        let said_all = Arc::new(Latch::default());
        if let Some(stderr) = stderr {
            let (output, said_all) = (output.clone(), Arc::clone(&said_all));
            helper(format!("{member}-stderr"), move || {
                output.pump(stderr);
                said_all.open();
            })?;
        }
        if let Some(stdout) = stdout {
            let inbox = inbox.clone();
            helper(format!("{member}-stdout"), move || {
                output::each_line(stdout, |line| {
                    if line.starts_with(LISTENING) {
                        let _ = inbox.send(Message::Listening { member, life });
                    }
                });
            })?;
        }
        let inbox = inbox.clone();
        helper(format!("{member}-wait"), move || {
            // NOWAIT leaves the zombie: its pid stays ours until the supervisor's thread reaps it.
            while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                .is_err_and(|error| error == rustix::io::Errno::INTR)
            {}
            // The end shall not overtake the last words. What the child forked may hold the pipe open for longer.
            let _ = said_all.wait(LAST_WORDS_PATIENCE);
            let _ = inbox.send(Message::Ended { member, life });
        })?;
        Ok(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Signals the child and all that it forked.
    pub(crate) fn signal(&self, signal: Signal) {
        // The group exists as long as its leader is not reaped; the only error left is a child that changed its user.
        if let Err(error) = kill_process_group(self.pid, signal) {
            tracing::warn!(pid = self.pid(), ?signal, %error, "cannot signal a child");
        }
    }

    /// Asks it to end; a paused process could not act on it.
    pub(crate) fn stop(&mut self, kill_at: Instant) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        self.asked = Asked::Stop;
        self.kill_at = Some(kill_at);
    }

    pub(crate) fn kill(&mut self, asked: Asked) {
        self.asked = asked;
        self.kill_at = None;
        self.signal(Signal::KILL);
    }

    /// Ends what is left of its group, then reaps it. Only after it ended.
    pub(crate) fn reap(mut self) -> io::Result<Exit> {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let status = self.process.wait()?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Child {
    /// Only for a spawn that failed half-way and for a panic of the thread: a child never outlives its handle.
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = self.process.wait();
        }
    }
}

fn helper(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name).stack_size(HELPER_STACK_BYTES).spawn(work).map(|_| ())
}
