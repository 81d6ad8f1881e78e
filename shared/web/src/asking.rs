//! What a service's dataflow refuses, as problems.

use std::time::Duration;

use dataflow::{Refused, StoreError};

use crate::Problem;

/// When to try again: a queue of requests is worked off within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Problem::busy(RETRY_AFTER),
            Refused::Stopped => Problem::unavailable("this service takes no requests just now", RETRY_AFTER),
            Refused::Unavailable => Problem::unavailable(
                "the database does not answer: send the same request again, with the same Idempotency-Key",
                RETRY_AFTER,
            ),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a request could not read");
                Problem::unavailable("the database does not answer", RETRY_AFTER)
            }
            StoreError::Damaged(_) => Problem::internal(&error),
        }
    }
}

impl From<actix::MailboxError> for Problem {
    fn from(_: actix::MailboxError) -> Self {
        Problem::from(Refused::Stopped)
    }
}
