//! An HTTP response and the assertions on it.

use contracts::Purchase;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An HTTP response with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// Method and URL of the request, for failure messages.
    pub request: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// Problem details (RFC 9457). A member that this system does not define is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// URI of the problem type.
    pub r#type: String,
    /// Summary of the problem type.
    pub title: String,
    /// The same status code as the response.
    pub status: u16,
    /// Explanation of this occurrence.
    pub detail: String,
    /// JSON Pointer to the wrong part of the body.
    pub pointer: Option<String>,
    /// The wrong parameter of the path or the query.
    pub parameter: Option<String>,
    /// Line of a syntax error in the body.
    pub line: Option<usize>,
    /// Column of a syntax error in the body.
    pub column: Option<usize>,
    /// The limit that the request exceeds.
    pub limit: Option<usize>,
}

impl Response {
    /// Returns the response if it has this status.
    ///
    /// # Panics
    /// If it has another status.
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.request, self.body);
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|error| panic!("{}: {}: {error}: {}", self.request, self.status, self.body))
    }

    /// The purchase in the body. The status has to be 201 if the purchase has an outcome, and 202 otherwise.
    pub fn purchase(&self) -> Purchase {
        let purchase: Purchase = self.json();
        let status = if purchase.status.is_outcome() { 201 } else { 202 };
        assert_eq!(self.status, status, "{}: {}", self.request, self.body);
        purchase
    }

    /// The problem details in the body, which have to be complete.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}: {}", self.request, self.body);
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status, "{}", self.request);
        let complete = !problem.title.is_empty() && !problem.detail.is_empty() && !problem.r#type.is_empty();
        assert!(complete, "{}: {problem:?}", self.request);
        problem
    }
}
