//! The content of a store, for the audit.

/// The content of a store, whatever wrote it. Names are as stored, including invalid ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Problems that the database itself reports.
    pub problems: Vec<String>,
    /// The tables (and triggers, indexes, views) apart from those that every store has.
    pub tables: Vec<String>,
    /// The number of batch records of each owner.
    pub records: Vec<(String, u64)>,
    /// The number of frames in the journal for each producer and target.
    pub frames: Vec<(String, String, u64)>,
}
