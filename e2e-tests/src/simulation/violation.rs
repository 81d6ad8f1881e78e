//! The invariants of the system, and the error if one of them does not hold.

use std::fmt;

/// An invariant of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: posted plus in transit is zero per currency, and a balance is the sum of its postings.
    Money,
    /// I2, I3: each request has exactly one outcome, each outcome has a request, and no outcome changes.
    Outcomes,
    /// I4: answered ⊆ recorded ⊆ journal ⊆ stream ⊆ applied.
    Recorded,
    /// I5: positions never decrease, and equal the committed ones.
    Positions,
    /// I6: `seq` is dense in the effects: no frame has effects twice, and none has effects beyond a gap.
    Dense,
    /// I7: batch numbers are dense, epochs only grow, and nothing commits under an old epoch.
    Fence,
    /// I8: the hash chains are intact.
    Chain,
    /// I9: deriving everything again gives the same result.
    Derivation,
    /// I12: a purchase is priced correctly, by the newest rate among the captured versions.
    Price,
    /// I13: equal requests have one effect and equal replies.
    Repeats,
    /// I14: every input is counted.
    Counted,
    /// I16: without faults, the system comes to rest.
    Stuck,
    /// I17: what belongs to a request names the request.
    Traced,
    /// I18: allocations stay within their limits, each changes in one direction, and lines are served in their turn.
    Stock,
    /// I19: what the services declare to hold over all their rows holds.
    Rows,
    /// An owner stopped for good, or the code panicked.
    Stopped,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: Invariant,
    /// Where and how it is violated.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// The result of a check.
pub type Checked<T = ()> = Result<T, Violation>;

/// The violation for an error that must not occur, with all its causes.
pub fn stopped(error: &dyn std::error::Error) -> Violation {
    let mut what = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    Violation { invariant: Invariant::Stopped, what }
}

/// Returns a [`Violation`] unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $invariant:ident, $($what:tt)+) => {
        if !$holds {
            return Err($crate::simulation::violation::Violation {
                invariant: $crate::simulation::violation::Invariant::$invariant,
                what: format!($($what)+),
            });
        }
    };
}

pub(super) use ensure;
