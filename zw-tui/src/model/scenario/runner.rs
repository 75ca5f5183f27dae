//! The runner of one scenario: waits until the ensemble is healthy, types the steps, checks what is expected, cleans up.

use super::cast::Cast;
use super::condition::{Condition, Truth, healthy, operations};
use super::script::{Script, Step, Title};
use super::{Outcome, Verdict, lines};
use crate::action::command::{self, Command};
use crate::action::perform;
use crate::member::Member;
use crate::model::acts::{Act, perform as act};
use crate::model::feed::Page;
use crate::model::message::{Effect, Msg, Written};
use crate::model::verdict::judge;
use crate::model::write::WriteOrder;
use crate::model::{Desired, State, faults, load};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};

/// How long a scenario waits for something.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long an expectation may take to come true: nodes must answer, and trees meet.
const EXPECT_MAX: Duration = Duration::from_secs(15);
/// How long a scenario may take until it is cleaned up.
const SCENARIO_MAX: Duration = Duration::from_secs(180);
/// How long the ensemble may take to be healthy before and after.
const HEALTH_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what must be asked for.
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// A write of the scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Write {
    path: String,
    data: String,
    pub(super) outcome: Option<Result<Zxid, String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Until the ensemble is healthy.
    Ready,
    Steps,
    /// Until the ensemble is healthy again.
    Cleaning,
    Over,
}

/// A scenario that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Runner {
    pub(super) script: Title,
    pub(super) stage: Stage,
    stage_since: Duration,
    /// The steps: each by its place in the script, in a step that is done for each node, and that node.
    pub(super) steps: Vec<(usize, Option<(usize, usize)>)>,
    /// The step that is done now.
    pub(super) at: usize,
    pub(super) step_since: Duration,
    began: Duration,
    took: Duration,
    pub(super) cast: Cast,
    seed: u64,
    pub(super) epoch: Option<Epoch>,
    pub(super) operations_before: u64,
    pub(super) disagreements_before: u64,
    compared_before: u64,
    load_runs_before: u32,
    feed_runs_before: u32,
    pub(super) write: Option<Write>,
    /// What each node shows of the write.
    values: BTreeMap<usize, Result<(Bytes, Zxid), String>>,
    pub(super) pages: Option<Vec<(String, Page)>>,
    asked: Option<Duration>,
    revived: BTreeSet<Member>,
    pub(super) failure: Option<String>,
}

impl Runner {
    pub(super) fn new(script: Title, state: &State, now: Duration) -> Runner {
        Runner {
            script,
            stage: Stage::Ready,
            stage_since: now,
            steps: Vec::new(),
            at: 0,
            step_since: now,
            began: now,
            took: Duration::ZERO,
            cast: Cast::default(),
            seed: state.scenarios.seed,
            epoch: None,
            operations_before: 0,
            disagreements_before: state.measured.digests.violations(),
            compared_before: state.measured.digests.compared(),
            load_runs_before: state.loads.current.as_ref().map_or(0, |load| load.run),
            feed_runs_before: state.feed.as_ref().map_or(0, |feed| feed.run),
            write: None,
            values: BTreeMap::new(),
            pages: None,
            asked: None,
            revived: BTreeSet::new(),
            failure: None,
        }
    }

    /// Ends it early: it failed, and is cleaned up.
    pub(super) fn stop(&mut self) {
        if self.stage != Stage::Cleaning {
            self.failure.get_or_insert_with(|| "it was stopped".into());
        }
    }

    /// Takes what a message tells of what it asked for.
    pub(super) fn observe(&mut self, message: &Msg) {
        match message {
            Msg::Written { path, result, .. } => {
                if let Some(write) = self.write.as_mut().filter(|write| write.outcome.is_none() && write.path == *path)
                {
                    let outcome = result.as_ref().map(|Written { zxid, .. }| *zxid);
                    write.outcome = Some(outcome.map_err(|failure| failure.reason.clone()));
                }
            }
            Msg::Value { node, path, result } if self.write.as_ref().is_some_and(|write| write.path == *path) => {
                self.values.insert(*node, result.clone().map(|(data, stat)| (data, stat.mzxid)));
            }
            Msg::Pages(pages) => self.pages = Some(pages.clone()),
            _ => {}
        }
    }

