use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::{Problem, ProblemType, refusal};

/// Parses a JSON document (RFC 8259) strictly.
///
/// A type refuses unknown fields with `#[serde(deny_unknown_fields)]`. A type of this project refuses a value with a
/// custom error (`#[serde(try_from = "…")]`); the client sees the text of that error.
///
/// # Errors
/// 400 with `line` and `column` for malformed JSON, which includes bytes that are not UTF-8, anything after the
/// document, more than 127 levels, and a number beyond `f64`; 400 with `pointer` for a missing, unknown or repeated
/// field or another JSON type; 422 with `pointer` for a refused value. Malformed JSON is reported first.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|&byte| byte == b'\n').count();
        let column = before.rsplit(|&byte| byte == b'\n').next().map_or(0, <[u8]>::len) + 1;
        malformed("not UTF-8", line, column)
    })?;
    // Tracking the path costs an allocation per field, so only a document that was refused is parsed again with it.
    serde_json::from_str(text).or_else(|_| explain(text))
}

fn explain<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner().classify() {
        Category::Data => refusal::problem(&without_place(error.inner()), error.path()),
        Category::Io | Category::Syntax | Category::Eof => not_json(error.inner()),
    })
}

fn not_json(error: &serde_json::Error) -> Problem {
    malformed(&without_place(error), error.line(), error.column().max(1))
}

fn malformed(detail: &str, line: usize, column: usize) -> Problem {
    let problem = Problem::bad_request(detail).of(&ProblemType::MALFORMED);
    Problem { line: Some(line), column: Some(column), ..problem }
}

