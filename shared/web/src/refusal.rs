//! Sorts serde's errors into "another shape" (400) and "a refused value" (422).
//!
//! serde tells them apart by text alone: its own begin with fixed phrases (`serde::de::Error`'s
//! provided methods), and everything else was said by a type of ours that refused the value. Its
//! own texts also quote what the client sent; the texts made here do not.

use serde_path_to_error::{Path, Segment};

use crate::{Kind, Problem};

/// Long enough for any text of our own types; short enough to answer and to log.
const MAX_DETAIL_CHARS: usize = 300;
/// Longer names of fields are not repeated.
const MAX_NAME_BYTES: usize = 64;

/// The problem that this error text of serde tells of, found at this path.
pub(crate) fn problem(text: &str, path: &Path) -> Problem {
    let shape = |detail: String| Problem::bad_request(detail).of(&Kind::SHAPE);
    let value = |detail: &str| Problem::unprocessable(capped(detail));
    let expected = || text.rsplit_once(", expected ").map_or("another value", |(_, what)| what);

    let (problem, field) = if let Some(field) = quoted(text, "missing field ") {
        (shape("the field is missing".to_owned()), Some(field))
    } else if let Some(field) = quoted(text, "duplicate field ") {
        (shape("the field is given twice".to_owned()), Some(field))
    } else if text.starts_with("unknown field ") {
        let known = text.rsplit_once("`, expected ").map_or("none", |(_, known)| known);
        (shape(capped(&format!("there is no such field; expected {known}"))), None)
    } else if let Some(found) = text.strip_prefix("invalid type: ") {
        let (found, expected) = (readable(without_value(found)), readable(expected()));
        (shape(capped(&format!("expected {expected}, found {found}"))), None)
    } else if text.starts_with("data did not match any variant") {
        (shape("this is none of the shapes it can have".to_owned()), None)
    } else if ["invalid value: ", "invalid length ", "unknown variant "].iter().any(|phrase| text.starts_with(phrase)) {
        (value(&format!("expected {}", readable(expected()))), None)
    } else {
        (value(text), None)
    };
    let pointer = pointer(path, field);
    if pointer.is_empty() { problem } else { problem.at(pointer) }
}

fn quoted<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    text.strip_prefix(phrase)?.strip_prefix('`')?.strip_suffix('`')
}

/// serde quotes the value it found after its type; the value stays out.
fn without_value(found: &str) -> &str {
    let end = found.find(['`', '"', ',']).unwrap_or(found.len());
    found[..end].trim_end()
}

/// In words of JSON instead of Rust.
fn readable(what: &str) -> &str {
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

fn pointer(path: &Path, field: Option<&str>) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("[{index}]")),
            Segment::Map { key: name } | Segment::Enum { variant: name } => push(&mut pointer, name),
            Segment::Unknown => push(&mut pointer, "?"),
        }
    }
    if let Some(field) = field {
        push(&mut pointer, field);
    }
    pointer
}

/// A name that the client made up is repeated only if it is short and plain.
fn push(pointer: &mut String, name: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !pointer.is_empty() {
        pointer.push('.');
    }
    let repeat = name.len() <= MAX_NAME_BYTES && name.bytes().all(plain);
    pointer.push_str(if repeat { name } else { "?" });
}

fn capped(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARS).collect()
}
