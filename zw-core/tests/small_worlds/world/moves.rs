//! What can happen in a state of a world, and what state follows.

use super::history::{History, logs_match};
use super::link::{Link, PAIRS, pair};
use super::local::{self, Emit, Event};
use super::node::{Node, id};
use super::store::{Numbers, Packed, QuickMap};
use super::{Budget, NODES, Plan, Sight, Start, Violation, Votes};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use zw_core::ids::Epoch;
use zw_core::zab::effects::Role;
use zw_core::zab::message::Message;

/// Something that can happen in a world; nodes and pairs are numbers from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Deliver { from: usize, to: usize },
    Notice { at: usize, peer: usize },
    Disk { node: usize },
    Elect { node: usize },
    Join { node: usize, leader: usize },
    Silence { node: usize },
    Beat { node: usize },
    Crash { node: usize, kept: usize },
    Restart { node: usize },
    Cut { pair: usize },
    Connect { pair: usize },
    Propose { node: usize },
}

/// A state: numbers of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    nodes: [u32; NODES],
    links: [u32; 3],
    history: u32,
    budget: Budget,
}

/// A step of a node, with messages as numbers.
#[derive(Clone, Debug)]
struct Known {
    node: u32,
    emits: Vec<KnownEmit>,
}

#[derive(Clone, Debug)]
enum KnownEmit {
    Send { to: usize, message: u32 },
    Other(Emit),
}

/// A world: its plan, and the parts of all its states.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    nodes: Numbers<Node>,
    links: Numbers<Link>,
    histories: Numbers<History>,
    messages: Numbers<Message>,
    steps: QuickMap<(u32, Event), Result<Rc<Known>, Violation>>,
    first: Option<State>,
    sights: BTreeSet<Sight>,
}

impl World {
    /// The world of a plan and its first state: all nodes run, and are connected.
    pub(crate) fn new(plan: Plan) -> Result<(World, State), Violation> {
        let mut world = World {
            plan,
            nodes: Numbers::new(),
            links: Numbers::new(),
            histories: Numbers::new(),
            messages: Numbers::new(),
            steps: QuickMap::default(),
            first: None,
            sights: BTreeSet::new(),
        };
        let mut disks = plan.start.disks().into_iter().enumerate();
        let nodes = [(); NODES].map(|()| {
            let (index, disk) = disks.next().expect("a disk for each node");
            world.nodes.of(Node::new(index, disk))
        });
        let link = world.links.of(Link::default());
        let history = world.histories.of(plan.start.history());
        let mut state = State { nodes, links: [link; 3], history, budget: plan.budget };
        for node in 0..NODES {
            world.happens(&mut state, node, Event::Start)?;
        }
        for pair in 0..PAIRS.len() {
            world.connect(&mut state, pair)?;
        }
        world.first = Some(state);
        Ok((world, state))
    }

    /// What was come by since this was last asked.
    pub(crate) fn take_sights(&mut self) -> BTreeSet<Sight> {
        std::mem::take(&mut self.sights)
    }

    /// How many different nodes, links, histories and steps there are.
    pub(crate) fn sizes(&self) -> [usize; 4] {
        [self.nodes.count(), self.links.count(), self.histories.count(), self.steps.len()]
    }

    fn node(&self, state: &State, node: usize) -> &Rc<Node> {
        self.nodes.get(state.nodes[node])
    }

    fn link(&self, state: &State, pair: usize) -> &Rc<Link> {
        self.links.get(state.links[pair])
    }

    /// Everything that can happen in `state`.
    pub(crate) fn moves(&self, state: &State, moves: &mut Vec<Move>) {
        moves.clear();
        for node in 0..NODES {
            self.moves_of_node(state, node, moves);
        }
        for (number, (low, high)) in PAIRS.into_iter().enumerate() {
            self.moves_of_pair(state, number, low, high, moves);
        }
        if self.plan.votes == Votes::Forged && self.plan.start == Start::Empty {
            self.drop_mirrored(state, moves);
        }
    }