    /// Whether it came further.
    pub(super) fn go_on(&mut self, state: &mut State, now: Duration, effects: &mut Vec<Effect>) -> bool {
        match self.stage {
            Stage::Ready => self.make_ready(state, now),
            Stage::Steps => {
                if self.failure.is_none() {
                    self.failure = self.violation(state);
                }
                if self.failure.is_none() && now.saturating_sub(self.began) > SCENARIO_MAX {
                    self.failure = Some(format!("it took longer than {} s", SCENARIO_MAX.as_secs()));
                }
                if self.failure.is_some() || self.at >= self.steps.len() {
                    self.took = now.saturating_sub(self.began);
                    self.enter(Stage::Cleaning, now);
                    self.begin_cleaning(state, now, effects);
                    return true;
                }
                self.step(state, now, effects)
            }
            Stage::Cleaning => self.clean(state, now, effects),
            Stage::Over => false,
        }
    }

    /// What the checks found since the scenario began.
    fn violation(&self, state: &State) -> Option<String> {
        let load = state.loads.current.as_ref().filter(|load| load.run > self.load_runs_before);
        let found = load.and_then(|load| load.report.as_ref()?.first_violation.clone());
        let differ = state.measured.digests.violations() > self.disagreements_before;
        found.or_else(|| state.measured.digests.first().filter(|_| differ).map(str::to_owned))
    }

    fn enter(&mut self, stage: Stage, now: Duration) {
        (self.stage, self.stage_since) = (stage, now);
    }

    fn make_ready(&mut self, state: &State, now: Duration) -> bool {
        let (nodes, brokers) = (state.nodes.len(), state.brokers.len());
        let Script { nodes: needed, brokers: needed_brokers, .. } = self.script.0;
        let is_stopped = self.failure.is_some();
        let lacks = nodes < *needed || brokers < *needed_brokers;
        if lacks || is_stopped {
            self.enter(Stage::Over, now);
            return true;
        }
        match healthy(state, now) {
            Truth::Yes => {}
            Truth::No(reason) | Truth::NotYet(reason) => {
                if now.saturating_sub(self.stage_since) > HEALTH_MAX {
                    self.failure = Some(format!("it could not begin: {reason}"));
                    self.enter(Stage::Over, now);
                    return true;
                }
                return false;
            }
        }
        if !self.look(state, now) {
            return false;
        }
        self.began = now;
        self.step_since = now;
        let order: Vec<usize> = self.cast.others.iter().copied().chain([self.cast.leader]).collect();
        for (place, step) in self.script.0.steps.iter().enumerate() {
            match step {
                Step::Each(steps) => {
                    for node in &order {
                        self.steps.extend((0..steps.len()).map(|inner| (place, Some((inner, *node)))));
                    }
                }
                _ => self.steps.push((place, None)),
            }
        }
        self.enter(Stage::Steps, now);
        true
    }

    /// Looks who leads, and gives the parts; false if nobody leads.
    fn look(&mut self, state: &State, now: Duration) -> bool {
        let verdict = judge(state, now);
        let Some(leader) = verdict.leader else { return false };
        let leader = usize::from(leader.0).saturating_sub(1);
        self.cast = Cast::new(leader, state.nodes.len(), state.brokers.len(), self.seed);
        self.epoch = verdict.epoch;
        true
    }

    /// A line with the members in the place of the `$` words.
    pub(super) fn filled(&self, line: &str) -> String {
        self.cast.filled(line, self.steps.get(self.at).and_then(|(_, each)| each.map(|(_, node)| node)))
    }

