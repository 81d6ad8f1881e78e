//! The problems with which services refuse a request.

use serde::Deserialize;

/// The parts of a problem (RFC 9457) that are shown.
#[derive(Debug, Deserialize)]
pub struct ProblemDetails {
    /// The explanation of this problem.
    #[serde(default)]
    pub detail: String,
}