    fn moves_of_node(&self, state: &State, node: usize, moves: &mut Vec<Move>) {
        let home = self.node(state, node);
        let budget = &state.budget;
        if home.zab.is_none() {
            moves.push(Move::Restart { node });
            return;
        }
        if !home.pending.is_empty() {
            moves.push(Move::Disk { node });
        }
        if self.plan.votes == Votes::Forged && home.is_voting() {
            if budget.elections > 0 && home.links.iter().any(Option::is_some) {
                moves.push(Move::Elect { node });
            }
            for leader in (0..NODES).filter(|leader| home.links[*leader].is_some()) {
                if self.node(state, leader).is_leading() {
                    moves.push(Move::Join { node, leader });
                }
            }
        }
        if budget.silences > 0 && home.role() != Some(Role::Looking) {
            moves.push(Move::Silence { node });
        }
        if budget.beats > 0 && home.is_leading() {
            moves.push(Move::Beat { node });
        }
        if budget.proposals > 0 && home.role() == Some(Role::Leading) {
            moves.push(Move::Propose { node });
        }
        if budget.crashes > 0 {
            moves.extend((0..=home.pending_records()).map(|kept| Move::Crash { node, kept }));
        }
    }

    fn moves_of_pair(&self, state: &State, number: usize, low: usize, high: usize, moves: &mut Vec<Move>) {
        let link = self.link(state, number);
        for (end, at, peer) in [(0, low, high), (1, high, low)] {
            if link.ends[end] && !link.queues[end].is_empty() {
                moves.push(Move::Deliver { from: peer, to: at });
            }
            if link.ends[end] && !link.up {
                moves.push(Move::Notice { at, peer });
            }
        }
        if link.up && state.budget.cuts > 0 {
            moves.push(Move::Cut { pair: number });
        }
        let both_run = [low, high].iter().all(|node| self.node(state, *node).zab.is_some());
        if link.is_free() && both_run && state.budget.connects > 0 {
            moves.push(Move::Connect { pair: number });
        }
    }

    /// With forged votes the nodes differ in nothing but their numbers. The first leader may as well be node 3; and as
    /// long as nodes 1 and 2 stand as at first, what happens to node 1 alone may as well happen to node 2.
    fn drop_mirrored(&self, state: &State, moves: &mut Vec<Move>) {
        let Some(first) = &self.first else { return };
        if state.nodes == first.nodes && state.links == first.links {
            moves.retain(|candidate| !matches!(candidate, Move::Elect { node: 0 | 1 }));
        }
        let is_symmetric = state.nodes[..2] == first.nodes[..2] && state.links == first.links;
        if is_symmetric {
            moves.retain(|candidate| match candidate {
                Move::Elect { node } | Move::Join { node, .. } | Move::Silence { node } => *node != 0,
                Move::Crash { node, .. } => *node != 0,
                // The pairs of node 1 with 2, 1 with 3, and 2 with 3: the second mirrors the third.
                Move::Cut { pair } => *pair != 1,
                _ => true,
            });
        }
    }

