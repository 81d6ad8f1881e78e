//! The bodies of batches: one request per line.

use serde::Serialize;

/// Adds a request to a body.
pub fn write_line<T: Serialize>(body: &mut Vec<u8>, request: &T) {
    let written = serde_json::to_writer(&mut *body, request);
    assert!(written.is_ok(), "a request can always be written to memory as JSON: {written:?}");
    body.push(b'\n');
}
