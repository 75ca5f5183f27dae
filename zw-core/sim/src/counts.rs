//! How often each thing happened: "green" must not mean "nothing happened".

use std::collections::BTreeMap;
use std::fmt;

/// Named counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Counts one more of `name`.
    pub fn add(&mut self, name: &'static str) {
        self.add_many(name, 1);
    }

    /// Counts `more` of `name`.
    pub fn add_many(&mut self, name: &'static str, more: u64) {
        *self.0.entry(name).or_default() += more;
    }

    /// How many of `name` there were.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Takes in the counts of another world.
    pub fn merge(&mut self, other: &Counts) {
        other.0.iter().for_each(|(name, count)| self.add_many(name, *count));
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.0 {
            writeln!(f, "  {count:>10}  {name}")?;
        }
        Ok(())
    }
}