    /// A step as it is shown.
    pub(super) fn words(&self, index: usize) -> String {
        let each = self.steps.get(index).and_then(|(_, each)| each.map(|(_, node)| node));
        self.script_step(index).map_or_else(String::new, |step| self.cast.filled(&step.words(), each))
    }

    /// The step at this place of the run; none beyond the last.
    fn script_step(&self, index: usize) -> Option<&'static Step> {
        let (place, each) = self.steps.get(index)?;
        match (self.script.0.steps.get(*place)?, each) {
            (Step::Each(steps), Some((inner, _))) => steps.get(*inner),
            (step, _) => Some(step),
        }
    }

    /// Does the step, or waits for it.
    fn step(&mut self, state: &mut State, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let Some(step) = self.script_step(self.at) else { return false };
        let text = self.words(self.at);
        let waited = now.saturating_sub(self.step_since);
        match step {
            Step::Do(line) => {
                let line = self.filled(line);
                match self.type_in(state, now, &line) {
                    Ok(mut more) => effects.append(&mut more),
                    Err(reason) => self.failure = Some(format!("{line}: {reason}")),
                }
            }
            Step::Pause(time) if waited < *time => return false,
            Step::Look if !self.look(state, now) => return false,
            Step::Pause(_) | Step::Look | Step::Each(_) => {}
            Step::Until(_, condition) | Step::Expect(_, condition) => {
                let limit = if matches!(step, Step::Until(..)) { WAIT_MAX } else { EXPECT_MAX };
                match condition.truth(self, state, now) {
                    Truth::Yes => {}
                    Truth::No(reason) => self.failure = Some(format!("{text}: {reason}")),
                    Truth::NotYet(reason) if waited > limit => {
                        self.failure = Some(format!("{text}: not within {} s: {reason}", limit.as_secs()));
                    }
                    Truth::NotYet(_) => {
                        effects.append(&mut self.ask(condition, state, now));
                        return false;
                    }
                }
            }
        }
        if self.failure.is_none() {
            self.at += 1;
            self.step_since = now;
            self.operations_before = operations(state);
            (self.asked, self.pages) = (None, None);
        }
        true
    }

    /// As a person would type it.
    fn type_in(&mut self, state: &mut State, now: Duration, line: &str) -> Result<Vec<Effect>, String> {
        let command = command::parse(line, state, now)?;
        if let Command::Write(WriteOrder { path, data, .. }) = &command {
            let data = String::from_utf8_lossy(data).into_owned();
            self.write = Some(Write { path: path.clone(), data, outcome: None });
            self.values.clear();
        }
        if let Command::Act(act, members) = &command {
            members.iter().try_for_each(|member| act.check(state, *member))?;
        }
        let overlay = state.overlay.take();
        let effects = perform::carry_out(state, now, command);
        state.overlay = overlay;
        Ok(effects)
    }

    /// What a condition needs to be told.
    fn ask(&mut self, condition: &Condition, state: &State, now: Duration) -> Vec<Effect> {
        if self.asked.is_some_and(|asked| now.saturating_sub(asked) < ASK_PAUSE) {
            return Vec::new();
        }
        match condition {
            Condition::Shown => {
                self.asked = Some(now);
                let Some(write) = &self.write else { return Vec::new() };
                let running = state.nodes.iter().enumerate().filter(|(_, node)| node.process.can_work());
                running.map(|(node, _)| Effect::Value { node, path: write.path.clone() }).collect()
            }
            // The next time when this one is answered.
            Condition::Pages if self.asked.is_none() || self.pages.is_some() => {
                (self.asked, self.pages) = (Some(now), None);
                let running = state.brokers.iter().enumerate().filter(|(_, broker)| broker.process.can_work());
                vec![Effect::Pages { brokers: running.map(|(broker, _)| broker).collect() }]
            }
            _ => Vec::new(),
        }
    }

    /// Whether every node that runs shows the write.
    pub(super) fn shown(&self, state: &State) -> Truth {
        let Some(Write { data, outcome: Some(Ok(zxid)), .. }) = &self.write else {
            return Truth::No("nothing was written".into());
        };
        for (node, _) in state.nodes.iter().enumerate().filter(|(_, node)| node.process.can_work()) {
            match self.values.get(&node) {
                Some(Ok((shown, mzxid))) if shown == data.as_bytes() && mzxid == zxid => {}
                Some(Ok((_, mzxid))) => {
                    return Truth::NotYet(format!("n{} shows what {mzxid} wrote, and not {zxid}", node + 1));
                }
                Some(Err(reason)) => return Truth::NotYet(format!("n{}: {reason}", node + 1)),
                None => return Truth::NotYet(format!("n{} has not answered yet", node + 1)),
            }
        }
        Truth::Yes
    }

    fn begin_cleaning(&mut self, state: &mut State, now: Duration, effects: &mut Vec<Effect>) {
        if state.loads.is_running() {
            effects.append(&mut load::stop(state, now));
        }
        if !state.faults.active().is_empty() {
            effects.append(&mut faults::heal(state, now, |_| true));
        }
    }

    /// Revives what is down, and waits until all is well.
    fn clean(&mut self, state: &mut State, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let is_gone = |member: &Member| {
            let process = state.process(*member);
            process.is_some_and(|process| process.desired != Desired::Up || process.pid().is_none())
        };
        let gone: Vec<Member> = state.members().filter(is_gone).collect();
        for member in gone {
            if !self.revived.contains(&member) && Act::Revive.check(state, member).is_ok() {
                self.revived.insert(member);
                effects.append(&mut act(state, now, Act::Revive, member));
            }
        }
        let is_busy = state.loads.is_running() || state.feed.as_ref().is_some_and(|feed| !feed.is_over());
        match healthy(state, now) {
            Truth::Yes if !is_busy => {}
            truth if now.saturating_sub(self.stage_since) > HEALTH_MAX => {
                let reason = match truth {
                    Truth::Yes => "a load or a feed does not end".into(),
                    Truth::No(reason) | Truth::NotYet(reason) => reason,
                };
                self.failure.get_or_insert_with(|| format!("afterwards not all is well: {reason}"));
            }
            _ => return false,
        }
        self.enter(Stage::Over, now);
        true
    }

    pub(super) fn outcome(&self, state: &State) -> Outcome {
        let load = state.loads.current.as_ref().filter(|load| load.run > self.load_runs_before);
        let load = load.and_then(|load| load.report.as_ref());
        let feed = state.feed.as_ref().filter(|feed| feed.run > self.feed_runs_before);
        let feed = feed.and_then(|feed| feed.report.as_ref());
        let lacks = |is: usize, needs: usize, what: &str| (is < needs).then(|| format!("it needs {needs} {what}"));
        let lack = lacks(state.nodes.len(), self.script.0.nodes, "nodes")
            .or_else(|| lacks(state.brokers.len(), self.script.0.brokers, "brokers"));
        let verdict = match (&self.failure, lack) {
            (_, Some(lack)) => Verdict::Skipped(lack),
            (Some(reason), None) => Verdict::Failed(reason.clone()),
            (None, None) => Verdict::Passed,
        };
        let events = feed.map_or(0, |feed| u64::from(feed.acknowledged));
        let compared = state.measured.digests.compared() - self.compared_before;
        let differing = state.measured.digests.violations() - self.disagreements_before;
        Outcome {
            name: self.script.0.name.to_owned(),
            verdict,
            longest_gap: load.map(|load| load.longest_gap).or_else(|| feed.map(|feed| feed.longest_gap)),
            took: self.took,
            checked: load.map_or(0, |load| load.checked) + events + compared + self.values.len() as u64,
            violations: load.map_or(0, |load| load.violations) + differing,
            note: lines::note(load, feed),
        }
    }
}
