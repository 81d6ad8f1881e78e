//! What must always hold, and what is said when it does not.

use std::fmt;

/// An invariant of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: posted plus in transit is zero per currency; a balance is the sum of its postings.
    Money,
    /// I2, I3: exactly one outcome for each request, none without one, none changes.
    Outcomes,
    /// I4: answered ⊆ recorded ⊆ journal ⊆ stream ⊆ applied.
    Recorded,
    /// I5: positions never decrease and equal what is committed.
    Positions,
    /// I6: `seq` is dense in the effects; nothing twice, nothing past a gap.
    Dense,
    /// I7: batch numbers are dense, epochs only grow, nothing commits under an old one.
    Fence,
    /// I8: the hash chains are intact.
    Chain,
    /// I9: deriving again gives the same.
    Derivation,
    /// I12: a purchase is judged by the newest rate among the versions pinned, and priced right.
    Price,
    /// I13: equal requests have one effect and equal replies.
    Repeats,
    /// I14: whatever comes in is counted.
    Counted,
    /// I16: it ends.
    Stuck,
    /// I17: what belongs to a request says so.
    Traced,
    /// An owner stopped for good, or the code panicked.
    Stopped,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Where and how.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// What a check comes to.
pub type Checked<T = ()> = Result<T, Violation>;

/// The violation that something which should always work did not.
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
