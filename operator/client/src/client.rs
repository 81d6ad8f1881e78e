//! Requests to a service that may be unavailable for a while.
//!
//! Guarantee: a request that fails temporarily (no connection, a broken one, no response in time, `429`, `503`) is sent
//! again, unchanged, for up to [`RETRY_MAX`]. That is safe because every request here is idempotent: it has an id, or it
//! is a `PUT` or a `GET`. A refused request is never sent again.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::{AttemptError, is_transient};
use crate::error::ServiceError;
use crate::problem::ProblemDetails;
use crate::retry::{RETRY_MAX, Retries};

/// The number of concurrent requests, apart from batches: enough to keep a service on a few cores busy.
pub const IN_FLIGHT: usize = 16;

/// The longest time to a response. After it, the service counts as unavailable.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// A client for one of the system's services.
pub struct ServiceClient {
    name: &'static str,
    base: String,
    client: Client,
    is_unavailable: AtomicBool,
}

impl ServiceClient {
    /// A client for the service with this display name and base URL.
    ///
    /// # Errors
    /// When the HTTP client cannot be created.
    pub fn new(name: &'static str, base: &str) -> reqwest::Result<Self> {
        // No proxy: a proxy from the environment cannot reach the ports of this machine.
        // No certificates: base URLs are http.
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(RESPONSE_TIMEOUT).build()?;
        Ok(Self { name, base: base.trim_end_matches('/').to_owned(), client, is_unavailable: AtomicBool::new(false) })
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
        let answer = self.retry(async || self.once(path, self.request(Method::GET, path)).await).await;
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
        self.retry(async || self.once(path, request()).await).await.map(drop)
    }

    /// Repeats an attempt while it fails because the service is unavailable.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn retry<T>(&self, attempt: impl AsyncFn() -> Result<T, AttemptError>) -> Result<T, ServiceError> {
        let mut retries = Retries::default();
        loop {
            let (why, retry_after) = match attempt().await {
                Ok(answer) => {
                    self.report_available();
                    return Ok(answer);
                }
                Err(AttemptError::Permanent(error)) => return Err(error),
                Err(AttemptError::Transient { why, retry_after, .. }) => (why, retry_after),
            };
            let Some(pause) = retries.pause(Instant::now(), retry_after) else {
                return Err(ServiceError::Unavailable { service: self.to_string(), why });
            };
            self.report_unavailable(&why);
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
    /// [`AttemptError`].
    pub async fn once(&self, path: &str, request: RequestBuilder) -> Result<Bytes, AttemptError> {
        self.exchange(path, request).await.map(|(_, body)| body)
    }

    /// Makes one attempt and returns the status and the body of a successful response.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub async fn exchange(&self, path: &str, request: RequestBuilder) -> Result<(StatusCode, Bytes), AttemptError> {
        let transient =
            |error: reqwest::Error| AttemptError::Transient { why: innermost(&error), retry_after: None, status: None };
        let response = request.send().await.map_err(transient)?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let body = response.bytes().await.map_err(transient)?;
        if status.is_success() {
            return Ok((status, body));
        }
        let problem = serde_json::from_slice::<ProblemDetails>(&body);
        let detail = problem.map_or_else(|_| "no reason given".to_owned(), |problem| problem.detail);
        if is_transient(status) {
            return Err(AttemptError::Transient {
                why: format!("{status}: {detail}"),
                retry_after,
                status: Some(status),
            });
        }
        Err(AttemptError::Permanent(ServiceError::Refused {
            service: self.to_string(),
            path: path.to_owned(),
            status,
            detail,
        }))
    }

    /// Parses a JSON response.
    ///
    /// # Errors
    /// [`ServiceError::Unexpected`].
    pub fn read<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ServiceError> {
        serde_json::from_slice(body).map_err(|error| self.unexpected(path, &error.to_string()))
    }

    /// The error of an unexpected response.
    pub fn unexpected(&self, path: &str, why: &str) -> ServiceError {
        ServiceError::Unexpected { service: self.to_string(), path: path.to_owned(), why: why.to_owned() }
    }

    fn report_unavailable(&self, why: &str) {
        if !self.is_unavailable.swap(true, Ordering::Relaxed) {
            eprintln!("{self} is unavailable ({why}); retrying for up to {} s", RETRY_MAX.as_secs());
        }
    }

    fn report_available(&self) {
        if self.is_unavailable.swap(false, Ordering::Relaxed) {
            eprintln!("{self} is available again");
        }
    }
}

impl std::fmt::Display for ServiceClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.base)
    }
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
