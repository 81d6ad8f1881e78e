//! The dataflow of a service behind HTTP: requests to ingress partitions, their errors as problems, and the health of
//! owners as readiness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use chrono::{SubsecRound as _, Utc};
use dataflow::{Health, Ingress, OnConnection, OnHealth, StoreError, Submit, SubmitError};
use stage::{Cause, Event, EventId, IngressStage, Key, RequestId};

use crate::{Problem, Readiness, Traceparent};

/// `Retry-After`: a full queue of requests drains within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The cause of everything that follows from a request: the current time, the request id and the trace.
pub fn cause(request_id: RequestId, trace: &Traceparent) -> Cause {
    // In microseconds, like every time that a client sends. A purchase without a time of its own gets this one. If a
    // client reads it and sends it again, it must be equal.
    Cause { time: Utc::now().trunc_subsecs(6), request_id, traceparent: stage::Traceparent(trace.to_string()) }
}

/// The request as an event. The event has the id of the request, so a request that is sent again is the same event.
pub fn event<F>(cause: Cause, key: Key, fact: F) -> Event<F> {
    Event { id: EventId(cause.request_id.0.clone()), cause, key, fact }
}

/// Submits a request of about `bytes` bytes to an ingress partition and returns its reply after the commit.
///
/// # Errors
/// 429 or 503, see [`SubmitError`]; [`unexpected`] when the reply is missing.
pub async fn submit<S: IngressStage>(
    ingress: &Addr<Ingress<S>>,
    event: Event<S::Input>,
    bytes: usize,
) -> Result<S::Reply, Problem> {
    let replies = submit_all(ingress, vec![event], bytes).await?;
    replies.into_iter().next().ok_or_else(unexpected)
}

/// Submits requests that share one commit and returns their replies in the same order.
///
/// # Errors
/// 429 or 503.
pub async fn submit_all<S: IngressStage>(
    ingress: &Addr<Ingress<S>>,
    requests: Vec<Event<S::Input>>,
    bytes: usize,
) -> Result<Vec<S::Reply>, Problem> {
    Ok(ingress.send(Submit { requests, bytes }).await??)
}

#[derive(Debug, thiserror::Error)]
#[error("the reply is missing or belongs to another request")]
struct Unexpected;

/// 500 and a log line, for a reply that is impossible. There is no `Retry-After`, because a retry would not help.
pub fn unexpected() -> Problem {
    Problem::internal(&Unexpected)
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Overloaded => Problem::busy(RETRY_AFTER),
            SubmitError::Backlog => {
                Problem::unavailable("too much output waits to be published: the broker is unavailable", RETRY_AFTER)
            }
            SubmitError::Stopped => Problem::unavailable("the service is stopping or has stopped", RETRY_AFTER),
            SubmitError::Unavailable => Problem::unavailable(
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
                tracing::warn!(error = &error as &dyn std::error::Error, "the database failed during a request");
                Problem::unavailable("the database does not answer", RETRY_AFTER)
            }
            StoreError::Damaged(_) => Problem::internal(&error),
        }
    }
}

impl From<actix::MailboxError> for Problem {
    fn from(_: actix::MailboxError) -> Self {
        Problem::from(SubmitError::Stopped)
    }
}

/// Reports the health of owners to the readiness. The service is not ready while an owner fails or has stopped;
/// `/readyz` names each such owner and the reason.
pub fn watch_owners(readiness: &Readiness) -> OnHealth {
    let (readiness, owners) = (readiness.clone(), Mutex::new(BTreeMap::new()));
    Arc::new(move |owner, health| {
        let mut owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = owners.entry(owner.clone()).or_insert_with(|| readiness.require(owner.to_string(), ""));
        match health {
            Health::Well => condition.met(),
            Health::Failing(why) => condition.unmet(format!("commits fail and are retried: {why}")),
            Health::Missing(frames) => {
                condition.unmet(format!("{frames} did not come: later frames of that producer wait for it"));
            }
            Health::Fenced => condition.unmet("another instance has taken over"),
            Health::Stopped(why) => condition.unmet(format!("the owner has stopped: {why}")),
        }
    })
}

/// Reports the status of broker connections to the readiness. The service is not ready while a connection fails;
/// `/readyz` names each such connection and the reason.
pub fn watch_connections(readiness: &Readiness) -> OnConnection {
    let (readiness, connections) = (readiness.clone(), Mutex::new(BTreeMap::new()));
    Arc::new(move |name, status| {
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = connections.entry(name.to_owned()).or_insert_with(|| readiness.require(name, ""));
        match status {
            Ok(()) => condition.met(),
            Err(why) => condition.unmet(why),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_of_a_request_has_its_id_its_trace_and_a_time_in_microseconds() {
        let trace = Traceparent::random();
        let cause = cause(RequestId("r1".to_owned()), &trace);
        assert_eq!(cause.time, cause.time.trunc_subsecs(6));
        assert_eq!(cause.traceparent.0, trace.as_str());
        let event = event(cause.clone(), Key("alice".to_owned()), ());
        assert_eq!((event.id, event.cause), (EventId("r1".to_owned()), cause));
    }
}
