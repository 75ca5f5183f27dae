//! Discovery: the leader finds an epoch that a quorum promises, and whether it may lead it (rules D1 to D6).
//!
//! Invariants:
//! - An epoch has one leader: a quorum promised it to that node, and each member promises an epoch once (I9).
//! - A leader that is established has every record that was ever committed: no member of its promise quorum has a
//!   greater last zxid (D5).

use super::effects::Effect;
use super::holdback::Held;
use super::leading::Stage;
use super::message::{AckEpoch, Hello, Message, NewEpoch};
use super::{Phase, Zab};
use crate::ids::{EPOCH_MAX, Epoch, NodeId, Zxid};
use crate::log::record::{Entry, Promise};

impl Zab {
    /// D1, at the leader.
    pub(super) fn receive_hello(&mut self, peer: NodeId, hello: &Hello, effects: &mut Vec<Effect>) {
        let promised = Promise { epoch: hello.promised, leader: hello.to };
        if promised.epoch.0 >= EPOCH_MAX {
            self.close(peer, "a promise of an epoch that cannot be", effects);
            return;
        }
        let me = self.config.me;
        let Some(leading) = self.hear_follower(peer) else {
            self.send_standing(peer, effects);
            return;
        };
        // A follower greets at each sign that this node leads; it is invited once. Leaving, it says goodbye first.
        if leading.hellos.insert(peer, promised) == Some(promised) {
            return;
        }
        match leading.epoch() {
            None => self.choose_epoch_when_gathered(),
            Some(epoch) if promised.epoch < epoch || promised == (Promise { epoch, leader: me }) => {
                self.send_when_durable(peer, Message::NewEpoch(NewEpoch { epoch }));
            }
            Some(_) => self.raise_epoch(),
        }
    }

    /// D2: with hellos of a quorum, itself included, the leader proposes an epoch above all promises.
    pub(super) fn choose_epoch_when_gathered(&mut self) {
        let Phase::Leading(leading) = &self.phase else { return };
        let gathered = leading.hellos.keys().copied().chain([self.config.me]);
        if leading.stage == Stage::Gathering && self.config.ensemble.contains_quorum(gathered) {
            self.propose_epoch();
        }
    }

    /// The stuck promise (protocol.md 2.7): a follower promised a later epoch to a candidate that failed. The leader
    /// goes above it together with the followers it has, without an election.
    ///
    /// Rate-limited; what came too soon is done at a later heartbeat.
    pub(super) fn raise_epoch_for_the_stuck(&mut self) {
        let me = self.config.me;
        let Phase::Leading(leading) = &self.phase else { return };
        let Some(epoch) = leading.epoch() else { return };
        let own = Promise { epoch, leader: me };
        if leading.hellos.values().any(|promise| promise.epoch >= epoch && *promise != own) {
            self.raise_epoch();
        }
    }

    fn raise_epoch(&mut self) {
        let tick = self.now.tick;
        let pause = self.config.timing.follower_timeout;
        let Phase::Leading(leading) = &mut self.phase else { return };
        if leading.raise_after <= tick {
            leading.raise_after = tick.after(pause);
            leading.acks.clear();
            leading.followers.clear();
            leading.barriers.restart();
            self.propose_epoch();
        }
    }

    fn propose_epoch(&mut self) {
        let me = self.config.me;
        let Phase::Leading(leading) = &mut self.phase else { return };
        let promised = leading.hellos.values().map(|promise| promise.epoch).max().unwrap_or_default();
        let epoch = promised.max(self.promise.epoch).next();
        leading.stage = Stage::Proposing { epoch };
        let peers: Vec<NodeId> = leading.hellos.keys().copied().collect();
        // D2: this node's own promise comes first, and nobody hears of the epoch before it is durable.
        self.write_promise(Promise { epoch, leader: me });
        self.holdback.hold(Held::OwnPromise { epoch });
        for peer in peers {
            self.send_when_durable(peer, Message::NewEpoch(NewEpoch { epoch }));
        }
    }

    /// This node is the first member of its discovery quorum.
    pub(super) fn own_promise_is_durable(&mut self, epoch: Epoch, effects: &mut Vec<Effect>) {
        let me = self.config.me;
        let Phase::Leading(leading) = &mut self.phase else { return };
        // The epoch may have been raised since: then a later promise is still on its way.
        if leading.stage == (Stage::Proposing { epoch }) {
            leading.acks.insert(me, None);
            self.establish_when_promised(effects);
        }
    }

    /// D3 to D5, at the leader.
    pub(super) fn receive_ack_epoch(&mut self, peer: NodeId, ack: AckEpoch, effects: &mut Vec<Effect>) {
        let last = self.log.last_zxid();
        let Some(leading) = self.hear_follower(peer) else { return };
        match leading.stage {
            Stage::Proposing { epoch } if epoch == ack.epoch => {
                // D5: leading without a record that may be committed would lose it.
                if ack.last_zxid > last {
                    self.abdicate("a follower has more than this node", effects);
                    return;
                }
                leading.acks.insert(peer, Some(ack));
                self.establish_when_promised(effects);
            }
            Stage::Established { epoch } if epoch == ack.epoch => self.start_sync(peer, &ack, effects),
            _ => {}
        }
    }

    /// D6: the marker ends the initial history.
    fn establish_when_promised(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        let Stage::Proposing { epoch } = leading.stage else { return };
        // Without its own promise the leader's membership in the quorum is not durable.
        if !leading.acks.contains_key(&self.config.me)
            || !self.config.ensemble.contains_quorum(leading.acks.keys().copied())
        {
            return;
        }
        leading.stage = Stage::Established { epoch };
        let acks = std::mem::take(&mut leading.acks);
        self.append_marker(epoch);
        for (peer, ack) in acks {
            if let Some(ack) = ack {
                self.start_sync(peer, &ack, effects);
            }
        }
        self.propose_what_waited(effects);
    }

    fn append_marker(&mut self, epoch: Epoch) {
        assert!(self.promise == Promise { epoch, leader: self.config.me }, "D2: led without its own promise");
        self.append_to_log(Entry::new(Zxid::marker(epoch), self.now.wall_ms, b""));
    }
}
