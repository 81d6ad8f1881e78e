//! A service's dataflow as HTTP shows it: what it refuses, and how its owners are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataflow::{Health, OnHealth, OnLink, Refused, StoreError};

use crate::{Problem, Readiness};

/// When to try again: a queue of requests is worked off within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Problem::busy(RETRY_AFTER),
            Refused::Backlog => {
                Problem::unavailable("too much waits to be published: the broker takes nothing just now", RETRY_AFTER)
            }
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

/// Not ready while an owner fails or has stopped; `/readyz` names each and says why.
pub fn watch_owners(readiness: &Readiness) -> OnHealth {
    let (readiness, owners) = (readiness.clone(), Mutex::new(BTreeMap::new()));
    Arc::new(move |owner, health| {
        let mut owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = owners.entry(owner.clone()).or_insert_with(|| readiness.require(owner.to_string(), ""));
        match health {
            Health::Well => condition.met(),
            Health::Failing(why) => condition.unmet(format!("it cannot commit and goes on trying: {why}")),
            Health::Fenced => condition.unmet("another instance has taken over"),
            Health::Stopped(why) => condition.unmet(format!("it has stopped: {why}")),
        }
    })
}

/// Not ready while a way to or from the broker does not work; `/readyz` names each and says why.
pub fn watch_links(readiness: &Readiness) -> OnLink {
    let (readiness, links) = (readiness.clone(), Mutex::new(BTreeMap::new()));
    Arc::new(move |link, health| {
        let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = links.entry(link.to_owned()).or_insert_with(|| readiness.require(link, ""));
        match health {
            Ok(()) => condition.met(),
            Err(why) => condition.unmet(why),
        }
    })
}
