//! Sorts serde's errors into "another shape" (400) and "a refused value" (422).
//!
//! serde tells them apart by text alone: its own begin with fixed phrases (`serde::de::Error`'s
//! provided methods), and everything else was said by a type of ours that refused the value. Its
//! own texts also quote what the client sent; the texts made here do not.

use serde_path_to_error::{Path, Segment};

use crate::{Problem, ProblemType};

/// Long enough for any text of our own types; short enough to answer and to log.
const MAX_DETAIL_CHARS: usize = 300;
/// Longer names of fields are not repeated.
const MAX_NAME_BYTES: usize = 64;

/// What an error text of serde says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal<'a> {
    /// A field is not there.
    Missing(&'a str),
    /// A field is there more than once.
    Twice(&'a str),
    /// A field that the type does not have; those that it has, as serde lists them.
    Unknown(&'a str),
    /// A value of another type, both in serde's words.
    OtherType { expected: &'a str, found: &'a str },
    /// None of the shapes of an enum.
    NoShape,
    /// A value of the right type that is none of those expected.
    OtherValue { expected: &'a str },
    /// What a type of ours says.
    Own(&'a str),
}

impl<'a> Refusal<'a> {
    /// Sorts an error text.
    pub(crate) fn of(text: &'a str) -> Self {
        let expected = || text.rsplit_once(", expected ").map_or("another value", |(_, what)| what);
        if let Some(field) = quoted(text, "missing field ") {
            Self::Missing(field)
        } else if let Some(field) = quoted(text, "duplicate field ") {
            Self::Twice(field)
        } else if text.starts_with("unknown field ") {
            Self::Unknown(text.rsplit_once("`, expected ").map_or("none", |(_, known)| known))
        } else if let Some(found) = text.strip_prefix("invalid type: ") {
            Self::OtherType { expected: expected(), found: without_value(found) }
        } else if text.starts_with("data did not match any variant") {
            Self::NoShape
        } else if ["invalid value: ", "invalid length ", "unknown variant "].iter().any(|own| text.starts_with(own)) {
            Self::OtherValue { expected: expected() }
        } else {
            Self::Own(text)
        }
    }
}

/// The problem that this error text of serde tells of, found at this path of a JSON document.
pub(crate) fn problem(text: &str, path: &Path) -> Problem {
    let shape = |detail: String| Problem::bad_request(capped(&detail)).of(&ProblemType::SHAPE);
    let value = |detail: &str| Problem::unprocessable(capped(detail));
    let (problem, field) = match Refusal::of(text) {
        Refusal::Missing(field) => (shape("the field is missing".to_owned()), Some(field)),
        Refusal::Twice(field) => (shape("the field is given twice".to_owned()), Some(field)),
        Refusal::Unknown(known) => (shape(format!("there is no such field; expected {known}")), None),
        Refusal::OtherType { expected, found } => {
            (shape(format!("expected {}, found {}", readable(expected), readable(found))), None)
        }
        Refusal::NoShape => (shape("this is none of the shapes it can have".to_owned()), None),
        Refusal::OtherValue { expected } => (value(&format!("expected {}", readable(expected))), None),
        Refusal::Own(text) => (value(text), None),
    };
    let pointer = pointer(path, field);
    if pointer.is_empty() { problem } else { problem.at(pointer) }
}

fn quoted<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    text.strip_prefix(phrase)?.strip_prefix('`')?.strip_suffix('`')
}

/// serde quotes the value it found after its type; the value stays out. But -0 is no integer only because serde_json reads
/// it as a float.
fn without_value(found: &str) -> &str {
    if found.starts_with("floating point `-0.0`") {
        return "-0";
    }
    let end = found.find(['`', '"', ',']).unwrap_or(found.len());
    found[..end].trim_end()
}

/// In words of JSON instead of Rust.
pub(crate) fn readable(what: &str) -> &str {
    match what {
        "map" | "a map" => "an object",
        "sequence" | "a sequence" => "an array",
        "string" => "a string",
        "boolean" => "a boolean",
        "integer" => "an integer",
        "floating point" => "a number that is no integer",
        "u8" | "u16" | "u32" | "u64" | "usize" => "an integer, not negative, within its range",
        "i8" | "i16" | "i32" | "i64" => "an integer within its range",
        rust if rust.starts_with("struct ") => "an object",
        other => other,
    }
}

/// A JSON Pointer (RFC 6901). It ends above a name that must not be repeated: that still names a part of the document.
fn pointer(path: &Path, field: Option<&str>) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key: name } | Segment::Enum { variant: name } if can_be_repeated(name) => {
                push(&mut pointer, name);
            }
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => return pointer,
        }
    }
    if let Some(field) = field {
        push(&mut pointer, field);
    }
    pointer
}

fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    for letter in name.chars() {
        match letter {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// A name that the client made up is repeated only if it is short and plain.
pub(crate) fn can_be_repeated(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./~:@ ".contains(&byte);
    name.len() <= MAX_NAME_BYTES && name.bytes().all(plain)
}

pub(crate) fn capped(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARS).collect()
}
