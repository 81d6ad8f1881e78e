//! What a process prints where nobody sits at a terminal: an event a line, as JSON.

use std::fmt;
use std::process::Output;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A line, which has each field once.
#[derive(Debug)]
pub struct Event(Vec<(String, Value)>);

impl Event {
    /// Reads a line.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn of(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON line, {error}: {line}"))
    }

    /// Reads all lines.
    pub fn all(text: &str) -> Vec<Self> {
        text.lines().map(Self::of).collect()
    }

    /// A field's text; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// What happened.
    pub fn message(&self) -> &str {
        self.text("message")
    }

    /// Whether somebody has to do something about it.
    pub fn is_error(&self) -> bool {
        self.text("level") == "ERROR"
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(String, Value)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Self::Value = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("{name} is there twice")));
                    }
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Self)
    }
}

/// A log in which nobody finds anything to do: JSON lines, and no errors among them.
///
/// # Panics
/// When it is another.
pub fn is_calm(whose: &str, log: &str) {
    let events = Event::all(log);
    let errors: Vec<_> = events.iter().filter(|event| event.is_error()).collect();
    assert!(!events.is_empty() && errors.is_empty(), "{whose}: {errors:#?}");
}

/// Why a server ended at once: the one error in its log, which is all JSON.
///
/// # Panics
/// When it ended otherwise.
pub fn refusal(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Event::all(&stdout);
    let events = Event::all(&stderr);
    let errors: Vec<_> = events.iter().filter(|event| event.is_error()).map(Event::message).collect();
    let [error] = errors.as_slice() else { panic!("{:?}: not one error: {stdout}{stderr}", output.status) };
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(!error.contains("panicked") && !error.contains('\n'), "{error}");
    (*error).to_owned()
}
