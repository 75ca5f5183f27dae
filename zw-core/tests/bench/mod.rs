//! One real node of three, whose peers and disk are played by the test.

#![allow(dead_code, reason = "each of the tests that share this uses a part of it")]

use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::{Epoch, LinkId, NodeId, Tick, Ticket, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Promise, Record};
use zw_core::zab::effects::{Effect, FetchId, Input, Now, Proposal};
use zw_core::zab::message::{
    Ack, AckEpoch, Append, Candidate, EpochEnd, Heartbeat, HeartbeatAck, Hello, Message, NewEpoch, Standing, Vote,
};
use zw_core::zab::{Config, Limits, Timing, Zab};

pub(crate) const N1: NodeId = NodeId(1);
pub(crate) const N2: NodeId = NodeId(2);
pub(crate) const N3: NodeId = NodeId(3);

/// One member of three, whose peers and disk are played by the test.
pub(crate) struct Bench {
    pub(crate) zab: Zab,
    pub(crate) now: Now,
    links: u64,
    /// Of the last write.
    pub(crate) ticket: Ticket,
    /// The last entry that each peer was sent.
    told: BTreeMap<NodeId, Zxid>,
}

impl Bench {
    pub(crate) fn new(me: NodeId, disk: &Recovered) -> Bench {
        Bench::with(me, disk, 1, Limits::default())
    }

    pub(crate) fn with(me: NodeId, disk: &Recovered, seed: u64, limits: Limits) -> Bench {
        let members = (0..3).map(|i| Address::new("localhost", 8080 + i)).collect();
        let ensemble = Ensemble::new(members).unwrap();
        let config = Config { me, ensemble, timing: Timing::default(), seed, limits };
        let now = Now::default();
        let mut bench =
            Bench { zab: Zab::new(config, disk, now), now, links: 0, ticket: Ticket(0), told: BTreeMap::new() };
        bench.give(Input::Tick);
        bench
    }

    /// One input and its effects; the disk does not answer by itself.
    pub(crate) fn give(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.zab.step(self.now, input, &mut effects);
        self.zab.flush(self.now, &mut effects);
        for effect in &effects {
            match effect {
                Effect::Persist { ticket, .. } => self.ticket = *ticket,
                Effect::Send { peer, message: Message::Append(append), .. } => {
                    let last = append.entries.last().map_or(append.previous, Entry::zxid);
                    self.told.insert(*peer, last);
                }
                _ => {}
            }
        }
        effects
    }

