//! What must hold of all rows of a service together, whoever wrote them.

/// Something that must hold and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// Whether all that was said has been read by those it was said for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiescence {
    /// All of it: nothing is on its way.
    Reached,
    /// Something is still to come.
    Pending,
}
