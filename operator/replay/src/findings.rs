//! Findings: their number, and the first few.

use serde::Serialize;

/// The number of findings that are listed.
const LISTED: usize = 10;

/// All findings of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Their number.
    pub count: u64,
    /// The first ten.
    pub first: Vec<String>,
}

impl Findings {
    /// Adds a finding.
    pub fn add(&mut self, what: String) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(what);
        }
    }
}