    /// The state after a move.
    pub(crate) fn after(&mut self, state: &State, what: Move) -> Result<State, Violation> {
        let mut next = *state;
        let budget = &mut next.budget;
        match what {
            Move::Deliver { from, to } => {
                let (number, end) = pair(to, from);
                let message = self.change_link(&mut next, number, |link| link.queues[end].remove(0));
                self.happens(&mut next, to, Event::Message { from, message })?;
            }
            Move::Notice { at, peer } => {
                let (number, end) = pair(at, peer);
                self.change_link(&mut next, number, |link| link.leave(end));
                self.happens(&mut next, at, Event::Disconnected { peer })?;
            }
            Move::Disk { node } => self.happens(&mut next, node, Event::Disk)?,
            Move::Elect { node } => {
                assert!(budget.take(|budget| &mut budget.elections), "the move is possible");
                let by = self.node(&next, node).links.iter().position(Option::is_some).expect("it has a link");
                self.happens(&mut next, node, Event::Elected { by })?;
            }
            Move::Join { node, leader } => self.happens(&mut next, node, Event::Joins { leader })?,
            Move::Silence { node } => {
                assert!(budget.take(|budget| &mut budget.silences), "the move is possible");
                self.happens(&mut next, node, Event::Silence)?;
            }
            Move::Beat { node } => {
                assert!(budget.take(|budget| &mut budget.beats), "the move is possible");
                self.happens(&mut next, node, Event::Beat)?;
            }
            Move::Crash { node, kept } => {
                assert!(budget.take(|budget| &mut budget.crashes), "the move is possible");
                self.happens(&mut next, node, Event::Crash { kept })?;
                for peer in (0..NODES).filter(|peer| *peer != node) {
                    let (number, end) = pair(node, peer);
                    self.change_link(&mut next, number, |link| link.leave(end));
                }
            }
            Move::Restart { node } => self.happens(&mut next, node, Event::Start)?,
            Move::Cut { pair } => {
                assert!(budget.take(|budget| &mut budget.cuts), "the move is possible");
                self.change_link(&mut next, pair, |link| link.up = false);
            }
            Move::Connect { pair } => {
                assert!(budget.take(|budget| &mut budget.connects), "the move is possible");
                self.connect(&mut next, pair)?;
            }
            Move::Propose { node } => {
                let number = budget.proposals;
                assert!(budget.take(|budget| &mut budget.proposals), "the move is possible");
                self.happens(&mut next, node, Event::Propose { number })?;
            }
        }
        Ok(next)
    }

    fn connect(&mut self, state: &mut State, number: usize) -> Result<(), Violation> {
        let (low, high) = PAIRS[number];
        self.change_link(state, number, |link| *link = Link::connected());
        self.happens(state, low, Event::Connected { peer: high })?;
        self.happens(state, high, Event::Connected { peer: low })
    }

    fn change_link<T>(&mut self, state: &mut State, number: usize, change: impl FnOnce(&mut Link) -> T) -> T {
        let mut link = Link::clone(self.link(state, number));
        let result = change(&mut link);
        state.links[number] = self.links.of(link);
        result
    }

    /// An event happens to a node, and the world hears what it says.
    fn happens(&mut self, state: &mut State, node: usize, event: Event) -> Result<(), Violation> {
        let known = self.step(state.nodes[node], event)?;
        state.nodes[node] = known.node;
        for emit in &known.emits {
            match emit {
                KnownEmit::Send { to, message } => {
                    let (number, end) = pair(*to, node);
                    if self.link(state, number).up {
                        self.change_link(state, number, |link| link.queues[end].push(*message));
                    }
                }
                KnownEmit::Other(emit) => self.hear(state, node, emit)?,
            }
        }
        Ok(())
    }

    fn hear(&mut self, state: &mut State, node: usize, emit: &Emit) -> Result<(), Violation> {
        match emit {
            Emit::Send { .. } => {}
            Emit::Close { peer } => {
                let (number, end) = pair(node, *peer);
                self.change_link(state, number, |link| link.leave(end));
            }
            Emit::Deliver { epoch, before, entries } => {
                let nodes = state.nodes.map(|number| Rc::clone(self.nodes.get(number)));
                let mut history = History::clone(self.histories.get(state.history));
                history.deliver(id(node), *epoch, *before, entries, &nodes)?;
                state.history = self.histories.of(history);
            }
            Emit::Establish { epoch, log } => self.establish(state, node, *epoch, log)?,
            Emit::Drop { entries } => self.histories.get(state.history).truncate(id(node), entries)?,
            Emit::Wrote => {
                let mut others = (0..NODES).filter(|other| *other != node);
                others.try_for_each(|other| logs_match(self.node(state, node), self.node(state, other)))?;
            }
            Emit::Sight(sight) => {
                self.sights.insert(*sight);
            }
        }
        Ok(())
    }

