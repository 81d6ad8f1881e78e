//! What there is in a store, for the audit.

/// What there is in a store, whoever wrote it. Names are as they are stored, also wrong ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// What the database itself finds wrong with its file.
    pub problems: Vec<String>,
    /// The tables (and triggers, indexes, views) beside those that every store has.
    pub tables: Vec<String>,
    /// How many batch records there are of each owner.
    pub records: Vec<(String, u64)>,
    /// How many frames the journal has of each producer for each target.
    pub frames: Vec<(String, String, u64)>,
}
