//! The second phase: every fault is healed and every node restarted; then, within bounded simulated time, there must
//! be one leader, all trees must be equal at one zxid, and each node must take a fresh write and a barrier read.
//!
//! A world that does not get there fails with a description of where each node stands.

use crate::clock::{MILLISECOND, SECOND};
use crate::event::Event;
use crate::invariants::{Verdict, Violation, ephemerals};
use crate::world::World;
use std::fmt::Write;
use zw_core::zab::effects::Role;

const LIVENESS: &str = "Liveness";

impl World {
    /// Heals the world and waits until the ensemble has recovered.
    pub(crate) fn recover(&mut self) -> Verdict {
        self.healing = true;
        self.heal_all();
        self.network.calm();
        // A processor too slow for its own votes need not elect anybody.
        self.options.drain_max = self.options.drain_max.max(16);
        self.options.run_delay = self.options.run_delay.min(100);
        for node in 0..self.nodes.len() {
            let home = &mut self.nodes[node];
            home.disk.calm();
            home.crash_armed = false;
            let incarnation = home.incarnations;
            if home.process.is_none() {
                let at = self.agenda.now() + self.fault_prng.below(SECOND);
                self.agenda.at(at, Event::Restart { node, incarnation });
            }
            self.resume(node);
            self.disk_space(node, false);
        }
        self.start_probes();
        self.agenda.after(SECOND, Event::Probe);
        let healed_at = self.agenda.now();
        let end = healed_at + self.options.liveness;
        while !self.has_recovered() {
            if self.agenda.now() >= end {
                return Err(Violation::new(LIVENESS, self.explain()));
            }
            let next = (self.agenda.now() + 100 * MILLISECOND).min(end);
            self.run_until(next)?;
        }
        self.counts.add_many("recovery in simulated ms", (self.agenda.now() - healed_at) / MILLISECOND);
        self.check_end()
    }

    /// Wakes the probes that were disconnected.
    pub(crate) fn probe(&mut self) -> Verdict {
        self.agenda.after(SECOND, Event::Probe);
        Ok(())
    }

    fn has_recovered(&self) -> bool {
        let last = self.invariants.agreement.last();
        let whole = (0..self.nodes.len()).filter(|node| !self.is_out(*node));
        let roles: Vec<Option<Role>> = whole.map(|node| self.role(node)).collect();
        let one_leader = roles.iter().filter(|role| **role == Some(Role::Leading)).count() == 1;
        let others = roles.iter().all(|role| matches!(role, Some(Role::Leading | Role::Following)));
        let processes = || self.nodes.iter().filter_map(|node| node.process.as_ref());
        let equal = processes().all(|p| p.tree.applied() == last && p.zab.is_serving());
        let served = self
            .clients
            .iter()
            .all(|client| self.is_out(client.node()) || client.probe.as_ref().is_none_or(Vec::is_empty));
        one_leader && others && equal && served
    }

    /// What must hold at the end: equal trees, disks that lead to the same tree, no acknowledged write missing.
    fn check_end(&mut self) -> Verdict {
        let last = self.invariants.agreement.last();
        for (node, home) in self.nodes.iter().enumerate() {
            if self.is_out(node) {
                continue;
            }
            let tree = &home.process.as_ref().expect("all nodes run at the end").tree;
            self.invariants.digests.claims(node, last, tree.digest())?;
            ephemerals::check(node, tree)?;
        }
        self.check_disks()?;
        self.judge_from_outside()?;
        let lost =
            self.history.acknowledged_writes().iter().find(|zxid| self.invariants.agreement.get(**zxid).is_none());
        let verdict = match lost {
            None => Ok(()),
            Some(lost) => {
                Err(Violation::new("AcknowledgedIsCommitted", format!("the write {lost} is gone at the end")))
            }
        };
        self.oracles.by_zxids(verdict)
    }

    /// The other judgement of what clients saw, which knows no zxid.
    fn judge_from_outside(&mut self) -> Verdict {
        let judged = self.black_box.judge()?;
        self.counts.add_many("call judged from outside", judged.calls);
        self.counts.add_many("path whose judgement was given up", judged.given_up);
        Ok(())
    }

    fn explain(&self) -> String {
        let mut text = format!(
            "no recovery within {} s after everything was healed; {} entries committed, the last {}",
            self.options.liveness / SECOND,
            self.invariants.agreement.committed().len(),
            self.invariants.agreement.last()
        );
        for (node, home) in self.nodes.iter().enumerate() {
            let _ = write!(text, "\n    node {}: ", node + 1);
            match &home.process {
                None => text.push_str("is down"),
                Some(process) => {
                    let zab = &process.zab;
                    let _ = write!(
                        text,
                        "{:?} leader {:?} epoch {} log {}..{} durable {} committed {} delivered {} serving {} links {:?}",
                        zab.role(),
                        zab.leader(),
                        zab.epoch(),
                        zab.log_start(),
                        zab.last_zxid(),
                        zab.durable_zxid(),
                        zab.committed(),
                        zab.delivered(),
                        zab.is_serving(),
                        process.links.keys().map(|peer| peer + 1).collect::<Vec<_>>()
                    );
                }
            }
        }
        for client in self.clients.iter().filter(|client| client.probe.as_ref().is_some_and(|p| !p.is_empty())) {
            let _ = write!(text, "\n    a probe still wants {:?}", client.probe);
        }
        text
    }
}
