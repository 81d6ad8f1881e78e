//! Requests to a service that may be unavailable for a while.
//!
//! Guarantee: a request that fails temporarily (no connection, a broken one, no response in time, `429`, `503`) is sent
//! again, unchanged, for up to [`AWAY_MAX`]. That is safe because every request here is idempotent: it has an id, or it
//! is a `PUT` or a `GET`. A refused request is never sent again.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest time that a service may be unavailable.
pub const AWAY_MAX: Duration = Duration::from_secs(60);

/// The longest time to a response. After it, the service counts as unavailable.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause before the first retry; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause, and the longest `Retry-After` that is respected.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why there is no valid response from a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The service was unavailable for too long.
    #[error("{service} has been unavailable for {} s: {why}", AWAY_MAX.as_secs())]
    Away {
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
    Strange {
        /// The service and its base URL.
        service: String,
        /// The path of the request.
        path: String,
        /// What is wrong with the response.
        why: String,
    },
}

/// Why one attempt failed.
#[derive(Debug)]
pub enum Failed {
    /// Temporarily: a later attempt may succeed.
    Away {
        /// The reason.
        why: String,
        /// The `Retry-After` of the service.
        retry_after: Option<Duration>,
        /// The status, if there was a response.
        status: Option<StatusCode>,
    },
    /// Finally.
    Ended(ServiceError),
}

/// The parts of a problem (RFC 9457) that are shown.
#[derive(Debug, Deserialize)]
pub struct ShownProblem {
    /// The explanation of this problem.
    #[serde(default)]
    pub detail: String,
}

/// A client for one of the system's services.
pub struct ServiceClient {
    name: &'static str,
    base: String,
    client: Client,
    away: AtomicBool,
}

impl ServiceClient {
    /// A client for the service with this display name and base URL.
    ///
    /// # Errors
    /// When the HTTP client cannot be created.
    pub fn new(name: &'static str, base: &str) -> reqwest::Result<Self> {
        // No proxy: a proxy from the environment cannot reach the ports of this machine.
        // No certificates: base URLs are http.
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { name, base: base.trim_end_matches('/').to_owned(), client, away: AtomicBool::new(false) })
    }

    /// The display name of the service.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Gets the JSON at a path; `None` if there is nothing (404).
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ServiceError> {
        let answer = self.persist(async || self.once(path, self.request(Method::GET, path)).await).await;
        match answer {
            Ok(body) => self.read(path, &body).map(Some),
            Err(ServiceError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts JSON to a path.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn put(&self, path: &str, json: &impl Serialize) -> Result<(), ServiceError> {
        let request = || self.request(Method::PUT, path).json(json);
        self.persist(async || self.once(path, request()).await).await.map(drop)
    }

    /// Repeats an attempt while it fails because the service is unavailable.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn persist<T>(&self, attempt: impl AsyncFn() -> Result<T, Failed>) -> Result<T, ServiceError> {
        let mut patience = Patience::default();
        loop {
            let (why, retry_after) = match attempt().await {
                Ok(answer) => {
                    self.tell_back();
                    return Ok(answer);
                }
                Err(Failed::Ended(error)) => return Err(error),
                Err(Failed::Away { why, retry_after, .. }) => (why, retry_after),
            };
            let Some(pause) = patience.pause(Instant::now(), retry_after) else {
                return Err(ServiceError::Away { service: self.to_string(), why });
            };
            self.tell_away(&why);
            tokio::time::sleep(pause).await;
        }
    }

    /// A request to a path, to be sent with [`Self::once`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Makes one attempt and returns the body of a successful response.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn once(&self, path: &str, request: RequestBuilder) -> Result<Bytes, Failed> {
        self.exchange(path, request).await.map(|(_, body)| body)
    }

    /// Makes one attempt and returns the status and the body of a successful response.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn exchange(&self, path: &str, request: RequestBuilder) -> Result<(StatusCode, Bytes), Failed> {
        let away = |error: reqwest::Error| Failed::Away { why: innermost(&error), retry_after: None, status: None };
        let response = request.send().await.map_err(away)?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let body = response.bytes().await.map_err(away)?;
        if status.is_success() {
            return Ok((status, body));
        }
        let problem = serde_json::from_slice::<ShownProblem>(&body);
        let detail = problem.map_or_else(|_| "no reason given".to_owned(), |problem| problem.detail);
        if is_away(status) {
            return Err(Failed::Away { why: format!("{status}: {detail}"), retry_after, status: Some(status) });
        }
        Err(Failed::Ended(ServiceError::Refused { service: self.to_string(), path: path.to_owned(), status, detail }))
    }

    /// Parses a JSON response.
    ///
    /// # Errors
    /// [`ServiceError::Strange`].
    pub fn read<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ServiceError> {
        serde_json::from_slice(body).map_err(|error| self.strange(path, &error.to_string()))
    }

    /// The error of an unexpected response.
    pub fn strange(&self, path: &str, why: &str) -> ServiceError {
        ServiceError::Strange { service: self.to_string(), path: path.to_owned(), why: why.to_owned() }
    }

    fn tell_away(&self, why: &str) {
        if !self.away.swap(true, Ordering::Relaxed) {
            eprintln!("{self} is unavailable ({why}); retrying for up to {} s", AWAY_MAX.as_secs());
        }
    }

    fn tell_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            eprintln!("{self} is available again");
        }
    }
}

impl std::fmt::Display for ServiceClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.base)
    }
}

/// Whether a status means a temporary failure.
pub fn is_away(status: StatusCode) -> bool {
    [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The text of the innermost source, such as `Connection refused` instead of `error sending request`.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// The pauses between the attempts of one request, and their end.
#[derive(Debug, Default)]
struct Patience {
    ends: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// The pause before the next attempt; `None` when the time is up. The last attempt is made at the end of the time.
    fn pause(&mut self, now: Instant, retry_after: Option<Duration>) -> Option<Duration> {
        let ends = *self.ends.get_or_insert(now + AWAY_MAX);
        let left = ends.saturating_duration_since(now);
        if left.is_zero() {
            return None;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        let asked = retry_after.unwrap_or_default().min(PAUSE_MAX);
        Some(self.pause.max(asked).min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_last_attempt_is_made_when_the_time_is_up() {
        let (mut patience, mut now, mut pauses) = (Patience::default(), Instant::now(), Vec::new());
        let began = now;
        while let Some(pause) = patience.pause(now, None) {
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses[..7], [50, 100, 200, 400, 800, 1_600, 2_000]);
        assert_eq!(now - began, AWAY_MAX);
    }

    #[test]
    fn retry_after_is_respected_within_limits() {
        let check = |seconds, expected_ms| {
            let pause = Patience::default().pause(Instant::now(), Some(Duration::from_secs(seconds)));
            assert_eq!(pause, Some(Duration::from_millis(expected_ms)));
        };
        check(0, 50);
        check(1, 1_000);
        check(3_600, 2_000);
    }

    #[test]
    fn only_temporary_failures_are_retried() {
        for (status, expected) in [(429, true), (503, true), (408, true), (500, false), (404, false), (413, false)] {
            assert_eq!(is_away(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
