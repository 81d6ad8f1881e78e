//! Why one attempt failed, and whether another one makes sense.

use std::time::Duration;

use reqwest::StatusCode;

use crate::error::ServiceError;

/// Why one attempt failed.
#[derive(Debug)]
pub enum AttemptError {
    /// Temporarily: a later attempt may succeed.
    Transient {
        /// The reason.
        why: String,
        /// The `Retry-After` of the service.
        retry_after: Option<Duration>,
        /// The status, if there was a response.
        status: Option<StatusCode>,
    },
    /// Finally.
    Permanent(ServiceError),
}

/// Whether a status means a temporary failure.
pub fn is_transient(status: StatusCode) -> bool {
    [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_failures_are_retried() {
        for (status, expected) in [(429, true), (503, true), (408, true), (500, false), (404, false), (413, false)] {
            assert_eq!(is_transient(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