    pub(crate) fn connect(&mut self, peer: NodeId) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.give(Input::Connected { peer, link });
        link
    }

    pub(crate) fn hear(&mut self, peer: NodeId, link: LinkId, message: Message) -> Vec<Effect> {
        self.give(Input::Message { peer, link, message })
    }

    pub(crate) fn durable(&mut self) -> Vec<Effect> {
        let ticket = self.ticket;
        self.give(Input::Durable { ticket })
    }

    /// Time passes in steps of a millisecond; all effects of it.
    pub(crate) fn pass(&mut self, duration: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..duration.as_millis() {
            self.now.tick = Tick(self.now.tick.0 + 1_000);
            effects.extend(self.give(Input::Tick));
        }
        effects
    }

    /// Node 1 follows node 3 in epoch 4, whose marker is committed.
    pub(crate) fn follow_epoch_4(&mut self) -> LinkId {
        let link = self.promise_epoch_4();
        let entries = vec![Entry::new(zxid(4, 0), 0, b"")];
        let append = Append { epoch: Epoch(4), previous: Zxid::ZERO, commit: zxid(4, 0), entries };
        self.hear(N3, link, Message::Append(append));
        self.durable();
        assert!(self.zab.is_serving());
        link
    }

    /// Node 1 has promised epoch 4 to node 3.
    pub(crate) fn promise_epoch_4(&mut self) -> LinkId {
        let link = self.connect(N3);
        let candidate = Candidate { zxid: Zxid::ZERO, node: N3 };
        self.hear(N3, link, Message::Vote(Vote { round: 1, candidate, standing: Standing::Leading }));
        self.hear(N3, link, Message::NewEpoch(NewEpoch { epoch: Epoch(4) }));
        self.durable();
        link
    }

    /// Node 3 leads after node 2 has voted for it; node 2 is greeted as a follower that promised `promised`.
    pub(crate) fn lead(&mut self, promised: Epoch) -> LinkId {
        self.lead_in_round(1, promised)
    }

    /// The same in a later round.
    pub(crate) fn lead_in_round(&mut self, round: u64, promised: Epoch) -> LinkId {
        let link = self.connect(N2);
        let candidate = Candidate { zxid: self.zab.last_zxid(), node: N3 };
        self.hear(N2, link, Message::Vote(Vote { round, candidate, standing: Standing::Looking }));
        self.pass(Duration::from_millis(250));
        self.hear(N2, link, Message::Hello(Hello { promised, to: N2 }));
        link
    }

    /// Node 3 leads the epoch that it has promised, and nodes 1 and 2 follow with logs as long as its own; all serve.
    pub(crate) fn lead_both(&mut self) -> (LinkId, LinkId) {
        let second = self.lead(Epoch(0));
        let first = self.connect(N1);
        self.hear(N1, first, Message::Hello(Hello { promised: Epoch(0), to: N1 }));
        self.acknowledge_epoch(&[(N1, first), (N2, second)]);
        assert!(self.zab.is_serving());
        (first, second)
    }

    /// The leader's promise is durable, these followers promise too, and acknowledge the whole log with the marker.
    pub(crate) fn acknowledge_epoch(&mut self, followers: &[(NodeId, LinkId)]) {
        self.durable();
        let epoch = self.zab.epoch();
        let last_zxid = self.zab.last_zxid();
        let epoch_ends = if last_zxid > Zxid::ZERO { vec![EpochEnd(last_zxid)] } else { Vec::new() };
        for (peer, link) in followers {
            let ack = AckEpoch { epoch, last_zxid, epoch_ends: epoch_ends.clone() };
            self.hear(*peer, *link, Message::AckEpoch(ack));
        }
        self.durable();
        for (peer, link) in followers {
            self.acknowledge(*peer, *link);
        }
    }

    /// A follower has all that the leader has, on its disk.
    pub(crate) fn acknowledge(&mut self, peer: NodeId, link: LinkId) -> Vec<Effect> {
        let ack = Ack { epoch: self.zab.epoch(), zxid: self.zab.last_zxid() };
        self.hear(peer, link, Message::Ack(ack))
    }

    /// A follower has all that it was sent, on its disk.
    pub(crate) fn acknowledge_sent(&mut self, peer: NodeId, link: LinkId) -> Vec<Effect> {
        let zxid = self.told.get(&peer).copied().unwrap_or_default();
        self.hear(peer, link, Message::Ack(Ack { epoch: self.zab.epoch(), zxid }))
    }

    /// Commands of this node's own clients.
    pub(crate) fn propose(&mut self, payloads: impl IntoIterator<Item = Bytes>) -> Vec<Effect> {
        let proposals = payloads.into_iter().zip(1..).map(|(payload, tag)| Proposal { tag, payload }).collect();
        self.give(Input::Propose { proposals })
    }

    /// A follower answers the leader's last heartbeat.
    pub(crate) fn echo(&mut self, peer: NodeId, link: LinkId, heartbeat: &Heartbeat) -> Vec<Effect> {
        let Heartbeat { epoch, round, .. } = *heartbeat;
        self.hear(peer, link, Message::HeartbeatAck(HeartbeatAck { epoch, round, touched: Vec::new() }))
    }
}

/// The last heartbeat among these effects.
pub(crate) fn heartbeat(effects: &[Effect]) -> Option<Heartbeat> {
    let mut sent = sent(effects).into_iter().rev();
    sent.find_map(
        |(_, message)| if let Message::Heartbeat(heartbeat) = message { Some(heartbeat.clone()) } else { None },
    )
}

/// The records of the writes among these effects.
pub(crate) fn written(effects: &[Effect]) -> Vec<&Record> {
    let batches = effects.iter().filter_map(|effect| match effect {
        Effect::Persist { records, .. } => Some(records),
        _ => None,
    });
    batches.flatten().collect()
}

pub(crate) fn sent(effects: &[Effect]) -> Vec<(NodeId, &Message)> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Send { peer, message, .. } => Some((*peer, message)),
        _ => None,
    });
    messages.collect()
}

pub(crate) fn zxid(epoch: u32, counter: u64) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// A disk that holds epoch 1 with its marker, promised to node 3.
pub(crate) fn disk_of_epoch_1() -> Recovered {
    let mut disk = Recovered::default();
    disk.replay(Record::Promise(Promise { epoch: Epoch(1), leader: N3 })).unwrap();
    disk.replay(Record::Entry(Entry::new(zxid(1, 0), 0, b""))).unwrap();
    disk
}

pub(crate) fn fetched(effects: &[Effect]) -> Option<FetchId> {
    effects.iter().find_map(|effect| match effect {
        Effect::FetchSnapshot { fetch, .. } => Some(*fetch),
        _ => None,
    })
}
