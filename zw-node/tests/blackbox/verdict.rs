//! What a run can come to: nothing found, a violation of a property, or a failure of the harness, which is no verdict.

use std::fmt;
use zw_sim::invariants::Violation;

/// Why a run did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The system under test broke a property.
    Violation(Violation),
    /// The harness could not do its work: nothing is known about the system.
    Harness(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Violation(violation) => write!(f, "violation: {violation}"),
            Failure::Harness(reason) => write!(f, "harness failure, no verdict: {reason}"),
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Failure {
        Failure::Violation(violation)
    }
}

/// Makes an error of the system's into a failure of the harness.
pub(crate) fn harness<E: fmt::Display>(what: &str) -> impl Fn(E) -> Failure {
    move |error| Failure::Harness(format!("{what}: {error}"))
}

/// Fails with `property` and the text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $property:expr, $($text:tt)+) => {
        if !$holds {
            return Err(zw_sim::invariants::Violation::new($property, format!($($text)+)));
        }
    };
}
pub(crate) use ensure;
