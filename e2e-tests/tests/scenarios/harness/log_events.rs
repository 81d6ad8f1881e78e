//! The log of a process that does not run at a terminal: one JSON event per line.

use std::fmt;
use std::process::Output;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The fields of a log line. A field that occurs twice is an error.
#[derive(Debug)]
pub struct LogEvent(Vec<(String, Value)>);

impl LogEvent {
    /// Parses a line.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn parse(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("not a JSON line, {error}: {line}"))
    }

    /// Parses all lines.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.lines().map(Self::parse).collect()
    }

    /// The text of a field; empty if there is no such field.
    pub fn text(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The message of the event.
    pub fn message(&self) -> &str {
        self.text("message")
    }

    /// Whether the level is `ERROR`.
    pub fn is_error(&self) -> bool {
        self.text("level") == "ERROR"
    }
}

impl<'de> Deserialize<'de> for LogEvent {
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
                        return Err(serde::de::Error::custom(format!("duplicate field {name}")));
                    }
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Self)
    }
}

/// Asserts that a log is not empty, consists of JSON lines and has no errors.
pub fn assert_no_errors_logged(whose: &str, log: &str) {
    let events = LogEvent::parse_all(log);
    let errors: Vec<_> = events.iter().filter(|event| event.is_error()).collect();
    assert!(!events.is_empty() && errors.is_empty(), "{whose}: {errors:#?}");
}

/// The message of the only error in the log of a server that failed to start. The log has to consist of JSON lines.
///
/// # Panics
/// If the exit code is not 1, or there is not exactly one error.
pub fn startup_error(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    LogEvent::parse_all(&stdout);
    let events = LogEvent::parse_all(&stderr);
    let errors: Vec<_> = events.iter().filter(|event| event.is_error()).map(LogEvent::message).collect();
    let [error] = errors.as_slice() else { panic!("{:?}: not exactly one error: {stdout}{stderr}", output.status) };
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(!error.contains("panicked") && !error.contains('\n'), "{error}");
    (*error).to_owned()
}