/// The text of an error without the place at its end: the problem has members for line and column.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::Place;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        customer: String,
        #[serde(default)]
        pay: Option<Pay>,
        lines: Vec<Line>,
        #[serde(default)]
        notes: BTreeMap<String, u8>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Pay {
        Now,
        Later,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        quantity: Quantity,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(try_from = "u32")]
    struct Quantity(u32);

    impl TryFrom<u32> for Quantity {
        type Error = &'static str;

        fn try_from(value: u32) -> Result<Self, Self::Error> {
            if value == 0 { Err("a quantity is at least 1") } else { Ok(Self(value)) }
        }
    }

    /// A problem as `status code pointer? line:column? | detail`.
    fn summary(problem: &Problem) -> String {
        let mut text = format!("{} {}", problem.status.as_u16(), problem.kind.unwrap().code);
        if let Some(Place::Pointer(pointer)) = &problem.place {
            text += &format!(" {pointer}");
        }
        if let (Some(line), Some(column)) = (problem.line, problem.column) {
            text += &format!(" {line}:{column}");
        }
        text + " | " + &problem.detail
    }

    fn check(document: impl AsRef<[u8]>, expected: &str) {
        let problem = parse::<Order>(document.as_ref()).unwrap_err();
        assert_eq!(summary(&problem), expected);
    }

    #[test]
    fn a_good_document_is_read() {
        let order = parse::<Order>(br#" {"customer":"a","lines":[{"quantity":6}],"pay":"now"} "#);
        let lines = vec![Line { quantity: Quantity(6) }];
        let pay = Some(Pay::Now);
        assert_eq!(order, Ok(Order { customer: "a".to_owned(), pay, lines, notes: BTreeMap::new() }));
    }

    #[test]
    fn malformed_json_is_reported_with_line_and_column() {
        check("", "400 malformed-json 1:1 | EOF while parsing a value");
        check("{\n  \"customer\": }", "400 malformed-json 2:15 | expected value");
        check("{\"customer\":\"a\"", "400 malformed-json 1:15 | EOF while parsing an object");
        check("{\"customer\":\"a\",}", "400 malformed-json 1:17 | key must be a string");
        check(
            "{\"customer\":\"a\nb\"}",
            "400 malformed-json 1:14 | control character (\\u0000-\\u001F) found while parsing a string",
        );
        check("{\"lines\":[NaN]}", "400 malformed-json 1:11 | expected value");
    }

    #[test]
    fn anything_after_the_document_is_refused() {
        check("{\"customer\":\"a\",\"lines\":[]} {}", "400 malformed-json 1:29 | trailing characters");
    }

    #[test]
    fn what_is_not_utf8_is_told_by_line_and_column() {
        check(b"{\n\"customer\":\"\xff\"}", "400 malformed-json 2:13 | not UTF-8");
        check(b"\xff", "400 malformed-json 1:1 | not UTF-8");
    }

    #[test]
    fn a_number_beyond_the_range_is_malformed_json() {
        check("{\"customer\":\"a\",\"lines\":[{\"quantity\":1e400}]}", "400 malformed-json 1:42 | number out of range");
    }

    #[test]
    fn deep_nesting_is_refused_and_harmless() {
        let deep = "[".repeat(1_000_000);
        check(&deep, "400 malformed-json 1:1000000 | EOF while parsing a list");
        let closed = format!("{}{}", deep, "]".repeat(1_000_000));
        let problem = parse::<serde_json::Value>(closed.as_bytes()).unwrap_err();
        assert_eq!(summary(&problem), "400 malformed-json 1:128 | recursion limit exceeded");
    }

    #[test]
    fn another_shape_is_reported_with_its_path() {
        check(r#"{"customer":"a"}"#, "400 wrong-shape /lines | the field is missing");
        check(r#"{"customer":"a","lines":[{}]}"#, "400 wrong-shape /lines/0/quantity | the field is missing");
        check(r#"{"customer":"a","customer":"b"}"#, "400 wrong-shape /customer | the field is given twice");
        check(
            r#"{"customer":"a","lines":[{"quantity":1},{"quantiy":1}]}"#,
            "400 wrong-shape /lines/1/quantiy | there is no such field; expected `quantity`",
        );
        check(r#"{"customer":7}"#, "400 wrong-shape /customer | expected a string, found an integer");
        check(r#"{"customer":null}"#, "400 wrong-shape /customer | expected a string, found null");
        check(
            r#"{"customer":"a","lines":[{"quantity":"six"}]}"#,
            "400 wrong-shape /lines/0/quantity | expected a non-negative integer within its range, found a string",
        );
        check(r#"{"customer":"a","lines":[5]}"#, "400 wrong-shape /lines/0 | expected an object, found an integer");
        check("5", "400 wrong-shape | expected an object, found an integer");
    }

    #[test]
    fn a_pointer_is_one_of_rfc_6901() {
        let note = |name: &str| format!(r#"{{"customer":"a","lines":[],"notes":{{"{name}":true}}}}"#);
        let found = "expected a non-negative integer within its range, found a boolean";
        check(note("a/b~c"), &format!("400 wrong-shape /notes/a~1b~0c | {found}"));
        check(note("~1"), &format!("400 wrong-shape /notes/~01 | {found}"));
        check(note(""), &format!("400 wrong-shape /notes/ | {found}"));
        check(note("ä"), &format!("400 wrong-shape /notes | {found}"));
    }

    #[test]
    fn a_refused_value_is_reported_with_its_path_and_the_text_of_its_type() {
        check(
            r#"{"customer":"a","lines":[{"quantity":1},{"quantity":0}]}"#,
            "422 refused-value /lines/1/quantity | a quantity is at least 1",
        );
        check(
            r#"{"customer":"a","lines":[{"quantity":-1}]}"#,
            "422 refused-value /lines/0/quantity | expected a non-negative integer within its range",
        );
        check(
            r#"{"customer":"a","lines":[{"quantity":-0}]}"#,
            "400 wrong-shape /lines/0/quantity | expected a non-negative integer within its range, found -0",
        );
        check(r#"{"pay":"never"}"#, "422 refused-value /pay | expected `now` or `later`");
    }

    #[test]
    fn malformed_json_is_reported_before_a_refused_value() {
        check(r#"{"lines":[{"quantity":0}]"#, "400 malformed-json 1:25 | EOF while parsing an object");
    }

    #[test]
    fn no_problem_repeats_what_the_client_sent() {
        let secret = "`x`, expected \\\"<script>";
        check(
            format!(r#"{{"customer":"a","lines":"{secret}"}}"#),
            "400 wrong-shape /lines | expected an array, found a string",
        );
        check(
            format!(r#"{{"customer":"a","{secret}":1}}"#),
            "400 wrong-shape | there is no such field; expected one of `customer`, `pay`, `lines`, `notes`",
        );
        check(format!(r#"{{"pay":"{secret}"}}"#), "422 refused-value /pay | expected `now` or `later`");
        let long = "x".repeat(65);
        check(
            format!(r#"{{"notes":{{"{long}":true}}}}"#),
            "400 wrong-shape /notes | expected a non-negative integer within its range, found a boolean",
        );
    }
}
