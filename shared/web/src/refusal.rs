//! Sorts serde's errors into "another shape" (400) and "a refused value" (422).
//!
//! Only the text tells the errors apart. serde's own errors begin with fixed phrases (the provided methods of
//! `serde::de::Error`); every other text comes from a type of this project that refused the value. serde's own texts
//! also quote what the client sent; the texts made here do not.

use serde_path_to_error::{Path, Segment};

use crate::{Problem, ProblemType};

/// The longest `detail`: long enough for every text of this project's types, short enough to send and to log.
const MAX_DETAIL_CHARS: usize = 300;
/// The longest field name that a problem repeats.
const MAX_NAME_BYTES: usize = 64;

/// The meaning of a serde error text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal<'a> {
    /// A field is missing: its name.
    Missing(&'a str),
    /// A field occurs more than once: its name.
    Twice(&'a str),
    /// The type has no such field: the fields that it has, as serde lists them.
    Unknown(&'a str),
    /// A value has another type: both types in serde's words.
    OtherType { expected: &'a str, found: &'a str },
    /// The value matches no variant of an untagged enum.
    NoShape,
    /// The value has the right type but is not among the expected values.
    OtherValue { expected: &'a str },
    /// The error text of a type of this project.
    Own(&'a str),
}

impl<'a> Refusal<'a> {
    /// Classifies an error text.
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

/// The problem for a serde error text that occurred at this path of a JSON document.
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
        Refusal::NoShape => (shape("the value has none of the shapes that are expected here".to_owned()), None),
        Refusal::OtherValue { expected } => (value(&format!("expected {}", readable(expected))), None),
        Refusal::Own(text) => (value(text), None),
    };
    let pointer = pointer(path, field);
    if pointer.is_empty() { problem } else { problem.at(pointer) }
}

fn quoted<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    text.strip_prefix(phrase)?.strip_prefix('`')?.strip_suffix('`')
}

/// The type that serde found, without the value that serde quotes after it. The exception is -0: it is not an integer
/// only because serde_json reads it as a float.
fn without_value(found: &str) -> &str {
    if found.starts_with("floating point `-0.0`") {
        return "-0";
    }
    let end = found.find(['`', '"', ',']).unwrap_or(found.len());
    found[..end].trim_end()
}

/// A Rust type in the words of JSON.
pub(crate) fn readable(what: &str) -> &str {
    match what {
        "map" | "a map" => "an object",
        "sequence" | "a sequence" => "an array",
        "string" => "a string",
        "boolean" => "a boolean",
        "integer" => "an integer",
        "floating point" => "a number that is not an integer",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a non-negative integer within its range",
        "i8" | "i16" | "i32" | "i64" => "an integer within its range",
        rust if rust.starts_with("struct ") => "an object",
        other => other,
    }
}

/// A JSON Pointer (RFC 6901). It ends before a name that must not be repeated, and so names the part around that name.
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

/// Whether a problem may repeat a name that the client chose: only if it is short and has no special characters.
pub(crate) fn can_be_repeated(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./~:@ ".contains(&byte);
    name.len() <= MAX_NAME_BYTES && name.bytes().all(plain)
}

/// The text, cut to [`MAX_DETAIL_CHARS`].
pub(crate) fn capped(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARS).collect()
}
