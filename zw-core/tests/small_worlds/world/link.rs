//! The link of a pair of nodes: two queues in order, which a break cuts off at any place.

/// A connection, or the remains of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// Whether what is sent now gets into the queues.
    pub(crate) up: bool,
    /// Whether the lower and the higher node still take it for connected.
    pub(crate) ends: [bool; 2],
    /// What is on its way to the lower and to the higher node, as numbers of messages.
    pub(crate) queues: [Vec<u32>; 2],
}

impl Link {
    /// A new connection.
    pub(crate) fn connected() -> Link {
        Link { up: true, ends: [true; 2], queues: Default::default() }
    }

    /// One end is gone or has noticed the break: it receives nothing more, but what it sent may still arrive.
    pub(crate) fn leave(&mut self, end: usize) {
        self.up = false;
        self.ends[end] = false;
        self.queues[end].clear();
    }

    /// Whether a new connection can be made.
    pub(crate) fn is_free(&self) -> bool {
        self.ends == [false; 2]
    }
}

/// The number of the pair of `one` and `other`, and the end of it that `one` is.
pub(crate) fn pair(one: usize, other: usize) -> (usize, usize) {
    (one + other - 1, usize::from(one > other))
}

/// The nodes of each pair, the lower one first.
pub(crate) const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];
