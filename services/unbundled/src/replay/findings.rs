//! What was found to be wrong: how often, and the first few.

use serde::Serialize;

/// So many are listed.
const LISTED: usize = 10;

/// Everything of one sort that was found to be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many.
    pub count: u64,
    /// The first ten.
    pub first: Vec<String>,
}

impl Findings {
    /// One more.
    pub fn add(&mut self, what: String) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(what);
        }
    }
}
