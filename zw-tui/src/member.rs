//! The name of one child process: node `n3`, broker `b1`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A node or a broker of the local ensemble, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Member {
    /// `n1`, `n2`, ...: numbered as the ensemble numbers them.
    Node(u8),
    /// `b1`, `b2`, ...
    Broker(u8),
}

impl Member {
    /// Its place among its kind, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        let (Member::Node(number) | Member::Broker(number)) = self;
        usize::from(number).saturating_sub(1)
    }

    /// Whether it is a node.
    #[must_use]
    pub fn is_node(self) -> bool {
        matches!(self, Member::Node(_))
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Node(number) => write!(f, "n{number}"),
            Member::Broker(number) => write!(f, "b{number}"),
        }
    }
}

/// The text is not a member's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a member; write n3 for node 3 or b1 for broker 1")]
pub struct ParseMemberError(String);

impl FromStr for Member {
    type Err = ParseMemberError;

    fn from_str(text: &str) -> Result<Member, ParseMemberError> {
        let wrong = || ParseMemberError(text.chars().take(40).collect());
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0).ok_or_else(wrong);
        if let Some(digits) = text.strip_prefix('n') {
            Ok(Member::Node(number(digits)?))
        } else if let Some(digits) = text.strip_prefix('b') {
            Ok(Member::Broker(number(digits)?))
        } else {
            number(text).map(Member::Node)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for member in [Member::Node(1), Member::Node(9), Member::Broker(3)] {
            assert_eq!(member.to_string().parse(), Ok(member));
        }
        assert_eq!("4".parse(), Ok(Member::Node(4)));
        for wrong in ["", "n", "n0", "x3", "leader", "n300"] {
            assert!(wrong.parse::<Member>().is_err(), "{wrong:?} was accepted");
        }
    }
}
