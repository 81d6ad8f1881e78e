use actix_web::HttpRequest;
use actix_web::web::Query;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

use crate::refusal::{Refusal, can_be_repeated, capped, readable};
use crate::{Problem, ProblemType};

/// Parses the query string as strictly as [`parse`](crate::parse) parses JSON. The problem names the parameter that is
/// wrong.
///
/// # Errors
/// 400 for a missing, unknown or repeated parameter; 422 for a refused value.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let text = request.query_string();
    let refused = match Query::<Located<T>>::from_query(text) {
        Ok(Query(Located(Ok(read)))) => return Ok(read),
        Ok(Query(Located(Err(error)))) => error,
        Err(_) => return Err(shape("the query is malformed".to_owned(), None)),
    };
    Err(problem(&refused.inner().to_string(), name(refused.path()), text))
}

/// The result of a deserialization; an error carries the path of the parameter.
struct Located<T>(Result<T, serde_path_to_error::Error<String>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(pairs: D) -> Result<Self, D::Error> {
        let text = |error: serde_path_to_error::Error<D::Error>| {
            let path = error.path().clone();
            serde_path_to_error::Error::new(path, error.into_inner().to_string())
        };
        Ok(Self(serde_path_to_error::deserialize(pairs).map_err(text)))
    }
}

fn name(path: &Path) -> Option<&str> {
    path.iter().find_map(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    })
}

fn problem(text: &str, name: Option<&str>, query: &str) -> Problem {
    match Refusal::of(text) {
        Refusal::Missing(name) => shape("the parameter is missing".to_owned(), Some(name)),
        Refusal::Twice(name) => shape("the parameter is given twice".to_owned(), Some(name)),
        Refusal::Unknown(known) => shape(format!("there is no such parameter; expected {known}"), name),
        Refusal::OtherType { expected, .. } | Refusal::OtherValue { expected } => {
            value(&format!("expected {}", readable(expected)), name, query)
        }
        Refusal::NoShape => value("the value is none of those that are expected here", name, query),
        Refusal::Own(text) => value(translated(text), name, query),
    }
}

fn shape(detail: String, name: Option<&str>) -> Problem {
    named(Problem::bad_request(detail).of(&ProblemType::QUERY), name)
}

fn value(detail: &str, name: Option<&str>, query: &str) -> Problem {
    let plus = if name.is_some_and(|name| has_plus(query, name)) {
        "; a + in a query means a space: write it as %2B"
    } else {
        ""
    };
    named(Problem::unprocessable(capped(detail) + plus), name)
}

fn named(problem: Problem, name: Option<&str>) -> Problem {
    match name.filter(|name| can_be_repeated(name)) {
        Some(name) => problem.of_parameter(name),
        None => problem,
    }
}

fn has_plus(query: &str, name: &str) -> bool {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.any(|(key, value)| key == name && value.contains('+'))
}

/// Translates the error texts of Rust's standard library for numbers and booleans into words for clients.
fn translated(text: &str) -> &str {
    match text {
        "invalid digit found in string" => "expected a whole number, written in digits",
        "cannot parse integer from empty string" => "the value is empty: expected a whole number",
        "number too large to fit in target type" => "the number is too large",
        "number too small to fit in target type" => "the number is too small",
        "provided string was not `true` or `false`" => "expected `true` or `false`",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use chrono::{DateTime, Utc};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        after: String,
        limit: Option<u16>,
        back: Option<i8>,
        all: Option<bool>,
        at: Option<DateTime<Utc>>,
    }

    /// `query_string` is refused with the problem `status code parameter | detail`.
    fn check(query_string: &str, expected: &str) {
        let request = TestRequest::with_uri(&format!("/x?{query_string}")).to_http_request();
        let problem = query::<Page>(&request).unwrap_err();
        let written = serde_json::to_value(&problem).unwrap();
        assert_eq!(written.get("pointer"), None, "{written}");
        let kind = problem.kind.map_or("", |kind| kind.code);
        let parameter = written["parameter"].as_str().unwrap_or("-");
        assert_eq!(format!("{} {kind} {parameter} | {}", problem.status.as_u16(), problem.detail), expected);
    }

    #[test]
    fn a_query_is_read() {
        let uri = "/x?after=a%2Fb&limit=5&back=-1&all=true&at=2026-10-30T00:00:00%2B01:00";
        let request = TestRequest::with_uri(uri).to_http_request();
        let Page { after, limit, back, all, at } = query(&request).unwrap();
        assert_eq!((after.as_str(), limit, back, all), ("a/b", Some(5), Some(-1), Some(true)));
        assert_eq!(at.unwrap().to_rfc3339(), "2026-10-29T23:00:00+00:00");
    }

    #[test]
    fn another_shape_is_reported_with_its_parameter() {
        check("limit=5", "400 wrong-query after | the parameter is missing");
        check("", "400 wrong-query after | the parameter is missing");
        check("after=a&after=b", "400 wrong-query after | the parameter is given twice");
        let known = "expected one of `after`, `limit`, `back`, `all`, `at`";
        check("after=a&foo=1", &format!("400 wrong-query foo | there is no such parameter; {known}"));
        check("after=a&%3Cscript%3E=1", &format!("400 wrong-query - | there is no such parameter; {known}"));
    }

    #[test]
    fn a_refused_value_is_reported_in_words_for_clients() {
        check("after=a&limit=abc", "422 refused-value limit | expected a whole number, written in digits");
        check("after=a&limit=-1", "422 refused-value limit | expected a whole number, written in digits");
        check("after=a&limit=", "422 refused-value limit | the value is empty: expected a whole number");
        check("after=a&limit=65536", "422 refused-value limit | the number is too large");
        check("after=a&back=-129", "422 refused-value back | the number is too small");
        check("after=a&all=yes", "422 refused-value all | expected `true` or `false`");
    }

    #[test]
    fn the_problem_of_a_value_with_an_unencoded_plus_explains_it() {
        let plus = "; a + in a query means a space: write it as %2B";
        let refused = |query: &str| {
            let request = TestRequest::with_uri(&format!("/x?after=a&{query}")).to_http_request();
            crate::query::<Page>(&request).unwrap_err().detail
        };
        assert!(refused("at=2026-10-30T00:00:00+01:00").ends_with(plus));
        assert!(!refused("at=yesterday").contains(plus));
        assert!(!refused("at=yesterday&back=+1").contains(plus));
    }
}
