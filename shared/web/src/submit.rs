//! A service's dataflow as HTTP shows it: how it is asked, what it refuses, and how its owners are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use chrono::{SubsecRound as _, Utc};
use dataflow::{Health, Ingress, OnConnection, OnHealth, StoreError, Submit, SubmitError};
use stage::{Cause, Event, EventId, IngressStage, Key, RequestId};

use crate::{Problem, Readiness, Traceparent};

/// When to try again: a queue of requests is worked off within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a request causes from now on: what follows carries this time, its id and its trace.
pub fn cause(request_id: RequestId, trace: &Traceparent) -> Cause {
    // To the microsecond, as every time that a client sends is taken in: a purchase that names no time of its own has
    // this one, and when it is shown and sent again it has to be the same.
    Cause { time: Utc::now().trunc_subsecs(6), request_id, traceparent: stage::Traceparent(trace.to_string()) }
}

/// The request as an event. Its id is the request's: sent again, it is the same.
pub fn event<F>(cause: Cause, key: Key, fact: F) -> Event<F> {
    Event { id: EventId(cause.request_id.0.clone()), cause, key, fact }
}

/// Hands a request of about so many bytes to a way in; answered after the commit.
///
/// # Errors
/// 429 or 503, as [`Refused`] says; [`unexpected`] when the way in has no answer.
pub async fn submit<S: IngressStage>(
    ingress: &Addr<Ingress<S>>,
    event: Event<S::Input>,
    bytes: usize,
) -> Result<S::Reply, Problem> {
    let replies = submit_all(ingress, vec![event], bytes).await?;
    replies.into_iter().next().ok_or_else(unexpected)
}

/// The same of requests that share a commit; answered in their order.
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
#[error("the answer is missing, or is one to another request")]
struct Unexpected;

/// 500, and a line in the log: an answer that cannot be. Trying again would not help, so it does not say so.
pub fn unexpected() -> Problem {
    Problem::internal(&Unexpected)
}

impl From<SubmitError> for Problem {
    fn from(refused: SubmitError) -> Self {
        match refused {
            SubmitError::Overloaded => Problem::busy(RETRY_AFTER),
            SubmitError::Backlog => {
                Problem::unavailable("too much waits to be published: the broker takes nothing just now", RETRY_AFTER)
            }
            SubmitError::Stopped => Problem::unavailable("this service takes no requests just now", RETRY_AFTER),
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
                tracing::warn!(error = &error as &dyn std::error::Error, "a request could not read");
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

/// Not ready while an owner fails or has stopped; `/readyz` names each and says why.
pub fn watch_owners(readiness: &Readiness) -> OnHealth {
    let (readiness, owners) = (readiness.clone(), Mutex::new(BTreeMap::new()));
    Arc::new(move |owner, health| {
        let mut owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = owners.entry(owner.clone()).or_insert_with(|| readiness.require(owner.to_string(), ""));
        match health {
            Health::Well => condition.met(),
            Health::Failing(why) => condition.unmet(format!("it cannot commit and goes on trying: {why}")),
            Health::Missing(frames) => {
                condition
                    .unmet(format!("{frames} did not come: nothing more of that producer is applied until it does"));
            }
            Health::Fenced => condition.unmet("another instance has taken over"),
            Health::Stopped(why) => condition.unmet(format!("it has stopped: {why}")),
        }
    })
}

/// Not ready while a way to or from the broker does not work; `/readyz` names each and says why.
pub fn watch_connections(readiness: &Readiness) -> OnConnection {
    let (readiness, connections) = (readiness.clone(), Mutex::new(BTreeMap::new()));
    Arc::new(move |link, health| {
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = connections.entry(link.to_owned()).or_insert_with(|| readiness.require(link, ""));
        match health {
            Ok(()) => condition.met(),
            Err(why) => condition.unmet(why),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_event_of_its_own_id_and_trace_at_a_whole_microsecond() {
        let trace = Traceparent::random();
        let cause = cause(RequestId("r1".to_owned()), &trace);
        assert_eq!(cause.time, cause.time.trunc_subsecs(6));
        assert_eq!(cause.traceparent.0, trace.as_str());
        let event = event(cause.clone(), Key("alice".to_owned()), ());
        assert_eq!((event.id, event.cause), (EventId("r1".to_owned()), cause));
    }
}
