//! Invariants over all rows of a service, whichever stage wrote them.

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The place where it is violated.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// Whether every emitted fact has been read by its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiescence {
    /// Yes: nothing is in transit.
    Reached,
    /// Not yet: something is still in transit.
    Pending,
}
