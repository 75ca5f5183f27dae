//! The thread that owns the children: the only place that spawns, signals and reaps.

use super::child::Child;
use super::port::why_taken;
use super::{Asked, Change, ChildPlan, Latch, Order, Output, Report, RunFile};
use super::{STOP_ALL_DEADLINE, STOP_GRACE, STOP_LAST_AFTER};
use crate::member::Member;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// What comes to the thread.
#[derive(Debug)]
pub(super) enum Message {
    Order(Order),
    /// The children belong to this process now.
    BelongTo(u32),
    /// A child printed that it listens.
    Listening {
        member: Member,
        life: u64,
    },
    /// A child ended and waits to be reaped.
    Ended {
        member: Member,
        life: u64,
    },
}

/// What the thread is connected to.
pub(super) struct Links {
    pub(super) report: Box<dyn Fn(Report) + Send>,
    pub(super) outputs: Arc<BTreeMap<Member, Output>>,
    pub(super) inbox: SyncSender<Message>,
    pub(super) stopped: Arc<Latch>,
}

/// The ordered stop of all.
struct Leaving {
    /// The child that is spared until the others are gone.
    last: Option<Member>,
    last_at: Instant,
    deadline: Instant,
    is_over: bool,
}

pub(super) struct Thread {
    run_file: Option<RunFile>,
    plans: BTreeMap<Member, ChildPlan>,
    children: BTreeMap<Member, Child>,
    lives: u64,
    leaving: Option<Leaving>,
    links: Links,
}

impl Thread {
    pub(super) fn new(run_file: Option<RunFile>, plans: Vec<ChildPlan>, links: Links) -> Thread {
        let plans = plans.into_iter().map(|plan| (plan.member, plan)).collect();
        Thread { run_file, plans, children: BTreeMap::new(), lives: 0, leaving: None, links }
    }

    /// Runs until the process ends: were it to return, the kernel would kill the children.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let wait = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
            match messages.recv_timeout(wait.unwrap_or(Duration::from_secs(3_600))) {
                Ok(Message::Order(order)) => self.obey(order),
                Ok(Message::BelongTo(pid)) => {
                    if let Some(run_file) = &mut self.run_file {
                        run_file.belong_to(pid);
                    }
                }
                Ok(Message::Listening { member, life }) => {
                    if self.children.get(&member).is_some_and(|child| child.life == life) {
                        self.report(member, Change::Listening);
                    }
                }
                Ok(Message::Ended { member, life }) => self.reap(member, life),
                // We hold a sender ourselves, so the channel is never closed.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.enforce_deadlines(Instant::now());
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.iter().filter(|leaving| !leaving.is_over);
        let leaving = leaving.flat_map(|leaving| [Some(leaving.deadline), leaving.last.map(|_| leaving.last_at)]);
        self.children.values().map(|child| child.kill_at).chain(leaving).flatten().min()
    }

