//! Why a request to a service failed in the end.

use reqwest::StatusCode;

use crate::retry::RETRY_MAX;

/// Why there is no valid response from a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The service was unavailable for too long.
    #[error("{service} has been unavailable for {} s: {why}", RETRY_MAX.as_secs())]
    Unavailable {
        /// The service and its base URL.
        service: String,
        /// Why the last attempt failed.
        why: String,
    },
    /// The service refused the request.
    #[error("{service} refused {path} with {status}: {detail}")]
    Refused {
        /// The service and its base URL.
        service: String,
        /// The path of the request.
        path: String,
        /// The status of the response.
        status: StatusCode,
        /// The detail of the problem.
        detail: String,
    },
    /// The response does not fit the request.
    #[error("{service} sent an unexpected response to {path}: {why}")]
    Unexpected {
        /// The service and its base URL.
        service: String,
        /// The path of the request.
        path: String,
        /// What is wrong with the response.
        why: String,
    },
}
