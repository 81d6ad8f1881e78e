//! An answer, and what a scenario expects of it.

use contracts::Purchase;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What a service answered, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// A problem as RFC 9457 has it, with the members that this system knows and no others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Its kind.
    pub r#type: String,
    /// The kind in words.
    pub title: String,
    /// As the answer's.
    pub status: u16,
    /// In words.
    pub detail: String,
    /// Which part of the JSON.
    pub pointer: Option<String>,
    /// Which parameter of the path or the query.
    pub parameter: Option<String>,
    /// Where.
    pub line: Option<usize>,
    /// Where.
    pub column: Option<usize>,
    /// What was exceeded.
    pub limit: Option<usize>,
}

impl Answer {
    /// The same, if it has this status.
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        self
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body, read as the contracts say.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let read = serde_json::from_str(&self.body);
        read.unwrap_or_else(|error| panic!("{}: {}: {error}: {}", self.asked, self.status, self.body))
    }

    /// The purchase, which says the same as the status does.
    pub fn purchase(&self) -> Purchase {
        let purchase: Purchase = self.json();
        let status = if purchase.status.is_outcome() { 201 } else { 202 };
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        purchase
    }

    /// The problem, as complete as every problem has to be.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}: {}", self.asked, self.body);
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status, "{}", self.asked);
        let complete = !problem.title.is_empty() && !problem.detail.is_empty() && !problem.r#type.is_empty();
        assert!(complete, "{}: {problem:?}", self.asked);
        problem
    }
}