    fn establish(
        &mut self,
        state: &mut State,
        node: usize,
        epoch: Epoch,
        log: &[zw_core::log::record::Entry],
    ) -> Result<(), Violation> {
        let mut history = History::clone(self.histories.get(state.history));
        history.establish(id(node), epoch, log)?;
        match history.epochs() {
            0 | 1 => {}
            2 => drop(self.sights.insert(Sight::SecondEpoch)),
            _ => drop(self.sights.insert(Sight::ThirdEpoch)),
        }
        if (0..NODES).any(|other| other != node && self.node(state, other).role() == Some(Role::Leading)) {
            self.sights.insert(Sight::TwoLeaders);
        }
        state.history = self.histories.of(history);
        Ok(())
    }

    /// A step of a node, done once and looked up from then on.
    fn step(&mut self, node: u32, event: Event) -> Result<Rc<Known>, Violation> {
        if let Some(known) = self.steps.get(&(node, event)) {
            return known.clone();
        }
        let message = match event {
            Event::Message { message, .. } => Some(Rc::clone(self.messages.get(message))),
            _ => None,
        };
        let before = Rc::clone(self.nodes.get(node));
        let known = local::step(&self.plan, &before, event, message.as_deref()).map(|(after, emits)| {
            let emits = emits.into_iter().map(|emit| match emit {
                Emit::Send { to, message } => KnownEmit::Send { to, message: self.messages.of(message) },
                other => KnownEmit::Other(other),
            });
            let emits = emits.collect();
            Rc::new(Known { node: self.nodes.of(after), emits })
        });
        self.steps.insert((node, event), known.clone());
        known
    }

    /// What a move brings, for a person to read.
    pub(crate) fn describe(&self, state: &State, what: Move) -> String {
        match what {
            Move::Deliver { from, to } => {
                let (number, end) = pair(to, from);
                let message = self.messages.get(self.link(state, number).queues[end][0]);
                format!("{} -> {}: {message:?}", from + 1, to + 1)
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Move::Deliver { from, to } => write!(f, "{} -> {}", from + 1, to + 1),
            Move::Notice { at, peer } => write!(f, "{} notices that the link to {} broke", at + 1, peer + 1),
            Move::Disk { node } => write!(f, "{}'s disk completes a batch", node + 1),
            Move::Elect { node } => write!(f, "{} is elected", node + 1),
            Move::Join { node, leader } => write!(f, "{} follows {}", node + 1, leader + 1),
            Move::Silence { node } => write!(f, "{} has heard nothing for too long", node + 1),
            Move::Beat { node } => write!(f, "{}'s heartbeat is due", node + 1),
            Move::Crash { node, kept } => write!(f, "{} loses power, {kept} waiting records are on disk", node + 1),
            Move::Restart { node } => write!(f, "{} starts", node + 1),
            Move::Cut { pair } => write!(f, "the link of {} and {} breaks", PAIRS[pair].0 + 1, PAIRS[pair].1 + 1),
            Move::Connect { pair } => write!(f, "{} and {} connect", PAIRS[pair].0 + 1, PAIRS[pair].1 + 1),
            Move::Propose { node } => write!(f, "{} proposes a command", node + 1),
        }
    }
}

impl State {
    /// The state in 32 bytes.
    pub(crate) fn pack(&self) -> Packed {
        let Budget { elections, proposals, silences, crashes, cuts, connects, beats } = self.budget;
        let counts = [elections, proposals, silences, crashes, cuts, connects, beats];
        assert!(counts.iter().all(|count| *count < 16), "a budget fits its bits");
        let budget = counts.iter().fold(0, |packed, count| packed << 4 | u32::from(*count));
        let ([a, b, c], [d, e, f]) = (self.nodes, self.links);
        [a, b, c, d, e, f, self.history, budget]
    }

    /// The state that was packed.
    pub(crate) fn unpack(packed: Packed) -> State {
        let [a, b, c, d, e, f, history, budget] = packed;
        let count = |place: u32| u8::try_from(budget >> (4 * place) & 15).expect("four bits");
        let budget = Budget {
            elections: count(6),
            proposals: count(5),
            silences: count(4),
            crashes: count(3),
            cuts: count(2),
            connects: count(1),
            beats: count(0),
        };
        State { nodes: [a, b, c], links: [d, e, f], history, budget }
    }
}
