use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Problem, ProblemType, ServiceUnavailable, Shell};

/// `Retry-After` of a service that is not ready: most conditions are met within seconds of a start.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether a service can handle requests, which it can when all its conditions are met. Clones share the conditions.
///
/// A service without conditions is ready, so require them before serving.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// By name of the condition: the reason why it is not met, `None` when it is met.
    conditions: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

impl Readiness {
    /// Adds a condition that is not met yet, with a sentence that says why. The same name twice is one condition.
    pub fn require(&self, name: impl Into<String>, why_not: impl Into<String>) -> Condition {
        let condition = Condition { name: name.into(), readiness: self.clone() };
        condition.unmet(why_not);
        condition
    }

    /// Whether every condition is met.
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    /// The conditions that are not met: name and reason, sorted by name.
    pub fn missing(&self) -> Vec<(String, String)> {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        let unmet = conditions.iter().filter_map(|(name, why)| Some((name, why.as_ref()?)));
        unmet.map(|(name, why)| (name.clone(), why.clone())).collect()
    }

    fn set(&self, name: &str, why_not: Option<String>) {
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.insert(name.to_owned(), why_not);
    }
}

/// One condition of a [`Readiness`]. The part of the service that decides about the condition holds it.
#[derive(Debug, Clone)]
pub struct Condition {
    name: String,
    readiness: Readiness,
}

impl Condition {
    /// Whether the condition is met.
    pub fn is_met(&self) -> bool {
        !self.readiness.missing().iter().any(|(name, _)| *name == self.name)
    }

    /// Marks the condition as met.
    pub fn met(&self) {
        self.readiness.set(&self.name, None);
    }

    /// Marks the condition as not met, with a sentence that says why.
    pub fn unmet(&self, why_not: impl Into<String>) {
        self.readiness.set(&self.name, Some(why_not.into()));
    }
}

/// The health of a service.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceHealth {
    /// The health in one word.
    #[schema(examples("alive", "ready"))]
    status: &'static str,
}

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/healthz", tag = "service", operation_id = "get_health",
    responses((status = 200, description = "The process is alive.", body = ServiceHealth))
)]
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(ServiceHealth { status: "alive" })
}

/// Whether the service can handle requests. If not, the `detail` of the problem lists the conditions that are not met.
#[utoipa::path(
    get, path = "/readyz", tag = "service", operation_id = "get_readiness",
    responses((status = 200, description = "The service is ready.", body = ServiceHealth), ServiceUnavailable)
)]
pub(crate) async fn ready(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let missing = request.app_data().map(|shell: &Shell| shell.readiness.missing());
    let missing = missing.unwrap_or_default();
    if missing.is_empty() {
        return Ok(HttpResponse::Ok().json(ServiceHealth { status: "ready" }));
    }
    let detail: Vec<_> = missing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    Err(Problem::unavailable(detail.join("; "), RETRY_AFTER).of(&ProblemType::NOT_READY))
}
