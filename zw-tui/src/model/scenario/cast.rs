//! Who plays which part in a scenario: the words with `$` in its lines.

use serde::{Deserialize, Serialize};

/// The parts; nodes and brokers are counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cast {
    /// Who leads when the scenario begins.
    pub(super) leader: usize,
    /// The other nodes, in the order in which they get parts.
    pub(super) others: Vec<usize>,
    brokers: usize,
    seed: usize,
}

impl Cast {
    /// For an ensemble of this size; `seed` chooses among those that could play a part.
    pub(super) fn new(leader: usize, nodes: usize, brokers: usize, seed: u64) -> Cast {
        let mut others: Vec<usize> = (0..nodes).filter(|node| *node != leader).collect();
        let seed = usize::try_from(seed).unwrap_or(0);
        let first = seed % others.len().max(1);
        others.rotate_left(first);
        Cast { leader, others, brokers, seed }
    }

    /// As many others as a quorum can miss.
    fn minority(&self) -> &[usize] {
        &self.others[..self.others.len() / 2]
    }

    fn majority(&self) -> Vec<usize> {
        self.others[self.others.len() / 2..].iter().copied().chain([self.leader]).collect()
    }

    /// The line with members in the place of its words; `each` is the node of `for each node`.
    pub(super) fn filled(&self, line: &str, each: Option<usize>) -> String {
        let each = each.map_or_else(Vec::new, |node| vec![node]);
        let parts = [
            ("$leader", names(&[self.leader])),
            ("$follower", names(&self.others[..self.others.len().min(1)])),
            ("$others", names(&self.others)),
            ("$minority", names(self.minority())),
            ("$majority", names(&self.majority())),
            ("$broker", format!("b{}", self.seed % self.brokers.max(1) + 1)),
            ("$each", names(&each)),
        ];
        parts.iter().fold(line.to_owned(), |line, (word, name)| line.replace(word, name))
    }
}

/// `n1,n2` for the first two.
pub(super) fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_follow_the_seed_and_a_minority_is_one() {
        let line = "$leader|$follower|$others|$minority|$majority|$broker|$each";
        let cast = Cast::new(4, 5, 3, 1);
        assert_eq!(cast.filled(line, Some(2)), "n5|n2|n2,n3,n4,n1|n2,n3|n4,n1,n5|b2|n3");
        assert_eq!(Cast::new(0, 3, 0, 0).filled(line, None), "n1|n2|n2,n3|n2|n3,n1|b1|");
        assert_eq!(Cast::new(0, 1, 1, u64::MAX).filled(line, None), "n1||||n1|b1|");
        // With an even number the leader's side is the greater one.
        assert_eq!(Cast::new(3, 4, 1, 0).filled("$minority|$majority", None), "n1|n2,n3,n4");
    }
}