    fn obey(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Start(member) => self.start(member),
            Order::StopAll { last } => self.stop_all(last, now),
            Order::KillAll => {
                for child in self.children.values_mut() {
                    child.kill(Asked::Kill);
                }
                self.stop_all(None, now);
            }
            Order::Kill(member) => self.with_living(member, Child::kill_now),
            Order::Stop(member) => self.with_living(member, |child| child.stop_at(now)),
            Order::Pause(member) => self.with_living(member, Child::pause),
            Order::Resume(member) => self.with_living(member, Child::resume),
        }
    }

    fn with_living(&mut self, member: Member, act: impl FnOnce(&mut Child) -> Change) {
        let change = match self.children.get_mut(&member) {
            Some(child) => act(child),
            None => Change::Refused(format!("{member} does not run")),
        };
        self.report(member, change);
    }

    fn start(&mut self, member: Member) {
        let change = if self.leaving.is_some() {
            Change::Refused("the console is leaving".into())
        } else if let Some(child) = self.children.get(&member) {
            let state = if child.asked == Asked::Nothing { "runs already" } else { "has not ended yet" };
            Change::Refused(format!("{member} {state}"))
        } else {
            self.spawn(member)
        };
        self.report(member, change);
    }

    fn spawn(&mut self, member: Member) -> Change {
        let (Some(plan), Some(output)) = (self.plans.get(&member), self.links.outputs.get(&member)) else {
            return Change::Refused(format!("there is no {member}"));
        };
        if let Some(reason) = why_taken(plan.port) {
            return Change::Failed(format!("{reason}; free it, then start {member} again"));
        }
        self.lives += 1;
        match Child::spawn(plan, self.lives, output, &self.links.inbox) {
            Ok(child) => {
                let pid = child.pid();
                if let Some(run_file) = &mut self.run_file {
                    run_file.add(member, pid);
                }
                self.children.insert(member, child);
                Change::Spawned { pid }
            }
            Err(error) => Change::Failed(format!("cannot start {}: {error}", plan.program.display())),
        }
    }

    fn reap(&mut self, member: Member, life: u64) {
        if self.children.get(&member).is_none_or(|child| child.life != life) {
            return;
        }
        let Some(child) = self.children.remove(&member) else { return };
        let asked = child.asked;
        let change = match child.reap() {
            Ok(exit) => {
                let is_own_error = asked == Asked::Nothing && exit.is_own_error();
                let words = if is_own_error { self.last_words(member) } else { None };
                Change::Exited { exit, asked, words }
            }
            Err(error) => Change::Failed(format!("cannot wait for {member}: {error}")),
        };
        if let Some(run_file) = &mut self.run_file {
            run_file.remove(member);
        }
        self.report(member, change);
    }

    fn last_words(&self, member: Member) -> Option<String> {
        self.links.outputs.get(&member)?.last_words(&self.plans.get(&member)?.name)
    }

    fn stop_all(&mut self, last: Option<Member>, now: Instant) {
        if self.leaving.is_some() && last.is_some() {
            return;
        }
        let deadline = self.leaving.as_ref().map_or(now + STOP_ALL_DEADLINE, |leaving| leaving.deadline);
        let last = last.filter(|last| self.children.get(last).is_some_and(|child| child.asked == Asked::Nothing));
        self.leaving = Some(Leaving { last, last_at: now + STOP_LAST_AFTER, deadline, is_over: false });
        let others: Vec<Member> = self.children.keys().copied().filter(|member| Some(*member) != last).collect();
        for member in others {
            self.stop_if_not_asked(member, now);
        }
    }

    fn stop_if_not_asked(&mut self, member: Member, now: Instant) {
        if let Some(child) = self.children.get_mut(&member)
            && child.asked == Asked::Nothing
        {
            let change = child.stop_at(now);
            self.report(member, change);
        }
    }

    fn enforce_deadlines(&mut self, now: Instant) {
        let mut overdue = Vec::new();
        for (member, child) in &mut self.children {
            if child.kill_at.is_some_and(|at| at <= now) {
                child.kill(Asked::KillAfterGrace);
                overdue.push(*member);
            }
        }
        for member in overdue {
            self.report(member, Change::GraceOver);
        }
        let Some(leaving) = &mut self.leaving else { return };
        let others_are_gone = self.children.keys().all(|member| Some(*member) == leaving.last);
        if let Some(last) = leaving.last
            && (others_are_gone || leaving.last_at <= now)
        {
            leaving.last = None;
            self.stop_if_not_asked(last, now);
        }
        self.finish_leaving(now);
    }

    fn finish_leaving(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else { return };
        let left = self.children.len();
        if !leaving.is_over && (left == 0 || leaving.deadline <= now) {
            leaving.is_over = true;
            (self.links.report)(Report { member: None, change: Change::AllStopped { left } });
            self.links.stopped.open();
        }
    }

    fn report(&self, member: Member, change: Change) {
        tracing::info!(%member, ?change, "child");
        (self.links.report)(Report { member: Some(member), change });
    }
}

impl Child {
    fn kill_now(&mut self) -> Change {
        self.kill(Asked::Kill);
        // Its end is the report; until then it is stopping.
        Change::Stopping
    }

    fn stop_at(&mut self, now: Instant) -> Change {
        self.stop(now + STOP_GRACE);
        Change::Stopping
    }

    fn pause(&mut self) -> Change {
        self.signal(Signal::STOP);
        Change::Paused
    }

    fn resume(&mut self) -> Change {
        self.signal(Signal::CONT);
        Change::Resumed
    }
}
