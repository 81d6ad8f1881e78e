//! Asking a service that may be away for a while.
//!
//! Guarantee: what cannot be answered now (no connection, a cut one, no answer in time, `429`, `503`) is asked again,
//! unchanged, for up to [`AWAY_MAX`]. That is safe because every request here is idempotent: it has an id, or it is a
//! `PUT` or a `GET`. What is refused is never asked again.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A service may be away for so long.
pub const AWAY_MAX: Duration = Duration::from_secs(60);

/// An answer takes at most so long, or the service counts as away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The first pause before asking again; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause, and the longest `Retry-After` that is believed.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why there is no answer from a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It was away for too long.
    #[error("{service} has been away for {} s: {why}", AWAY_MAX.as_secs())]
    Away {
        /// Which, and where.
        service: String,
        /// What came of the last attempt.
        why: String,
    },
    /// It refuses.
    #[error("{service} refuses {path} with {status}: {detail}")]
    Refused {
        /// Which, and where.
        service: String,
        /// What was asked.
        path: String,
        /// The status of its answer.
        status: StatusCode,
        /// What it says.
        detail: String,
    },
    /// It answers something that is no answer to this.
    #[error("{service} answers {path} with something else than expected: {why}")]
    Strange {
        /// Which, and where.
        service: String,
        /// What was asked.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What came of one attempt, if not an answer.
#[derive(Debug)]
pub enum Failed {
    /// Not now.
    Away {
        /// Why.
        why: String,
        /// When to ask again, by what the service says.
        retry_after: Option<Duration>,
        /// The status, if there was an answer.
        status: Option<StatusCode>,
    },
    /// Never.
    Ended(ServiceError),
}

/// The parts of a problem (RFC 9457) that are shown.
#[derive(Debug, Deserialize)]
pub struct ShownProblem {
    /// What is wrong this time.
    #[serde(default)]
    pub detail: String,
}

/// One of the system's services.
pub struct ServiceClient {
    name: &'static str,
    base: String,
    client: Client,
    away: AtomicBool,
}

impl ServiceClient {
    /// A service by its name for people and its base URL.
    ///
    /// # Errors
    /// When there can be no HTTP client on this machine.
    pub fn new(name: &'static str, base: &str) -> reqwest::Result<Self> {
        // Services are asked directly: a proxy of the environment knows nothing of this machine's ports.
        // Nor are certificates needed: base URLs are http.
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { name, base: base.trim_end_matches('/').to_owned(), client, away: AtomicBool::new(false) })
    }

    /// Its name for people.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is at a path; none when there is nothing (404).
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

    /// Makes an attempt until it does not fail because the service is away.
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

    /// One attempt: the body of an answer of success.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn once(&self, path: &str, request: RequestBuilder) -> Result<Bytes, Failed> {
        self.exchange(path, request).await.map(|(_, body)| body)
    }

    /// One attempt: the status and the body of an answer of success.
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
        let detail = problem.map_or_else(|_| "it does not say why".to_owned(), |problem| problem.detail);
        if is_away(status) {
            return Err(Failed::Away { why: format!("{status}: {detail}"), retry_after, status: Some(status) });
        }
        Err(Failed::Ended(ServiceError::Refused { service: self.to_string(), path: path.to_owned(), status, detail }))
    }

    /// Reads a JSON answer.
    ///
    /// # Errors
    /// [`ServiceError::Strange`].
    pub fn read<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ServiceError> {
        serde_json::from_slice(body).map_err(|error| self.strange(path, &error.to_string()))
    }

    /// An error about an answer.
    pub fn strange(&self, path: &str, why: &str) -> ServiceError {
        ServiceError::Strange { service: self.to_string(), path: path.to_owned(), why: why.to_owned() }
    }

    fn tell_away(&self, why: &str) {
        if !self.away.swap(true, Ordering::Relaxed) {
            eprintln!("{self} is away ({why}); asking again for up to {} s", AWAY_MAX.as_secs());
        }
    }

    fn tell_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            eprintln!("{self} is back");
        }
    }
}

impl std::fmt::Display for ServiceClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.base)
    }
}

/// Whether a status says no more than: not now.
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

/// The cause of the cause of …: `Connection refused` instead of `error sending request`.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// How long to go on with one request.
#[derive(Debug, Default)]
struct Patience {
    ends: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// The pause before the next attempt; none when the time is up. The last attempt is made at its end.
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
    fn what_the_service_asks_for_is_kept_within_limits() {
        let check = |seconds, expected_ms| {
            let pause = Patience::default().pause(Instant::now(), Some(Duration::from_secs(seconds)));
            assert_eq!(pause, Some(Duration::from_millis(expected_ms)));
        };
        check(0, 50);
        check(1, 1_000);
        check(3_600, 2_000);
    }

    #[test]
    fn only_what_may_change_by_itself_is_asked_again() {
        for (status, expected) in [(429, true), (503, true), (408, true), (500, false), (404, false), (413, false)] {
            assert_eq!(is_away(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
